/* SPDX-License-Identifier: BSD-2-Clause
 *
 * count.c - how often the kernel's programs came to a verdict (tp_count).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>

#include "attach.h"

uint64_t verdict_count(const struct attached *att, uint32_t verdict)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *per_cpu = cpus > 0 ? calloc((size_t)cpus, sizeof(*per_cpu)) : NULL, sum = 0;

	if (per_cpu && !bpf_map_lookup_elem(att->count_fd, &verdict, per_cpu))
		for (int i = 0; i < cpus; i++)
			sum += per_cpu[i];
	free(per_cpu);
	return sum;
}

uint64_t verdict_counts(const struct attached *att, uint32_t first, uint32_t last)
{
	uint64_t sum = 0;

	for (uint32_t v = first; v <= last; v++)
		sum += verdict_count(att, v);
	return sum;
}

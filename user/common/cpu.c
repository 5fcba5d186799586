/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cpu.c - pinning.
 */
#include "cpu.h"

#include <errno.h>
#include <sched.h>

int cpu_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET((unsigned int)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

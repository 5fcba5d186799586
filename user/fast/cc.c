/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc.c - the table of congestion controls that we have.
 */
#include "cc.h"

#include <string.h>

static const struct cc_ops *const all[] = {
	&cc_cubic, &cc_bbr, &cc_reno, &cc_dctcp, &cc_dctcp_reno,
};

const struct cc_ops *cc_find(const char *name)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	return NULL;
}

const struct cc_ops *cc_default(void)
{
	return &cc_cubic;
}

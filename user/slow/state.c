/* SPDX-License-Identifier: BSD-2-Clause
 *
 * state.c - write and read the state file. See state.h.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rundir.h"

uint64_t state_netns(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) < 0 ? 0 : st.st_ino;
}

int state_create(const char *ifname, int ifindex)
{
	char path[RUN_PATH_MAX];
	int fd, err;

	run_path(path, ifname, "state");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	err = state_add(fd, "nic %s %d %llu", ifname, ifindex,
			(unsigned long long)state_netns());
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int state_add(int fd, const char *fmt, ...)
{
	char text[128];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof(text) - 1)
		return -EINVAL;
	text[n++] = '\n';
	return write(fd, text, n) == n ? 0 : -EIO;
}

static void read_line(struct state *s, const char *text)
{
	unsigned long long netns;
	char what[4];

	if (sscanf(text, "nic %15s %d %llu", s->ifname, &s->ifindex, &netns) == 3)
		s->netns = netns;
	else if (!strcmp(text, "bpffs\n"))
		s->bpffs = true;
	else if (!strcmp(text, "spread\n"))
		s->spread = true;
	else if (!strcmp(text, "clsact\n"))
		s->clsact = true;
	else if (s->offloads < STATE_MAX &&
		 sscanf(text, "offload %3s %31s", what, s->offload[s->offloads].feature) == 2)
		s->offload[s->offloads++].on = !strcmp(what, "on");
	else if (s->filters < STATE_MAX &&
		 sscanf(text, "filter %3s %u", what, &s->filter[s->filters].prio) == 2)
		s->filter[s->filters++].dir = strcmp(what, "in") ? TC_OUT : TC_IN;
}

int state_read(const char *ifname, struct state *ret_state)
{
	char path[RUN_PATH_MAX], text[128];
	struct state s = {};
	FILE *f;

	run_path(path, ifname, "state");
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(text, sizeof(text), f))
		read_line(&s, text);
	fclose(f);
	*ret_state = s;
	return 0;
}

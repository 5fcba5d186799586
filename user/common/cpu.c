/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cpu.c - where threads run, and before whom.
 */
#include "cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define AUTOGROUP	"/proc/self/autogroup"	/* "/autogroup-17 nice 0" */

int cpu_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET((unsigned int)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

int cpu_nice(int nice)
{
	return setpriority(PRIO_PROCESS, 0, nice) < 0 ? -errno : 0;	/* Linux: of a thread */
}

int cpu_get_nice(void)
{
	return getpriority(PRIO_PROCESS, 0);
}

int cpu_session_nice(int nice)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", nice), fd, err;

	if (getsid(0) != getpid())
		return -EPERM;
	fd = open(AUTOGROUP, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write(fd, text, (size_t)n) == n ? 0 : -errno;
	close(fd);
	return err;
}

int cpu_get_session_nice(void)
{
	char text[64];
	const char *at;
	ssize_t n;
	int fd = open(AUTOGROUP, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strstr(text, "nice ");
	return at ? atoi(at + 5) : 0;
}

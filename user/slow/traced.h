/* SPDX-License-Identifier: BSD-2-Clause
 *
 * traced.h - may a process with hooks in traced functions (fentry) die, however it does?
 *
 * The last act of such a process is to wait for all tasks that are about to be gone. Before Linux
 * 6.9 the first process of a PID namespace is one of these for as long as it waits for the others
 * there to exit. If it goes first, as when a container is stopped, both wait for ever, and with
 * them whoever uses traces on this machine. The machine's own PID namespace never ends.
 */
#ifndef TASPILOT_SLOW_TRACED_H
#define TASPILOT_SLOW_TRACED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define TRACED_FIRST_PID_NS	0xeffffffcU	/* inode: include/linux/proc_ns.h */

/* @release: of uname(); @pid_ns: the inode of the process's PID namespace. */
static inline bool traced_may_die(const char *release, uint64_t pid_ns)
{
	unsigned int major = 0, minor = 0;

	sscanf(release, "%u.%u", &major, &minor);
	return pid_ns == TRACED_FIRST_PID_NS || major > 6 || (major == 6 && minor >= 9);
}

/* The same of this process. */
static inline bool traced_may_die_here(void)
{
	struct utsname u;
	struct stat st;

	return !uname(&u) && !stat("/proc/self/ns/pid", &st) && traced_may_die(u.release, st.st_ino);
}

#endif

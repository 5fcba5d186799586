/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rundir.h - /run/taspilot/<ifname>: where it is, and whether a daemon lives there.
 *
 *   pid     the daemon's process id; the daemon holds a lock on it while it lives, so a
 *           number that was left behind is never taken for a daemon
 *   sock    control socket (ctl_abi.h)
 *   state   what has to be undone (state.h)
 *   log     what a daemon in the background says
 */
#ifndef TASPILOT_SLOW_RUNDIR_H
#define TASPILOT_SLOW_RUNDIR_H

#include <stddef.h>
#include <sys/types.h>

#define RUN_PATH_MAX	108		/* what fits into a socket address */

/* TASPILOT_RUN_DIR, else /run/taspilot. */
const char *run_root(void);
/* "<root>/<ifname>/<leaf>"; @leaf NULL: the directory. */
void run_path(char path[RUN_PATH_MAX], const char *ifname, const char *leaf);
/* Make root and directory as far as they are absent. 0 or -errno. */
int run_make(const char *ifname);
/* Remove the files and the directories; what others left in them stays. */
void run_remove(const char *ifname);

/* Become the daemon of @ifname: 0 and a descriptor to keep open, -EBUSY if there is one. */
int run_lock(const char *ifname, int *ret_fd);
/* The daemon's process id, 0 if none lives. */
pid_t run_daemon(const char *ifname);

#endif

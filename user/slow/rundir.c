/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rundir.c - the directory of one daemon. See rundir.h.
 */
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "taspilot/ctl_abi.h"

#define DYING_MS	5000		/* a killed daemon has unmapped its memory by then */
#define LOOK_MS		10

const char *run_root(void)
{
	const char *root = getenv(TP_RUN_DIR_ENV);

	return root && root[0] == '/' ? root : TP_RUN_DIR_DEFAULT;
}

void run_path(char path[RUN_PATH_MAX], const char *ifname, const char *leaf)
{
	snprintf(path, RUN_PATH_MAX, "%s/%s%s%s", run_root(), ifname, leaf ? "/" : "",
		 leaf ? leaf : "");
}

static int make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int run_make(const char *ifname)
{
	char path[RUN_PATH_MAX];
	int err;

	run_path(path, ifname, NULL);
	err = make_dir(run_root());
	return err ? err : make_dir(path);
}

void run_remove(const char *ifname)
{
	static const char *const leaf[] = { "sock", "state", "log", "pid" };
	char path[RUN_PATH_MAX];

	for (size_t i = 0; i < sizeof(leaf) / sizeof(leaf[0]); i++) {
		run_path(path, ifname, leaf[i]);
		unlink(path);
	}
	run_path(path, ifname, NULL);
	rmdir(path);
	rmdir(run_root());
}

/* The file that is locked must still be the one that others will find by its name. */
static int lock_named(const char *path, int fd)
{
	struct stat held, named;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (fstat(fd, &held) < 0 || stat(path, &named) < 0 || held.st_ino != named.st_ino)
		return -EBUSY;
	return 0;
}

int run_lock(const char *ifname, int *ret_fd)
{
	char path[RUN_PATH_MAX];
	int fd, err;

	run_path(path, ifname, "pid");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	err = lock_named(path, fd);
	if (!err && (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", getpid()) < 0))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* Killed, but its threads have not all let go of what they hold. */
static bool is_dying(pid_t pid)
{
	char path[32], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return true;
	if (fscanf(f, "%*d %*s %c", &state) != 1)
		state = 'X';
	fclose(f);
	return state == 'Z' || state == 'X';
}

/* Who holds the lock on @fd, 0: nobody. */
static pid_t holder(int fd)
{
	char text[16] = "";

	if (!flock(fd, LOCK_SH | LOCK_NB)) {
		flock(fd, LOCK_UN);
		return 0;
	}
	return errno == EWOULDBLOCK && pread(fd, text, sizeof(text) - 1, 0) > 0 ? atoi(text) : 0;
}

pid_t run_daemon(const char *ifname)
{
	char path[RUN_PATH_MAX];
	pid_t pid;
	int fd;

	run_path(path, ifname, "pid");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	for (int ms = 0; (pid = holder(fd)) && is_dying(pid) && ms < DYING_MS; ms += LOOK_MS)
		poll(NULL, 0, LOOK_MS);
	close(fd);
	return pid;
}

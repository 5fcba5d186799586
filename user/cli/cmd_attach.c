/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_attach.c - `taspilot attach`: start taspilotd and wait until it is ready.
 *
 * The daemon does the work. Its messages go to /run/taspilot/<ifname>/log; what it wrote there until
 * it was ready, or gave up, is shown here. It says "ok" through a pipe; the end of the pipe without it
 * means that it failed.
 *
 * It has a process group of its own, so that no key of a terminal reaches it, but it stays in our session:
 * with autogroups (sched(7)) a fast thread can yield the CPU to programs of its own session only
 * (user/fast/yield.h).
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/log.h"
#include "../common/opts.h"
#include "../slow/check.h"
#include "../slow/rundir.h"
#include "../slow/undo.h"

#define READY_FD	3		/* in the daemon */

static int find_daemon(char *path, size_t size)
{
	static const char *const dirs[] = { ".", "../sbin", "../libexec", NULL };
	int err = cli_find("taspilotd", dirs, path, size);

	if (err) {
		log_err(err, "taspilotd: cannot find it");
		log_hint("It belongs into the directory of taspilot, or ../sbin or ../libexec "
			 "from there.");
	}
	return err;
}

/* The arguments as they were given, with room for ours. */
static char **daemon_argv(int argc, char **argv)
{
	static char ready[] = "--ready-fd", fd[4];
	char **v = calloc((size_t)argc + 3, sizeof(*v));

	if (!v)
		return NULL;
	snprintf(fd, sizeof(fd), "%d", READY_FD);
	v[0] = "taspilotd";
	v[1] = ready;
	v[2] = fd;
	memcpy(&v[3], &argv[1], (size_t)(argc - 1) * sizeof(*v));
	return v;
}

static int foreground(const char *path, int argc, char **argv)
{
	char **v = daemon_argv(argc, argv);

	if (!v)
		return 1;
	v[2] = v[0];			/* nobody waits */
	execv(path, &v[2]);
	log_err(-errno, "%s: cannot run it", path);
	return 1;
}

static int open_log(const char *ifname, off_t *ret_end)
{
	char path[RUN_PATH_MAX];
	int fd, err = run_make(ifname);

	if (err)
		return err;
	run_path(path, ifname, "log");
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	*ret_end = lseek(fd, 0, SEEK_END);
	return fd;
}

static void show_log(int fd, off_t from)
{
	char text[4096];
	ssize_t n;

	while ((n = pread(fd, text, sizeof(text), from)) > 0) {
		fwrite(text, 1, (size_t)n, stderr);
		from += n;
	}
}

/* In the child. Descriptors from READY_FD + 1 on are closed by exec or not ours to judge. */
static void become_daemon(const char *path, char **argv, int log_fd, int ready_fd)
{
	int null = open("/dev/null", O_RDONLY);

	setpgid(0, 0);
	umask(022);
	if (null < 0 || dup2(null, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0 ||
	    dup2(ready_fd, READY_FD) < 0 || chdir("/") < 0)
		_exit(1);
	fcntl(READY_FD, F_SETFD, 0);
	if (null > READY_FD)
		close(null);
	execv(path, argv);
	log_err(-errno, "%s: cannot run it", path);
	_exit(1);
}

static pid_t spawn(const char *path, char **argv, int log_fd, int *ret_ready)
{
	int ready[2], err;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (!pid)
		become_daemon(path, argv, log_fd, ready[1]);
	err = -errno;
	close(ready[1]);
	if (pid < 0) {
		close(ready[0]);
		return err;
	}
	*ret_ready = ready[0];
	return pid;
}

static bool wait_ready(int fd)
{
	char text[4] = "";
	ssize_t n;

	do
		n = read(fd, text, sizeof(text) - 1);
	while (n < 0 && errno == EINTR);
	close(fd);
	return n >= 2 && !memcmp(text, "ok", 2);
}

/* It failed and has said why; leave nothing of it. */
static int failed(pid_t pid, const char *ifname)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status)) {
		log_warn("%s: taspilotd was killed by signal %d (%s)", ifname, WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
		log_hint("Nothing of it was left behind.");
	}
	if (!run_daemon(ifname))
		undo_attach(ifname);
	return WIFEXITED(status) && WEXITSTATUS(status) == 2 ? 2 : 1;
}

static int background(const char *path, const char *ifname, int argc, char **argv)
{
	char **v = daemon_argv(argc, argv);
	int log_fd, ready = -1;
	bool good = false;
	off_t end = 0;
	pid_t pid;

	if (!v)
		return 1;
	log_fd = open_log(ifname, &end);
	if (log_fd < 0) {
		log_err(log_fd, "%s/%s: cannot write there", run_root(), ifname);
		free(v);
		return 1;
	}
	pid = spawn(path, v, log_fd, &ready);
	if (pid > 0)
		good = wait_ready(ready);
	show_log(log_fd, end);
	close(log_fd);
	free(v);
	if (pid < 0) {
		log_err(pid, "%s: cannot start it", path);
		return 1;
	}
	return good ? 0 : failed(pid, ifname);
}

int cmd_attach(int argc, char **argv)
{
	char path[PATH_MAX];
	struct opts o;
	struct nic n;

	if (opts_parse(argc, argv, &o))
		return 2;
	if (o.help) {
		cli_help(argv[0]);
		return 0;
	}
	if (check_attach(&o.attach, &n) || find_daemon(path, sizeof(path)))
		return 1;
	if (o.foreground)
		return foreground(path, argc, argv);
	return background(path, o.attach.ifname, argc, argv);
}

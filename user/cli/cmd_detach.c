/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_detach.c - `taspilot detach`: ask the daemon to leave and wait until it has; if there
 * is none, undo what it left.
 *
 * The daemon holds a lock on its pid file until it ends, however it ends. So waiting for it
 * is waiting for that lock, and what then still stands is undone here.
 */
#include "cli.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "../slow/rundir.h"
#include "../slow/undo.h"
#include "client.h"

#define LOOK_MS		50		/* how often to look whether it ended */
#define DEAF_NS		(5 * NS_PER_S)	/* without a heartbeat for so long: it is stopped */

/* Nanoseconds since the daemon's last heartbeat; 0 if that cannot be told. */
static uint64_t silence_ns(const char *ifname)
{
	char path[160];
	struct tp_config c = {};
	uint32_t zero = 0;
	uint64_t now = clock_ns();
	int fd;

	snprintf(path, sizeof(path), "%s/%s/tp_config", TP_PIN_DIR, ifname);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (bpf_map_lookup_elem(fd, &zero, &c) || c.heartbeat_ns > now)
		c.heartbeat_ns = now;
	close(fd);
	return now - c.heartbeat_ns;
}

static int ask_to_leave(const char *ifname, bool force)
{
	struct tp_ctl q = { .h = { .type = TP_CTL_DETACH }, .ask = { .force = force } };
	int fd = client_open(ifname);
	int err = 0;

	if (fd < 0)
		return fd;
	if (send(fd, &q, sizeof(q), MSG_NOSIGNAL) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* Until it ends, or -ETIMEDOUT if it shows no life. The socket tells when to look. */
static int wait_until_gone(const char *ifname, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char reply[256];

	while (run_daemon(ifname)) {
		if (silence_ns(ifname) > DEAF_NS)
			return -ETIMEDOUT;
		poll(&p, 1, LOOK_MS);
		if (p.revents && recv(fd, reply, sizeof(reply), MSG_DONTWAIT) <= 0)
			p.fd = -1;
	}
	return 0;
}

static int deaf(const char *ifname, pid_t pid, bool force)
{
	if (!force) {
		log_warn("%s: cannot detach: taspilotd (process %d) does not answer", ifname, pid);
		log_hint("'taspilot detach %s --force' ends it; its connections are reset.",
			 ifname);
		return -ETIMEDOUT;
	}
	kill(pid, SIGKILL);
	while (run_daemon(ifname) == pid)
		poll(NULL, 0, LOOK_MS);
	return 0;
}

static int end_daemon(const char *ifname, pid_t pid, bool force)
{
	int fd = ask_to_leave(ifname, force), err;

	if (fd == -EACCES || fd == -EPERM) {
		log_err(fd, "%s: cannot detach", ifname);
		log_hint("Only root may: 'sudo taspilot detach %s'.", ifname);
		return fd;
	}
	if (fd < 0)
		return deaf(ifname, pid, force);
	err = wait_until_gone(ifname, fd);
	close(fd);
	return err ? deaf(ifname, pid, force) : 0;
}

static int detach(const char *ifname, bool force)
{
	pid_t pid;
	int err;

	if (geteuid() != 0) {
		log_err(-EPERM, "%s: cannot detach", ifname);
		log_hint("Only root may: 'sudo taspilot detach %s'.", ifname);
		return 1;
	}
	pid = run_daemon(ifname);
	if (!pid && !undo_needed(ifname)) {
		log_warn("%s: not attached", ifname);
		log_hint("'taspilot status' lists what is.");
		return 1;
	}
	if (pid && end_daemon(ifname, pid, force))
		return 1;
	if (!undo_needed(ifname))
		return 0;
	err = undo_attach(ifname);
	if (err) {
		log_err(err, "%s: filters or offloads were left as they are", ifname);
		log_hint("The NIC is in another network namespace; detach it there.");
	}
	return err ? 1 : 0;
}

int cmd_detach(int argc, char **argv)
{
	const char *ifname = NULL;
	bool force = false;

	for (int i = 1; i < argc; i++) {
		if (cli_wants_help(argv[i])) {
			cli_help(argv[0]);
			return 0;
		}
		if (!strcmp(argv[i], "--force"))
			force = true;
		else if (argv[i][0] == '-')
			return cli_usage(argv[0], "unknown option", argv[i]);
		else if (ifname || strlen(argv[i]) >= IF_NAMESIZE || strchr(argv[i], '/'))
			return cli_usage(argv[0], "one interface, not", argv[i]);
		else
			ifname = argv[i];
	}
	if (!ifname)
		return cli_usage(argv[0], "which interface?", "");
	return detach(ifname, force);
}

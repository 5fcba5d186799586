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
#include "../common/text.h"
#include "../slow/rundir.h"
#include "../slow/undo.h"
#include "client.h"

#define LOOK_MS		50		/* how often to look whether it ended */
#define DEAF_NS		(5 * NS_PER_S)	/* without a heartbeat for so long: it is stopped */
#define UNDOING_NS	(60 * NS_PER_S)	/* and when it has said that it goes: the kernel takes its time */

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

/* A descriptor on which the answer will come, or -errno. */
static int ask_to_leave(const char *ifname, bool force)
{
	struct tp_ctl q = { .h = { .type = TP_CTL_DETACH }, .ask = { .force = force } };
	int fd = client_open(ifname);
	int err;

	if (fd < 0)
		return fd;
	if (send(fd, &q, sizeof(q), MSG_NOSIGNAL) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* The answer, which comes when all flows went back: how many connections live on in Linux
 * that the daemon must go on translating. 0 also if it ended without one.
 */
static int read_remaining(int fd)
{
	struct {
		struct tp_ctl head;
		char text[256];
	} reply = {};
	char remain[16];
	ssize_t n = recv(fd, &reply, sizeof(reply) - 1, MSG_DONTWAIT);

	if (n < (ssize_t)sizeof(reply.head))
		return 0;
	return json_get(reply.text, "remain", remain, sizeof(remain)) ? atoi(remain) : 0;
}

/* Until it ends (0) or says how many connections it must stay for. -ETIMEDOUT: it shows no
 * life. It may not listen yet, or not any more.
 */
static int ask_until_gone(const char *ifname, bool force)
{
	struct pollfd p = { .events = POLLIN, .fd = -1 };
	bool answered = false;
	int remain = 0;

	while (!remain && run_daemon(ifname)) {
		if (silence_ns(ifname) > (answered ? UNDOING_NS : DEAF_NS))
			remain = -ETIMEDOUT;
		if (p.fd < 0 && !answered)
			p.fd = ask_to_leave(ifname, force);
		if (poll(&p, 1, LOOK_MS) != 1)
			continue;
		remain = read_remaining(p.fd);
		answered = true;
		close(p.fd);
		p.fd = -1;
	}
	if (p.fd >= 0)
		close(p.fd);
	return remain;
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

/* 0: it ended; positive: it goes on for so many connections; or -errno, logged. */
static int end_daemon(const char *ifname, pid_t pid, bool force)
{
	int ret = ask_until_gone(ifname, force);

	return ret < 0 ? deaf(ifname, pid, force) : ret;
}

static int undo_rest(const char *ifname)
{
	int err = undo_needed(ifname) ? undo_attach(ifname) : 0;

	if (err) {
		log_err(err, "%s: filters or offloads were left as they are", ifname);
		log_hint("The NIC is in another network namespace; detach it there.");
	}
	return err;
}

static int detach(const char *ifname, bool force)
{
	pid_t pid;
	int ret = 0;

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
	if (pid)
		ret = end_daemon(ifname, pid, force);
	if (ret > 0) {
		log_info(ret == 1 ? "%s: %d connection lives on in Linux; taspilotd translates its "
				    "numbers and goes when it ends" :
				    "%s: %d connections live on in Linux; taspilotd translates their "
				    "numbers and goes when they end", ifname, ret);
		log_hint("'taspilot detach %s --force' resets %s.", ifname, ret == 1 ? "it" : "them");
		return 0;
	}
	return ret || undo_rest(ifname) ? 1 : 0;
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

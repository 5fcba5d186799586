/* SPDX-License-Identifier: BSD-2-Clause
 *
 * processes.c - sockets over fork, vfork, exec, spawn; passed in messages; inherited in every style.
 *
 * A program that is executed is this one again, as `posix exec WHAT FD`, with the shim; what it
 * does with FD is exec_main's.
 */
#include "posix.h"

#include <grp.h>
#include <stddef.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>

extern char **environ;

static char number[16];

static char **argv_for(const char *what, int fd)
{
	static char *argv[5];

	snprintf(number, sizeof(number), "%d", fd);
	argv[0] = (char *)self;
	argv[1] = (char *)"exec";
	argv[2] = (char *)what;
	argv[3] = number;
	argv[4] = NULL;
	return argv;
}

/* ---- what the executed program does ----------------------------------------------------- */

static int echoes(int in, int out)
{
	char b[4096];
	ssize_t n;

	while ((n = read(in, b, sizeof(b))) > 0)
		if (write(out, b, (size_t)n) != n)
			return 1;
	return n < 0;
}

static int accepts_and_echoes(int fd)
{
	int c = accept(fd, NULL, NULL);

	return c < 0 ? 1 : echoes(c, c);
}

static int talks_by_stdio(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin)) {
		fputs(line, stdout);
		fflush(stdout);
	}
	return 0;
}

static int polls(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int ep = epoll_create1(0);
	struct epoll_event e = { .events = EPOLLIN };
	char c;

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	if (poll(&p, 1, 30000) != 1 || epoll_wait(ep, &e, 1, 30000) != 1)
		return 1;
	return read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1 ? 0 : 1;
}

static int listen_fds(void)
{
	const char *n = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");

	if (!n || atoi(n) != 1 || !pid || atoi(pid) != getpid())
		return 2;
	return accepts_and_echoes(3);
}

int exec_main(const char *what, int fd)
{
	if (!strcmp(what, "echo"))
		return echoes(fd, fd);
	if (!strcmp(what, "inetd"))
		return echoes(0, 1);
	if (!strcmp(what, "stdio"))
		return talks_by_stdio();
	if (!strcmp(what, "poll"))
		return polls(fd);
	if (!strcmp(what, "accept"))
		return accepts_and_echoes(fd);
	if (!strcmp(what, "listen-fds"))
		return listen_fds();
	if (!strcmp(what, "nonblock"))
		return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (!strcmp(what, "is-open"))
		return fcntl(fd, F_GETFD) < 0;
	return 99;
}

/* ---- the cases --------------------------------------------------------------------------- */

/* The peer talks with what we executed, which echoes until the peer is done. */
static void echoed(int n)
{
	peer(SEND, n);
	peer(RECV, n);
	peer(SEND, n);
	peer(RECV, n);
	peer(SHUT_WRITE, 0);
}

static void ended(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	say("status %d", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

CASE(an_executed_program_goes_on_with_it)
{
	pid_t pid = fork();

	if (pid == 0) {
		execv("/proc/self/exe", argv_for("echo", s));
		_exit(98);
	}
	close(s);
	echoed(1000);
	ended(pid);
	peer(EXPECT_EOF, 0);
}

CASE(an_executed_program_after_some_traffic)
{
	pid_t pid;

	peer(SEND, 5000);
	take_all(s, 5000);
	give(s, 3000, 0);
	peer(RECV, 3000);
	pid = fork();
	if (pid == 0) {
		execv("/proc/self/exe", argv_for("echo", s));
		_exit(98);
	}
	close(s);
	echoed(20000);
	ended(pid);
}

CASE(an_executed_program_finds_unread_bytes)
{
	pid_t pid;

	peer(SEND, 5000);
	await(s, POLLIN);
	pid = fork();
	if (pid == 0) {
		execv("/proc/self/exe", argv_for("echo", s));
		_exit(98);
	}
	close(s);
	peer(RECV, 5000);
	echoed(100);
	ended(pid);
}

CASE(an_executed_program_polls_it)
{
	pid_t pid = fork();

	if (pid == 0) {
		execv("/proc/self/exe", argv_for("poll", s));
		_exit(98);
	}
	sleep_ms(SHORT_MS);
	peer(SEND, 1);
	peer(RECV, 1);
	ended(pid);
	rx_pos = tx_pos = 1;
	peer(SEND, 5);
	take(s, 10, 0);
}

CASE(close_on_exec_closes)
{
	pid_t pid;

	fcntl(s, F_SETFD, FD_CLOEXEC);
	pid = fork();
	if (pid == 0) {
		execv("/proc/self/exe", argv_for("is-open", s));
		_exit(98);
	}
	ended(pid);
	give(s, 10, 0);
	peer(RECV, 10);
}

CASE(a_vforked_child_executes)
{
	char **argv = argv_for("echo", s);
	pid_t pid = vfork();

	if (pid == 0) {
		execv("/proc/self/exe", argv);
		_exit(98);
	}
	echoed(1000);
	ended(pid);
	rx_pos = tx_pos = 2000;
	close(s);
	peer(EXPECT_EOF, 0);
}

CASE(a_vforked_child_closes_and_exits)
{
	pid_t pid = vfork();

	if (pid == 0) {
		close(s);
		_exit(3);
	}
	ended(pid);
	give(s, 10, 0);
	peer(RECV, 10);
	peer(SEND, 10);
	take(s, 10, 0);
}

CASE(a_spawned_program_has_it_for_stdin_and_stdout)
{
	posix_spawn_file_actions_t acts;
	pid_t pid;

	posix_spawn_file_actions_init(&acts);
	posix_spawn_file_actions_adddup2(&acts, s, 0);
	posix_spawn_file_actions_adddup2(&acts, s, 1);
	posix_spawn_file_actions_addclose(&acts, s);
	show("posix_spawn", posix_spawn(&pid, "/proc/self/exe", &acts, NULL, argv_for("inetd", 0), environ));
	close(s);
	echoed(20000);
	ended(pid);
	peer(EXPECT_EOF, 0);
}

CASE(a_program_behind_inetd_uses_stdio)
{
	posix_spawn_file_actions_t acts;
	char *const argv[] = { (char *)"cat", NULL };
	pid_t pid;

	posix_spawn_file_actions_init(&acts);
	posix_spawn_file_actions_adddup2(&acts, s, 0);
	posix_spawn_file_actions_adddup2(&acts, s, 1);
	show("posix_spawnp", posix_spawnp(&pid, "cat", &acts, NULL, argv, environ));
	close(s);
	echoed(20000);
	ended(pid);
	peer(EXPECT_EOF, 0);
}

CASE(a_spawned_program_makes_it_nonblocking)
{
	pid_t pid;

	give(s, 5, 0);
	show("posix_spawn", posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv_for("nonblock", s), environ));
	ended(pid);
	take(s, 10, 0);
	peer(SEND, 5);
	await(s, POLLIN);
	take(s, 10, 0);
	take(s, 10, 0);
}

CASE(a_program_of_system_makes_it_nonblocking)
{
	char cmd[PATH_MAX + 32];

	give(s, 5, 0);
	snprintf(cmd, sizeof(cmd), "%s exec nonblock %d", self, s);
	show("system", system(cmd));
	take(s, 10, 0);
}

CASE(a_vforked_child_makes_it_nonblocking)
{
	pid_t pid;

	give(s, 5, 0);
	pid = vfork();
	if (pid == 0) {
		fcntl(s, F_SETFL, fcntl(s, F_GETFL) | O_NONBLOCK);
		_exit(0);
	}
	ended(pid);
	take(s, 10, 0);
	pid = vfork();
	if (pid == 0) {
		dup2(s, 0);
		fcntl(0, F_SETFL, fcntl(0, F_GETFL) & ~O_NONBLOCK);
		_exit(0);
	}
	ended(pid);
	later(SHORT_MS, SEND, 5);
	take(s, 10, 0);
}

/* Its number there is a file's by then; here it stays what it is. */
CASE(a_vforked_child_uses_the_number_for_a_file)
{
	pid_t pid;

	give(s, 5, 0);
	pid = vfork();
	if (pid == 0) {
		dup2(0, s);
		fcntl(s, F_SETFL, fcntl(s, F_GETFL) | O_NONBLOCK);
		_exit(0);
	}
	ended(pid);
	later(SHORT_MS, SEND, 5);
	take(s, 10, 0);
}

/* What was a connection is another file in the child, and still one here. */
static int child_without_it(void *arg)
{
	int s = *(int *)arg, fd;
	char b[8] = "";

	close(s);
	fd = open("/proc/self/comm", O_RDONLY);
	if (fd != s || read(fd, b, sizeof(b)) < 1)
		return 1;
	return b[0] == 'p' ? 0 : 2;
}

CASE(a_child_by__Fork)
{
	pid_t pid;

	give(s, 5, 0);
	pid = _Fork();
	if (pid == 0)
		_exit(child_without_it(&s));
	ended(pid);
	peer(SEND, 5);
	take(s, 10, 0);
}

CASE(a_clone_with_memory_of_its_own)
{
	static char stack[65536] __attribute__((aligned(16)));

	give(s, 5, 0);
	ended(clone(child_without_it, stack + sizeof(stack), SIGCHLD, &s));
	peer(SEND, 5);
	take(s, 10, 0);
}

CASE(system_writes_to_it)
{
	char cmd[64];

	fcntl(s, F_SETFD, 0);
	snprintf(cmd, sizeof(cmd), "printf '\\000' >&%d", s);
	show("system", system(cmd));
	tx_pos = 1;
	give(s, 10, 0);
	peer(RECV, 11);
}

CASE(popen_beside_a_socket)
{
	char b[16] = "";
	FILE *f = popen("echo hello", "r");

	say("%s", fgets(b, sizeof(b), f) ? b : "nothing");
	show("pclose", pclose(f));
	give(s, 10, 0);
	peer(RECV, 10);
}

CASE(a_daemon_goes_on_with_it)
{
	if (fork() == 0) {
		if (daemon(1, 1) == 0) {
			char b[100];
			ssize_t n = recv(s, b, sizeof(b), 0);

			(void)!write(s, b, (size_t)n);
		}
		_exit(0);
	}
	wait(NULL);
	close(s);
	peer(SEND, 50);
	peer(RECV, 50);
	peer(EXPECT_EOF, 0);
}

CASE(a_grandchild_goes_on_with_it)
{
	if (fork() == 0) {
		if (fork() == 0) {
			char b[100];
			ssize_t n = recv(s, b, sizeof(b), 0);

			(void)!write(s, b, (size_t)n);
			_exit(0);
		}
		_exit(0);
	}
	wait(NULL);
	close(s);
	peer(SEND, 50);
	peer(RECV, 50);
	peer(EXPECT_EOF, 0);
}

CASE(a_clone_that_shares_the_fds_is_a_thread_of_sorts)
{
	static char stack[65536] __attribute__((aligned(16)));
	int status;
	pid_t pid = clone((int (*)(void *))(void *)close, stack + sizeof(stack),
			  CLONE_FILES | SIGCHLD, (void *)(intptr_t)dup(s));

	waitpid(pid, &status, 0);
	say("status %d", WEXITSTATUS(status));
	give(s, 10, 0);
	peer(RECV, 10);
	peer(SEND, 10);
	take(s, 10, 0);
}

CASE(parent_and_child_read_in_turn)
{
	int go[2], back[2];
	char c;

	if (pipe(go) < 0 || pipe(back) < 0)
		return;
	peer(SEND, 40);
	await(s, POLLIN);
	if (fork() == 0) {
		for (int i = 0; i < 2; i++) {
			(void)!read(go[0], &c, 1);
			rx_pos = (uint64_t)(i * 20 + 10);
			take(s, 10, 0);
			(void)!write(back[1], "x", 1);
		}
		_exit(0);
	}
	for (int i = 0; i < 2; i++) {
		rx_pos = (uint64_t)(i * 20);
		take(s, 10, 0);
		(void)!write(go[1], "x", 1);
		(void)!read(back[0], &c, 1);
	}
	wait(NULL);
}

CASE(parent_and_child_write_at_once)
{
	static char b[100000];

	for (int i = 0; i < 2; i++) {
		if (fork() != 0)
			continue;
		for (int k = 0; k < 10; k++)
			(void)!write(s, b, sizeof(b));
		_exit(0);
	}
	close(s);
	peer(DISCARD, 0);
	while (wait(NULL) > 0)
		;
}

CASE(a_killed_child_harms_nobody)
{
	pid_t pid = fork();

	if (pid == 0) {
		take(s, 10, 0);
		_exit(0);
	}
	sleep_ms(SHORT_MS);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	peer(SEND, 10);
	take(s, 10, 0);
	give(s, 10, 0);
	peer(RECV, 10);
}

/* ---- listeners ------------------------------------------------------------------------- */

CASE(a_child_accepts_for_its_parent)
{
	int port, l = listen_on(NULL, &port), c;
	pid_t pid;

	peer(CLOSE, 0);
	pid = fork();
	if (pid == 0) {
		char b[100];
		ssize_t n;

		c = accept(l, NULL, NULL);
		n = recv(c, b, sizeof(b), 0);
		(void)!write(c, b, (size_t)n);
		_exit(0);
	}
	close(l);
	peer(CONNECT, port);
	peer(SEND, 50);
	peer(RECV, 50);
	ended(pid);
}

CASE(an_executed_program_accepts)
{
	int port, l = listen_on(NULL, &port);
	pid_t pid;

	peer(CLOSE, 0);
	fcntl(l, F_SETFD, 0);
	pid = fork();
	if (pid == 0) {
		execv("/proc/self/exe", argv_for("accept", l));
		_exit(98);
	}
	close(l);
	peer(CONNECT, port);
	echoed(1000);
	ended(pid);
}

CASE(a_program_is_activated_by_its_socket)
{
	int port, l = listen_on(NULL, &port);
	pid_t pid;

	peer(CLOSE, 0);
	pid = fork();
	if (pid == 0) {
		char me[16];

		snprintf(me, sizeof(me), "%d", getpid());
		setenv("LISTEN_PID", me, 1);
		setenv("LISTEN_FDS", "1", 1);
		if (l == 3)
			fcntl(l, F_SETFD, 0);
		else
			dup2(l, 3);
		execv("/proc/self/exe", argv_for("listen-fds", 3));
		_exit(98);
	}
	close(l);
	peer(CONNECT, port);
	echoed(1000);
	ended(pid);
}

/* ---- passed in messages ---------------------------------------------------------------- */

static void pass(int via, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr h;
	} c = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr m = {
		.msg_iov = &(struct iovec){ "x", 1 }, .msg_iovlen = 1,
		.msg_control = &c, .msg_controllen = sizeof(c),
	};

	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	show("sendmsg", sendmsg(via, &m, 0));
}

static int passed(int via)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr h;
	} c;
	char b;
	struct msghdr m = {
		.msg_iov = &(struct iovec){ &b, 1 }, .msg_iovlen = 1,
		.msg_control = &c, .msg_controllen = sizeof(c),
	};
	int fd = -1;

	if (recvmsg(via, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	return fd;
}

CASE(passed_to_a_child_and_used_there)
{
	int sv[2];
	pid_t pid;

	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	pid = fork();
	if (pid == 0) {
		char b[100];
		ssize_t n;
		int fd;

		close(s);
		fd = passed(sv[1]);
		n = recv(fd, b, sizeof(b), 0);
		(void)!write(fd, b, (size_t)n);
		_exit(0);
	}
	pass(sv[0], s);
	close(s);
	peer(SEND, 50);
	peer(RECV, 50);
	ended(pid);
	peer(EXPECT_EOF, 0);
}

/* The process is older than the connection, so that no fork tells of it. */
CASE(passed_to_a_process_that_makes_it_nonblocking)
{
	int sv[2], c;
	pid_t pid;

	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	pid = fork();
	if (pid == 0) {
		c = passed(sv[1]);
		_exit(fcntl(c, F_SETFL, fcntl(c, F_GETFL) | O_NONBLOCK));
	}
	peer(CLOSE, 0);
	peer(CONNECT, listen_port);
	c = accept(listener, NULL, NULL);
	peer(SEND, 5);
	take(c, 10, 0);
	pass(sv[0], c);
	ended(pid);
	take(c, 10, 0);
	close(c);
	close(sv[0]);
	close(sv[1]);
}

CASE(passed_to_oneself)
{
	int sv[2], fd;

	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	peer(SEND, 10);
	await(s, POLLIN);
	take(s, 5, 0);
	pass(sv[0], s);
	close(s);
	fd = passed(sv[1]);
	take(fd, 10, 0);
	give(fd, 10, 0);
	peer(RECV, 10);
	close(fd);
	peer(EXPECT_EOF, 0);
}

CASE(a_listener_passed_to_a_child)
{
	int sv[2], port, l = listen_on(NULL, &port);
	pid_t pid;

	peer(CLOSE, 0);
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	pid = fork();
	if (pid == 0) {
		close(l);
		_exit(accepts_and_echoes(passed(sv[1])));
	}
	pass(sv[0], l);
	close(l);
	peer(CONNECT, port);
	echoed(1000);
	ended(pid);
}

CASE(fetched_out_of_another_process)
{
	int go[2], fd, pidfd;
	pid_t pid;
	char c;

	if (pipe(go) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		(void)!read(go[0], &c, 1);
		_exit(0);
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, s, 0);
	say("got one %d", fd >= 0);
	(void)!write(go[1], "x", 1);
	ended(pid);
	close(fd);
	give(s, 10, 0);
	peer(RECV, 10);
}

/* ---- confined --------------------------------------------------------------------------- */

CASE(a_child_in_a_chroot_goes_on)
{
	pid_t pid = fork();

	if (pid == 0) {
		char dir[] = "/tmp/posixXXXXXX", b[100];
		ssize_t n;

		if (!mkdtemp(dir) || chroot(dir) < 0 || chdir("/") < 0)
			_exit(1);
		n = recv(s, b, sizeof(b), 0);
		(void)!write(s, b, (size_t)n);
		_exit(0);
	}
	peer(SEND, 50);
	peer(RECV, 50);
	ended(pid);
}

CASE(a_child_without_privileges_goes_on)
{
	pid_t pid = fork();

	if (pid == 0) {
		char b[100];
		struct epoll_event e;
		ssize_t n;
		int ep;

		if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		ep = epoll_with(s, EPOLLIN);
		if (epoll_wait(ep, &e, 1, 30000) != 1)
			_exit(2);
		n = recv(s, b, sizeof(b), 0);
		(void)!write(s, b, (size_t)n);
		_exit(0);
	}
	sleep_ms(SHORT_MS);
	peer(SEND, 50);
	peer(RECV, 50);
	ended(pid);
}

CASE(an_unprivileged_child_accepts)
{
	int port, l = listen_on(NULL, &port);
	pid_t pid;

	peer(CLOSE, 0);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		_exit(accepts_and_echoes(l));
	}
	close(l);
	peer(CONNECT, port);
	echoed(1000);
	ended(pid);
}

static int filter_all(void)
{
	/* what sshd's sandbox comes to: no new fds, no options, no questions */
	static struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#define ALLOW(call)	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), \
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
		ALLOW(read), ALLOW(write), ALLOW(poll), ALLOW(ppoll), ALLOW(exit_group),
		ALLOW(clock_gettime), ALLOW(futex), ALLOW(getpid), ALLOW(recvfrom), ALLOW(sendto),
#undef ALLOW
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = { ARRAY_SIZE(f), f };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) |
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

static void confined_child(int s, bool far)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	char dir[] = "/tmp/posixXXXXXX", b[100];
	pid_t pid = fork();
	ssize_t n;

	if (pid == 0) {
		if (far && (!mkdtemp(dir) || chroot(dir) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
			_exit(1);
		if (filter_all() < 0)
			_exit(2);
		n = read(s, b, sizeof(b));
		(void)!write(s, b, (size_t)n);
		if (poll(&p, 1, 30000) != 1)
			_exit(3);
		n = read(s, b, sizeof(b));
		(void)!write(s, b, (size_t)n);
		_exit(4);
	}
	sleep_ms(SHORT_MS);
	peer(SEND, 50);
	peer(RECV, 50);
	sleep_ms(SHORT_MS);
	peer(SEND, 50);
	peer(RECV, 50);
	ended(pid);
	rx_pos = tx_pos = 100;
	give(s, 10, 0);
	peer(RECV, 10);
	peer(SEND, 10);
	take(s, 10, 0);
}

CASE(a_child_that_confines_itself_goes_on) { confined_child(s, false); }
CASE(a_child_that_confines_itself_far_away_goes_on) { confined_child(s, true); }

CASE(no_more_fds_is_emfile)
{
	struct rlimit lim;
	int port, l = listen_on(NULL, &port), last;

	peer(CLOSE, 0);
	getrlimit(RLIMIT_NOFILE, &lim);
	last = dup(l);
	close(last);
	lim.rlim_cur = (rlim_t)last;
	show("setrlimit", setrlimit(RLIMIT_NOFILE, &lim));
	peer(CONNECT, port);
	do_poll(l, POLLIN, 30000);
	show("accept", accept(l, NULL, NULL));
	show("dup", dup(l));
	show("socket", socket(AF_INET, SOCK_STREAM, 0));
	show("F_DUPFD", fcntl(l, F_DUPFD, 100000));
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	say("accept %d", accept(l, NULL, NULL) >= 0);
	close(l);
}

CASE(a_child_closes_all_fds_and_lives)
{
	pid_t pid = fork();

	if (pid == 0) {
		close_range(3, ~0U, 0);
		_exit(fcntl(s, F_GETFD) < 0 ? 7 : 8);
	}
	ended(pid);
	give(s, 10, 0);
	peer(RECV, 10);
}

CASE(a_child_closes_all_fds_one_by_one)
{
	pid_t pid = fork();

	if (pid == 0) {
		int l;

		for (int fd = 3; fd < 70000; fd++)
			close(fd);
		l = socket(AF_INET, SOCK_STREAM, 0);
		_exit(l == 3 && listen(l, 1) == 0 ? 7 : 8);
	}
	ended(pid);
	give(s, 10, 0);
	peer(RECV, 10);
	peer(SEND, 10);
	take(s, 10, 0);
}

CASE(a_child_shuts_down_for_its_parent)
{
	signal(SIGPIPE, SIG_IGN);
	give(s, 3, 0);
	peer(RECV, 3);
	if (fork() == 0) {
		shutdown(s, SHUT_WR);
		_exit(0);
	}
	wait(NULL);
	give(s, 3, 0);
	peer(EXPECT_EOF, 0);
	peer(SEND, 3);
	take(s, 10, 0);
	if (fork() == 0) {
		shutdown(s, SHUT_RD);
		_exit(0);
	}
	wait(NULL);
	take(s, 10, 0);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
}

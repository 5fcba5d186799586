/* SPDX-License-Identifier: BSD-2-Clause
 *
 * posix - what a stream socket does, case by case, as text that two runs can compare.
 *
 *   posix peer PATH ADDR        serve as the other end; controlled over the Unix socket PATH
 *   posix subject PATH ADDR [CASE]   run the cases; ADDR is the peer's address
 *   posix exec WHAT FD          what processes.c executes
 *
 * The subject is what is tested: plain, and under `taspilot run`. posix.h says what a case is.
 */
#include "posix.h"

extern const struct test __start_cases[], __stop_cases[];

#define LIMIT_MS 60000

/* Its wait status; a case that hangs is killed, and says so. */
static int outcome(pid_t pid)
{
	int status;

	for (int ms = 0; ms < LIMIT_MS; ms += 5) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		sleep_ms(5);
	}
	say("hangs");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return 0;
}

/* Each in a process of its own: what one leaves behind harms no other. */
static void run(const struct test *t)
{
	struct done d;
	pid_t pid;
	int status, s;

	printf("%s\n", t->name);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		quiet_order(CONNECT, listen_port, 0, &d);
		s = accept(listener, NULL, NULL);
		t->run(s);
		close(s);
		exit(0);
	}
	status = outcome(pid);
	if (WIFSIGNALED(status))
		say("%s", strsignal(WTERMSIG(status)));
	quiet_order(CLOSE, 0, 0, &d);
}

static int subject_main(const char *path, const char *addr, const char *only)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	peer_addr = addr;
	ctl = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	for (int i = 0; connect(ctl, (struct sockaddr *)&sa, sizeof(sa)) < 0; i++) {
		if (i == 500)
			return 1;
		sleep_ms(10);
	}
	(void)!recv(ctl, &peer_port, sizeof(peer_port), 0);
	listener = listen_on(NULL, &listen_port);
	for (const struct test *t = __start_cases; t != __stop_cases; t++)
		if (!only || strstr(t->name, only))
			run(t);
	return 0;
}

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc == 4 && !strcmp(argv[1], "peer"))
		return peer_main(argv[2], argv[3]);
	if (argc >= 4 && !strcmp(argv[1], "subject"))
		return subject_main(argv[2], argv[3], argc > 4 ? argv[4] : NULL);
	if (argc == 4 && !strcmp(argv[1], "exec"))
		return exec_main(argv[2], atoi(argv[3]));
	fprintf(stderr, "usage: posix peer|subject PATH ADDR [CASE]\n");
	return 2;
}

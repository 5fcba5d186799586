/* SPDX-License-Identifier: BSD-2-Clause
 *
 * signals.c - signals that interrupt, that are restarted, that come from sockets.
 */
#include "posix.h"

#include <setjmp.h>
#include <sys/signalfd.h>

static const int kinds[] = { 0, SA_RESTART };

CASE(a_full_write_is_interrupted)
{
	stuff(s);
	handle(SIGALRM, 0);
	alarm_ms(SHORT_MS);
	show("write", write(s, "x", 1));
	say("signals %d", (int)signals);
}

CASE(a_full_write_is_restarted)
{
	stuff(s);
	handle(SIGALRM, SA_RESTART);
	alarm_ms(SHORT_MS);
	later(3 * SHORT_MS, RECV, (int)tx_pos);
	show("write", write(s, "x", 1));
	say("signals %d", (int)signals);
}

CASE(a_write_that_began_returns_what_it_wrote)
{
	static unsigned char b[64 << 20];
	ssize_t n;

	handle(SIGALRM, 0);
	alarm_ms(2 * SHORT_MS);
	n = write(s, b, sizeof(b));
	say("some %d", n > 0 && n < (ssize_t)sizeof(b));
}

CASE(waitall_returns_what_came_before_the_signal)
{
	handle(SIGALRM, 0);
	peer(SEND, 10);
	alarm_ms(SHORT_MS);
	take(s, 20, MSG_WAITALL);
}

/* What was done is returned, also if the handler asks for a restart. */
CASE(what_began_is_not_restarted)
{
	static unsigned char b[64 << 20];
	ssize_t n;

	handle(SIGALRM, SA_RESTART);
	peer(SEND, 10);
	alarm_ms(SHORT_MS);
	take(s, 20, MSG_WAITALL);
	alarm_ms(2 * SHORT_MS);
	n = write(s, b, sizeof(b));
	say("some %d", n > 0 && n < (ssize_t)sizeof(b));
}

CASE(a_peek_for_all_is_interrupted)
{
	handle(SIGALRM, 0);
	peer(SEND, 10);
	alarm_ms(SHORT_MS);
	take(s, 20, MSG_WAITALL | MSG_PEEK);
	handle(SIGALRM, SA_RESTART);
	alarm_ms(SHORT_MS);
	take(s, 20, MSG_WAITALL | MSG_PEEK);
	take(s, 20, 0);
}

CASE(a_read_below_the_mark_is_interrupted)
{
	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 20);
	handle(SIGALRM, SA_RESTART);
	peer(SEND, 10);
	alarm_ms(SHORT_MS);
	take(s, 30, 0);
	say("signals %d", (int)signals);
}

CASE(handlers_of_both_kinds_when_some_came)
{
	handle(SIGUSR1, 0);
	handle(SIGALRM, SA_RESTART);
	peer(SEND, 10);
	alarm_ms(SHORT_MS);
	take(s, 20, MSG_WAITALL);
}

CASE(every_way_of_waiting_is_interrupted)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	struct timespec long_time = { 30, 0 };
	struct epoll_event e;
	int ep = epoll_with(s, EPOLLIN);
	fd_set r;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		handle(SIGALRM, kinds[i]);
		alarm_ms(SHORT_MS);
		show("poll", poll(&p, 1, -1));
		alarm_ms(SHORT_MS);
		show("ppoll", ppoll(&p, 1, NULL, NULL));
		alarm_ms(SHORT_MS);
		FD_ZERO(&r);
		FD_SET(s, &r);
		show("select", select(s + 1, &r, NULL, NULL, NULL));
		alarm_ms(SHORT_MS);
		show("pselect", pselect(s + 1, &r, NULL, NULL, &long_time, NULL));
		alarm_ms(SHORT_MS);
		show("epoll_wait", epoll_wait(ep, &e, 1, -1));
		alarm_ms(SHORT_MS);
		show("epoll_pwait2", epoll_pwait2(ep, &e, 1, &long_time, NULL));
		say("signals %d", (int)signals);
	}
	close(ep);
}

CASE(an_accept_is_interrupted_or_restarted)
{
	int port, l = listen_on(NULL, &port);

	peer(CLOSE, 0);
	handle(SIGALRM, 0);
	alarm_ms(SHORT_MS);
	show("accept", accept(l, NULL, NULL));
	handle(SIGALRM, SA_RESTART);
	alarm_ms(SHORT_MS);
	later(3 * SHORT_MS, CONNECT, port);
	say("accept %d", accept(l, NULL, NULL) >= 0);
	say("signals %d", (int)signals);
	close(l);
}

CASE(handlers_of_both_kinds)
{
	handle(SIGUSR1, SA_RESTART);
	handle(SIGALRM, 0);
	alarm_ms(SHORT_MS);
	take(s, 10, 0);
	handle(SIGALRM, SA_RESTART);
	handle(SIGUSR1, 0);
	alarm_ms(SHORT_MS);
	later(3 * SHORT_MS, SEND, 5);
	take(s, 10, 0);
}

__sighandler_t __sysv_signal(int sig, __sighandler_t handler);

/* The one of use of strict ISO C, after the other kind was in use. */
CASE(a_handler_of_the_old_kind_interrupts)
{
	handle(SIGALRM, SA_RESTART);
	alarm_ms(SHORT_MS);
	later(3 * SHORT_MS, SEND, 5);
	take(s, 10, 0);
	__sysv_signal(SIGALRM, on_signal);
	alarm_ms(SHORT_MS);
	take(s, 10, 0);
	say("signals %d", (int)signals);
}

CASE(an_ignored_signal_interrupts_nothing)
{
	signal(SIGALRM, SIG_IGN);
	alarm_ms(SHORT_MS);
	later(3 * SHORT_MS, SEND, 5);
	take(s, 10, 0);
}

CASE(a_timed_write_is_interrupted)
{
	stuff(s);
	set_timeo(s, SO_SNDTIMEO, 30000);
	handle(SIGALRM, SA_RESTART);
	alarm_ms(SHORT_MS);
	show("write", write(s, "x", 1));
}

CASE(pselect_lets_a_blocked_signal_in)
{
	sigset_t block, none;
	fd_set r;

	handle(SIGUSR1, 0);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	FD_ZERO(&r);
	FD_SET(s, &r);
	show("pselect", pselect(s + 1, &r, NULL, NULL, &(struct timespec){ 30, 0 }, &none));
	say("signals %d", (int)signals);
}

/* As a rule it came during the call, and could get in only at its end. */
static void until_signals(int n)
{
	for (int i = 0; i < 3000 && signals < n; i++)
		sleep_ms(LOOK_MS);
	say("signals %d", (int)signals);
}

CASE(a_mask_keeps_a_signal_out)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	struct epoll_event e;
	int ep = epoll_with(s, EPOLLIN);
	sigset_t block;

	handle(SIGALRM, 0);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	alarm_ms(SHORT_MS);
	show("ppoll", ppoll(&p, 1, &(struct timespec){ 0, 6 * SHORT_MS * 1000000 }, &block));
	until_signals(1);
	alarm_ms(SHORT_MS);
	show("epoll_pwait", epoll_pwait(ep, &e, 1, 6 * SHORT_MS, &block));
	until_signals(2);
	close(ep);
}

static void block_and_raise(sigset_t *ret_none)
{
	sigset_t block;

	handle(SIGUSR1, 0);
	sigemptyset(ret_none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
}

CASE(a_look_without_waiting_lets_a_blocked_signal_in)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	struct timespec now = { 0, 0 };
	struct epoll_event e;
	int ep = epoll_with(s, EPOLLIN);
	sigset_t none;
	fd_set r;

	block_and_raise(&none);
	show("ppoll", ppoll(&p, 1, &now, &none));
	say("signals %d", (int)signals);
	block_and_raise(&none);
	FD_ZERO(&r);
	FD_SET(s, &r);
	show("pselect", pselect(s + 1, &r, NULL, NULL, &now, &none));
	say("signals %d", (int)signals);
	block_and_raise(&none);
	show("epoll_pwait", epoll_pwait(ep, &e, 1, 0, &none));
	say("signals %d", (int)signals);
	close(ep);
}

CASE(ready_data_comes_before_a_pending_signal)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	sigset_t block, none;

	handle(SIGUSR1, 0);
	peer(SEND, 5);
	await(s, POLLIN);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	show("ppoll", ppoll(&p, 1, NULL, &none));
	take(s, 10, 0);
}

/* ---- SIGPIPE --------------------------------------------------------------------------- */

static void write_all_ways(int s)
{
	struct msghdr m = { .msg_iov = &(struct iovec){ "x", 1 }, .msg_iovlen = 1 };
	struct mmsghdr mm = { .msg_hdr = m };
	int f = open("/proc/self/exe", O_RDONLY), p[2];

	(void)!pipe(p);
	(void)!write(p[1], "x", 1);
	show("write", write(s, "x", 1));
	show("writev", writev(s, m.msg_iov, 1));
	show("send", send(s, "x", 1, 0));
	show("sendto", sendto(s, "x", 1, 0, NULL, 0));
	show("sendmsg", sendmsg(s, &m, 0));
	show("sendmmsg", sendmmsg(s, &mm, 1, 0));
	show("sendfile", sendfile(s, f, NULL, 10));
	show("splice", splice(p[0], NULL, s, NULL, 1, 0));
	show("pwritev2", pwritev2(s, m.msg_iov, 1, -1, 0));
	say("signals %d", (int)signals);
	show("quiet send", send(s, "x", 1, MSG_NOSIGNAL));
	show("quiet sendmsg", sendmsg(s, &m, MSG_NOSIGNAL));
	say("signals %d", (int)signals);
	close(f);
	close(p[0]);
	close(p[1]);
}

CASE(every_way_of_writing_raises_sigpipe)
{
	handle(SIGPIPE, 0);
	shutdown(s, SHUT_WR);
	write_all_ways(s);
}

CASE(an_ignored_sigpipe_is_epipe)
{
	signal(SIGPIPE, SIG_IGN);
	shutdown(s, SHUT_WR);
	write_all_ways(s);
}

CASE(sigpipe_kills)
{
	int status;

	if (fork() == 0) {
		signal(SIGPIPE, SIG_DFL);
		shutdown(s, SHUT_WR);
		(void)!write(s, "x", 1);
		_exit(0);
	}
	wait(&status);
	say("killed by %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static volatile pid_t pipe_tid;

static void note_thread(int sig) { (void)sig; pipe_tid = gettid(); }

static void *writes(void *arg)
{
	(void)!write(*(int *)arg, "x", 1);
	say("the writer got it %d", pipe_tid == gettid());
	return NULL;
}

CASE(sigpipe_goes_to_the_thread_that_wrote)
{
	struct sigaction sa = { .sa_handler = note_thread };
	pthread_t t;

	sigaction(SIGPIPE, &sa, NULL);
	shutdown(s, SHUT_WR);
	pthread_create(&t, NULL, writes, &s);
	pthread_join(t, NULL);
}

CASE(a_reset_then_sigpipe)
{
	handle(SIGPIPE, 0);
	peer(RESET, 0);
	await(s, POLLERR);
	show("write", write(s, "x", 1));
	say("signals %d", (int)signals);
	show("write", write(s, "x", 1));
	say("signals %d", (int)signals);
}

/* ---- signals from the socket ------------------------------------------------------------ */

static void until_signalled(void)
{
	for (int i = 0; i < 3000 && !signals; i++)
		sleep_ms(LOOK_MS);
	say("signalled %d", signals > 0);
}

CASE(sigio_tells_of_data)
{
	handle(SIGIO, SA_RESTART);
	show("owner", fcntl(s, F_SETOWN, getpid()));
	show("flags", fcntl(s, F_SETFL, fcntl(s, F_GETFL) | O_ASYNC));
	say("O_ASYNC %d", !!(fcntl(s, F_GETFL) & O_ASYNC));
	signals = 0;
	peer(SEND, 5);
	until_signalled();
	take(s, 10, 0);
	signals = 0;
	peer(SHUT_WRITE, 0);
	until_signalled();
}

CASE(fioasync_tells_of_data)
{
	handle(SIGIO, SA_RESTART);
	fcntl(s, F_SETOWN, getpid());
	show("ioctl", ioctl(s, FIOASYNC, &(int){ 1 }));
	signals = 0;
	peer(SEND, 5);
	until_signalled();
	take(s, 10, 0);
}

CASE(a_signal_of_choice_says_which_fd)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fcntl(s, F_SETOWN, getpid());
	show("F_SETSIG", fcntl(s, F_SETSIG, SIGRTMIN));
	fcntl(s, F_SETFL, fcntl(s, F_GETFL) | O_ASYNC);
	while (sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) > 0)
		;
	peer(SEND, 5);
	say("got it %d", sigtimedwait(&set, &info, &(struct timespec){ 30, 0 }) == SIGRTMIN);
	say("fd %d, in %d", info.si_fd == s, !!(info.si_band & POLLIN));
	take(s, 10, 0);
}

/* ---- handlers that do things ------------------------------------------------------------- */

static int handled_fd;
static sigjmp_buf out_of_here;

static void jumps(int sig) { siglongjmp(out_of_here, sig); }

CASE(a_handler_jumps_out_of_a_read)
{
	struct sigaction sa = { .sa_handler = jumps };

	sigaction(SIGALRM, &sa, NULL);
	if (sigsetjmp(out_of_here, 1) == 0) {
		alarm_ms(SHORT_MS);
		take(s, 10, 0);
	} else {
		say("jumped");
	}
	peer(SEND, 5);
	await(s, POLLIN);
	take(s, 10, 0);
	give(s, 5, 0);
	peer(RECV, 5);
}

CASE(a_handler_jumps_out_of_epoll)
{
	struct sigaction sa = { .sa_handler = jumps };
	int ep = epoll_with(s, EPOLLIN);

	sigaction(SIGALRM, &sa, NULL);
	if (sigsetjmp(out_of_here, 1) == 0) {
		alarm_ms(SHORT_MS);
		do_epoll(ep, -1);
	} else {
		say("jumped");
	}
	later(SHORT_MS, SEND, 5);
	do_epoll(ep, 30000);
	take(s, 10, 0);
	close(ep);
}

CASE(a_handler_jumps_out_of_poll)
{
	struct sigaction sa = { .sa_handler = jumps };

	sigaction(SIGALRM, &sa, NULL);
	if (sigsetjmp(out_of_here, 1) == 0) {
		alarm_ms(SHORT_MS);
		do_poll(s, POLLIN, -1);
	} else {
		say("jumped");
	}
	later(SHORT_MS, SEND, 5);
	do_poll(s, POLLIN, 30000);
	take(s, 10, 0);
}

static void sends(int sig) { (void)sig; (void)!write(handled_fd, "pong", 4); }

CASE(a_handler_writes_while_we_read)
{
	struct sigaction sa = { .sa_handler = sends, .sa_flags = SA_RESTART };

	handled_fd = s;
	sigaction(SIGALRM, &sa, NULL);
	alarm_ms(SHORT_MS);
	later(3 * SHORT_MS, SEND, 5);
	take(s, 10, 0);
	say("ok");
}

static void closes(int sig) { (void)sig; close(handled_fd); }

CASE(a_handler_closes_what_we_read)
{
	struct sigaction sa = { .sa_handler = closes };

	handled_fd = s;
	sigaction(SIGALRM, &sa, NULL);
	alarm_ms(SHORT_MS);
	take(s, 10, 0);
	peer(EXPECT_EOF, 0);
}

CASE(a_signalfd_beside_a_socket)
{
	struct pollfd p[2] = { { s, POLLIN, 0 }, { -1, POLLIN, 0 } };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p[1].fd = signalfd(-1, &set, 0);
	alarm_ms(SHORT_MS);
	show("poll", poll(p, 2, 30000));
	say("%d %d", p[0].revents, p[1].revents);
	close(p[1].fd);
}

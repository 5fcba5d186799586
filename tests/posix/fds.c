/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fds.c - copies of an fd, children, and copying from one fd to another.
 */
#include <aio.h>

#include "posix.h"

CASE(dups_are_one_connection)
{
	int a = dup(s), b = fcntl(s, F_DUPFD, 100), c = dup2(s, 200), d = dup3(s, 201, O_CLOEXEC);

	say("numbers %d %d %d", b >= 100, c, d);
	peer(SEND, 8);
	await(s, POLLIN);
	take(a, 2, 0);
	take(b, 2, 0);
	take(c, 2, 0);
	take(d, 2, 0);
	give(a, 2, 0);
	give(d, 2, 0);
	peer(RECV, 4);
	close(s);
	close(a);
	close(b);
	close(c);
	give(d, 2, 0);
	peer(RECV, 2);
	dup2(d, s);
	close(d);
	peer(SEND, 2);
	take(s, 10, 0);
}

CASE(dup2_of_another_file_over_it_closes_it)
{
	int n = open("/dev/null", O_RDWR);
	char c;

	show("dup2", dup2(n, s) == s);
	show("read", read(s, &c, 1));
	show("write", write(s, "x", 1));
	show("recv", recv(s, &c, 1, 0));
	peer(EXPECT_EOF, 0);
	close(n);
}

CASE(a_closed_fd_is_ebadf)
{
	char c;

	show("close", close(s));
	show("close", close(s));
	show("read", read(s, &c, 1));
	show("write", write(s, "x", 1));
	show("send", send(s, "x", 1, 0));
	do_poll(s, POLLIN, 0);
	peer(EXPECT_EOF, 0);
}

CASE(a_number_is_used_again_for_a_file)
{
	int f;
	char c;

	close(s);
	f = open("/dev/zero", O_RDWR);
	say("same number %d", f == s);
	show("read", read(f, &c, 1));
	say("a zero: %d", c == 0);
	show("recv", recv(f, &c, 1, 0));
	close(f);
}

CASE(close_range_closes_it)
{
	int d = fcntl(s, F_DUPFD, 300);

	show("close_range", close_range((unsigned int)d, (unsigned int)d, 0));
	give(d, 1, MSG_NOSIGNAL);
	give(s, 1, 0);
	peer(RECV, 1);
}

CASE(a_closing_with_unread_data_resets)
{
	peer(SEND, 10);
	await(s, POLLIN);
	close(s);
	peer(EXPECT_EOF, 0);
}

CASE(a_child_uses_it_and_exits)
{
	if (fork() == 0) {
		peer(SEND, 4);
		take_all(s, 4);
		give(s, 5, 0);
		peer(RECV, 5);
		do_poll(s, POLLIN, 0);
		_exit(0);
	}
	wait(NULL);
	rx_pos += 4;
	tx_pos += 5;
	peer(SEND, 3);
	take(s, 10, 0);
	give(s, 3, 0);
	peer(RECV, 3);
}

CASE(a_child_closes_its_copy)
{
	if (fork() == 0) {
		close(s);
		_exit(0);
	}
	wait(NULL);
	give(s, 3, 0);
	peer(RECV, 3);
	peer(SEND, 3);
	take(s, 10, 0);
}

CASE(a_child_polls_and_epolls)
{
	if (fork() == 0) {
		int ep = epoll_with(s, EPOLLIN);

		later(SHORT_MS, SEND, 3);
		do_poll(s, POLLIN, 30000);
		do_epoll(ep, 30000);
		take(s, 10, 0);
		later(SHORT_MS, SEND, 3);
		do_epoll(ep, 30000);
		take(s, 10, 0);
		_exit(0);
	}
	wait(NULL);
	rx_pos += 6;
	peer(SEND, 1);
	take(s, 10, 0);
}

CASE(a_child_inherits_an_epoll)
{
	int ep = epoll_with(s, EPOLLIN);

	do_epoll(ep, 0);
	if (fork() == 0) {
		later(SHORT_MS, SEND, 3);
		do_epoll(ep, 30000);
		take(s, 10, 0);
		_exit(0);
	}
	wait(NULL);
	rx_pos += 3;
	do_epoll(ep, 0);
	peer(SEND, 1);
	do_epoll(ep, 30000);
	take(s, 10, 0);
	close(ep);
}

CASE(the_parent_closes_and_the_child_goes_on)
{
	int go[2];
	char c;

	if (pipe(go) < 0)
		return;
	if (fork() == 0) {
		(void)!read(go[0], &c, 1);
		give(s, 3, 0);
		peer(RECV, 3);
		peer(SEND, 3);
		take(s, 10, 0);
		_exit(0);
	}
	close(s);
	(void)!write(go[1], "x", 1);
	wait(NULL);
	peer(EXPECT_EOF, 0);
	close(go[0]);
	close(go[1]);
}

/* ---- copying --------------------------------------------------------------------------- */

CASE(sendfile_sends_a_file)
{
	int f = pattern_file(100000);
	off_t at = 1000;

	lseek(f, 0, SEEK_SET);
	show("sendfile", sendfile(s, f, NULL, 1000));
	say("position %ld", (long)lseek(f, 0, SEEK_CUR));
	peer(RECV, 1000);
	show("sendfile", sendfile(s, f, &at, 50000));
	say("offset %ld, position %ld", (long)at, (long)lseek(f, 0, SEEK_CUR));
	peer(RECV, 50000);
	at = 51000;
	show("sendfile", sendfile(s, f, &at, 1000000));
	peer(RECV, 49000);
	show("sendfile at the end", sendfile(s, f, &at, 1000));
	show("sendfile from a socket", sendfile(s, s, NULL, 10));
	close(f);
}

CASE(splice_goes_both_ways)
{
	int pipes[2];
	unsigned char b[100];
	uint64_t pos = tx_pos;

	if (pipe(pipes) < 0)
		return;
	fill(b, 50, &pos);
	(void)!write(pipes[1], b, 50);
	show("splice", splice(pipes[0], NULL, s, NULL, 50, 0));
	peer(RECV, 50);
	peer(SEND, 50);
	await(s, POLLIN);
	show("splice", splice(s, NULL, pipes[1], NULL, 100, 0));
	show("read", read(pipes[0], b, 100));
	say("bytes %s", right(b, 50, &rx_pos) ? "right" : "wrong");
	nonblock(s);
	show("splice", splice(s, NULL, pipes[1], NULL, 100, 0));
	show("splice at a position", splice(s, &(off64_t){ 0 }, pipes[1], NULL, 1, 0));
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- numbers --------------------------------------------------------------------------- */

CASE(copies_have_the_numbers_that_linux_gives)
{
	int a = dup(s), b = fcntl(s, F_DUPFD, 500), c = fcntl(s, F_DUPFD_CLOEXEC, 500), d;

	say("next %d, %d, %d", a > s, b, c);
	say("cloexec %d %d %d", fcntl(a, F_GETFD), fcntl(b, F_GETFD), fcntl(c, F_GETFD));
	show("dup3", d = dup3(s, 510, O_CLOEXEC));
	say("cloexec %d", fcntl(d, F_GETFD));
	show("dup3 on itself", dup3(s, s, 0));
	show("dup3 with nonsense", dup3(s, 511, 12345));
	show("dup2 on itself", dup2(s, s) == s);
	show("dup2 of nothing", dup2(999, s));
	show("dup of nothing", dup(999));
	show("far away", fcntl(s, F_DUPFD, 1 << 30));
	show("negative", dup2(s, -1));
	give(a, 1, 0);
	give(b, 1, 0);
	give(c, 1, 0);
	give(d, 1, 0);
	peer(RECV, 4);
	close(s);
	close(a);
	close(b);
	close(c);
	peer(SEND, 5);
	take(d, 10, 0);
	close(d);
	peer(EXPECT_EOF, 0);
}

CASE(dup2_onto_a_high_number)
{
	int top = (int)sysconf(_SC_OPEN_MAX) - 1;

	for (int fd = top; fd > top - 300 && fd > 0; fd--)
		if (dup2(s, fd) != fd)
			say("dup2 onto %d below the top: %s", top - fd, err_name(errno));
	give(top, 5, 0);
	peer(RECV, 5);
	for (int fd = top; fd > top - 300 && fd > 0; fd--)
		if (close(fd) < 0)
			say("close of %d below the top: %s", top - fd, err_name(errno));
	peer(SEND, 5);
	take(s, 10, 0);
	give(s, 5, 0);
	peer(RECV, 5);
}

CASE(status_flags_are_shared_by_copies)
{
	int d = dup(s);

	nonblock(d);
	say("nonblock %d", !!(fcntl(s, F_GETFL) & O_NONBLOCK));
	take(s, 10, 0);
	fcntl(s, F_SETFL, fcntl(s, F_GETFL) & ~O_NONBLOCK);
	later(SHORT_MS, SEND, 5);
	take(d, 10, 0);
	close(d);
}

CASE(status_flags_are_shared_with_a_child)
{
	pid_t pid = fork();

	if (pid == 0) {
		nonblock(s);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	take(s, 10, 0);
	give(s, 10, 0);
	peer(RECV, 10);
}

CASE(close_range_with_cloexec_closes_nothing)
{
	show("close_range", close_range((unsigned int)s, (unsigned int)s, 4));
	say("cloexec %d", fcntl(s, F_GETFD));
	give(s, 5, 0);
	peer(RECV, 5);
}

CASE(close_range_of_nonsense_is_einval)
{
	show("close_range", close_range(10, 5, 0));
	show("close_range", close_range(10, 15, 1 << 20));
	give(s, 5, 0);
	peer(RECV, 5);
}

CASE(closefrom_closes_all_above)
{
	pid_t pid = fork();

	if (pid == 0) {
		closefrom(s);
		_exit(fcntl(s, F_GETFD) < 0 ? 7 : 8);
	}
	waitpid(pid, NULL, 0);
	give(s, 5, 0);
	peer(RECV, 5);
}

CASE(a_stream_of_stdio_reads_lines)
{
	FILE *f = fdopen(dup(s), "r+");
	unsigned char b[20];

	peer(SEND, 10);
	show("fread", (long)fread(b, 1, 10, f));
	say("%s", right(b, 10, &rx_pos) ? "right" : "wrong");
	fill(b, 10, &tx_pos);
	rewind(f);
	show("fwrite", (long)fwrite(b, 1, 10, f));
	show("fflush", fflush(f));
	peer(RECV, 10);
	show("fclose", fclose(f));
	give(s, 5, 0);
	peer(RECV, 5);
	peer(SEND, 5);
	take(s, 10, 0);
}

CASE(a_stream_after_some_traffic)
{
	unsigned char b[4000];
	FILE *f;

	peer(SEND, 3000);
	take_all(s, 1000);
	give(s, 1000, 0);
	f = fdopen(s, "r");
	show("fread", (long)fread(b, 1, 2000, f));
	say("%s", right(b, 2000, &rx_pos) ? "right" : "wrong");
	peer(RECV, 1000);
	peer(SHUT_WRITE, 0);
	show("fread", (long)fread(b, 1, 1, f));
	say("eof %d", feof(f));
}

/* The library that we may be under leaves short connections to Linux, and claims them as they live. */
CASE(a_stream_on_a_connection_of_many_short_ones)
{
	int port, l = listen_on(NULL, &port), c;
	FILE *f;

	for (int i = 0; i < 12; i++) {
		peer(CLOSE, 0);
		peer(CONNECT, port);
		close(accept(l, NULL, NULL));
	}
	peer(CLOSE, 0);
	peer(CONNECT, port);
	c = accept(l, NULL, NULL);
	f = fdopen(dup(c), "r");
	for (int i = 0; i < 6; i++) {
		unsigned char b[10];

		peer(SEND, 10);
		show("fread", (long)fread(b, 1, 10, f));
		say("%s", right(b, 10, &rx_pos) ? "right" : "wrong");
		give(c, 5, 0);
		peer(RECV, 5);
	}
	show("fclose", fclose(f));
	close(c);
	close(l);
}

static void aio_done(struct aiocb *cb)
{
	while (aio_error(cb) == EINPROGRESS)
		aio_suspend((const struct aiocb *[]){ cb }, 1, NULL);
	say("%s", err_name(aio_error(cb)));
	show("aio_return", (long)aio_return(cb));
}

CASE(asynchronous_io_of_libc)
{
	static unsigned char in[10], out[10];
	struct aiocb r = { .aio_fildes = s, .aio_buf = in, .aio_nbytes = 10 };
	struct aiocb w = { .aio_fildes = s, .aio_buf = out, .aio_nbytes = 10 };

	peer(SEND, 10);
	take_all(s, 10);
	show("aio_read", aio_read(&r));
	peer(SEND, 10);
	aio_done(&r);
	say("%s", right(in, 10, &rx_pos) ? "right" : "wrong");
	fill(out, 10, &tx_pos);
	show("aio_write", aio_write(&w));
	aio_done(&w);
	peer(RECV, 10);
	give(s, 5, 0);
	peer(RECV, 5);
}

CASE(a_list_of_asynchronous_io)
{
	static unsigned char in[10], out[10];
	struct aiocb r = { .aio_fildes = s, .aio_buf = in, .aio_nbytes = 10, .aio_lio_opcode = LIO_READ };
	struct aiocb w = { .aio_fildes = s, .aio_buf = out, .aio_nbytes = 10, .aio_lio_opcode = LIO_WRITE };

	give(s, 5, 0);
	peer(RECV, 5);
	peer(SEND, 10);
	fill(out, 10, &tx_pos);
	show("lio_listio", lio_listio(LIO_WAIT, (struct aiocb *[]){ &r, NULL, &w }, 3, NULL));
	aio_done(&r);
	say("%s", right(in, 10, &rx_pos) ? "right" : "wrong");
	aio_done(&w);
	peer(RECV, 10);
}

CASE(dprintf_prints_to_it)
{
	give(s, 5, 0);
	show("dprintf", dprintf(s, "%c", pattern(tx_pos++)));
	give(s, 5, 0);
	peer(RECV, 11);
}

CASE(an_fd_of_proc_is_no_way_in)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", s);
	show("open", open(path, O_RDWR));
	snprintf(path, sizeof(path), "/dev/fd/%d", s);
	show("open", open(path, O_RDWR));
}

/* ---- the end --------------------------------------------------------------------------- */

CASE(lingering_waits_for_the_acknowledgment)
{
	struct linger l = { 1, 10 };

	setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	give(s, 100000, 0);
	later(SHORT_MS, RECV, 100000);
	show("close", close(s));
	peer(EXPECT_EOF, 0);
}

CASE(lingering_for_no_time_resets)
{
	struct linger l = { 1, 0 };

	setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	show("close", close(s));
	peer(EXPECT_EOF, 0);
}

CASE(shutdown_then_close_sends_all)
{
	give(s, 50000, 0);
	show("shutdown", shutdown(s, SHUT_WR));
	show("close", close(s));
	peer(DRAIN, 0);
}

CASE(shutdown_twice_is_no_error)
{
	show("shutdown", shutdown(s, SHUT_WR));
	show("shutdown", shutdown(s, SHUT_WR));
	show("shutdown", shutdown(s, SHUT_RD));
	show("shutdown", shutdown(s, SHUT_RDWR));
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	take(s, 10, 0);
	peer(EXPECT_EOF, 0);
}

CASE(shutdown_after_both_ended_is_enotconn)
{
	peer(CLOSE, 0);
	await(s, POLLIN);
	take(s, 1, 0);
	show("shutdown", shutdown(s, SHUT_WR));
	await(s, POLLHUP);
	for (int i = 0; i < 3000 && shutdown(s, SHUT_WR) == 0; i++)
		sleep_ms(10);
	show("shutdown", shutdown(s, SHUT_WR));
	show("shutdown", shutdown(s, SHUT_RD));
}

CASE(data_after_a_read_shutdown)
{
	show("shutdown", shutdown(s, SHUT_RD));
	take(s, 10, 0);
	peer(SEND, 10);
	take(s, 10, 0);
	take(s, 10, 0);
	give(s, 10, 0);
	peer(RECV, 10);
}

CASE(half_closed_goes_on_for_long)
{
	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	take(s, 10, 0);
	for (int i = 0; i < 5; i++) {
		give(s, 50000, 0);
		peer(RECV, 50000);
	}
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	close(s);
	peer(EXPECT_EOF, 0);
}

CASE(sendfile_to_a_full_socket)
{
	int f = pattern_file(3000000);
	off_t at = 0;
	ssize_t n;
	long sum = 0;
	bool reads = false;

	tx_pos = 0;
	nonblock(s);
	while ((n = sendfile(s, f, &at, 3000000 - (size_t)at)) > 0 || errno == EAGAIN) {
		struct pollfd p = { .fd = s, .events = POLLOUT };

		if (n > 0)
			sum += n;
		if (sum != at || sum == 3000000)
			break;
		if (n < 0 && !reads) {
			later(SHORT_MS, RECV, 3000000);
			reads = true;
		}
		if (n < 0)
			poll(&p, 1, 30000);
	}
	say("sent %ld, at %ld", sum, (long)at);
	peer(SEND, 1);
	await(s, POLLIN);
	take(s, 10, 0);
	close(f);
}

CASE(splice_through_a_pipe_moves_everything)
{
	int p[2];
	long in = 0, out = 0;
	ssize_t n;

	if (pipe(p) < 0)
		return;
	later(1, SEND, 30000);
	while (out < 30000) {
		n = splice(s, NULL, p[1], NULL, 65536, SPLICE_F_MOVE | SPLICE_F_MORE);
		if (n <= 0)
			break;
		in += n;
		while (out < in && (n = splice(p[0], NULL, s, NULL, (size_t)(in - out), SPLICE_F_MOVE)) > 0)
			out += n;
	}
	say("in %ld, out %ld", in, out);
	peer(RECV, 30000);
	close(p[0]);
	close(p[1]);
}

/* libc reads stdin by calls of its own, whatever file has number 0. */
static void read_by_stdin(void)
{
	char b[6] = "";

	peer(SEND, 5);
	say("%s", fgets(b, sizeof(b), stdin) && right((unsigned char *)b, 5, &rx_pos) ? "right" : "wrong");
	clearerr(stdin);
}

/* Ours, if it ever is. */
static void use_it(int s)
{
	give(s, 20000, 0);
	peer(RECV, 20000);
}

CASE(dup_where_stdin_was)
{
	int in = dup(0);

	use_it(s);
	close(0);
	show("dup", dup(s));
	read_by_stdin();
	dup2(in, 0);
	close(in);
	give(s, 5, 0);
	peer(RECV, 5);
}

CASE(f_dupfd_where_stdin_was)
{
	int in = dup(0);

	use_it(s);
	close(0);
	show("F_DUPFD", fcntl(s, F_DUPFD, 0));
	read_by_stdin();
	dup2(in, 0);
	close(in);
}

CASE(accept_where_stdin_was)
{
	int in = dup(0), port, l = listen_on(NULL, &port);

	peer(CLOSE, 0);
	peer(CONNECT, port);
	close(0);
	show("accept", accept(l, NULL, NULL));
	use_it(0);
	read_by_stdin();
	dup2(in, 0);
	close(in);
	close(l);
}

CASE(connect_where_stdin_was)
{
	int in = dup(0);

	peer(CLOSE, 0);
	close(0);
	show("connected", to_peer(0));
	peer(ACCEPT, 0);
	use_it(0);
	read_by_stdin();
	dup2(in, 0);
	close(in);
}

/* dup2 over the connection itself, in circles, and over its epoll instance. */
CASE(copies_over_copies)
{
	int a = dup(s), b = dup(a), ep = epoll_with(a, EPOLLIN), ep2 = dup(ep);

	show("same", dup2(a, a) - a);
	show("again", dup2(a, b) - b);
	close(s);
	dup2(b, s);
	close(b);
	peer(SEND, 3);
	do_epoll(ep2, 30000);
	close(ep);
	do_epoll(ep2, 30000);
	close(a);
	do_epoll(ep2, 30000);
	show("mod by a closed fd", epoll_ctl(ep2, EPOLL_CTL_MOD, a, &(struct epoll_event){ 0 }));
	take(s, 10, 0);
	do_epoll(ep2, 0);
	dup2(s, ep2);
	peer(SEND, 3);
	take(ep2, 10, 0);
	show("wait on a socket", epoll_wait(ep2, &(struct epoll_event){ 0 }, 1, 0));
	close(ep2);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * posix.h - what the cases of the conformance suite share.
 *
 * Each case is a function that gets a fresh connection (the peer connects to us) and a remote control
 * of its other end: peer(SEND, n) and so on return when the peer has done it, and what it sent has
 * been acknowledged; later(ms, ...) lets it happen while we wait. No case depends on how long
 * something takes: what is to be seen is waited for, and what is not to come would come never. Every result goes to stdout as words without times and numbers that may
 * differ: return value, errno, events, whether bytes are the right ones. Bytes are a
 * running pattern per direction, so a lost or doubled one shows.
 */
#ifndef TESTS_POSIX_H
#define TESTS_POSIX_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIG		(1 << 20)
#define SHORT_MS	60		/* long enough for a later() to come after we sleep */
#define LOOK_MS		10
#define FULL_MS		(6 * SHORT_MS)	/* what is full for so long stays so: nothing is on its way */

enum op {
	CONNECT, ACCEPT, SEND, RECV, DRAIN, SHUT_WRITE, SHUT_BOTH, CLOSE, RESET, EXPECT_EOF,
	SEND_URGENT, RECV_URGENT, DISCARD, SIGNAL,
};

/* ---- remote control (peer.c) ---------------------------------------------------------- */

struct order {
	enum op op;
	int arg;
	int after_ms;			/* > 0: answered at once, done later */
	int64_t tag;			/* the answer has it too: one may be left by a case that hung */
};

struct done {
	int ret, err;
	int64_t tag;
};

int peer_main(const char *path, const char *addr);
void quiet_order(enum op op, int arg, int after_ms, struct done *ret);
void peer(enum op op, int arg);
void later(int ms, enum op op, int arg);

/* ---- the subject's tools (tools.c) ---------------------------------------------------- */

extern int ctl, listener, listen_port, peer_port;
extern const char *peer_addr, *self;
extern uint64_t tx_pos, rx_pos;
extern volatile sig_atomic_t signals;

unsigned char pattern(uint64_t pos);
void fill(unsigned char *buf, size_t n, uint64_t *pos);
bool right(const unsigned char *buf, size_t n, uint64_t *pos);
void sleep_ms(int ms);
int listen_on(const char *addr, int *ret_port);
const char *err_name(int err);
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
long show(const char *what, long ret);	/* what a call returned */
void take(int fd, size_t n, int flags);
void give(int fd, size_t n, int flags);
void take_all(int fd, size_t n);	/* until @n are here: TCP may deliver in pieces */
const char *events(unsigned int e, char buf[96]);
void do_poll(int fd, short want, int ms);
void asleep_in_epoll(_Atomic pid_t *tid);	/* until the thread is */
void await(int fd, short want);		/* at most 30 s, until poll says all of @want */
int epoll_with(int fd, uint32_t ev);
void do_epoll(int ep, int ms);
void set_timeo(int fd, int name, int ms);
void nonblock(int fd);
bool writable_soon(int fd);		/* false: what is full stays so */
void stuff(int fd);			/* until it stays full */
void on_signal(int sig);
void handle(int sig, int flags);
void alarm_ms(int ms);			/* SIGALRM when we have slept for so long */
int to_peer(int flags);			/* a connection of ours to the peer's listener */
int pattern_file(size_t n);
void set_int(int fd, int level, int name, int value);
int get_int(int fd, int level, int name);

int exec_main(const char *what, int fd);	/* processes.c */

/* ---- cases ---------------------------------------------------------------------------- */

struct test {
	const char *name;
	void (*run)(int s);
} __attribute__((aligned(16)));

#define CASE(f)									\
	static void f(int s);							\
	static const struct test test_##f					\
	__attribute__((section("cases"), used)) = { #f, f };			\
	static void f(int s __attribute__((unused)))

#endif

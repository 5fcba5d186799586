/* SPDX-License-Identifier: BSD-2-Clause */
/* needs: user/shim/init.c user/shim/intercept.c user/shim/fdtable.c user/shim/lock.c */
/* needs: user/shim/ctl.c user/shim/region.c user/shim/sock.c user/shim/young.c user/shim/io.c user/shim/copy.c */
/* needs: user/shim/wait.c user/shim/epoll.c user/shim/epset.c user/shim/heart.c user/shim/kick.c user/shim/sleep.c user/shim/yield.c */
/* needs: user/shim/fork.c user/shim/pool.c user/shim/signals.c user/shim/stdio.c user/shim/info.c user/shim/confine.c */
/*
 * test_shim_fds.c - locks that know their owner, and the table of fds, without a daemon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../user/shim/shim.h"

static void a_lock_is_taken_and_dropped(void **state)
{
	lock_t l = 0;
	enum lock_got got = lock_take(&l);

	(void)state;
	assert_int_equal(got, LOCK_TAKEN);
	assert_int_equal(l, tid_mine());
	lock_drop(&l, got);
	assert_int_equal(l, 0);
}

static void a_lock_taken_by_the_same_thread_is_nested(void **state)
{
	lock_t l = 0;
	enum lock_got outer = lock_take(&l), inner = lock_take(&l);

	(void)state;
	assert_int_equal(inner, LOCK_NESTED);
	lock_drop(&l, inner);
	assert_int_equal(l, tid_mine());
	lock_drop(&l, outer);
	assert_int_equal(l, 0);
}

static void the_lock_of_a_dead_owner_is_taken_over(void **state)
{
	lock_t l;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	l = (uint32_t)pid;
	assert_int_equal(lock_take(&l), LOCK_TAKEN);
	assert_int_equal(l & 0x7fffffff, tid_mine());
}

static lock_t shared_lock;
static long shared_sum;

static void *add_under_the_lock(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++) {
		enum lock_got got = lock_take(&shared_lock);

		shared_sum++;
		lock_drop(&shared_lock, got);
	}
	return NULL;
}

static void a_lock_keeps_threads_apart(void **state)
{
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, add_under_the_lock, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(shared_sum, 4 * 20000);
}

struct pass {
	lock_t lock;
	uint32_t by[2];			/* owners that live */
	_Atomic bool enough;
};

/* Each time the one that waits for it is woken, and finds another owner. */
static void *pass_it_on(void *arg)
{
	struct pass *p = arg;

	for (uint32_t i = 0; i < 100; i++) {
		atomic_store(&p->lock, p->by[i % 2] | TP_LOCK_WAITERS);
		while (!atomic_load(&p->enough) &&
		       syscall(SYS_futex, &p->lock, FUTEX_WAKE, 1, NULL, NULL, 0) != 1)
			sched_yield();
	}
	atomic_store(&p->lock, 0);
	syscall(SYS_futex, &p->lock, FUTEX_WAKE, 1, NULL, NULL, 0);
	return NULL;
}

/* Without it, the caller would go on as if it had the lock. */
static void a_lock_that_goes_round_is_not_given_up(void **state)
{
	struct pass p = { .by = { (uint32_t)getppid(), 1 } };
	enum lock_got got;
	pthread_t t;

	(void)state;
	p.lock = p.by[1] | TP_LOCK_WAITERS;
	pthread_create(&t, NULL, pass_it_on, &p);
	got = lock_take(&p.lock);
	atomic_store(&p.enough, true);
	pthread_join(t, NULL);
	assert_int_equal(got, LOCK_TAKEN);
}

static int hidden_fd(void)
{
	int fd = fd_hide(eventfd(0, EFD_CLOEXEC));

	assert_true(fd > 2);
	return fd;
}

static void a_hidden_fd_cannot_be_closed(void **state)
{
	int fd = hidden_fd();

	(void)state;
	assert_int_equal(close(fd), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(close_range((unsigned int)fd, (unsigned int)fd, 0), 0);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	fd_hidden_close(fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void close_range_closes_all_but_hidden_fds(void **state)
{
	int fd = hidden_fd(), low = fcntl(0, F_DUPFD, fd > 10 ? fd - 3 : 10), high;

	(void)state;
	high = fcntl(0, F_DUPFD, fd + 1);
	assert_true(low < fd && fd < high);
	assert_int_equal(close_range((unsigned int)low, (unsigned int)high, 0), 0);
	assert_int_equal(fcntl(low, F_GETFD), -1);
	assert_int_equal(fcntl(high, F_GETFD), -1);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	fd_hidden_close(fd);
}

static void dup2_onto_a_hidden_fd_gets_the_number(void **state)
{
	int fd = hidden_fd();

	(void)state;
	assert_int_equal(dup2(0, fd), fd);
	assert_int_equal(fd_word(fd), 0);
	assert_int_equal(close(fd), 0);
}

static void dups_count_and_the_last_close_frees(void **state)
{
	struct conn *c = conn_new(CONN_PLAIN);
	int a = eventfd(0, 0), b;

	(void)state;
	assert_true(fd_set_conn(a, c));
	b = dup(a);
	assert_ptr_equal(fd_conn(b), c);
	assert_int_equal(c->refs, 2);
	close(a);
	assert_null(fd_conn(a));
	assert_int_equal(c->refs, 1);
	dup2(b, a);
	assert_int_equal(c->refs, 2);
	close(a);
	close(b);
	assert_int_equal(c->mode, CONN_FREE);
	assert_ptr_equal(conn_new(CONN_PLAIN), c);
}

static int close_in_between;
static struct libc as_it_is;

/* Another thread closes what is being copied. */
static int dup_and_close(int fd)
{
	int to = as_it_is.dup(fd);

	close(close_in_between);
	return to;
}

static void a_close_while_it_is_copied_leaves_no_dead_connection(void **state)
{
	struct conn *c = conn_new(CONN_PLAIN);
	int a = socket(AF_INET, SOCK_STREAM, 0), b;

	(void)state;
	c->cookie = cookie_of(a);
	fd_set_conn(a, c);
	as_it_is = libc_calls;
	libc_calls.dup = dup_and_close;
	close_in_between = a;
	b = dup(a);
	libc_calls.dup = as_it_is.dup;
	assert_true(b >= 0);
	assert_null(fd_conn(a));
	assert_ptr_equal(fd_conn(b), c);
	assert_int_equal(c->mode, CONN_PLAIN);
	assert_int_equal(c->refs, 1);
	close(b);
	assert_int_equal(c->mode, CONN_FREE);
}

static int dup_of_another(int fd)
{
	close(fd);
	return as_it_is.dup(0);
}

static void a_copy_of_what_came_in_its_place_is_no_connection(void **state)
{
	struct conn *c = conn_new(CONN_PLAIN);
	int a = socket(AF_INET, SOCK_STREAM, 0), b;

	(void)state;
	c->cookie = cookie_of(a);
	fd_set_conn(a, c);
	as_it_is = libc_calls;
	libc_calls.dup = dup_of_another;
	b = dup(a);
	libc_calls.dup = as_it_is.dup;
	assert_null(fd_conn(b));
	assert_int_equal(c->mode, CONN_FREE);
	close(b);
}

static void who_holds_it_keeps_it(void **state)
{
	struct conn *c = conn_new(CONN_PLAIN);
	int a = eventfd(0, 0);
	uintptr_t held;

	(void)state;
	fd_set_conn(a, c);
	held = fd_hold(a);
	close(a);
	assert_int_equal(c->mode, CONN_PLAIN);
	fd_let_go(held);
	assert_int_equal(c->mode, CONN_FREE);
	assert_int_equal(fd_hold(a), 0);
}

static void a_dup2_over_a_connection_ends_it(void **state)
{
	struct conn *c = conn_new(CONN_PLAIN);
	int a = eventfd(0, 0);

	(void)state;
	fd_set_conn(a, c);
	assert_int_equal(dup2(0, a), a);
	assert_null(fd_conn(a));
	assert_int_equal(c->mode, CONN_FREE);
	close(a);
}

static void fds_out_of_range_are_nobodys(void **state)
{
	(void)state;
	assert_null(fd_conn(-1));
	assert_null(fd_conn(INT32_MAX));
	assert_null(fd_conn((int)FD_MAX));
	assert_false(fd_set_conn((int)FD_MAX, NULL));
	assert_int_equal(close(-1), -1);
	assert_int_equal(errno, EBADF);
}

static void a_vfork_child_changes_nothing_here(void **state)
{
	struct conn *c = conn_new(CONN_PLAIN);
	int a = eventfd(0, 0);
	pid_t pid;

	(void)state;
	fd_set_conn(a, c);
	pid = vfork();
	if (pid == 0) {
		close(a);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	assert_ptr_equal(fd_conn(a), c);
	assert_true(fcntl(a, F_GETFD) >= 0);
	close(a);
}

static void plain_calls_keep_errno(void **state)
{
	int fd;

	(void)state;
	errno = 77;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(errno, 77);
	listen(fd, 1);
	assert_int_equal(errno, 77);
	close(fd);
	assert_int_equal(errno, 77);
}

static void raise_nothing(int sig) { (void)sig; }

static void handlers_of_one_kind_and_of_both_are_told_apart(void **state)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };

	(void)state;
	for (int sig = 1; sig < _NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			sigaction(sig, &sa, NULL);	/* cmocka has some of its own */
	sa.sa_handler = raise_nothing;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
	assert_int_equal(sig_kind(), SIG_RESTART);
	sa.sa_flags = 0;
	sigaction(SIGUSR2, &sa, NULL);
	assert_int_equal(sig_kind(), SIG_BOTH);
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(sig_kind(), SIG_INTERRUPT);
	signal(SIGUSR2, SIG_DFL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lock_is_taken_and_dropped),
		cmocka_unit_test(a_lock_taken_by_the_same_thread_is_nested),
		cmocka_unit_test(the_lock_of_a_dead_owner_is_taken_over),
		cmocka_unit_test(a_lock_keeps_threads_apart),
		cmocka_unit_test(a_lock_that_goes_round_is_not_given_up),
		cmocka_unit_test(a_hidden_fd_cannot_be_closed),
		cmocka_unit_test(close_range_closes_all_but_hidden_fds),
		cmocka_unit_test(dup2_onto_a_hidden_fd_gets_the_number),
		cmocka_unit_test(dups_count_and_the_last_close_frees),
		cmocka_unit_test(a_close_while_it_is_copied_leaves_no_dead_connection),
		cmocka_unit_test(a_copy_of_what_came_in_its_place_is_no_connection),
		cmocka_unit_test(who_holds_it_keeps_it),
		cmocka_unit_test(a_dup2_over_a_connection_ends_it),
		cmocka_unit_test(fds_out_of_range_are_nobodys),
		cmocka_unit_test(a_vfork_child_changes_nothing_here),
		cmocka_unit_test(plain_calls_keep_errno),
		cmocka_unit_test(handlers_of_one_kind_and_of_both_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

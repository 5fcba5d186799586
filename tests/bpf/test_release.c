/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_release.c - the end of a claimed socket is reported, however it comes, and only then.
 *
 * The hook is attached to a cgroup of the test's own. Sockets belong to the cgroup of who
 * made them, so each is made by a child that has joined it.
 */
#include "lab.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char cgroup[300];
static int link_fd = -1;

static bool find_cgroup2(char *path, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (f && (m = getmntent(f)) && strcmp(m->mnt_type, "cgroup2"))
		;
	if (f && m)
		snprintf(path, size, "%s/taspilot-test-%d", m->mnt_dir, getpid());
	if (f)
		endmntent(f);
	return f && m;
}

static int open_lab(void **state)
{
	int dir;

	if (!find_cgroup2(cgroup, sizeof(cgroup)) || mkdir(cgroup, 0755)) {
		printf("1..0 # SKIP no cgroup can be made\n");
		exit(77);
	}
	if (lab_open(state))
		return -1;
	dir = open(cgroup, O_RDONLY | O_DIRECTORY);
	link_fd = bpf_link_create(bpf_program__fd(lab_release->progs.tp_release), dir,
				  BPF_CGROUP_INET_SOCK_RELEASE, NULL);
	close(dir);
	return link_fd < 0 ? -1 : 0;
}

static int close_lab(void **state)
{
	close(link_fd);
	rmdir(cgroup);
	return lab_close(state);
}

static void join_cgroup(void)
{
	char path[320];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(1);
	close(fd);
}

/* A child with a socket, which does what the test tells it by one byte. */
struct owner {
	pid_t pid;
	int tell;			/* write: go on; its end is the child's, too */
	uint64_t cookie;
};

enum way { BY_CLOSE, BY_EXIT, BY_FORK };

static void live(int in, int out, int type, enum way way)
{
	int fd, other;
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	char byte;

	join_cgroup();
	fd = socket(AF_INET, type, 0);
	other = dup(fd);
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ||
	    write(out, &cookie, sizeof(cookie)) != sizeof(cookie))
		_exit(1);
	if (read(in, &byte, 1) != 1)
		_exit(1);
	close(fd);			/* not the last reference */
	if (write(out, &byte, 1) != 1 || read(in, &byte, 1) != 1)
		_exit(1);
	if (way == BY_FORK && !fork()) {
		while (read(in, &byte, 1) == 1)
			;
		_exit(0);
	}
	if (way == BY_CLOSE) {
		close(other);
		if (write(out, &byte, 1) == 1)
			pause();
	}
	_exit(0);
}

static struct owner own(int type, enum way way)
{
	struct owner o;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	o.pid = fork();
	if (!o.pid) {
		close(pair[0]);
		live(pair[1], pair[1], type, way);
	}
	close(pair[1]);
	o.tell = pair[0];
	assert_int_equal(read(o.tell, &o.cookie, sizeof(o.cookie)), sizeof(o.cookie));
	return o;
}

static void go_on(struct owner *o)
{
	assert_int_equal(write(o->tell, "!", 1), 1);
}

static void wait_for_answer(struct owner *o)
{
	char byte;

	assert_int_equal(read(o->tell, &byte, 1), 1);
}

static void end(struct owner *o)
{
	kill(o->pid, SIGKILL);
	waitpid(o->pid, NULL, 0);
	close(o->tell);
}

static void mark(uint64_t cookie, uint32_t what)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(lab_release->maps.tp_cookies), &cookie,
					     &what, 0),
			 0);
}

static void expect_release_of(const struct owner *o)
{
	const struct tp_record *r = lab_consume();

	assert_non_null(r);
	assert_int_equal(r->kind, TP_REC_RELEASE);
	assert_true(r->cookie == o->cookie);
	assert_int_equal(r->len, 0);
}

static void the_last_close_of_a_claimed_socket_is_reported(void **state)
{
	struct owner o = own(SOCK_STREAM, BY_CLOSE);

	(void)state;
	mark(o.cookie, TP_COOKIE_CLAIMED | TP_COOKIE_CONNECT);
	go_on(&o);
	wait_for_answer(&o);
	assert_null(lab_consume());	/* one of two references went */
	go_on(&o);
	wait_for_answer(&o);
	expect_release_of(&o);
	end(&o);
	assert_null(lab_consume());
}

static void so_is_the_end_of_the_process(void **state)
{
	struct owner o = own(SOCK_STREAM, BY_EXIT);

	(void)state;
	mark(o.cookie, TP_COOKIE_CLAIMED);
	go_on(&o);
	wait_for_answer(&o);
	go_on(&o);
	waitpid(o.pid, NULL, 0);
	expect_release_of(&o);
	close(o.tell);
}

static void so_is_kill_9(void **state)
{
	struct owner o = own(SOCK_STREAM, BY_EXIT);

	(void)state;
	mark(o.cookie, TP_COOKIE_CLAIMED);
	end(&o);
	expect_release_of(&o);
}

static void a_child_that_holds_the_socket_keeps_it_alive(void **state)
{
	struct owner o = own(SOCK_STREAM, BY_FORK);

	(void)state;
	mark(o.cookie, TP_COOKIE_CLAIMED);
	go_on(&o);
	wait_for_answer(&o);
	go_on(&o);
	waitpid(o.pid, NULL, 0);
	assert_null(lab_consume());
	shutdown(o.tell, SHUT_RDWR);	/* now the grandchild ends, too */
	while (!lab_consume())
		usleep(1000);
	close(o.tell);
}

static void other_sockets_are_nobodys_business(void **state)
{
	struct owner unknown = own(SOCK_STREAM, BY_EXIT), connecting = own(SOCK_STREAM, BY_EXIT);
	struct owner udp = own(SOCK_DGRAM, BY_EXIT);

	(void)state;
	mark(connecting.cookie, TP_COOKIE_CONNECT);
	mark(udp.cookie, TP_COOKIE_CLAIMED);
	end(&unknown);
	end(&connecting);
	end(&udp);
	assert_null(lab_consume());
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup(t, lab_reset)
	const struct CMUnitTest tests[] = {
		TEST(the_last_close_of_a_claimed_socket_is_reported),
		TEST(so_is_the_end_of_the_process),
		TEST(so_is_kill_9),
		TEST(a_child_that_holds_the_socket_keeps_it_alive),
		TEST(other_sockets_are_nobodys_business),
	};

	return cmocka_run_group_tests_name("release", tests, open_lab, close_lab);
}

/* SPDX-License-Identifier: BSD-2-Clause
 * needs: user/common/notify.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../user/common/notify.h"

/* A manager that listens on @name, as NOTIFY_SOCKET would have it. */
static int manager(const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(sa.sun_path, name);
	if (name[0] == '@')
		sa.sun_path[0] = 0;
	assert_return_code(bind(fd, (const struct sockaddr *)&sa,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			   errno);
	assert_return_code(setenv("NOTIFY_SOCKET", name, 1), errno);
	return fd;
}

static void hears(int fd, const char *text)
{
	char buf[64] = "";

	assert_int_equal(recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT), (int)strlen(text));
	assert_string_equal(buf, text);
}

static void who_was_not_asked_says_nothing(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify("READY=1"), 0);
}

static void a_manager_hears_it_by_a_path(void **state)
{
	char dir[] = "/tmp/test_notify.XXXXXX", path[64];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	fd = manager(path);
	assert_int_equal(notify("READY=1"), 0);
	hears(fd, "READY=1");
	assert_int_equal(notify("STOPPING=1"), 0);
	hears(fd, "STOPPING=1");
	close(fd);
	unlink(path);
	rmdir(dir);
}

static void a_manager_hears_it_by_an_abstract_name(void **state)
{
	char name[64];
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "@test_notify.%d", getpid());
	fd = manager(name);
	assert_int_equal(notify("READY=1"), 0);
	hears(fd, "READY=1");
	close(fd);
}

static void a_manager_that_is_not_there_is_an_error_and_no_more(void **state)
{
	char longer[200];

	(void)state;
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	assert_int_equal(notify("READY=1"), -ENOENT);
	setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
	assert_int_equal(notify("READY=1"), -EINVAL);
	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = 0;
	setenv("NOTIFY_SOCKET", longer, 1);
	assert_int_equal(notify("READY=1"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_not_asked_says_nothing),
		cmocka_unit_test(a_manager_hears_it_by_a_path),
		cmocka_unit_test(a_manager_hears_it_by_an_abstract_name),
		cmocka_unit_test(a_manager_that_is_not_there_is_an_error_and_no_more),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}

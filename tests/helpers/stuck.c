// SPDX-License-Identifier: BSD-2-Clause
/*
 * stuck.c - a reader that stands still in the midst of a read, and dies there or goes on.
 *
 *	stuck PORT die|go-on FILE
 *
 * Accepts a connection and says so by a byte; a child reads into memory of which nothing is there (userfaultfd), so it
 * stands still while it copies. Then FILE appears. "die": the child has been killed by then, and
 * the parent reads once FILE is gone. "go-on": the child gets its memory when FILE is gone. Exit status 0:
 * each byte to the end came once, and was that of its position (talk.c).
 */
#include <err.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	4096

static const char *file;
static bool dies;
static unsigned char *page;

static unsigned char pattern(uint64_t at)
{
	return (unsigned char)((at * 0x9e3779b97f4a7c15ULL) >> 56 ^ at);
}

static void appear(void)
{
	int fd = open(file, O_CREAT | O_WRONLY, 0600);

	if (fd < 0)
		err(2, "%s", file);
	close(fd);
}

static void until_gone(void)
{
	while (!access(file, F_OK))
		usleep(1000);
}

static void *on_fault(void *arg)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)page, PAGE } };
	int fd = *(int *)arg;
	struct uffd_msg msg;

	if (read(fd, &msg, sizeof(msg)) != sizeof(msg))
		err(2, "userfaultfd");
	if (dies)
		raise(SIGKILL);
	appear();
	until_gone();
	if (ioctl(fd, UFFDIO_ZEROPAGE, &zero))
		err(2, "zeropage");
	return NULL;
}

static void watch_page(void)
{
	static int fd;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	pthread_t t;

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)page;
	reg.range.len = PAGE;
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		err(77, "userfaultfd");
	pthread_create(&t, NULL, on_fault, &fd);
}

static int read_all(int fd, unsigned char *first)
{
	static unsigned char more[PAGE];
	unsigned char *buf = first;
	uint64_t at = 0;
	ssize_t n;

	while ((n = read(fd, buf, PAGE)) > 0) {
		for (ssize_t i = 0; i < n; i++, at++)
			if (buf[i] != pattern(at))
				errx(1, "byte %lu is wrong", at);
		buf = more;
	}
	printf("%lu bytes\n", at);
	return n < 0;
}

static int accepted(const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0), fd;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (void *)&at, sizeof(at)) || listen(l, 4))
		err(2, "listen");
	fd = accept(l, NULL, NULL);
	if (fd < 0 || write(fd, "", 1) != 1)
		err(2, "accept");
	return fd;
}

int main(int argc, char **argv)
{
	static unsigned char plain[PAGE];
	int fd, status;
	pid_t child;

	if (argc != 4)
		errx(2, "usage: stuck PORT die|go-on FILE");
	dies = !strcmp(argv[2], "die");
	file = argv[3];
	fd = accepted(argv[1]);
	child = fork();
	if (!child) {
		watch_page();
		exit(read_all(fd, page));
	}
	waitpid(child, &status, 0);
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	appear();
	until_gone();
	return read_all(fd, plain);
}

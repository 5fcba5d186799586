/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client.c - ask a daemon, and find the daemons there are. See client.h.
 */
#include "client.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../slow/rundir.h"

int client_open(const char *ifname)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, err;

	_Static_assert(sizeof(to.sun_path) >= RUN_PATH_MAX, "path must fit");
	run_path(to.sun_path, ifname, "sock");
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* One packet: a struct tp_ctl and the text behind it. */
static ssize_t receive(int fd, struct tp_ctl *head, char *text, size_t size)
{
	struct iovec part[] = { { head, sizeof(*head) }, { text, size } };
	struct msghdr msg = { .msg_iov = part, .msg_iovlen = 2 };
	ssize_t n = recvmsg(fd, &msg, 0);

	if (n < 0)
		return -errno;
	if (n < (ssize_t)sizeof(*head))
		return n ? -EPROTO : -ECONNRESET;
	return n - (ssize_t)sizeof(*head);
}

int client_ask(int fd, const struct tp_ctl *question, char **ret_text)
{
	struct tp_ctl head;
	size_t len = 0;
	char *text = NULL;

	if (send(fd, question, sizeof(*question), MSG_NOSIGNAL) < 0)
		return -errno;
	do {
		char *more = realloc(text, len + TP_CTL_MAX + 1);
		ssize_t n = -ENOMEM;

		if (more) {
			text = more;
			n = receive(fd, &head, text + len, TP_CTL_MAX);
		}
		if (n >= 0 && head.err)
			n = head.err;
		if (n < 0) {
			free(text);
			return (int)n;
		}
		len += (size_t)n;
	} while (head.h.type == TP_CTL_TEXT && head.text.more);

	text[len] = '\0';
	*ret_text = text;
	return 0;
}

bool client_end(const char *text, struct tp_end *ret_end)
{
	const char *colon = strrchr(text, ':');
	char addr[INET_ADDRSTRLEN] = "", *rest;
	struct tp_end end = { 0 };
	unsigned long port;
	__be32 ip4;

	if (!colon || (size_t)(colon - text) >= sizeof(addr) || colon[1] < '0' || colon[1] > '9')
		return false;
	memcpy(addr, text, (size_t)(colon - text));
	port = strtoul(colon + 1, &rest, 10);
	if (*rest || !port || port > 65535 || inet_pton(AF_INET, addr, &ip4) != 1)
		return false;
	tp_set_ip4(end.ip, ip4);
	end.port = (uint16_t)port;
	*ret_end = end;
	return true;
}

int client_list(char (*names)[IF_NAMESIZE], int max)
{
	DIR *d = opendir(run_root());
	struct dirent *e;
	int n = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (n < max && (e = readdir(d))) {
		if (e->d_name[0] == '.' || strlen(e->d_name) >= IF_NAMESIZE ||
		    !run_daemon(e->d_name))
			continue;
		strcpy(names[n++], e->d_name);
	}
	closedir(d);
	qsort(names, (size_t)n, IF_NAMESIZE, (int (*)(const void *, const void *))strcmp);
	return n;
}

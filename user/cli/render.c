/* SPDX-License-Identifier: BSD-2-Clause
 *
 * render.c - see render.h.
 */
#include "render.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/log.h"
#include "../common/text.h"
#include "cli.h"
#include "client.h"

#define MAX_IFACES 64

int render_args(int argc, char **argv, bool takes_ifname, struct render_args *ret_args)
{
	*ret_args = (struct render_args){ 0 };
	for (int i = 1; i < argc; i++) {
		const char **operand = takes_ifname ? &ret_args->ifname : &ret_args->operand;

		if (cli_wants_help(argv[i])) {
			cli_help(argv[0]);
			return 0;
		}
		if (!strcmp(argv[i], "--json"))
			ret_args->json = true;
		else if (argv[i][0] == '-')
			return cli_usage(argv[0], "unknown option", argv[i]);
		else if (*operand)
			return cli_usage(argv[0], "one at a time, not also", argv[i]);
		else
			*operand = argv[i];
	}
	return -1;
}

static int ask(const char *ifname, const struct tp_ctl *question, char **ret_text)
{
	int fd = client_open(ifname), err;

	if (fd == -EACCES) {
		log_err(fd, "%s: its daemon does not serve you", ifname);
		log_hint("It was attached with --group; 'ls -l /run/taspilot/%s/sock' shows which.",
			 ifname);
		return fd;
	}
	if (fd < 0) {
		log_err(fd, "%s: no daemon answers", ifname);
		log_hint("'taspilot attach %s' starts one.", ifname);
		return fd;
	}
	err = client_ask(fd, question, ret_text);
	if (err == -ESRCH)
		log_warn("no such process");
	else if (err)
		log_err(err, "%s: its daemon cannot answer", ifname);
	if (err == -EOPNOTSUPP)
		log_hint("It is of another version than this command: 'taspilot detach %s', and attach "
			 "anew.", ifname);
	close(fd);
	return err;
}

int render_each(const struct render_args *a, struct tp_ctl *question,
		void (*show)(const char *text, void *arg), void *arg)
{
	char names[MAX_IFACES][IF_NAMESIZE];
	int n = 1, status = 0;

	if (a->ifname && strlen(a->ifname) >= IF_NAMESIZE) {
		log_err(-ENODEV, "%s", a->ifname);
		log_hint("'ip link' lists the interfaces.");
		return 1;
	}
	if (a->ifname)
		strcpy(names[0], a->ifname);
	else
		n = client_list(names, MAX_IFACES);
	for (int i = 0; i < n; i++) {
		char *text;

		if (ask(names[i], question, &text)) {
			status = 1;
			continue;
		}
		show(text, arg);
		free(text);
	}
	return status;
}

/* Objects as they are; of an array, its elements. */
static void add_json(const char *text, void *arg)
{
	struct text *all = arg;
	size_t len = strlen(text);

	while (len && text[len - 1] == '\n')
		len--;
	if (len >= 2 && text[0] == '[') {
		text++;
		len -= 2;
	}
	if (!len)
		return;
	if (all->len > 1)
		text_bytes(all, ",", 1);
	text_bytes(all, text, len);
}

int render_json(const struct render_args *a, struct tp_ctl *question)
{
	struct text all = { 0 };
	int status;

	json_open(&all, NULL, '[');
	status = render_each(a, question, add_json, &all);
	json_close(&all, ']');
	if (all.failed) {
		log_err(-ENOMEM, "too much to show");
		return 1;
	}
	puts(all.buf);
	text_free(&all);
	return status;
}

uint64_t render_num(const char *object, const char *key)
{
	char val[32];

	return json_get(object, key, val, sizeof(val)) ? strtoull(val, NULL, 10) : 0;
}

const char *render_time(uint64_t seconds, char buf[32])
{
	unsigned long long s = seconds;

	if (s < 60)
		snprintf(buf, 32, "%llus", s);
	else if (s < 3600)
		snprintf(buf, 32, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, 32, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		snprintf(buf, 32, "%llud%02lluh", s / 86400, s / 3600 % 24);
	return buf;
}

const char *render_count(uint64_t n, char buf[32])
{
	static const char unit[] = " kMGTP";
	double v = (double)n;
	int u = 0;

	for (; v >= 10000 && unit[u + 1]; u++)
		v /= 1000;
	if (u)
		snprintf(buf, 32, "%.1f%c", v, unit[u]);
	else
		snprintf(buf, 32, "%llu", (unsigned long long)n);
	return buf;
}

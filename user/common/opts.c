/* SPDX-License-Identifier: BSD-2-Clause
 *
 * opts.c - read the options of attach. See opts.h.
 */
#include "opts.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

const char opts_help[] =
	"  --tap NAME                    name of the TAP device (default: tas0)\n"
	"  --queues N                    serve RX queues 0 to N-1 (default: all)\n"
	"  --cpus LIST                   pin the fast threads, as in 2-5 or 2,4\n"
	"  --poll adaptive|busy|event    how the fast threads wait (default: adaptive)\n"
	"  --mode auto|native|skb        XDP in the driver, or generic (default: auto)\n"
	"  --bulk keep|auto|handback     who carries bulk transfers (default: keep)\n"
	"  --group NAME                  who may be accelerated: its members (default: all)\n"
	"  --foreground                  do not go to the background\n";

enum { OPT_TAP, OPT_QUEUES, OPT_CPUS, OPT_POLL, OPT_MODE, OPT_BULK, OPT_GROUP, OPT_FOREGROUND, OPT_READY_FD,
       OPT_HELP };

static const struct option table[] = {
	{ "tap", required_argument, NULL, OPT_TAP },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "poll", required_argument, NULL, OPT_POLL },
	{ "mode", required_argument, NULL, OPT_MODE },
	{ "bulk", required_argument, NULL, OPT_BULK },
	{ "group", required_argument, NULL, OPT_GROUP },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ "ready-fd", required_argument, NULL, OPT_READY_FD },
	{ "help", no_argument, NULL, OPT_HELP },
	{},
};

struct word {
	const char *text;
	int value;
};
static const struct word poll_words[] = { { "adaptive", FAST_POLL_ADAPTIVE },
					  { "busy", FAST_POLL_BUSY },
					  { "event", FAST_POLL_EVENT },
					  {} };
static const struct word mode_words[] = {
	{ "auto", ATTACH_AUTO }, { "native", ATTACH_NATIVE }, { "skb", ATTACH_SKB }, {}
};
static const struct word bulk_words[] = {
	{ "keep", BULK_KEEP }, { "auto", BULK_AUTO }, { "handback", BULK_HANDBACK }, {}
};

static bool read_word(const struct word *w, const char *text, int *ret_value)
{
	for (; w->text; w++) {
		if (strcmp(w->text, text))
			continue;
		*ret_value = w->value;
		return true;
	}
	return false;
}

/* A number at *@text, which moves behind it. */
static bool read_number(const char **text, long max, long *ret_value)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*ret_value = strtol(*text, &end, 10);
	*text = end;
	return !errno && *ret_value <= max;
}

static bool read_whole_number(const char *text, long min, long max, long *ret_value)
{
	return read_number(&text, max, ret_value) && !*text && *ret_value >= min;
}

/* "2-5,8": thread i gets the i-th of them. */
static bool read_cpus(const char *text, int cpu[TP_MAX_THREADS])
{
	long from, to, last = sysconf(_SC_NPROCESSORS_CONF) - 1;
	uint32_t n = 0;

	for (;;) {
		if (!read_number(&text, last, &from))
			return false;
		to = from;
		if (*text == '-' && (text++, !read_number(&text, last, &to)))
			return false;
		if (to < from)
			return false;
		for (; from <= to && n < TP_MAX_THREADS; from++)
			cpu[n++] = (int)from;
		if (!*text)
			return true;
		if (*text++ != ',')
			return false;
	}
}

/* CPUs are given to the threads in turn. */
static void repeat_cpus(int cpu[TP_MAX_THREADS])
{
	uint32_t n = 0;

	while (n < TP_MAX_THREADS && cpu[n] >= 0)
		n++;
	for (uint32_t i = n; n && i < TP_MAX_THREADS; i++)
		cpu[i] = cpu[i - n];
}

/* By name, or by number. */
static bool read_group(const char *arg, gid_t *ret_gid)
{
	const struct group *g = getgrnam(arg);
	long n = 0;

	if (!g && !read_whole_number(arg, 0, INT32_MAX, &n))
		return false;
	*ret_gid = g ? g->gr_gid : (gid_t)n;
	return true;
}

/* False: @arg is not what the option takes. */
static bool take(struct opts *o, int option, const char *arg)
{
	long n = 0;
	int word = 0;
	bool good = true;

	switch (option) {
	case OPT_TAP:
		o->attach.tap = arg;
		return *arg && strlen(arg) < IF_NAMESIZE && !strpbrk(arg, "/ %");
	case OPT_QUEUES:
		good = read_whole_number(arg, 1, 1 << 16, &n);
		o->attach.queues = (uint32_t)n;
		return good;
	case OPT_CPUS:
		return read_cpus(arg, o->cpu);
	case OPT_POLL:
		good = read_word(poll_words, arg, &word);
		o->poll = (enum fast_poll)word;
		return good;
	case OPT_MODE:
		good = read_word(mode_words, arg, &word);
		o->attach.mode = (enum attach_mode)word;
		return good;
	case OPT_BULK:
		good = read_word(bulk_words, arg, &word);
		o->bulk = (enum opts_bulk)word;
		return good;
	case OPT_GROUP:
		o->has_group = true;
		return read_group(arg, &o->group);
	case OPT_FOREGROUND:
		o->foreground = true;
		return true;
	case OPT_READY_FD:
		good = read_whole_number(arg, 0, 1 << 20, &n);
		o->ready_fd = (int)n;
		return good;
	}
	o->help = true;
	return true;
}

static int wrong(const char *command, const char *what, const char *arg)
{
	log_warn("%s: %s '%s'", command, what, arg);
	log_hint("'taspilot %s --help' lists what it takes.", command);
	return 2;
}

static int wrong_value(const char *command, const char *option, const char *arg)
{
	log_warn("%s: --%s cannot be '%s'", command, option, arg);
	log_hint("'taspilot %s --help' lists what it takes.", command);
	return 2;
}

static int take_operand(struct opts *o, int argc, char **argv)
{
	if (o->help)
		return 0;
	if (optind == argc) {
		log_warn("%s: which interface?", argv[0]);
		log_hint("'ip link' lists them: taspilot %s IFACE", argv[0]);
		return 2;
	}
	if (argc - optind > 1)
		return wrong(argv[0], "one interface at a time, not also", argv[optind + 1]);
	o->attach.ifname = argv[optind];
	return 0;
}

int opts_parse(int argc, char **argv, struct opts *ret_opts)
{
	struct opts o = { .ready_fd = -1 };
	int c, index = 0;

	for (uint32_t i = 0; i < TP_MAX_THREADS; i++)
		o.cpu[i] = -1;
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", table, &index)) >= 0) {
		if (c == ':')
			return wrong(argv[0], "a value is missing after", argv[optind - 1]);
		if (c == '?')
			return wrong(argv[0], "unknown option", argv[optind - 1]);
		if (!take(&o, c, optarg))
			return wrong_value(argv[0], table[index].name, optarg);
	}
	repeat_cpus(o.cpu);
	if (take_operand(&o, argc, argv))
		return 2;
	*ret_opts = o;
	return 0;
}

void opts_ready(struct opts *o)
{
	if (o->ready_fd < 0)
		return;
	if (write(o->ready_fd, "ok\n", 3) < 0)
		log_debug("who started us has gone");
	close(o->ready_fd);
	o->ready_fd = -1;
}

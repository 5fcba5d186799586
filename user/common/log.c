/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.c - lines on stderr, each written by one write(2).
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *name = "taspilot";
static bool verbose;

void log_name(const char *n)
{
	name = n;
}

void log_verbose(bool on)
{
	verbose = on;
}

static void line(const char *prefix, const char *fmt, va_list ap, const char *tail)
{
	char text[1024];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n >= 0)
		fprintf(stderr, "%s%s%s%s\n", prefix[0] ? prefix : name, prefix[0] ? "" : ": ", text,
			tail);
}

int log_err(int err, const char *fmt, ...)
{
	char tail[128];
	va_list ap;

	snprintf(tail, sizeof(tail), ": %s", strerror(-err));
	va_start(ap, fmt);
	line("", fmt, ap, tail);
	va_end(ap);
	return err;
}

#define LOG_LINE(prefix)					\
	do {							\
		va_list ap;					\
								\
		va_start(ap, fmt);				\
		line(prefix, fmt, ap, "");			\
		va_end(ap);					\
	} while (0)

void log_warn(const char *fmt, ...)
{
	LOG_LINE("");
}

void log_info(const char *fmt, ...)
{
	LOG_LINE("");
}

void log_debug(const char *fmt, ...)
{
	if (verbose)
		LOG_LINE("");
}

void log_hint(const char *fmt, ...)
{
	LOG_LINE("  ");
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.h - what users and administrators read. Library code never logs: who knows the
 * purpose logs once. "taspilot: WHAT: strerror" and, on a second line, what to do.
 */
#ifndef TASPILOT_LOG_H
#define TASPILOT_LOG_H

#include <stdbool.h>

/* Name in front of each line; default "taspilot". */
void log_name(const char *name);
void log_verbose(bool on);

/* Print "what: strerror(-err)" and return @err unchanged. */
int log_err(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Only with log_verbose(true). */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The second line of an error: what to do, indented. */
void log_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

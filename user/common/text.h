/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text.h - a string that grows, and JSON written into it.
 *
 * Commas come by themselves. Running out of memory is remembered (text.failed) and asked
 * for once, at the end.
 */
#ifndef TASPILOT_TEXT_H
#define TASPILOT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *buf;			/* NUL-terminated once anything was added; NULL before */
	size_t len, room;
	bool failed;
};

void text_free(struct text *t);
void text_bytes(struct text *t, const void *bytes, size_t len);
void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* @key NULL: an element of an array, or the outermost value. */
void json_open(struct text *t, const char *key, char bracket);
void json_close(struct text *t, char bracket);
void json_str(struct text *t, const char *key, const char *val);
void json_num(struct text *t, const char *key, uint64_t val);
void json_bool(struct text *t, const char *key, bool val);

/* The next value of @key in a flat JSON object, as our own json_*() wrote it: a string without
 * its quotes, or a number. Copied to @ret, at most @room bytes with the NUL. False: not there.
 */
bool json_get(const char *object, const char *key, char *ret, size_t room);
/* The object that begins at or after @at, up to its closing brace; NULL: none. *ret_end is
 * behind it.
 */
const char *json_object(const char *at, const char **ret_end);

#endif

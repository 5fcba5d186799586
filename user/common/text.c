/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text.c - see text.h.
 */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_free(struct text *t)
{
	free(t->buf);
	*t = (struct text){ 0 };
}

static bool make_room(struct text *t, size_t more)
{
	size_t want = t->len + more + 1, room = t->room ? t->room : 256;
	char *buf;

	if (t->failed)
		return false;
	if (want <= t->room)
		return true;
	while (room < want)
		room *= 2;
	buf = realloc(t->buf, room);
	if (!buf) {
		t->failed = true;
		return false;
	}
	t->buf = buf;
	t->room = room;
	return true;
}

void text_bytes(struct text *t, const void *bytes, size_t len)
{
	if (!make_room(t, len))
		return;
	memcpy(t->buf + t->len, bytes, len);
	t->len += len;
	t->buf[t->len] = '\0';
}

void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n >= 0 && make_room(t, (size_t)n)) {
		vsnprintf(t->buf + t->len, (size_t)n + 1, fmt, again);
		t->len += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}

/* JSON string: quotes, backslashes and control characters are escaped. */
static void add_quoted(struct text *t, const char *s)
{
	text_bytes(t, "\"", 1);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			text_add(t, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			text_add(t, "\\u%04x", *s);
		else
			text_bytes(t, s, 1);
	}
	text_bytes(t, "\"", 1);
}

static void begin_value(struct text *t, const char *key)
{
	if (t->len && !strchr("{[:,", t->buf[t->len - 1]))
		text_bytes(t, ",", 1);
	if (key) {
		add_quoted(t, key);
		text_bytes(t, ":", 1);
	}
}

void json_open(struct text *t, const char *key, char bracket)
{
	begin_value(t, key);
	text_bytes(t, &bracket, 1);
}

void json_close(struct text *t, char bracket)
{
	text_bytes(t, &bracket, 1);
}

void json_str(struct text *t, const char *key, const char *val)
{
	begin_value(t, key);
	add_quoted(t, val);
}

void json_num(struct text *t, const char *key, uint64_t val)
{
	begin_value(t, key);
	text_add(t, "%llu", (unsigned long long)val);
}

void json_bool(struct text *t, const char *key, bool val)
{
	begin_value(t, key);
	text_add(t, "%s", val ? "true" : "false");
}

bool json_get(const char *object, const char *key, char *ret, size_t room)
{
	char want[64];
	const char *at, *end;
	size_t n;

	snprintf(want, sizeof(want), "\"%s\":", key);
	at = strstr(object, want);
	if (!at)
		return false;
	at += strlen(want);
	end = *at == '"' ? strchr(++at, '"') : at + strcspn(at, ",}]");
	if (!end)
		return false;
	n = (size_t)(end - at) < room - 1 ? (size_t)(end - at) : room - 1;
	memcpy(ret, at, n);
	ret[n] = '\0';
	return true;
}

const char *json_object(const char *at, const char **ret_end)
{
	const char *begin = strchr(at, '{');
	const char *end = begin ? strchr(begin, '}') : NULL;

	if (!end)
		return NULL;
	*ret_end = end + 1;
	return begin;
}

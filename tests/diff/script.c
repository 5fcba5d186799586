/* SPDX-License-Identifier: BSD-2-Clause
 *
 * script.c - read a line of a script of segments.
 */
#include "script.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS	" \t\n"

enum kind { FLAG, NUMBER, BLOCKS };

static const struct {
	const char *name;
	enum kind kind;
	size_t offset;
} keys[] = {
	{ "seq", NUMBER, offsetof(struct line, seq) },
	{ "ack", NUMBER, offsetof(struct line, ack) },
	{ "len", NUMBER, offsetof(struct line, len) },
	{ "win", NUMBER, offsetof(struct line, win) },
	{ "ts", NUMBER, offsetof(struct line, ts) },
	{ "mss", NUMBER, offsetof(struct line, mss) },
	{ "ws", NUMBER, offsetof(struct line, ws) },
	{ "urg", NUMBER, offsetof(struct line, urg) },
	{ "rtt", NUMBER, offsetof(struct line, rtt) },
	{ "times", NUMBER, offsetof(struct line, times) },
	{ "sack", BLOCKS, 0 },
	{ "nots", FLAG, offsetof(struct line, nots) },
	{ "sackok", FLAG, offsetof(struct line, sackok) },
	{ "tsok", FLAG, offsetof(struct line, tsok) },
	{ "plain", FLAG, offsetof(struct line, plain) },
	{ "ecn", FLAG, offsetof(struct line, ecn) },
	{ "ect", FLAG, offsetof(struct line, ect) },
	{ "ce", FLAG, offsetof(struct line, ce) },
	{ "junk", FLAG, offsetof(struct line, junk) },
	{ "badsum", FLAG, offsetof(struct line, badsum) },
	{ "last", FLAG, offsetof(struct line, last) },
};

static int read_flags(const char *text, uint8_t *ret)
{
	static const char letters[] = "FSRPAUEC";

	*ret = 0;
	if (!text)
		return -1;
	for (; *text && *text != '-'; text++) {
		const char *at = strchr(letters, *text);

		if (!at)
			return -1;
		*ret |= (uint8_t)(1U << (at - letters));
	}
	return 0;
}

static int read_number(const char *text, int64_t *ret)
{
	char *end;

	if (!text)
		return -1;
	*ret = strtoll(text, &end, 0);
	return *end || end == text ? -1 : 0;
}

static int read_blocks(const char *text, struct line *l)
{
	int used;

	for (; text && *text; text += used + (text[used] == ',')) {
		uint32_t *block = l->sack[l->nsack];

		if (l->nsack == SACK_MAX || sscanf(text, "%u:%u%n", &block[0], &block[1], &used) != 2)
			return -1;
		l->nsack++;
	}
	return l->nsack ? 0 : -1;
}

static int read_key(const char *name, char **save, struct line *l)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char *at = (char *)l + keys[i].offset;
		struct key *k = (void *)at;

		if (strcmp(name, keys[i].name))
			continue;
		switch (keys[i].kind) {
		case FLAG:
			*(bool *)(void *)at = true;
			return 0;
		case NUMBER:
			k->given = true;
			return read_number(strtok_r(NULL, BLANKS, save), &k->value);
		case BLOCKS:
			return read_blocks(strtok_r(NULL, BLANKS, save), l);
		}
	}
	return -1;
}

static int read_keys(char **save, struct line *l)
{
	const char *name;

	while ((name = strtok_r(NULL, BLANKS, save)))
		if (read_key(name, save, l))
			return -1;
	return 0;
}

int script_line(char *text, struct line *ret)
{
	char *comment = strchr(text, '#'), *save, *verb;
	const char *number;
	struct line l = { 0 };

	if (comment)
		*comment = 0;
	verb = strtok_r(text, BLANKS, &save);
	if (!verb) {
		l.verb = VERB_NONE;
	} else if (!strcmp(verb, "open") || !strcmp(verb, "meet")) {
		l.verb = verb[0] == 'o' ? VERB_OPEN : VERB_MEET;
		if (read_keys(&save, &l))
			return -1;
	} else if (!strcmp(verb, "<")) {
		l.verb = VERB_SEND;
		if (read_flags(strtok_r(NULL, BLANKS, &save), &l.flags) || read_keys(&save, &l))
			return -1;
	} else if (!strcmp(verb, ">") || !strcmp(verb, "~")) {
		l.verb = verb[0] == '>' ? VERB_HEAR : VERB_LISTEN;
		l.number = 1;
		number = strtok_r(NULL, BLANKS, &save);
		if (number && (read_number(number, &l.number) || read_keys(&save, &l)))
			return -1;
	} else if (!strcmp(verb, "!")) {
		l.verb = VERB_APP;
		l.step = strtok_r(NULL, BLANKS, &save);
		if (!l.step)
			return -1;
	} else {
		return -1;
	}
	*ret = l;
	return 0;
}

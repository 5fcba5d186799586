/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trace.c - log lines and pcap files.
 *
 * A log line is   TIME WAY frame N [CLASS N...] EVENT: SEGMENT   and, but for its first word,
 * the same in two runs with the same seed and the same frames.
 */
#include "trace.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define NS_PER_S	1000000000ULL
#define PCAP_NS_MAGIC	0xa1b23c4d
#define PCAP_ETHERNET	1
#define PCAP_BUFFER	(1 << 20)

struct pcap_file {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, sigfigs, snaplen, linktype;
};

struct pcap_record {
	uint32_t sec, nsec, caplen, len;
};

static int64_t clock_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * (int64_t)NS_PER_S + t.tv_nsec;
}

static int pcap_open(const char *prefix, char end, FILE **ret)
{
	static const struct pcap_file head = { PCAP_NS_MAGIC, 2, 4, 0, 0, 65535, PCAP_ETHERNET };
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s.%c.pcap", prefix, end);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	setvbuf(f, NULL, _IOFBF, PCAP_BUFFER);
	fwrite(&head, sizeof(head), 1, f);
	*ret = f;
	return 0;
}

int trace_open(struct trace *t, const char *log, const char *pcap, const char **ret_what)
{
	int err = 0;

	*t = (struct trace){ .start_ns = (uint64_t)clock_of(CLOCK_MONOTONIC) };
	t->real_ns = clock_of(CLOCK_REALTIME) - (int64_t)t->start_ns;
	*ret_what = log;
	if (log) {
		t->log = strcmp(log, "-") ? fopen(log, "we") : stdout;
		if (!t->log)
			return -errno;
	}
	*ret_what = pcap;
	for (unsigned int end = 0; pcap && end < 2 && !err; end++)
		err = pcap_open(pcap, "ab"[end], &t->pcap[end]);
	return err;
}

void trace_flush(struct trace *t)
{
	if (t->log)
		fflush(t->log);
	for (unsigned int end = 0; end < 2; end++)
		if (t->pcap[end])
			fflush(t->pcap[end]);
}

void trace_close(struct trace *t)
{
	trace_flush(t);
	if (t->log && t->log != stdout)
		fclose(t->log);
	for (unsigned int end = 0; end < 2; end++)
		if (t->pcap[end])
			fclose(t->pcap[end]);
}

void trace_event(struct trace *t, uint64_t now_ns, const char *way, const struct schedule *s,
		 const struct segment *seg, const char *event)
{
	static const char *const names[] = { "frame", "data", "ack", "syn", "fin" };
	char text[96];

	if (!t->log)
		return;
	fprintf(t->log, "%.6f %s", (double)(int64_t)(now_ns - t->start_ns) / NS_PER_S, way);
	for (unsigned int c = 0; c < CLASSES; c++)
		if (seg->classes & 1U << c)
			fprintf(t->log, " %s %lu", names[c], s->count[c]);
	segment_print(seg, text, sizeof(text));
	fprintf(t->log, " %s: %s\n", event, text);
}

void trace_frame(struct trace *t, unsigned int end, uint64_t now_ns, const uint8_t *frame,
		 size_t len)
{
	uint64_t at = now_ns + (uint64_t)t->real_ns;
	struct pcap_record r = { (uint32_t)(at / NS_PER_S), (uint32_t)(at % NS_PER_S),
				 (uint32_t)len, (uint32_t)len };

	if (!t->pcap[end])
		return;
	fwrite(&r, sizeof(r), 1, t->pcap[end]);
	fwrite(frame, len, 1, t->pcap[end]);
}

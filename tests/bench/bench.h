/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bench.h - what the measuring programs share: a clock, a histogram, addresses.
 *
 * The histogram counts every value, none is sampled. It is laid out as HdrHistogram's:
 * each power of two is cut into HIST_SUB buckets of equal width, so a value is known to
 * better than 1%, from 1 ns to centuries, in 58 KiB and with no allocation.
 */
#ifndef TASPILOT_BENCH_H
#define TASPILOT_BENCH_H

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define NSEC		1000000000ULL
#define HIST_BITS	7
#define HIST_SUB	(1U << HIST_BITS)
#define HIST_BUCKETS	((64 - HIST_BITS + 1) * HIST_SUB)

struct hist {
	uint64_t count, sum, max;
	uint64_t bucket[HIST_BUCKETS];
};

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NSEC + t.tv_nsec;
}

static inline uint32_t hist_index(uint64_t v)
{
	uint32_t shift;

	if (v < HIST_SUB)
		return v;
	shift = 63 - __builtin_clzll(v) - HIST_BITS;
	return (shift + 1) * HIST_SUB + (uint32_t)((v >> shift) - HIST_SUB);
}

/* The largest value that bucket @i counts. */
static inline uint64_t hist_top(uint32_t i)
{
	uint32_t shift;

	if (i < HIST_SUB)
		return i;
	shift = i / HIST_SUB - 1;
	return ((uint64_t)(i % HIST_SUB + HIST_SUB + 1) << shift) - 1;
}

static inline void hist_add(struct hist *h, uint64_t v)
{
	h->count++;
	h->sum += v;
	if (v > h->max)
		h->max = v;
	h->bucket[hist_index(v)]++;
}

/* The value that @percent of all values do not exceed. */
static inline uint64_t hist_at(const struct hist *h, double percent)
{
	uint64_t want = (uint64_t)(h->count * percent / 100.0 + 0.5), seen = 0;

	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= want && seen)
			return hist_top(i) < h->max ? hist_top(i) : h->max;
	}
	return h->max;
}

static inline double hist_mean(const struct hist *h)
{
	return h->count ? (double)h->sum / h->count : 0;
}

/* "avg_us": 1.0, "p50_us": ... without braces */
static inline void hist_json(const struct hist *h, FILE *to)
{
	fprintf(to,
		"\"avg_us\": %.2f, \"p50_us\": %.2f, \"p90_us\": %.2f, \"p99_us\": %.2f, "
		"\"p99_9_us\": %.2f, \"p99_99_us\": %.2f, \"max_us\": %.2f",
		hist_mean(h) / 1e3, hist_at(h, 50) / 1e3, hist_at(h, 90) / 1e3,
		hist_at(h, 99) / 1e3, hist_at(h, 99.9) / 1e3, hist_at(h, 99.99) / 1e3,
		h->max / 1e3);
}

static inline void hist_text(const struct hist *h, FILE *to)
{
	fprintf(to, "avg %.1f  p50 %.1f  p99 %.1f  p99.99 %.1f  max %.1f us",
		hist_mean(h) / 1e3, hist_at(h, 50) / 1e3, hist_at(h, 99) / 1e3,
		hist_at(h, 99.99) / 1e3, h->max / 1e3);
}

static inline long number(const char *name, const char *text, long least, long most)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < least || n > most)
		errx(2, "%s: '%s' is not a number from %ld to %ld", name, text, least, most);
	return n;
}

static inline double seconds(const char *name, const char *text)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || *end || !(n > 0 && n <= 86400))
		errx(2, "%s: '%s' is not a number of seconds", name, text);
	return n;
}

static inline struct sockaddr_in ipv4(const char *addr, long port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, addr, &sin.sin_addr) != 1)
		errx(2, "'%s' is not an IPv4 address", addr);
	return sin;
}

static inline void nodelay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Room for @n descriptors and a few more, or as much of it as we are allowed. */
static inline void want_fds(rlim_t n)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= n + 64)
		return;
	r.rlim_cur = n + 64 < r.rlim_max ? n + 64 : r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

#endif

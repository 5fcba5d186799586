// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_pipe.c - a pipe that moves and grows under its reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "taspilot/pipe.h"

#define ORDER	18U

static struct tp_pipe_mem mem;

/* No two places of a ring look alike. */
static uint8_t stream(uint64_t pos) { return (uint8_t)(pos * 0x9e3779b97f4a7c15ULL >> 56); }

static void put(uint64_t geom, uint64_t from, uint64_t to)
{
	for (; from != to; from++) {
		uint8_t byte = stream(from);

		pipe_write(&mem, geom, from, &byte, 1);
	}
}

static void compare(const uint8_t *buf, uint64_t from, uint64_t to)
{
	for (uint64_t p = from; p != to; p++)
		if (buf[p - from] != stream(p))
			fail_msg("wrong byte at %lu", p);
}

static void must_hold(uint64_t geom, uint64_t from, uint64_t to)
{
	uint8_t buf[1 << ORDER];

	pipe_read(&mem, geom, from, buf, (uint32_t)(to - from));
	compare(buf, from, to);
}

static void what_was_written_is_read_across_the_wrap(void **state)
{
	uint64_t geom = pipe_geom(TP_ORDER_SMALL, 0);

	(void)state;
	for (uint64_t at = 0; at < 50000; at += 1111) {
		put(geom, at, at + 4096);
		must_hold(geom, at, at + 4096);
	}
}

static void growth_keeps_the_bytes(void **state)
{
	static const struct {
		uint32_t from, to;
		uint64_t tail, base;
	} cases[] = {
		{ 12, 13, 0, 0 },	{ 12, 18, 4000, 0 },	{ 12, 16, 123456789, 123450000 },
		{ 13, 14, 8000, 0 },	{ 13, 18, 1ULL << 40, 77 }, { 16, 17, 65535, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t old = pipe_geom(cases[i].from, cases[i].base), tail = cases[i].tail;
		uint64_t head = tail + (1ULL << cases[i].from), new;

		put(old, tail, head);
		new = pipe_grow(&mem, old, cases[i].to, tail, head);
		must_hold(new, tail, head);
		must_hold(old, tail, head);	/* a reader that has not seen the new one yet */
		put(new, head, tail + (1ULL << cases[i].to));
		must_hold(new, tail, tail + (1ULL << cases[i].to));
	}
}

/* Behind growth the producer fills what fits: a consumer with the old word is unharmed. */
static void a_guarded_ring_does_not_wrap_over_an_older_geometry(void **state)
{
	static const struct {
		uint32_t order;
		uint64_t tail, base;
	} cases[] = {
		{ 12, 4000, 0 }, { 13, 0, 0 }, { 13, 8000, 0 }, { 15, 1ULL << 40, 77 },
		{ 16, 65535, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t old = pipe_geom(cases[i].order, cases[i].base), tail = cases[i].tail;
		uint64_t head = tail + (1ULL << cases[i].order), end = head, now = old, guard = 0;
		uint32_t order;

		put(old, tail, head);
		order = pipe_order_for(old, guard, tail, head, head + 1);
		guard = pipe_guard(old, guard, tail, head);
		now = pipe_grow(&mem, old, order, tail, head);
		assert_true(pipe_fits(now, guard, tail, head + 1));
		for (; pipe_fits(now, guard, tail, end + 1); end++)
			put(now, end, end + 1);
		must_hold(now, tail, end);
		must_hold(old, tail, head);
		assert_true(pipe_fits(now, guard, head, head + (1ULL << order)));
	}
}

static void no_geometry_leads_outside_the_ring(void **state)
{
	static const uint64_t odd[] = { 0, 1, 4095, 1ULL << 57, ~0ULL, 0x123456789abcdefULL };

	(void)state;
	for (uint32_t order = TP_ORDER_SMALL; order <= TP_ORDER_BIG; order++)
		for (size_t i = 0; i < 6; i++)
			for (size_t k = 0; k < 6; k++) {
				uint64_t geom = pipe_geom(order, odd[i]);
				unsigned char *at;
				uint32_t n = pipe_span(&mem, geom, odd[k], ~0U, &at);
				uint32_t off = (uint32_t)(at - pipe_ring(&mem, geom));

				assert_true(pipe_geom_ok(geom));
				assert_true(off + (uint64_t)n == 1ULL << order);
			}
	assert_false(pipe_geom_ok(pipe_geom(11, 0)));
	assert_false(pipe_geom_ok(pipe_geom(24, 0)));
	assert_false(pipe_geom_ok(~0ULL));
}

/* The shared words of one pipe, as in struct tp_slot. */
static struct {
	alignas(TP_LINE) _Atomic uint64_t head;
	_Atomic uint64_t geom;
	alignas(TP_LINE) _Atomic uint64_t tail;
} shm;

#define TOTAL	3000000ULL

static void *producer(void *arg)
{
	uint64_t geom = pipe_geom(TP_ORDER_SMALL, 0), head = 0;
	uint32_t n = 1;

	(void)arg;
	while (head < TOTAL) {
		uint64_t tail = atomic_load_explicit(&shm.tail, memory_order_acquire);
		uint32_t order = pipe_order(geom);

		n = (n * 1103515245U + 12345U) & 0x3fff;
		if (tail == head)
			geom = pipe_geom(order, head);
		if (head + n - tail > 1ULL << order) {
			if (order == ORDER || head + n - tail > 2ULL << order)
				continue;
			geom = pipe_grow(&mem, geom, order + 1, tail, head);
		}
		atomic_store_explicit(&shm.geom, geom, memory_order_relaxed);
		atomic_thread_fence(memory_order_release);
		put(geom, head, head + n);
		head += n;
		atomic_store_explicit(&shm.head, head, memory_order_release);
	}
	return NULL;
}

static void a_reader_beside_a_growing_writer_sees_every_byte(void **state)
{
	uint64_t tail = 0;
	pthread_t t;

	(void)state;
	atomic_store(&shm.geom, pipe_geom(TP_ORDER_SMALL, 0));
	assert_int_equal(pthread_create(&t, NULL, producer, NULL), 0);
	while (tail < TOTAL) {
		uint64_t head = atomic_load_explicit(&shm.head, memory_order_acquire);
		static uint8_t buf[1 << ORDER];
		uint64_t geom;

		do {
			geom = atomic_load_explicit(&shm.geom, memory_order_relaxed);
			pipe_read(&mem, geom, tail, buf, (uint32_t)(head - tail));
			atomic_thread_fence(memory_order_acquire);
		} while (geom != atomic_load_explicit(&shm.geom, memory_order_relaxed));
		compare(buf, tail, head);
		tail = head;
		atomic_store_explicit(&shm.tail, tail, memory_order_release);
	}
	pthread_join(t, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read_across_the_wrap),
		cmocka_unit_test(growth_keeps_the_bytes),
		cmocka_unit_test(a_guarded_ring_does_not_wrap_over_an_older_geometry),
		cmocka_unit_test(no_geometry_leads_outside_the_ring),
		cmocka_unit_test(a_reader_beside_a_growing_writer_sees_every_byte),
	};
	int err;

	mem.small = aligned_alloc(TP_LINE, TP_PIPE_SMALL);
	mem.big = aligned_alloc(TP_LINE, 1U << ORDER);
	if (!mem.small || !mem.big)
		return 1;
	err = cmocka_run_group_tests_name("pipe", tests, NULL, NULL);
	free(mem.small);
	free(mem.big);
	return err;
}

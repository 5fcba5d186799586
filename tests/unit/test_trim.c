/* SPDX-License-Identifier: BSD-2-Clause */
/* needs: user/fast/trim.c user/shim/lock.c */
/*
 * test_trim.c - an idle connection gives its payload pages back, and no byte is lost by that.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/fast/trim.h"
#include "../../user/shim/shim.h"
#include "taspilot/pipe.h"

#define SLOT_BYTES	4096ULL
#define SMALL		(2ULL * TP_PIPE_SMALL)
#define ALL		(SLOT_BYTES + SMALL + 2ULL * TP_PIPE_BIG)
#define RACE_BYTES	20000U

struct lab {
	int fd;
	unsigned char *base;
	struct tp_slot *slot;
	struct tcp tcp;
};

static int set_up(void **state)
{
	struct lab *l = aligned_alloc(TP_LINE, sizeof(*l) + TP_LINE - sizeof(*l) % TP_LINE);

	memset(l, 0, sizeof(*l));
	l->fd = memfd_create("trim", 0);
	assert_int_equal(ftruncate(l->fd, ALL), 0);
	l->base = mmap(NULL, ALL, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
	assert_ptr_not_equal(l->base, MAP_FAILED);
	l->slot = (void *)l->base;
	l->tcp.slot = l->slot;
	l->tcp.rx.small = l->base + SLOT_BYTES;
	l->tcp.tx.small = l->tcp.rx.small + TP_PIPE_SMALL;
	l->tcp.rx.big = l->tcp.rx.small + SMALL;
	l->tcp.tx.big = l->tcp.rx.big + TP_PIPE_BIG;
	l->tcp.rx_geom = pipe_geom(TP_ORDER_SMALL, 0);
	l->slot->rx_geom = l->slot->tx_geom = l->tcp.rx_geom;
	*state = l;
	return 0;
}

static int tear_down(void **state)
{
	struct lab *l = *state;

	munmap(l->base, ALL);
	close(l->fd);
	free(l);
	return 0;
}

/* Pages that exist, but for the slot's own. */
static long pages(const struct lab *l)
{
	struct stat st;

	fstat(l->fd, &st);
	return st.st_blocks / 8 - 1;
}

static void an_idle_connection_holds_no_payload_page(void **state)
{
	struct lab *l = *state;

	memset(l->tcp.rx.small, 1, 64);
	memset(l->tcp.tx.small, 1, 64);
	assert_int_equal(pages(l), 2);
	assert_true(trim_pipes(&l->tcp));
	assert_int_equal(pages(l), 0);
	assert_int_equal(l->slot->tx_lock, 0);
}

static void large_rings_go_too_and_begin_small_again(void **state)
{
	struct lab *l = *state;

	l->tcp.rx_geom = pipe_geom(20, 0);
	l->slot->rx_geom = l->tcp.rx_geom;
	l->slot->tx_geom = pipe_geom(21, 0);
	l->tcp.rx_head = l->slot->rx_head = l->slot->rx_tail = 500000;
	memset(l->tcp.rx.big, 1, 1U << 20);
	memset(l->tcp.tx.big, 1, 1U << 21);
	assert_true(trim_pipes(&l->tcp));
	assert_int_equal(pages(l), 0);
	assert_int_equal(pipe_order(l->slot->rx_geom), TP_ORDER_SMALL);
	assert_int_equal(pipe_offset(l->slot->rx_geom, 500000), 0);
}

static void what_is_in_a_pipe_keeps_the_pages(void **state)
{
	struct lab *l = *state;

	memset(l->tcp.rx.small, 1, 64);
	memset(l->tcp.tx.small, 1, 64);
	l->tcp.rx_head = l->slot->rx_head = 10;		/* unread */
	assert_false(trim_pipes(&l->tcp));
	l->slot->rx_tail = 10;
	l->slot->tx_head = 5;				/* written, not yet acknowledged */
	assert_false(trim_pipes(&l->tcp));
	l->tcp.tx_tail = 5;
	l->tcp.nrange = 1;				/* a run behind a hole */
	assert_false(trim_pipes(&l->tcp));
	l->tcp.nrange = 0;
	l->slot->tx_lock = 17;				/* the program is about to write */
	assert_false(trim_pipes(&l->tcp));
	assert_int_equal(l->slot->tx_lock, 17);
	assert_int_equal(pages(l), 2);
	l->slot->tx_lock = 0;
	assert_true(trim_pipes(&l->tcp));
	assert_int_equal(pages(l), 0);
}

static unsigned char pattern(uint64_t pos) { return (unsigned char)(pos * 31 + (pos >> 8) * 7 + 1); }

/* As io.c writes: under the lock, into the pipe, then tx_head. */
static void *writer(void *arg)
{
	struct lab *l = arg;
	struct tp_slot *s = l->slot;

	for (uint64_t head = 0; head < RACE_BYTES;) {
		enum lock_got got = lock_take(&s->tx_lock);
		uint64_t tail = atomic_load_explicit(&s->tx_tail, memory_order_acquire);
		uint64_t geom = pipe_geom(TP_ORDER_SMALL, 0);

		if (got == LOCK_TAKEN && head - tail < 64) {
			unsigned char c = pattern(head);

			pipe_write(&l->tcp.tx, geom, head, &c, 1);
			atomic_store_explicit(&s->tx_head, ++head, memory_order_release);
		}
		lock_drop(&s->tx_lock, got);
	}
	return NULL;
}

static void no_byte_is_lost_to_a_program_that_writes_meanwhile(void **state)
{
	struct lab *l = *state;
	struct tp_slot *s = l->slot;
	uint64_t geom = pipe_geom(TP_ORDER_SMALL, 0), wrong = 0;
	pthread_t w;

	assert_int_equal(pthread_create(&w, NULL, writer, l), 0);
	while (l->tcp.tx_tail < RACE_BYTES) {
		uint64_t head = atomic_load_explicit(&s->tx_head, memory_order_acquire);

		for (; l->tcp.tx_tail != head; l->tcp.tx_tail++) {
			unsigned char c;

			pipe_read(&l->tcp.tx, geom, l->tcp.tx_tail, &c, 1);
			wrong += c != pattern(l->tcp.tx_tail);
		}
		atomic_store_explicit(&s->tx_tail, head, memory_order_release);
		trim_pipes(&l->tcp);
	}
	pthread_join(w, NULL);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define t(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		t(an_idle_connection_holds_no_payload_page),
		t(large_rings_go_too_and_begin_small_again),
		t(what_is_in_a_pipe_keeps_the_pages),
		t(no_byte_is_lost_to_a_program_that_writes_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

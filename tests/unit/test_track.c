// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/slow/track.c user/slow/segment.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../user/slow/track.h"
#include "slow_frames.h"

static const uint8_t eth[ETH_HLEN] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 };

/* One frame of a handshake, and what the tracker must say to it. */
struct step {
	bool from_linux;
	uint8_t flags;
	uint32_t seq, ack, len;
	enum track_says says;
};

static void walk(struct track *t, const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct segment s = { .flags = steps[i].flags, .seq = steps[i].seq,
				     .ack = steps[i].ack, .len = steps[i].len };
		enum track_says says = steps[i].from_linux ? track_linux(t, &s, eth) :
							     track_wire(t, &s, 1);

		if (says != steps[i].says)
			fail_msg("step %zu: says %d, want %d", i, says, steps[i].says);
	}
}
#define WALK(t, ...)								\
	do {									\
		static const struct step steps_[] = { __VA_ARGS__ };		\
		walk(t, steps_, sizeof(steps_) / sizeof(steps_[0]));		\
	} while (0)

#define SA (WIRE_SYN | WIRE_ACK)

static void the_third_ack_establishes_an_accepted_connection(void **state)
{
	struct track t;

	(void)state;
	track_init(&t);
	WALK(&t, { false, WIRE_SYN, 100, 0, 0, TRACK_GOES_ON }, { true, SA, 500, 101, 0, TRACK_GOES_ON },
	     { false, WIRE_ACK, 101, 501, 0, TRACK_ESTABLISHED });
	assert_true(t.passive);
	assert_int_equal(t.to_linux, 101);
	assert_int_equal(t.queue, 1);
	assert_memory_equal(t.eth, eth, sizeof(eth));
}

static void linuxs_third_ack_establishes_a_connected_one(void **state)
{
	struct track t;

	(void)state;
	track_init(&t);
	WALK(&t, { true, WIRE_SYN, 500, 0, 0, TRACK_GOES_ON }, { false, SA, 100, 501, 0, TRACK_GOES_ON },
	     { true, WIRE_ACK, 501, 101, 0, TRACK_ESTABLISHED });
	assert_false(t.passive);
	assert_int_equal(t.to_linux, 101);
}

static void data_may_stand_in_for_a_lost_third_ack(void **state)
{
	struct track t;

	(void)state;
	track_init(&t);
	WALK(&t, { false, WIRE_SYN, 100, 0, 0, TRACK_GOES_ON }, { true, SA, 500, 101, 0, TRACK_GOES_ON },
	     { false, WIRE_ACK, 101, 501, 40, TRACK_ESTABLISHED });
	assert_int_equal(t.to_linux, 141);
}

static void repeated_steps_move_nothing_back(void **state)
{
	struct track t;

	(void)state;
	track_init(&t);
	WALK(&t, { false, WIRE_SYN, 100, 0, 0, TRACK_GOES_ON }, { false, WIRE_SYN, 100, 0, 0, TRACK_GOES_ON },
	     { true, SA, 500, 101, 0, TRACK_GOES_ON }, { true, SA, 500, 101, 0, TRACK_GOES_ON },
	     { false, WIRE_ACK, 101, 501, 0, TRACK_ESTABLISHED },
	     { false, WIRE_ACK, 101, 501, 10, TRACK_GOES_ON },
	     { true, SA, 500, 101, 0, TRACK_GOES_ON });
	assert_true(t.established);
	assert_int_equal(t.to_linux, 111);
}

static void an_ack_of_nothing_establishes_nothing(void **state)
{
	struct track t;

	(void)state;
	track_init(&t);
	WALK(&t, { false, WIRE_SYN, 100, 0, 0, TRACK_GOES_ON },
	     { false, WIRE_ACK, 101, 501, 0, TRACK_GOES_ON },	/* before any SYN-ACK */
	     { true, SA, 500, 101, 0, TRACK_GOES_ON },
	     { false, WIRE_ACK, 101, 500, 0, TRACK_GOES_ON });	/* not of our SYN */
	assert_false(t.established);
}

static void another_number_begins_anew(void **state)
{
	struct track t;

	(void)state;
	track_init(&t);
	WALK(&t, { false, WIRE_SYN, 100, 0, 0, TRACK_GOES_ON }, { true, SA, 500, 101, 0, TRACK_GOES_ON },
	     { false, WIRE_SYN, 9000, 0, 0, TRACK_GOES_ON });
	assert_false(t.synack_seen);
	assert_int_equal(t.to_linux, 9001);
}

static void a_syn_ack_alone_tells_of_its_syn(void **state)
{
	struct track t;

	(void)state;
	track_init(&t);
	WALK(&t, { true, SA, 500, 101, 0, TRACK_GOES_ON },
	     { false, WIRE_ACK, 101, 501, 0, TRACK_ESTABLISHED });
	assert_int_equal(t.iss_wire, 100);
	assert_int_equal(t.to_linux, 101);
}

static void a_reset_ends_it_from_either_side(void **state)
{
	struct track t;

	(void)state;
	track_init(&t);
	WALK(&t, { false, WIRE_SYN, 100, 0, 0, TRACK_GOES_ON },
	     { true, WIRE_RST | WIRE_ACK, 0, 101, 0, TRACK_OVER });
	track_init(&t);
	WALK(&t, { true, WIRE_SYN, 100, 0, 0, TRACK_GOES_ON }, { false, WIRE_RST, 0, 0, 0, TRACK_OVER });
}

static void what_linux_was_given_only_grows_and_may_wrap(void **state)
{
	struct track t;

	(void)state;
	track_init(&t);
	WALK(&t, { false, WIRE_SYN, 0xfffffff0, 0, 0, TRACK_GOES_ON },
	     { true, SA, 500, 0xfffffff1, 0, TRACK_GOES_ON },
	     { false, WIRE_ACK, 0xfffffff1, 501, 32, TRACK_ESTABLISHED },
	     { false, WIRE_ACK, 0xfffffff1, 501, 5, TRACK_GOES_ON },	/* old */
	     { false, WIRE_ACK, 0x60000000, 501, 5, TRACK_GOES_ON });	/* a stranger's */
	assert_int_equal(t.to_linux, 0x11);
}

static void what_only_linux_does_is_noticed(void **state)
{
	struct segment tfo = { .flags = WIRE_SYN, .len = 4 };
	struct segment odd = { .flags = SA, .odd_options = true };
	struct track t;

	(void)state;
	track_init(&t);
	track_wire(&t, &tfo, 0);
	assert_true(t.odd);
	track_init(&t);
	track_linux(&t, &odd, eth);
	assert_true(t.odd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_third_ack_establishes_an_accepted_connection),
		cmocka_unit_test(linuxs_third_ack_establishes_a_connected_one),
		cmocka_unit_test(data_may_stand_in_for_a_lost_third_ack),
		cmocka_unit_test(repeated_steps_move_nothing_back),
		cmocka_unit_test(an_ack_of_nothing_establishes_nothing),
		cmocka_unit_test(another_number_begins_anew),
		cmocka_unit_test(a_syn_ack_alone_tells_of_its_syn),
		cmocka_unit_test(a_reset_ends_it_from_either_side),
		cmocka_unit_test(what_linux_was_given_only_grows_and_may_wrap),
		cmocka_unit_test(what_only_linux_does_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_generic.c - generic mode: what tp_door wraps, tp_xdp takes for what it is.
 */
#include "lab.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <string.h>

#define SYN	0x02
#define ACK	0x10

static struct lab_frame f;

static void a_frame_through_the_door_passes_xdp_unchanged(void **state)
{
	static const uint32_t states[] = { TP_NONE, TP_WATCH, TP_HOLD, TP_FAST, TP_LINUX };
	struct lab_frame wrapped;
	const struct lab_result *r;

	(void)state;
	lab_listen(0, LAB_PORT);
	lab_tcp(&f, &(struct lab_spec){ .flags = SYN, .payload = 100 });
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		lab_flow(states[i], 0, 0);
		r = lab_run(lab_tc->progs.tp_door, &f);
		assert_int_equal(r->action, TC_ACT_REDIRECT);
		assert_int_equal(r->out.len, f.len + 14);
		wrapped = r->out;

		r = lab_run(lab_xdp->progs.tp_xdp, &wrapped);
		assert_int_equal(r->verdict, TP_V_XDP_DOOR);
		assert_int_equal(r->action, XDP_PASS);
		assert_int_equal(r->out.len, f.len);
		assert_memory_equal(r->out.b, f.b, f.len);
	}
}

static void where_nobody_would_unwrap_nothing_is_wrapped(void **state)
{
	const struct lab_result *r;

	(void)state;
	lab_tcp(&f, &(struct lab_spec){ .flags = ACK, .payload = 100 });
	lab_tc->bss->tp_no_xdp = true;
	r = lab_run(lab_tc->progs.tp_door, &f);
	lab_tc->bss->tp_no_xdp = false;
	assert_int_equal(r->verdict, TP_V_DOOR_IN);
	assert_int_equal(r->out.len, f.len);
	assert_memory_equal(r->out.b, f.b, f.len);
}

static void arp_through_the_door_passes_xdp_unchanged(void **state)
{
	struct lab_frame wrapped;
	const struct lab_result *r;

	(void)state;
	lab_arp(&f, LAB_FROM_WIRE, true);
	wrapped = lab_run(lab_tc->progs.tp_door, &f)->out;
	r = lab_run(lab_xdp->progs.tp_xdp, &wrapped);
	assert_int_equal(r->verdict, TP_V_XDP_DOOR);
	assert_memory_equal(r->out.b, f.b, f.len);
}

static void a_guessed_wrapping_is_not_taken_off(void **state)
{
	struct lab_frame wrapped;
	const struct lab_result *r;

	(void)state;
	lab_tcp(&f, &(struct lab_spec){ .flags = SYN });
	wrapped = lab_run(lab_tc->progs.tp_door, &f)->out;
	for (int i = 0; i < 14; i++) {
		wrapped.b[i] ^= 1;
		r = lab_run(lab_xdp->progs.tp_xdp, &wrapped);
		assert_int_equal(r->verdict, TP_V_XDP_PASS_OTHER);
		assert_int_equal(r->out.len, wrapped.len);
		wrapped.b[i] ^= 1;
	}
}

static void the_wire_is_steered_as_in_native_mode(void **state)
{
	(void)state;
	lab_flow(TP_FAST, 0, 0);
	lab_tcp(&f, &(struct lab_spec){ .flags = ACK });
	assert_int_equal(lab_run(lab_xdp->progs.tp_xdp, &f)->verdict, TP_V_XDP_FAST);
	lab_flow(TP_HOLD, 0, 0);
	assert_int_equal(lab_run(lab_xdp->progs.tp_xdp, &f)->verdict, TP_V_XDP_HOLD);
}

/* GRO that cannot be switched off, or a veth peer's TSO. BPF_PROG_TEST_RUN feeds no more than
 * a page: what does not even fit a record is tested in tests/netns/passthrough.sh.
 */
static void a_merged_frame_that_fits_no_socket_goes_to_the_ring(void **state)
{
	const struct lab_result *r;

	(void)state;
	lab_flow(TP_FAST, 0, 0);
	lab_tcp(&f, &(struct lab_spec){ .flags = ACK, .payload = LAB_MTU + 18 - 54 });
	assert_int_equal(lab_run(lab_xdp->progs.tp_xdp, &f)->verdict, TP_V_XDP_FAST);
	lab_tcp(&f, &(struct lab_spec){ .flags = ACK, .payload = LAB_MTU + 19 - 54 });
	r = lab_run(lab_xdp->progs.tp_xdp, &f);
	assert_int_equal(r->verdict, TP_V_XDP_MERGED);
	assert_int_equal(r->action, XDP_DROP);
	assert_true(r->ringed);
	assert_int_equal(r->record.state, TP_FAST);
	assert_int_equal(r->record.len, f.len);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup(t, lab_reset)
	const struct CMUnitTest tests[] = {
		TEST(a_frame_through_the_door_passes_xdp_unchanged),
		TEST(where_nobody_would_unwrap_nothing_is_wrapped),
		TEST(arp_through_the_door_passes_xdp_unchanged),
		TEST(a_guessed_wrapping_is_not_taken_off),
		TEST(the_wire_is_steered_as_in_native_mode),
		TEST(a_merged_frame_that_fits_no_socket_goes_to_the_ring),
	};

	return cmocka_run_group_tests_name("generic", tests, lab_open_generic, lab_close);
}

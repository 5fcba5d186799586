/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handback.h - FAST -> LINUX, and every other end of a flow that was ours. See handback.c.
 */
#ifndef TASPILOT_SLOW_HANDBACK_H
#define TASPILOT_SLOW_HANDBACK_H

#include <stdint.h>

#include "../fast/fast.h"
#include "conn.h"
#include "made.h"
#include "relay.h"

struct slow;

/* A made segment of @c, to Linux or to the peer. */
void handback_say(struct slow *s, const struct conn *c, enum made_to to,
		  const struct made_seg *seg);
/* Phase BACK: a frame of the peer, of Linux. */
void handback_from_wire(struct slow *s, struct conn *c, const struct segment *seg,
			const struct virtio_net_hdr *vnet, const uint8_t *frame, uint32_t len,
			uint32_t queue);
void handback_from_linux(struct slow *s, struct conn *c, const struct segment *seg,
			 const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len);
/* A FIN of Linux, @seg, that the thread has sent in its place. */
bool handback_is_done(const struct conn *c, const struct segment *seg);
/* A frame of the peer, @seg, that was repeated while we had it: Linux is in TIME_WAIT and has it all. */
bool handback_is_old(struct slow *s, const struct conn *c, const struct segment *seg);
/* Asked for: the flow is to go back when it is quiet. */
void handback_begin(struct slow *s, struct conn *c, enum tp_reason reason);
/* Once in a while: the peer has finished, and since the last time nothing was read of what came before
 * that. Then it becomes Linux's: perhaps somebody waits for it there whom we do not see.
 */
void handback_unread(struct slow *s, struct conn *c);
/* Linux sent FIN, RST (phase FAST). */
void handback_fin(struct slow *s, struct conn *c);
void handback_linux_reset(struct slow *s, struct conn *c);
/* The last reference to a claimed socket went. */
void handback_released(struct slow *s, uint64_t cookie);
/* Somebody uses a claimed socket past the shim. */
void handback_stranger(struct slow *s, uint64_t cookie);
/* Events of the fast thread. */
void handback_event(struct slow *s, const struct fast_event *ev);
/* Phase BACK, DEAD: time to look again whether Linux has understood. */
void handback_again(struct slow *s, struct conn *c);
/* Linux holds a TIME_WAIT, as @a says, that is the peer's to hold: end it. False: it does not. */
bool handback_end_time_wait(struct slow *s, struct conn *c, const struct tp_answer *a);
/* Reset both ends, whatever state it is in. */
void handback_kill(struct slow *s, struct conn *c);
/* It has no entry any more: found by its slot's owner only, or freed. */
void handback_gone(struct slow *s, struct conn *c);

#endif

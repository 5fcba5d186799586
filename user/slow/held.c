/* SPDX-License-Identifier: BSD-2-Clause
 *
 * held.c - see held.h.
 */
#include "held.h"

#include <stdlib.h>
#include <string.h>

bool held_put(struct held *h, enum seg_from from, uint32_t queue, const struct virtio_net_hdr *vnet,
	      const uint8_t *frame, uint32_t len)
{
	struct held_frame *f;

	if (h->count >= HELD_MAX)
		return false;
	f = malloc(sizeof(*f) + len);
	if (!f)
		return false;
	f->from = from;
	f->queue = queue;
	f->vnet = *vnet;
	f->len = len;
	memcpy(f->data, frame, len);
	list_add_tail(&h->frames, &f->link);
	h->count++;
	return true;
}

struct held_frame *held_take(struct held *h)
{
	struct held_frame *f;

	if (list_empty(&h->frames))
		return NULL;
	f = container_of(h->frames.next, struct held_frame, link);
	list_del(&f->link);
	h->count--;
	return f;
}

void held_drop_all(struct held *h)
{
	struct held_frame *f;

	while ((f = held_take(h)))
		free(f);
}

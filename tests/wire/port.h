/* SPDX-License-Identifier: BSD-2-Clause
 *
 * port.h - one end of the wire: raw frames in and out of an interface.
 */
#ifndef WIRE_PORT_H
#define WIRE_PORT_H

#include "pending.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_BATCH	64
#define PORT_FRAME_MAX	16384

struct port {
	char name[IFNAMSIZ];
	int fd;
	struct port_buffers *buf;
	uint64_t missed;		/* frames that the kernel dropped before we read them */
};

/* A frame that came in. Its memory is the port's until the next call, and may be changed. */
struct arrival {
	uint64_t at_ns;			/* CLOCK_MONOTONIC, when the kernel had it */
	uint8_t *data;
	size_t len;
	bool too_long;			/* of more than PORT_FRAME_MAX bytes: cut off */
	bool no_checksum;		/* the sender left it to its device */
};

/* All that arrives at @ifname from outside, promiscuously; its receive offloads go off, as
 * they would merge frames. 0 or -errno.
 */
int port_open(const char *ifname, struct port *ret_port);
void port_close(struct port *p);

/* Up to PORT_BATCH frames into @ret; how many, or -errno. Does not wait. */
int port_receive(struct port *p, struct arrival *ret);

/* Send frames in order; how many went, or -errno why not even the first did:
 * -ENOBUFS, -EAGAIN: later perhaps.
 */
int port_send(struct port *p, struct frame *const *frames, unsigned int n);

/* Ask the kernel how many frames it could not give us: adds to p->missed. */
void port_count_missed(struct port *p);

#endif

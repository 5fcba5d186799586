/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tap.h - the TAP device: the slow path's door to Linux. It has no address and no route,
 * and lives exactly as long as its descriptor.
 */
#ifndef TASPILOT_SLOW_TAP_H
#define TASPILOT_SLOW_TAP_H

#include <net/if.h>
#include <stdint.h>

/* A non-blocking descriptor that carries a struct virtio_net_hdr before each frame, or
 * -errno. @name NULL: the first free of tas0, tas1... ; else -EBUSY if it exists.
 */
int tap_open(const char *name, uint32_t mtu, char ret_name[IF_NAMESIZE]);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * from_linux.h - what a frame means that Linux wants to send.
 */
#ifndef TASPILOT_SLOW_FROM_LINUX_H
#define TASPILOT_SLOW_FROM_LINUX_H

#include <linux/virtio_net.h>
#include <stdint.h>

struct slow;

void from_linux(struct slow *s, const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len);

#endif

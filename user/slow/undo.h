/* SPDX-License-Identifier: BSD-2-Clause
 *
 * undo.h - take taspilot off a NIC, from what the state file and the pins say. Needs no
 * daemon: used by a failed attach, by detach, and after a daemon was killed.
 */
#ifndef TASPILOT_SLOW_UNDO_H
#define TASPILOT_SLOW_UNDO_H

#include <stdbool.h>

/* Is there something to undo? Also true while a daemon lives. */
bool undo_needed(const char *ifname);

/* All of it; steps that fail do not keep the others from being taken. The caller made sure
 * that no daemon lives. -EXDEV: offloads or filters were left, since the NIC is in another
 * network namespace.
 */
int undo_attach(const char *ifname);
/* The same, but for the run directory: for a daemon that goes on. */
int undo_changes(const char *ifname);

/* XDP alone. @ifindex: where it is, 0 if that is not known. */
void undo_xdp(const char *ifname, int ifindex);

#endif

/* SPDX-License-Identifier: BSD-2-Clause
 *
 * notify.h - tell the service manager that started us how we are (sd_notify(3)).
 */
#ifndef TASPILOT_NOTIFY_H
#define TASPILOT_NOTIFY_H

/* One datagram, "READY=1", "STOPPING=1" or the like, to the socket that NOTIFY_SOCKET names, a
 * path or "@" and an abstract name. 0, also if nobody asked for it; or -errno.
 */
int notify(const char *text);

#endif

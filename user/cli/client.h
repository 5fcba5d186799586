/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client.h - talk to a daemon over its control socket (ctl_abi.h).
 */
#ifndef TASPILOT_CLI_CLIENT_H
#define TASPILOT_CLI_CLIENT_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "taspilot/ctl_abi.h"

/* A descriptor, or -errno: -ENOENT, -ECONNREFUSED: no daemon. */
int client_open(const char *ifname);

/* Ask one question whose answer is text: all of it, with a NUL behind, in memory that the
 * caller frees. 0, or -errno (also the daemon's own refusal).
 */
int client_ask(int fd, const struct tp_ctl *question, char **ret_text);

/* "10.0.0.1:5000" as one end of a connection. False: it is none. */
bool client_end(const char *text, struct tp_end *ret_end);

/* Names of the interfaces that a live daemon serves, in order. How many, or -errno. */
int client_list(char (*names)[IF_NAMESIZE], int max);

#endif

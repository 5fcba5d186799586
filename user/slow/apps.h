/* SPDX-License-Identifier: BSD-2-Clause
 *
 * apps.h - the programs: what a control connection of one has asked for. See apps.c.
 */
#ifndef TASPILOT_SLOW_APPS_H
#define TASPILOT_SLOW_APPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/list.h"
#include "region.h"
#include "taspilot/ctl_abi.h"

struct slow;

#define APP_REGIONS	32U		/* a process can be given */
#define APP_LISTENS	1024U		/* ports of one process */
#define APPS_CONNECTS	65536U		/* connect()s under way, a power of two */

struct app {
	struct list link;		/* of those that said HELLO */
	uid_t uid;
	pid_t pid;
	uint32_t number;		/* in tp_tasks; 0: this kernel does not tell */
	bool uring;			/* it uses io_uring: nothing of it is accelerated */
	struct region *own;		/* HELLO's; NULL before */
	struct region *given[APP_REGIONS];
	uint32_t givens;
	struct list ctxs, listens;
	uint32_t listen_count;
};

/* Shared by all programs. */
struct apps {
	struct list listeners;		/* ports, with reference counts */
	struct list all;		/* programs */
	uint32_t numbers;		/* given to programs so far */
	uint64_t netns_cookie;		/* ours; 0: the kernel does not say */
	struct { uint64_t cookie, until_ns; } connect[APPS_CONNECTS];
	uint32_t connect_head, connect_tail;
};

void apps_init(struct slow *s);
/* Detaching: no SYN of a program's ports is taken any more. */
void apps_close(struct slow *s);
/* What has passed its time. */
void apps_expire(struct slow *s);

/* The program @number has made an io_uring. */
void apps_uring(struct slow *s, uint32_t number);

void app_init(struct app *a, uid_t uid, pid_t pid);
/* The answer @m did not reach the program, which goes on as if it had not asked. */
void app_unheard(struct slow *s, const struct tp_ctl *m);
/* Its connection closed. */
void app_fini(struct slow *s, struct app *a);

/* fds that go with a reply; the receiver gets copies. */
#define APP_FDS		(1 + TP_MAX_THREADS)
struct app_fds {
	int fd[APP_FDS];
	uint32_t count;
};

/* One request of a program; @fd came with it, -1 none, and is taken over. @m becomes the reply.
 * False: no request of programs.
 */
bool app_request(struct slow *s, struct app *a, struct tp_ctl *m, int fd, struct app_fds *ret_fds);

#endif

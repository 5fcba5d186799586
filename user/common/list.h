/* SPDX-License-Identifier: BSD-2-Clause
 *
 * list.h - doubly linked lists whose links lie in their members.
 *
 * A list is its head; an empty head points to itself. list_del() leaves a member that may be
 * added again, or deleted again without harm.
 */
#ifndef TASPILOT_LIST_H
#define TASPILOT_LIST_H

#include <stdbool.h>
#include <stddef.h>

#ifndef container_of
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#endif

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }

static inline void list_add_tail(struct list *head, struct list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void list_del(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

/* Move all of @from to the end of @to. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* @pos may be deleted, and freed, inside the loop; @tmp is the loop's own. */
#define list_each(pos, tmp, head)						\
	for (struct list *pos = (head)->next, *tmp = pos->next; pos != (head);	\
	     pos = tmp, tmp = pos->next)

#endif

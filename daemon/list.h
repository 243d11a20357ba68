/* SPDX-License-Identifier: MIT */
/* A doubly linked ring with its head in it. An entry that is in no list points to itself, so that
 * leaving twice is harmless. */
#pragma once

#include "proto/util.h"

#include <stdbool.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *list)
{
	list->next = list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_append(struct list *head, struct list *entry)
{
	entry->prev = head->prev;
	entry->next = head;
	head->prev->next = entry;
	head->prev = entry;
}

static inline void list_leave(struct list *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	list_init(entry);
}

/* Nobody may leave or come in it, but by ending it. */
#define list_for_each(entry, head)                                                             \
	for (struct list *entry = (head)->next; entry != (head); entry = entry->next)

#define list_first(head, type, member) container_of((head)->next, type, member)

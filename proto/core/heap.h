#pragma once
/*
 * Deadlines: a binary heap of (time, index) in which each index stands at most once and can be
 * moved or taken out. One allocation at start.
 */
#include "proto/base/base.h"

struct heap {
	struct heap_entry {
		int64_t at_ns;
		uint32_t index;
	} * entries;
	uint32_t *place; /* index -> entry + 1; 0: not in the heap */
	size_t n;
	size_t capacity;
};

/* Indexes are 0 to capacity - 1. 0 or -ENOMEM. */
_must_check_ int heap_init(struct heap *heap, size_t capacity);
void heap_deinit(struct heap *heap);
/* Puts the index in, or moves it; INT64_MAX takes it out. */
void heap_set(struct heap *heap, uint32_t index, int64_t at_ns);
/* The earliest time, or INT64_MAX. */
int64_t heap_next(const struct heap *heap);
/* The index due at or before now, which stays in the heap; UINT32_MAX where none is due. */
uint32_t heap_due(const struct heap *heap, int64_t now_ns);

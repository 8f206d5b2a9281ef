#include "proto/core/heap.h"

#include <stdlib.h>

int heap_init(struct heap *heap, size_t capacity)
{
	*heap = (struct heap){ .capacity = capacity };
	heap->entries = calloc(capacity + 1, sizeof(*heap->entries));
	heap->place = calloc(capacity + 1, sizeof(*heap->place));
	if (!heap->entries || !heap->place) {
		heap_deinit(heap);
		return -ENOMEM;
	}
	return 0;
}

void heap_deinit(struct heap *heap)
{
	free(heap->entries);
	free(heap->place);
	heap->entries = NULL;
	heap->place = NULL;
}

static void set(struct heap *heap, size_t at, struct heap_entry entry)
{
	heap->entries[at] = entry;
	heap->place[entry.index] = (uint32_t)at + 1;
}

static size_t up(struct heap *heap, size_t at)
{
	struct heap_entry entry = heap->entries[at];

	while (at > 0 && heap->entries[(at - 1) / 2].at_ns > entry.at_ns) {
		set(heap, at, heap->entries[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	set(heap, at, entry);
	return at;
}

static void down(struct heap *heap, size_t at)
{
	struct heap_entry entry = heap->entries[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= heap->n)
			break;
		if (child + 1 < heap->n &&
			heap->entries[child + 1].at_ns < heap->entries[child].at_ns)
			child++;
		if (heap->entries[child].at_ns >= entry.at_ns)
			break;
		set(heap, at, heap->entries[child]);
		at = child;
	}
	set(heap, at, entry);
}

static void take_out(struct heap *heap, size_t at)
{
	heap->place[heap->entries[at].index] = 0;
	if (at == --heap->n)
		return;
	set(heap, at, heap->entries[heap->n]);
	down(heap, up(heap, at));
}

void heap_set(struct heap *heap, uint32_t index, int64_t at_ns)
{
	assert(index < heap->capacity);

	size_t at = heap->place[index];

	if (at_ns == INT64_MAX) {
		if (at > 0)
			take_out(heap, at - 1);
		return;
	}
	if (at == 0) {
		at = ++heap->n;
		heap->place[index] = (uint32_t)at;
		heap->entries[at - 1].index = index;
	}
	heap->entries[at - 1].at_ns = at_ns;
	down(heap, up(heap, at - 1));
}

int64_t heap_next(const struct heap *heap)
{
	return heap->n > 0 ? heap->entries[0].at_ns : INT64_MAX;
}

uint32_t heap_due(const struct heap *heap, int64_t now_ns)
{
	return heap->n > 0 && heap->entries[0].at_ns <= now_ns ? heap->entries[0].index
							       : UINT32_MAX;
}

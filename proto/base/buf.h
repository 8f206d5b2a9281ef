#pragma once
/*
 * A bounded writer over memory that the caller owns. Overflow is sticky: writes after it are
 * dropped, and buf_ok() tells once, at the end. Also a bump arena for things with the life of one
 * step.
 */
#include "proto/base/base.h"

struct buf {
	uint8_t *p;
	size_t n;
	size_t cap;
	bool overflow;
};

#define BUF(array) ((struct buf){ .p = (array), .cap = sizeof(array) })

static inline struct buf buf_over(void *p, size_t cap)
{
	return (struct buf){ .p = p, .cap = cap };
}

void buf_put(struct buf *b, const void *data, size_t n);
void buf_byte(struct buf *b, uint8_t byte);
void buf_str(struct buf *b, const char *text);
/* printf into the buffer, without the closing NUL. */
_printf_(2, 3) void buf_printf(struct buf *b, const char *format, ...);

static inline bool buf_ok(const struct buf *b)
{
	return !b->overflow;
}

static inline struct span buf_span(const struct buf *b)
{
	return SPAN(b->p, b->n);
}

/*
 * Takes n bytes, 16-byte aligned, out of b as an arena. NULL where it is full (and b is then marked
 * as overflown). The memory belongs to whoever owns b.
 */
void *buf_alloc(struct buf *b, size_t n);
/* Copies data into the arena. An empty span where it is full. */
struct span buf_copy(struct buf *b, struct span data);

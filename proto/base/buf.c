#include "proto/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_put(struct buf *b, const void *data, size_t n)
{
	if (b->overflow || n > b->cap - b->n) {
		b->overflow = true;
		return;
	}
	if (n > 0)
		memcpy(b->p + b->n, data, n);
	b->n += n;
}

void buf_byte(struct buf *b, uint8_t byte)
{
	buf_put(b, &byte, 1);
}

void buf_str(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	int n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		b->overflow = true;
		return;
	}
	buf_put(b, text, (size_t)n);
}

void *buf_alloc(struct buf *b, size_t n)
{
	size_t pad = (16 - ((uintptr_t)(b->p + b->n) & 15)) & 15;

	if (b->overflow || pad > b->cap - b->n || n > b->cap - b->n - pad) {
		b->overflow = true;
		return NULL;
	}
	uint8_t *p = b->p + b->n + pad;

	b->n += pad + n;
	return p;
}

struct span buf_copy(struct buf *b, struct span data)
{
	uint8_t *p = buf_alloc(b, data.n);

	if (!p)
		return SPAN(NULL, 0);
	if (data.n > 0)
		memcpy(p, data.p, data.n);
	return SPAN(p, data.n);
}

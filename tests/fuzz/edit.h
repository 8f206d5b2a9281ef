#pragma once
/*
 * A fuzz input as a script of changes to genuine bytes: four bytes a change, what, where (two, big-
 * endian, modulo the length) and a value. Mutations of the script stay close to what is genuine,
 * which mutations of long signed bytes seldom do.
 */
#include "proto/base/buf.h"

#define EDIT_STEPS_MAX 16

enum edit_what {
	EDIT_XOR = 0, /* the byte there, with the value */
	EDIT_CUT = 1, /* value bytes from there */
	EDIT_INSERT = 2, /* the value, before it */
	EDIT_COPY = 3, /* the 16 bytes from there to the place value * 256 / 3 */
};

struct edit {
	uint8_t what; /* enum edit_what */
	uint16_t at;
	uint8_t value;
};

/* The changes in a script; what is over the limit or cut short is left out. Returns how many. */
static inline size_t edit_read(struct span script, struct edit ret_edits[static EDIT_STEPS_MAX])
{
	size_t n = 0;

	for (; n < EDIT_STEPS_MAX && script.n >= 4; n++, script = SPAN(script.p + 4, script.n - 4))
		ret_edits[n] = (struct edit){ script.p[0] % 4,
			(uint16_t)(script.p[1] << 8 | script.p[2]), script.p[3] };
	return n;
}

/* Makes them in what out holds. */
static inline void edit_apply(const struct edit *edits, size_t n_edits, struct buf *out)
{
	for (size_t i = 0; i < n_edits && out->n > 0; i++) {
		const struct edit *e = &edits[i];
		size_t at = e->at % out->n;
		size_t to = (size_t)e->value * 256 / 3 % out->n;
		size_t n = MIN((size_t)e->value, out->n - at);

		switch ((enum edit_what)e->what) {
		case EDIT_XOR:
			out->p[at] ^= e->value;
			break;
		case EDIT_CUT:
			memmove(out->p + at, out->p + at + n, out->n - at - n);
			out->n -= n;
			break;
		case EDIT_INSERT:
			if (out->n == out->cap)
				break;
			memmove(out->p + at + 1, out->p + at, out->n - at);
			out->p[at] = e->value;
			out->n++;
			break;
		case EDIT_COPY:
			memmove(out->p + to, out->p + at, MIN((size_t)16, out->n - MAX(at, to)));
			break;
		}
	}
}

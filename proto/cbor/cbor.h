#pragma once
/*
 * Deterministic CBOR (RFC 8949, 4.2.1) and nothing else: what this writes is in that form, and what
 * is not in that form is refused by name. The profile allows integers of 64 bits, byte and text
 * strings, arrays, maps, false, true, null and tag 18; floats, other tags and simple values,
 * indefinite lengths and more than CBOR_DEPTH_MAX levels are refused. Heads are coded by libcbor's
 * streaming coder; strictness is ours. No memory is allocated.
 */
#include "proto/base/buf.h"
#include "proto/base/refusal.h"

#define CBOR_DEPTH_MAX 16
#define CBOR_TAG_SIGN1 18

enum cbor_kind {
	CBOR_UINT,
	CBOR_NINT,
	CBOR_BYTES,
	CBOR_TEXT,
	CBOR_ARRAY,
	CBOR_MAP,
	CBOR_TAG,
	CBOR_BOOL,
	CBOR_NULL,
};

/* One item's head. Arrays, maps and tags are followed by their content as further items. */
struct cbor_item {
	enum cbor_kind type;
	uint64_t value; /* UINT: value; NINT: n in -1-n; ARRAY, MAP: entries; TAG: number; BOOL: 0,
			   1 */
	struct span string; /* BYTES, TEXT: points into the source */
};

struct cbor_reader {
	const uint8_t *p;
	const uint8_t *end;
};

/* Checks that data is exactly one well-formed item of the profile, whole. REFUSED_NOT or CBOR_*. */
_must_check_ enum refusal cbor_check(struct span data);

/* Reads one head. Safe on any bytes, but only cbor_check() establishes order and uniqueness of
 * keys. */
_must_check_ enum refusal cbor_read(struct cbor_reader *r, struct cbor_item *ret_item);
/* Passes over one whole item, however nested. */
_must_check_ enum refusal cbor_skip(struct cbor_reader *r);
/* The integer as int64_t. False where the item is no integer or does not fit. */
_must_check_ bool cbor_int(const struct cbor_item *item, int64_t *ret_value);

static inline struct cbor_reader cbor_over(struct span data)
{
	return (struct cbor_reader){ .p = data.p, .end = data.p + data.n };
}

/* Writers append to b; look at buf_ok(b) at the end. Map keys must be written in order by the
 * caller. */
void cbor_put_uint(struct buf *b, uint64_t value);
void cbor_put_int(struct buf *b, int64_t value);
void cbor_put_bytes(struct buf *b, struct span bytes);
void cbor_put_text(struct buf *b, struct span text);
void cbor_put_str(struct buf *b, const char *text);
void cbor_put_array(struct buf *b, size_t entries);
void cbor_put_map(struct buf *b, size_t pairs);
void cbor_put_tag(struct buf *b, uint64_t tag);
void cbor_put_bool(struct buf *b, bool value);
void cbor_put_null(struct buf *b);

#pragma once
/*
 * Structs to deterministic CBOR maps and back, driven by tables: every statement, message, bundle
 * and payload of our own is described by one `struct schema`, so that encoding, strict decoding,
 * printing and the CDDL all follow from the same lines. Leaves signatures to cose/ and meaning to
 * the cores.
 *
 * Rules: map keys are integers. A required field is always there. An optional field is written if
 * and only if it is not zero or empty, and reads as zero where it is absent; a zero or empty one
 * that stands there is refused, so that a struct has one encoding only. Unknown non-negative keys
 * are passed over (a newer peer), unknown negative keys are critical and refused. Nothing is
 * allocated: spans in a decoded struct point into the source.
 */
#include "proto/base/buf.h"
#include "proto/base/refusal.h"

/* How often a map may stand in a map: the tables' own depth, held to by the unit test. */
#define SCHEMA_DEPTH_MAX  6
#define SCHEMA_FIELDS_MAX 64

enum field_type {
	FIELD_INT, /* int64_t within min..max */
	FIELD_BOOL, /* bool */
	FIELD_ID, /* struct id: bstr of 32 */
	FIELD_DID, /* struct did: bstr of 32 */
	FIELD_BYTES, /* struct span: bstr of min..max bytes */
	FIELD_TEXT, /* struct span: tstr of min..max bytes, no control characters */
	FIELD_LINES, /* struct span: tstr that may hold line feeds (notes) */
	FIELD_MAP, /* a struct of its own that begins with `bool present` */
};

struct schema;

struct field {
	int16_t key;
	uint8_t type; /* enum field_type */
	bool required;
	uint16_t offset; /* of the value, or of the first element */
	uint16_t stride; /* of an array's elements */
	uint16_t most; /* elements of an array; 0: no array */
	uint16_t count; /* offset of an array's size_t count */
	int64_t min; /* least value or length */
	int64_t max; /* greatest value or length */
	const char *name;
	const struct schema *map; /* FIELD_MAP */
};

struct schema {
	const char *name;
	const struct field
		*fields; /* in the order of their encoded keys: 0, 1, ..., then -1, -2, ... */
	size_t n_fields;
	size_t size; /* of the struct */
};

/*
 * Decodes data, one CBOR map that cbor_check() accepts, into the struct at ret_value, whole or not
 * at all. REFUSED_NOT, CBOR_* or STATEMENT_FIELD_*, STATEMENT_CRITICAL_KEY, STATEMENT_TEXT.
 * ret_field, where not NULL, gets the name of the field that broke the rule (static text) or NULL.
 */
_must_check_ enum refusal schema_decode(
	const struct schema *schema, struct span data, void *ret_value, const char **ret_field);

/*
 * Appends the struct at value as a map. REFUSED_NOT, or the rule that the value would break when
 * read back: a program that fills a struct from a user's words learns it here.
 */
_must_check_ enum refusal schema_encode(
	const struct schema *schema, const void *value, struct buf *out, const char **ret_field);

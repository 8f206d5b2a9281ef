#pragma once
/*
 * The few macros and the one slice type that every file uses. Leaves formats to cbor/, text forms
 * to base/text.h, and everything that touches the operating system to os/.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _must_check_   __attribute__((warn_unused_result))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _pure_         __attribute__((pure))
#define _const_        __attribute__((const))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Moves ownership out of a pointer: evaluates to its value and leaves NULL behind. */
#define take(pp) \
	({ \
		__typeof__(pp) take_pp_ = (pp); \
		__typeof__(*take_pp_) take_v_ = *take_pp_; \
		*take_pp_ = NULL; \
		take_v_; \
	})

#define MIN(a, b) \
	({ \
		__typeof__(a) min_a_ = (a); \
		__typeof__(b) min_b_ = (b); \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})

#define MAX(a, b) \
	({ \
		__typeof__(a) max_a_ = (a); \
		__typeof__(b) max_b_ = (b); \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})

/* Bytes that somebody else owns. An empty span may have a NULL pointer. */
struct span {
	const uint8_t *p;
	size_t n;
};

#define SPAN(ptr, len) ((struct span){ .p = (const uint8_t *)(ptr), .n = (len) })
#define SPAN_STR(s)    SPAN((s), strlen(s))
/* A whole array or object; never a pointer. */
#define SPAN_OF(obj) SPAN(&(obj), sizeof(obj))

static inline bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool span_is(struct span a, const char *text)
{
	return span_eq(a, SPAN_STR(text));
}

/* SHA-256 of something: a statement's id, a digest, a challenge. */
struct id {
	uint8_t b[32];
};

/* An identity: the 32 bytes of its root Ed25519 public key (did:key, see base/text.h). */
struct did {
	uint8_t b[32];
};

static inline bool id_eq(const struct id *a, const struct id *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline bool did_eq(const struct did *a, const struct did *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline bool id_is_zero(const struct id *a)
{
	static const struct id zero;

	return id_eq(a, &zero);
}

static inline bool did_is_zero(const struct did *a)
{
	static const struct did zero;

	return did_eq(a, &zero);
}

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

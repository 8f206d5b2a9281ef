#pragma once
/*
 * The words in which tables of fields are written; included by the files that hold tables only.
 * Each word takes the struct, the member (whose name is also the key's), whether it is required,
 * and limits.
 */
#include "proto/statement/keys.h"
#include "proto/statement/schema.h"

#define FIELD_(S, path, k, t, req, lo, hi) \
	.key = KEY_##k, .type = (t), .required = (req), .offset = offsetof(struct S, path), \
	.min = (lo), .max = (hi), .name = #k
#define INT(S, m, req, lo, hi) \
	{ \
		FIELD_(S, m, m, FIELD_INT, req, lo, hi) \
	}
#define BOOLEAN(S, m) \
	{ \
		FIELD_(S, m, m, FIELD_BOOL, false, 0, 1) \
	}
#define ID(S, m, req) \
	{ \
		FIELD_(S, m, m, FIELD_ID, req, 32, 32) \
	}
#define DID(S, m, req) \
	{ \
		FIELD_(S, m, m, FIELD_DID, req, 32, 32) \
	}
#define BYTES(S, m, req, lo, hi) \
	{ \
		FIELD_(S, m, m, FIELD_BYTES, req, lo, hi) \
	}
#define TEXT(S, m, req, lo, hi) \
	{ \
		FIELD_(S, m, m, FIELD_TEXT, req, lo, hi) \
	}
#define LINES(S, m, req, lo, hi) \
	{ \
		FIELD_(S, m, m, FIELD_LINES, req, lo, hi) \
	}
#define MAP(S, m, req, sub) \
	{ \
		FIELD_(S, m, m, FIELD_MAP, req, 0, 0), .map = &(sub) \
	}
#define MANY_(S, m, t, req, lo, hi) \
	FIELD_(S, m, m, t, req, lo, hi), .stride = sizeof(((struct S *)0)->m[0]), \
					 .most = ARRAY_SIZE(((struct S *)0)->m), \
					 .count = offsetof(struct S, n_##m)
#define MANY(S, m, t, req, lo, hi) \
	{ \
		MANY_(S, m, t, req, lo, hi) \
	}
#define MANY_MAPS(S, m, req, sub) \
	{ \
		MANY_(S, m, FIELD_MAP, req, 0, 0), .map = &(sub) \
	}

#define TIME(S, m, req)   INT(S, m, req, 0, INT64_MAX)
#define MICROS(S, m, req) INT(S, m, req, 0, MICROS_MAX)

#define SCHEMA(S, f) \
	{ \
		.name = #S, .fields = (f), .n_fields = ARRAY_SIZE(f), .size = sizeof(struct S) \
	}

#pragma once
/*
 * One value of a database row, as the core and the shell hand it to each other: what is bound to a
 * statement's parameter, and what a column gives back. Says nothing about SQL; db/ translates.
 */
#include "proto/base/base.h"

enum cell_type {
	CELL_NULL = 0,
	CELL_INT = 1,
	CELL_BLOB = 2,
	CELL_TEXT = 3,
};

struct cell {
	enum cell_type type;
	int64_t i; /* INT */
	struct span b; /* BLOB, TEXT: somebody else's bytes */
};

static inline struct cell cell_null(void)
{
	return (struct cell){ .type = CELL_NULL };
}

static inline struct cell cell_int(int64_t i)
{
	return (struct cell){ .type = CELL_INT, .i = i };
}

static inline struct cell cell_blob(struct span b)
{
	return (struct cell){ .type = CELL_BLOB, .b = b };
}

static inline struct cell cell_text(struct span b)
{
	return (struct cell){ .type = CELL_TEXT, .b = b };
}

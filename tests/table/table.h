#pragma once
/*
 * Text tables as tests: NAME.table holds lines "given words -> then", empty lines and lines that
 * begin with '#'. For each line the table's function works out from the given words what the code
 * says; the runner compares that with the words behind the arrow.
 */
#include "proto/base/buf.h"

#define TABLE_WORDS_MAX 12 /* in front of an arrow */

struct table {
	const char *name; /* NAME.table */
	/* Writes what the code says. False where the words are no line of this table. */
	bool (*then)(char *const *words, size_t n, struct buf *out);
	/* After the last line: NULL, or what is missing, as a sentence. May be NULL itself. */
	const char *(*missing)(void);
};

/* The whole word as a number. Returns false where it is none. */
_must_check_ bool table_int(const char *word, int64_t *ret_value);

/* The tables, by the file that serves them. */
extern const struct table numbers_tables[];
extern const size_t numbers_n_tables;
extern const struct table slot_table;
extern const struct table amounts_tables[];
extern const size_t amounts_n_tables;
extern const struct table evidence_tables[];
extern const size_t evidence_n_tables;

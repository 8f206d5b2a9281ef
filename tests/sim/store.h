#pragma once
/*
 * A party's disk: rows by table and key, as SQLite would keep them, with one transaction at a time
 * that can be taken back. The changes of the last commit stay known, for the plant in which a crash
 * takes it back as well. Files (large payloads) are rows of STORE_FILES, outside of transactions.
 */
#include "proto/core/core.h"

#define STORE_TABLES 16
#define STORE_KEYS   14 /* keys statements learned: did, kid | bytes */
#define STORE_FILES  15 /* payload files: digest | bytes */

struct store_row {
	uint16_t table;
	uint8_t n;
	uint8_t n_key;
	struct cell cells[ROW_CELLS_MAX]; /* their bytes stand behind the row */
};

/* What stood at a key before a transaction changed it. */
struct store_change {
	uint16_t table;
	struct store_row *key; /* a copy of the new row (or of the key of a deletion) */
	struct store_row *old; /* NULL: nothing */
};

struct store_table {
	struct store_row **slots; /* open addressing, a power of two; NULL: free */
	size_t n_slots;
	size_t n;
};

struct store {
	const struct core_ops *ops;
	struct store_table tables[STORE_TABLES];
	struct store_change *changes; /* of the open, or the last, transaction */
	size_t n_changes;
	size_t cap_changes;
};

void store_init(struct store *s, const struct core_ops *ops);
void store_deinit(struct store *s);
/* Forgets what the last transaction had changed. */
void store_begin(struct store *s);
/* Takes back all changes since store_begin(). */
void store_rollback(struct store *s);
/* False where PUT_INSERT meets a row with that key, or a row has the wrong number of cells. */
_must_check_ bool store_put(struct store *s, const struct row *row);
/* Like store_put(), outside of any transaction. */
void store_put_apart(struct store *s, const struct row *row);
/* The row of a key of one blob, or NULL. */
const struct store_row *store_find(const struct store *s, uint16_t table, struct span key);
const struct store_row *store_find_int(const struct store *s, uint16_t table, int64_t key);
/* Deletes all rows. */
void store_wipe(struct store *s);
void store_wipe_table(struct store *s, uint16_t table);
/* The rows of a table in the order of their keys; the caller frees the array. */
struct store_row **store_sorted(const struct store *s, uint16_t table, size_t *ret_n);

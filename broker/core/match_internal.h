#pragma once
/* What the files of match share. Index 0 of every pool is nobody. */
#include "broker/core/match.h"

#define MATCH_LEVELS     5 /* cells of 64, 512, 4096, 32768 and 262144 steps */
#define MATCH_LEAF_SHIFT 6
#define MATCH_ROWS       180001 /* steps from pole to pole, both included */
#define MATCH_COLS       360000
#define MATCH_EDGES      (MATCH_ROWS / 64 + 2)
#define MATCH_NEAR       8
#define MATCH_KIND_SLOTS (2 * MATCH_KINDS_MAX)

/* An offering, at handle + 1. */
struct match_entry {
	uint32_t left;
	uint32_t right;
	uint32_t parent;
	uint32_t place; /* 0: the handle is free */
	int64_t price;
	uint64_t used;
};

/* All offerings of one kind at one rounded position. One cache line. */
struct match_place {
	_Alignas(64) double v[3]; /* unit vector */
	int64_t min_price;
	uint32_t row;
	uint32_t col;
	uint32_t next; /* in its leaf cell's list, or in the free list */
	uint32_t root; /* of the ordered tree of its offerings */
	uint32_t first;
	uint32_t count; /* of its offerings */
	uint16_t kind;
};

/* One cache line. */
struct match_cell {
	_Alignas(64) uint64_t key;
	uint64_t children; /* a bit for each that is not empty; 0 in a leaf */
	int64_t min_price; /* lowest of all offerings below */
	uint32_t count; /* of the offerings below */
	uint32_t places; /* of a leaf, those over MATCH_NEAR; or the next in the free list */
	/* A leaf's first places, without gaps: read ahead all at once, which a list does not allow.
	 */
	uint32_t near[MATCH_NEAR];
};

struct match_kind {
	char name[MATCH_KIND_MAX];
	uint8_t n_name;
	uint32_t count;
};

struct match {
	uint32_t capacity;
	uint32_t count;
	struct match_entry *entries;
	void *pools[2]; /* as allocated: places and cells lie in them, aligned */

	struct match_place *places;
	uint32_t n_places; /* ever used */
	uint32_t free_place;

	struct match_cell *cells;
	uint32_t n_cells;
	uint32_t max_cells;
	uint32_t free_cell;
	uint32_t *cell_slots;
	uint32_t cell_mask;

	struct match_kind *kinds;
	uint16_t kind_slots[MATCH_KIND_SLOTS]; /* kind + 1 */

	double edge_cos[MATCH_EDGES]; /* cosine of the latitude where each row of leaf cells begins
				       */
};

static inline unsigned match_shift(unsigned level)
{
	return MATCH_LEAF_SHIFT + 3 * level;
}

static inline uint64_t match_cell_key(uint16_t kind, unsigned level, uint32_t row, uint32_t col)
{
	return (uint64_t)kind << 28 | (uint64_t)level << 25 | (uint64_t)row << 13 | col;
}

/* Cells of one parent are neighbours in the table, so that a query stays on few pages. */
static inline uint32_t match_cell_home(const struct match *m, uint64_t key)
{
	uint64_t parent = key & ~(UINT64_C(7) << 13 | 7);
	uint64_t child = (key >> 13 & 7) << 3 | (key & 7);

	return (uint32_t)((parent * UINT64_C(0x9e3779b97f4a7c15) >> 32) + child) & m->cell_mask;
}

/* The place of a leaf after p, which was its i-th, starting with near[0] and 0. 0 at the end. */
static inline uint32_t match_leaf_next(
	const struct match *m, const struct match_cell *leaf, unsigned *i, uint32_t p)
{
	if (++*i < MATCH_NEAR)
		return leaf->near[*i];
	return *i == MATCH_NEAR ? leaf->places : m->places[p].next;
}

/* Cells, by key. 0 where there is none. */
uint32_t match_cell_find(const struct match *m, uint64_t key);
/* The cell, made where there is none; the pool is as large as the worst case. */
uint32_t match_cell_need(struct match *m, uint64_t key);
void match_cell_drop(struct match *m, uint64_t key);

/* The ordered tree of a place: by price, then use, then handle. */
void match_order_insert(struct match *m, struct match_place *place, uint32_t entry);
void match_order_remove(struct match *m, struct match_place *place, uint32_t entry);
uint32_t match_order_next(const struct match *m, uint32_t entry);

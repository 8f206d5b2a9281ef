#pragma once
/* What the files of match share. Index 0 of every pool is nobody. */
#include "broker/core/match.h"

#define MATCH_LEVELS     5 /* cells of 64, 512, 4096, 32768 and 262144 steps */
#define MATCH_LEAF_SHIFT 6
#define MATCH_ROWS       180001 /* steps from pole to pole, both included */
#define MATCH_COLS       360000
#define MATCH_EDGES      (MATCH_ROWS / 64 + 2)
#define MATCH_LEAF_MARKS 3
#define MATCH_PACK_MARKS 7
#define MATCH_POOLS      6
#define MATCH_LEAF_USED  (UINT64_C(1) << 63)
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

/* All offerings of one kind at one rounded position. */
struct match_place {
	int64_t min_price;
	uint32_t row;
	uint32_t col;
	uint32_t root; /* of the ordered tree of its offerings */
	uint32_t first;
	uint32_t count; /* of its offerings */
	uint32_t pack; /* where its mark is, 0: in the leaf; or the next in the free list */
	uint16_t kind;
};

/* What a query must know of a place, so that most queries read leaves and nothing else. */
struct match_mark {
	int64_t price; /* of the first */
	uint32_t first;
	uint16_t at; /* row and column in the leaf, six bits each */
	bool more; /* than the first */
};

/*
 * A cell of the lowest level, in an open-addressed table of its own: where it is follows from its
 * key alone, so a query asks memory for all the leaves it needs at once. One cache line. The
 * first mark is the cheapest of all.
 */
struct match_leaf {
	_Alignas(64) uint64_t key; /* with MATCH_LEAF_USED; 0 where there is none */
	uint32_t n; /* marks, those in packs included */
	uint32_t pack; /* the marks that are not here; only the first pack may have gaps */
	struct match_mark marks[MATCH_LEAF_MARKS];
};

struct match_pack {
	_Alignas(64) uint32_t next; /* of the leaf, or in the free list */
	struct match_mark marks[MATCH_PACK_MARKS];
};

/* A cell above the leaves. */
struct match_cell {
	_Alignas(32) uint64_t key;
	uint64_t children; /* a bit for each that is not empty */
	int64_t min_price; /* lowest of all offerings below */
	uint32_t count; /* of the offerings below */
	uint32_t next; /* in the free list */
};

_Static_assert(sizeof(struct match_leaf) == 64 && sizeof(struct match_pack) == 128 &&
		       sizeof(struct match_cell) == 32,
	"what a query reads fills cache lines");

struct match_kind {
	char name[MATCH_KIND_MAX];
	uint8_t n_name;
	uint32_t count;
};

struct match {
	uint32_t capacity;
	uint32_t count;
	struct match_entry *entries;
	void *pools[MATCH_POOLS]; /* as allocated: the arrays lie in them, aligned */

	struct match_place *places;
	uint32_t n_places; /* ever used */
	uint32_t free_place;

	struct match_leaf *leaves;
	uint32_t max_leaves; /* twice the capacity */
	struct match_pack *packs;
	uint32_t n_packs;
	uint32_t free_pack;

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

static inline uint32_t match_leaf_home(const struct match *m, uint64_t key)
{
	return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15) >> 32) * m->max_leaves >> 32);
}

/* A leaf by its row and column among leaves. NULL where it is empty. */
static inline struct match_leaf *match_leaf_find(
	const struct match *m, uint16_t kind, uint32_t row, uint32_t col)
{
	uint64_t key = match_cell_key(kind, 0, row, col) | MATCH_LEAF_USED;
	uint32_t i = match_leaf_home(m, key);

	while (m->leaves[i].key != key) {
		if (m->leaves[i].key == 0)
			return NULL;
		i = i + 1 == m->max_leaves ? 0 : i + 1;
	}
	return &m->leaves[i];
}

/* How many marks are in the first pack of a leaf with n marks; all later packs are full. */
static inline uint32_t match_leaf_loose(uint32_t n)
{
	return n <= MATCH_LEAF_MARKS ? 0 : (n - MATCH_LEAF_MARKS - 1) % MATCH_PACK_MARKS + 1;
}

/* The place, 0 where there is none. Looks at each mark of its leaf. */
uint32_t match_leaf_place(const struct match *m, uint16_t kind, uint32_t row, uint32_t col);
/* Marks a place that got its first offering. The pools are as large as the worst case. */
void match_leaf_add(struct match *m, uint32_t place);
/* Marks it anew, after its offerings changed. */
void match_leaf_set(struct match *m, uint32_t place);
/* Takes the mark of a place without offerings away. Whether the leaf went with it. */
bool match_leaf_drop(struct match *m, uint32_t place);

/* Cells, by key. 0 where there is none. */
uint32_t match_cell_find(const struct match *m, uint64_t key);
/* The cell, made where there is none; the pool is as large as the worst case. */
uint32_t match_cell_need(struct match *m, uint64_t key);
void match_cell_drop(struct match *m, uint64_t key);

/* The ordered tree of a place: by price, then use, then handle. */
void match_order_insert(struct match *m, struct match_place *place, uint32_t entry);
void match_order_remove(struct match *m, struct match_place *place, uint32_t entry);
uint32_t match_order_next(const struct match *m, uint32_t entry);

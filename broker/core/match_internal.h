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
#define MATCH_BLOCK      64 /* leaves side by side */
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
	uint32_t leaf_blocks; /* for twice the capacity */
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

/*
 * Where to look for a leaf first, and where after that. The leaves of one cell of the level above
 * share a block of 4 KiB, so that a small query stays on few pages; which of the block's places is
 * whose differs from block to block, so that all are used alike. After its own block a leaf looks
 * at the same place of the next, and after the last one at the next place of the first.
 */
static inline uint32_t match_leaf_home(const struct match *m, uint64_t key)
{
	uint64_t parent = key & ~(UINT64_C(7) << 13 | 7);
	uint64_t h = parent * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t child = (uint32_t)((key >> 10 & 070) | (key & 7));

	return (uint32_t)((h >> 32) * m->leaf_blocks >> 32) * MATCH_BLOCK +
	       (child ^ (uint32_t)(h >> 20 & (MATCH_BLOCK - 1)));
}

static inline uint32_t match_leaf_after(const struct match *m, uint32_t i)
{
	if (i + MATCH_BLOCK < m->leaf_blocks * MATCH_BLOCK)
		return i + MATCH_BLOCK;
	return (i + 1) % MATCH_BLOCK;
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
		i = match_leaf_after(m, i);
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

struct match_columns {
	uint32_t from;
	uint32_t to; /* included */
};

/* What a query asks about. Chords are squared, and of a sphere with radius 1. */
struct match_circle {
	double row; /* the centre, in steps */
	double col;
	double cos_lat;
	double sin_lat;
	double chord; /* of the radius */
	uint32_t row_from; /* the box around it, in steps */
	uint32_t row_to;
	struct match_columns columns[2]; /* two where the antimeridian lies between */
	size_t n_columns;
	/*
	 * A plane in which nothing is farther than it is: a place rows and cols away is out of reach
	 * of a chord where rows^2 + cols^2 * plane_x > chord * plane.
	 */
	double plane_x;
	double plane;
	const double *edge_cos;
};

void match_circle_init(struct match_circle *c, const struct match *m, int32_t lat_e7,
	int32_t lon_e7, uint32_t radius_m);
/* The chord from the centre to a place. */
double match_circle_chord(const struct match_circle *c, uint32_t row, uint32_t col);
/* At most the chord to any point of a cell. */
double match_circle_cell_chord(
	const struct match_circle *c, unsigned level, uint32_t row, uint32_t col);
/* Which children of a cell lie in the box. level is the children's. */
uint64_t match_circle_window(
	const struct match_circle *c, unsigned level, uint32_t row, uint32_t col);
double match_circle_metres(double chord);

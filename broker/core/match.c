#include "broker/core/match.h"

#include "broker/core/match_internal.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE  ((size_t)2 << 20)
#define HUGE_LEAST (16 * HUGE_PAGE) /* bytes of an array that gets huge pages */

/* --- kinds --- */

static uint32_t match_kind_home(struct span name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(h ^ h >> 32) % MATCH_KIND_SLOTS;
}

static struct span match_kind_name(const struct match *m, uint16_t kind)
{
	return SPAN(m->kinds[kind].name, m->kinds[kind].n_name);
}

/* The slot with that name, or the free one where it belongs. */
static uint32_t match_kind_slot(const struct match *m, struct span name)
{
	uint32_t slot = match_kind_home(name);

	while (m->kind_slots[slot] != 0 &&
		!span_eq(match_kind_name(m, (uint16_t)(m->kind_slots[slot] - 1)), name))
		slot = (slot + 1) % MATCH_KIND_SLOTS;
	return slot;
}

int match_kind(const struct match *m, struct span name, uint16_t *ret_kind)
{
	uint32_t slot = match_kind_slot(m, name);

	if (m->kind_slots[slot] == 0)
		return -ENOENT;
	*ret_kind = (uint16_t)(m->kind_slots[slot] - 1);
	return 0;
}

static int match_kind_need(struct match *m, struct span name, uint16_t *ret_kind)
{
	uint32_t slot = match_kind_slot(m, name);
	uint16_t kind;

	if (m->kind_slots[slot] == 0) {
		for (kind = 0; kind < MATCH_KINDS_MAX && m->kinds[kind].count > 0;)
			kind++;
		if (kind == MATCH_KINDS_MAX)
			return -ENOSPC;
		memcpy(m->kinds[kind].name, name.p, name.n);
		m->kinds[kind].n_name = (uint8_t)name.n;
		m->kind_slots[slot] = (uint16_t)(kind + 1);
	}
	*ret_kind = (uint16_t)(m->kind_slots[slot] - 1);
	return 0;
}

static void match_kind_drop(struct match *m, uint16_t kind)
{
	uint32_t slot = match_kind_slot(m, match_kind_name(m, kind));
	uint32_t hole = slot;

	for (;;) {
		uint32_t home;

		slot = (slot + 1) % MATCH_KIND_SLOTS;
		if (m->kind_slots[slot] == 0)
			break;
		home = match_kind_home(match_kind_name(m, (uint16_t)(m->kind_slots[slot] - 1)));
		if ((slot - home) % MATCH_KIND_SLOTS < (slot - hole) % MATCH_KIND_SLOTS)
			continue;
		m->kind_slots[hole] = m->kind_slots[slot];
		hole = slot;
	}
	m->kind_slots[hole] = 0;
}

/* --- places --- */

static bool match_position_valid(int32_t lat_e7, int32_t lon_e7)
{
	return lat_e7 >= -900000000 && lat_e7 <= 900000000 && lon_e7 >= -1800000000 &&
	       lon_e7 <= 1800000000;
}

static void match_round(int32_t lat_e7, int32_t lon_e7, uint32_t *ret_row, uint32_t *ret_col)
{
	const int64_t half = MATCH_STEP_E7 / 2;

	*ret_row = (uint32_t)(((int64_t)lat_e7 + 900000000 + half) / MATCH_STEP_E7);
	*ret_col = (uint32_t)(((int64_t)lon_e7 + 1800000000 + half) / MATCH_STEP_E7 % MATCH_COLS);
	/* A pole is one place, whatever its longitude. */
	if (*ret_row == 0 || *ret_row == MATCH_ROWS - 1)
		*ret_col = 0;
}

static uint64_t match_place_key(const struct match_place *place, unsigned level)
{
	return match_cell_key(place->kind, level, place->row >> match_shift(level),
		place->col >> match_shift(level));
}

static uint64_t match_child_bit(const struct match_place *place, unsigned level)
{
	uint32_t row = place->row >> match_shift(level) & 7;
	uint32_t col = place->col >> match_shift(level) & 7;

	return UINT64_C(1) << (row * 8 + col);
}

static uint32_t match_place_need(struct match *m, uint16_t kind, uint32_t row, uint32_t col)
{
	uint32_t at = match_leaf_place(m, kind, row, col);

	if (at != 0)
		return at;
	at = m->free_place;
	if (at != 0)
		m->free_place = m->places[at].pack;
	else
		at = ++m->n_places;
	m->places[at] = (struct match_place){
		.min_price = INT64_MAX, .row = row, .col = col, .kind = kind
	};
	return at;
}

/* --- offerings --- */

/* The lowest price below a cell, after the lowest has gone. */
static int64_t match_cell_price(const struct match *m, const struct match_cell *cell)
{
	unsigned level = (unsigned)(cell->key >> 25 & 7);
	uint16_t kind = (uint16_t)(cell->key >> 28);
	int64_t price = INT64_MAX;

	for (uint64_t bits = cell->children; bits != 0; bits &= bits - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(bits);
		uint32_t row = (uint32_t)(cell->key >> 13 & 0xfff) * 8 + bit / 8;
		uint32_t col = (uint32_t)(cell->key & 0x1fff) * 8 + bit % 8;
		uint64_t key = match_cell_key(kind, level - 1, row, col);

		price = MIN(price, level == 1 ? match_leaf_find(m, kind, row, col)->marks[0].price
					      : m->cells[match_cell_find(m, key)].min_price);
	}
	return price;
}

static void match_enter(struct match *m, uint32_t entry, uint16_t kind, uint32_t row, uint32_t col)
{
	struct match_entry *e = &m->entries[entry];
	struct match_place *place;

	e->place = match_place_need(m, kind, row, col);
	place = &m->places[e->place];
	match_order_insert(m, place, entry);
	if (place->count == 1)
		match_leaf_add(m, e->place);
	else
		match_leaf_set(m, e->place);
	for (unsigned level = 1; level < MATCH_LEVELS; level++) {
		struct match_cell *cell =
			&m->cells[match_cell_need(m, match_place_key(place, level))];

		cell->count++;
		cell->min_price = MIN(cell->min_price, e->price);
		cell->children |= match_child_bit(place, level - 1);
	}
}

static void match_leave(struct match *m, uint32_t entry)
{
	struct match_entry *e = &m->entries[entry];
	struct match_place *place = &m->places[e->place];
	bool gone = false; /* the cell below */

	match_order_remove(m, place, entry);
	if (place->count == 0)
		gone = match_leaf_drop(m, e->place);
	else
		match_leaf_set(m, e->place);
	for (unsigned level = 1; level < MATCH_LEVELS; level++) {
		uint64_t key = match_place_key(place, level);
		struct match_cell *cell = &m->cells[match_cell_find(m, key)];

		if (gone)
			cell->children &= ~match_child_bit(place, level - 1);
		gone = --cell->count == 0;
		if (gone)
			match_cell_drop(m, key);
		else if (cell->min_price == e->price)
			cell->min_price = match_cell_price(m, cell);
	}
	if (place->count == 0) {
		place->pack = m->free_place;
		m->free_place = e->place;
	}
	e->place = 0;
}

int match_insert(struct match *m, uint32_t handle, const struct match_offering *offering)
{
	uint16_t kind;
	uint32_t row;
	uint32_t col;
	int r;

	if (handle >= m->capacity || offering->kind.n == 0 || offering->kind.n > MATCH_KIND_MAX ||
		!match_position_valid(offering->lat_e7, offering->lon_e7) ||
		offering->price_micros < 0)
		return -EINVAL;
	if (m->entries[handle + 1].place != 0)
		return -EEXIST;
	r = match_kind_need(m, offering->kind, &kind);
	if (r < 0)
		return r;
	match_round(offering->lat_e7, offering->lon_e7, &row, &col);
	m->entries[handle + 1].price = offering->price_micros;
	m->entries[handle + 1].used = offering->last_used;
	match_enter(m, handle + 1, kind, row, col);
	m->kinds[kind].count++;
	m->count++;
	return 0;
}

static bool match_has(const struct match *m, uint32_t handle)
{
	return handle < m->capacity && m->entries[handle + 1].place != 0;
}

int match_remove(struct match *m, uint32_t handle)
{
	uint16_t kind;

	if (!match_has(m, handle))
		return -ENOENT;
	kind = m->places[m->entries[handle + 1].place].kind;
	match_leave(m, handle + 1);
	if (--m->kinds[kind].count == 0)
		match_kind_drop(m, kind);
	m->count--;
	return 0;
}

int match_update(
	struct match *m, uint32_t handle, int32_t lat_e7, int32_t lon_e7, int64_t price_micros)
{
	uint16_t kind;
	uint32_t row;
	uint32_t col;

	if (!match_has(m, handle))
		return -ENOENT;
	if (!match_position_valid(lat_e7, lon_e7) || price_micros < 0)
		return -EINVAL;
	kind = m->places[m->entries[handle + 1].place].kind;
	match_round(lat_e7, lon_e7, &row, &col);
	match_leave(m, handle + 1);
	m->entries[handle + 1].price = price_micros;
	match_enter(m, handle + 1, kind, row, col);
	return 0;
}

int match_touch(struct match *m, uint32_t handle, uint64_t last_used)
{
	struct match_place *place;

	if (!match_has(m, handle))
		return -ENOENT;
	place = &m->places[m->entries[handle + 1].place];
	match_order_remove(m, place, handle + 1);
	m->entries[handle + 1].used = last_used;
	match_order_insert(m, place, handle + 1);
	match_leaf_set(m, m->entries[handle + 1].place);
	return 0;
}

uint32_t match_count(const struct match *m)
{
	return m->count;
}

/* --- life --- */

struct match *match_free(struct match *m)
{
	if (m == NULL)
		return NULL;
	for (size_t i = 0; i < MATCH_POOLS; i++)
		free(m->pools[i]);
	free(m->kinds);
	free(m);
	return NULL;
}

/*
 * Zeroed memory for n things, aligned. calloc() leaves untouched pages to the kernel, so that the
 * worst case costs nothing. Large arrays are read at random: on small pages every read would also
 * wait for the page tables. An index of the usual size is small enough to do without them.
 */
static void *match_pool(size_t n, size_t size, void **ret_pool)
{
	size_t align = n * size >= HUGE_LEAST ? HUGE_PAGE : 64;
	uint8_t *pool = calloc(1, n * size + align);
	uint8_t *start;

	*ret_pool = pool;
	if (pool == NULL)
		return NULL;
	start = pool + (align - (uintptr_t)pool % align) % align;
	if (align == HUGE_PAGE)
		/* ignored: without huge pages it is slower, and no less right */
		(void)madvise(start, n * size, MADV_HUGEPAGE);
	return start;
}

struct match *match_new(uint32_t capacity)
{
	struct match *m;
	size_t slots = 64;

	if (capacity == 0 || capacity > MATCH_CAPACITY_MAX)
		return NULL;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->capacity = capacity;
	m->leaf_blocks = capacity / (MATCH_BLOCK / 2) + 1;
	/* Every offering alone in its cell on two levels; 66 and 2 cells a kind above. */
	m->max_cells = 2 * capacity + MIN(capacity, 66u * MATCH_KINDS_MAX) +
		       MIN(capacity, 2u * MATCH_KINDS_MAX);
	while (slots < (size_t)m->max_cells + m->max_cells / 2)
		slots *= 2;
	m->cell_mask = (uint32_t)(slots - 1);
	m->entries = match_pool((size_t)capacity + 1, sizeof(*m->entries), &m->pools[0]);
	m->places = match_pool((size_t)capacity + 1, sizeof(*m->places), &m->pools[1]);
	m->leaves = match_pool(
		(size_t)m->leaf_blocks * MATCH_BLOCK, sizeof(*m->leaves), &m->pools[2]);
	/* A leaf's first pack has one mark at least, and three are before it. */
	m->packs = match_pool((size_t)capacity / 4 + 1, sizeof(*m->packs), &m->pools[3]);
	m->cells = match_pool((size_t)m->max_cells + 1, sizeof(*m->cells), &m->pools[4]);
	m->cell_slots = match_pool(slots, sizeof(*m->cell_slots), &m->pools[5]);
	m->kinds = calloc(MATCH_KINDS_MAX, sizeof(*m->kinds));
	for (size_t i = 0; i < MATCH_POOLS; i++)
		if (m->pools[i] == NULL)
			return match_free(m);
	if (m->kinds == NULL)
		return match_free(m);
	for (size_t i = 0; i < MATCH_EDGES; i++) {
		double lat = MIN((double)(i << MATCH_LEAF_SHIFT) / 1000.0 - 90.0, 90.0);

		m->edge_cos[i] = MAX(cos(lat * (M_PI / 180.0)), 0.0);
	}
	return m;
}

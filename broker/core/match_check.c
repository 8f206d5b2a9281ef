#include "broker/core/match_internal.h"

static void match_check_place(const struct match *m, uint32_t at, uint32_t *count)
{
	const struct match_place *place = &m->places[at];
	uint32_t before = 0;
	uint32_t n = 0;

	assert(place->root != 0 && place->first != 0);
	assert(m->entries[place->root].parent == 0);
	assert(m->entries[place->first].left == 0);
	assert(m->entries[place->first].price == place->min_price);
	for (uint32_t e = place->first; e != 0; e = match_order_next(m, e)) {
		const struct match_entry *x = &m->entries[e];
		const struct match_entry *y = &m->entries[before];

		assert(x->place == at);
		assert(before == 0 || y->price < x->price ||
			(y->price == x->price && y->used < x->used) ||
			(y->price == x->price && y->used == x->used && before < e));
		before = e;
		n++;
	}
	assert(n == place->count);
	*count += n;
}

/* Counts the offerings below a cell. */
static uint32_t match_check_cell(const struct match *m, uint16_t kind, unsigned level, uint32_t row,
	uint32_t col, int64_t *ret_price)
{
	uint32_t at = match_cell_find(m, match_cell_key(kind, level, row, col));
	const struct match_cell *cell = &m->cells[at];
	uint32_t count = 0;
	int64_t price = INT64_MAX;
	unsigned i = 0;

	assert(at != 0);
	assert(level == 0 || cell->near[0] == 0);
	for (uint32_t p = cell->near[0]; p != 0; p = match_leaf_next(m, cell, &i, p)) {
		assert(m->places[p].kind == kind);
		assert(m->places[p].row >> MATCH_LEAF_SHIFT == row);
		assert(m->places[p].col >> MATCH_LEAF_SHIFT == col);
		match_check_place(m, p, &count);
		price = MIN(price, m->places[p].min_price);
	}
	for (uint64_t bits = cell->children; bits != 0; bits &= bits - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(bits);
		int64_t below;

		count += match_check_cell(
			m, kind, level - 1, row * 8 + bit / 8, col * 8 + bit % 8, &below);
		price = MIN(price, below);
	}
	assert(count == cell->count && count > 0 && price == cell->min_price);
	*ret_price = price;
	return count;
}

void match_check(const struct match *m)
{
	const uint32_t tops = (MATCH_COLS - 1) >> match_shift(MATCH_LEVELS - 1);
	uint32_t all = 0;

	for (uint16_t kind = 0; kind < MATCH_KINDS_MAX; kind++) {
		uint32_t count = 0;
		uint16_t found;
		int64_t price;

		for (uint32_t col = 0; col <= tops; col++)
			if (match_cell_find(m, match_cell_key(kind, MATCH_LEVELS - 1, 0, col)) != 0)
				count += match_check_cell(
					m, kind, MATCH_LEVELS - 1, 0, col, &price);
		assert(count == m->kinds[kind].count);
		if (count > 0)
			assert(match_kind(m, SPAN(m->kinds[kind].name, m->kinds[kind].n_name),
				       &found) == 0 &&
				found == kind);
		all += count;
	}
	assert(all == m->count && all <= m->capacity);
}

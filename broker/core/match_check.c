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

static void match_check_mark(const struct match *m, const struct match_leaf *leaf,
	const struct match_mark *mark, uint32_t pack, uint32_t *count)
{
	uint32_t at = m->entries[mark->first].place;
	const struct match_place *place = &m->places[at];

	assert((match_cell_key(place->kind, 0, place->row >> MATCH_LEAF_SHIFT,
			place->col >> MATCH_LEAF_SHIFT) |
		       MATCH_LEAF_USED) == leaf->key);
	assert((place->row & 63) == mark->at >> 6 && (place->col & 63) == (mark->at & 63));
	assert(place->pack == pack && place->first == mark->first);
	assert(place->min_price == mark->price && (place->count > 1) == mark->more);
	assert(leaf->marks[0].price <= mark->price);
	assert(match_leaf_place(m, place->kind, place->row, place->col) == at);
	match_check_place(m, at, count);
}

/* Counts the offerings in a leaf. */
static uint32_t match_check_leaf(
	const struct match *m, uint16_t kind, uint32_t row, uint32_t col, int64_t *ret_price)
{
	const struct match_leaf *leaf = match_leaf_find(m, kind, row, col);
	uint32_t loose;
	uint32_t count = 0;
	uint32_t n = 0;

	assert(leaf != NULL && leaf->n > 0);
	loose = match_leaf_loose(leaf->n);
	for (; n < MIN(leaf->n, (uint32_t)MATCH_LEAF_MARKS); n++)
		match_check_mark(m, leaf, &leaf->marks[n], 0, &count);
	for (uint32_t pack = leaf->pack; pack != 0; pack = m->packs[pack].next) {
		for (uint32_t i = 0; i < loose; i++)
			match_check_mark(m, leaf, &m->packs[pack].marks[i], pack, &count);
		n += loose;
		loose = MATCH_PACK_MARKS;
	}
	assert(n == leaf->n);
	*ret_price = leaf->marks[0].price;
	return count;
}

/* Counts the offerings below a cell. */
static uint32_t match_check_cell(const struct match *m, uint16_t kind, unsigned level, uint32_t row,
	uint32_t col, int64_t *ret_price)
{
	uint32_t at = match_cell_find(m, match_cell_key(kind, level, row, col));
	const struct match_cell *cell = &m->cells[at];
	uint32_t count = 0;
	int64_t price = INT64_MAX;

	assert(at != 0);
	for (uint64_t bits = cell->children; bits != 0; bits &= bits - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(bits);
		uint32_t below_row = row * 8 + bit / 8;
		uint32_t below_col = col * 8 + bit % 8;
		int64_t below;

		count += level == 1 ? match_check_leaf(m, kind, below_row, below_col, &below)
				    : match_check_cell(
					      m, kind, level - 1, below_row, below_col, &below);
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

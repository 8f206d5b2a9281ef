#include "broker/core/match_internal.h"

static uint16_t match_leaf_at(uint32_t row, uint32_t col)
{
	const uint32_t mask = (1u << MATCH_LEAF_SHIFT) - 1;

	return (uint16_t)((row & mask) << MATCH_LEAF_SHIFT | (col & mask));
}

static struct match_leaf *match_leaf_of(const struct match *m, const struct match_place *place)
{
	return match_leaf_find(
		m, place->kind, place->row >> MATCH_LEAF_SHIFT, place->col >> MATCH_LEAF_SHIFT);
}

static struct match_mark *match_leaf_marks(struct match *m, struct match_leaf *leaf, uint32_t pack)
{
	return pack == 0 ? leaf->marks : m->packs[pack].marks;
}

/* Among n marks; n where it is not there. */
static uint32_t match_leaf_index(const struct match_mark *marks, uint32_t n, uint16_t at)
{
	uint32_t i = 0;

	while (i < n && marks[i].at != at)
		i++;
	return i;
}

uint32_t match_leaf_place(const struct match *m, uint16_t kind, uint32_t row, uint32_t col)
{
	const struct match_leaf *leaf = match_leaf_find(
		m, kind, row >> MATCH_LEAF_SHIFT, col >> MATCH_LEAF_SHIFT);
	uint16_t at = match_leaf_at(row, col);
	uint32_t n;
	uint32_t i;

	if (leaf == NULL)
		return 0;
	n = MIN(leaf->n, (uint32_t)MATCH_LEAF_MARKS);
	i = match_leaf_index(leaf->marks, n, at);
	if (i < n)
		return m->entries[leaf->marks[i].first].place;
	n = match_leaf_loose(leaf->n);
	for (uint32_t pack = leaf->pack; pack != 0; pack = m->packs[pack].next) {
		i = match_leaf_index(m->packs[pack].marks, n, at);
		if (i < n)
			return m->entries[m->packs[pack].marks[i].first].place;
		n = MATCH_PACK_MARKS;
	}
	return 0;
}

/* Every mark that moves is noted in its place. */
static void match_leaf_put(
	struct match *m, struct match_mark *mark, uint32_t pack, struct match_mark value)
{
	*mark = value;
	m->places[m->entries[value.first].place].pack = pack;
}

/* Brings the mark to the front where it is cheaper than what is there. */
static void match_leaf_lead(
	struct match *m, struct match_leaf *leaf, struct match_mark *mark, uint32_t pack)
{
	struct match_mark first = leaf->marks[0];

	if (mark->price >= first.price)
		return;
	match_leaf_put(m, &leaf->marks[0], 0, *mark);
	match_leaf_put(m, mark, pack, first);
}

/* Finds the cheapest, after the one in front has become dearer or gone. */
static void match_leaf_lead_anew(struct match *m, struct match_leaf *leaf)
{
	uint32_t n = match_leaf_loose(leaf->n);

	for (uint32_t i = 1; i < MIN(leaf->n, (uint32_t)MATCH_LEAF_MARKS); i++)
		match_leaf_lead(m, leaf, &leaf->marks[i], 0);
	for (uint32_t pack = leaf->pack; pack != 0; pack = m->packs[pack].next) {
		for (uint32_t i = 0; i < n; i++)
			match_leaf_lead(m, leaf, &m->packs[pack].marks[i], pack);
		n = MATCH_PACK_MARKS;
	}
}

static struct match_mark match_leaf_mark(const struct match_place *place)
{
	return (struct match_mark){ .price = place->min_price,
		.first = place->first,
		.at = match_leaf_at(place->row, place->col),
		.more = place->count > 1 };
}

static struct match_leaf *match_leaf_need(struct match *m, const struct match_place *place)
{
	struct match_leaf *leaf = match_leaf_of(m, place);
	uint64_t key = match_cell_key(place->kind, 0, place->row >> MATCH_LEAF_SHIFT,
			       place->col >> MATCH_LEAF_SHIFT) |
		       MATCH_LEAF_USED;
	uint32_t i = match_leaf_home(m, key);

	if (leaf != NULL)
		return leaf;
	/* There are twice as many as there may be offerings. */
	while (m->leaves[i].key != 0)
		i = match_leaf_after(m, i);
	m->leaves[i] = (struct match_leaf){ .key = key };
	return &m->leaves[i];
}

void match_leaf_add(struct match *m, uint32_t place)
{
	struct match_leaf *leaf = match_leaf_need(m, &m->places[place]);
	uint32_t pack = 0;
	uint32_t i = leaf->n++;

	if (i >= MATCH_LEAF_MARKS) {
		i = match_leaf_loose(leaf->n) - 1;
		if (i == 0) {
			pack = m->free_pack;
			if (pack != 0)
				m->free_pack = m->packs[pack].next;
			else
				pack = ++m->n_packs;
			m->packs[pack].next = leaf->pack;
			leaf->pack = pack;
		}
		pack = leaf->pack;
	}
	match_leaf_put(
		m, &match_leaf_marks(m, leaf, pack)[i], pack, match_leaf_mark(&m->places[place]));
	match_leaf_lead(m, leaf, &match_leaf_marks(m, leaf, pack)[i], pack);
}

void match_leaf_set(struct match *m, uint32_t place)
{
	struct match_mark value = match_leaf_mark(&m->places[place]);
	struct match_leaf *leaf = match_leaf_of(m, &m->places[place]);
	uint32_t pack = m->places[place].pack;
	struct match_mark *marks = match_leaf_marks(m, leaf, pack);
	struct match_mark *mark = &marks[match_leaf_index(marks, MATCH_PACK_MARKS, value.at)];
	int64_t before = mark->price;

	*mark = value;
	if (mark != &leaf->marks[0])
		match_leaf_lead(m, leaf, mark, pack);
	else if (value.price > before)
		match_leaf_lead_anew(m, leaf);
}

/* How far a leaf is from where it is looked for first. */
static uint32_t match_leaf_way(const struct match *m, uint32_t from, uint32_t to)
{
	uint32_t all = m->leaf_blocks * MATCH_BLOCK;
	uint32_t a = from % MATCH_BLOCK * m->leaf_blocks + from / MATCH_BLOCK;
	uint32_t b = to % MATCH_BLOCK * m->leaf_blocks + to / MATCH_BLOCK;

	return b >= a ? b - a : b + all - a;
}

/* Closes the gap, so that no search ends at it too early. */
static void match_leaf_close(struct match *m, uint32_t hole)
{
	uint32_t i = hole;

	for (;;) {
		uint32_t home;

		i = match_leaf_after(m, i);
		if (m->leaves[i].key == 0)
			break;
		home = match_leaf_home(m, m->leaves[i].key);
		if (match_leaf_way(m, home, i) < match_leaf_way(m, hole, i))
			continue;
		m->leaves[hole] = m->leaves[i];
		hole = i;
	}
	m->leaves[hole].key = 0;
}

bool match_leaf_drop(struct match *m, uint32_t place)
{
	struct match_leaf *leaf = match_leaf_of(m, &m->places[place]);
	uint32_t pack = m->places[place].pack;
	uint16_t at = match_leaf_at(m->places[place].row, m->places[place].col);
	struct match_mark *marks = match_leaf_marks(m, leaf, pack);
	struct match_mark *mark = &marks[match_leaf_index(marks, MATCH_PACK_MARKS, at)];
	bool leads = mark == &leaf->marks[0];
	struct match_mark *last;
	uint32_t emptied = 0;

	if (leaf->n == 1) {
		match_leaf_close(m, (uint32_t)(leaf - m->leaves));
		return true;
	}
	if (leaf->n <= MATCH_LEAF_MARKS) {
		last = &leaf->marks[leaf->n - 1];
	} else {
		last = &m->packs[leaf->pack].marks[match_leaf_loose(leaf->n) - 1];
		if (last == m->packs[leaf->pack].marks)
			emptied = leaf->pack;
	}
	if (mark != last)
		match_leaf_put(m, mark, pack, *last);
	leaf->n--;
	if (emptied != 0) {
		leaf->pack = m->packs[emptied].next;
		m->packs[emptied].next = m->free_pack;
		m->free_pack = emptied;
	}
	if (leads)
		match_leaf_lead_anew(m, leaf);
	return false;
}

/* The search: down the tree of cells, nearest first. */
#include "broker/core/match_internal.h"

#define START_CELLS_MAX     24
#define REST_MAX            8
#define UNORDERED_MARKS_MAX 64

struct best {
	double chord; /* squared */
	int64_t price;
	uint32_t entry;
};

struct search {
	const struct match *m;
	const struct match_query *query;
	struct best *best; /* query->want at most */
	size_t n;
	double bound; /* squared chord: beyond it nothing is better than what was found */
	struct match_circle circle;
	uint32_t work;
	bool complete;
	size_t n_rest;
	struct best *rest;
};

struct candidate {
	double chord;
	uint32_t row;
	uint32_t col;
	const struct match_leaf *leaf;
};

static bool search_spent(struct search *s)
{
	if (s->work < MATCH_WORK_MAX) {
		s->work++;
		return false;
	}
	s->complete = false;
	return true;
}

/* Whether entry, at that distance and price, belongs before the i-th found. */
static bool search_before(
	const struct search *s, double chord, int64_t price, uint32_t entry, size_t i)
{
	const struct match_entry *entries = s->m->entries;
	const struct best *best = &s->best[i];

	if (chord != best->chord)
		return chord < best->chord;
	if (price != best->price)
		return price < best->price;
	if (entries[entry].used != entries[best->entry].used)
		return entries[entry].used < entries[best->entry].used;
	return entry < best->entry;
}

static void search_take(struct search *s, double chord, int64_t price, uint32_t entry)
{
	size_t i = s->n;

	if (i == s->query->want)
		i--;
	else
		s->n++;
	for (; i > 0 && search_before(s, chord, price, entry, i - 1); i--)
		s->best[i] = s->best[i - 1];
	s->best[i] = (struct best){ chord, price, entry };
	if (s->n == s->query->want)
		s->bound = s->best[s->n - 1].chord;
}

/* Whether the offering, and so what follows it in its place, is worth a look. */
static bool search_offer(struct search *s, double chord, int64_t price, uint32_t e)
{
	const struct match_query *q = s->query;

	if (price > q->max_price_micros ||
		(s->n == q->want && !search_before(s, chord, price, e, q->want - 1)) ||
		search_spent(s))
		return false;
	if (q->accept == NULL || q->accept(e - 1, q->user))
		search_take(s, chord, price, e);
	return true;
}

/* The others of places whose first offering was worth a look. */
static void search_rest(struct search *s)
{
	for (size_t i = 0; i < s->n_rest; i++) {
		uint32_t e = s->rest[i].entry;

		if (s->rest[i].chord > s->bound)
			continue;
		do
			e = match_order_next(s->m, e);
		while (e != 0 && search_offer(s, s->rest[i].chord, s->m->entries[e].price, e));
	}
	s->n_rest = 0;
}

/*
 * A mark has the first offering of its place, and most need no look at more. The rest waits:
 * reading it now would hold up all that follows, and later it may be too far.
 */
static void search_mark(struct search *s, const struct match_mark *mark, double chord)
{
	if (!search_offer(s, chord, mark->price, mark->first) || !mark->more)
		return;
	if (s->n_rest == REST_MAX)
		search_rest(s);
	__builtin_prefetch(&s->m->entries[mark->first]);
	s->rest[s->n_rest++] = (struct best){ chord, mark->price, mark->first };
}

/*
 * row and col are those of the leaf's first place. A mark that is clearly too far, on a plane that
 * makes nothing farther than it is, needs no exact distance.
 */
static void search_marks(
	struct search *s, const struct match_mark *marks, uint32_t n, uint32_t row, uint32_t col)
{
	double y = (double)row - s->circle.row;
	double x = (double)col - s->circle.col;
	uint32_t near = 0;

	x += x < -MATCH_COLS / 2 ? MATCH_COLS : 0;
	x -= x > MATCH_COLS / 2 ? MATCH_COLS : 0;
	for (uint32_t i = 0; i < n; i++) {
		double dy = y + (marks[i].at >> MATCH_LEAF_SHIFT);
		double dx = x + (marks[i].at & ((1u << MATCH_LEAF_SHIFT) - 1));

		near |= (uint32_t)((dy * dy + dx * dx * s->circle.plane_x <=
					   s->bound * s->circle.plane) &
				   (marks[i].price <= s->query->max_price_micros))
			<< i;
	}
	if (search_spent(s))
		return;
	s->work += n - 1;
	for (; near != 0 && s->complete; near &= near - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(near);
		double chord = match_circle_chord(&s->circle,
			row + (marks[i].at >> MATCH_LEAF_SHIFT),
			col + (marks[i].at & ((1u << MATCH_LEAF_SHIFT) - 1)));

		if (chord <= s->bound)
			search_mark(s, &marks[i], chord);
	}
}

/* The leaf is not too dear, as its first mark is the cheapest. */
static void search_leaf(struct search *s, const struct match_leaf *leaf, uint32_t row, uint32_t col)
{
	uint32_t n = match_leaf_loose(leaf->n);

	if (search_spent(s))
		return;
	row <<= MATCH_LEAF_SHIFT;
	col <<= MATCH_LEAF_SHIFT;
	search_marks(s, leaf->marks, MIN(leaf->n, (uint32_t)MATCH_LEAF_MARKS), row, col);
	for (uint32_t p = leaf->pack; p != 0 && s->complete; p = s->m->packs[p].next) {
		__builtin_prefetch(&s->m->packs[s->m->packs[p].next]);
		search_marks(s, s->m->packs[p].marks, n, row, col);
		n = MATCH_PACK_MARKS;
	}
}

static void candidate_add(struct candidate *list, size_t *n, struct candidate c)
{
	size_t i = (*n)++;

	for (; i > 0 && list[i - 1].chord > c.chord; i--)
		list[i] = list[i - 1];
	list[i] = c;
}

static void search_cell(struct search *s, unsigned level, uint32_t row, uint32_t col);

/*
 * What a search needs lies anywhere in memory, so all of it is asked for before any is used: that
 * is most of the speed of a small query.
 */
static void search_ahead(const struct search *s, unsigned level, uint32_t row, uint32_t col)
{
	uint64_t key = match_cell_key(s->query->kind, level, row, col);

	if (level == 0)
		__builtin_prefetch(&s->m->leaves[match_leaf_home(s->m, key | MATCH_LEAF_USED)]);
	else
		__builtin_prefetch(&s->m->cell_slots[match_cell_home(s->m, key)]);
}

/* Finds the leaves and asks for what they need; leaves out the empty and the dear. The number of
 * their marks.
 */
static uint32_t search_leaves(const struct search *s, struct candidate *list, size_t *n)
{
	uint32_t marks = 0;
	size_t left = 0;

	for (size_t i = 0; i < *n; i++) {
		const struct match_leaf *leaf = match_leaf_find(
			s->m, s->query->kind, list[i].row, list[i].col);

		if (leaf == NULL || leaf->marks[0].price > s->query->max_price_micros)
			continue;
		if (leaf->pack != 0) {
			__builtin_prefetch(&s->m->packs[leaf->pack]);
			if (match_leaf_loose(leaf->n) > 3)
				__builtin_prefetch(&s->m->packs[leaf->pack].marks[3]);
		}
		marks += leaf->n;
		list[left] = list[i];
		list[left++].leaf = leaf;
	}
	*n = left;
	return marks;
}

/* Visits cells in order of distance. */
static void search_list(struct search *s, unsigned level, struct candidate *list, size_t n)
{
	const struct match *m = s->m;

	if (level == 0)
		(void)search_leaves(s, list, &n); /* ignored: they are in order already */
	for (size_t i = 0; i < n && level > 0; i++) {
		uint64_t key = match_cell_key(s->query->kind, level, list[i].row, list[i].col);

		__builtin_prefetch(&m->cells[m->cell_slots[match_cell_home(m, key)]]);
	}
	for (size_t i = 0; i < n && list[i].chord <= s->bound && s->complete; i++)
		if (level == 0) {
			search_leaf(s, list[i].leaf, list[i].row, list[i].col);
			search_rest(s);
		} else {
			search_cell(s, level, list[i].row, list[i].col);
		}
}

/* Recursion ends at level 1: MATCH_LEVELS deep. */
static void search_cell(struct search *s, unsigned level, uint32_t row, uint32_t col)
{
	struct candidate list[64];
	size_t n = 0;
	uint32_t at = match_cell_find(s->m, match_cell_key(s->query->kind, level, row, col));
	const struct match_cell *cell = &s->m->cells[at];
	uint64_t bits;

	if (search_spent(s) || at == 0 || cell->min_price > s->query->max_price_micros)
		return;
	bits = cell->children & match_circle_window(&s->circle, level - 1, row, col);
	for (; bits != 0; bits &= bits - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(bits);
		struct candidate c = { .row = row * 8 + bit / 8, .col = col * 8 + bit % 8 };

		c.chord = match_circle_cell_chord(&s->circle, level - 1, c.row, c.col);
		if (c.chord > s->bound)
			continue;
		search_ahead(s, level - 1, c.row, c.col);
		candidate_add(list, &n, c);
	}
	search_list(s, level - 1, list, n);
}

/* The lowest level at which few cells cover the box. */
static unsigned search_level(const struct search *s)
{
	unsigned level;

	for (level = 0; level < MATCH_LEVELS - 1; level++) {
		unsigned shift = match_shift(level);
		uint32_t rows = (s->circle.row_to >> shift) - (s->circle.row_from >> shift) + 1;
		uint32_t cols = 0;

		for (size_t i = 0; i < s->circle.n_columns; i++)
			cols += (s->circle.columns[i].to >> shift) -
				(s->circle.columns[i].from >> shift) + 1;
		if ((uint64_t)rows * cols <= START_CELLS_MAX)
			break;
	}
	return level;
}

static void search_run(struct search *s)
{
	struct candidate starts[START_CELLS_MAX];
	struct candidate list[START_CELLS_MAX];
	unsigned level = search_level(s);
	unsigned shift = match_shift(level);
	size_t n_starts = 0;
	size_t n = 0;

	for (uint32_t r = s->circle.row_from >> shift; r <= s->circle.row_to >> shift; r++)
		for (size_t i = 0; i < s->circle.n_columns; i++) {
			uint32_t c = s->circle.columns[i].from >> shift;

			/* Both parts may lie in one cell of the top level: once is enough. */
			if (i == 1 && c <= s->circle.columns[0].to >> shift)
				c = (s->circle.columns[0].to >> shift) + 1;
			for (; c <= s->circle.columns[i].to >> shift; c++) {
				search_ahead(s, level, r, c);
				starts[n_starts++] = (struct candidate){ .row = r, .col = c };
			}
		}
	/* Where there is little to look at, an order costs more than it saves. */
	if (level == 0 && search_leaves(s, starts, &n_starts) <= UNORDERED_MARKS_MAX) {
		for (size_t i = 0; i < n_starts && s->complete; i++)
			search_leaf(s, starts[i].leaf, starts[i].row, starts[i].col);
		search_rest(s);
		return;
	}
	for (size_t i = 0; i < n_starts; i++) {
		starts[i].chord = match_circle_cell_chord(
			&s->circle, level, starts[i].row, starts[i].col);
		if (starts[i].chord <= s->bound)
			candidate_add(list, &n, starts[i]);
	}
	search_list(s, level, list, n);
}

int match_best(
	const struct match *m, const struct match_query *query, struct match_result *ret_result)
{
	struct best best[MATCH_WANT_MAX];
	struct best rest[REST_MAX];
	struct search s = { .m = m, .query = query, .best = best, .rest = rest, .complete = true };

	if (query->want == 0 || query->want > MATCH_WANT_MAX ||
		query->radius_m > MATCH_RADIUS_MAX_M || query->lat_e7 < -900000000 ||
		query->lat_e7 > 900000000 || query->lon_e7 < -1800000000 ||
		query->lon_e7 > 1800000000)
		return -EINVAL;
	if (query->kind >= MATCH_KINDS_MAX)
		return -ERANGE;
	match_circle_init(&s.circle, m, query->lat_e7, query->lon_e7, query->radius_m);
	s.bound = s.circle.chord;
	search_run(&s);
	ret_result->n = s.n;
	ret_result->complete = s.complete;
	for (size_t i = 0; i < s.n; i++)
		ret_result->found[i] = (struct match_found){
			.handle = best[i].entry - 1,
			.price_micros = best[i].price,
			.distance_m = match_circle_metres(best[i].chord),
		};
	return 0;
}

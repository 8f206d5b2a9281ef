/* The search: down the tree of cells, nearest first. */
#include "broker/core/match_internal.h"

#include <math.h>

#define EARTH_M         6371008.8 /* mean radius, IUGG */
#define RADIANS_A_STEP  (M_PI / 180000.0)
#define START_CELLS_MAX 24

struct columns {
	uint32_t from;
	uint32_t to; /* included */
};

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
	double row; /* the centre, in steps */
	double col;
	double cos_lat;
	double sin_lat;
	uint32_t row_from;
	uint32_t row_to;
	struct columns columns[2]; /* two where the antimeridian lies between */
	size_t n_columns;
	uint32_t work;
	bool complete;
};

struct candidate {
	double chord;
	uint32_t row;
	uint32_t col;
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

/* sin(x) for -pi/2 <= x <= pi/2: Taylor's to the last bit where x is small, as it nearly always is.
 */
static double search_sine(double x)
{
	double xx = x * x;

	if (xx > 1.0 / 1024)
		return sin(x);
	return x * (1.0 - xx / 6.0 * (1.0 - xx / 20.0 * (1.0 - xx / 42.0 * (1.0 - xx / 72.0))));
}

static double search_arcsine(double x)
{
	double xx = x * x;

	if (xx > 1.0 / 1024)
		return asin(MIN(x, 1.0));
	return x *
	       (1.0 + xx * (1.0 / 6.0 +
				   xx * (3.0 / 40.0 +
						xx * (5.0 / 112.0 +
							     xx * (35.0 / 1152.0 +
									  xx * (63.0 / 2816.0))))));
}

/*
 * The squared chord from the centre to a place: the haversine formula. The place's cosine comes
 * from the centre's and the difference, so that no place needs trigonometry of its own.
 */
static double search_chord(const struct search *s, uint32_t row, uint32_t col)
{
	double cols = fabs((double)col - s->col);
	double a = search_sine(((double)row - s->row) * (RADIANS_A_STEP / 2));
	double b = search_sine(MIN(cols, MATCH_COLS - cols) * (RADIANS_A_STEP / 2));
	double cosine = s->cos_lat - 2.0 * a * (s->cos_lat * a + s->sin_lat * sqrt(1.0 - a * a));

	return 4.0 * (a * a + s->cos_lat * MAX(cosine, 0.0) * b * b);
}

/* At most sin(x), for 0 <= x <= pi/2. */
static double sine_below(double x)
{
	return x - x * x * x / 6.0;
}

/*
 * At most the squared chord from the centre to any point of a cell: the haversine formula with the
 * least differences and the least cosine that the cell allows.
 */
static double search_cell_chord(const struct search *s, unsigned level, uint32_t row, uint32_t col)
{
	uint32_t size = UINT32_C(1) << match_shift(level);
	uint32_t row_from = row * size;
	uint32_t col_from = col * size;
	uint32_t row_to = MIN(row_from + size, (uint32_t)MATCH_ROWS) - 1;
	uint32_t col_to = MIN(col_from + size, (uint32_t)MATCH_COLS) - 1;
	uint32_t edge = MIN((row_from + size) >> MATCH_LEAF_SHIFT, (uint32_t)MATCH_EDGES - 1);
	double cosine = MIN(s->m->edge_cos[row_from >> MATCH_LEAF_SHIFT], s->m->edge_cos[edge]);
	double rows = MAX((double)row_from - s->row, s->row - (double)row_to);
	double cols = 0.0;
	double a;
	double b;

	if (s->col < (double)col_from || s->col > (double)col_to) {
		double east = (double)col_from - s->col;
		double west = s->col - (double)col_to;

		east += east < 0 ? MATCH_COLS : 0;
		west += west < 0 ? MATCH_COLS : 0;
		cols = MIN(east, west);
	}
	a = sine_below(MAX(rows, 0.0) * (RADIANS_A_STEP / 2));
	b = sine_below(cols * (RADIANS_A_STEP / 2));
	return 4.0 * (a * a + s->cos_lat * cosine * b * b) * (1.0 - 1e-9) - 1e-15;
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

/* Its mark has the first offering of a place: most need no look at more. */
static void search_place(struct search *s, const struct match_mark *mark, double chord)
{
	const struct match_query *q = s->query;
	int64_t price = mark->price;
	uint32_t e = mark->first;
	uint32_t left = mark->more ? s->m->places[s->m->entries[e].place].count : 1;

	for (; price <= q->max_price_micros; left--) {
		if (s->n == q->want && !search_before(s, chord, price, e, q->want - 1))
			return;
		if (search_spent(s))
			return;
		if (q->accept == NULL || q->accept(e - 1, q->user))
			search_take(s, chord, price, e);
		if (left == 1)
			return;
		e = match_order_next(s->m, e);
		price = s->m->entries[e].price;
	}
}

/* row and col are those of the leaf's first place. */
static void search_marks(
	struct search *s, const struct match_mark *marks, uint32_t n, uint32_t row, uint32_t col)
{
	for (uint32_t i = 0; i < n; i++) {
		double chord;

		if (search_spent(s))
			return;
		if (marks[i].price > s->query->max_price_micros)
			continue;
		chord = search_chord(s, row + (marks[i].at >> MATCH_LEAF_SHIFT),
			col + (marks[i].at & ((1u << MATCH_LEAF_SHIFT) - 1)));
		if (chord <= s->bound)
			search_place(s, &marks[i], chord);
	}
}

static void search_leaf(struct search *s, uint32_t row, uint32_t col)
{
	const struct match_leaf *leaf = match_leaf_find(s->m, s->query->kind, row, col);
	uint32_t n;

	/* The first mark is the cheapest. */
	if (search_spent(s) || leaf == NULL || leaf->marks[0].price > s->query->max_price_micros)
		return;
	row <<= MATCH_LEAF_SHIFT;
	col <<= MATCH_LEAF_SHIFT;
	__builtin_prefetch(&s->m->packs[leaf->pack]);
	__builtin_prefetch(&s->m->packs[leaf->pack].marks[4]);
	search_marks(s, leaf->marks, MIN(leaf->n, (uint32_t)MATCH_LEAF_MARKS), row, col);
	n = match_leaf_loose(leaf->n);
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

/* Which children of a cell lie in the box around the circle. level is the children's. */
static uint64_t search_window(const struct search *s, unsigned level, uint32_t row, uint32_t col)
{
	unsigned shift = match_shift(level);
	uint32_t row_from = MAX(s->row_from >> shift, row * 8);
	uint32_t row_to = MIN(s->row_to >> shift, row * 8 + 7);
	uint64_t cols = 0;
	uint64_t window = 0;

	for (size_t i = 0; i < s->n_columns; i++) {
		uint32_t from = MAX(s->columns[i].from >> shift, col * 8);
		uint32_t to = MIN(s->columns[i].to >> shift, col * 8 + 7);

		for (uint32_t c = from; c <= to; c++)
			cols |= UINT64_C(1) << (c & 7);
	}
	for (uint32_t r = row_from; r <= row_to; r++)
		window |= cols << ((r & 7) * 8);
	return window;
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

/* Visits cells in order of distance. */
static void search_list(struct search *s, unsigned level, const struct candidate *list, size_t n)
{
	const struct match *m = s->m;

	for (size_t i = 0; i < n && level > 0; i++) {
		uint64_t key = match_cell_key(s->query->kind, level, list[i].row, list[i].col);

		__builtin_prefetch(&m->cells[m->cell_slots[match_cell_home(m, key)]]);
	}
	for (size_t i = 0; i < n && list[i].chord <= s->bound && s->complete; i++)
		if (level == 0)
			search_leaf(s, list[i].row, list[i].col);
		else
			search_cell(s, level, list[i].row, list[i].col);
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
	bits = cell->children & search_window(s, level - 1, row, col);
	for (; bits != 0; bits &= bits - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(bits);
		struct candidate c = { .row = row * 8 + bit / 8, .col = col * 8 + bit % 8 };

		c.chord = search_cell_chord(s, level - 1, c.row, c.col);
		if (c.chord > s->bound)
			continue;
		search_ahead(s, level - 1, c.row, c.col);
		candidate_add(list, &n, c);
	}
	search_list(s, level - 1, list, n);
}

/* The box around the circle, in steps. */
static void search_box(struct search *s, double angle)
{
	const double margin = 0.01; /* for rounding */
	double rows = angle / RADIANS_A_STEP + margin;
	double half;
	double from;
	double to;

	s->row_from = (uint32_t)MAX(s->row - rows, 0.0);
	s->row_to = (uint32_t)MIN(s->row + rows, (double)MATCH_ROWS - 1);
	s->columns[0] = (struct columns){ 0, MATCH_COLS - 1 };
	s->n_columns = 1;
	if (s->row_from == 0 || s->row_to == MATCH_ROWS - 1)
		return;
	/* A circle that holds no pole: its easternmost point is at sin = sin(angle) / cos(lat). */
	half = search_arcsine(search_sine(MIN(angle, M_PI / 2)) / s->cos_lat) / RADIANS_A_STEP +
	       margin;
	from = s->col - half;
	to = s->col + half;
	if (to - from >= MATCH_COLS - 1)
		return;
	if (from >= 0 && to < MATCH_COLS) {
		s->columns[0] = (struct columns){ (uint32_t)from, (uint32_t)to };
		return;
	}
	from += from < 0 ? MATCH_COLS : 0;
	to -= to >= MATCH_COLS ? MATCH_COLS : 0;
	s->columns[0].to = (uint32_t)to;
	s->columns[1] = (struct columns){ (uint32_t)MIN(from, MATCH_COLS - 1.0), MATCH_COLS - 1 };
	s->n_columns = 2;
}

/* The lowest level at which few cells cover the box. */
static unsigned search_level(const struct search *s)
{
	unsigned level;

	for (level = 0; level < MATCH_LEVELS - 1; level++) {
		unsigned shift = match_shift(level);
		uint32_t rows = (s->row_to >> shift) - (s->row_from >> shift) + 1;
		uint32_t cols = 0;

		for (size_t i = 0; i < s->n_columns; i++)
			cols += (s->columns[i].to >> shift) - (s->columns[i].from >> shift) + 1;
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

	for (uint32_t r = s->row_from >> shift; r <= s->row_to >> shift; r++)
		for (size_t i = 0; i < s->n_columns; i++) {
			uint32_t c = s->columns[i].from >> shift;

			/* Both parts may lie in one cell of the top level: once is enough. */
			if (i == 1 && c <= s->columns[0].to >> shift)
				c = (s->columns[0].to >> shift) + 1;
			for (; c <= s->columns[i].to >> shift; c++) {
				search_ahead(s, level, r, c);
				starts[n_starts++] = (struct candidate){ .row = r, .col = c };
			}
		}
	for (size_t i = 0; i < n_starts; i++) {
		starts[i].chord = search_cell_chord(s, level, starts[i].row, starts[i].col);
		if (starts[i].chord <= s->bound)
			candidate_add(list, &n, starts[i]);
	}
	search_list(s, level, list, n);
}

int match_best(
	const struct match *m, const struct match_query *query, struct match_result *ret_result)
{
	struct best best[MATCH_WANT_MAX];
	struct search s = { .m = m, .query = query, .best = best, .complete = true };
	double lat = (double)query->lat_e7 * (M_PI / 1800000000.0);
	double angle = ((double)query->radius_m + MATCH_SLACK_M) / EARTH_M;
	double half;

	if (query->want == 0 || query->want > MATCH_WANT_MAX ||
		query->radius_m > MATCH_RADIUS_MAX_M || query->lat_e7 < -900000000 ||
		query->lat_e7 > 900000000 || query->lon_e7 < -1800000000 ||
		query->lon_e7 > 1800000000)
		return -EINVAL;
	if (query->kind >= MATCH_KINDS_MAX)
		return -ERANGE;
	s.row = ((double)query->lat_e7 + 900000000.0) / MATCH_STEP_E7;
	s.col = ((double)query->lon_e7 + 1800000000.0) / MATCH_STEP_E7;
	s.col -= s.col >= MATCH_COLS ? MATCH_COLS : 0;
	s.cos_lat = MAX(cos(lat), 0.0);
	s.sin_lat = sin(lat);
	half = search_sine(MIN(angle, M_PI) / 2);
	/* Half the world away, what rounds to more than a diameter is still within. */
	s.bound = angle >= M_PI ? 4.1 : 4.0 * half * half;
	search_box(&s, angle);
	search_run(&s);
	ret_result->n = s.n;
	ret_result->complete = s.complete;
	for (size_t i = 0; i < s.n; i++)
		ret_result->found[i] = (struct match_found){
			.handle = best[i].entry - 1,
			.price_micros = best[i].price,
			.distance_m = 2.0 * EARTH_M * search_arcsine(sqrt(best[i].chord) / 2.0),
		};
	return 0;
}

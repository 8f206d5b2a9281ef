/* The search: down the tree of cells, nearest first. */
#include "broker/core/match_internal.h"

#include <math.h>

#define EARTH_M         6371008.8 /* mean radius, IUGG */
#define RADIANS_A_STEP  (M_PI / 180000.0)
#define START_CELLS_MAX 4

struct columns {
	uint32_t from;
	uint32_t to; /* included */
};

struct search {
	const struct match *m;
	const struct match_query *query;
	struct match_result *result;
	double row; /* the centre, in steps */
	double col;
	double cos_lat;
	double v[3];
	double reach; /* squared chords: of the radius, ... */
	double chords[MATCH_WANT_MAX]; /* ... and of what was found */
	int64_t prices[MATCH_WANT_MAX];
	uint32_t entries[MATCH_WANT_MAX];
	uint32_t row_from;
	uint32_t row_to;
	struct columns columns[2]; /* two where the antimeridian lies between */
	size_t n_columns;
	uint32_t work;
};

struct candidate {
	double chord;
	uint32_t row;
	uint32_t col;
};

/* Beyond this squared chord nothing is better than what was found. */
static double search_bound(const struct search *s)
{
	return s->result->n == s->query->want ? s->chords[s->result->n - 1] : s->reach;
}

static bool search_spent(struct search *s)
{
	if (s->work < MATCH_WORK_MAX) {
		s->work++;
		return false;
	}
	s->result->complete = false;
	return true;
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
	double rows = fmax(fmax((double)row_from - s->row, s->row - (double)row_to), 0.0);
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
	a = sine_below(rows * (RADIANS_A_STEP / 2));
	b = sine_below(cols * (RADIANS_A_STEP / 2));
	return 4.0 * (a * a + s->cos_lat * cosine * b * b) * (1.0 - 1e-9) - 1e-15;
}

/* Whether entry, at that distance and price, belongs before the i-th found. */
static bool search_before(
	const struct search *s, double chord, int64_t price, uint32_t entry, size_t i)
{
	const struct match_entry *entries = s->m->entries;

	if (chord != s->chords[i])
		return chord < s->chords[i];
	if (price != s->prices[i])
		return price < s->prices[i];
	if (entries[entry].used != entries[s->entries[i]].used)
		return entries[entry].used < entries[s->entries[i]].used;
	return entry < s->entries[i];
}

static void search_take(struct search *s, double chord, int64_t price, uint32_t entry)
{
	size_t i = s->result->n;

	if (i == s->query->want)
		i--;
	else
		s->result->n++;
	for (; i > 0 && search_before(s, chord, price, entry, i - 1); i--) {
		s->chords[i] = s->chords[i - 1];
		s->prices[i] = s->prices[i - 1];
		s->entries[i] = s->entries[i - 1];
	}
	s->chords[i] = chord;
	s->prices[i] = price;
	s->entries[i] = entry;
}

/* The place knows its first offering's price and how many there are: most need no look at more. */
static void search_place(struct search *s, const struct match_place *place, double chord)
{
	const struct match_query *q = s->query;
	int64_t price = place->min_price;
	uint32_t e = place->first;

	for (uint32_t left = place->count; price <= q->max_price_micros; left--) {
		if (s->result->n == q->want && !search_before(s, chord, price, e, q->want - 1))
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

static void search_leaf(struct search *s, const struct match_cell *cell)
{
	unsigned i = 0;

	for (uint32_t p = cell->near[0]; p != 0; p = match_leaf_next(s->m, cell, &i, p)) {
		const struct match_place *place = &s->m->places[p];
		double x = place->v[0] - s->v[0];
		double y = place->v[1] - s->v[1];
		double z = place->v[2] - s->v[2];
		double chord = x * x + y * y + z * z;

		if (search_spent(s))
			return;
		if (chord <= search_bound(s) && place->min_price <= s->query->max_price_micros)
			search_place(s, place, chord);
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
 * Visits cells in order of distance. What a cell needs lies anywhere in memory, so all of it is
 * asked for before any is used: that is most of the speed of a small query.
 */
static void search_list(struct search *s, unsigned level, const struct candidate *list, size_t n)
{
	const struct match *m = s->m;
	uint32_t slots[64];

	for (size_t i = 0; i < n; i++) {
		slots[i] = match_cell_home(
			m, match_cell_key(s->query->kind, level, list[i].row, list[i].col));
		__builtin_prefetch(&m->cell_slots[slots[i]]);
	}
	for (size_t i = 0; i < n; i++)
		__builtin_prefetch(&m->cells[m->cell_slots[slots[i]]]);
	for (size_t i = 0; i < n && level == 0; i++) {
		const struct match_cell *cell = &m->cells[m->cell_slots[slots[i]]];

		for (size_t k = 0; k < MATCH_NEAR && cell->near[k] != 0; k++)
			__builtin_prefetch(&m->places[cell->near[k]]);
	}
	for (size_t i = 0; i < n && list[i].chord <= search_bound(s) && s->result->complete; i++)
		search_cell(s, level, list[i].row, list[i].col);
}

/* Recursion ends at level 0: MATCH_LEVELS deep. */
static void search_cell(struct search *s, unsigned level, uint32_t row, uint32_t col)
{
	struct candidate list[64];
	size_t n = 0;
	uint32_t at = match_cell_find(s->m, match_cell_key(s->query->kind, level, row, col));
	const struct match_cell *cell = &s->m->cells[at];
	uint64_t bits;

	if (search_spent(s) || at == 0 || cell->min_price > s->query->max_price_micros)
		return;
	if (level == 0) {
		search_leaf(s, cell);
		return;
	}
	bits = cell->children & search_window(s, level - 1, row, col);
	for (; bits != 0; bits &= bits - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(bits);
		struct candidate c = { .row = row * 8 + bit / 8, .col = col * 8 + bit % 8 };

		c.chord = search_cell_chord(s, level - 1, c.row, c.col);
		if (c.chord <= search_bound(s))
			candidate_add(list, &n, c);
	}
	search_list(s, level - 1, list, n);
}

/* The box around the circle, in steps. */
static void search_box(struct search *s, double angle)
{
	double lat = (s->row - 90000.0) * RADIANS_A_STEP;
	double rows = angle / RADIANS_A_STEP;
	double half;
	double from;
	double to;

	s->row_from = (uint32_t)MAX(floor(s->row - rows) - 1, 0.0);
	s->row_to = (uint32_t)MIN(ceil(s->row + rows) + 1, (double)MATCH_ROWS - 1);
	s->columns[0] = (struct columns){ 0, MATCH_COLS - 1 };
	s->n_columns = 1;
	if (s->row_from == 0 || s->row_to == MATCH_ROWS - 1)
		return;
	/* A circle that holds no pole: its easternmost point is at sin = sin(angle) / cos(lat). */
	half = asin(MIN(sin(angle) / cos(lat), 1.0)) / RADIANS_A_STEP + 1;
	from = floor(s->col - half);
	to = ceil(s->col + half);
	if (to - from >= MATCH_COLS - 1)
		return;
	if (from >= 0 && to < MATCH_COLS) {
		s->columns[0] = (struct columns){ (uint32_t)from, (uint32_t)to };
		return;
	}
	from += from < 0 ? MATCH_COLS : 0;
	to -= to >= MATCH_COLS ? MATCH_COLS : 0;
	s->columns[0].to = (uint32_t)to;
	s->columns[1] = (struct columns){ (uint32_t)from, MATCH_COLS - 1 };
	s->n_columns = 2;
}

/* From the lowest level at which few cells cover the box. */
static void search_run(struct search *s)
{
	struct candidate list[START_CELLS_MAX];
	unsigned level;
	size_t n = 0;

	for (level = 0; level < MATCH_LEVELS - 1; level++) {
		unsigned shift = match_shift(level);
		uint32_t rows = (s->row_to >> shift) - (s->row_from >> shift) + 1;
		uint32_t cols = 0;

		for (size_t i = 0; i < s->n_columns; i++)
			cols += (s->columns[i].to >> shift) - (s->columns[i].from >> shift) + 1;
		if ((uint64_t)rows * cols <= START_CELLS_MAX)
			break;
	}
	for (uint32_t r = s->row_from >> match_shift(level); r <= s->row_to >> match_shift(level);
		r++)
		for (size_t i = 0; i < s->n_columns; i++) {
			uint32_t c = s->columns[i].from >> match_shift(level);
			/* Both parts may lie in one cell of the top level: once is enough. */
			if (i == 1 && c <= s->columns[0].to >> match_shift(level))
				c = (s->columns[0].to >> match_shift(level)) + 1;
			for (; c <= s->columns[i].to >> match_shift(level); c++)
				candidate_add(list, &n,
					(struct candidate){
						search_cell_chord(s, level, r, c), r, c });
		}
	search_list(s, level, list, n);
}

int match_best(
	const struct match *m, const struct match_query *query, struct match_result *ret_result)
{
	struct match_result result = { .complete = true };
	struct search s = { .m = m, .query = query, .result = &result };
	double lat = (double)query->lat_e7 * (M_PI / 1800000000.0);
	double lon = (double)query->lon_e7 * (M_PI / 1800000000.0);
	double angle = ((double)query->radius_m + MATCH_SLACK_M) / EARTH_M;

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
	s.v[0] = cos(lat) * cos(lon);
	s.v[1] = cos(lat) * sin(lon);
	s.v[2] = sin(lat);
	s.reach = angle >= M_PI ? 4.1 : 4.0 * sin(angle / 2) * sin(angle / 2);
	search_box(&s, angle);
	search_run(&s);
	for (size_t i = 0; i < result.n; i++)
		result.found[i] = (struct match_found){
			.handle = s.entries[i] - 1,
			.price_micros = s.prices[i],
			.distance_m = 2.0 * EARTH_M * asin(MIN(sqrt(s.chords[i]) / 2.0, 1.0)),
		};
	*ret_result = result;
	return 0;
}

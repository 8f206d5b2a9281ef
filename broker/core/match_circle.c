/* The geometry of a search: haversines, with trigonometry once a query and not once a place. */
#include "broker/core/match_internal.h"

#include <math.h>

#define EARTH_M        6371008.8 /* mean radius, IUGG */
#define RADIANS_A_STEP (M_PI / 180000.0)
#define PLANE_NONE     1e30 /* no squared steps are more, even for the least of chords */
#define PLANE_MAX      0.05 /* radians */

/* sin(x) for -pi/2 <= x <= pi/2: Taylor's to the last bit where x is small, as it nearly always is.
 */
static double circle_sine(double x)
{
	double xx = x * x;

	if (xx > 1.0 / 1024)
		return sin(x);
	return x * (1.0 + xx * (-1.0 / 6 + xx * (1.0 / 120 +
							xx * (-1.0 / 5040 + xx * (1.0 / 362880)))));
}

static double circle_arcsine(double x)
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
double match_circle_chord(const struct match_circle *c, uint32_t row, uint32_t col)
{
	double cols = fabs((double)col - c->col);
	double a = circle_sine(((double)row - c->row) * (RADIANS_A_STEP / 2));
	double b = circle_sine(MIN(cols, MATCH_COLS - cols) * (RADIANS_A_STEP / 2));
	double cosine = c->cos_lat - 2.0 * a * (c->cos_lat * a + c->sin_lat * sqrt(1.0 - a * a));

	return 4.0 * (a * a + c->cos_lat * MAX(cosine, 0.0) * b * b);
}

/* At most sin(x), for 0 <= x <= pi/2. */
static double circle_sine_below(double x)
{
	return x - x * x * x / 6.0;
}

/*
 * At most the squared chord from the centre to any point of a cell: the haversine formula with the
 * least differences and the least cosine that the cell allows.
 */
double match_circle_cell_chord(
	const struct match_circle *c, unsigned level, uint32_t row, uint32_t col)
{
	uint32_t size = UINT32_C(1) << match_shift(level);
	uint32_t row_from = row * size;
	uint32_t col_from = col * size;
	uint32_t row_to = MIN(row_from + size, (uint32_t)MATCH_ROWS) - 1;
	uint32_t col_to = MIN(col_from + size, (uint32_t)MATCH_COLS) - 1;
	uint32_t edge = MIN((row_from + size) >> MATCH_LEAF_SHIFT, (uint32_t)MATCH_EDGES - 1);
	double cosine = MIN(c->edge_cos[row_from >> MATCH_LEAF_SHIFT], c->edge_cos[edge]);
	double rows = MAX((double)row_from - c->row, c->row - (double)row_to);
	double cols = 0.0;
	double a;
	double b;

	if (c->col < (double)col_from || c->col > (double)col_to) {
		double east = (double)col_from - c->col;
		double west = c->col - (double)col_to;

		east += east < 0 ? MATCH_COLS : 0;
		west += west < 0 ? MATCH_COLS : 0;
		cols = MIN(east, west);
	}
	a = circle_sine_below(MAX(rows, 0.0) * (RADIANS_A_STEP / 2));
	b = circle_sine_below(cols * (RADIANS_A_STEP / 2));
	return 4.0 * (a * a + c->cos_lat * cosine * b * b) * (1.0 - 1e-9) - 1e-15;
}

/* Which children of a cell lie in the box around the circle. level is the children's. */
uint64_t match_circle_window(
	const struct match_circle *c, unsigned level, uint32_t row, uint32_t col)
{
	unsigned shift = match_shift(level);
	uint32_t row_from = MAX(c->row_from >> shift, row * 8);
	uint32_t row_to = MIN(c->row_to >> shift, row * 8 + 7);
	uint64_t cols = 0;
	uint64_t window = 0;

	for (size_t i = 0; i < c->n_columns; i++) {
		uint32_t from = MAX(c->columns[i].from >> shift, col * 8);
		uint32_t to = MIN(c->columns[i].to >> shift, col * 8 + 7);

		for (uint32_t col_at = from; col_at <= to; col_at++)
			cols |= UINT64_C(1) << (col_at & 7);
	}
	for (uint32_t r = row_from; r <= row_to; r++)
		window |= cols << ((r & 7) * 8);
	return window;
}

/*
 * The plane: sin(x)^2 is at least x^2 (1 - x^2 / 3), which at x = PLANE_MAX / 2 is less than
 * x^2 by 0.02 %. A larger circle, and one near a pole, has no plane: everything is near.
 */
static void circle_plane(struct match_circle *c, double angle, double half)
{
	const double *cosines = c->edge_cos;
	uint32_t to = c->row_to >> MATCH_LEAF_SHIFT;

	if (MAX(angle, half) > PLANE_MAX)
		return;
	c->plane_x = c->cos_lat * MIN(cosines[c->row_from >> MATCH_LEAF_SHIFT], cosines[to + 1]);
	c->plane = 1.001 / (RADIANS_A_STEP * RADIANS_A_STEP);
}

/* The box around the circle, in steps. */
static void circle_box(struct match_circle *c, double angle)
{
	const double margin = 0.01; /* for rounding */
	double rows = angle / RADIANS_A_STEP + margin;
	double half;
	double from;
	double to;

	c->row_from = (uint32_t)MAX(c->row - rows, 0.0);
	c->row_to = (uint32_t)MIN(c->row + rows, (double)MATCH_ROWS - 1);
	c->columns[0] = (struct match_columns){ 0, MATCH_COLS - 1 };
	c->n_columns = 1;
	if (c->row_from == 0 || c->row_to == MATCH_ROWS - 1)
		return;
	/* A circle that holds no pole: its easternmost point is at sin = sin(angle) / cos(lat). */
	half = circle_arcsine(circle_sine(MIN(angle, M_PI / 2)) / c->cos_lat) / RADIANS_A_STEP +
	       margin;
	circle_plane(c, angle, half * RADIANS_A_STEP);
	from = c->col - half;
	to = c->col + half;
	if (to - from >= MATCH_COLS - 1)
		return;
	if (from >= 0 && to < MATCH_COLS) {
		c->columns[0] = (struct match_columns){ (uint32_t)from, (uint32_t)to };
		return;
	}
	from += from < 0 ? MATCH_COLS : 0;
	to -= to >= MATCH_COLS ? MATCH_COLS : 0;
	c->columns[0].to = (uint32_t)to;
	c->columns[1] = (struct match_columns){ (uint32_t)MIN(from, MATCH_COLS - 1.0),
		MATCH_COLS - 1 };
	c->n_columns = 2;
}

void match_circle_init(struct match_circle *c, const struct match *m, int32_t lat_e7,
	int32_t lon_e7, uint32_t radius_m)
{
	double lat = (double)lat_e7 * (M_PI / 1800000000.0);
	double angle = ((double)radius_m + MATCH_SLACK_M) / EARTH_M;
	double half = circle_sine(MIN(angle, M_PI) / 2);

	*c = (struct match_circle){ .edge_cos = m->edge_cos, .plane = PLANE_NONE };
	c->row = ((double)lat_e7 + 900000000.0) / MATCH_STEP_E7;
	c->col = ((double)lon_e7 + 1800000000.0) / MATCH_STEP_E7;
	c->col -= c->col >= MATCH_COLS ? MATCH_COLS : 0;
	c->cos_lat = MAX(cos(lat), 0.0);
	c->sin_lat = sin(lat);
	/* Half the world away, what rounds to more than a diameter is still within. */
	c->chord = angle >= M_PI ? 4.1 : 4.0 * half * half;
	circle_box(c, angle);
}

double match_circle_metres(double chord)
{
	return 2.0 * EARTH_M * circle_arcsine(sqrt(chord) / 2.0);
}

/*
 * "The best 5 within 5 km" among a million offerings: the index in memory beside SQLite in memory,
 * with an R*Tree, with a covering index over cells, and with what was found to serve it best: a
 * table in order of rows and longitude, read in two ranges. SQLite runs without locks and without
 * counting its memory. All answer the same queries in the same order. The offerings are of four kinds, half of
 * them spread over Europe and half in three hundred towns, on coarse cells of 0.01 degrees;
 * requests come from where offerings are.
 */
#include "broker/core/match.h"
#include "tests/bench/figures.h"

#include <sqlite3.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define OFFERINGS       1000000u
#define KINDS           4u
#define TOWNS           300u
#define COARSE_E7       100000
#define CELL_E7         500000 /* of the covering index: 0.05 degrees */
#define RADIUS_M        5000u
#define WANT            5u
#define ROUNDS          9u
#define QUERIES         20000u /* a round */
#define QUERIES_CHECKED 2000u
#define ROW_E7          1000000 /* of the ordered table: 0.1 degrees, so that two cover the circle */
#define METRES_A_DEGREE 111194.9
#define CELL_ROWS       4 /* rows and columns of cells that cover the circle up to 60 degrees north */
#define CELL_COLS       6

struct point {
	int32_t lat;
	int32_t lon;
	int64_t price;
	uint32_t kind;
};

static const char *const kinds[KINDS] = { "photo", "temperature", "noise", "air" };
static struct point *points;
static struct point *centres;
static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static int32_t random_between(int32_t low, int32_t high)
{
	return low + (int32_t)(random_next() % (uint64_t)((int64_t)high - low));
}

static void points_make(void)
{
	struct point towns[TOWNS];

	points = calloc(OFFERINGS, sizeof(*points));
	centres = calloc(QUERIES, sizeof(*centres));
	if (points == NULL || centres == NULL)
		abort();
	for (size_t i = 0; i < TOWNS; i++) {
		towns[i].lat = random_between(360000000, 590000000);
		towns[i].lon = random_between(-100000000, 300000000);
	}
	for (size_t i = 0; i < OFFERINGS; i++) {
		struct point *p = &points[i];
		const struct point *town = &towns[random_next() % TOWNS];
		int32_t lat = random_between(360000000, 590000000);
		int32_t lon = random_between(-100000000, 300000000);

		if (i % 2 == 0) {
			lat = town->lat + random_between(-2000000, 2000000);
			lon = town->lon + random_between(-3000000, 3000000);
		}
		p->lat = lat / COARSE_E7 * COARSE_E7;
		p->lon = lon / COARSE_E7 * COARSE_E7;
		p->price = random_between(10, 100) * 1000;
		p->kind = (uint32_t)(random_next() % KINDS);
	}
	for (size_t i = 0; i < QUERIES; i++) {
		centres[i] = points[random_next() % OFFERINGS];
		centres[i].lat += random_between(-200000, 200000);
		centres[i].lon += random_between(-200000, 200000);
		centres[i].price = 80000;
		centres[i].kind = (uint32_t)(random_next() % KINDS);
	}
}

static void fail(const char *what)
{
	fprintf(stderr, "bench-match: %s\n", what);
	exit(1);
}

static struct match *ours_make(void)
{
	struct match *m = match_new(OFFERINGS);

	if (m == NULL)
		fail("no memory for the index");
	for (uint32_t i = 0; i < OFFERINGS; i++) {
		struct match_offering o = { SPAN_STR(kinds[points[i].kind]), points[i].lat,
			points[i].lon, points[i].price, i };

		if (match_insert(m, i, &o) < 0)
			fail("an offering was not inserted");
	}
	return m;
}

static size_t ours_query(const struct match *m, const struct point *centre, int64_t *ids)
{
	struct match_query q = { .lat_e7 = centre->lat,
		.lon_e7 = centre->lon,
		.radius_m = RADIUS_M,
		.max_price_micros = centre->price,
		.want = WANT };
	struct match_result result;

	if (match_kind(m, SPAN_STR(kinds[centre->kind]), &q.kind) < 0 ||
		match_best(m, &q, &result) < 0)
		fail("a query was refused");
	for (size_t i = 0; i < result.n; i++)
		ids[i] = result.found[i].handle;
	return result.n;
}

static void sql(sqlite3 *db, const char *text)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail(sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *text)
{
	sqlite3_stmt *stmt;

	if (sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
		fail(sqlite3_errmsg(db));
	return stmt;
}

#define ORDER "(lat - ?1) * (lat - ?1) * 1.0 + (lon - ?2) * (lon - ?2) * ?3"

/* Parameters: 1 and 2 the centre, 3 the squared cosine, 4 the squared radius, 5 kind, 6 price. */
static const char rtree_query[] =
	"SELECT id FROM (SELECT id, minlat AS lat, minlon AS lon, price FROM r WHERE minkind = ?5 "
	"AND minlat >= ?7 AND maxlat <= ?8 AND minlon >= ?9 AND maxlon <= ?10 AND price <= ?6) "
	"WHERE " ORDER " <= ?4 ORDER BY " ORDER ", price, id LIMIT 5";
static const char cells_query[] =
	"SELECT id FROM c WHERE kind = ?5 AND y IN (?7, ?8, ?9, ?10) AND x IN (?11, ?12, ?13, ?14, ?15, ?16) "
	"AND price <= ?6 AND " ORDER " <= ?4 ORDER BY " ORDER ", price, id LIMIT 5";

#define ROW(y) \
	"SELECT id, price, " ORDER " AS d FROM o WHERE kind = ?5 AND y = " y \
	" AND lon BETWEEN ?9 AND ?10 AND price <= ?6"
static const char rows_query[] = "SELECT id FROM (" ROW("?7") " UNION ALL " ROW(
	"?8") " AND ?8 <> ?7) WHERE d <= ?4 ORDER BY d, price, id LIMIT 5";

static sqlite3 *sqlite_make(void)
{
	sqlite3 *db;
	sqlite3_stmt *r;
	sqlite3_stmt *c;

	if (sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) != SQLITE_OK ||
		sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK ||
		sqlite3_open(":memory:", &db) != SQLITE_OK)
		fail("no SQLite");
	sql(db, "CREATE VIRTUAL TABLE r USING rtree_i32(id, minlat, maxlat, minlon, maxlon, minkind, "
		"maxkind, +price);"
		"CREATE TABLE c (id INTEGER PRIMARY KEY, kind INT, y INT, x INT, price INT, lat INT, lon INT) STRICT;"
		"BEGIN");
	r = prepare(db, "INSERT INTO r VALUES (?1, ?2, ?2, ?3, ?3, ?4, ?4, ?5)");
	c = prepare(db, "INSERT INTO c VALUES (?1, ?4, ?6, ?7, ?5, ?2, ?3)");
	for (size_t i = 0; i < OFFERINGS; i++) {
		sqlite3_stmt *both[2] = { r, c };

		for (int k = 0; k < 2; k++) {
			sqlite3_bind_int64(both[k], 1, (int64_t)i);
			sqlite3_bind_int(both[k], 2, points[i].lat);
			sqlite3_bind_int(both[k], 3, points[i].lon);
			sqlite3_bind_int(both[k], 4, (int)points[i].kind);
			sqlite3_bind_int64(both[k], 5, points[i].price);
		}
		sqlite3_bind_int(c, 6, (points[i].lat + 900000000) / CELL_E7);
		sqlite3_bind_int(c, 7, (points[i].lon + 1800000000) / CELL_E7);
		for (int k = 0; k < 2; k++)
			if (sqlite3_step(both[k]) != SQLITE_DONE ||
				sqlite3_reset(both[k]) != SQLITE_OK)
				fail(sqlite3_errmsg(db));
	}
	sqlite3_finalize(r);
	sqlite3_finalize(c);
	sql(db, "COMMIT; CREATE INDEX c_cells ON c (kind, y, x, price, lat, lon, id);"
		"CREATE TABLE o (kind INT, y INT, lon INT, lat INT, price INT, id INT, "
		"PRIMARY KEY (kind, y, lon, id)) STRICT, WITHOUT ROWID;"
		"INSERT INTO o SELECT kind, (lat + 900000000) / 1000000, lon, lat, price, id FROM c "
		"ORDER BY 1, 2, 3, 6; ANALYZE");
	return db;
}

enum peer { RTREE, CELLS, ROWS, PEERS };

static void sqlite_bind_cells(sqlite3_stmt *stmt, int y, int y_to, int x, int x_to)
{
	if (y_to - y >= CELL_ROWS || x_to - x >= CELL_COLS)
		fail("the circle needs more cells");
	for (int i = 0; i < CELL_ROWS; i++)
		sqlite3_bind_int(stmt, 7 + i, MIN(y + i, y_to));
	for (int i = 0; i < CELL_COLS; i++)
		sqlite3_bind_int(stmt, 11 + i, MIN(x + i, x_to));
}

static size_t sqlite_run(
	sqlite3_stmt *stmt, const struct point *centre, enum peer peer, int64_t *ids)
{
	double cosine = cos((double)centre->lat * 1e-7 * M_PI / 180.0);
	double radius = (RADIUS_M + MATCH_SLACK_M) / METRES_A_DEGREE * 1e7;
	int lat_from = centre->lat - (int)radius;
	int lat_to = centre->lat + (int)radius;
	int lon_from = centre->lon - (int)(radius / cosine);
	int lon_to = centre->lon + (int)(radius / cosine);
	size_t n = 0;
	int step;

	sqlite3_bind_int(stmt, 1, centre->lat);
	sqlite3_bind_int(stmt, 2, centre->lon);
	sqlite3_bind_double(stmt, 3, cosine * cosine);
	sqlite3_bind_double(stmt, 4, radius * radius);
	sqlite3_bind_int(stmt, 5, (int)centre->kind);
	sqlite3_bind_int64(stmt, 6, centre->price);
	if (peer == CELLS) {
		sqlite_bind_cells(stmt, (lat_from + 900000000) / CELL_E7,
			(lat_to + 900000000) / CELL_E7, (lon_from + 1800000000) / CELL_E7,
			(lon_to + 1800000000) / CELL_E7);
	} else {
		bool rows = peer == ROWS;

		sqlite3_bind_int(stmt, 7, rows ? (lat_from + 900000000) / ROW_E7 : lat_from);
		sqlite3_bind_int(stmt, 8, rows ? (lat_to + 900000000) / ROW_E7 : lat_to);
		sqlite3_bind_int(stmt, 9, lon_from);
		sqlite3_bind_int(stmt, 10, lon_to);
	}
	while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
		ids[n++] = sqlite3_column_int64(stmt, 0);
	if (step != SQLITE_DONE || sqlite3_reset(stmt) != SQLITE_OK)
		fail("a query failed in SQLite");
	return n;
}

/*
 * All must answer alike. SQLite's distances are those of a plane, so a few in a thousand differ
 * where two places are about equally far.
 */
static void agree(const struct match *m, sqlite3_stmt *const peers[static PEERS])
{
	unsigned same = 0;
	size_t found = 0;

	for (size_t i = 0; i < QUERIES_CHECKED; i++) {
		int64_t a[WANT];
		size_t n = ours_query(m, &centres[i], a);
		bool alike = true;

		for (enum peer p = 0; p < PEERS; p++) {
			int64_t b[WANT];

			alike &= n == sqlite_run(peers[p], &centres[i], p, b) &&
				 memcmp(a, b, n * sizeof(a[0])) == 0;
		}
		found += n;
		same += alike;
	}
	fprintf(stderr, "%u offerings; %.2f found a query; %.1f %% of the answers are the same\n",
		OFFERINGS, (double)found / QUERIES_CHECKED, 100.0 * same / QUERIES_CHECKED);
	if (same < QUERIES_CHECKED * 98 / 100)
		fail("the answers differ");
}

static double updates(struct match *m)
{
	double t = figures_clock_s();

	for (uint32_t i = 0; i < QUERIES; i++) {
		uint32_t h = (uint32_t)(random_next() % OFFERINGS);

		if (match_update(m, h, points[h].lat, points[h].lon, points[h].price) < 0)
			fail("an update was refused");
	}
	return QUERIES / (figures_clock_s() - t);
}

int main(int argc, char **argv)
{
	static const char *const texts[PEERS] = { rtree_query, cells_query, rows_query };
	static const char *const names[PEERS] = { "SQLite R*Tree, in memory",
		"SQLite covering index over cells", "SQLite table in order of rows" };
	struct figures *f = figures_new("match");
	double samples[PEERS + 1][ROUNDS];
	double update[ROUNDS];
	sqlite3_stmt *peers[PEERS];
	struct match *m;
	sqlite3 *db;
	int64_t ids[WANT];

	points_make();
	m = ours_make();
	db = sqlite_make();
	for (enum peer p = 0; p < PEERS; p++)
		peers[p] = prepare(db, texts[p]);
	agree(m, peers);
	for (size_t round = 0; round < ROUNDS; round++) {
		double t = figures_clock_s();

		for (size_t i = 0; i < QUERIES; i++)
			ours_query(m, &centres[i], ids);
		samples[PEERS][round] = QUERIES / (figures_clock_s() - t);
		for (enum peer p = 0; p < PEERS; p++) {
			t = figures_clock_s();
			for (size_t i = 0; i < QUERIES; i++)
				sqlite_run(peers[p], &centres[i], p, ids);
			samples[p][round] = QUERIES / (figures_clock_s() - t);
		}
		update[round] = updates(m);
	}
	figures_add(f, "best 5 within 5 km of 1 M offerings", "queries/s", FIGURES_HIGHER,
		samples[PEERS], ROUNDS, 30);
	for (enum peer p = 0; p < PEERS; p++) {
		figures_beside(f, names[p], samples[p], ROUNDS);
		sqlite3_finalize(peers[p]);
	}
	figures_add(f, "take out and put back", "offerings/s", FIGURES_HIGHER, update, ROUNDS, NAN);
	figures_print(f, figures_json(argc, argv));
	sqlite3_close(db);
	f = figures_free(f);
	m = match_free(m);
	free(points);
	free(centres);
	return 0;
}

/* The index of offerings against a model that looks at every one of them. */
#include "broker/core/match.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define MODEL_MAX 3000
#define SEED      UINT64_C(20240229)

struct model_offering {
	bool live;
	char kind[16];
	int64_t row; /* steps of the rounded position */
	int64_t col;
	int64_t price;
	uint64_t used;
};

struct model {
	struct model_offering o[MODEL_MAX];
	uint32_t capacity;
};

static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static int64_t random_between(int64_t low, int64_t high)
{
	return low + (int64_t)(random_next() % (uint64_t)(high - low + 1));
}

static void model_place(struct model_offering *o, int32_t lat_e7, int32_t lon_e7)
{
	o->row = llround(floor((double)lat_e7 / MATCH_STEP_E7 + 0.5));
	o->col = llround(floor((double)lon_e7 / MATCH_STEP_E7 + 0.5));
	if (o->col == 180000)
		o->col = -180000;
	if (o->row == 90000 || o->row == -90000)
		o->col = -180000;
}

/* Haversine in long double: another formula than the index's. */
static double model_distance(const struct model_offering *o, const struct match_query *q)
{
	const long double radian = 3.14159265358979323846L / 180.0L;
	long double lat1 = (long double)o->row / 1000.0L * radian;
	long double lat2 = (long double)q->lat_e7 / 1e7L * radian;
	long double dlon = ((long double)o->col / 1000.0L - (long double)q->lon_e7 / 1e7L) * radian;
	long double a = sinl((lat1 - lat2) / 2);
	long double b = sinl(dlon / 2);
	long double h = a * a + cosl(lat1) * cosl(lat2) * b * b;

	return (double)(2.0L * 6371008.8L * asinl(sqrtl(h < 1.0L ? h : 1.0L)));
}

static bool accept_two_thirds(uint32_t handle, void *user)
{
	const uint32_t *salt = user;

	return (handle * 2654435761u + *salt) % 3 != 0;
}

/* Is a, at that distance, before b? */
static bool model_before(const struct model *m, uint32_t a, double da, uint32_t b, double db)
{
	const struct model_offering *x = &m->o[a];
	const struct model_offering *y = &m->o[b];

	if (x->row != y->row || x->col != y->col)
		return da < db;
	if (x->price != y->price)
		return x->price < y->price;
	if (x->used != y->used)
		return x->used < y->used;
	return a < b;
}

static size_t model_best(const struct model *m, const char *kind, const struct match_query *q,
	uint32_t out[static MATCH_WANT_MAX], double distance[static MATCH_WANT_MAX])
{
	size_t n = 0;

	for (uint32_t h = 0; h < m->capacity; h++) {
		const struct model_offering *o = &m->o[h];
		double d;
		size_t i;

		if (!o->live || strcmp(o->kind, kind) != 0 || o->price > q->max_price_micros)
			continue;
		d = model_distance(o, q);
		if (d > (double)q->radius_m + MATCH_SLACK_M)
			continue;
		if (q->accept != NULL && !q->accept(h, q->user))
			continue;
		if (n == q->want && !model_before(m, h, d, out[n - 1], distance[n - 1]))
			continue;
		i = n == q->want ? n - 1 : n++;
		for (; i > 0 && model_before(m, h, d, out[i - 1], distance[i - 1]); i--) {
			out[i] = out[i - 1];
			distance[i] = distance[i - 1];
		}
		out[i] = h;
		distance[i] = d;
	}
	return n;
}

static void compare(const struct match *index, const struct model *model, const char *kind,
	struct match_query *q)
{
	struct match_result result;
	uint32_t want[MATCH_WANT_MAX];
	double distance[MATCH_WANT_MAX];
	size_t n = model_best(model, kind, q, want, distance);

	if (match_kind(index, SPAN_STR(kind), &q->kind) < 0) {
		assert_int_equal(n, 0);
		return;
	}
	assert_int_equal(match_best(index, q, &result), 0);
	assert_true(result.complete);
	if (result.n != n)
		fail_msg("seed %llu: %zu found, %zu expected, at %d %d radius %u",
			(unsigned long long)SEED, result.n, n, q->lat_e7, q->lon_e7, q->radius_m);
	for (size_t i = 0; i < n; i++) {
		double d = result.found[i].distance_m;

		/* Two formulas may order what lies within a hair's breadth either way. */
		assert_true(fabs(d - distance[i]) < 0.001 + distance[i] * 1e-7);
		if (result.found[i].handle != want[i])
			assert_true(fabs(model_distance(&model->o[result.found[i].handle], q) -
					    model_distance(&model->o[want[i]], q)) < 0.001);
		assert_int_equal(
			result.found[i].price_micros, model->o[result.found[i].handle].price);
	}
}

/* A few towns, the poles, the antimeridian, and anywhere. */
static void random_position(int32_t *lat, int32_t *lon)
{
	static const int32_t towns[][2] = { { 482081700, 163721300 }, { 482000000, 163700000 },
		{ 899990000, 0 }, { -899990000, 900000000 }, { 100000, 1799995000 },
		{ -200000, -1799990000 }, { 0, 0 } };
	const int32_t *town = towns[random_next() % ARRAY_SIZE(towns)];
	int64_t spread = random_next() % 2 == 0 ? 60000 : 3000000;
	int64_t x;

	if (random_next() % 8 == 0) {
		*lat = (int32_t)random_between(-900000000, 900000000);
		*lon = (int32_t)random_between(-1800000000, 1800000000);
		return;
	}
	x = town[0] + random_between(-spread, spread);
	*lat = (int32_t)MAX(MIN(x, INT64_C(900000000)), INT64_C(-900000000));
	x = town[1] + random_between(-spread, spread);
	if (labs(town[0]) > 899000000)
		x = random_between(-1800000000, 1800000000);
	if (x > 1800000000)
		x -= 3600000000;
	if (x < -1800000000)
		x += 3600000000;
	*lon = (int32_t)x;
}

static void random_step(struct match *index, struct model *model, uint64_t now)
{
	static const char *const kinds[] = { "photo", "temperature", "noise" };
	uint32_t h = (uint32_t)(random_next() % model->capacity);
	struct model_offering *o = &model->o[h];
	int32_t lat;
	int32_t lon;
	int64_t price = random_between(0, 20);

	random_position(&lat, &lon);
	if (!o->live) {
		const char *kind = kinds[random_next() % ARRAY_SIZE(kinds)];
		struct match_offering offering = { SPAN_STR(kind), lat, lon, price, now };

		assert_int_equal(match_touch(index, h, 1), -ENOENT);
		assert_int_equal(match_insert(index, h, &offering), 0);
		assert_int_equal(match_insert(index, h, &offering), -EEXIST);
		*o = (struct model_offering){ .live = true, .price = price, .used = now };
		strcpy(o->kind, kind);
		model_place(o, lat, lon);
		return;
	}
	switch (random_next() % 4) {
	case 0:
		assert_int_equal(match_remove(index, h), 0);
		assert_int_equal(match_remove(index, h), -ENOENT);
		o->live = false;
		return;
	case 1:
		assert_int_equal(match_update(index, h, lat, lon, price), 0);
		model_place(o, lat, lon);
		o->price = price;
		return;
	default:
		assert_int_equal(match_touch(index, h, now), 0);
		o->used = now;
		return;
	}
}

static void test_model(void **state)
{
	static struct model model;
	static const uint32_t radii[] = { 1, 50, 500, 5000, 50000, 1000000, 9000000, 10100000,
		20000000 };

	(void)state; /* ignored: no fixture */
	random_state = SEED;
	for (unsigned world = 0; world < 4; world++) {
		struct match *index;

		memset(&model, 0, sizeof(model));
		model.capacity = world == 0 ? 8 : world == 1 ? 200 : MODEL_MAX;
		index = match_new(model.capacity);
		assert_non_null(index);
		for (uint64_t now = 1; now <= 3 * (uint64_t)model.capacity; now++) {
			random_step(index, &model, now);
			if (now % (model.capacity / 4) == 0)
				match_check(index);
		}
		for (unsigned i = 0; i < 1500; i++) {
			uint32_t salt = (uint32_t)random_next();
			struct match_query q = {
				.radius_m = radii[random_next() % ARRAY_SIZE(radii)],
				.max_price_micros = random_next() % 4 == 0 ? random_between(0, 20)
									   : INT64_MAX,
				.want = 1 + (size_t)(random_next() % MATCH_WANT_MAX),
				.accept = random_next() % 2 == 0 ? accept_two_thirds : NULL,
				.user = &salt,
			};

			random_position(&q.lat_e7, &q.lon_e7);
			compare(index, &model, i % 2 == 0 ? "photo" : "noise", &q);
		}
		for (uint32_t h = 0; h < model.capacity; h++)
			if (model.o[h].live)
				assert_int_equal(match_remove(index, h), 0);
		match_check(index);
		assert_int_equal(match_count(index), 0);
		index = match_free(index);
	}
}

static void insert(struct match *m, uint32_t handle, int32_t lat, int32_t lon, int64_t price)
{
	struct match_offering o = { SPAN_STR("photo"), lat, lon, price, 0 };

	assert_int_equal(match_insert(m, handle, &o), 0);
}

static void expect(struct match *m, int32_t lat, int32_t lon, uint32_t radius_m, size_t n,
	const uint32_t *handles)
{
	struct match_query q = { .lat_e7 = lat,
		.lon_e7 = lon,
		.radius_m = radius_m,
		.max_price_micros = INT64_MAX,
		.want = MATCH_WANT_MAX };
	struct match_result result;

	assert_int_equal(match_kind(m, SPAN_STR("photo"), &q.kind), 0);
	assert_int_equal(match_best(m, &q, &result), 0);
	assert_int_equal(result.n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(result.found[i].handle, handles[i]);
}

static void test_antimeridian(void **state)
{
	struct match *m = match_new(8);

	(void)state; /* ignored: no fixture */
	insert(m, 0, 0, 1799900000, 5);
	insert(m, 1, 0, -1799800000, 5);
	insert(m, 2, 0, 1800000000, 5);
	insert(m, 3, 0, -1800000000, 4); /* the same place as 2, and cheaper */
	insert(m, 4, 0, 10000000, 5);
	expect(m, 0, 1800000000, 5000, 4, (const uint32_t[]){ 3, 2, 0, 1 });
	/* Ten steps to either side: the price decides, then the handle. */
	expect(m, 0, -1799900000, 1200, 3, (const uint32_t[]){ 3, 1, 2 });
	expect(m, 0, 1799999999, 20000000, 5, (const uint32_t[]){ 3, 2, 0, 1, 4 });
	m = match_free(m);
}

static void test_poles(void **state)
{
	struct match *m = match_new(8);

	(void)state; /* ignored: no fixture */
	insert(m, 0, 900000000, 0, 2);
	insert(m, 1, 900000000, 1234567890, 1);
	insert(m, 2, 899500000, -900000000, 5);
	insert(m, 3, 899400000, 900000000, 5);
	insert(m, 4, -900000000, 10, 5);
	expect(m, 899500000, 900000000, 12000, 4, (const uint32_t[]){ 3, 1, 0, 2 });
	expect(m, 900000000, 0, 0, 2, (const uint32_t[]){ 1, 0 });
	expect(m, -900000000, 777, 100, 1, (const uint32_t[]){ 4 });
	m = match_free(m);
}

static bool accept_counting(uint32_t handle, void *user)
{
	(void)handle; /* ignored: only the number of questions counts */
	++*(uint32_t *)user;
	return true;
}

static bool accept_none(uint32_t handle, void *user)
{
	(void)accept_counting(handle, user); /* ignored: it always says yes */
	return false;
}

/* A hundred thousand offerings in one place: the first few are asked for, and not one more. */
static void test_dense(void **state)
{
	const uint32_t n = 100000;
	struct match *m = match_new(n);
	uint32_t asked = 0;
	struct match_query q = { .lat_e7 = 482081700,
		.lon_e7 = 163721300,
		.radius_m = 5000,
		.max_price_micros = INT64_MAX,
		.want = 5,
		.accept = accept_counting,
		.user = &asked };
	struct match_result result;

	(void)state; /* ignored: no fixture */
	for (uint32_t h = 0; h < n; h++)
		insert(m, h, 482081700, 163721300, (int64_t)((h * 7919u) % n));
	assert_int_equal(match_kind(m, SPAN_STR("photo"), &q.kind), 0);
	assert_int_equal(match_best(m, &q, &result), 0);
	assert_true(result.complete);
	assert_int_equal(result.n, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(result.found[i].price_micros, i);
	assert_int_equal(asked, 5);
	/* The cheapest is used and so comes last among its price. */
	assert_int_equal(match_update(m, 1, 482081700, 163721300, 0), 0);
	assert_int_equal(match_touch(m, 0, 9), 0);
	assert_int_equal(match_best(m, &q, &result), 0);
	assert_int_equal(result.found[0].handle, 1);
	assert_int_equal(result.found[1].handle, 0);
	/* A caller that takes none is stopped, and told so. */
	asked = 0;
	q.accept = accept_none;
	assert_int_equal(match_best(m, &q, &result), 0);
	assert_int_equal(result.n, 0);
	assert_false(result.complete);
	assert_true(asked <= MATCH_WORK_MAX);
	match_check(m);
	m = match_free(m);
}

/* Everything is too dear but one, far away: found without asking about the rest. */
static void test_cheap_and_far(void **state)
{
	const uint32_t n = 50000;
	struct match *m = match_new(n);
	struct match_query q = { .lat_e7 = 482081700,
		.lon_e7 = 163721300,
		.radius_m = MATCH_RADIUS_MAX_M,
		.max_price_micros = 10,
		.want = 5 };
	struct match_result result;

	(void)state; /* ignored: no fixture */
	random_state = SEED;
	for (uint32_t h = 1; h < n; h++)
		insert(m, h, (int32_t)random_between(-900000000, 900000000),
			(int32_t)random_between(-1800000000, 1800000000), 11);
	insert(m, 0, -482000000, -163000000, 10);
	assert_int_equal(match_kind(m, SPAN_STR("photo"), &q.kind), 0);
	assert_int_equal(match_best(m, &q, &result), 0);
	assert_true(result.complete);
	assert_int_equal(result.n, 1);
	assert_int_equal(result.found[0].handle, 0);
	assert_int_equal(match_remove(m, 0), 0);
	assert_int_equal(match_best(m, &q, &result), 0);
	assert_true(result.complete && result.n == 0);
	m = match_free(m);
}

static void test_limits(void **state)
{
	struct match_offering o = { SPAN_STR("photo"), 0, 0, 0, 0 };
	struct match *m = match_new(2);
	struct match_query q = { .want = 1 };
	struct match_result result = { .n = 77 };
	char long_kind[MATCH_KIND_MAX + 1];
	uint16_t kind;

	(void)state; /* ignored: no fixture */
	assert_null(match_new(0));
	assert_null(match_new(MATCH_CAPACITY_MAX + 1));
	assert_int_equal(match_insert(m, 2, &o), -EINVAL);
	o.lat_e7 = 900000001;
	assert_int_equal(match_insert(m, 0, &o), -EINVAL);
	o.lat_e7 = 0;
	o.lon_e7 = -1800000001;
	assert_int_equal(match_insert(m, 0, &o), -EINVAL);
	o.lon_e7 = 0;
	o.price_micros = -1;
	assert_int_equal(match_insert(m, 0, &o), -EINVAL);
	o.price_micros = 0;
	memset(long_kind, 'x', sizeof(long_kind));
	o.kind = SPAN_OF(long_kind);
	assert_int_equal(match_insert(m, 0, &o), -EINVAL);
	o.kind = SPAN(long_kind, MATCH_KIND_MAX);
	assert_int_equal(match_insert(m, 0, &o), 0);
	o.kind = SPAN(long_kind, 0);
	assert_int_equal(match_insert(m, 1, &o), -EINVAL);
	assert_int_equal(match_update(m, 0, INT32_MIN, 0, 0), -EINVAL);
	assert_int_equal(match_update(m, 0, 0, 0, -1), -EINVAL);
	assert_int_equal(match_update(m, 1, 0, 0, 0), -ENOENT);
	q.want = MATCH_WANT_MAX + 1;
	assert_int_equal(match_best(m, &q, &result), -EINVAL);
	q.want = 1;
	q.radius_m = MATCH_RADIUS_MAX_M + 1;
	assert_int_equal(match_best(m, &q, &result), -EINVAL);
	q.radius_m = 1;
	q.lat_e7 = -900000001;
	assert_int_equal(match_best(m, &q, &result), -EINVAL);
	q.lat_e7 = 0;
	q.kind = UINT16_MAX;
	assert_int_equal(match_best(m, &q, &result), -ERANGE);
	assert_int_equal(result.n, 77);
	/* A kind goes with its last offering. */
	assert_int_equal(match_kind(m, SPAN(long_kind, MATCH_KIND_MAX), &kind), 0);
	assert_int_equal(match_remove(m, 0), 0);
	assert_int_equal(match_kind(m, SPAN(long_kind, MATCH_KIND_MAX), &kind), -ENOENT);
	m = match_free(m);
}

static void test_kinds(void **state)
{
	struct match *m = match_new(MATCH_KINDS_MAX + 1);
	char name[16];
	uint16_t kind;

	(void)state; /* ignored: no fixture */
	for (uint32_t h = 0; h <= MATCH_KINDS_MAX; h++) {
		struct match_offering o = { .price_micros = 1 };

		snprintf(name, sizeof(name), "kind-%u", h);
		o.kind = SPAN_STR(name);
		assert_int_equal(match_insert(m, h, &o), h < MATCH_KINDS_MAX ? 0 : -ENOSPC);
	}
	match_check(m);
	for (uint32_t h = 0; h < MATCH_KINDS_MAX; h += 2)
		assert_int_equal(match_remove(m, h), 0);
	match_check(m);
	for (uint32_t h = 0; h < MATCH_KINDS_MAX; h++) {
		snprintf(name, sizeof(name), "kind-%u", h);
		assert_int_equal(match_kind(m, SPAN_STR(name), &kind), h % 2 == 0 ? -ENOENT : 0);
	}
	m = match_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_antimeridian),
		cmocka_unit_test(test_poles),
		cmocka_unit_test(test_dense),
		cmocka_unit_test(test_cheap_and_far),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

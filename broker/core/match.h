#pragma once
/*
 * Which offerings serve a place: an index in memory, rebuilt at start. For a kind, a centre and a
 * radius it gives the best few by nearest, then cheapest, then least recently used, then lowest
 * handle. Who is connected, and which parties accept each other, is asked of the caller through a
 * callback.
 *
 * Positions are the coarse cells that offerings publish. They are rounded to MATCH_STEP_E7, so that
 * offerings of one place tie exactly and a crowd in it is one place, kept in order of price and
 * use. Places are marked in leaf cells of 64 x 64 steps, these hang in a tree of cells eight times
 * as wide each; each cell knows which of its children hold something and the lowest price below. A
 * query with a small radius reads the few leaves around it at once. Any other goes down the tree
 * nearest first and leaves out what is too far, too dear, or behind what it has found, so a radius
 * of half the world costs about what a small one does.
 *
 * All memory is taken at the start (at most 420 bytes an offering, touched as they are used; in
 * large indexes in pages of 2 MiB). Not for two threads at once.
 */
#include "proto/base/base.h"

#define MATCH_CAPACITY_MAX (UINT32_C(1) << 24) /* offerings */
#define MATCH_KINDS_MAX    4096 /* different kinds that are offered at one time */
#define MATCH_KIND_MAX     64 /* bytes in the name of a kind */
#define MATCH_WANT_MAX     16 /* results of one query */
#define MATCH_RADIUS_MAX_M UINT32_C(20000000)
#define MATCH_STEP_E7      10000 /* 0.001 degrees: 111 m from north to south */
/* Rounding moves a place by up to 79 m, so that much is added to each radius. */
#define MATCH_SLACK_M 79
/* Cells, places and offerings that one query looks at: some milliseconds. */
#define MATCH_WORK_MAX 32768

struct match;

struct match_offering {
	struct span kind;
	int32_t lat_e7;
	int32_t lon_e7;
	int64_t price_micros; /* not negative */
	uint64_t last_used; /* the caller's sequence; 0: never */
};

struct match_query {
	uint16_t kind; /* from match_kind() */
	int32_t lat_e7;
	int32_t lon_e7;
	uint32_t radius_m;
	int64_t max_price_micros;
	size_t want; /* 1 to MATCH_WANT_MAX */
	/* Whether the caller takes this one; NULL takes all. It must not change the index. */
	bool (*accept)(uint32_t handle, void *user);
	void *user;
};

struct match_found {
	uint32_t handle;
	int64_t price_micros;
	double distance_m; /* from the centre to the rounded place, on a sphere */
};

struct match_result {
	size_t n;
	struct match_found found[MATCH_WANT_MAX];
	bool complete; /* false: MATCH_WORK_MAX was reached, and there may be better ones */
};

/* An index for capacity offerings (1 to MATCH_CAPACITY_MAX). NULL where memory or capacity is not
 * there. */
struct match *match_new(uint32_t capacity);
struct match *match_free(struct match *m);

/*
 * Adds an offering under the caller's handle, which is below the capacity and free. The kind
 * becomes known with its first offering. 0; -EINVAL where kind, position, price or handle are
 * impossible; -EEXIST where the handle is in use; -ENOSPC where there are too many kinds.
 */
_must_check_ int match_insert(
	struct match *m, uint32_t handle, const struct match_offering *offering);
/* Takes an offering out; a kind goes with its last one. 0 or -ENOENT. */
int match_remove(struct match *m, uint32_t handle);
/* Moves or prices an offering anew; kind and use stay. 0, -ENOENT or -EINVAL. */
_must_check_ int match_update(
	struct match *m, uint32_t handle, int32_t lat_e7, int32_t lon_e7, int64_t price_micros);
/* Notes when an offering was last used. 0 or -ENOENT. */
int match_touch(struct match *m, uint32_t handle, uint64_t last_used);

/* The number of a kind, good until its last offering goes. 0 or -ENOENT. */
_must_check_ int match_kind(const struct match *m, struct span name, uint16_t *ret_kind);
/* How many offerings there are. */
uint32_t match_count(const struct match *m);

/* The best offerings for a query. 0, or -EINVAL where the query is impossible (-ERANGE: the kind).
 */
_must_check_ int match_best(
	const struct match *m, const struct match_query *query, struct match_result *ret_result);

/* Asserts that counts, prices, order and the tree of cells agree. O(n): for tests and simulation.
 */
void match_check(const struct match *m);

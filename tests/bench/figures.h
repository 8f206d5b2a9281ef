#pragma once
/*
 * What a bench prints: figures of ours with those of a peer or of the raw limit beside them,
 * measured in the same run, as a table or as one JSON object. A bench measures rounds, alternating
 * between ours and what stands beside, and gives every round's sample; median, least and most are
 * taken here. A lack of memory ends the bench.
 */
#include "proto/base/base.h"

#define FIGURES_LIST_MAX   32 /* figures of one bench */
#define FIGURES_BESIDE_MAX 8 /* peers beside one figure */

enum figures_better {
	FIGURES_HIGHER, /* operations a second */
	FIGURES_LOWER, /* microseconds, bytes */
};

struct figures;

/* For a bench of that name, which must stay. */
struct figures *figures_new(const char *name);
struct figures *figures_free(struct figures *f);

/*
 * Adds a figure of ours with n >= 1 samples, which are copied; name and unit must stay. target: the
 * ratio to reach where something stands beside, else the median to reach; NAN for none.
 */
void figures_add(struct figures *f, const char *name, const char *unit, enum figures_better better,
	const double *samples, size_t n, double target);
/*
 * Puts a peer's samples beside the figure added last. The ratio is how many times ours is better
 * than the best peer, by the medians: over 1 where ours is ahead, whichever direction is better.
 */
void figures_beside(struct figures *f, const char *name, const double *samples, size_t n);

/*
 * Prints to stdout: a table, or {"bench", "figures": [{"name", "unit", "ours": {"median", "min",
 * "max"}, "beside": [{"name", "median", "min", "max"}], "ratio", "target", "met"}]} with null for
 * what is not there.
 */
void figures_print(const struct figures *f, bool json);

/* Whether argv holds --json. */
bool figures_json(int argc, char **argv);
/* The monotonic clock in seconds. */
double figures_clock_s(void);

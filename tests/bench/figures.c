#include "tests/bench/figures.h"

#include <jansson.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct samples {
	const char *name;
	double median;
	double min;
	double max;
};

struct figure {
	struct samples ours;
	const char *unit;
	enum figures_better better;
	double target;
	struct samples beside[FIGURES_BESIDE_MAX];
	size_t n_beside;
};

struct figures {
	const char *name;
	struct figure figures[FIGURES_LIST_MAX];
	size_t n;
};

struct figures *figures_new(const char *name)
{
	struct figures *f = calloc(1, sizeof(*f));

	if (f == NULL)
		abort();
	f->name = name;
	return f;
}

struct figures *figures_free(struct figures *f)
{
	free(f);
	return NULL;
}

static int figures_order(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return *x < *y ? -1 : *x > *y;
}

static struct samples figures_samples(const char *name, const double *values, size_t n)
{
	double *sorted = calloc(n, sizeof(*sorted));
	struct samples samples = { .name = name };

	if (sorted == NULL)
		abort();
	assert(n > 0);
	memcpy(sorted, values, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), figures_order);
	samples.min = sorted[0];
	samples.max = sorted[n - 1];
	samples.median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
	free(sorted);
	return samples;
}

void figures_add(struct figures *f, const char *name, const char *unit, enum figures_better better,
	const double *samples, size_t n, double target)
{
	assert(f->n < FIGURES_LIST_MAX);
	f->figures[f->n++] = (struct figure){
		.ours = figures_samples(name, samples, n),
		.unit = unit,
		.better = better,
		.target = target,
	};
}

void figures_beside(struct figures *f, const char *name, const double *samples, size_t n)
{
	struct figure *figure = &f->figures[f->n - 1];

	assert(f->n > 0 && figure->n_beside < FIGURES_BESIDE_MAX);
	figure->beside[figure->n_beside++] = figures_samples(name, samples, n);
}

/* NAN where nothing stands beside. */
static double figures_ratio(const struct figure *figure)
{
	double ratio = NAN;

	for (size_t i = 0; i < figure->n_beside; i++) {
		double r = figure->better == FIGURES_HIGHER
				   ? figure->ours.median / figure->beside[i].median
				   : figure->beside[i].median / figure->ours.median;

		ratio = fmin(ratio, r); /* fmin() prefers a number to NAN */
	}
	return ratio;
}

static bool figures_met(const struct figure *figure)
{
	if (figure->n_beside > 0)
		return figures_ratio(figure) >= figure->target;
	return figure->better == FIGURES_HIGHER ? figure->ours.median >= figure->target
						: figure->ours.median <= figure->target;
}

static json_t *figures_number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static void figures_samples_json(json_t *object, const struct samples *samples)
{
	json_object_set_new(object, "median", figures_number(samples->median));
	json_object_set_new(object, "min", figures_number(samples->min));
	json_object_set_new(object, "max", figures_number(samples->max));
}

static json_t *figures_figure_json(const struct figure *figure)
{
	json_t *object = json_object();
	json_t *ours = json_object();
	json_t *beside = json_array();

	figures_samples_json(ours, &figure->ours);
	for (size_t i = 0; i < figure->n_beside; i++) {
		json_t *peer = json_object();

		json_object_set_new(peer, "name", json_string(figure->beside[i].name));
		figures_samples_json(peer, &figure->beside[i]);
		json_array_append_new(beside, peer);
	}
	json_object_set_new(object, "name", json_string(figure->ours.name));
	json_object_set_new(object, "unit", json_string(figure->unit));
	json_object_set_new(object, "ours", ours);
	json_object_set_new(object, "beside", beside);
	json_object_set_new(object, "ratio", figures_number(figures_ratio(figure)));
	json_object_set_new(object, "target", figures_number(figure->target));
	json_object_set_new(object, "met",
		isnan(figure->target) ? json_null() : json_boolean(figures_met(figure)));
	return object;
}

static void figures_print_json(const struct figures *f)
{
	json_t *object = json_object();
	json_t *list = json_array();

	for (size_t i = 0; i < f->n; i++)
		json_array_append_new(list, figures_figure_json(&f->figures[i]));
	json_object_set_new(object, "bench", json_string(f->name));
	json_object_set_new(object, "figures", list);
	if (json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6)) != 0)
		abort();
	putchar('\n');
	json_decref(object);
}

static void figures_line(const char *name, const char *unit, const struct samples *s)
{
	printf("%-44s %14.6g %14.6g %14.6g  %s\n", name, s->median, s->min, s->max, unit);
}

void figures_print(const struct figures *f, bool json)
{
	if (json) {
		figures_print_json(f);
		return;
	}
	printf("%-44s %14s %14s %14s\n", f->name, "median", "min", "max");
	for (size_t i = 0; i < f->n; i++) {
		const struct figure *figure = &f->figures[i];

		figures_line(figure->ours.name, figure->unit, &figure->ours);
		for (size_t k = 0; k < figure->n_beside; k++) {
			char name[64];

			snprintf(name, sizeof(name), "  beside: %s", figure->beside[k].name);
			figures_line(name, figure->unit, &figure->beside[k]);
		}
		if (figure->n_beside > 0)
			printf("  %.3g times the best beside\n", figures_ratio(figure));
		if (!isnan(figure->target))
			printf("  target %.6g: %s\n", figure->target,
				figures_met(figure) ? "met" : "MISSED");
	}
}

bool figures_json(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

double figures_clock_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* assay-sim: runs worlds, one a seed, until one breaks. */
#include "tests/sim/sim.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEPS_DEFAULT 3000000

static const char *const fault_names[] = { "off", "light", "heavy" };
static const char *const plant_names[] = { "none", "double-release", "dropped-outbox",
	"skipped-fsync" };
static const char *const kind_names[SIM_KINDS] = { "broker", "escrow", "node", "verifier",
	"buyer" };

static char repeat_line[256]; /* the command that repeats the run, for when a core aborts */
static struct world world;
static char broken_name[sizeof(world.broken_name)]; /* of the last run that broke */

/* An invariant of a core's own has failed, and assert() said which. */
static void on_abort(int number)
{
	static const char text[] = "\nbroken: a core's own invariant (see above)\nrepeat: ";

	(void)number; /* ignored: SIGABRT alone */
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
		write(STDERR_FILENO, repeat_line, strlen(repeat_line)) < 0)
		_exit(3);
	_exit(1);
}

static int index_of(const char *word, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, names[i]) == 0)
			return (int)i;
	return -1;
}

static int usage(FILE *to)
{
	fputs("assay-sim - the whole market in one process, virtual time, and every fault by seed\n"
	      "usage: assay-sim [--seed N] [--count SEEDS] [--requests N] [--steps N]\n"
	      "                 [--faults off|light|heavy] [--verbose] [--json]\n"
	      "                 [--plant double-release|dropped-outbox|skipped-fsync]\n"
	      "                 [--expect VIOLATION] [--help]\n"
	      "example: ./dev run assay-sim --seed 7 --faults heavy --verbose\n"
	      "exit codes: 0 nothing broke (or what was expected did), 1 something broke, 2 usage\n",
		to);
	return to == stdout ? 0 : 2;
}

static void remember_command(const struct sim_options *o)
{
	snprintf(repeat_line, sizeof(repeat_line),
		"./dev run assay-sim --seed %llu --requests %zu --faults %s%s%s\n",
		(unsigned long long)o->seed, o->requests, fault_names[o->faults],
		o->plant ? " --plant " : "", o->plant ? plant_names[o->plant] : "");
}

static void report(const struct world *w)
{
	static const char *const bases[] = { "nothing", "verdicts", "default", "ruling", "silence",
		"no show", "withheld", "cancel", "expiry" };
	size_t states[SLOT_STATES] = { 0 };
	size_t refused = 0;

	for (size_t i = 0; i < w->n_requests; i++) {
		if (w->requests[i].state > 0 && w->requests[i].state < SLOT_STATES)
			states[w->requests[i].state]++;
		else if (w->requests[i].state == PERSON_STATE_REFUSED)
			refused++;
	}
	printf("seed %llu: %zu requests, %zu refused", (unsigned long long)w->o.seed, w->n_requests,
		refused);
	for (size_t i = 0; i < SLOT_STATES; i++)
		if (states[i])
			printf(", %zu %s", states[i], slot_state_name((int64_t)i));
	printf("; %llu steps, %llu messages, %lld s\n", (unsigned long long)w->steps,
		(unsigned long long)w->messages,
		(long long)((w->now_ns - SIM_START_NS) / NS_PER_S));
	for (size_t code = 1; code < 256; code++) {
		size_t n = 0;

		for (size_t i = 0; i < w->n_requests; i++)
			n += w->requests[i].code == (int64_t)code;
		if (n && w->o.verbose)
			printf("  %-32s %zu\n", refusal_name((enum refusal)code), n);
	}
	if (!w->o.verbose)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		if (w->bases[0][i] + w->bases[1][i])
			printf("  settled by %-21s %llu paid, %llu refunded\n", bases[i],
				(unsigned long long)w->bases[1][i],
				(unsigned long long)w->bases[0][i]);
	for (size_t i = 0; i < FAULTS; i++)
		if (w->faults[i])
			printf("  %-32s %llu\n", faults_name((enum sim_fault)i),
				(unsigned long long)w->faults[i]);
	for (size_t i = 0; i < SIM_KINDS; i++)
		if (w->crashes[i])
			printf("  crashes of %-21s %llu\n", kind_names[i],
				(unsigned long long)w->crashes[i]);
}

static void report_json(const struct world *w)
{
	printf("{\"seed\":%llu,\"faults\":\"%s\",\"plant\":\"%s\",\"ok\":%s,\"broken\":\"%s\","
	       "\"steps\":%llu,\"messages\":%llu,\"virtual_ns\":%lld,\"states\":{",
		(unsigned long long)w->o.seed, fault_names[w->o.faults], plant_names[w->o.plant],
		w->broken ? "false" : "true", w->broken_name, (unsigned long long)w->steps,
		(unsigned long long)w->messages, (long long)(w->now_ns - SIM_START_NS));
	for (int64_t state = 1, first = 1; state < SLOT_STATES; state++) {
		size_t n = 0;

		for (size_t i = 0; i < w->n_requests; i++)
			n += w->requests[i].state == state;
		if (n) {
			printf("%s\"%s\":%zu", first ? "" : ",", slot_state_name(state), n);
			first = 0;
		}
	}
	printf("},\"injected\":{");
	for (size_t i = 0, first = 1; i < FAULTS; i++) {
		if (!w->faults[i])
			continue;
		printf("%s\"%s\":%llu", first ? "" : ",", faults_name((enum sim_fault)i),
			(unsigned long long)w->faults[i]);
		first = 0;
	}
	printf("}}\n");
}

static bool run(const struct sim_options *o)
{
	bool ok;

	remember_command(o);
	world_init(&world, o);
	ok = world_run(&world);
	if (o->json)
		report_json(&world);
	else
		report(&world);
	fflush(stdout);
	if (!ok)
		fprintf(stderr, "broken: %s at step %llu, %.6f s: %s\nseed: %llu\nrepeat: %s",
			world.broken_name, (unsigned long long)world.steps,
			(double)(world.now_ns - SIM_START_NS) / 1e9, world.broken_text,
			(unsigned long long)o->seed, repeat_line);
	memcpy(broken_name, world.broken_name, sizeof(broken_name));
	world_deinit(&world);
	return ok;
}

/* A whole number of at most `most`; false for anything else. */
static bool number(const char *text, uint64_t most, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && *ret <= most;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "seed", 1, NULL, 's' },
		{ "count", 1, NULL, 'c' }, { "requests", 1, NULL, 'r' }, { "steps", 1, NULL, 't' },
		{ "faults", 1, NULL, 'f' }, { "plant", 1, NULL, 'p' }, { "expect", 1, NULL, 'e' },
		{ "verbose", 0, NULL, 'v' }, { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	struct sim_options o = {
		.seed = 1, .requests = 50, .steps = STEPS_DEFAULT, .faults = FAULTS_LIGHT
	};
	const char *expect = NULL; /* the violation that must be found within count seeds */
	uint64_t count = 1;
	uint64_t n = 0;
	int i;

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		bool ok = true;

		if (c == 's') {
			ok = number(optarg, UINT64_MAX / 2, &o.seed);
		} else if (c == 'c') {
			ok = number(optarg, UINT32_MAX, &count);
		} else if (c == 'r') {
			ok = number(optarg, PERSON_REQUESTS_MAX, &n) && n > 0;
			o.requests = n;
		} else if (c == 't') {
			ok = number(optarg, UINT64_MAX / 2, &o.steps);
		} else if (c == 'f') {
			i = index_of(optarg, fault_names, ARRAY_SIZE(fault_names));
			ok = i >= 0;
			o.faults = (enum sim_faults)i;
		} else if (c == 'p') {
			i = index_of(optarg, plant_names, ARRAY_SIZE(plant_names));
			ok = i >= 0;
			o.plant = (enum sim_plant)i;
		} else if (c == 'e') {
			expect = optarg;
		} else if (c == 'h') {
			return usage(stdout);
		} else {
			o.verbose |= c == 'v';
			o.json |= c == 'j';
			ok = c == 'v' || c == 'j';
		}
		if (!ok)
			return usage(stderr);
	}
	if (optind < argc || sodium_init() < 0)
		return usage(stderr);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGABRT, on_abort);
	for (uint64_t k = 0; k < count; k++, o.seed++) {
		if (run(&o))
			continue;
		if (!expect)
			return 1;
		if (strcmp(broken_name, expect) == 0) {
			printf("found, as expected: %s\n", expect);
			return 0;
		}
		fprintf(stderr, "expected: %s\n", expect);
		return 1;
	}
	if (expect)
		fprintf(stderr, "not found: %s\n", expect);
	return expect ? 1 : 0;
}

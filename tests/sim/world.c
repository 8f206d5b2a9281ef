#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *sim_copy(const void *p, size_t n)
{
	void *copy = malloc(MAX(n, (size_t)1));

	if (!copy)
		abort();
	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

void world_at(struct world *w, int64_t at_ns, enum sim_what what, uint8_t a, uint8_t b, void *data)
{
	struct sim_event e = { .at_ns = MAX(at_ns, w->now_ns),
		.seq = ++w->seq,
		.what = what,
		.a = a,
		.b = b,
		.life = w->parties[a].life,
		.data = data };
	size_t i = w->n_queue++;

	if (i == w->cap_queue) {
		w->cap_queue = MAX(w->cap_queue * 2, (size_t)1024);
		w->queue = reallocarray(w->queue, w->cap_queue, sizeof(*w->queue));
		if (!w->queue)
			abort();
	}
	for (; i > 0 && before(&e, &w->queue[(i - 1) / 2]); i = (i - 1) / 2)
		w->queue[i] = w->queue[(i - 1) / 2];
	w->queue[i] = e;
}

static struct sim_event pop(struct world *w)
{
	struct sim_event first = w->queue[0];
	struct sim_event last = w->queue[--w->n_queue];
	size_t i = 0;

	for (size_t k = 1; k < w->n_queue; k = 2 * i + 1) {
		if (k + 1 < w->n_queue && before(&w->queue[k + 1], &w->queue[k]))
			k++;
		if (!before(&w->queue[k], &last))
			break;
		w->queue[i] = w->queue[k];
		i = k;
	}
	w->queue[i] = last;
	return first;
}

void world_broken(struct world *w, const char *name, const char *format, ...)
{
	va_list args;

	if (w->broken)
		return;
	w->broken = true;
	snprintf(w->broken_name, sizeof(w->broken_name), "%s", name);
	va_start(args, format);
	vsnprintf(w->broken_text, sizeof(w->broken_text), format, args);
	va_end(args);
}

void world_say(struct world *w, const char *format, ...)
{
	va_list args;

	if (!w->o.verbose)
		return;
	printf("%12.6f ", (double)(w->now_ns - SIM_START_NS) / 1e9);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

struct sim_party *world_party(struct world *w, const struct did *did)
{
	for (size_t i = 0; i < w->n_parties; i++)
		if (did_eq(&w->parties[i].author.signer.issuer, did))
			return &w->parties[i];
	return NULL;
}

static uint8_t add_party(struct world *w, enum sim_kind kind, const char *name)
{
	struct sim_party *p = &w->parties[w->n_parties];

	*p = (struct sim_party){
		.kind = kind, .index = (uint8_t)w->n_parties, .tick_at_ns = INT64_MAX
	};
	snprintf(p->name, sizeof(p->name), "%s", name);
	if (w->o.faults != FAULTS_OFF)
		p->skew_ns = rng_between(&w->chance, -2 * NS_PER_S, 2 * NS_PER_S);
	identity_make(w, p);
	p->ops = cores_ops(kind);
	store_init(&p->store, p->ops);
	w->n_parties++;
	return p->index;
}

void world_init(struct world *w, const struct sim_options *options)
{
	char name[32];
	size_t n;

	*w = (struct world){ .o = *options, .now_ns = SIM_START_NS, .quiet_by_ns = INT64_MAX };
	rng_seed(&w->chance, options->seed, 1);
	rng_seed(&w->entropy, options->seed, 2);
	rng_seed(&w->load, options->seed, 3);
	w->opened = calloc(1, sizeof(*w->opened));
	w->fx = calloc(1, sizeof(*w->fx));
	w->requests = calloc(options->requests, sizeof(*w->requests));
	if (!w->opened || !w->fx || !w->requests)
		abort();
	w->broker = add_party(w, SIM_BROKER, "broker");
	w->escrow = add_party(w, SIM_ESCROW, "escrow");
	n = 2 + rng_below(&w->load, 3);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "node%zu", i + 1);
		add_party(w, SIM_NODE, name);
	}
	n = 1 + rng_below(&w->load, 3);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "verifier%zu", i + 1);
		add_party(w, SIM_VERIFIER, name);
	}
	add_party(w, SIM_BUYER, "buyer1");
	add_party(w, SIM_BUYER, "buyer2");
	checks_init(w);
	for (size_t i = 0; i < w->n_parties; i++)
		party_start(w, &w->parties[i]);
	for (uint8_t a = 0; a < w->n_parties; a++)
		network_party_up(w, a);
	workload_begin(w);
	faults_begin(w);
}

void world_deinit(struct world *w)
{
	for (size_t i = 0; i < w->n_queue; i++)
		free(w->queue[i].data);
	free(w->queue);
	for (size_t i = 0; i < w->n_parties; i++)
		party_deinit(&w->parties[i]);
	checks_free(w);
	free(w->requests);
	free(w->opened);
	free(w->fx);
}

static void handle(struct world *w, struct sim_event *e)
{
	struct sim_party *p = &w->parties[e->a];
	bool same_life = e->life == p->life && p->core;

	switch (e->what) {
	case W_DELIVER:
		network_deliver(w, e);
		e->data = NULL;
		break;
	case W_PROCESS:
		if (same_life)
			party_process(w, p);
		break;
	case W_TICK:
		if (same_life && p->tick_at_ns == e->at_ns) {
			p->tick_at_ns = INT64_MAX;
			party_give(w, p, EVENT_TICK, e->a, NULL);
		}
		break;
	case W_DONE:
		if (same_life) {
			party_give(w, p, EVENT_WORK, e->a, e->data);
			e->data = NULL;
		}
		break;
	case W_PULL:
		if (same_life) {
			work_pull(w, p, e->data);
			e->data = NULL;
		}
		break;
	case W_RESTART:
		if (!p->core) {
			party_start(w, p);
			network_party_up(w, e->a);
		}
		break;
	case W_LINK_UP:
		network_up(w, e->a, e->b);
		break;
	case W_LOST:
		network_lost(w, e->a, e->b);
		break;
	case W_FAULT:
		faults_next(w);
		break;
	case W_POST:
		workload_post(w);
		break;
	case W_CALM:
		faults_stop(w);
		w->quiet_by_ns = w->now_ns + SIM_QUIET_MAX_NS;
		break;
	case W_CANCEL:
		workload_cancel(w, p, e->data);
		break;
	}
	free(e->data);
}

static void overrun(struct world *w)
{
	checks_end(w); /* names what is open, where it can */
	world_broken(w, "not-quiet", "something still waits at step %llu, %lld s after the start",
		(unsigned long long)w->steps, (long long)((w->now_ns - SIM_START_NS) / NS_PER_S));
}

bool world_run(struct world *w)
{
	uint64_t n = 0;

	while (!w->broken && w->n_queue > 0) {
		struct sim_event e = pop(w);

		w->now_ns = e.at_ns;
		if (e.at_ns > w->quiet_by_ns || w->steps >= w->o.steps) {
			free(e.data);
			overrun(w);
			break;
		}
		handle(w, &e);
		/* Looked at now and then: it goes through all rows. */
		if (w->calm && n++ % 256 == 0 && workload_done(w) && checks_quiet(w)) {
			checks_end(w);
			break;
		}
	}
	return !w->broken;
}

#include "tests/sim/sim.h"

#include <stdlib.h>

#define LOST_AFTER_NS (20 * NS_PER_S) /* of silence */

bool network_joined(const struct world *w, uint8_t a, uint8_t b)
{
	bool hub_a = a == w->broker || a == w->escrow;
	bool hub_b = b == w->broker || b == w->escrow;

	return a != b && (hub_a || hub_b);
}

struct sim_link *network_link(struct world *w, uint8_t a, uint8_t b)
{
	return &w->links[MIN(a, b)][MAX(a, b)];
}

static int64_t delay(struct world *w)
{
	int64_t ns = rng_between(&w->chance, 200000, 20 * NS_PER_MS);

	if (w->calm || w->o.faults == FAULTS_OFF)
		return ns;
	if (rng_chance(&w->chance, w->o.faults == FAULTS_HEAVY ? 40000 : 8000)) {
		w->faults[FAULT_LATE]++;
		ns += rng_between(&w->chance, 0,
			rng_chance(&w->chance, 100000) ? 60 * NS_PER_S : 5 * NS_PER_S);
	}
	return ns;
}

static void post(struct world *w, uint8_t from, uint8_t to, const struct sim_letter *letter,
	int64_t extra_ns)
{
	world_at(w, w->now_ns + extra_ns + delay(w), W_DELIVER, to, from,
		sim_copy(letter, sizeof(*letter) + letter->n));
}

void network_send(struct world *w, uint8_t from, const struct sim_out *out)
{
	const struct sim_link *link = network_link(w, from, out->to);
	bool heavy = w->o.faults == FAULTS_HEAVY;
	bool faulty = w->o.faults != FAULTS_OFF && !w->calm;

	w->messages++;
	if (!link->up || link->blocked_until_ns > w->now_ns)
		return;
	if (faulty && rng_chance(&w->chance, heavy ? 80000 : 10000)) {
		w->faults[FAULT_LOST]++;
		return;
	}
	post(w, from, out->to, out->letter, out->delay_ns);
	if (faulty && rng_chance(&w->chance, heavy ? 50000 : 10000)) {
		w->faults[FAULT_REPEATED]++;
		post(w, from, out->to, out->letter, out->delay_ns);
	}
}

/* A message may come late, in another life of either side, as long as the two are connected. */
void network_deliver(struct world *w, const struct sim_event *e)
{
	const struct sim_link *link = network_link(w, e->a, e->b);
	struct sim_party *to = &w->parties[e->a];

	if (!to->core || !link->up || link->blocked_until_ns > w->now_ns) {
		free(e->data);
		return;
	}
	party_give(w, to, EVENT_MESSAGE, e->b, e->data);
}

void network_up(struct world *w, uint8_t a, uint8_t b)
{
	struct sim_link *link = network_link(w, a, b);

	if (link->up || !w->parties[a].core || !w->parties[b].core)
		return;
	if (link->blocked_until_ns > w->now_ns) {
		world_at(w, link->blocked_until_ns, W_LINK_UP, a, b, NULL);
		return;
	}
	link->up = true;
	link->lost[0] = link->lost[1] = false;
	party_give(w, &w->parties[a], EVENT_CONNECTED, b, NULL);
	party_give(w, &w->parties[b], EVENT_CONNECTED, a, NULL);
}

static void down(struct world *w, uint8_t a, uint8_t b)
{
	struct sim_link *link = network_link(w, a, b);

	if (!link->up)
		return;
	link->up = false;
	world_at(w, w->now_ns + rng_between(&w->chance, NS_PER_MS, LOST_AFTER_NS), W_LOST, a, b,
		NULL);
	world_at(w, w->now_ns + rng_between(&w->chance, NS_PER_MS, LOST_AFTER_NS), W_LOST, b, a,
		NULL);
}

/* Whoever is connected again by then has noticed nothing but a new greeting. */
void network_lost(struct world *w, uint8_t a, uint8_t b)
{
	struct sim_link *link = network_link(w, a, b);

	if (link->up || !w->parties[a].core || link->lost[a > b])
		return;
	link->lost[a > b] = true;
	party_give(w, &w->parties[a], EVENT_LOST, b, NULL);
}

void network_party_down(struct world *w, uint8_t a)
{
	for (uint8_t b = 0; b < w->n_parties; b++)
		if (network_joined(w, a, b))
			down(w, a, b);
}

void network_party_up(struct world *w, uint8_t a)
{
	for (uint8_t b = 0; b < w->n_parties; b++)
		if (network_joined(w, a, b) && w->parties[b].core)
			world_at(w, w->now_ns + rng_between(&w->chance, NS_PER_MS, 800 * NS_PER_MS),
				W_LINK_UP, a, b, NULL);
}

void network_disconnect(struct world *w, uint8_t a, uint8_t b, int64_t for_ns)
{
	if (!network_joined(w, a, b) || !network_link(w, a, b)->up)
		return;
	down(w, a, b);
	world_at(w, w->now_ns + for_ns, W_LINK_UP, a, b, NULL);
}

/* The real cores, set up for this world. */
#include "tests/sim/sim.h"

#include "broker/core/broker.h"
#include "escrow/core/escrow.h"
#include "sensor-node/core/node.h"
#include "tests/sim/person.h"

#include "proto/core/rules.h"

#include <stdlib.h>

const struct core_ops *cores_ops(enum sim_kind kind)
{
	switch (kind) {
	case SIM_BROKER:
		return &broker_ops;
	case SIM_ESCROW:
		return &escrow_ops;
	case SIM_NODE:
		return &node_ops;
	case SIM_VERIFIER:
		return &verifier_ops;
	case SIM_BUYER:
		return &person_ops;
	case SIM_KINDS:
		break;
	}
	abort();
}

/* Room for every request of the run, so that nothing is forgotten for lack of it. */
static size_t capacity(const struct world *w)
{
	return 64 + 2 * w->o.requests;
}

static const struct did *did_of(const struct world *w, uint8_t index)
{
	return &w->parties[index].author.signer.issuer;
}

static void *new_broker(struct world *w, const struct sim_party *p)
{
	struct broker_config config = { .author = p->author,
		.escrows = { *did_of(w, w->escrow) },
		.n_escrows = 1,
		.slots = capacity(w),
		.offerings = 64 };
	struct broker *broker;

	if (broker_new(&config, &broker) < 0)
		abort();
	return broker;
}

static void *new_escrow(const struct world *w, const struct sim_party *p)
{
	struct escrow_config config = { .author = p->author,
		.keyring = p->keyring,
		.assets = { SPAN_STR(SIM_ASSET) },
		.n_assets = 1,
		.play_money = true,
		.open = capacity(w),
		.holds = 2 * capacity(w),
		.accounts = 128 * capacity(w),
		.transfers = 1024,
		.operations = 1024,
		.seen = 4096 };
	struct escrow *escrow;

	memcpy(config.encryption_public, p->encryption_public, 32);
	memcpy(config.encryption_secret, p->encryption_secret, 32);
	memcpy(config.draw_secret_key, p->encryption_secret, 32);
	config.draw_secret_key[0] ^= 1;
	if (escrow_new(&config, &escrow) < 0)
		abort();
	return escrow;
}

static struct node_offering offering(const struct world *w, const char *kind, int64_t price_micros)
{
	struct node_offering o = { .kind = SPAN_STR(kind),
		.price_micros = price_micros,
		.asset = SPAN_STR(SIM_ASSET),
		.sources = SOURCE_LIVE,
		.place = { true, 481234567, 112345678, 10 },
		.brokers = { *did_of(w, w->broker) },
		.n_brokers = 1,
		.escrows = { *did_of(w, w->escrow) },
		.n_escrows = 1,
		.accepts = { SPAN_STR(CHECK_DECODES), SPAN_STR(CHECK_UNIT_RANGE) },
		.n_accepts = 2,
		.t_dispute_max_ms = 60000 };

	for (uint8_t i = 0; i < w->n_parties; i++)
		if (w->parties[i].kind == SIM_VERIFIER)
			o.verifiers[o.n_verifiers++] = *did_of(w, i);
	return o;
}

static void *new_node(struct world *w, const struct sim_party *p)
{
	static struct node_config config; /* large */
	struct node *node;

	config = (struct node_config){ .author = p->author,
		.keyring = p->keyring,
		.broker = *did_of(w, w->broker),
		.escrow = *did_of(w, w->escrow),
		.n_offerings = 2,
		.max_captures = 4,
		.capacity = 2 * capacity(w),
		.secret = p->index };
	config.offerings[0] = offering(w, "measurement", 100000 + 1000 * p->index);
	config.offerings[0].parameters.unit = SPAN_STR("Cel");
	config.offerings[1] = offering(w, "photo", 200000 - 1000 * p->index);
	if (node_new(&config, &node) < 0)
		abort();
	return node;
}

void *cores_new(struct world *w, struct sim_party *p)
{
	switch (p->kind) {
	case SIM_BROKER:
		return new_broker(w, p);
	case SIM_ESCROW:
		return new_escrow(w, p);
	case SIM_NODE:
		return new_node(w, p);
	case SIM_VERIFIER:
		return verifier_new(
			&p->author, p->keyring, did_of(w, w->escrow), did_of(w, w->broker));
	case SIM_BUYER:
		return person_new(&p->author, p->keyring, did_of(w, w->escrow),
			did_of(w, w->broker), p->encryption_secret);
	case SIM_KINDS:
		break;
	}
	abort();
}

void cores_free(struct sim_party *p)
{
	if (!p->core)
		return;
	switch (p->kind) {
	case SIM_BROKER:
		broker_free(p->core);
		break;
	case SIM_ESCROW:
		escrow_free(p->core);
		break;
	case SIM_NODE:
		node_free(p->core);
		break;
	case SIM_BUYER:
		person_free(p->core);
		break;
	case SIM_VERIFIER:
		free(p->core);
		break;
	case SIM_KINDS:
		break;
	}
	p->core = NULL;
}

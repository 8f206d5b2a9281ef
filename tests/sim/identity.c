#include "tests/sim/sim.h"

#include <sodium.h>
#include <stdlib.h>

static void signer_from(struct signer *s, const uint8_t seed[static 32])
{
	if (crypto_sign_seed_keypair(s->public_key, s->secret_key, seed) != 0)
		abort();
}

void identity_make(struct world *w, struct sim_party *p)
{
	struct signer root = { 0 };
	uint8_t seeds[2][32];
	uint8_t curve[32];
	uint8_t salt[16];
	struct buf out = BUF(p->keys);
	struct id id;

	rng_fill(&w->entropy, seeds, sizeof(seeds));
	rng_fill(&w->entropy, curve, sizeof(curve));
	rng_fill(&w->entropy, salt, sizeof(salt));
	rng_fill(&w->entropy, p->encryption_secret, 32);
	seal_public_key(p->encryption_secret, p->encryption_public);
	signer_from(&root, seeds[0]);
	signer_from(&p->author.signer, seeds[1]);
	memcpy(root.issuer.b, root.public_key, 32);
	p->author.signer.issuer = root.issuer;
	p->author.market = SPAN_STR(SIM_MARKET);

	struct keys keys = {
		.c = { .market = SPAN_STR(SIM_MARKET),
			.salt = SPAN_OF(salt),
			.at_ns = SIM_START_NS - 7 * 86400 * NS_PER_S },
		.working_key = SPAN_OF(p->author.signer.public_key),
		.working_alg = COSE_ALG_EDDSA,
		.curve_key = SPAN_OF(curve),
		.encryption_key = SPAN_OF(p->encryption_public),
		.valid_from_ns = SIM_START_NS - 7 * 86400 * NS_PER_S,
		.valid_until_ns = SIM_START_NS + INT64_C(31536000) * NS_PER_S,
	};

	if (statement_sign(STATEMENT_KEYS_OF, &keys, &root, &out, &id, NULL) != REFUSED_NOT)
		abort();
	p->n_keys = out.n;
}

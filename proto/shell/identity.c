#include "proto/shell/identity.h"

#include "proto/base/text.h"
#include "proto/os/clock.h"
#include "proto/os/entropy.h"
#include "proto/os/file.h"
#include "proto/seal/seal.h"
#include "proto/statement/keyring.h"

#include <sodium.h>
#include <stdio.h>

#define SEED_LINE 65 /* 64 digits and a line feed */

/* Wipes what it goes out of scope with. */
static void wipe_signer(struct signer *signer)
{
	sodium_memzero(signer, sizeof(*signer));
}

static int file_in(const char *dir, const char *name, char out[static FILE_PATH_MAX])
{
	int n = snprintf(out, FILE_PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= FILE_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int write_seed(const char *dir, const char *name, const uint8_t seed[static 32])
{
	char path[FILE_PATH_MAX], line[SEED_LINE + 1];
	int r = file_in(dir, name, path);

	if (r < 0)
		return r;
	hex_encode(seed, 32, line);
	line[SEED_LINE - 1] = '\n';
	r = file_write_durable(path, SPAN(line, SEED_LINE), 0600);
	sodium_memzero(line, sizeof(line));
	return r;
}

static int read_seed(const char *dir, const char *name, uint8_t ret_seed[static 32])
{
	char path[FILE_PATH_MAX], line[SEED_LINE + 1];
	size_t n = 0;
	int r = file_in(dir, name, path);

	if (r == 0)
		r = file_read_private(path, line, sizeof(line), &n);
	if (r == 0 && (n != SEED_LINE || line[SEED_LINE - 1] != '\n' ||
			      hex_decode(SPAN(line, SEED_LINE - 1), ret_seed, 32) < 0))
		r = -EBADMSG;
	sodium_memzero(line, sizeof(line));
	return r;
}

static void signer_of(const uint8_t seed[static 32], struct signer *signer)
{
	crypto_sign_seed_keypair(signer->public_key, signer->secret_key, seed);
}

struct secrets {
	uint8_t root[32];
	uint8_t working[32];
	uint8_t curve[32];
	uint8_t encryption[32];
};

static void wipe_secrets(struct secrets *secrets)
{
	sodium_memzero(secrets, sizeof(*secrets));
}

static enum refusal sign_keys(
	const struct secrets *secrets, const char *market, int64_t now_ns, struct buf *out)
{
	_cleanup_(wipe_signer) struct signer root = { 0 }, working = { 0 };
	uint8_t salt[16], curve_public[32], encryption_public[32];
	struct id id;

	signer_of(secrets->root, &root);
	memcpy(root.issuer.b, root.public_key, sizeof(root.issuer.b));
	signer_of(secrets->working, &working);
	seal_public_key(secrets->curve, curve_public);
	seal_public_key(secrets->encryption, encryption_public);
	entropy_fill(salt, sizeof(salt));

	struct keys keys = {
		.c = { .market = SPAN_STR(market), .salt = SPAN_OF(salt), .at_ns = now_ns },
		.working_key = SPAN_OF(working.public_key),
		.working_alg = COSE_ALG_EDDSA,
		.curve_key = SPAN_OF(curve_public),
		.encryption_key = SPAN_OF(encryption_public),
		.valid_from_ns = now_ns,
		.valid_until_ns = now_ns + IDENTITY_VALID_NS,
	};

	return statement_sign(STATEMENT_KEYS_OF, &keys, &root, out, &id, NULL);
}

int identity_new(const char *dir, const char *market)
{
	_cleanup_(wipe_secrets) struct secrets secrets;
	char path[FILE_PATH_MAX];
	uint8_t bytes[IDENTITY_KEYS_MAX];
	struct buf out = BUF(bytes);
	int r;

	if (sodium_init() < 0)
		return -EIO;
	if (strlen(market) > IDENTITY_MARKET_MAX)
		return -EINVAL;
	r = file_in(dir, "keys.cose", path);
	if (r == 0)
		r = file_make_private_dir(dir);
	if (r < 0)
		return r;
	if (access(path, F_OK) == 0)
		return -EEXIST;
	if (errno != ENOENT)
		return -errno;
	entropy_fill(&secrets, sizeof(secrets));
	if (sign_keys(&secrets, market, clock_now_ns(), &out) != REFUSED_NOT)
		return -EINVAL;
	r = write_seed(dir, "root.key", secrets.root);
	if (r == 0)
		r = write_seed(dir, "working.key", secrets.working);
	if (r == 0)
		r = write_seed(dir, "curve.key", secrets.curve);
	if (r == 0)
		r = write_seed(dir, "encryption.key", secrets.encryption);
	if (r == 0)
		r = file_write_durable(path, buf_span(&out), 0600);
	return r;
}

/* keys.cose: signed by its root, valid now. */
static int read_keys(const char *dir, struct identity *identity, struct statement *s)
{
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(1);
	_cleanup_(freep) uint8_t *bytes = NULL;
	char path[FILE_PATH_MAX];
	int64_t now_ns = clock_now_ns();
	enum refusal refusal;
	bool is_new;
	int r;

	if (!keyring)
		return -ENOMEM;
	r = file_in(dir, "keys.cose", path);
	if (r == 0)
		r = file_read(path, sizeof(identity->keys), &bytes, &identity->n_keys);
	if (r < 0)
		return r;
	memcpy(identity->keys, bytes, identity->n_keys);
	refusal = statement_decode(identity_keys(identity), s, NULL);
	if (refusal == REFUSED_NOT && s->kind != STATEMENT_KEYS_OF)
		refusal = REFUSED_STATEMENT_KIND;
	if (refusal == REFUSED_NOT)
		refusal = keyring_learn(keyring, s, &is_new);
	if (refusal != REFUSED_NOT)
		return (int)refusal;
	if (s->body.keys.valid_until_ns <= now_ns)
		return REFUSED_KEY_REVOKED;
	if (s->body.keys.valid_from_ns > now_ns + CLOCK_SKEW_NS)
		return REFUSED_KEY_NOT_VALID_YET;
	return s->body.keys.c.market.n <= IDENTITY_MARKET_MAX ? 0 : -EBADMSG;
}

static int read_secrets(const char *dir, struct identity *identity)
{
	uint8_t seed[32];
	int r = read_seed(dir, "working.key", seed);

	if (r == 0)
		signer_of(seed, &identity->author.signer);
	if (r == 0)
		r = read_seed(dir, "curve.key", identity->curve.secret_key.b);
	if (r == 0)
		r = read_seed(dir, "encryption.key", identity->encryption_secret);
	if (r == 0) {
		identity->curve.public_key = net_key_public(&identity->curve.secret_key);
		seal_public_key(identity->encryption_secret, identity->encryption_public);
	}
	sodium_memzero(seed, sizeof(seed));
	return r;
}

int identity_load(const char *dir, struct identity *ret_identity)
{
	struct identity *identity = ret_identity;
	struct statement s;
	int r;

	if (sodium_init() < 0)
		return -EIO;
	*identity = (struct identity){ 0 };
	r = read_keys(dir, identity, &s);
	if (r == 0)
		r = read_secrets(dir, identity);
	if (r == 0 &&
		(!span_eq(s.body.keys.working_key, SPAN_OF(identity->author.signer.public_key)) ||
			!span_eq(s.body.keys.curve_key, SPAN_OF(identity->curve.public_key)) ||
			!span_eq(s.body.keys.encryption_key, SPAN_OF(identity->encryption_public))))
		r = -EBADMSG;
	if (r != 0) {
		identity_deinit(identity);
		return r;
	}
	memcpy(identity->market, s.body.keys.c.market.p, s.body.keys.c.market.n);
	identity->did = s.issuer;
	identity->author.signer.issuer = s.issuer;
	identity->author.market = SPAN(identity->market, s.body.keys.c.market.n);
	return 0;
}

void identity_deinit(struct identity *identity)
{
	sodium_memzero(identity, sizeof(*identity));
}

bool identity_greeting(const struct identity *identity, enum role role,
	const struct net_key *carrier, int64_t now_ns, struct buf *out)
{
	uint8_t salt[16];
	struct id id;

	entropy_fill(salt, sizeof(salt));

	struct greeting greeting = {
		.c = { .market = identity->author.market,
			.salt = SPAN_OF(salt),
			.at_ns = now_ns,
			.expires_ns = now_ns + IDENTITY_GREETING_NS },
		.carrier = SPAN_OF(*carrier),
		.protocol = MESSAGE_PROTOCOL,
		.role = role,
		.message_max = MESSAGE_MAX,
	};

	return statement_sign(STATEMENT_GREETING, &greeting, &identity->author.signer, out, &id,
		       NULL) == REFUSED_NOT;
}

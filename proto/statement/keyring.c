#include "proto/statement/keyring.h"

#include "proto/base/sha256.h"

#include <stdlib.h>

/*
 * Open addressing by did, linear probing; a did may stand several times, once for each working key.
 * The age tells the oldest entry, to drop it. The table is twice the capacity, so probing stays
 * short; an entry is allocated with its statement's bytes, so that room costs little.
 */
struct slot {
	struct keyring_entry entry;
	uint64_t age;
	uint8_t bytes[];
};

struct keyring {
	/*
	 * SHA-256 of statements whose signature was right, whole bytes, which include the key that
	 * it is checked under: so a hit says the same for ever, and whether the key may be used is
	 * looked up each time all the same. One place for each, the newer one wins.
	 */
	struct id verified[KEYRING_VERIFIED];
	struct proof_memory proofs;
	struct slot **slots; /* NULL: empty */
	size_t n_slots;
	size_t capacity;
	size_t n;
	uint64_t age;
};

struct keyring *keyring_new(size_t capacity)
{
	struct keyring *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->capacity = MAX(capacity, (size_t)8);
	k->n_slots = k->capacity * 2;
	k->slots = calloc(k->n_slots, sizeof(*k->slots));
	if (!k->slots) {
		free(k);
		return NULL;
	}
	return k;
}

void keyring_free(struct keyring *keyring)
{
	if (!keyring)
		return;
	for (size_t i = 0; i < keyring->n_slots; i++)
		free(keyring->slots[i]);
	free(keyring->slots);
	free(keyring);
}

void keyring_freep(struct keyring **keyring)
{
	keyring_free(*keyring);
}

/* Keys are public-key bytes, so their first ones are as good as a hash; an attacker gains a slow
 * probe. */
static size_t home(const struct keyring *k, const struct did *did)
{
	uint64_t h = 0;

	for (size_t i = 0; i < sizeof(did->b); i += 8) {
		uint64_t part;

		memcpy(&part, did->b + i, sizeof(part));
		h = (h ^ part) * UINT64_C(0x9e3779b97f4a7c15);
	}
	return (size_t)((h >> 20) % k->n_slots);
}

static void remove_slot(struct keyring *k, size_t hole)
{
	free(k->slots[hole]);
	k->slots[hole] = NULL;
	k->n--;
	/* Close the gap: move back whatever could no longer be reached (Knuth 6.4, algorithm R). */
	for (size_t i = (hole + 1) % k->n_slots; k->slots[i]; i = (i + 1) % k->n_slots) {
		size_t want = home(k, &k->slots[i]->entry.did);
		bool reachable = hole < i ? want > hole && want <= i : want > hole || want <= i;

		if (reachable)
			continue;
		k->slots[hole] = k->slots[i];
		k->slots[i] = NULL;
		hole = i;
	}
}

static void drop_oldest(struct keyring *k)
{
	size_t oldest = 0;

	for (size_t i = 0; i < k->n_slots; i++)
		if (k->slots[i] && (!k->slots[oldest] || k->slots[i]->age < k->slots[oldest]->age))
			oldest = i;
	remove_slot(k, oldest);
}

/* Keeps one identity's share small: nobody crowds out the others with statements of one root. */
static void drop_oldest_of(struct keyring *k, const struct did *did)
{
	size_t oldest = k->n_slots;
	size_t n = 0;

	for (size_t i = home(k, did); k->slots[i]; i = (i + 1) % k->n_slots) {
		if (!did_eq(&k->slots[i]->entry.did, did))
			continue;
		n++;
		if (oldest == k->n_slots || k->slots[i]->age < k->slots[oldest]->age)
			oldest = i;
	}
	if (n >= KEYRING_STATEMENTS_MAX)
		remove_slot(k, oldest);
}

static void revoke_since(struct keyring_entry *e, int64_t since_ns)
{
	since_ns = MAX(since_ns, INT64_C(1)); /* 0 means not revoked */
	if (e->revoked_since_ns == 0 || since_ns < e->revoked_since_ns)
		e->revoked_since_ns = since_ns;
}

/* What a keys statement says about an entry of its own identity. */
static void mark(struct keyring_entry *e, const struct keys *by)
{
	struct span key = SPAN(e->working_key, e->working_key_n);

	for (size_t i = 0; i < by->n_revokes; i++)
		if (span_eq(by->revokes[i].key, key))
			revoke_since(e, by->revokes[i].since_ns);
	/* A statement that prolongs the same working key ends nothing. */
	if (id_eq(&e->id, &by->replaces) && !span_eq(by->working_key, key))
		revoke_since(e, by->valid_from_ns);
}

/*
 * Statements come in any order, so the new entry marks the others and they mark it. The others'
 * words are decoded again from their bytes: rarer than keeping room for them is worth.
 */
static void mark_each_other(
	struct keyring *k, const struct statement *s, struct keyring_entry *entry)
{
	struct statement other;

	mark(entry, &s->body.keys);
	for (size_t i = home(k, &s->issuer); k->slots[i]; i = (i + 1) % k->n_slots) {
		struct keyring_entry *e = &k->slots[i]->entry;

		if (e == entry || !did_eq(&e->did, &s->issuer))
			continue;
		mark(e, &s->body.keys);
		if (statement_decode(e->bytes, &other, NULL) == REFUSED_NOT)
			mark(entry, &other.body.keys);
	}
}

static struct keyring_entry *put(struct keyring *k, const struct statement *s, struct slot *slot)
{
	const struct keys *keys = &s->body.keys;
	struct keyring_entry *e = &slot->entry;
	size_t i = home(k, &s->issuer);

	while (k->slots[i])
		i = (i + 1) % k->n_slots;
	*e = (struct keyring_entry){
		.did = s->issuer,
		.id = s->id,
		.working_key_n = keys->working_key.n,
		.valid_from_ns = keys->valid_from_ns,
		.valid_until_ns = keys->valid_until_ns,
		.bytes = SPAN(slot->bytes, s->bytes.n),
	};
	memcpy(e->working_key, keys->working_key.p, keys->working_key.n);
	memcpy(e->curve_key, keys->curve_key.p, sizeof(e->curve_key));
	memcpy(e->encryption_key, keys->encryption_key.p, sizeof(e->encryption_key));
	slot->age = ++k->age;
	k->slots[i] = slot;
	k->n++;
	return e;
}

enum refusal keyring_learn(struct keyring *keyring, const struct statement *keys, bool *ret_new)
{
	*ret_new = false;
	if (keys->kind != STATEMENT_KEYS_OF)
		return REFUSED_STATEMENT_KIND;
	for (size_t i = home(keyring, &keys->issuer); keyring->slots[i];
		i = (i + 1) % keyring->n_slots)
		if (id_eq(&keyring->slots[i]->entry.id, &keys->id) &&
			span_eq(keyring->slots[i]->entry.bytes, keys->bytes))
			return REFUSED_NOT;
	if (!span_eq(keys->envelope.kid, SPAN_OF(keys->issuer)))
		return REFUSED_KEY_UNKNOWN;

	enum refusal refusal = cose_verify(
		&keys->envelope.parts, keys->envelope.alg, keys->envelope.kid, SPAN(NULL, 0));

	if (refusal != REFUSED_NOT)
		return refusal;

	struct slot *slot = malloc(sizeof(*slot) + keys->bytes.n);

	if (!slot)
		return REFUSED_KEY_UNKNOWN;
	memcpy(slot->bytes, keys->bytes.p, keys->bytes.n);
	drop_oldest_of(keyring, &keys->issuer);
	while (keyring->n >= keyring->capacity)
		drop_oldest(keyring);
	mark_each_other(keyring, keys, put(keyring, keys, slot));
	*ret_new = true;
	return REFUSED_NOT;
}

/* Newest first: by validity, and by arrival where that is equal. */
static bool newer(const struct slot *a, const struct slot *b)
{
	if (a->entry.valid_from_ns != b->entry.valid_from_ns)
		return a->entry.valid_from_ns > b->entry.valid_from_ns;
	return a->age > b->age;
}

/* The newest entry of did, and of kid where it is not empty. */
static const struct keyring_entry *find(
	const struct keyring *k, const struct did *did, struct span kid)
{
	const struct slot *newest = NULL;

	for (size_t i = home(k, did); k->slots[i]; i = (i + 1) % k->n_slots) {
		const struct keyring_entry *e = &k->slots[i]->entry;

		if (!did_eq(&e->did, did) ||
			(kid.n > 0 && !span_eq(SPAN(e->working_key, e->working_key_n), kid)))
			continue;
		if (!newest || newer(k->slots[i], newest))
			newest = k->slots[i];
	}
	return newest ? &newest->entry : NULL;
}

const struct keyring_entry *keyring_find_key(
	const struct keyring *keyring, const struct did *did, struct span kid)
{
	return kid.n > 0 ? find(keyring, did, kid) : NULL;
}

const struct keyring_entry *keyring_find(const struct keyring *keyring, const struct did *did)
{
	return find(keyring, did, SPAN(NULL, 0));
}

static enum refusal usable(const struct keyring_entry *e, int64_t at_ns)
{
	if (at_ns < e->valid_from_ns - CLOCK_SKEW_NS)
		return REFUSED_KEY_NOT_VALID_YET;
	if (at_ns > e->valid_until_ns || (e->revoked_since_ns && at_ns >= e->revoked_since_ns))
		return REFUSED_KEY_REVOKED;
	return REFUSED_NOT;
}

/* Where a statement's digest has its place. */
static struct id *verified_place(struct keyring *k, const struct id *digest)
{
	return &k->verified[(digest->b[0] | digest->b[1] << 8) & (KEYRING_VERIFIED - 1)];
}

enum refusal keyring_verify(struct keyring *keyring, const struct statement *statement)
{
	const struct did *did = &statement->issuer;
	struct span kid = statement->envelope.kid;
	int64_t at_ns = statement->body.head.c.at_ns;
	enum refusal refusal = REFUSED_KEY_UNKNOWN;

	/* One working key may stand in several statements, each with a validity of its own. */
	for (size_t i = home(keyring, did); keyring->slots[i] && refusal != REFUSED_NOT;
		i = (i + 1) % keyring->n_slots) {
		const struct keyring_entry *e = &keyring->slots[i]->entry;

		if (did_eq(&e->did, did) && span_eq(SPAN(e->working_key, e->working_key_n), kid))
			refusal = usable(e, at_ns);
	}
	if (refusal != REFUSED_NOT)
		return refusal;

	struct id digest = SHA256(statement->bytes);
	struct id *place = verified_place(keyring, &digest);

	if (id_eq(place, &digest))
		return REFUSED_NOT;
	refusal = cose_verify(
		&statement->envelope.parts, statement->envelope.alg, kid, SPAN(NULL, 0));
	if (refusal == REFUSED_NOT)
		*place = digest;
	return refusal;
}

const struct keyring_entry *keyring_at(const struct keyring *keyring, size_t index)
{
	for (size_t i = 0; i < keyring->n_slots; i++)
		if (keyring->slots[i] && index-- == 0)
			return &keyring->slots[i]->entry;
	return NULL;
}

void keyring_vouch(struct keyring *keyring, const struct statement *statement)
{
	struct id digest = SHA256(statement->bytes);

	*verified_place(keyring, &digest) = digest;
}

struct proof_memory *keyring_proofs(struct keyring *keyring)
{
	return &keyring->proofs;
}

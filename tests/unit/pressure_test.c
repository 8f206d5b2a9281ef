/* A keyring that is full all the time: it forgets the oldest, never another, and never lies. */
#include "tests/support/fill.h"

#include <sodium.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SMALL  8 /* the least capacity: 16 places, so that probes collide and wrap around */
#define LARGE  64
#define ROOTS  1000
#define DAY_NS (86400 * NS_PER_S)

struct root {
	struct signer signer;
	uint8_t bytes[512]; /* its keys statement */
	size_t n;
};

static struct root *roots;
static struct statement decoded;

static const struct statement *decode(const struct root *root)
{
	assert_int_equal(statement_decode(SPAN(root->bytes, root->n), &decoded, NULL), REFUSED_NOT);
	return &decoded;
}

/* Roots that sign for themselves. */
static int make_roots(void **state)
{
	(void)state;
	roots = calloc(ROOTS, sizeof(*roots));
	for (size_t i = 0; roots && i < ROOTS; i++) {
		struct root *r = &roots[i];
		uint8_t seed[32] = { (uint8_t)i, (uint8_t)(i >> 8), 1 };
		uint8_t salt[16] = { 1 };
		struct buf out = BUF(r->bytes);
		struct id id;

		crypto_sign_seed_keypair(r->signer.public_key, r->signer.secret_key, seed);
		memcpy(r->signer.issuer.b, r->signer.public_key, 32);

		struct keys body = {
			.c = { .market = SPAN_STR("test"), .salt = SPAN_OF(salt), .at_ns = 1 },
			.working_key = SPAN_OF(r->signer.public_key),
			.working_alg = COSE_ALG_EDDSA,
			.curve_key = SPAN_OF(r->signer.public_key),
			.encryption_key = SPAN_OF(r->signer.public_key),
			.valid_until_ns = DAY_NS,
		};

		if (statement_sign(STATEMENT_KEYS_OF, &body, &r->signer, &out, &id, NULL) !=
			REFUSED_NOT)
			return -1;
		r->n = out.n;
	}
	return roots ? 0 : -1;
}

static int free_roots(void **state)
{
	(void)state;
	free(roots);
	return 0;
}

static bool knows(const struct keyring *k, size_t root)
{
	const struct did *did = &roots[root].signer.issuer;
	const struct keyring_entry *e = keyring_find(k, did);

	if (!e)
		return false;
	assert_true(did_eq(&e->did, did));
	assert_memory_equal(e->working_key, did->b, 32);
	assert_true(span_eq(e->bytes, SPAN(roots[root].bytes, roots[root].n)));
	return true;
}

/* Learns roots in an order that repeats some, beside a queue that says who must be known. */
static void like_a_queue(size_t capacity)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(capacity);
	size_t queue[LARGE];
	size_t n = 0;
	uint32_t random = 1;

	assert_non_null(k);
	for (size_t step = 0; step < 3 * ROOTS; step++) {
		size_t root = (random = random * 1664525 + 1013904223) >> 8;
		bool is_new, expected = true;

		/* Half of the time somebody who was there a moment ago. */
		root = step % 2 ? root % ROOTS : root % (2 * capacity);
		for (size_t i = 0; i < n; i++)
			expected = expected && queue[i] != root;
		assert_int_equal(knows(k, root), !expected);
		assert_int_equal(keyring_learn(k, decode(&roots[root]), &is_new), REFUSED_NOT);
		assert_int_equal(is_new, expected);
		if (!expected)
			continue;
		if (n == capacity)
			memmove(queue, queue + 1, --n * sizeof(queue[0]));
		queue[n++] = root;
		for (size_t i = 0; i < n; i++)
			assert_true(knows(k, queue[i]));
		assert_non_null(keyring_at(k, n - 1));
		assert_null(keyring_at(k, n));
	}
}

static void small_ring(void **state)
{
	(void)state;
	like_a_queue(SMALL);
}

static void large_ring(void **state)
{
	(void)state;
	like_a_queue(LARGE);
}

/* A capacity of nothing is still one that holds the parties of a request. */
static void no_ring_is_useless(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(0);
	bool is_new;

	(void)state;
	for (size_t i = 0; i < SMALL; i++)
		assert_int_equal(keyring_learn(k, decode(&roots[i]), &is_new), REFUSED_NOT);
	for (size_t i = 0; i < SMALL; i++)
		assert_true(knows(k, i));
}

/* Refused statements push nobody out. */
static void refused_ones_take_no_room(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(SMALL);
	struct root forged;
	bool is_new = true;

	(void)state;
	for (size_t i = 0; i < SMALL; i++)
		assert_int_equal(keyring_learn(k, decode(&roots[i]), &is_new), REFUSED_NOT);
	for (size_t i = SMALL; i < 10 * SMALL; i++) {
		forged = roots[i];
		forged.bytes[forged.n - 1] ^= 1; /* of the signature */
		assert_int_equal(
			keyring_learn(k, decode(&forged), &is_new), REFUSED_COSE_SIGNATURE);
		assert_false(is_new);
	}
	for (size_t i = 0; i < SMALL; i++)
		assert_true(knows(k, i));
}

static void count(void *ctx, const struct statement *keys)
{
	assert_int_equal(keys->kind, STATEMENT_KEYS_OF);
	++*(size_t *)ctx;
}

/*
 * One message with more keys than fit pushes out what it brought itself: its statement is refused
 * for want of a key, and is opened where the ring has room.
 */
static void one_message_with_too_many_keys(void **state)
{
	static struct opened opened;
	static struct message m;
	static uint8_t frame[MESSAGE_MAX];
	static uint8_t bytes[1024];
	static struct claim cancel;
	struct buf statement = BUF(bytes);
	struct buf out = BUF(frame);
	uint8_t salt[16] = { 2 };
	struct id id;
	size_t n_told;

	(void)state;
	cancel = (struct claim){ .request = { { 1 } },
		.c = { .market = SPAN_STR("test"), .salt = SPAN_OF(salt), .at_ns = 2 } };
	assert_int_equal(
		statement_sign(STATEMENT_CANCEL, &cancel, &roots[0].signer, &statement, &id, NULL),
		REFUSED_NOT);
	m = (struct message){ .message = MESSAGE_CANCEL, .number = 1 };
	for (size_t i = 0; i < 3 * SMALL; i++)
		m.statements[m.n_statements++] = SPAN(roots[i].bytes, roots[i].n);
	m.statements[m.n_statements++] = buf_span(&statement);
	assert_true(message_encode(&m, &out));
	for (size_t capacity = SMALL; capacity <= LARGE; capacity *= LARGE / SMALL) {
		struct keyring *k = keyring_new(capacity);
		enum refusal refusal;

		n_told = 0;
		refusal = message_open(buf_span(&out), k, count, &n_told, &opened);
		assert_int_equal(refusal, capacity == SMALL ? REFUSED_KEY_UNKNOWN : REFUSED_NOT);
		assert_int_equal(n_told, 3 * SMALL);
		keyring_free(k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_ring),
		cmocka_unit_test(large_ring),
		cmocka_unit_test(no_ring_is_useless),
		cmocka_unit_test(refused_ones_take_no_room),
		cmocka_unit_test(one_message_with_too_many_keys),
	};

	return cmocka_run_group_tests(tests, make_roots, free_roots);
}

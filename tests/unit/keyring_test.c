/* Which key belongs to whom, and what a message must be to be opened. */
#include "proto/cbor/cbor.h"
#include "tests/support/fill.h"

#include <sodium.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define DAY (86400 * NS_PER_S)

/* A keys statement to make: working key number `key` of root number `root`. */
struct word {
	uint8_t root;
	uint8_t key;
	int64_t from_ns;
	int64_t until_ns;
	struct id replaces;
	uint8_t revokes; /* number of a key, 0: none */
	int64_t since_ns;
	uint8_t salt;
};

struct made {
	uint8_t bytes[1024];
	struct buf out;
	struct id id;
};

static struct made made_keys(struct word w)
{
	struct made made;
	struct signer root = fill_signer(w.root);
	struct signer working = fill_signer(w.key);
	struct signer revoked = fill_signer(w.revokes);
	uint8_t salt[16] = { w.salt };
	struct keys body = {
		.c = { .market = SPAN_STR("test"), .salt = SPAN_OF(salt), .at_ns = w.from_ns },
		.working_key = SPAN_OF(working.public_key),
		.working_alg = COSE_ALG_EDDSA,
		.curve_key = SPAN_OF(working.public_key),
		.encryption_key = SPAN_OF(working.public_key),
		.valid_from_ns = w.from_ns,
		.valid_until_ns = w.until_ns,
		.replaces = w.replaces,
	};

	if (w.revokes) {
		body.revokes[body.n_revokes++] = (struct revoked){
			.key = SPAN_OF(revoked.public_key), .since_ns = w.since_ns
		};
	}
	made.out = BUF(made.bytes);
	assert_int_equal(statement_sign(STATEMENT_KEYS_OF, &body, &root, &made.out, &made.id, NULL),
		REFUSED_NOT);
	return made;
}

static struct statement decode(const struct made *made)
{
	struct statement s;

	assert_int_equal(statement_decode(SPAN(made->bytes, made->out.n), &s, NULL), REFUSED_NOT);
	return s;
}

static struct made learn(struct keyring *k, struct word w)
{
	struct made made = made_keys(w);
	struct statement s = decode(&made);
	bool is_new = false;

	assert_int_equal(keyring_learn(k, &s, &is_new), REFUSED_NOT);
	assert_true(is_new);
	return made;
}

/* A cancel by root's working key at a time. */
static struct made made_claim(uint8_t root, uint8_t key, int64_t at_ns)
{
	struct made made;
	struct signer signer = fill_signer(key);
	uint8_t salt[16] = { 0 };
	struct claim body = {
		.c = { .market = SPAN_STR("test"), .salt = SPAN_OF(salt), .at_ns = at_ns },
		.request = { { 1 } }
	};

	signer.issuer = fill_signer(root).issuer;
	made.out = BUF(made.bytes);
	assert_int_equal(
		statement_sign(STATEMENT_CANCEL, &body, &signer, &made.out, &made.id, NULL),
		REFUSED_NOT);
	return made;
}

static enum refusal verify(struct keyring *k, uint8_t root, uint8_t key, int64_t at_ns)
{
	struct made made = made_claim(root, key, at_ns);
	struct statement s = decode(&made);

	return keyring_verify(k, &s);
}

static void learns_and_verifies(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(8);
	struct did did = fill_signer(1).issuer;
	struct did other = fill_signer(2).issuer;
	struct made made;
	bool is_new = true;

	(void)state;
	assert_int_equal(verify(k, 1, 10, 5 * DAY), REFUSED_KEY_UNKNOWN);
	made = learn(k, (struct word){ .root = 1, .key = 10, .from_ns = DAY, .until_ns = 9 * DAY });

	struct statement s = decode(&made);

	assert_int_equal(keyring_learn(k, &s, &is_new), REFUSED_NOT);
	assert_false(is_new);
	assert_int_equal(verify(k, 1, 10, 5 * DAY), REFUSED_NOT);
	assert_int_equal(verify(k, 1, 11, 5 * DAY), REFUSED_KEY_UNKNOWN);
	assert_int_equal(verify(k, 2, 10, 5 * DAY), REFUSED_KEY_UNKNOWN);
	/* The root itself is no working key. */
	assert_int_equal(verify(k, 1, 1, 5 * DAY), REFUSED_KEY_UNKNOWN);
	assert_int_equal(verify(k, 1, 10, DAY - CLOCK_SKEW_NS), REFUSED_NOT);
	assert_int_equal(verify(k, 1, 10, DAY - CLOCK_SKEW_NS - 1), REFUSED_KEY_NOT_VALID_YET);
	assert_int_equal(verify(k, 1, 10, 9 * DAY), REFUSED_NOT);
	assert_int_equal(verify(k, 1, 10, 9 * DAY + 1), REFUSED_KEY_REVOKED);

	const struct keyring_entry *e = keyring_find(k, &did);

	assert_non_null(e);
	assert_true(id_eq(&e->id, &made.id));
	assert_true(span_eq(e->bytes, SPAN(made.bytes, made.out.n)));
	assert_memory_equal(e->curve_key, fill_signer(10).public_key, 32);
	assert_null(keyring_find(k, &other));
	assert_non_null(keyring_at(k, 0));
	assert_null(keyring_at(k, 1));
	assert_null(keyring_find_key(k, &did, SPAN(NULL, 0)));
}

static void learns_only_what_the_root_signed(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(8);
	struct made made = made_keys((struct word){ .root = 1, .key = 10, .until_ns = DAY });
	struct statement s;
	bool is_new;

	(void)state;
	made.bytes[made.out.n - 1] ^= 1;
	s = decode(&made);
	assert_int_equal(keyring_learn(k, &s, &is_new), REFUSED_COSE_SIGNATURE);
	assert_false(is_new);
	/* A working key that speaks for its root: kid and issuer are different. */
	made = made_keys((struct word){ .root = 1, .key = 10, .until_ns = DAY });
	s = decode(&made);
	s.issuer.b[0] ^= 1;
	assert_int_equal(keyring_learn(k, &s, &is_new), REFUSED_KEY_UNKNOWN);
	/* Another kind. */
	made = made_claim(1, 1, DAY);
	s = decode(&made);
	assert_int_equal(keyring_learn(k, &s, &is_new), REFUSED_STATEMENT_KIND);
	assert_null(keyring_at(k, 0));
}

static void forged_statements_are_refused(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(8);
	struct made made = made_claim(1, 10, DAY);
	struct statement s;

	(void)state;
	learn(k, (struct word){ .root = 1, .key = 10, .until_ns = 9 * DAY });
	made.bytes[made.out.n - 5] ^= 1;
	s = decode(&made);
	assert_int_equal(keyring_verify(k, &s), REFUSED_COSE_SIGNATURE);
}

/* The same bytes are verified once; whether their key may be used, each time. */
static void verified_once(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(8);
	struct made made = made_claim(1, 10, 5 * DAY);
	struct made forged = made;
	struct statement s = decode(&made);
	uint64_t before;

	(void)state;
	learn(k, (struct word){ .root = 1, .key = 10, .until_ns = 9 * DAY });
	before = cose_counts().verifications;
	for (int i = 0; i < 3; i++)
		assert_int_equal(keyring_verify(k, &s), REFUSED_NOT);
	assert_int_equal(cose_counts().verifications, before + 1);

	/* A wrong signature over the same content is another statement, and is never remembered. */
	forged.bytes[forged.out.n - 5] ^= 1;
	s = decode(&forged);
	for (int i = 0; i < 2; i++)
		assert_int_equal(keyring_verify(k, &s), REFUSED_COSE_SIGNATURE);
	assert_int_equal(cose_counts().verifications, before + 3);

	learn(k, (struct word){ .root = 1,
			 .key = 11,
			 .until_ns = 9 * DAY,
			 .revokes = 10,
			 .since_ns = DAY });
	s = decode(&made);
	assert_int_equal(keyring_verify(k, &s), REFUSED_KEY_REVOKED);
}

/* The two statements may come in either order. */
static void revocation_in_any_order(void **state)
{
	const struct word words[2] = {
		{ .root = 1, .key = 10, .from_ns = DAY, .until_ns = 9 * DAY },
		{ .root = 1,
			.key = 11,
			.from_ns = 2 * DAY,
			.until_ns = 9 * DAY,
			.revokes = 10,
			.since_ns = 4 * DAY },
	};

	(void)state;
	for (int order = 0; order < 2; order++) {
		_cleanup_(keyring_freep) struct keyring *k = keyring_new(8);

		/* Another identity with the same working key is not meant. */
		learn(k, (struct word){ .root = 2, .key = 10, .until_ns = 9 * DAY });
		learn(k, words[order]);
		learn(k, words[!order]);
		assert_int_equal(verify(k, 1, 10, 4 * DAY - 1), REFUSED_NOT);
		assert_int_equal(verify(k, 1, 10, 4 * DAY), REFUSED_KEY_REVOKED);
		assert_int_equal(verify(k, 1, 11, 4 * DAY), REFUSED_NOT);
		assert_int_equal(verify(k, 2, 10, 4 * DAY), REFUSED_NOT);
	}
}

static void replacement_in_any_order(void **state)
{
	const struct word old = { .root = 1, .key = 10, .from_ns = DAY, .until_ns = 9 * DAY };

	(void)state;
	for (int order = 0; order < 2; order++) {
		_cleanup_(keyring_freep) struct keyring *k = keyring_new(8);
		struct did did = fill_signer(1).issuer;
		struct word next = { .root = 1,
			.key = 11,
			.from_ns = 3 * DAY,
			.until_ns = 9 * DAY,
			.replaces = made_keys(old).id };

		learn(k, order ? next : old);
		learn(k, order ? old : next);
		assert_int_equal(verify(k, 1, 10, 3 * DAY - 1), REFUSED_NOT);
		assert_int_equal(verify(k, 1, 10, 3 * DAY), REFUSED_KEY_REVOKED);
		assert_int_equal(verify(k, 1, 11, 3 * DAY), REFUSED_NOT);
		assert_memory_equal(
			keyring_find(k, &did)->working_key, fill_signer(11).public_key, 32);
	}
}

/* The same working key with a new validity ends nothing. */
static void prolonged_key(void **state)
{
	const struct word old = { .root = 1, .key = 10, .from_ns = DAY, .until_ns = 4 * DAY };

	(void)state;
	for (int order = 0; order < 2; order++) {
		_cleanup_(keyring_freep) struct keyring *k = keyring_new(8);
		struct word next = { .root = 1,
			.key = 10,
			.from_ns = 3 * DAY,
			.until_ns = 9 * DAY,
			.replaces = made_keys(old).id };

		learn(k, order ? next : old);
		learn(k, order ? old : next);
		assert_int_equal(verify(k, 1, 10, DAY), REFUSED_NOT);
		assert_int_equal(verify(k, 1, 10, 8 * DAY), REFUSED_NOT);
		assert_int_equal(verify(k, 1, 10, 10 * DAY), REFUSED_KEY_REVOKED);
	}
}

/* Full: the oldest goes, the rest is found, however the slots collide. */
static void eviction(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(16);

	(void)state;
	for (uint8_t root = 1; root <= 100; root++) {
		size_t n = 0;

		learn(k, (struct word){ .root = root, .key = root, .until_ns = DAY });
		while (keyring_at(k, n))
			n++;
		assert_int_equal(n, MIN(root, 16));
		for (uint8_t i = 1; i <= root; i++) {
			struct did did = fill_signer(i).issuer;

			assert_int_equal(keyring_find(k, &did) != NULL, i + 16 > root);
		}
	}
}

/* One identity keeps to its share. */
static void one_identity_does_not_crowd(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(16);
	size_t n = 0;

	(void)state;
	learn(k, (struct word){ .root = 1, .key = 10, .until_ns = DAY });
	for (uint8_t salt = 0; salt < 100; salt++)
		learn(k, (struct word){ .root = 2, .key = 11, .until_ns = DAY, .salt = salt });
	while (keyring_at(k, n))
		n++;
	assert_int_equal(n, 1 + KEYRING_STATEMENTS_MAX);
	assert_int_equal(verify(k, 1, 10, 0), REFUSED_NOT);
	assert_int_equal(verify(k, 2, 11, 0), REFUSED_NOT);
}

/* --- messages --- */

static struct opened opened;
static size_t n_told;

static void count_keys(void *ctx, const struct statement *keys)
{
	assert_ptr_equal(ctx, &n_told);
	assert_int_equal(keys->kind, STATEMENT_KEYS_OF);
	n_told++;
}

static enum refusal open_message(struct keyring *k, struct span data)
{
	return message_open(data, k, count_keys, &n_told, &opened);
}

static struct span encode(const struct message *m)
{
	static uint8_t bytes[MESSAGE_MAX];
	struct buf out = BUF(bytes);

	assert_true(message_encode(m, &out));
	return buf_span(&out);
}

static void message_opens(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(8);
	struct made keys = made_keys((struct word){ .root = 1, .key = 10, .until_ns = 9 * DAY });
	struct made claim = made_claim(1, 10, DAY);
	struct message m = { .message = MESSAGE_CANCEL, .number = 7, .n_statements = 2 };

	(void)state;
	/* The keys may stand after what they verify. */
	m.statements[0] = SPAN(claim.bytes, claim.out.n);
	m.statements[1] = SPAN(keys.bytes, keys.out.n);
	n_told = 0;
	assert_int_equal(open_message(k, encode(&m)), REFUSED_NOT);
	assert_int_equal(opened.message.message, MESSAGE_CANCEL);
	assert_int_equal(opened.n_statements, 1);
	assert_int_equal(n_told, 1);
	assert_ptr_equal(message_find(&opened, STATEMENT_CANCEL), &opened.statements[0]);
	assert_true(id_eq(&opened.statements[0].id, &claim.id));
	assert_null(message_find(&opened, STATEMENT_KEYS_OF));
	assert_int_equal(open_message(k, encode(&m)), REFUSED_NOT);
	assert_int_equal(n_told, 1);
	/* Known keys need not come again. */
	m.n_statements = 1;
	assert_int_equal(open_message(k, encode(&m)), REFUSED_NOT);
	m.n_statements = 0;
	assert_int_equal(open_message(k, encode(&m)), REFUSED_NOT);
	assert_int_equal(opened.n_statements, 0);
	assert_null(message_find(&opened, STATEMENT_CANCEL));
}

static void malformed_messages(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(8);
	static uint8_t large[MESSAGE_MAX + 1];
	struct made claim = made_claim(1, 10, DAY);
	struct message m = { .message = MESSAGE_CANCEL, .number = 7 };
	uint8_t bytes[256];
	struct buf b;

	(void)state;
	/* Whole messages that are none. */
	assert_int_equal(open_message(k, SPAN(NULL, 0)), REFUSED_CBOR_TRUNCATED);
	assert_int_equal(open_message(k, SPAN("\x80", 1)), REFUSED_STATEMENT_FIELD_TYPE);
	assert_int_equal(open_message(k, SPAN_OF(large)), REFUSED_MESSAGE_SHAPE);
	assert_int_equal(open_message(k, SPAN("\xa0", 1)), REFUSED_STATEMENT_FIELD_MISSING);
	assert_string_equal(opened.field, "message");
	assert_int_equal(opened.message.number, 0);
	/* A field of the wrong type: refused, and the number is there for the reply. */
	b = BUF(bytes);
	cbor_put_map(&b, 3);
	cbor_put_int(&b, KEY_slot);
	cbor_put_str(&b, "one");
	cbor_put_int(&b, KEY_message);
	cbor_put_int(&b, MESSAGE_CANCEL);
	cbor_put_int(&b, KEY_number);
	cbor_put_int(&b, 7);
	assert_int_equal(open_message(k, buf_span(&b)), REFUSED_STATEMENT_FIELD_TYPE);
	assert_string_equal(opened.field, "slot");
	assert_int_equal(opened.message.number, 7);
	assert_int_equal(opened.message.message, 0);
	/* Statements that are none, or whose signer is unknown. */
	m.n_statements = 1;
	m.statements[0] = SPAN("\xf6", 1);
	assert_int_equal(open_message(k, encode(&m)), REFUSED_COSE_SHAPE);
	assert_int_equal(opened.message.number, 7);
	m.statements[0] = SPAN(claim.bytes, claim.out.n);
	assert_int_equal(open_message(k, encode(&m)), REFUSED_KEY_UNKNOWN);
	learn(k, (struct word){ .root = 1, .key = 10, .until_ns = 9 * DAY });
	assert_int_equal(open_message(k, encode(&m)), REFUSED_NOT);
	claim.bytes[claim.out.n - 1] ^= 1;
	assert_int_equal(open_message(k, encode(&m)), REFUSED_COSE_SIGNATURE);
	claim.bytes[claim.out.n - 1] ^= 1;
	m.statements[0].n--;
	assert_int_equal(open_message(k, encode(&m)), REFUSED_CBOR_TRUNCATED);
}

static void every_cut_is_refused(void **state)
{
	_cleanup_(keyring_freep) struct keyring *k = keyring_new(8);
	struct made keys = made_keys((struct word){ .root = 1, .key = 10, .until_ns = 9 * DAY });
	struct message m = { .message = MESSAGE_HELLO, .number = 1, .n_statements = 1 };

	(void)state;
	m.statements[0] = SPAN(keys.bytes, keys.out.n);

	struct span whole = encode(&m);

	for (size_t n = 0; n < whole.n; n++)
		assert_int_not_equal(open_message(k, SPAN(whole.p, n)), REFUSED_NOT);
	assert_null(keyring_at(k, 0));
	assert_int_equal(open_message(k, whole), REFUSED_NOT);
}

static void message_limits(void **state)
{
	struct message m = { .message = MESSAGE_CHUNK, .number = 1 };
	static uint8_t blob[PAYLOAD_CHUNK + 1025];
	static uint8_t bytes[MESSAGE_MAX];
	struct buf out = BUF(bytes);

	(void)state;
	m.blob = SPAN_OF(blob);
	assert_false(message_encode(&m, &out));
	m.blob.n--;
	out = BUF(bytes);
	assert_true(message_encode(&m, &out));
}

static void types_have_names(void **state)
{
	(void)state;
	assert_string_equal(message_type_name(MESSAGE_HELLO), "HELLO");
	assert_string_equal(message_type_name(MESSAGE_RELEASE_QUERY), "RELEASE_QUERY");
	assert_string_equal(message_type_name(255), "UNKNOWN");
	assert_string_equal(message_type_name(INT64_MIN), "UNKNOWN");
	assert_string_equal(message_type_name((INT64_C(1) << 32) + 1), "UNKNOWN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(learns_and_verifies),
		cmocka_unit_test(learns_only_what_the_root_signed),
		cmocka_unit_test(forged_statements_are_refused),
		cmocka_unit_test(verified_once),
		cmocka_unit_test(revocation_in_any_order),
		cmocka_unit_test(replacement_in_any_order),
		cmocka_unit_test(prolonged_key),
		cmocka_unit_test(eviction),
		cmocka_unit_test(one_identity_does_not_crowd),
		cmocka_unit_test(message_opens),
		cmocka_unit_test(malformed_messages),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(message_limits),
		cmocka_unit_test(types_have_names),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

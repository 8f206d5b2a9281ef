/* The log as a reader sees it: Merkle proofs, notes, checkpoints, entries and receipts. */
#include "proto/tlog/checkpoint.h"
#include "proto/tlog/entry.h"
#include "proto/tlog/merkle.h"
#include "proto/tlog/note.h"
#include "proto/tlog/receipt.h"
#include "proto/cbor/cbor.h"

#include <jansson.h>
#include <sodium.h>

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define TESSERA_VKEY \
	"example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"

static const char *vectors(void)
{
	const char *dir = getenv("ASSAY_VECTORS");

	return dir != NULL ? dir : "../shared/vectors";
}

static size_t file_read(const char *path, uint8_t *bytes, size_t cap)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL)
		return 0;
	n = fread(bytes, 1, cap, f);
	fclose(f);
	return n;
}

static struct signer signer_make(uint8_t seed_byte)
{
	struct signer signer;
	uint8_t seed[32];

	memset(seed, seed_byte, sizeof(seed));
	assert_int_equal(crypto_sign_seed_keypair(signer.public_key, signer.secret_key, seed), 0);
	memcpy(signer.issuer.b, signer.public_key, 32);
	return signer;
}

/* --- proofs by others --- */

/* A hash of the wrong length is filled up, so that the proof check and not the test refuses it. */
static struct id json_hash(const json_t *object, const char *name, int fill)
{
	const char *text = json_string_value(json_object_get(object, name));
	struct id id;
	uint8_t bytes[256];
	size_t n = 0;

	memset(id.b, fill, sizeof(id.b));
	if (text == NULL)
		return id;
	assert_int_equal(sodium_base642bin(bytes, sizeof(bytes), text, strlen(text), NULL, &n, NULL,
				 sodium_base64_VARIANT_ORIGINAL),
		0);
	memcpy(id.b, bytes, MIN(n, sizeof(id.b)));
	return id;
}

static size_t json_proof(const json_t *object, struct id proof[static MERKLE_PROOF_MAX + 2])
{
	const json_t *list = json_object_get(object, "proof");
	size_t n = json_array_size(list);

	assert_true(n <= MERKLE_PROOF_MAX + 2);
	for (size_t i = 0; i < n; i++) {
		json_t *wrap = json_pack("{s:O}", "h", json_array_get(list, i));

		proof[i] = json_hash(wrap, "h", 3);
		json_decref(wrap);
	}
	return n;
}

/* Up to UINT64_MAX, which jansson's integers do not hold: read from the file's text. */
static uint64_t text_number(const char *text, const char *name)
{
	char quoted[32];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\": ", name);
	at = strstr(text, quoted);
	assert_non_null(at);
	return strtoull(at + strlen(quoted), NULL, 10);
}

static unsigned n_good;
static unsigned n_bad;

static int vector_check(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct id proof[MERKLE_PROOF_MAX + 2];
	char text[16384] = { 0 };
	enum refusal refusal;
	json_t *j;
	size_t n;

	(void)st; /* ignored: only regular files count, and type says so */
	(void)ftw; /* ignored: the depth does not matter */
	if (type != FTW_F || strstr(path, ".json") == NULL)
		return 0;
	n = file_read(path, (uint8_t *)text, sizeof(text) - 1);
	assert_true(n > 0 && n < sizeof(text) - 1);
	j = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(j);
	n = json_proof(j, proof);
	if (json_object_get(j, "leafIdx") != NULL) {
		struct id leaf = json_hash(j, "leafHash", 1);
		struct id root = json_hash(j, "root", 2);

		refusal = merkle_verify_inclusion(&leaf, text_number(text, "leafIdx"),
			text_number(text, "treeSize"), proof, n, &root);
	} else {
		struct id root1 = json_hash(j, "root1", 1);
		struct id root2 = json_hash(j, "root2", 1);

		refusal = merkle_verify_consistency(text_number(text, "size1"), &root1,
			text_number(text, "size2"), &root2, proof, n);
	}
	if (json_is_true(json_object_get(j, "wantErr")) != (refusal != REFUSED_NOT))
		fail_msg("%s: got %s", path, refusal_name(refusal));
	if (refusal == REFUSED_NOT)
		n_good++;
	else
		n_bad++;
	json_decref(j);
	return 0;
}

static void test_merkle_vectors(void **state)
{
	char path[512];

	(void)state; /* ignored: no fixture */
	snprintf(path, sizeof(path), "%s/merkle", vectors());
	if (access(path, R_OK) != 0) {
		print_message("SKIPPED: no vectors at %s\n", path);
		skip();
	}
	n_good = n_bad = 0;
	snprintf(path, sizeof(path), "%s/merkle/inclusion", vectors());
	assert_int_equal(nftw(path, vector_check, 16, FTW_PHYS), 0);
	snprintf(path, sizeof(path), "%s/merkle/consistency", vectors());
	assert_int_equal(nftw(path, vector_check, 16, FTW_PHYS), 0);
	print_message("%u proofs accepted, %u refused\n", n_good, n_bad);
	assert_true(n_good >= 10 && n_bad >= 100);
}

static void test_merkle_empty(void **state)
{
	static const uint8_t expected[4] = { 0xe3, 0xb0, 0xc4, 0x42 }; /* SHA-256 of nothing */
	struct id empty = merkle_empty();
	struct id leaf = merkle_leaf(SPAN_STR("x"));

	(void)state; /* ignored: no fixture */
	assert_memory_equal(empty.b, expected, sizeof(expected));
	assert_int_equal(merkle_verify_inclusion(&leaf, 0, 1, NULL, 0, &leaf), REFUSED_NOT);
	assert_int_equal(
		merkle_verify_inclusion(&leaf, 0, 1, NULL, 0, &empty), REFUSED_RECEIPT_INVALID);
	assert_int_equal(
		merkle_verify_inclusion(&leaf, 1, 1, NULL, 0, &leaf), REFUSED_RECEIPT_INVALID);
	assert_int_equal(merkle_verify_consistency(0, &empty, 0, &empty, NULL, 0), REFUSED_NOT);
}

/* --- notes and checkpoints --- */

static void test_checkpoints_of_tessera(void **state)
{
	struct note_key key;
	char vkey[NOTE_VKEY_MAX];

	(void)state; /* ignored: no fixture */
	assert_int_equal(note_key_parse(SPAN_STR(TESSERA_VKEY), &key), 0);
	assert_string_equal(note_key_text(&key, vkey), TESSERA_VKEY);
	for (unsigned size = 0; size <= 15; size++) {
		char path[512];
		uint8_t note[NOTE_MAX + 1];
		uint8_t again_bytes[CHECKPOINT_TEXT_MAX];
		struct buf again = BUF(again_bytes);
		struct checkpoint checkpoint;
		struct note_key other = key;
		size_t n;

		snprintf(path, sizeof(path), "%s/tlog/log/checkpoint.%u", vectors(), size);
		n = file_read(path, note, sizeof(note));
		if (n == 0) {
			print_message("SKIPPED: no vectors at %s\n", path);
			skip();
		}
		assert_int_equal(checkpoint_open(SPAN(note, n), &key, &checkpoint), REFUSED_NOT);
		assert_int_equal(checkpoint.size, size);
		checkpoint_write(&checkpoint, &again);
		assert_true(buf_ok(&again));
		assert_memory_equal(again.p, note, again.n);
		/* Every flipped bit is refused: text, separator, name, key id and signature. */
		for (size_t i = 0; i < n; i++) {
			note[i] ^= 1;
			assert_int_equal(checkpoint_open(SPAN(note, n), &key, &checkpoint),
				REFUSED_RECEIPT_INVALID);
			note[i] ^= 1;
		}
		other.public_key[0] ^= 1;
		assert_int_equal(checkpoint_open(SPAN(note, n), &other, &checkpoint),
			REFUSED_RECEIPT_INVALID);
	}
}

static void test_checkpoint_text(void **state)
{
#define ROOT "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	static const char *const bad[] = {
		"",
		"o\n1\n" ROOT,
		"o\n1\n",
		"\n1\n" ROOT "\n",
		"o\n01\n" ROOT "\n",
		"o\n+1\n" ROOT "\n",
		"o\n-1\n" ROOT "\n",
		"o\n\n" ROOT "\n",
		"o\n18446744073709551616\n" ROOT "\n",
		"o\n1 \n" ROOT "\n",
		"o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n",
		"o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n",
		"o\n1\n47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=\n",
		"o\n1\n" ROOT "\nextension\n",
	};
	struct checkpoint checkpoint;

	(void)state; /* ignored: no fixture */
	assert_int_equal(
		checkpoint_parse(SPAN_STR("o\n18446744073709551615\n" ROOT "\n"), &checkpoint),
		REFUSED_NOT);
	assert_true(checkpoint.size == UINT64_MAX && span_is(checkpoint.origin, "o"));
	assert_int_equal(checkpoint_parse(SPAN_STR("o\n0\n" ROOT "\n"), &checkpoint), REFUSED_NOT);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (checkpoint_parse(SPAN_STR(bad[i]), &checkpoint) != REFUSED_RECEIPT_INVALID)
			fail_msg("accepted: %s", bad[i]);
}

static void test_note_keys(void **state)
{
	static const char *const bad[] = { "", "+", "name", "name+33d7b496",
		/* wrong id, wrong case of nothing, wrong type, no name, spaces, short key */
		"example.com/log/testdata+33d7b497+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
		"example.com/log/testdata+33d7b496+AuHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
		"+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
		"example.com/log testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
		"example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkg==",
		"example.com/log/testdata+33d7b496-AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx" };
	struct note_key key;

	(void)state; /* ignored: no fixture */
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (note_key_parse(SPAN_STR(bad[i]), &key) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
}

static void test_note_rules(void **state)
{
	struct signer alice = signer_make(1);
	struct signer bob = signer_make(2);
	struct note_key keys[2];
	uint8_t bytes[NOTE_MAX + 256];
	struct buf note = BUF(bytes);
	struct span text;
	uint32_t who;
	size_t n_one;
	struct cose_counts before = cose_counts();

	(void)state; /* ignored: no fixture */
	assert_int_equal(note_key_init(&keys[0], SPAN_STR("alice"), alice.public_key), 0);
	assert_int_equal(note_key_init(&keys[1], SPAN_STR("bob"), bob.public_key), 0);
	assert_true(note_sign(&alice, SPAN_STR("alice"), SPAN_STR("a\n\nb\n"), &note));
	n_one = note.n;
	assert_int_equal(note_verify(buf_span(&note), keys, 2, &text, &who), REFUSED_NOT);
	assert_true(span_is(text, "a\n\nb\n"));
	assert_int_equal(who, 1);
	assert_int_equal(cose_counts().signatures - before.signatures, 1);
	assert_int_equal(cose_counts().verifications - before.verifications, 1);
	/* Nobody who is known signed it. */
	assert_int_equal(
		note_verify(buf_span(&note), &keys[1], 1, &text, &who), REFUSED_RECEIPT_INVALID);
	/* The line of an unknown key does no harm, whatever its length. */
	buf_str(&note, "\xe2\x80\x94 carol AAAAAAAA\n");
	assert_int_equal(note_verify(buf_span(&note), keys, 2, &text, &who), REFUSED_NOT);
	/* A known key's wrong signature does: alice's line under bob's name and key id. */
	{
		uint8_t blob[68] = { 0 };
		char encoded[sodium_base64_ENCODED_LEN(
			sizeof(blob), sodium_base64_VARIANT_ORIGINAL)];

		memcpy(blob, keys[1].id, 4);
		sodium_bin2base64(encoded, sizeof(encoded), blob, sizeof(blob),
			sodium_base64_VARIANT_ORIGINAL);
		buf_printf(&note, "\xe2\x80\x94 bob %s\n", encoded);
	}
	assert_int_equal(note_verify(buf_span(&note), keys, 1, &text, &who), REFUSED_NOT);
	assert_int_equal(
		note_verify(buf_span(&note), keys, 2, &text, &who), REFUSED_RECEIPT_INVALID);
	/* Sixteen lines are read, seventeen are not. */
	note.n = n_one;
	for (int i = 1; i < NOTE_SIGNATURES_MAX; i++)
		buf_str(&note, "\xe2\x80\x94 carol AAAAAAAA\n");
	assert_int_equal(note_verify(buf_span(&note), keys, 2, &text, &who), REFUSED_NOT);
	buf_str(&note, "\xe2\x80\x94 carol AAAAAAAA\n");
	assert_int_equal(
		note_verify(buf_span(&note), keys, 2, &text, &who), REFUSED_RECEIPT_INVALID);
	/* Every truncation is refused. */
	for (size_t n = 0; n < n_one; n++)
		assert_int_equal(
			note_verify(SPAN(bytes, n), keys, 2, &text, &who), REFUSED_RECEIPT_INVALID);
	/* What cannot be a note is not signed. */
	note.n = 0;
	assert_false(note_sign(&alice, SPAN_STR("alice"), SPAN_STR("no newline"), &note));
	assert_false(note_sign(&alice, SPAN_STR("alice"), SPAN_STR("tab\t\n"), &note));
	assert_false(note_sign(&alice, SPAN_STR("a b"), SPAN_STR("x\n"), &note));
	assert_false(note_sign(&alice, SPAN_STR("a+b"), SPAN_STR("x\n"), &note));
	assert_false(note_sign(&alice, SPAN_STR(""), SPAN_STR("x\n"), &note));
	{
		uint8_t long_text[NOTE_MAX];

		memset(long_text, 'x', sizeof(long_text));
		long_text[sizeof(long_text) - 1] = '\n';
		assert_false(note_sign(&alice, SPAN_STR("alice"), SPAN_OF(long_text), &note));
	}
}

/* --- entries and receipts --- */

static void test_entries(void **state)
{
	struct entry entry = { .type = ENTRY_EVIDENCE };
	struct entry back;
	uint8_t bytes[ENTRY_MAX + 1] = { 0 };
	static const uint8_t head[4] = { 0x82, 0x01, 0x58, 0x20 };
	size_t n;
	struct id leaf;
	struct id expected;

	(void)state; /* ignored: no fixture */
	memset(entry.id.b, 7, sizeof(entry.id.b));
	n = entry_encode(&entry, bytes);
	assert_int_equal(n, ENTRY_MAX);
	assert_memory_equal(bytes, head, sizeof(head));
	assert_int_equal(entry_decode(SPAN(bytes, n), &back), REFUSED_NOT);
	assert_true(back.type == ENTRY_EVIDENCE && id_eq(&back.id, &entry.id));
	leaf = entry_leaf(&entry);
	expected = merkle_leaf(SPAN(bytes, n));
	assert_true(id_eq(&leaf, &expected));
	assert_int_not_equal(entry_decode(SPAN(bytes, n + 1), &back), REFUSED_NOT);
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(entry_decode(SPAN(bytes, i), &back), REFUSED_NOT);
	bytes[1] = 0x00;
	assert_int_equal(entry_decode(SPAN(bytes, n), &back), REFUSED_RECEIPT_INVALID);
	bytes[1] = 0x17;
	assert_int_equal(entry_decode(SPAN(bytes, n), &back), REFUSED_RECEIPT_INVALID);
	bytes[1] = 0x20;
	assert_int_equal(entry_decode(SPAN(bytes, n), &back), REFUSED_RECEIPT_INVALID);
}

static const struct receipt_place *place_of_three(struct id leaf[static 3], struct id *ret_root)
{
	static struct receipt_place place;
	struct id left;

	for (unsigned i = 0; i < 3; i++)
		leaf[i] = merkle_leaf(SPAN(&"abc"[i], 1));
	left = merkle_node(&leaf[0], &leaf[1]);
	*ret_root = merkle_node(&left, &leaf[2]);
	place = (struct receipt_place){
		.size = 3, .index = 1, .n_path = 2, .path = { leaf[0], leaf[2] }
	};
	return &place;
}

static void test_receipt(void **state)
{
	struct signer log = signer_make(3);
	struct signer other = signer_make(4);
	struct id leaf[3];
	struct id root;
	struct id got;
	const struct receipt_place *place = place_of_three(leaf, &root);
	uint8_t bytes[RECEIPT_MAX];
	struct buf b = BUF(bytes);
	struct receipt receipt;

	(void)state; /* ignored: no fixture */
	assert_true(receipt_write(&log, SPAN_STR("log.example/1"), place, &root, &b));
	assert_int_equal(receipt_parse(buf_span(&b), &receipt), REFUSED_NOT);
	assert_int_equal(receipt.place.size, 3);
	assert_int_equal(receipt.place.index, 1);
	assert_true(did_eq(&receipt.issuer, &log.issuer));
	assert_true(span_is(receipt.origin, "log.example/1"));
	assert_int_equal(receipt_verify(&receipt, &leaf[1], log.public_key, &got), REFUSED_NOT);
	assert_true(id_eq(&got, &root));
	assert_int_equal(
		receipt_verify(&receipt, &leaf[0], log.public_key, NULL), REFUSED_RECEIPT_INVALID);
	assert_int_equal(receipt_verify(&receipt, &leaf[1], other.public_key, NULL),
		REFUSED_RECEIPT_INVALID);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(receipt_parse(SPAN(bytes, n), &receipt), REFUSED_RECEIPT_INVALID);
	/* One flipped bit anywhere: refused, or another size and index that show the same signed
	 * root. */
	for (size_t i = 0; i < 8 * b.n; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << (i % 8));
		if (receipt_parse(buf_span(&b), &receipt) == REFUSED_NOT &&
			receipt_verify(&receipt, &leaf[1], log.public_key, &got) == REFUSED_NOT) {
			assert_true(id_eq(&got, &root));
			assert_true(receipt.place.size != 3 || receipt.place.index != 1);
		}
		bytes[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	b.n = 0;
	assert_false(receipt_write(&log, SPAN_STR(""), place, &root, &b));
	b.cap = 64;
	assert_false(receipt_write(&log, SPAN_STR("log.example/1"), place, &root, &b));
}

/* Well signed, but another header than the one form. */
static void test_receipt_strict(void **state)
{
	static const uint8_t no_claims[] = { 0xa2, 0x01, 0x27, 0x19, 0x01, 0x8b, 0x01 };
	static const uint8_t empty_map[] = { 0xa0 };
	struct signer log = signer_make(3);
	struct id leaf[3];
	struct id root;
	const struct receipt_place *place = place_of_three(leaf, &root);
	uint8_t bytes[RECEIPT_MAX];
	struct buf good = BUF(bytes);
	uint8_t again_bytes[RECEIPT_MAX];
	struct buf again = BUF(again_bytes);
	struct receipt receipt;
	struct cose_parts parts;

	(void)state; /* ignored: no fixture */
	assert_true(receipt_write(&log, SPAN_STR("o"), place, &root, &good));
	assert_int_equal(cose_split(buf_span(&good), &parts), REFUSED_NOT);
	assert_true(cose_sign_detached(
		&log, SPAN_OF(no_claims), parts.unprotected, SPAN_OF(root.b), &again));
	assert_int_equal(receipt_parse(buf_span(&again), &receipt), REFUSED_RECEIPT_INVALID);
	again.n = 0;
	assert_true(cose_sign_detached(
		&log, parts.protected, SPAN_OF(empty_map), SPAN_OF(root.b), &again));
	assert_int_equal(receipt_parse(buf_span(&again), &receipt), REFUSED_RECEIPT_INVALID);
	again.n = 0;
	assert_true(cose_sign_detached(
		&log, parts.protected, parts.unprotected, SPAN_OF(root.b), &again));
	assert_int_equal(receipt_parse(buf_span(&again), &receipt), REFUSED_NOT);
	/* The root attached instead of detached. */
	again.n = 0;
	cbor_put_tag(&again, CBOR_TAG_SIGN1);
	cbor_put_array(&again, 4);
	cbor_put_bytes(&again, parts.protected);
	buf_put(&again, parts.unprotected.p, parts.unprotected.n);
	cbor_put_bytes(&again, SPAN_OF(root.b));
	cbor_put_bytes(&again, parts.signature);
	assert_int_equal(receipt_parse(buf_span(&again), &receipt), REFUSED_RECEIPT_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merkle_vectors),
		cmocka_unit_test(test_merkle_empty),
		cmocka_unit_test(test_checkpoints_of_tessera),
		cmocka_unit_test(test_checkpoint_text),
		cmocka_unit_test(test_note_keys),
		cmocka_unit_test(test_note_rules),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_receipt),
		cmocka_unit_test(test_receipt_strict),
	};

	assert_true(sodium_init() >= 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

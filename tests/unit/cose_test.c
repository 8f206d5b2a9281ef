/* COSE_Sign1: the COSE working group's examples, and the one form that a statement has. */
#include "proto/base/text.h"
#include "proto/cbor/cbor.h"
#include "proto/cose/cose.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <sodium.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define PAYLOAD "\xa1\x01\x02"

struct vector {
	uint8_t bytes[512];
	size_t n;
	uint8_t key[65];
	size_t key_n;
	uint8_t aad[64];
	size_t aad_n;
};

static const json_t *at(const json_t *root, const char *const *path)
{
	for (; *path && root; path++)
		root = json_object_get(root, *path);
	return root;
}
#define AT(root, ...) at(root, (const char *const[]){ __VA_ARGS__, NULL })

static size_t from_hex(const json_t *text, uint8_t *out, size_t cap)
{
	size_t n = json_string_length(text) / 2;

	assert_true(text && n <= cap);
	assert_int_equal(hex_decode(SPAN_STR(json_string_value(text)), out, n), 0);
	return n;
}

static void from_base64url(const json_t *text, uint8_t *out, size_t n)
{
	size_t got;
	const char *value = json_string_value(text);

	assert_int_equal(sodium_base642bin(out, n, value, strlen(value), NULL, &got, NULL,
				 sodium_base64_VARIANT_URLSAFE_NO_PADDING),
		0);
	assert_int_equal(got, n);
}

/* Skips the test, visibly, where the vectors are not at hand. */
static struct vector vector_load(const char *name)
{
	const char *dir = getenv("ASSAY_VECTORS");
	struct vector v = { 0 };
	char path[512];

	snprintf(path, sizeof(path), "%s/cose/%s.json", dir ? dir : "../shared/vectors", name);

	json_t *root = json_load_file(path, 0, NULL);

	if (!root) {
		print_message("SKIPPED: %s is not here\n", path);
		skip();
	}

	const json_t *key = AT(root, "input", "sign0", "key");
	const json_t *external = AT(root, "input", "sign0", "external");

	v.n = from_hex(AT(root, "output", "cbor"), v.bytes, sizeof(v.bytes));
	if (json_object_get(key, "x_hex")) {
		v.key_n = from_hex(json_object_get(key, "x_hex"), v.key, sizeof(v.key));
	} else {
		v.key[0] = 4;
		from_base64url(json_object_get(key, "x"), v.key + 1, 32);
		from_base64url(json_object_get(key, "y"), v.key + 33, 32);
		v.key_n = 65;
	}
	if (external)
		v.aad_n = from_hex(external, v.aad, sizeof(v.aad));
	json_decref(root);
	return v;
}

/* cose_split() and cose_verify(), as a reader of any COSE_Sign1 would. */
static enum refusal vector_verify(const struct vector *v, enum cose_alg alg)
{
	struct cose_parts parts;
	enum refusal refusal = cose_split(SPAN(v->bytes, v->n), &parts);

	if (refusal != REFUSED_NOT)
		return refusal;
	return cose_verify(&parts, alg, SPAN(v->key, v->key_n), SPAN(v->aad, v->aad_n));
}

static enum refusal parse(struct span bytes)
{
	struct cose_sign1 sign1;

	return cose_parse(bytes, &sign1);
}

/* Every vector: what verifying says, and by which name the profile of statements refuses it. */
static const struct {
	const char *name;
	enum cose_alg alg;
	enum refusal verified;
	enum refusal parsed;
} examples[] = {
	{ "eddsa-sig-01", COSE_ALG_EDDSA, REFUSED_NOT, REFUSED_COSE_UNPROTECTED },
	{ "sign-pass-01", COSE_ALG_ES256, REFUSED_NOT, REFUSED_COSE_UNPROTECTED },
	{ "sign-pass-02", COSE_ALG_ES256, REFUSED_NOT, REFUSED_COSE_UNPROTECTED },
	/* Without the tag it is no statement, though the signature is good. */
	{ "sign-pass-03", COSE_ALG_ES256, REFUSED_COSE_SHAPE, REFUSED_COSE_SHAPE },
	{ "sign-fail-01", COSE_ALG_ES256, REFUSED_CBOR_TAG, REFUSED_CBOR_TAG },
	{ "sign-fail-02", COSE_ALG_ES256, REFUSED_COSE_SIGNATURE, REFUSED_COSE_UNPROTECTED },
	{ "sign-fail-03", COSE_ALG_ES256, REFUSED_COSE_SIGNATURE, REFUSED_COSE_UNPROTECTED },
	{ "sign-fail-04", COSE_ALG_ES256, REFUSED_COSE_SIGNATURE, REFUSED_COSE_UNPROTECTED },
	{ "sign-fail-06", COSE_ALG_ES256, REFUSED_COSE_SIGNATURE, REFUSED_COSE_UNPROTECTED },
	{ "sign-fail-07", COSE_ALG_ES256, REFUSED_COSE_SIGNATURE, REFUSED_COSE_UNPROTECTED },
	/* Ed448 goes under -8 too: signature and key have another length. */
	{ "eddsa-sig-02", COSE_ALG_EDDSA, REFUSED_COSE_SIGNATURE, REFUSED_COSE_UNPROTECTED },
};

static void working_group_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		struct vector v = vector_load(examples[i].name);

		if (vector_verify(&v, examples[i].alg) != examples[i].verified ||
			parse(SPAN(v.bytes, v.n)) != examples[i].parsed)
			fail_msg("%s: %s, %s", examples[i].name,
				refusal_name(vector_verify(&v, examples[i].alg)),
				refusal_name(parse(SPAN(v.bytes, v.n))));
	}
}

static void untagged_example_verifies_with_its_tag(void **state)
{
	struct vector v = vector_load("sign-pass-03");

	(void)state;
	memmove(v.bytes + 1, v.bytes, v.n++);
	v.bytes[0] = 0xd2;
	assert_int_equal(vector_verify(&v, COSE_ALG_ES256), REFUSED_NOT);
}

/* What passes must fail with another byte, key, context or algorithm. */
static void good_examples_tampered(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct vector v = vector_load(examples[i].name);
		size_t n = v.n;

		for (size_t at_byte = 0; at_byte < n; at_byte++) {
			struct vector bad = v;
			struct cose_parts parts;

			bad.bytes[at_byte] ^= 1;
			/* The unprotected header is not signed; anything else is. */
			if (vector_verify(&bad, examples[i].alg) != REFUSED_NOT)
				continue;
			assert_int_equal(cose_split(SPAN(v.bytes, v.n), &parts), REFUSED_NOT);
			assert_true(v.bytes + at_byte >= parts.unprotected.p);
			assert_true(v.bytes + at_byte < parts.unprotected.p + parts.unprotected.n);
		}
		v.key[5] ^= 1;
		assert_int_not_equal(vector_verify(&v, examples[i].alg), REFUSED_NOT);
		v.key[5] ^= 1;
		v.aad[v.aad_n++] = 0;
		assert_int_equal(vector_verify(&v, examples[i].alg), REFUSED_COSE_SIGNATURE);
		v.aad_n--;
		assert_int_equal(vector_verify(&v, i == 0 ? COSE_ALG_ES256 : COSE_ALG_EDDSA),
			REFUSED_COSE_ALGORITHM);
		v.key[0] = 6; /* the hybrid form of a point */
		assert_int_equal(vector_verify(&v, examples[i].alg), REFUSED_COSE_SIGNATURE);
	}
}

/* --- the form of a statement --- */

static struct signer signer_make(uint8_t seed_byte)
{
	struct signer signer;
	uint8_t seed[32];

	memset(seed, seed_byte, sizeof(seed));
	assert_int_equal(crypto_sign_seed_keypair(signer.public_key, signer.secret_key, seed), 0);
	memset(signer.issuer.b, 7, 32);
	return signer;
}

static const struct cose_header *header(void)
{
	static struct cose_header h;

	h = (struct cose_header){ .content_type = SPAN_STR("application/x"),
		.subject = SPAN_STR("about"),
		.issued_at_s = 1700000000 };
	return &h;
}

static struct buf signed_sample(uint8_t *bytes, size_t cap, struct id *ret_id)
{
	struct signer signer = signer_make(1);
	struct buf out = buf_over(bytes, cap);

	assert_true(cose_sign(&signer, header(), SPAN(PAYLOAD, 3), &out, ret_id));
	return out;
}

static enum refusal parse_and_verify(struct span bytes)
{
	struct cose_sign1 s;
	enum refusal refusal = cose_parse(bytes, &s);

	if (refusal != REFUSED_NOT)
		return refusal;
	return cose_verify(&s.parts, s.alg, s.kid, SPAN(NULL, 0));
}

static void round_trip(void **state)
{
	struct signer signer = signer_make(1);
	uint8_t bytes[1024];
	struct id id;
	struct buf out = signed_sample(bytes, sizeof(bytes), &id);
	struct cose_counts before = cose_counts();
	struct cose_sign1 s;

	(void)state;
	assert_int_equal(cose_parse(buf_span(&out), &s), REFUSED_NOT);
	assert_int_equal(s.alg, COSE_ALG_EDDSA);
	assert_true(span_is(s.content_type, "application/x"));
	assert_true(span_is(s.subject, "about"));
	assert_true(span_eq(s.kid, SPAN_OF(signer.public_key)));
	assert_true(span_eq(s.parts.payload, SPAN(PAYLOAD, 3)));
	assert_true(did_eq(&s.issuer, &signer.issuer));
	assert_int_equal(s.issued_at_s, 1700000000);
	assert_true(id_eq(&s.id, &id));
	assert_int_equal(cose_verify(&s.parts, s.alg, s.kid, SPAN(NULL, 0)), REFUSED_NOT);
	assert_int_equal(cose_counts().verifications, before.verifications + 1);
}

static void every_bit_counts(void **state)
{
	uint8_t bytes[1024];
	struct id id;
	struct buf out = signed_sample(bytes, sizeof(bytes), &id);

	(void)state;
	for (size_t i = 0; i < 8 * out.n; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_not_equal(parse_and_verify(buf_span(&out)), REFUSED_NOT);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t n = 0; n < out.n; n++)
		assert_int_not_equal(parse(SPAN(bytes, n)), REFUSED_NOT);
	bytes[out.n] = 0;
	assert_int_equal(parse(SPAN(bytes, out.n + 1)), REFUSED_CBOR_TRAILING);
}

static void no_room(void **state)
{
	static uint8_t large[COSE_MAX + 1];
	static uint8_t bytes[2 * COSE_MAX];
	struct signer signer = signer_make(1);
	struct id id;
	struct buf whole = signed_sample(bytes, sizeof(bytes), &id);

	(void)state;
	for (size_t cap = 0; cap < whole.n; cap++) {
		uint8_t small[1024];
		struct buf out = buf_over(small, cap);

		assert_false(cose_sign(&signer, header(), SPAN(PAYLOAD, 3), &out, &id));
	}
	/* The largest payload that still makes a statement, and one byte more. */
	size_t framing = whole.n - 3 + 2; /* its length takes two bytes more */
	struct buf out = BUF(bytes);

	assert_true(cose_sign(&signer, header(), SPAN(large, COSE_MAX - framing), &out, &id));
	assert_int_equal(out.n, COSE_MAX);
	assert_int_equal(parse_and_verify(buf_span(&out)), REFUSED_NOT);
	out = BUF(bytes);
	assert_false(cose_sign(&signer, header(), SPAN(large, COSE_MAX - framing + 1), &out, &id));
	assert_int_equal(parse(SPAN_OF(large)), REFUSED_STATEMENT_TOO_LARGE);
}

/* --- headers of other makers --- */

struct form {
	int64_t alg;
	struct span kid;
	const char *issuer; /* NULL: a good one */
	int64_t iat;
	bool extra; /* one header more */
	bool unprotected; /* one unprotected header */
	bool detached;
	int signature_n; /* 0: 64 */
};

static void put_header(struct buf *b, const struct form *form)
{
	struct did did = { { 7 } };
	char text[DID_TEXT_MAX];

	cbor_put_map(b, form->extra ? 5 : 4);
	cbor_put_uint(b, 1);
	cbor_put_int(b, form->alg);
	cbor_put_uint(b, 3);
	cbor_put_str(b, "application/x");
	cbor_put_uint(b, 4);
	cbor_put_bytes(b, form->kid);
	cbor_put_uint(b, 15);
	cbor_put_map(b, 3);
	cbor_put_uint(b, 1);
	cbor_put_str(b, form->issuer ? form->issuer : did_text(&did, text));
	cbor_put_uint(b, 2);
	cbor_put_str(b, "about");
	cbor_put_uint(b, 6);
	cbor_put_int(b, form->iat);
	if (form->extra) {
		cbor_put_uint(b, 99);
		cbor_put_null(b);
	}
}

static struct span assemble(const struct form *form, struct span signature, uint8_t *bytes,
	size_t cap, struct buf *ret_tbs)
{
	uint8_t head[512];
	struct buf protected = BUF(head);
	struct buf out = buf_over(bytes, cap);

	put_header(&protected, form);
	cbor_put_tag(&out, CBOR_TAG_SIGN1);
	cbor_put_array(&out, 4);
	cbor_put_bytes(&out, buf_span(&protected));
	cbor_put_map(&out, form->unprotected ? 1 : 0);
	if (form->unprotected) {
		cbor_put_uint(&out, 4);
		cbor_put_bytes(&out, SPAN("x", 1));
	}
	if (form->detached)
		cbor_put_null(&out);
	else
		cbor_put_bytes(&out, SPAN(PAYLOAD, 3));
	cbor_put_bytes(&out, signature);
	if (ret_tbs) {
		cbor_put_array(ret_tbs, 4);
		cbor_put_str(ret_tbs, "Signature1");
		cbor_put_bytes(ret_tbs, buf_span(&protected));
		cbor_put_bytes(ret_tbs, SPAN(NULL, 0));
		cbor_put_bytes(ret_tbs, SPAN(PAYLOAD, 3));
		assert_true(buf_ok(ret_tbs));
	}
	assert_true(buf_ok(&out));
	return buf_span(&out);
}

static enum refusal parse_form(struct form form)
{
	uint8_t bytes[1024];
	uint8_t zeros[65] = { 0 };
	int n = form.signature_n ? form.signature_n : COSE_SIGNATURE;

	return parse(assemble(&form, SPAN(zeros, (size_t)n), bytes, sizeof(bytes), NULL));
}

static void forms_refused_by_name(void **state)
{
	uint8_t kid[40] = { 0 };
	const struct form good = { .alg = COSE_ALG_EDDSA, .kid = SPAN(kid, 32), .iat = 1 };
	struct form bad;

	(void)state;
	assert_int_equal(parse_form(good), REFUSED_NOT);
#define REFUSES(field, value, name) \
	bad = good; \
	bad.field = value; \
	assert_int_equal(parse_form(bad), REFUSED_##name)

	REFUSES(alg, -53, COSE_ALGORITHM); /* Ed448 of RFC 9864 */
	REFUSES(alg, -35, COSE_ALGORITHM); /* ES384 */
	REFUSES(alg, 5, COSE_ALGORITHM); /* HMAC */
	REFUSES(alg, 0, COSE_ALGORITHM);
	REFUSES(kid.n, 31, COSE_HEADER);
	REFUSES(kid.n, 34, COSE_HEADER);
	REFUSES(issuer, "did:web:example.org", COSE_HEADER);
	REFUSES(issuer, "", COSE_HEADER);
	REFUSES(iat, -1, COSE_HEADER);
	REFUSES(extra, true, COSE_HEADER);
	REFUSES(unprotected, true, COSE_UNPROTECTED);
	REFUSES(detached, true, COSE_SHAPE);
	REFUSES(signature_n, 63, COSE_SHAPE);
	REFUSES(signature_n, 65, COSE_SHAPE);
#undef REFUSES
}

/* r || s over the form's Sig_structure, by OpenSSL and with a new key; ret_kid is compressed. */
static void sign_p256(EVP_PKEY *key, struct span tbs, uint8_t ret_signature[static 64])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t der[80];
	size_t der_n = sizeof(der);
	const uint8_t *p = der;

	assert_int_equal(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(md, der, &der_n, tbs.p, tbs.n), 1);

	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der_n);

	assert_non_null(sig);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret_signature, 32), 32);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret_signature + 32, 32), 32);
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(md);
}

static void es256_and_esp256_are_read(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	uint8_t point[65];
	uint8_t kid[33];
	uint8_t signature[64];
	uint8_t tbs_bytes[1024];
	uint8_t bytes[1024];
	size_t n;

	(void)state;
	assert_non_null(key);
	assert_int_equal(EVP_PKEY_get_octet_string_param(
				 key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &n),
		1);
	assert_int_equal(n, 65);
	kid[0] = (uint8_t)(2 + (point[64] & 1));
	memcpy(kid + 1, point + 1, 32);
	for (int i = 0; i < 2; i++) {
		struct form form = {
			.alg = i ? COSE_ALG_ESP256 : COSE_ALG_ES256, .kid = SPAN_OF(kid), .iat = 1
		};
		struct buf tbs = BUF(tbs_bytes);
		struct cose_sign1 s;

		memset(signature, 0, sizeof(signature));
		assemble(&form, SPAN_OF(signature), bytes, sizeof(bytes), &tbs);
		sign_p256(key, buf_span(&tbs), signature);

		struct span whole = assemble(&form, SPAN_OF(signature), bytes, sizeof(bytes), NULL);

		assert_int_equal(parse_and_verify(whole), REFUSED_NOT);
		assert_int_equal(cose_parse(whole, &s), REFUSED_NOT);
		assert_int_equal(s.alg, form.alg);
		assert_int_equal(
			cose_verify(&s.parts, s.alg, SPAN_OF(point), SPAN(NULL, 0)), REFUSED_NOT);
		assert_int_equal(cose_verify(&s.parts, COSE_ALG_EDDSA, s.kid, SPAN(NULL, 0)),
			REFUSED_COSE_ALGORITHM);
		kid[0] ^= 1; /* the other point of the same x */
		assert_int_equal(cose_verify(&s.parts, s.alg, SPAN_OF(kid), SPAN(NULL, 0)),
			REFUSED_COSE_SIGNATURE);
		kid[0] = 5; /* no point at all */
		assert_int_equal(cose_verify(&s.parts, s.alg, SPAN_OF(kid), SPAN(NULL, 0)),
			REFUSED_COSE_SIGNATURE);
		kid[0] = (uint8_t)(2 + (point[64] & 1));
		for (size_t bit = 0; bit < 512; bit += 7) {
			signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
			whole = assemble(&form, SPAN_OF(signature), bytes, sizeof(bytes), NULL);
			assert_int_equal(parse_and_verify(whole), REFUSED_COSE_SIGNATURE);
			signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	EVP_PKEY_free(key);
}

static void ed25519_is_read(void **state)
{
	struct signer signer = signer_make(2);
	struct form form = { .alg = COSE_ALG_ED25519, .kid = SPAN_OF(signer.public_key), .iat = 1 };
	uint8_t signature[64] = { 0 };
	uint8_t tbs_bytes[1024];
	uint8_t bytes[1024];
	struct buf tbs = BUF(tbs_bytes);

	(void)state;
	assemble(&form, SPAN_OF(signature), bytes, sizeof(bytes), &tbs);
	assert_int_equal(
		parse_and_verify(assemble(&form, SPAN_OF(signature), bytes, sizeof(bytes), NULL)),
		REFUSED_COSE_SIGNATURE);
	crypto_sign_detached(signature, NULL, tbs.p, tbs.n, signer.secret_key);
	assert_int_equal(
		parse_and_verify(assemble(&form, SPAN_OF(signature), bytes, sizeof(bytes), NULL)),
		REFUSED_NOT);
}

/* Another signature over the same bytes is the same statement. */
static void id_leaves_the_signature_out(void **state)
{
	uint8_t bytes[1024];
	struct id id;
	struct buf out = signed_sample(bytes, sizeof(bytes), &id);
	struct cose_sign1 s;

	(void)state;
	bytes[out.n - 1] ^= 1;
	assert_int_equal(cose_parse(buf_span(&out), &s), REFUSED_NOT);
	assert_true(id_eq(&s.id, &id));
	bytes[out.n - COSE_SIGNATURE - 3] ^= 1; /* the payload's last byte */
	assert_int_equal(cose_parse(buf_span(&out), &s), REFUSED_NOT);
	assert_false(id_eq(&s.id, &id));
}

static void detached_payload(void **state)
{
	struct signer signer = signer_make(3);
	uint8_t bytes[512];
	struct buf out = BUF(bytes);
	struct cose_parts parts;

	(void)state;
	assert_true(cose_sign_detached(
		&signer, SPAN("\xa1\x01\x27", 3), SPAN("\xa0", 1), SPAN(PAYLOAD, 3), &out));
	assert_int_equal(cose_split(buf_span(&out), &parts), REFUSED_NOT);
	assert_null(parts.payload.p);
	assert_int_equal(
		cose_verify(&parts, COSE_ALG_EDDSA, SPAN_OF(signer.public_key), SPAN(NULL, 0)),
		REFUSED_COSE_SIGNATURE);
	parts.payload = SPAN(PAYLOAD, 3);
	assert_int_equal(
		cose_verify(&parts, COSE_ALG_EDDSA, SPAN_OF(signer.public_key), SPAN(NULL, 0)),
		REFUSED_NOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(working_group_examples),
		cmocka_unit_test(untagged_example_verifies_with_its_tag),
		cmocka_unit_test(good_examples_tampered),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(no_room),
		cmocka_unit_test(forms_refused_by_name),
		cmocka_unit_test(es256_and_esp256_are_read),
		cmocka_unit_test(ed25519_is_read),
		cmocka_unit_test(id_leaves_the_signature_out),
		cmocka_unit_test(detached_payload),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

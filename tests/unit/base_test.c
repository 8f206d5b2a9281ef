#include "proto/base/buf.h"
#include "proto/base/money.h"
#include "proto/base/refusal.h"
#include "proto/base/sha256.h"
#include "proto/base/text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_money(void **state)
{
	struct money m = { 7 };

	(void)state;
	assert_int_equal(money_add((struct money){ 1 }, (struct money){ 2 }, &m), 0);
	assert_int_equal(m.micros, 3);
	assert_int_equal(money_sub((struct money){ 1 }, (struct money){ 2 }, &m), 0);
	assert_int_equal(m.micros, -1);
	assert_int_equal(money_add((struct money){ INT64_MAX }, MONEY_ZERO, &m), 0);
	assert_true(m.micros == INT64_MAX);
	assert_int_equal(money_sub((struct money){ INT64_MIN + 1 }, (struct money){ 1 }, &m), 0);
	assert_true(m.micros == INT64_MIN);

	m.micros = 7;
	assert_int_equal(money_add((struct money){ INT64_MAX }, (struct money){ 1 }, &m), -ERANGE);
	assert_int_equal(money_add((struct money){ INT64_MIN }, (struct money){ -1 }, &m), -ERANGE);
	assert_int_equal(money_sub((struct money){ INT64_MIN }, (struct money){ 1 }, &m), -ERANGE);
	assert_int_equal(money_sub(MONEY_ZERO, (struct money){ INT64_MIN }, &m), -ERANGE);
	assert_int_equal(m.micros, 7);
}

static void test_money_shares(void **state)
{
	struct money m = { 7 };

	(void)state;
	assert_int_equal(money_share((struct money){ -1 }, 1, &m), -ERANGE);
	assert_int_equal(money_share((struct money){ 1 }, 1000001, &m), -ERANGE);
	assert_int_equal(money_split((struct money){ 10 }, 0, &m), -ERANGE);
	assert_int_equal(money_split((struct money){ -10 }, 2, &m), -ERANGE);
	assert_int_equal(m.micros, 7);

	assert_int_equal(money_share((struct money){ 999999 }, 500000, &m), 0);
	assert_int_equal(m.micros, 499999); /* rounded down */
	assert_int_equal(money_share((struct money){ INT64_MAX }, 1000000, &m), 0);
	assert_true(m.micros == INT64_MAX);
	assert_int_equal(money_share((struct money){ INT64_MAX }, 999999, &m), 0);
	assert_true(m.micros == INT64_C(9223362813482738952));
	assert_int_equal(money_share((struct money){ INT64_MAX }, 0, &m), 0);
	assert_int_equal(m.micros, 0);
	assert_int_equal(money_split((struct money){ 10 }, 3, &m), 0);
	assert_int_equal(m.micros, 3);
	assert_int_equal(money_split((struct money){ INT64_MAX }, UINT32_MAX, &m), 0);
	assert_int_equal(m.micros, INT64_MAX / (int64_t)UINT32_MAX);
}

static void test_buf_overflow_is_sticky(void **state)
{
	uint8_t bytes[8];
	struct buf b = BUF(bytes);

	(void)state;
	buf_str(&b, "assay");
	buf_printf(&b, "%d", 123);
	assert_true(buf_ok(&b));
	assert_true(span_is(buf_span(&b), "assay123"));
	buf_put(&b, NULL, 0);
	assert_true(buf_ok(&b));
	buf_byte(&b, 'x');
	assert_false(buf_ok(&b));
	assert_true(span_is(buf_span(&b), "assay123"));

	b = BUF(bytes);
	buf_put(&b, "123456789", 9);
	buf_byte(&b, 'x'); /* would fit, but comes after an overflow */
	assert_false(buf_ok(&b));
	assert_int_equal(b.n, 0);
	b = BUF(bytes);
	buf_put(&b, "1", SIZE_MAX);
	assert_false(buf_ok(&b));
}

static void test_buf_printf_bounds(void **state)
{
	uint8_t bytes[4096];
	struct buf b = BUF(bytes);

	(void)state;
	buf_printf(&b, "%1023s", "x");
	assert_true(buf_ok(&b));
	assert_int_equal(b.n, 1023);
	buf_printf(&b, "%1024s", "x");
	assert_false(buf_ok(&b));
	assert_int_equal(b.n, 1023);
}

static void test_buf_arena(void **state)
{
	_Alignas(16) uint8_t bytes[64];
	struct buf b = BUF(bytes);
	uint8_t *first = buf_alloc(&b, 1);
	uint8_t *second = buf_alloc(&b, 16);

	(void)state;
	assert_ptr_equal(first, bytes);
	assert_ptr_equal(second, bytes + 16);

	struct span copy = buf_copy(&b, SPAN_STR("0123456789abcdef"));

	assert_true(span_is(copy, "0123456789abcdef"));
	assert_ptr_equal(copy.p, bytes + 32);
	assert_null(buf_alloc(&b, 17));
	assert_false(buf_ok(&b));
	assert_null(buf_alloc(&b, 1));
	assert_int_equal(buf_copy(&b, SPAN_STR("x")).n, 0);
	b = BUF(bytes);
	assert_null(buf_alloc(&b, SIZE_MAX));
}

static void test_hex(void **state)
{
	uint8_t bytes[3] = { 7, 7, 7 };
	char text[7];
	struct id id;
	char id_hex[ID_TEXT_MAX];

	(void)state;
	hex_encode("\x00\xaf\xff", 3, text);
	assert_string_equal(text, "00afff");
	assert_int_equal(hex_decode(SPAN_STR("00aFF"), bytes, 3), -EINVAL);
	assert_int_equal(hex_decode(SPAN_STR("00aFFg"), bytes, 3), -EINVAL);
	assert_int_equal(hex_decode(SPAN_STR("00 FF0"), bytes, 3), -EINVAL);
	assert_int_equal(hex_decode(SPAN_STR("00aFFf00"), bytes, 3), -EINVAL);
	assert_int_equal(bytes[0], 7); /* untouched by refused text */
	assert_int_equal(hex_decode(SPAN_STR("00aFFf"), bytes, 3), 0);
	assert_memory_equal(bytes, "\x00\xaf\xff", 3);

	for (size_t i = 0; i < sizeof(id.b); i++)
		id.b[i] = (uint8_t)(i * 9);

	struct id again;

	assert_int_equal(id_parse(SPAN_STR(id_text(&id, id_hex)), &again), 0);
	assert_true(id_eq(&id, &again));
	assert_int_equal(id_parse(SPAN(id_hex, 63), &again), -EINVAL);
}

struct did_case {
	const char *key_hex;
	const char *text;
};

/* The first is RFC 8032's first test key; the others are the extremes. Computed with another
 * implementation. */
static const struct did_case dids[] = {
	{ "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
		"did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw" },
	{ "0000000000000000000000000000000000000000000000000000000000000000",
		"did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP" },
	{ "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"did:key:z6MkwgaR63138bEEgad7uk993KMX54vBA6KTB4sFhCPnSB2e" },
};

static void test_did_vectors(void **state)
{
	struct did did;
	struct did again;
	char text[DID_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dids); i++) {
		assert_int_equal(hex_decode(SPAN_STR(dids[i].key_hex), did.b, sizeof(did.b)), 0);
		assert_string_equal(did_text(&did, text), dids[i].text);
		assert_int_equal(strlen(text), DID_TEXT_MAX - 1);
		assert_int_equal(did_parse(SPAN_STR(text), &again), 0);
		assert_true(did_eq(&did, &again));
	}
}

static void test_did_refused(void **state)
{
	struct did did = { { 7 } };
	char text[DID_TEXT_MAX + 1];

	(void)state;
	/* Each position with digits that base58 lacks, and NUL, which strchr() would find. */
	for (size_t at = 9; at < DID_TEXT_MAX - 1; at++) {
		static const char bad[] = { '0', 'O', 'I', 'l', ' ', '\0', '\xff' };

		for (size_t i = 0; i < sizeof(bad); i++) {
			memcpy(text, dids[0].text, DID_TEXT_MAX);
			text[at] = bad[i];
			assert_int_equal(did_parse(SPAN(text, DID_TEXT_MAX - 1), &did), -EINVAL);
		}
	}
	memcpy(text, dids[0].text, DID_TEXT_MAX);
	assert_int_equal(did_parse(SPAN(text, DID_TEXT_MAX - 2), &did), -EINVAL);
	text[DID_TEXT_MAX - 1] = '1';
	assert_int_equal(did_parse(SPAN(text, DID_TEXT_MAX), &did), -EINVAL);
	assert_int_equal(did_parse(SPAN_STR(""), &did), -EINVAL);
	memcpy(text, dids[0].text, DID_TEXT_MAX);
	memset(text + 9, 'z', 47); /* larger than 34 bytes hold */
	assert_int_equal(did_parse(SPAN_STR(text), &did), -EINVAL);
	memset(text + 9, '1', 47); /* another multicodec */
	assert_int_equal(did_parse(SPAN_STR(text), &did), -EINVAL);
	memcpy(text, dids[0].text, DID_TEXT_MAX);
	text[4] = 'K';
	assert_int_equal(did_parse(SPAN_STR(text), &did), -EINVAL);
	/* X25519 keys (multicodec EC 01) start with z6LS */
	assert_int_equal(
		did_parse(
			SPAN_STR("did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc"), &did),
		-EINVAL);
	assert_int_equal(did.b[0], 7);
}

static void test_utf8(void **state)
{
	static const char *const good[] = { "", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
		"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2",
		"\xc2\x41", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80", "\xed\xbf\xbf",
		"\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe",
		"\xff", "a\xc3" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(utf8_valid(SPAN_STR(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(utf8_valid(SPAN_STR(bad[i])));
}

static void test_sha256(void **state)
{
	/* FIPS 180-4's example "abc", in one and in three parts. */
	static const char abc[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	struct id whole = SHA256(SPAN_STR("abc"));
	struct id parts = SHA256(SPAN_STR("a"), SPAN_STR(""), SPAN_STR("bc"));
	struct id other = SHA256(SPAN_STR("abd"));
	char text[ID_TEXT_MAX];

	(void)state;
	assert_string_equal(id_text(&whole, text), abc);
	assert_true(id_eq(&whole, &parts));
	assert_false(id_eq(&whole, &other));
}

struct refusal_row {
	int number;
	const char *name;
	const char *sentence;
};

static void test_refusals(void **state)
{
	static const struct refusal_row rows[] = {
#define X(number, name, sentence) { number, #name, sentence },
		REFUSALS(X)
#undef X
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = strlen(rows[i].sentence);

		assert_true(rows[i].number > 0);
		assert_true(n > 10 && rows[i].sentence[n - 1] == '.');
		assert_string_equal(refusal_name((enum refusal)rows[i].number), rows[i].name);
		assert_string_equal(
			refusal_sentence((enum refusal)rows[i].number), rows[i].sentence);
		assert_int_equal(refusal_by_name(SPAN_STR(rows[i].name)), rows[i].number);
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(rows[i].number, rows[j].number);
			assert_string_not_equal(rows[i].name, rows[j].name);
			assert_string_not_equal(rows[i].sentence, rows[j].sentence);
		}
	}
	assert_string_equal(refusal_name(REFUSED_NOT), "NONE");
	assert_string_equal(refusal_name((enum refusal)65535), "UNKNOWN");
	assert_non_null(refusal_sentence((enum refusal)65535));
	assert_int_equal(refusal_by_name(SPAN_STR("NO_SUCH_RULE")), REFUSED_NOT);
	assert_int_equal(refusal_by_name(SPAN_STR("")), REFUSED_NOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_money),
		cmocka_unit_test(test_money_shares),
		cmocka_unit_test(test_buf_overflow_is_sticky),
		cmocka_unit_test(test_buf_printf_bounds),
		cmocka_unit_test(test_buf_arena),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_did_vectors),
		cmocka_unit_test(test_did_refused),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

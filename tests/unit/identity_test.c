#include "proto/base/text.h"
#include "proto/os/clock.h"
#include "proto/os/file.h"
#include "proto/shell/contact.h"
#include "proto/shell/identity.h"
#include "proto/statement/keyring.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

static char top[32];
static char dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/assay-identity-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(dir, sizeof(dir), "%s/keys", top);
	return 0;
}

static int remove_one(const char *name, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(name);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void made_once_and_loaded(void **state)
{
	static const char *const names[] = { "root.key", "working.key", "curve.key",
		"encryption.key", "keys.cose" };
	struct identity a, b;
	struct stat st;

	(void)state;
	assert_int_equal(identity_load(dir, &a), -ENOENT);
	assert_int_equal(identity_new(dir, ""), -EINVAL);
	assert_int_equal(identity_new(dir, "market"), 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(stat(in_dir(names[i]), &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	assert_int_equal(identity_new(dir, "market"), -EEXIST);
	assert_int_equal(identity_load(dir, &a), 0);
	assert_true(span_is(a.author.market, "market"));
	assert_memory_equal(&a.did, &a.author.signer.issuer, sizeof(a.did));
	/* The root key may be kept elsewhere. */
	assert_int_equal(remove(in_dir("root.key")), 0);
	assert_int_equal(identity_load(dir, &b), 0);
	assert_memory_equal(&a.did, &b.did, sizeof(a.did));
	assert_true(span_eq(identity_keys(&a), identity_keys(&b)));
	identity_deinit(&a);
	assert_true(did_is_zero(&a.did));
	identity_deinit(&b);
}

static void open_files_are_refused(void **state)
{
	struct identity a;

	(void)state;
	assert_int_equal(identity_new(dir, "market"), 0);
	assert_int_equal(chmod(in_dir("working.key"), 0640), 0);
	assert_int_equal(identity_load(dir, &a), REFUSED_KEY_FILE_OPEN);
	assert_true(did_is_zero(&a.did));
	assert_int_equal(chmod(in_dir("working.key"), 0600), 0);
	assert_int_equal(identity_load(dir, &a), 0);
	assert_int_equal(chmod(dir, 0770), 0);
	assert_int_equal(identity_load(dir, &a), REFUSED_KEY_FILE_OPEN);
	assert_int_equal(remove(in_dir("keys.cose")), 0);
	assert_int_equal(identity_new(dir, "market"), -EPERM);
}

static void overwrite(const char *name, struct span bytes)
{
	assert_int_equal(file_write_durable(in_dir(name), bytes, 0600), 0);
}

static void damaged_files_are_refused(void **state)
{
	_cleanup_(freep) uint8_t *keys = NULL, *curve = NULL;
	struct identity a;
	size_t n, n_curve;

	(void)state;
	assert_int_equal(identity_new(dir, "market"), 0);
	assert_int_equal(file_read(in_dir("keys.cose"), 4096, &keys, &n), 0);
	assert_int_equal(file_read(in_dir("curve.key"), 4096, &curve, &n_curve), 0);
	keys[n - 1] ^= 1;
	overwrite("keys.cose", SPAN(keys, n));
	assert_int_equal(identity_load(dir, &a), REFUSED_COSE_SIGNATURE);
	overwrite("keys.cose", SPAN(keys, n - 1));
	assert_true(identity_load(dir, &a) > 0);
	keys[n - 1] ^= 1;
	overwrite("keys.cose", SPAN(keys, n));
	assert_int_equal(identity_load(dir, &a), 0);

	overwrite("curve.key", SPAN(curve, n_curve - 1));
	assert_int_equal(identity_load(dir, &a), -EBADMSG);
	curve[0] = 'x';
	overwrite("curve.key", SPAN(curve, n_curve));
	assert_int_equal(identity_load(dir, &a), -EBADMSG);
	/* A key that is whole, but not the one of the statement. */
	curve[0] = '0';
	curve[10] = curve[10] == '1' ? '2' : '1';
	overwrite("curve.key", SPAN(curve, n_curve));
	assert_int_equal(identity_load(dir, &a), -EBADMSG);
}

static void greeting_verifies(void **state)
{
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(4);
	uint8_t room[2048];
	struct buf out = BUF(room);
	int64_t now_ns = clock_now_ns();
	struct statement s;
	struct identity a;
	bool is_new;

	(void)state;
	assert_non_null(keyring);
	assert_int_equal(identity_new(dir, "market"), 0);
	assert_int_equal(identity_load(dir, &a), 0);
	assert_int_equal(statement_decode(identity_keys(&a), &s, NULL), REFUSED_NOT);
	assert_int_equal(keyring_learn(keyring, &s, &is_new), REFUSED_NOT);
	assert_true(identity_greeting(&a, ROLE_NODE, &a.curve.public_key, now_ns, &out));
	assert_int_equal(statement_decode(buf_span(&out), &s, NULL), REFUSED_NOT);
	assert_int_equal(keyring_verify(keyring, &s), REFUSED_NOT);
	assert_int_equal(s.kind, STATEMENT_GREETING);
	assert_int_equal(s.body.greeting.role, ROLE_NODE);
	assert_int_equal(s.body.greeting.c.expires_ns, now_ns + IDENTITY_GREETING_NS);
	assert_memory_equal(s.body.greeting.carrier.p, a.curve.public_key.b, 32);

	out = buf_over(room, 40);
	assert_false(identity_greeting(&a, ROLE_NODE, &a.curve.public_key, now_ns, &out));
	out = BUF(room);
	assert_false(identity_greeting(&a, (enum role)99, &a.curve.public_key, now_ns, &out));
	identity_deinit(&a);
}

static void contact_goes_round(void **state)
{
	struct contact out, in;
	struct identity a;
	char path[128];

	(void)state;
	assert_int_equal(identity_new(dir, "market"), 0);
	assert_int_equal(identity_load(dir, &a), 0);
	assert_int_equal(contact_of(&a, "ipc://x", &out), -EINVAL);
	assert_int_equal(contact_of(&a, "tcp://127.0.0.1:7411", &out), 0);
	snprintf(path, sizeof(path), "%s/contact.json", top);
	assert_int_equal(contact_write(path, &out), 0);
	assert_int_equal(contact_read(path, &in), 0);
	assert_memory_equal(&in.did, &a.did, sizeof(in.did));
	assert_memory_equal(&in.curve_key, &a.curve.public_key, sizeof(in.curve_key));
	assert_memory_equal(in.encryption_key, a.encryption_public, 32);
	assert_string_equal(in.endpoint, "tcp://127.0.0.1:7411");
	identity_deinit(&a);
}

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void bad_contacts_are_refused(void **state)
{
	struct did did = { { 5 } };
	char text[DID_TEXT_MAX], json[1024];
	static const struct {
		const char *format; /* gets the did */
		int result;
	} cases[] = {
		{ "{\"did\":\"%s\",\"curve_key\":\"" HEX "\",\"encryption_key\":\"" HEX
		  "\",\"endpoint\":\"tcp://h:1\"}",
			0 },
		{ "{\"did\":\"%s\",\"curve_key\":\"" HEX "\",\"encryption_key\":\"" HEX
		  "\",\"endpoint\":\"http://h:1\"}",
			-EBADMSG },
		{ "{\"did\":\"%s\",\"curve_key\":\"" HEX "00\",\"encryption_key\":\"" HEX
		  "\",\"endpoint\":\"tcp://h:1\"}",
			-EBADMSG },
		{ "{\"did\":\"x%s\",\"curve_key\":\"" HEX "\",\"encryption_key\":\"" HEX
		  "\",\"endpoint\":\"tcp://h:1\"}",
			-EBADMSG },
		{ "{\"did\":\"%s\",\"curve_key\":\"" HEX "\",\"encryption_key\":\"" HEX
		  "\",\"endpoint\":\"tcp://h:1\",\"more\":1}",
			-EBADMSG },
		{ "{\"did\":\"%s\",\"did\":\"\",\"curve_key\":\"" HEX "\",\"encryption_key\":\"" HEX
		  "\",\"endpoint\":\"tcp://h:1\"}",
			-EBADMSG },
		{ "{\"did\":\"%s\",\"curve_key\":\"" HEX "\",\"encryption_key\":\"" HEX "\"}",
			-EBADMSG },
		{ "[\"%s\"]", -EBADMSG },
		{ "%s", -EBADMSG },
	};
	struct contact contact;

	(void)state;
	did_text(&did, text);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(json, sizeof(json), cases[i].format, text);
#pragma GCC diagnostic pop
		assert_int_equal(contact_parse(SPAN_STR(json), &contact), cases[i].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(made_once_and_loaded, setup, teardown),
		cmocka_unit_test_setup_teardown(open_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(greeting_verifies, setup, teardown),
		cmocka_unit_test_setup_teardown(contact_goes_round, setup, teardown),
		cmocka_unit_test(bad_contacts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

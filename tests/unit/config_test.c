#include "sensor-node/config.h"
#include "sensor-node/offerings.h"

#include "proto/base/text.h"
#include "proto/core/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define DID_A "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"

static struct config config;
static struct config_error error;

static int parse(const char *json)
{
	config_init(&config);
	error.text[0] = '\0';
	return config_parse(SPAN_STR(json), &config, &error);
}

static void test_decimal(void **state)
{
	static const struct {
		const char *text;
		unsigned int digits;
		int r;
		int64_t value;
	} cases[] = {
		{ "0.05", 6, 0, 50000 },
		{ "1", 6, 0, 1000000 },
		{ "-47.3769", 7, 0, -473769000 },
		{ "0.0000001", 7, 0, 1 },
		{ "9223372036854.775807", 6, 0, INT64_MAX },
		{ "9223372036854.775808", 6, -ERANGE, 0 },
		{ "99999999999999999999", 0, -ERANGE, 0 },
		{ "9223372036855", 6, -ERANGE, 0 },
		{ "0.0000001", 6, -EINVAL, 0 },
		{ "", 6, -EINVAL, 0 },
		{ "-", 6, -EINVAL, 0 },
		{ ".5", 6, -EINVAL, 0 },
		{ "5.", 6, -EINVAL, 0 },
		{ "1.2.3", 6, -EINVAL, 0 },
		{ "+1", 6, -EINVAL, 0 },
		{ " 1", 6, -EINVAL, 0 },
		{ "1 ", 6, -EINVAL, 0 },
		{ "1e3", 6, -EINVAL, 0 },
		{ "0x10", 6, -EINVAL, 0 },
	};

	(void)state; /* ignored: cmocka's */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t value = 42;

		assert_int_equal(
			config_decimal(cases[i].text, cases[i].digits, &value), cases[i].r);
		assert_int_equal(value, cases[i].r == 0 ? cases[i].value : 42);
	}
}

static void test_whole_file(void **state)
{
	(void)state; /* ignored: cmocka's */
	assert_int_equal(
		parse("{\"broker\": \"b.json\", \"escrow\": \"e.json\", \"place\": \"47.3769,-8.5417\","
		      "\"accuracy_m\": 10, \"price\": \"0.05\", \"asset\": \"CHF\","
		      "\"verifiers\": [\"" DID_A "\", \"" DID_A "\"], \"t_dispute_max_ms\": 0,"
		      "\"refused_words\": [\"face\", \"child\"], \"persons_in_view\": true,"
		      "\"policy\": \"daylight\", \"captures\": 3,"
		      "\"camera\": {\"source\": \"test\", \"price\": \"0.10\", \"width\": 640,"
		      "\"height\": 480, \"fps\": 30, \"max_width\": 320, \"max_height\": 240,"
		      "\"redactions\": \"plates blurred\"},"
		      "\"instruments\": [{\"address\": \"[::1]:5025\"}, {\"address\": \"meter\","
		      "\"kind\": \"current.dc\", \"quantity\": \"current-dc\", \"unit\": \"A\","
		      "\"query\": \"MEAS:CURR:DC?\", \"channel\": \"2\", \"calibration\": \"2026\","
		      "\"timeout_ms\": 100, \"synthetic\": true, \"price\": \"0.000001\"}]}"),
		0);
	assert_string_equal(config.broker, "b.json");
	assert_int_equal(config.place.lat_e7, 473769000);
	assert_int_equal(config.place.lon_e7, -85417000);
	assert_int_equal(config.place.radius_m, 10);
	assert_int_equal(config.price_micros, 50000);
	assert_int_equal(config.n_verifiers, 1);
	assert_int_equal(config.t_dispute_max_ms, 0);
	assert_string_equal(config.refused_words[1], "child");
	assert_true(config.persons_in_view);
	assert_int_equal(config.camera.price_micros, 100000);
	assert_int_equal(config.camera.max_height, 240);
	assert_int_equal(config.n_instruments, 2);
	assert_string_equal(config.instruments[0].host, "::1");
	assert_int_equal(config.instruments[0].port, 5025);
	assert_string_equal(config.instruments[0].kind, KIND_VOLTAGE_DC);
	assert_string_equal(config.instruments[0].query, "MEAS:VOLT:DC?");
	assert_string_equal(config.instruments[1].host, "meter");
	assert_int_equal(config.instruments[1].port, 5025);
	assert_true(config.instruments[1].synthetic);
	assert_int_equal(config.instruments[1].price_micros, 1);
	assert_int_equal(config_check(&config, &error), 0);
}

static void test_refused_files(void **state)
{
	/* Each with a word of the sentence. */
	static const struct {
		const char *json;
		const char *word;
	} cases[] = {
		{ "", "not JSON" },
		{ "{\"price\": \"0.05\"} x", "not JSON" },
		{ "{\"price\": \"0.05\", \"price\": \"0.06\"}", "duplicate" },
		{ "[]", "object" },
		{ "{\"prise\": \"0.05\"}", "\"prise\" is not a key" },
		{ "{\"camera\": {\"prices\": 1}}", "\"prices\" is not a key of \"camera\"" },
		{ "{\"instruments\": [{\"port\": 1, \"address\": \"a:1\"}]}", "an instrument" },
		{ "{\"price\": 0.05}", "text" },
		{ "{\"price\": \"0\"}", "over 0" },
		{ "{\"price\": \"-1\"}", "over 0" },
		{ "{\"price\": \"0.0000001\"}", "6 digits" },
		{ "{\"price\": \"1000000000001\"}", "over 0" },
		{ "{\"place\": \"47\"}", "LAT,LON" },
		{ "{\"place\": \"47,8,9\"}", "LAT,LON" },
		{ "{\"place\": \"90.0000001,8\"}", "Earth" },
		{ "{\"place\": \"9,-180.1\"}", "Earth" },
		{ "{\"place\": \"47.12345678,8\"}", "7 digits" },
		{ "{\"accuracy_m\": -1}", "whole number" },
		{ "{\"accuracy_m\": 1.0}", "whole number" },
		{ "{\"captures\": 0}", "1 to 256" },
		{ "{\"captures\": 257}", "1 to 256" },
		{ "{\"captures\": 99999999999999999999}", "JSON" },
		{ "{\"persons_in_view\": 0}", "true or false" },
		{ "{\"verifiers\": \"" DID_A "\"}", "list" },
		{ "{\"verifiers\": [\"did:key:z6Mk\"]}", "not an identity" },
		{ "{\"verifiers\": [7]}", "texts" },
		{ "{\"refused_words\": [\"\"]}", "1 to 64" },
		{ "{\"policy\": \"a\\nb\"}", "control character" },
		{ "{\"policy\": \"a\\u0000b\"}", "JSON" },
		{ "{\"asset\": \"\"}", "1 to 128" },
		{ "{\"instruments\": {}}", "list" },
		{ "{\"instruments\": [{}]}", "address" },
		{ "{\"instruments\": [{\"address\": \"a:0\"}]}", "HOST:PORT" },
		{ "{\"instruments\": [{\"address\": \"a:65536\"}]}", "HOST:PORT" },
		{ "{\"instruments\": [{\"address\": \"a:b\"}]}", "HOST:PORT" },
		{ "{\"instruments\": [{\"address\": \":5025\"}]}", "HOST:PORT" },
		{ "{\"instruments\": [{\"address\": \"::1:5025\"}]}", "HOST:PORT" },
		{ "{\"instruments\": [{\"address\": \"[::1\"}]}", "bracket" },
		{ "{\"instruments\": [{\"address\": \"[::1]5025\"}]}", "HOST:PORT" },
	};

	(void)state; /* ignored: cmocka's */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse(cases[i].json), -EINVAL);
		if (!strstr(error.text, cases[i].word))
			fail_msg("%s: %s", cases[i].json, error.text);
	}
}

static void test_too_many(void **state)
{
	char json[8192];
	struct buf out;

	(void)state; /* ignored: cmocka's */
	out = buf_over(json, sizeof(json));
	buf_str(&out, "{\"instruments\": [");
	for (int i = 0; i <= CONFIG_INSTRUMENTS_MAX; i++)
		buf_printf(&out, "%s{\"address\": \"a:1\"}", i ? "," : "");
	buf_str(&out, "]}");
	config_init(&config);
	assert_int_equal(config_parse(buf_span(&out), &config, &error), -EINVAL);
	assert_non_null(strstr(error.text, "second node"));

	out = buf_over(json, sizeof(json));
	buf_str(&out, "{\"refused_words\": [");
	for (int i = 0; i <= NODE_WORDS_MAX; i++)
		buf_printf(&out, "%s\"a%d\"", i ? "," : "", i);
	buf_str(&out, "]}");
	config_init(&config);
	assert_int_equal(config_parse(buf_span(&out), &config, &error), -EINVAL);

	config_init(&config);
	for (uint8_t i = 0; i <= POOL_MAX; i++) {
		struct did did = { .b = { [0] = i, [31] = 1 } };
		char text[DID_TEXT_MAX];

		assert_int_equal(config_option(&config, "verifier", did_text(&did, text), &error),
			i < POOL_MAX ? 0 : -EINVAL);
	}
}

static void test_files(void **state)
{
	char path[] = "/tmp/assay-config-XXXXXX";
	int fd = mkstemp(path);

	(void)state; /* ignored: cmocka's */
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "{\"captures\": 5}", 15), 15);
	config_init(&config);
	assert_int_equal(config_read(path, &config, &error), 0);
	assert_int_equal(config.captures, 5);
	assert_int_equal(ftruncate(fd, CONFIG_FILE_MAX + 1), 0);
	assert_int_equal(config_read(path, &config, &error), -EFBIG);
	close(fd);
	unlink(path);
	assert_int_equal(config_read(path, &config, &error), -ENOENT);
	assert_non_null(strstr(error.text, "cannot be read"));
}

/* Each option that is missing has its own sentence; with the last one it runs. */
static void test_what_is_missing(void **state)
{
	static const struct {
		const char *name;
		const char *value;
		const char *word;
	} steps[] = {
		{ "broker", "b", "--escrow" },
		{ "escrow", "e", "--place" },
		{ "place", "1,2", "--verifier" },
		{ "verifier", DID_A, "--camera" },
		{ "instrument", "meter:1", "measurement costs" },
		{ "camera", "test", "photograph costs" },
	};

	(void)state; /* ignored: cmocka's */
	config_init(&config);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(config_option(&config, steps[i].name, steps[i].value, &error), 0);
		assert_int_equal(config_check(&config, &error), -EINVAL);
		if (!strstr(error.text, steps[i].word))
			fail_msg("%s: %s", steps[i].name, error.text);
	}
	assert_int_equal(config_option(&config, "price", "0.05", &error), 0);
	assert_int_equal(config_check(&config, &error), 0);
	assert_int_equal(config_option(&config, "instrument", "meter:2", &error), 0);
	assert_int_equal(config_check(&config, &error), -EINVAL);
	assert_non_null(strstr(error.text, "Two instruments"));
	assert_int_equal(config_option(&config, "captures", "256", &error), 0);
	assert_int_equal(config.captures, NODE_CAPTURES_MAX);
	assert_int_equal(config_option(&config, "captures", "257", &error), -EINVAL);
	assert_int_equal(config_option(&config, "captures", "0", &error), -EINVAL);
	assert_int_equal(config_option(&config, "captures", "many", &error), -EINVAL);
	assert_int_equal(config_option(&config, "colour", "red", &error), -EINVAL);
}

static void test_offerings(void **state)
{
	static struct node_config node;
	static struct capture_options capture;
	const struct did broker = { .b = { 1 } };
	const struct did escrow = { .b = { 2 } };

	(void)state; /* ignored: cmocka's */
	assert_int_equal(
		parse("{\"place\": \"1,2\", \"accuracy_m\": 7, \"price\": \"2\", \"verifiers\": "
		      "[\"" DID_A
		      "\"], \"refused_words\": [\"face\"], \"instruments\": [{\"address\": "
		      "\"m:1\"}, {\"address\": \"m:2\", \"kind\": \"x\", \"synthetic\": true, "
		      "\"price\": \"3\"}]}"),
		0);
	offerings_build(&config, &broker, &escrow, NULL, &node, &capture);
	assert_int_equal(node.n_offerings, 2);
	assert_int_equal(capture.n_devices, 2);
	assert_true(span_is(node.offerings[0].kind, KIND_VOLTAGE_DC));
	assert_int_equal(node.offerings[0].price_micros, 2000000);
	assert_int_equal(node.offerings[1].price_micros, 3000000);
	assert_int_equal(node.offerings[0].sources, SOURCE_LIVE);
	assert_int_equal(node.offerings[1].sources, SOURCE_SYNTHETIC);
	assert_int_equal(capture.devices[1].source, SOURCE_SYNTHETIC);
	assert_int_equal(capture.devices[1].port, 2);
	assert_true(span_is(node.offerings[0].parameters.unit, "V"));
	assert_true(did_eq(&node.offerings[0].brokers[0], &broker));
	assert_true(did_eq(&node.offerings[0].escrows[0], &escrow));
	assert_int_equal(node.offerings[0].n_accepts, 3);
	assert_true(span_is(node.offerings[0].accepts[1], CHECK_UNIT_RANGE));
	assert_int_equal(node.offerings[0].place.radius_m, 7);
	assert_int_equal(node.n_refused_words, 1);
	assert_int_equal(node.max_captures, CONFIG_CAPTURES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decimal),
		cmocka_unit_test(test_whole_file),
		cmocka_unit_test(test_refused_files),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_what_is_missing),
		cmocka_unit_test(test_offerings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "sensor-node/drivers/scpi.h"
#include "sensor-node/drivers/scpi_number.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define GOOD_IDN   "ASSAY,TEST,1,1.0\r\n"
#define GOOD_ERROR "+0,\"No error\"\n"

/* An instrument that answers each query with the next of its answers, and closes after the last. A
 * NULL idn closes at once; a NULL reply or an endless line keeps the connection until the client
 * leaves. */
struct instrument {
	const char *idn;
	const char *reply;
	const char *errors[4];
	bool endless;
	int listener;
	uint16_t port;
	pthread_t thread;
};

static bool instrument_read_line(int fd, char line[static 64])
{
	for (size_t n = 0; n < 63; n++) {
		if (read(fd, line + n, 1) != 1)
			return false;
		if (line[n] == '\n') {
			line[n] = '\0';
			return true;
		}
	}
	return false;
}

static bool instrument_say(int fd, const char *text)
{
	return text && send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static bool instrument_answer(
	const struct instrument *it, int fd, const char *line, size_t *n_errors)
{
	if (strcmp(line, "*CLS") == 0)
		return true;
	if (strcmp(line, "*IDN?") == 0)
		return instrument_say(fd, it->idn);
	if (strcmp(line, "SYST:ERR?") == 0)
		return instrument_say(fd, it->errors[(*n_errors)++]);
	while (it->endless)
		if (!instrument_say(fd, "1111111111111111"))
			return false;
	return !it->reply || instrument_say(fd, it->reply);
}

static void *instrument_run(void *user)
{
	struct instrument *it = user;
	int fd = accept(it->listener, NULL, NULL);
	char line[64];
	size_t n_errors = 0;

	while (instrument_read_line(fd, line) && instrument_answer(it, fd, line, &n_errors))
		;
	close(fd);
	return NULL;
}

static int measure(struct instrument *it, uint32_t timeout_ms, struct scpi_error *error,
	struct scpi_reading *reading)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	it->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(it->listener >= 0);
	assert_int_equal(bind(it->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(it->listener, 1), 0);
	assert_int_equal(getsockname(it->listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(pthread_create(&it->thread, NULL, instrument_run, it), 0);

	const struct scpi_options options = {
		.host = "127.0.0.1",
		.port = ntohs(address.sin_port),
		.timeout_ms = timeout_ms,
		.query = "MEAS:VOLT:DC?",
	};
	int r = scpi_measure(&options, error, reading);

	assert_int_equal(pthread_join(it->thread, NULL), 0);
	close(it->listener);
	return r;
}

static void test_reading(void **state)
{
	struct instrument it = {
		.idn = GOOD_IDN, .reply = "+4.99873E+00\n", .errors = { GOOD_ERROR }
	};
	struct scpi_error error = { "" };
	struct scpi_reading reading = { 0 };

	(void)state;
	assert_int_equal(measure(&it, 10000, &error, &reading), 0);
	assert_int_equal(reading.mantissa, 499873);
	assert_int_equal(reading.exponent, -5);
	assert_string_equal(reading.idn, "ASSAY,TEST,1,1.0");
	assert_string_equal(reading.reply, "+4.99873E+00");
	assert_string_equal(reading.error, "+0,\"No error\"");
}

static void test_refused(void **state)
{
	static const struct {
		struct instrument it;
		int expected;
		const char *why;
	} rows[] = {
		{ { .idn = GOOD_IDN, .reply = "9.9E37\n", .errors = { GOOD_ERROR } }, -ERANGE,
			"overloaded" },
		{ { .idn = GOOD_IDN, .reply = "9.91E37\n", .errors = { GOOD_ERROR } }, -ERANGE,
			"not a number" },
		{ { .idn = GOOD_IDN, .reply = "1.5 V\n", .errors = { GOOD_ERROR } }, -EPROTO,
			"1.5 V" },
		{ { .idn = GOOD_IDN, .reply = "\n", .errors = { GOOD_ERROR } }, -EPROTO,
			"decimal" },
		{ { .idn = GOOD_IDN, .reply = "1.5\n1.6\n", .errors = { GOOD_ERROR } }, -EPROTO,
			"one line" },
		{ { .idn = GOOD_IDN, .reply = "1.\0015\n" }, -EPROTO, "ASCII" },
		{ { .idn = "\xc3\xa4\n" }, -EPROTO, "ASCII" },
		{ { .idn = GOOD_IDN, .endless = true }, -EPROTO, "512" },
		{ { .idn = GOOD_IDN, .reply = "1.5\n", .errors = { "fine\n" } }, -EPROTO, "fine" },
		{ { .idn = GOOD_IDN, .reply = "1.5\n", .errors = { "0,No error\n" } }, -EPROTO,
			"SYST" },
		{ { .idn = GOOD_IDN,
			  .reply = "1.5\n",
			  .errors = { "-230,\"Data stale\"\n", "-1,\"b\"\n", GOOD_ERROR } },
			-EREMOTEIO, "Data stale" },
		{ { .idn = GOOD_IDN, .reply = "1.5\n", .errors = { "-230,\"Data stale\"\n" } },
			-ECONNRESET, "SYST:ERR?" },
		{ { .idn = NULL }, -ECONNRESET, "*IDN?" },
		{ { .idn = "ASSAY" }, -ETIMEDOUT, "*IDN?" },
		{ { .idn = GOOD_IDN, .reply = NULL }, -ETIMEDOUT, "MEAS:VOLT:DC?" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct instrument it = rows[i].it;
		struct scpi_error error = { "" };
		struct scpi_reading reading = { .mantissa = 7 };
		uint32_t timeout_ms = rows[i].expected == -ETIMEDOUT ? 50 : 10000;
		int r = measure(&it, timeout_ms, &error, &reading);

		if (r != rows[i].expected || !strstr(error.text, rows[i].why))
			fail_msg("row %zu: %d, %s", i, r, error.text);
		assert_int_equal(reading.mantissa, 7);
	}
}

static void test_options(void **state)
{
	static const struct scpi_options rows[] = {
		{ .host = NULL, .timeout_ms = 1, .query = "A?" },
		{ .host = "", .timeout_ms = 1, .query = "A?" },
		{ .host = "127.0.0.1", .timeout_ms = 0, .query = "A?" },
		{ .host = "127.0.0.1", .timeout_ms = SCPI_TIMEOUT_MAX + 1, .query = "A?" },
		{ .host = "127.0.0.1", .timeout_ms = 1, .query = NULL },
		{ .host = "127.0.0.1", .timeout_ms = 1, .query = "*RST" },
		{ .host = "127.0.0.1", .timeout_ms = 1, .query = "A?;*RST" },
		{ .host = "127.0.0.1", .timeout_ms = 1, .query = "A?\nB?" },
	};
	struct scpi_error error;
	struct scpi_reading reading;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(scpi_measure(&rows[i], &error, &reading), -EINVAL);
}

static void test_nobody_there(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct scpi_error error = { "" };
	struct scpi_reading reading;

	(void)state;
	/* bound and not listening: nobody else gets the port meanwhile */
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);

	const struct scpi_options options = {
		.host = "127.0.0.1",
		.port = ntohs(address.sin_port),
		.timeout_ms = 10000,
		.query = "MEAS:VOLT:DC?",
	};

	assert_int_equal(scpi_measure(&options, &error, &reading), -ECONNREFUSED);
	assert_non_null(strstr(error.text, "cannot be reached"));
	close(fd);
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		int result;
		int64_t mantissa;
		int32_t exponent;
	} rows[] = {
		{ "0", 0, 0, 0 },
		{ "+4.99873E+00", 0, 499873, -5 },
		{ "-12", 0, -12, 0 },
		{ "12.", 0, 12, 0 },
		{ ".5", 0, 5, -1 },
		{ "1.500", 0, 1500, -3 },
		{ "1.5e-3", 0, 15, -4 },
		{ "-1E99", -EOVERFLOW, 0, 0 },
		{ "1E36", 0, 1, 36 },
		{ "9.8E37", 0, 98, 36 },
		{ "9.9E37", -EOVERFLOW, 0, 0 },
		{ "-9.900000E+37", -EOVERFLOW, 0, 0 },
		{ "9.91E37", -ENODATA, 0, 0 },
		{ "+9.91000000E+37", -ENODATA, 0, 0 },
		{ "991E35", -ENODATA, 0, 0 },
		{ "9.92E37", -EOVERFLOW, 0, 0 },
		{ "9.91E36", 0, 991, 34 },
		{ "9223372036854775807", 0, INT64_MAX, 0 },
		{ "-9223372036854775807", 0, -INT64_MAX, 0 },
		{ "9223372036854775808", -ERANGE, 0, 0 },
		{ "1E100", -ERANGE, 0, 0 },
		{ "1E-99999999999999999999", -ERANGE, 0, 0 },
		{ "", -EINVAL, 0, 0 },
		{ "+", -EINVAL, 0, 0 },
		{ ".", -EINVAL, 0, 0 },
		{ "E5", -EINVAL, 0, 0 },
		{ "1E", -EINVAL, 0, 0 },
		{ "1E+", -EINVAL, 0, 0 },
		{ "+-1", -EINVAL, 0, 0 },
		{ " 1", -EINVAL, 0, 0 },
		{ "1 ", -EINVAL, 0, 0 },
		{ "1,2", -EINVAL, 0, 0 },
		{ "1.2.3", -EINVAL, 0, 0 },
		{ "0x10", -EINVAL, 0, 0 },
		{ "nan", -EINVAL, 0, 0 },
		{ "inf", -EINVAL, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t mantissa = 0;
		int32_t exponent = 0;
		int r = scpi_number_parse(SPAN_STR(rows[i].text), &mantissa, &exponent);

		if (r != rows[i].result || mantissa != rows[i].mantissa ||
			exponent != rows[i].exponent)
			fail_msg(
				"%s: %d, %lld, %d", rows[i].text, r, (long long)mantissa, exponent);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

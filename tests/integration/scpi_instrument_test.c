/* The SCPI driver against the example instrument, whose path is the first argument. */
#include "sensor-node/drivers/scpi.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char *instrument_path;
extern char **environ;

static pid_t start(const char *volts, uint16_t *ret_port)
{
	const char *argv[] = { instrument_path, "--port", "0", "--volts", volts, "--noise-ppm", "0",
		NULL };
	posix_spawn_file_actions_t actions;
	char line[64];
	int out[2];
	unsigned port;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, out[0]);
	assert_int_equal(posix_spawn(&pid, instrument_path, &actions, NULL,
				 (char *const *)(uintptr_t)argv, environ),
		0);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);

	FILE *f = fdopen(out[0], "r");

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	assert_int_equal(sscanf(line, "listening 127.0.0.1:%u", &port), 1);
	*ret_port = (uint16_t)port;
	return pid;
}

static void test_measure(void **state)
{
	struct scpi_options options = {
		.host = "127.0.0.1", .timeout_ms = 10000, .query = "MEAS:VOLT:DC?"
	};
	struct scpi_error error = { "" };
	struct scpi_reading reading = { 0 };
	int status;
	pid_t pid = start("5", &options.port);

	(void)state;
	/* twice: a connection for each measurement */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(scpi_measure(&options, &error, &reading), 0);
		assert_int_equal(reading.mantissa, 500000);
		assert_int_equal(reading.exponent, -5);
		assert_string_equal(reading.reply, "+5.00000E+00");
		assert_string_equal(reading.idn, "ASSAY,DEMO-DMM,0001,1.0");
		assert_string_equal(reading.error, "0,\"No error\"");
	}
	options.query = "MEAS:CURR:DC?";
	assert_int_equal(scpi_measure(&options, &error, &reading), 0);
	assert_string_equal(reading.reply, "+5.00000E-03");
	/* a header that it does not know gets no answer, as with any instrument */
	options.query = "MEAS:TEMP?";
	options.timeout_ms = 100;
	assert_int_equal(scpi_measure(&options, &error, &reading), -ETIMEDOUT);

	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	options.query = "MEAS:VOLT:DC?";
	options.timeout_ms = 10000;
	assert_int_equal(scpi_measure(&options, &error, &reading), -ECONNREFUSED);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_measure) };

	if (argc != 2) {
		fprintf(stderr, "usage: scpi_instrument_test SCPI-INSTRUMENT\n");
		return 2;
	}
	instrument_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}

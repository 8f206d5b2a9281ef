/*
 * A small SCPI instrument for demonstrations and tests: a voltmeter whose value drifts and jitters
 * a little, on a raw TCP socket of this machine.
 *
 *   scpi-instrument [--port N] [--volts V] [--noise-ppm N] [--serial TEXT]
 *
 * Prints "listening 127.0.0.1:PORT" when it listens (port 0, the default: any free one) and ends on
 * SIGTERM or SIGINT. Knows *IDN?, *CLS, *RST, *OPC?, MEAS:VOLT:DC?, MEAS:CURR:DC? and SYST:ERR?, in
 * their short and long forms, and keeps an error queue for each client.
 */
#include "proto/base/base.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 8
#define INPUT_MAX   256
#define ERRORS_MAX  8

/* SCPI-99 volume 2, 21.8: the errors that this instrument can find. */
enum scpi_code {
	NO_ERROR = 0,
	UNDEFINED_HEADER = -113,
	PARAMETER_NOT_ALLOWED = -108,
	QUEUE_OVERFLOW = -350,
	INPUT_OVERRUN = -363,
};

struct client {
	int fd;
	char line[INPUT_MAX];
	size_t n;
	bool overrun; /* the line was too long: the rest of it is left out */
	enum scpi_code errors[ERRORS_MAX];
	size_t n_errors;
};

struct instrument {
	int listener;
	int signals;
	double volts;
	double noise_ppm;
	const char *serial;
	struct client clients[CLIENTS_MAX];
	size_t n_clients;
};

static void client_error(struct client *c, enum scpi_code code)
{
	if (c->n_errors < ERRORS_MAX)
		c->errors[c->n_errors++] = code;
	else
		c->errors[ERRORS_MAX - 1] = QUEUE_OVERFLOW;
}

/* The oldest error, which leaves the queue. */
static enum scpi_code client_next_error(struct client *c)
{
	enum scpi_code code = NO_ERROR;

	if (c->n_errors > 0) {
		code = c->errors[0];
		c->n_errors--;
		memmove(c->errors, c->errors + 1, c->n_errors * sizeof(c->errors[0]));
	}
	return code;
}

static const char *error_text(enum scpi_code code)
{
	switch (code) {
	case NO_ERROR:
		return "No error";
	case UNDEFINED_HEADER:
		return "Undefined header";
	case PARAMETER_NOT_ALLOWED:
		return "Parameter not allowed";
	case QUEUE_OVERFLOW:
		return "Queue overflow";
	case INPUT_OVERRUN:
		return "Input buffer overrun";
	}
	return "";
}

/* Twelve even numbers in place of a Gaussian: spread 1, and bounded by 6. */
static double jitter(void)
{
	uint16_t raw[12];
	double sum = -6;

	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(raw); i++)
		sum += raw[i] / 65536.0;
	return sum;
}

/* The nominal value, drifting by five times the noise up and down within ten minutes, and the
 * noise. */
static double reading(const struct instrument *it, double nominal)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	double phase = (double)(now.tv_sec % 600) / 600;
	double drift = phase < 0.5 ? 4 * phase - 1 : 3 - 4 * phase;

	return nominal * (1 + (5 * drift + jitter()) * it->noise_ppm * 1e-6);
}

enum header { IDN, CLS, RST, OPC, VOLT, CURR, ERR };

static const struct {
	const char *text;
	enum header header;
} headers[] = {
	{ "*IDN?", IDN },
	{ "*CLS", CLS },
	{ "*RST", RST },
	{ "*OPC?", OPC },
	{ "MEAS:VOLT:DC?", VOLT },
	{ "MEAS:VOLT?", VOLT },
	{ "MEASURE:VOLTAGE:DC?", VOLT },
	{ "MEAS:CURR:DC?", CURR },
	{ "MEAS:CURR?", CURR },
	{ "MEASURE:CURRENT:DC?", CURR },
	{ "SYST:ERR?", ERR },
	{ "SYST:ERR:NEXT?", ERR },
	{ "SYSTEM:ERROR?", ERR },
	{ "SYSTEM:ERROR:NEXT?", ERR },
};

/* Writes the answer to a known header, or nothing for a command. */
static void answer(
	const struct instrument *it, struct client *c, enum header header, char *out, size_t size)
{
	enum scpi_code code;

	switch (header) {
	case IDN:
		snprintf(out, size, "ASSAY,DEMO-DMM,%s,1.0\n", it->serial);
		break;
	case CLS:
		c->n_errors = 0;
		break;
	case RST:
		break; /* there is no setting that could be reset */
	case OPC:
		snprintf(out, size, "1\n");
		break;
	case VOLT:
		snprintf(out, size, "%+.5E\n", reading(it, it->volts));
		break;
	case CURR:
		snprintf(out, size, "%+.5E\n", reading(it, it->volts / 1000));
		break;
	case ERR:
		code = client_next_error(c);
		snprintf(out, size, "%d,\"%s\"\n", code, error_text(code));
		break;
	}
}

/* Carries out one line. Returns false where the client does not take its answer. */
static bool execute(const struct instrument *it, struct client *c, char *line)
{
	char out[128] = "";

	while (isspace((unsigned char)*line))
		line++;
	for (size_t n = strlen(line); n > 0 && isspace((unsigned char)line[n - 1]); n--)
		line[n - 1] = '\0';
	if (!*line)
		return true;

	size_t length = strcspn(line, " \t");

	if (*line == ':') {
		line++;
		length--;
	}
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		if (strlen(headers[i].text) != length ||
			strncasecmp(line, headers[i].text, length) != 0)
			continue;
		if (line[length] != '\0') {
			client_error(c, PARAMETER_NOT_ALLOWED);
			return true;
		}
		answer(it, c, headers[i].header, out, sizeof(out));

		size_t n = strlen(out);

		return n == 0 || send(c->fd, out, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
	}
	client_error(c, UNDEFINED_HEADER);
	return true;
}

/* Takes what the client sent. Returns false when it has left or must leave. */
static bool client_read(const struct instrument *it, struct client *c)
{
	char in[INPUT_MAX];
	ssize_t n = recv(c->fd, in, sizeof(in), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	for (ssize_t i = 0; i < n; i++) {
		if (in[i] != '\n') {
			if (c->n < sizeof(c->line) - 1)
				c->line[c->n++] = in[i];
			else
				c->overrun = true;
			continue;
		}
		bool ok = true;

		c->line[c->n] = '\0';
		if (c->overrun)
			client_error(c, INPUT_OVERRUN);
		else
			ok = execute(it, c, c->line);
		c->n = 0;
		c->overrun = false;
		if (!ok)
			return false;
	}
	return true;
}

static void client_accept(struct instrument *it)
{
	int fd = accept4(it->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		it->clients[it->n_clients++] = (struct client){ .fd = fd };
}

static void client_drop(struct instrument *it, size_t i)
{
	close(it->clients[i].fd);
	it->clients[i] = it->clients[--it->n_clients];
}

/* Serves until a signal comes. Returns 0 or a negative errno. */
static int serve(struct instrument *it)
{
	for (;;) {
		struct pollfd p[CLIENTS_MAX + 2] = {
			{ .fd = it->signals, .events = POLLIN },
			/* further clients wait in the backlog while all places are taken */
			{ .fd = it->n_clients < CLIENTS_MAX ? it->listener : -1, .events = POLLIN },
		};
		size_t n = it->n_clients;

		for (size_t i = 0; i < n; i++)
			p[i + 2] = (struct pollfd){ .fd = it->clients[i].fd, .events = POLLIN };
		if (poll(p, (nfds_t)(n + 2), -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (p[0].revents)
			return 0;
		/* from the last, since a dropped client's place is taken by the last */
		for (size_t i = n; i-- > 0;)
			if (p[i + 2].revents && !client_read(it, &it->clients[i]))
				client_drop(it, i);
		if (p[1].revents)
			client_accept(it);
	}
}

static int start(struct instrument *it, uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port),
	};
	socklen_t size = sizeof(address);
	const int on = 1;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	it->signals = signalfd(-1, &set, SFD_CLOEXEC);
	it->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (it->signals < 0 || it->listener < 0 ||
		setsockopt(it->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(it->listener, (struct sockaddr *)&address, size) < 0 ||
		listen(it->listener, 8) < 0 ||
		getsockname(it->listener, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	printf("listening 127.0.0.1:%u\n", ntohs(address.sin_port));
	fflush(stdout);
	return 0;
}

static bool parse_number(const char *text, double least, double most, double *ret)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= least && v <= most))
		return false;
	*ret = v;
	return true;
}

static bool parse_options(int argc, char **argv, struct instrument *it, double *ret_port)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "volts", required_argument, NULL, 'v' },
		{ "noise-ppm", required_argument, NULL, 'n' },
		{ "serial", required_argument, NULL, 's' },
		{ 0 },
	};
	int c;
	bool ok = true;

	while (ok && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			ok = parse_number(optarg, 0, UINT16_MAX, ret_port);
		else if (c == 'v')
			ok = parse_number(optarg, -1e6, 1e6, &it->volts);
		else if (c == 'n')
			ok = parse_number(optarg, 0, 1e5, &it->noise_ppm);
		else if (c == 's')
			ok = strlen(it->serial = optarg) <= 32 && !strpbrk(optarg, ",;\r\n");
		else
			ok = false;
	}
	return ok && optind == argc;
}

int main(int argc, char **argv)
{
	struct instrument it = {
		.listener = -1, .signals = -1, .volts = 5.0, .noise_ppm = 20, .serial = "0001"
	};
	double port = 0;

	if (!parse_options(argc, argv, &it, &port)) {
		fprintf(stderr,
			"usage: scpi-instrument [--port N] [--volts V] [--noise-ppm N] [--serial TEXT]\n");
		return 2;
	}
	int r = start(&it, (uint16_t)port);

	if (r == 0)
		r = serve(&it);
	if (r < 0)
		fprintf(stderr, "scpi-instrument: %s\n", strerror(-r));
	while (it.n_clients > 0)
		client_drop(&it, it.n_clients - 1);
	if (it.listener >= 0)
		close(it.listener);
	if (it.signals >= 0)
		close(it.signals);
	return r < 0 ? 1 : 0;
}

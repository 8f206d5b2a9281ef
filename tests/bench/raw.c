#include "tests/bench/raw.h"

#include "proto/net/net_client.h"
#include "proto/net/net_server.h"
#include "proto/os/file.h"
#include "proto/seal/seal.h"
#include "sensor-node/drivers/scpi.h"
#include "tests/bench/figures.h"
#include "tests/bench/market.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define FILE_BYTES  (4 << 20)
#define HOPS        600
#define COMMITS     300
#define CRYPTO      200
#define WRAPS       100
#define READINGS    60
#define CRYPTO_S    0.25 /* seconds of crypto on all cores */
#define CORES_MAX   64
#define REPEATS_MAX 1024

/* What the other end tells of itself. */
struct hello {
	char endpoint[NET_ENDPOINT_MAX];
	struct net_key key;
};

static struct {
	pid_t pid;
	struct hello peer;
	struct net *net;
	struct net_client *client;
	int fd;
	char path[512];
	char host[64];
	uint16_t port;
	uint8_t public_key[32];
	uint8_t secret_key[64];
	uint8_t message[256];
	uint8_t recipient_secret[32];
	uint8_t recipient_public[32];
	uint8_t content_key[SEAL_KEY];
} raw;

/* In the other process: every message goes back. */
static void pong(int out)
{
	struct net *net;
	struct net_server *server;
	struct net_keypair keys;
	struct hello hello = { 0 };

	net_keypair_new(&keys);

	const struct net_server_options options = { .endpoint = "tcp://127.0.0.1:0",
		.secret_key = keys.secret_key };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || net_new(&net) < 0 ||
		net_server_new(net, &options, &server) < 0)
		_exit(1);
	strcpy(hello.endpoint, net_server_endpoint(server));
	hello.key = keys.public_key;
	if (write(out, &hello, sizeof(hello)) != sizeof(hello))
		_exit(1);
	for (;;) {
		struct net_item item = { .server = server };
		struct net_in in = { 0 };

		if (net_poll(&item, 1, -1) < 0)
			_exit(1);
		while (net_server_recv(server, &in) == 0) {
			if (net_server_send(server, SPAN(in.routing, in.n_routing), in.bytes) < 0)
				_exit(1);
			net_in_deinit(&in);
		}
	}
}

void raw_begin(void)
{
	int fds[2];

	if (sodium_init() < 0 || pipe2(fds, O_CLOEXEC) < 0)
		market_die("no pipe: %s", strerror(errno));
	raw.pid = fork();
	if (raw.pid < 0)
		market_die("no process: %s", strerror(errno));
	if (raw.pid == 0) {
		close(fds[0]);
		pong(fds[1]);
	}
	close(fds[1]);
	if (read(fds[0], &raw.peer, sizeof(raw.peer)) != sizeof(raw.peer))
		market_die("the other end of the hops did not start");
	close(fds[0]);
}

void raw_open(const char *dir, const char *instrument)
{
	static uint8_t zeros[FILE_BYTES];
	struct net_client_options options = { .endpoint = raw.peer.endpoint,
		.server_key = raw.peer.key };
	const char *colon = strrchr(instrument, ':');

	if (!colon || (size_t)(colon - instrument) >= sizeof(raw.host))
		market_die("%s is no HOST:PORT", instrument);
	memcpy(raw.host, instrument, (size_t)(colon - instrument));
	raw.port = (uint16_t)strtoul(colon + 1, NULL, 10);
	net_keypair_new(&options.keys);
	if (net_new(&raw.net) < 0 || net_client_new(raw.net, &options, &raw.client) < 0)
		market_die("the hops cannot be opened");
	snprintf(raw.path, sizeof(raw.path), "%s/raw", dir);
	raw.fd = open(raw.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (raw.fd < 0 || file_write_all(raw.fd, zeros, sizeof(zeros)) < 0 || fsync(raw.fd) < 0)
		market_die("%s: %s", raw.path, strerror(errno));
	crypto_sign_keypair(raw.public_key, raw.secret_key);
	randombytes_buf(raw.message, sizeof(raw.message));
	randombytes_buf(raw.recipient_secret, sizeof(raw.recipient_secret));
	randombytes_buf(raw.content_key, sizeof(raw.content_key));
	seal_public_key(raw.recipient_secret, raw.recipient_public);
}

static int order(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The median in microseconds of n runs of op. */
static double median_us(void (*op)(size_t i), size_t n)
{
	double took[REPEATS_MAX];

	assert(n <= REPEATS_MAX);
	for (size_t i = 0; i < n; i++) {
		double began = figures_clock_s();

		op(i);
		took[i] = (figures_clock_s() - began) * 1e6;
	}
	qsort(took, n, sizeof(took[0]), order);
	return took[n / 2];
}

static void there_and_back(size_t i)
{
	static uint8_t bytes[RAW_HOP_BYTES];
	struct net_item item = { .client = raw.client };
	struct net_in in = { 0 };
	enum net_event event;
	int r;

	(void)i; /* ignored: each is like the others */
	/* The first one waits for the connection. */
	while ((r = net_client_send(raw.client, SPAN_OF(bytes))) == -EAGAIN) {
		if (net_poll(&item, 1, 5000) <= 0)
			market_die("the other end of the hops cannot be reached");
		while (net_client_event(raw.client, &event) == 0)
			;
	}
	if (r < 0)
		market_die("a hop failed: %s", strerror(-r));
	while ((r = net_client_recv(raw.client, &in)) == -EAGAIN) {
		while (net_client_event(raw.client, &event) == 0)
			;
		if (net_poll(&item, 1, 5000) <= 0)
			market_die("the other end of the hops does not answer");
	}
	if (r < 0 || in.bytes.n != sizeof(bytes))
		market_die("the other end of the hops answered something else");
	net_in_deinit(&in);
}

static void commit(size_t i)
{
	static uint8_t page[RAW_COMMIT_BYTES];

	page[0]++;
	if (pwrite(raw.fd, page, sizeof(page),
		    (off_t)(i * sizeof(page) % (FILE_BYTES - sizeof(page)))) != sizeof(page) ||
		fdatasync(raw.fd) < 0)
		market_die("%s: %s", raw.path, strerror(errno));
}

static uint8_t signature[crypto_sign_BYTES];

static void sign(size_t i)
{
	(void)i; /* ignored: each is like the others */
	crypto_sign_detached(signature, NULL, raw.message, sizeof(raw.message), raw.secret_key);
}

static void verify(size_t i)
{
	(void)i; /* ignored: each is like the others */
	if (crypto_sign_verify_detached(
		    signature, raw.message, sizeof(raw.message), raw.public_key) != 0)
		market_die("a good signature was refused");
}

static void wrap(size_t i)
{
	const struct seal_context context = { 0 };
	uint8_t ephemeral[32] = { (uint8_t)i, 1 };
	uint8_t room[SEAL_WRAPPED];
	struct buf out = BUF(room);

	if (!seal_wrap(raw.content_key, raw.recipient_public, ephemeral, &context, &out))
		market_die("a key was not wrapped");
}

static void reading(size_t i)
{
	const struct scpi_options options = {
		.host = raw.host, .port = raw.port, .timeout_ms = 1000, .query = "MEAS:VOLT:DC?"
	};
	struct scpi_reading result;
	struct scpi_error error = { "" };

	(void)i; /* ignored: each is like the others */
	if (scpi_measure(&options, &error, &result) < 0)
		market_die("%s", error.text);
}

struct raw_costs raw_measure(void)
{
	return (struct raw_costs){
		.hop = median_us(there_and_back, HOPS) / 2,
		.commit = median_us(commit, COMMITS),
		.sign = median_us(sign, CRYPTO),
		.verify = median_us(verify, CRYPTO),
		.wrap = median_us(wrap, WRAPS),
		.reading = median_us(reading, READINGS),
	};
}

/* The budget's crypto again and again, by a thread's own memory. */
static void *crypto(void *user)
{
	double *ret_rate = user;
	double began = figures_clock_s();
	double took;
	size_t n = 0;

	do {
		uint8_t mine[crypto_sign_BYTES];

		for (size_t i = 0; i < BUDGET_SIGNS; i++)
			crypto_sign_detached(
				mine, NULL, raw.message, sizeof(raw.message), raw.secret_key);
		for (size_t i = 0; i < BUDGET_VERIFIES; i++)
			if (crypto_sign_verify_detached(
				    mine, raw.message, sizeof(raw.message), raw.public_key) != 0)
				market_die("a good signature was refused");
		for (size_t i = 0; i < BUDGET_WRAPS; i++)
			wrap(i);
		n++;
		took = figures_clock_s() - began;
	} while (took < CRYPTO_S);
	*ret_rate = (double)n / took;
	return NULL;
}

double raw_crypto_rate(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = cores < 1 ? 1 : MIN((size_t)cores, (size_t)CORES_MAX);
	pthread_t threads[CORES_MAX];
	double rates[CORES_MAX];
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, crypto, &rates[i]) != 0)
			market_die("no thread");
	for (size_t i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		sum += rates[i];
	}
	return sum;
}

double raw_budget(const struct raw_costs *c)
{
	return BUDGET_HOPS * c->hop + BUDGET_COMMITS * c->commit + BUDGET_SIGNS * c->sign +
	       BUDGET_VERIFIES * c->verify + BUDGET_WRAPS * c->wrap + c->reading;
}

void raw_end(void)
{
	net_client_free(raw.client);
	net_free(raw.net);
	close(raw.fd);
	kill(raw.pid, SIGKILL);
	(void)waitpid(raw.pid, NULL, 0); /* ignored: it is gone either way */
}

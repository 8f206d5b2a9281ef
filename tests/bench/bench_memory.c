/*
 * What the daemons weigh: each one idle, and the broker for each of 2,000 connected nodes that have
 * greeted it and published one offering, beside what libzmq alone takes for an idle CURVE
 * connection in a plain ROUTER. A fresh market and a fresh ROUTER in each round.
 *
 *	./dev bench memory [--json]
 */
#include "proto/net/net_server.h"
#include "tests/bench/crowd.h"
#include "tests/bench/figures.h"

#include <math.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS      3
#define NODES       2000
#define DESCRIPTORS (8 * NODES)
#define TARGET_KIB  35

/* Where the plain ROUTER listens, as it tells. */
struct plain {
	char endpoint[NET_ENDPOINT_MAX];
	struct net_key key;
	pid_t pid;
};

/* KiB of a field of a file in /proc/PID. */
static double proc_kib(pid_t pid, const char *file, const char *field)
{
	char name[64];
	char line[256];
	double kib = -1;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/%s", (int)pid, file);
	f = fopen(name, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, field, strlen(field)) == 0)
			sscanf(line + strlen(field), ": %lf", &kib);
	if (f)
		fclose(f);
	if (kib < 0)
		market_die("%s has no %s", name, field);
	return kib;
}

static double rss_kib(pid_t pid)
{
	return proc_kib(pid, "status", "VmRSS");
}

static double pss_kib(pid_t pid)
{
	return proc_kib(pid, "smaps_rollup", "Pss");
}

/* In the other process: a ROUTER that answers each word, and knows nothing. */
static void plain_router(int out)
{
	struct plain plain = { .pid = getpid() };
	struct net_keypair keys;
	void *context = zmq_ctx_new();
	void *socket = context ? zmq_socket(context, ZMQ_ROUTER) : NULL;
	const int on = 1;
	size_t n = sizeof(plain.endpoint);

	net_keypair_new(&keys);
	plain.key = keys.public_key;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || !socket ||
		zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof(on)) < 0 ||
		zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys.secret_key.b, 32) < 0 ||
		zmq_bind(socket, "tcp://127.0.0.1:*") < 0 ||
		zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, plain.endpoint, &n) < 0 ||
		write(out, &plain, sizeof(plain)) != sizeof(plain))
		_exit(1);
	for (;;) {
		uint8_t routing[16];
		uint8_t word[64];
		int n_routing = zmq_recv(socket, routing, sizeof(routing), 0);
		int n_word = zmq_recv(socket, word, sizeof(word), 0);

		if (n_routing < 0 || n_word < 0 ||
			zmq_send(socket, routing, (size_t)n_routing, ZMQ_SNDMORE) < 0 ||
			zmq_send(socket, word, (size_t)n_word, 0) < 0)
			_exit(1);
	}
}

/* The same through proto/net: with admission (ZAP), whose pipe libzmq keeps for each connection. */
static void net_router(int out)
{
	struct plain plain = { .pid = getpid() };
	struct net_keypair keys;
	struct net_server *server;
	struct net *net;

	net_keypair_new(&keys);
	plain.key = keys.public_key;

	const struct net_server_options options = { .endpoint = "tcp://127.0.0.1:0",
		.secret_key = keys.secret_key };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || net_new(&net) < 0 ||
		net_server_new(net, &options, &server) < 0)
		_exit(1);
	strcpy(plain.endpoint, net_server_endpoint(server));
	if (write(out, &plain, sizeof(plain)) != sizeof(plain))
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

static struct plain plain_start(void (*serve)(int out))
{
	struct plain plain;
	int fds[2];
	pid_t pid;

	if (pipe(fds) < 0 || (pid = fork()) < 0)
		market_die("no process: %s", strerror(errno));
	if (pid == 0)
		serve(fds[1]);
	close(fds[1]);
	if (read(fds[0], &plain, sizeof(plain)) != sizeof(plain))
		market_die("the plain ROUTER did not start");
	close(fds[0]);
	return plain;
}

struct rounds {
	double idle[MARKET_DAEMONS][ROUNDS];
	double idle_pss[MARKET_DAEMONS][ROUNDS];
	double node[ROUNDS]; /* of the broker, for each */
	double plain[ROUNDS];
	double net[ROUNDS];
};

/* KiB of the process for each of a crowd that connects to it; it ends with that. */
static double each(const struct plain *plain)
{
	double before = rss_kib(plain->pid);
	struct crowd *crowd = crowd_plain(plain->endpoint, &plain->key, NODES);
	double kib = (rss_kib(plain->pid) - before) / NODES;

	crowd = crowd_free(crowd);
	kill(plain->pid, SIGKILL);
	(void)waitpid(plain->pid, NULL, 0); /* ignored: it is gone either way */
	return kib;
}

static void round_of(struct rounds *r, size_t i, const struct plain *plain, const struct plain *net)
{
	static struct market_bench market;
	struct crowd *crowd;
	double before;

	market_begin(&market);
	market_start(&market);
	market_start_node(&market);
	/* Answered once, so that what is made on the way to it is there. */
	for (int d = 0; d < MARKET_DAEMONS; d++)
		(void)market_stats(&market, (enum market_daemon)d);
	for (int d = 0; d < MARKET_DAEMONS; d++) {
		r->idle[d][i] = rss_kib(market.pids[d]) / 1024;
		r->idle_pss[d][i] = pss_kib(market.pids[d]) / 1024;
	}
	before = rss_kib(market.pids[MARKET_BROKER]);
	crowd = crowd_of_nodes(&market, NODES);
	if (market_stats(&market, MARKET_BROKER).peers < NODES)
		market_die("not all nodes are connected any more");
	r->node[i] = (rss_kib(market.pids[MARKET_BROKER]) - before) / NODES;
	crowd = crowd_free(crowd);
	market_end(&market);

	r->plain[i] = each(plain);
	r->net[i] = each(net);
}

static void print(const struct rounds *r, bool json)
{
	static const char *const names[MARKET_DAEMONS] = { "escrow, idle", "broker, idle",
		"verifier, idle", "node, idle" };
	static const char *const pss[MARKET_DAEMONS] = { "escrow, idle, Pss", "broker, idle, Pss",
		"verifier, idle, Pss", "node, idle, Pss" };
	struct figures *f = figures_new("memory");

	figures_add(
		f, "broker, each of 2000 nodes", "KiB", FIGURES_LOWER, r->node, ROUNDS, TARGET_KIB);
	figures_add(
		f, "plain CURVE ROUTER, each of 2000", "KiB", FIGURES_LOWER, r->plain, ROUNDS, NAN);
	figures_add(f, "the same with admission, each of 2000", "KiB", FIGURES_LOWER, r->net,
		ROUNDS, NAN);
	for (int d = 0; d < MARKET_DAEMONS; d++) {
		figures_add(f, names[d], "MiB", FIGURES_LOWER, r->idle[d], ROUNDS, NAN);
		figures_add(f, pss[d], "MiB", FIGURES_LOWER, r->idle_pss[d], ROUNDS, NAN);
	}
	figures_print(f, json);
	f = figures_free(f);
}

int main(int argc, char **argv)
{
	static struct rounds rounds;
	const struct rlimit many = { DESCRIPTORS, DESCRIPTORS };
	struct plain plain[ROUNDS];
	struct plain net[ROUNDS];
	struct rlimit now;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		puts("bench-memory [--json]: the daemons idle, and the broker with 2,000 nodes.\n"
		     "Repeat with: ./dev bench memory [--json]");
		return 0;
	}
	if (sodium_init() < 0 || getrlimit(RLIMIT_NOFILE, &now) < 0 ||
		(now.rlim_cur < DESCRIPTORS && setrlimit(RLIMIT_NOFILE, &many) < 0))
		market_die("%d descriptors are needed: ulimit -n %d", DESCRIPTORS, DESCRIPTORS);
	/* Before any thread. */
	for (size_t i = 0; i < ROUNDS; i++) {
		plain[i] = plain_start(plain_router);
		net[i] = plain_start(net_router);
	}
	for (size_t i = 0; i < ROUNDS; i++)
		round_of(&rounds, i, &plain[i], &net[i]);
	print(&rounds, figures_json(argc, argv));
	return 0;
}

#include "proto/net/net_internal.h"
#include "proto/net/net_server.h"
#include "proto/os/clock.h"
#include "proto/os/file.h"
#include "proto/base/text.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 10000 /* for an event that must come; no test waits for one that must not */

struct world {
	struct net *net;
	struct net_server *server;
	struct net_keypair server_keys;
	struct net_keypair client_keys;
	struct net_client *client;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || net_new(&w->net) < 0)
		return -1;
	net_keypair_new(&w->server_keys);
	net_keypair_new(&w->client_keys);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	net_client_free(w->client);
	net_server_free(w->server);
	net_free(w->net);
	free(w);
	return 0;
}

static struct net_client *dial(
	struct world *w, const char *endpoint, struct net_key server_key, struct net_keypair keys)
{
	struct net_client_options options = {
		.endpoint = endpoint, .server_key = server_key, .keys = keys
	};
	struct net_client *client = NULL;

	assert_int_equal(net_client_new(w->net, &options, &client), 0);
	return client;
}

static void serve(struct world *w, const char *allow_path, size_t peers_max)
{
	struct net_server_options options = {
		.endpoint = "tcp://127.0.0.1:*",
		.secret_key = w->server_keys.secret_key,
		.allow_path = allow_path,
		.peers_max = peers_max,
	};

	assert_int_equal(net_server_new(w->net, &options, &w->server), 0);
}

/* Server and a connected client. */
static void meet(struct world *w)
{
	serve(w, NULL, 0);
	w->client = dial(
		w, net_server_endpoint(w->server), w->server_keys.public_key, w->client_keys);
}

static enum net_event next_event(struct net_client *client)
{
	struct net_item item = { .client = client };
	enum net_event event = 0;

	while (net_client_event(client, &event) == -EAGAIN)
		assert_true(net_poll(&item, 1, PATIENCE_MS) > 0);
	return event;
}

static void server_takes(struct net_server *server, struct net_in *ret_in)
{
	struct net_item item = { .server = server };

	while (net_server_recv(server, ret_in) == -EAGAIN)
		assert_true(net_poll(&item, 1, PATIENCE_MS) > 0);
}

static void client_takes(struct net_client *client, struct net_in *ret_in)
{
	struct net_item item = { .client = client };
	enum net_event event;

	while (net_client_recv(client, ret_in) == -EAGAIN) {
		assert_true(net_poll(&item, 1, PATIENCE_MS) > 0);
		while (net_client_event(client, &event) == 0)
			;
	}
}

static void test_round_trip(void **state)
{
	struct world *w = *state;
	_cleanup_(net_in_deinit) struct net_in in = { 0 }, back = { 0 };
	_cleanup_(freep) uint8_t *large = malloc(NET_MESSAGE_MAX + 1);
	struct net_counts counts;

	meet(w);
	memset(large, 7, NET_MESSAGE_MAX + 1);
	assert_int_equal(next_event(w->client), NET_EVENT_CONNECTED);
	assert_true(net_client_connected(w->client));
	assert_memory_equal(net_server_endpoint(w->server), "tcp://127.0.0.1:", 16);
	assert_null(strchr(net_server_endpoint(w->server), '*'));

	assert_int_equal(net_client_send(w->client, SPAN_STR("hello")), 0);
	server_takes(w->server, &in);
	assert_true(span_is(in.bytes, "hello"));
	assert_memory_equal(in.peer.b, w->client_keys.public_key.b, 32);
	assert_int_equal(net_server_send(w->server, SPAN(in.routing, in.n_routing),
				 SPAN(large, NET_MESSAGE_MAX)),
		0);
	client_takes(w->client, &back);
	assert_int_equal(back.bytes.n, NET_MESSAGE_MAX);
	assert_memory_equal(back.bytes.p, large, NET_MESSAGE_MAX);
	net_in_deinit(&in);
	assert_int_equal(net_client_send(w->client, SPAN(large, NET_MESSAGE_MAX)), 0);
	server_takes(w->server, &in);
	assert_int_equal(in.bytes.n, NET_MESSAGE_MAX);

	assert_int_equal(net_client_send(w->client, SPAN(large, NET_MESSAGE_MAX + 1)), -EMSGSIZE);
	assert_int_equal(net_server_send(w->server, SPAN(in.routing, in.n_routing),
				 SPAN(large, NET_MESSAGE_MAX + 1)),
		-EMSGSIZE);
	assert_int_equal(
		net_server_send(w->server, SPAN("\0xxxx", 5), SPAN_STR("x")), -EHOSTUNREACH);
	counts = net_counts(w->net);
	assert_int_equal(counts.sent, 3);
	assert_int_equal(counts.received, 3);
	assert_int_equal(counts.received_bytes, 5 + 2 * NET_MESSAGE_MAX);
	assert_int_equal(counts.admitted, 1);
	assert_int_equal(counts.refused, 0);
}

static void test_plain_descriptors_are_polled(void **state)
{
	struct world *w = *state;
	struct net_item items[2] = { 0 };
	int fds[2];

	serve(w, NULL, 0);
	assert_int_equal(pipe(fds), 0);
	items[0].server = w->server;
	items[1].fd = fds[0];
	assert_int_equal(net_poll(items, 2, 0), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(net_poll(items, 2, PATIENCE_MS), 1);
	assert_false(items[0].readable);
	assert_true(items[1].readable);
	assert_int_equal(net_poll(items, NET_POLL_MAX + 1, 0), -EINVAL);
	close(fds[0]);
	close(fds[1]);
}

static void test_wrong_server_key_is_refused(void **state)
{
	struct world *w = *state;
	struct net_keypair other;
	struct net_in in;

	net_keypair_new(&other);
	serve(w, NULL, 0);
	w->client = dial(w, net_server_endpoint(w->server), other.public_key, w->client_keys);
	assert_int_equal(next_event(w->client), NET_EVENT_HANDSHAKE_FAILED);
	assert_false(net_client_connected(w->client));
	assert_int_equal(net_client_send(w->client, SPAN_STR("x")), -EAGAIN);
	assert_int_equal(net_server_recv(w->server, &in), -EAGAIN);
	assert_int_equal(net_counts(w->net).admitted, 0);
}

static void test_nobody_listens(void **state)
{
	struct world *w = *state;
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t n = sizeof(address);
	char endpoint[NET_ENDPOINT_MAX];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Bound and not listening: nobody else gets the port meanwhile. */
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%u", ntohs(address.sin_port));
	w->client = dial(w, endpoint, w->server_keys.public_key, w->client_keys);
	assert_int_equal(next_event(w->client), NET_EVENT_UNREACHABLE);
	close(fd);
}

static void test_reconnects(void **state)
{
	struct world *w = *state;
	struct net_server_options options = { .secret_key = w->server_keys.secret_key };
	char endpoint[NET_ENDPOINT_MAX];
	enum net_event event;

	meet(w);
	assert_int_equal(next_event(w->client), NET_EVENT_CONNECTED);
	snprintf(endpoint, sizeof(endpoint), "%s", net_server_endpoint(w->server));
	net_server_free(take(&w->server));
	assert_int_equal(next_event(w->client), NET_EVENT_DISCONNECTED);
	options.endpoint = endpoint;
	assert_int_equal(net_server_new(w->net, &options, &w->server), 0);
	do {
		event = next_event(w->client);
	} while (event == NET_EVENT_UNREACHABLE);
	assert_int_equal(event, NET_EVENT_CONNECTED);
}

static void allow(const char *path, const struct net_key *key, const char *tail)
{
	char text[256], hex[65];
	int n;

	hex_encode(key->b, sizeof(key->b), hex);
	n = snprintf(text, sizeof(text), "# admitted\n\n%s \r\n%s", hex, tail);
	assert_int_equal(file_write_durable(path, SPAN(text, (size_t)n), 0600), 0);
}

static void test_allow_list(void **state)
{
	struct world *w = *state;
	char path[] = "/tmp/assay-allow-XXXXXX";
	struct net_server_options options = { .endpoint = "tcp://127.0.0.1:*", .allow_path = path };
	struct net_server *none = NULL;
	struct net_keypair stranger;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	net_keypair_new(&stranger);
	allow(path, &w->client_keys.public_key, "zz\n");
	options.secret_key = w->server_keys.secret_key;
	assert_int_equal(net_server_new(w->net, &options, &none), -EBADMSG);
	allow(path, &w->client_keys.public_key, "");
	serve(w, path, 0);

	w->client = dial(w, net_server_endpoint(w->server), w->server_keys.public_key, stranger);
	assert_int_equal(next_event(w->client), NET_EVENT_NOT_ADMITTED);
	assert_true(net_counts(w->net).refused >= 1);
	net_client_free(take(&w->client));
	w->client = dial(
		w, net_server_endpoint(w->server), w->server_keys.public_key, w->client_keys);
	assert_int_equal(next_event(w->client), NET_EVENT_CONNECTED);
	net_client_free(take(&w->client));

	allow(path, &stranger.public_key, "");
	assert_int_equal(net_server_reload(w->server), 0);
	w->client = dial(
		w, net_server_endpoint(w->server), w->server_keys.public_key, w->client_keys);
	assert_int_equal(next_event(w->client), NET_EVENT_NOT_ADMITTED);
	allow(path, &stranger.public_key, "x");
	assert_int_equal(net_server_reload(w->server), -EBADMSG);
	unlink(path);
	assert_int_equal(net_server_reload(w->server), -ENOENT);
}

static void test_peers_max(void **state)
{
	struct world *w = *state;
	struct net_client *clients[3];

	serve(w, NULL, 2);
	for (size_t i = 0; i < 3; i++) {
		clients[i] = dial(w, net_server_endpoint(w->server), w->server_keys.public_key,
			w->client_keys);
		assert_int_equal(next_event(clients[i]),
			i < 2 ? NET_EVENT_CONNECTED : NET_EVENT_NOT_ADMITTED);
	}
	for (size_t i = 0; i < 3; i++)
		net_client_free(clients[i]);
}

static void test_dead_door_refuses_all(void **state)
{
	struct world *w = *state;

	serve(w, NULL, 0);
	assert_int_equal(net_order(w->net, NET_ORDER_CLOSE_ZAP, 0), 0);
	w->client = dial(
		w, net_server_endpoint(w->server), w->server_keys.public_key, w->client_keys);
	assert_int_not_equal(next_event(w->client), NET_EVENT_CONNECTED);
	assert_int_equal(net_counts(w->net).admitted, 0);
}

/* A peer without our manners: a DEALER in a context of its own. */
struct raw {
	void *context;
	void *socket;
};

static struct raw raw_dial(struct world *w, const char *routing_id)
{
	struct raw raw = { .context = zmq_ctx_new() };
	int patience = PATIENCE_MS;

	raw.socket = zmq_socket(raw.context, ZMQ_DEALER);
	assert_int_equal(net_set_int(raw.socket, ZMQ_LINGER, 0), 0);
	assert_int_equal(net_set_int(raw.socket, ZMQ_SNDTIMEO, patience), 0);
	zmq_setsockopt(raw.socket, ZMQ_CURVE_SERVERKEY, w->server_keys.public_key.b, 32);
	zmq_setsockopt(raw.socket, ZMQ_CURVE_PUBLICKEY, w->client_keys.public_key.b, 32);
	zmq_setsockopt(raw.socket, ZMQ_CURVE_SECRETKEY, w->client_keys.secret_key.b, 32);
	if (routing_id)
		zmq_setsockopt(raw.socket, ZMQ_ROUTING_ID, routing_id, strlen(routing_id));
	assert_int_equal(zmq_connect(raw.socket, net_server_endpoint(w->server)), 0);
	return raw;
}

static void raw_close(struct raw *raw)
{
	zmq_close(raw->socket);
	zmq_ctx_term(raw->context);
}

/* Watches the raw peer's connection: true when the monitor says that it ended. */
static void *raw_monitor(struct raw *raw, const char *name)
{
	void *monitor = zmq_socket(raw->context, ZMQ_PAIR);

	assert_int_equal(zmq_socket_monitor(raw->socket, name, ZMQ_EVENT_DISCONNECTED), 0);
	assert_int_equal(net_set_int(monitor, ZMQ_RCVTIMEO, PATIENCE_MS), 0);
	assert_int_equal(zmq_connect(monitor, name), 0);
	return monitor;
}

static void must_disconnect(void *monitor)
{
	uint8_t frame[6];

	assert_int_equal(zmq_recv(monitor, frame, sizeof(frame), 0), 6);
	zmq_close(monitor);
}

/* The server's side of a loop, until the figure rises. */
static void until(struct world *w, _Atomic uint64_t *figure)
{
	struct net_item item = { .server = w->server };
	int64_t end_ns = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
	struct net_in in;

	while (atomic_load(figure) == 0) {
		assert_true(net_poll(&item, 1, 10) >= 0);
		if (net_server_recv(w->server, &in) == 0)
			fail_msg("a message came through");
		assert_true(clock_mono_ns() < end_ns);
	}
}

static void test_multipart_is_discarded(void **state)
{
	struct world *w = *state;
	struct raw raw;
	void *monitor;

	serve(w, NULL, 0);
	raw = raw_dial(w, NULL);
	monitor = raw_monitor(&raw, "inproc://m");
	assert_int_equal(zmq_send(raw.socket, "one", 3, ZMQ_SNDMORE), 3);
	assert_int_equal(zmq_send(raw.socket, "two", 3, 0), 3);
	until(w, &w->net->multipart_dropped);
	must_disconnect(monitor);
	assert_int_equal(net_counts(w->net).received, 0);
	raw_close(&raw);
}

static void test_chosen_routing_id_is_dropped(void **state)
{
	struct world *w = *state;
	struct net_item item = { .server = w->server };
	struct raw raw;
	struct net_in in;
	void *monitor;

	serve(w, NULL, 0);
	item.server = w->server;
	raw = raw_dial(w, "victim");
	monitor = raw_monitor(&raw, "inproc://m");
	assert_int_equal(zmq_send(raw.socket, "give me its replies", 19, 0), 19);
	assert_int_equal(net_poll(&item, 1, PATIENCE_MS), 1);
	assert_int_equal(net_server_recv(w->server, &in), -EAGAIN);
	must_disconnect(monitor);
	raw_close(&raw);
}

static int64_t resident_bytes(void)
{
	_cleanup_(freep) uint8_t *text = NULL;
	long long size, pages;
	size_t n;

	assert_int_equal(file_read("/proc/self/statm", 4096, &text, &n), 0);
	assert_int_equal(sscanf((char *)text, "%lld %lld", &size, &pages), 2);
	return pages * sysconf(_SC_PAGESIZE);
}

static void test_oversized_frame_drops_the_peer(void **state)
{
	struct world *w = *state;
	_cleanup_(freep) uint8_t *huge = calloc(1, NET_MESSAGE_MAX + 1);
	struct raw raw;
	void *monitor;

	serve(w, NULL, 0);
	raw = raw_dial(w, NULL);
	monitor = raw_monitor(&raw, "inproc://m");
	assert_int_equal(zmq_send(raw.socket, huge, NET_MESSAGE_MAX + 1, 0), NET_MESSAGE_MAX + 1);
	must_disconnect(monitor);
	raw_close(&raw);
	assert_int_equal(net_counts(w->net).received, 0);
}

#define FLOOD_PART  (1 << 16)
#define FLOOD_BYTES (512 << 20)
/* What the process may grow while FLOOD_BYTES are on their way: the limit, and what comes between
 * two looks. */
#define FLOOD_GROWTH (160 << 20)

static void keep(void *data, void *hint)
{
	(void)data;
	(void)hint;
}

/*
 * libzmq's own client sends no part before the last is there, so it is one message of very many
 * parts: until the last has come it is as good as endless. Its parts share one buffer.
 */
static void flood(struct raw *raw)
{
	static uint8_t part[FLOOD_PART];

	for (size_t sent = 0; sent < FLOOD_BYTES; sent += FLOOD_PART) {
		int more = sent + FLOOD_PART < FLOOD_BYTES ? ZMQ_SNDMORE : 0;
		zmq_msg_t m;

		assert_int_equal(zmq_msg_init_data(&m, part, sizeof(part), keep, NULL), 0);
		assert_true(zmq_msg_send(&m, raw->socket, more) >= 0);
	}
}

static void test_endless_multipart_is_bounded(void **state)
{
	struct world *w = *state;
	int64_t before, most = 0, end_ns;
	struct raw raw;
	struct net_in in;
	void *monitor;

	serve(w, NULL, 0);
	raw = raw_dial(w, NULL);
	monitor = raw_monitor(&raw, "inproc://m");
	before = resident_bytes();
	flood(&raw);
	end_ns = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
	while (net_counts(w->net).unread_dropped == 0) {
		struct net_item item = { .server = w->server };

		most = MAX(most, resident_bytes() - before);
		assert_true(net_poll(&item, 1, 5) >= 0);
		assert_int_equal(net_server_recv(w->server, &in), -EAGAIN);
		assert_true(clock_mono_ns() < end_ns);
	}
	must_disconnect(monitor);
	raw_close(&raw);
	assert_int_equal(net_counts(w->net).multipart_dropped, 0);
	assert_true(most < FLOOD_GROWTH);
}

static void test_guard_spares_what_is_read(void **state)
{
	struct world *w = *state;
	_cleanup_(freep) uint8_t *large = calloc(1, NET_MESSAGE_MAX);
	struct net_in in;

	meet(w);
	assert_int_equal(next_event(w->client), NET_EVENT_CONNECTED);
	for (int i = 0; i < 4 * (NET_UNREAD_MAX / NET_MESSAGE_MAX); i++) {
		assert_int_equal(net_client_send(w->client, SPAN(large, NET_MESSAGE_MAX)), 0);
		server_takes(w->server, &in);
		net_in_deinit(&in);
		assert_int_equal(net_order(w->net, NET_ORDER_SWEEP, 0), 0);
	}
	assert_int_equal(net_counts(w->net).unread_dropped, 0);
	assert_true(net_client_connected(w->client));
}

static void test_malformed_zap(void **state)
{
	static const char *const good[] = { "1.0", "7", NET_DOMAIN "0", "127.0.0.1", "", "CURVE",
		"0123456789abcdef0123456789abcdef" };
	struct world *w = *state;
	void *asker = zmq_socket(w->net->context, ZMQ_REQ);
	char version[8], id[8], status[8], rest[80];

	serve(w, NULL, 0);
	assert_int_equal(net_set_int(asker, ZMQ_LINGER, 0), 0);
	assert_int_equal(zmq_connect(asker, "inproc://zeromq.zap.01"), 0);
	for (size_t broken = 0; broken <= ARRAY_SIZE(good) + 1; broken++) {
		size_t n = broken == ARRAY_SIZE(good) ? 3 : ARRAY_SIZE(good);
		bool spoiled = broken == 0 || broken == 5 || broken == 6 || broken == 7;

		for (size_t i = 0; i < n; i++) {
			const char *text = i == broken ? "?" : good[i];

			assert_true(zmq_send(asker, text, strlen(text),
					    i + 1 < n ? ZMQ_SNDMORE : 0) >= 0);
		}
		assert_int_equal(zmq_recv(asker, version, sizeof(version), 0), 3);
		assert_int_equal(zmq_recv(asker, id, sizeof(id), 0), 1);
		assert_int_equal(zmq_recv(asker, status, sizeof(status), 0), 3);
		for (int i = 0; i < 3; i++)
			assert_true(zmq_recv(asker, rest, sizeof(rest), 0) >= 0);
		assert_memory_equal(status, spoiled ? "500" : broken == 2 ? "400" : "200", 3);
	}
	zmq_close(asker);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_plain_descriptors_are_polled),
		TEST(test_wrong_server_key_is_refused),
		TEST(test_nobody_listens),
		TEST(test_reconnects),
		TEST(test_allow_list),
		TEST(test_peers_max),
		TEST(test_dead_door_refuses_all),
		TEST(test_multipart_is_discarded),
		TEST(test_chosen_routing_id_is_dropped),
		TEST(test_oversized_frame_drops_the_peer),
		TEST(test_endless_multipart_is_bounded),
		TEST(test_guard_spares_what_is_read),
		TEST(test_malformed_zap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

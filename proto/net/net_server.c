#include "proto/net/net_server.h"
#include "proto/base/text.h"
#include "proto/net/net_internal.h"
#include "proto/os/file.h"

#include <stdio.h>
#include <stdlib.h>

/* A draft option: Debian's header hides it, its library has it. Where it is missing, no server
 * starts. */
#define ENFORCE_DOMAIN 93

#define BACKLOG        512
#define ALLOW_LINE_MAX 200
#define AUTOMATIC_ID   5 /* libzmq's own routing ids: a zero byte and a number */

struct net_server {
	struct net *net;
	void *socket;
	size_t slot;
	char *allow_path;
	char endpoint[NET_ENDPOINT_MAX];
};

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct net_key));
}

/* Reads the allow-list into sorted keys. */
static int read_keys(const char *path, struct net_key **ret_keys, size_t *ret_n)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	_cleanup_(freep) struct net_key *keys = NULL;
	size_t size, n = 0;
	int r;

	r = file_read(path, NET_ALLOW_MAX * ALLOW_LINE_MAX, &bytes, &size);
	if (r < 0)
		return r;
	keys = calloc(NET_ALLOW_MAX, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (size_t at = 0, end; at < size; at = end + 1) {
		size_t last;

		for (end = at; end < size && bytes[end] != '\n'; end++)
			;
		for (last = end; last > at && strchr(" \t\r", bytes[last - 1]); last--)
			;
		if (last == at || bytes[at] == '#')
			continue;
		if (n == NET_ALLOW_MAX ||
			hex_decode(SPAN(bytes + at, last - at), keys[n].b, sizeof(keys[n].b)) < 0)
			return -EBADMSG;
		n++;
	}
	qsort(keys, n, sizeof(*keys), compare_keys);
	*ret_keys = take(&keys);
	*ret_n = n;
	return 0;
}

int net_server_reload(struct net_server *server)
{
	struct net_policy *policy = &server->net->slots[server->slot].policy;
	struct net_key *keys = NULL, *old;
	size_t n = 0;
	int r;

	if (!server->allow_path)
		return 0;
	r = read_keys(server->allow_path, &keys, &n);
	if (r < 0)
		return r;
	pthread_mutex_lock(&server->net->lock);
	old = policy->keys;
	policy->keys = keys;
	policy->n_keys = n;
	policy->listed = true;
	pthread_mutex_unlock(&server->net->lock);
	free(old);
	return 0;
}

static int configure(struct net_server *server, const struct net_server_options *options)
{
	const int numbers[][2] = {
		{ ZMQ_ROUTER_MANDATORY, 1 },
		{ ZMQ_ROUTER_HANDOVER, 0 },
		{ ZMQ_CURVE_SERVER, 1 },
		{ ENFORCE_DOMAIN, 1 },
		{ ZMQ_BACKLOG, BACKLOG },
	};
	char domain[32];
	int n, r;

	r = net_set_common(server->socket, options->ipv6);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(numbers); i++)
		r = net_set_int(server->socket, numbers[i][0], numbers[i][1]);
	if (r < 0)
		return r;
	n = snprintf(domain, sizeof(domain), NET_DOMAIN "%zu", server->slot);
	if (zmq_setsockopt(server->socket, ZMQ_ZAP_DOMAIN, domain, (size_t)n) < 0 ||
		zmq_setsockopt(server->socket, ZMQ_CURVE_SECRETKEY, options->secret_key.b,
			sizeof(options->secret_key.b)) < 0)
		return -errno;
	return 0;
}

static int begin(struct net_server *server, const struct net_server_options *options)
{
	struct net_policy *policy = &server->net->slots[server->slot].policy;
	size_t size = sizeof(server->endpoint);
	int r;

	if (options->allow_path) {
		server->allow_path = strdup(options->allow_path);
		if (!server->allow_path)
			return -ENOMEM;
	}
	pthread_mutex_lock(&server->net->lock);
	policy->peers_max = options->peers_max > 0 ? MIN(options->peers_max, (size_t)NET_PEERS_MAX)
						   : (size_t)NET_PEERS_MAX;
	pthread_mutex_unlock(&server->net->lock);
	r = net_server_reload(server);
	if (r < 0)
		return r;
	r = configure(server, options);
	if (r < 0)
		return r;
	/* The door must read events before there can be any. */
	r = net_slot_watch(server->net, server->slot, server->socket,
		ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED);
	if (r < 0)
		return r;
	if (zmq_bind(server->socket, options->endpoint) < 0 ||
		zmq_getsockopt(server->socket, ZMQ_LAST_ENDPOINT, server->endpoint, &size) < 0)
		return -errno;
	return 0;
}

int net_server_new(
	struct net *net, const struct net_server_options *options, struct net_server **ret_server)
{
	_cleanup_(freep) struct net_server *memory = calloc(1, sizeof(*memory));
	struct net_server *server;
	size_t slot;
	int r;

	if (!memory)
		return -ENOMEM;
	r = net_slot_new(net, false, &slot);
	if (r < 0)
		return r;
	server = take(&memory);
	server->net = net;
	server->slot = slot;
	server->socket = zmq_socket(net->context, ZMQ_ROUTER);
	r = server->socket ? begin(server, options) : -errno;
	if (r < 0) {
		net_server_free(server);
		return r;
	}
	*ret_server = server;
	return 0;
}

void net_server_free(struct net_server *server)
{
	if (!server)
		return;
	net_slot_free(server->net, server->slot, server->socket);
	free(server->allow_path);
	free(server);
}

const char *net_server_endpoint(const struct net_server *server)
{
	return server->endpoint;
}

void *net_server_socket(struct net_server *server)
{
	return server->socket;
}

struct net *net_server_net(struct net_server *server)
{
	return server->net;
}

/* The rest of a message whose routing id stands in *in. */
static int take_rest(struct net_server *server, struct net_in *in)
{
	const char *user;
	int r = net_take_frame(server->net, server->socket, in);

	if (r < 0)
		return r;
	user = zmq_msg_gets(&in->message, "User-Id");
	if (in->n_routing == AUTOMATIC_ID && in->routing[0] == 0 && user &&
		hex_decode(SPAN_STR(user), in->peer.b, sizeof(in->peer.b)) == 0)
		return 0;
	net_guard_drop(server->net, in->fd);
	net_in_deinit(in);
	return -EAGAIN;
}

int net_server_recv(struct net_server *server, struct net_in *ret_in)
{
	struct net_in in = { .fd = -1 };
	int r, n;

	n = zmq_recv(server->socket, in.routing, sizeof(in.routing), ZMQ_DONTWAIT);
	if (n < 0)
		return -errno;
	in.n_routing = (size_t)n;
	r = take_rest(server, &in);
	if (r < 0)
		return r;
	net_in_move(ret_in, &in);
	return 0;
}

int net_server_send(struct net_server *server, struct span routing, struct span bytes)
{
	struct net *net = server->net;

	if (bytes.n > NET_MESSAGE_MAX)
		return -EMSGSIZE;
	if (zmq_send(server->socket, routing.p, routing.n, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
		zmq_send(server->socket, bytes.p, bytes.n, ZMQ_DONTWAIT) < 0)
		return -errno;
	atomic_fetch_add_explicit(&net->sent, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&net->sent_bytes, bytes.n, memory_order_relaxed);
	return 0;
}

void net_server_drop(struct net_server *server, const struct net_in *in)
{
	net_guard_drop(server->net, in->fd);
}

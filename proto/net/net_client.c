#include "proto/net/net_client.h"
#include "proto/net/net_internal.h"
#include "proto/os/clock.h"
#include "proto/os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#define CLIENT_EVENTS \
	(ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED | \
		ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | \
		ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

struct net_client {
	struct net *net;
	void *socket;
	size_t slot;
	char endpoint[NET_ENDPOINT_MAX];
};

static int configure(struct net_client *client, const struct net_client_options *options)
{
	const int numbers[][2] = {
		{ ZMQ_RECONNECT_IVL, NET_RECONNECT_MIN_MS },
		{ ZMQ_RECONNECT_IVL_MAX, NET_RECONNECT_MAX_MS },
		/* Without a connection a message is refused to the sender, not queued out of its
		   sight. */
		{ ZMQ_IMMEDIATE, 1 },
	};
	const struct {
		int option;
		const struct net_key *key;
	} keys[] = {
		{ ZMQ_CURVE_SERVERKEY, &options->server_key },
		{ ZMQ_CURVE_PUBLICKEY, &options->keys.public_key },
		{ ZMQ_CURVE_SECRETKEY, &options->keys.secret_key },
	};
	int r = net_set_common(client->socket, options->ipv6);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(numbers); i++)
		r = net_set_int(client->socket, numbers[i][0], numbers[i][1]);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(keys); i++)
		if (zmq_setsockopt(client->socket, keys[i].option, keys[i].key->b,
			    sizeof(keys[i].key->b)) < 0)
			r = -errno;
	return r;
}

static int begin(struct net_client *client, const struct net_client_options *options)
{
	int r;

	if (snprintf(client->endpoint, sizeof(client->endpoint), "%s", options->endpoint) >=
		NET_ENDPOINT_MAX)
		return -ENAMETOOLONG;
	r = configure(client, options);
	if (r < 0)
		return r;
	r = net_slot_watch(client->net, client->slot, client->socket, CLIENT_EVENTS);
	if (r < 0)
		return r;
	return zmq_connect(client->socket, client->endpoint) < 0 ? -errno : 0;
}

int net_client_new(
	struct net *net, const struct net_client_options *options, struct net_client **ret_client)
{
	_cleanup_(freep) struct net_client *memory = calloc(1, sizeof(*memory));
	struct net_client *client;
	size_t slot;
	int r;

	if (!memory)
		return -ENOMEM;
	r = net_slot_new(net, true, &slot);
	if (r < 0)
		return r;
	client = take(&memory);
	client->net = net;
	client->slot = slot;
	client->socket = zmq_socket(net->context, ZMQ_DEALER);
	r = client->socket ? begin(client, options) : -errno;
	if (r < 0) {
		net_client_free(client);
		return r;
	}
	*ret_client = client;
	return 0;
}

void net_client_free(struct net_client *client)
{
	if (!client)
		return;
	net_slot_free(client->net, client->slot, client->socket);
	free(client);
}

void *net_client_socket(struct net_client *client)
{
	return client->socket;
}

struct net *net_client_net(struct net_client *client)
{
	return client->net;
}

int net_client_wake(const struct net_client *client)
{
	return client->net->slots[client->slot].link.wake;
}

int net_client_event(struct net_client *client, enum net_event *ret_event)
{
	struct net_link *link = &client->net->slots[client->slot].link;
	eventfd_t unused;
	int r = -EAGAIN;

	pthread_mutex_lock(&client->net->lock);
	if (link->n > 0) {
		*ret_event = link->events[link->first];
		link->first = (link->first + 1) % NET_EVENTS_MAX;
		link->n--;
		r = 0;
	}
	if (link->n == 0)
		eventfd_read(link->wake, &unused);
	pthread_mutex_unlock(&client->net->lock);
	return r;
}

bool net_client_connected(const struct net_client *client)
{
	bool connected;

	pthread_mutex_lock(&client->net->lock);
	connected = client->net->slots[client->slot].link.connected;
	pthread_mutex_unlock(&client->net->lock);
	return connected;
}

/*
 * After a protocol error (an oversized frame, a broken handshake) libzmq 4.3.4 ends the session and
 * never dials again. It says so by silence: no announcement of a retry follows the disconnection.
 */
int64_t net_client_redial_at(struct net_client *client)
{
	int64_t lost_at_ns;

	pthread_mutex_lock(&client->net->lock);
	lost_at_ns = client->net->slots[client->slot].link.lost_at_ns;
	pthread_mutex_unlock(&client->net->lock);
	return lost_at_ns == 0 ? 0 : lost_at_ns + NET_RECONNECT_MAX_MS * NS_PER_MS;
}

int net_client_redial(struct net_client *client)
{
	pthread_mutex_lock(&client->net->lock);
	client->net->slots[client->slot].link.lost_at_ns = 0;
	pthread_mutex_unlock(&client->net->lock);
	if (zmq_disconnect(client->socket, client->endpoint) < 0 && errno != ENOENT)
		return -errno;
	return zmq_connect(client->socket, client->endpoint) < 0 ? -errno : 0;
}

int net_client_recv(struct net_client *client, struct net_in *ret_in)
{
	struct net_in in = { .fd = -1 };
	int r = net_take_frame(client->net, client->socket, &in);

	if (r < 0)
		return r;
	net_in_move(ret_in, &in);
	return 0;
}

int net_client_send(struct net_client *client, struct span bytes)
{
	if (bytes.n > NET_MESSAGE_MAX)
		return -EMSGSIZE;
	if (zmq_send(client->socket, bytes.p, bytes.n, ZMQ_DONTWAIT) < 0)
		return -errno;
	atomic_fetch_add_explicit(&client->net->sent, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&client->net->sent_bytes, bytes.n, memory_order_relaxed);
	return 0;
}

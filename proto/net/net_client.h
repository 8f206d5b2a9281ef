#pragma once
/*
 * The dialling side: a DEALER with a CURVE key of its own that knows the server's key. It
 * reconnects by itself, after NET_RECONNECT_MIN_MS, doubling up to NET_RECONNECT_MAX_MS. What was
 * sent on a connection that broke may be lost; whoever needs an answer sends again.
 */
#include "proto/net/net.h"

#define NET_RECONNECT_MIN_MS 100
#define NET_RECONNECT_MAX_MS 5000

struct net_client_options {
	const char *endpoint;
	struct net_key server_key;
	struct net_keypair keys;
	bool ipv6;
};

/* What happened to the connection. */
enum net_event {
	NET_EVENT_CONNECTED = 1, /* the handshake is done: both keys are proven */
	NET_EVENT_DISCONNECTED = 2, /* an established connection ended */
	NET_EVENT_UNREACHABLE = 3, /* nobody listens there, or no way leads there */
	NET_EVENT_HANDSHAKE_FAILED =
		4, /* it hung up in the handshake: another server key, or no CURVE server */
	NET_EVENT_NOT_ADMITTED = 5, /* the server refused this client's key */
};

/* Begins to connect. Returns 0 or a negative errno. The caller frees it, before the struct net. */
_must_check_ int net_client_new(
	struct net *net, const struct net_client_options *options, struct net_client **ret_client);
void net_client_free(struct net_client *client);
static inline void net_client_freep(struct net_client **client)
{
	net_client_free(*client);
}

/*
 * Takes the next event. Returns 0 and the event, or -EAGAIN where none waits. net_poll() calls an
 * item readable when there are events or messages: drain both. Repeated UNREACHABLE events come
 * once for each attempt.
 */
_must_check_ int net_client_event(struct net_client *client, enum net_event *ret_event);
bool net_client_connected(const struct net_client *client);

/* As in net_server.h; peer and routing of *ret_in are empty. */
_must_check_ int net_client_recv(struct net_client *client, struct net_in *ret_in);
/* -EAGAIN where there is no connection, or its queue is full. -EMSGSIZE. */
_must_check_ int net_client_send(struct net_client *client, struct span bytes);

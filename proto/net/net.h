#pragma once
/*
 * ZeroMQ over TCP with CURVE (RFC ZMTP 3.1, CurveZMQ RFC 26), for one daemon: a context with one
 * I/O thread and one door thread. The door answers ZAP (RFC 27) for the servers and bounds what
 * peers may pile up. Sockets are in net_server.h and net_client.h. Every message is exactly one
 * frame; what it says is its reader's business.
 *
 * What is bounded, and how:
 * - One frame: NET_MESSAGE_MAX. libzmq disconnects a peer that announces more before it allocates
 *   anything, during the handshake too.
 * - Whole messages that wait: NET_RECEIVE_HWM a peer, NET_SEND_HWM to a peer. These count messages:
 * who sends large ones to a slow peer needs credit from it.
 * - Bytes that wait, above all those of a multipart message that never ends: libzmq 4.3.4 queues
 * its frames where neither its own limits nor the reader sees them. So the door compares what TCP
 * received on each connection (TCP_INFO) with the messages that were taken out, and shuts a
 * connection down that has more than NET_UNREAD_MAX bytes unread; when all together are over
 * NET_UNREAD_TOTAL_MAX, those over their equal share. It looks every NET_GUARD_QUIET_MS, and every
 * NET_GUARD_BUSY_MS while the process grows: a peer can exceed the limit by what the network brings
 * within that time. An honest peer keeps less than NET_UNREAD_MAX in flight. Without an open
 * connection the door sleeps.
 * - Handshakes: NET_HANDSHAKE_MS each. Peers: peers_max of each server.
 * - Not bounded here: the number of connections that are in their handshake (RLIMIT_NOFILE does),
 * and kernel socket buffers (tcp_rmem does). ZMTP heartbeats count as unread bytes: do not turn
 * them on.
 *
 * A struct net and its sockets are used from one thread; the threads it starts block all signals.
 */
#include "proto/base/base.h"

#include <zmq.h>

/* Bytes of one message, of a routing id (libzmq's own have 5), of an endpoint with its NUL. */
#define NET_MESSAGE_MAX  (1 << 20)
#define NET_ROUTING_MAX  16
#define NET_ENDPOINT_MAX 256
#define NET_HANDSHAKE_MS 2000
/* Whole messages that wait from one peer, and for one peer; then it waits, or -EAGAIN. */
#define NET_RECEIVE_HWM 64
#define NET_SEND_HWM    64
/* Bytes that wait unread from one peer, and from all. */
#define NET_UNREAD_MAX       (8 << 20)
#define NET_UNREAD_TOTAL_MAX (256 << 20)
#define NET_GUARD_QUIET_MS   100
#define NET_GUARD_BUSY_MS    20
#define NET_GUARD_SWEEP_MS   500
/* Servers and clients of one struct net, and the most that peers_max of a server may say. */
#define NET_SERVERS_MAX 8
#define NET_CLIENTS_MAX 64
#define NET_PEERS_MAX   16384
/* Connections that the door watches: their descriptors are below this. */
#define NET_CONNECTIONS_MAX 32768
/* Keys of an allow-list. */
#define NET_ALLOW_MAX 4096
/* Items of one net_poll(). */
#define NET_POLL_MAX 128

struct net_key {
	uint8_t b[32]; /* X25519, public or secret */
};

struct net_keypair {
	struct net_key public_key;
	struct net_key secret_key;
};

struct net;
struct net_server;
struct net_client;

/* Starts the threads. Returns 0 or a negative errno. The caller frees with net_free(), after every
 * socket. */
_must_check_ int net_new(struct net **ret_net);
void net_free(struct net *net);
static inline void net_freep(struct net **net)
{
	net_free(*net);
}

/* A fresh pair from the system's randomness. */
void net_keypair_new(struct net_keypair *ret_pair);
/* The public key that belongs to a secret one. */
struct net_key net_key_public(const struct net_key *secret);

/* A message that came in. bytes live until net_in_deinit(). Not to be copied: small messages lie
 * inside. */
struct net_in {
	zmq_msg_t message;
	bool owned;
	struct span bytes;
	struct net_key
		peer; /* CURVE key that the transport authenticated; servers only, else zeros */
	uint8_t routing[NET_ROUTING_MAX]; /* servers only: what a reply is sent to */
	size_t n_routing;
	int fd; /* of the connection; for net_server_drop() */
};

/* Frees the bytes. Takes one of zeros, and one that was freed. */
void net_in_deinit(struct net_in *in);

/* Figures since net_new(), from any thread. */
struct net_counts {
	uint64_t sent; /* messages */
	uint64_t received; /* messages given to the caller */
	uint64_t sent_bytes;
	uint64_t received_bytes;
	uint64_t multipart_dropped; /* peers dropped since they sent more than one frame */
	uint64_t unread_dropped; /* peers dropped since they exceeded NET_UNREAD_MAX */
	uint64_t admitted; /* ZAP: 200 */
	uint64_t refused; /* ZAP: 400 and 500 */
	uint64_t connections; /* open now */
};

struct net_counts net_counts(struct net *net);

/* What to wait for: one of server, client, or fd (the others NULL; fd is looked at where both are
 * NULL). */
struct net_item {
	struct net_server *server;
	struct net_client *client;
	int fd;
	bool want_write;
	bool readable; /* results: a message, a client's event, data or hang-up */
	bool writable;
};

/*
 * Waits until one of n items is ready or timeout_ms is over (-1: forever). Returns the number of
 * ready items, 0 at the timeout, -EINTR, or a negative errno. Level-triggered: what is not drained
 * is ready again. (ZMQ_FD itself is edge-triggered and stays inside.)
 */
_must_check_ int net_poll(struct net_item *items, size_t n, int64_t timeout_ms);

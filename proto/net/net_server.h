#pragma once
/*
 * The listening side: a ROUTER with a CURVE server key. Who connects is decided by the door (ZAP):
 * any peer with a valid handshake, or only the keys of a list. Each message carries the key that
 * the peer authenticated with; which identity may use that key is told by its greeting, elsewhere.
 */
#include "proto/net/net.h"

struct net_server_options {
	const char *endpoint; /* "tcp://127.0.0.1:0", "tcp://[::1]:9000", "tcp://0.0.0.0:9000" */
	struct net_key secret_key;
	/*
	 * A file of admitted CURVE public keys, 64 hex digits a line, empty lines and lines with #
	 * in front ignored; at most NET_ALLOW_MAX keys. NULL: any key is admitted.
	 */
	const char *allow_path;
	/*
	 * Peers at a time; 0: NET_PEERS_MAX. Who was admitted within the last two NET_HANDSHAKE_MS
	 * counts even if it left again, so near the limit a peer may have to try twice.
	 */
	size_t peers_max;
	bool ipv6;
};

/*
 * Binds. Returns 0 or a negative errno (-EADDRINUSE, -EINVAL for the endpoint, -EBADMSG for a
 * malformed allow-list, -ENFILE for more than NET_SERVERS_MAX). The caller frees it, before the
 * struct net.
 */
_must_check_ int net_server_new(
	struct net *net, const struct net_server_options *options, struct net_server **ret_server);
void net_server_free(struct net_server *server);
static inline void net_server_freep(struct net_server **server)
{
	net_server_free(*server);
}

/* The endpoint with the real port. Lives as long as the server. */
const char *net_server_endpoint(const struct net_server *server);

/* Reads the allow-list again. On failure the old one stands. Connections that exist stay. */
_must_check_ int net_server_reload(struct net_server *server);

/*
 * Takes one message, without waiting. Returns 0, -EAGAIN where none waits, or a negative errno.
 * *ret_in belongs to the caller (net_in_deinit). A peer that sends a message of several frames is
 * disconnected and nothing of it is given: the frames are freed one by one. So is a peer that chose
 * a routing id for itself, since it could take over the replies of one that left.
 */
_must_check_ int net_server_recv(struct net_server *server, struct net_in *ret_in);

/*
 * Sends a copy of bytes to the peer of that routing id, without waiting. 0; -EHOSTUNREACH where it
 * is gone; -EAGAIN where its queue is full; -EMSGSIZE over NET_MESSAGE_MAX.
 */
_must_check_ int net_server_send(struct net_server *server, struct span routing, struct span bytes);

/* Disconnects the peer that sent this message; it may connect again. */
void net_server_drop(struct net_server *server, const struct net_in *in);

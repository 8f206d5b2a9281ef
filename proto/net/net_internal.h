#pragma once
/* What the files of net/ share. Nobody else but their test includes this. */
#include "proto/net/net.h"
#include "proto/net/net_client.h"

#include <pthread.h>
#include <stdatomic.h>

#define NET_SLOTS_MAX  (NET_SERVERS_MAX + NET_CLIENTS_MAX)
#define NET_EVENTS_MAX 16 /* events of a client that wait; the oldest gives way */
#define NET_DOMAIN     "assay-" /* ZAP domain: this and the slot's number */

/* A connection as the guard sees it, by its file descriptor. cookie 0: none is open. */
struct net_carrier {
	_Atomic uint64_t cookie; /* SO_COOKIE: tells it from a later one on the same descriptor */
	_Atomic uint64_t taken; /* bytes on the wire of the messages that the program took out */
	_Atomic uint32_t owner; /* slot */
	uint64_t unread; /* the door's alone, as is what follows */
	int64_t opened_at_ns;
};

/* A client's connection, told by the door, read by the client's thread. Under the lock. */
struct net_link {
	enum net_event events[NET_EVENTS_MAX];
	size_t first;
	size_t n;
	int wake; /* eventfd, readable while events wait */
	bool connected;
	bool was_up; /* since the last attempt TCP was connected */
	bool told; /* why this handshake failed was said already */
	int64_t lost_at_ns; /* disconnected, and libzmq has not said that it tries again; 0: no */
};

/* Who may come in through a server. Under the lock. */
struct net_policy {
	bool listed;
	struct net_key *keys; /* sorted */
	size_t n_keys;
	size_t peers_max;
	size_t settled; /* connections older than a handshake, at the last sweep */
	size_t recent[2]; /* admitted in this period and in the one before */
	int64_t period_at_ns; /* when this period began */
};

struct net_slot {
	bool used;
	bool client;
	uint64_t
		serial; /* names its monitor: libzmq frees a name only some time after the socket */
	struct net_link link;
	struct net_policy policy;
};

struct net {
	void *context;
	void *control; /* to the door */
	uint64_t serial; /* of the newest slot */
	pthread_t door;
	pthread_mutex_t lock;
	struct net_slot slots[NET_SLOTS_MAX];
	void *monitors[NET_SLOTS_MAX]; /* the door's alone */
	struct net_carrier *carriers; /* NET_CONNECTIONS_MAX */
	atomic_int fd_top; /* one more than the largest descriptor seen */
	_Atomic int64_t n_open;
	atomic_bool broken; /* the door met a fault: nobody is admitted any more */
	_Atomic uint64_t sent, received, sent_bytes, received_bytes;
	_Atomic uint64_t multipart_dropped, unread_dropped, admitted, refused;
};

/* Orders to the door, each answered by an int: 0 or a negative errno. */
enum net_order {
	NET_ORDER_WATCH, /* connect to the monitor of a slot */
	NET_ORDER_FORGET, /* the slot's monitor has ended */
	NET_ORDER_CLOSE_ZAP, /* what happens when the handler dies: everybody is refused */
	NET_ORDER_SWEEP, /* look at every connection now */
	NET_ORDER_STOP,
};

_must_check_ int net_order(struct net *net, enum net_order order, size_t slot);
/* The slot's monitor endpoint. */
void net_monitor_name(const struct net *net, size_t slot, char out[static NET_ENDPOINT_MAX]);
/* A free slot, marked as used; -ENFILE. */
_must_check_ int net_slot_new(struct net *net, bool client, size_t *ret_slot);
/* Starts the monitor of socket and has the door watch it, before the socket can have events. */
_must_check_ int net_slot_watch(struct net *net, size_t slot, void *socket, int events);
/* Ends monitor and socket, and frees the slot. */
void net_slot_free(struct net *net, size_t slot, void *socket);
/* Options of both sides: limits, keep-alive, no lingering. */
_must_check_ int net_set_common(void *socket, bool ipv6);
_must_check_ int net_set_int(void *socket, int option, int value);
/* Takes one message of exactly one frame off socket. */
_must_check_ int net_take_frame(struct net *net, void *socket, struct net_in *in);
/* Moves a message: its bytes may lie inside of the struct. */
void net_in_move(struct net_in *ret_to, struct net_in *from);
/* The door's thread; its argument is a struct net_door_start. */
struct net_door_start {
	struct net *net;
	void *control;
	void *zap;
};
void *net_door_run(void *start);

/* What of a client net_poll() looks at, and the moment when it must be dialled again (0: none). */
void *net_client_socket(struct net_client *client);
int net_client_wake(const struct net_client *client);
int64_t net_client_redial_at(struct net_client *client);
_must_check_ int net_client_redial(struct net_client *client);
void *net_server_socket(struct net_server *server);
struct net *net_server_net(struct net_server *server);
struct net *net_client_net(struct net_client *client);

/* The guard, net_guard.c. */
void net_guard_open(struct net *net, int fd, size_t slot);
void net_guard_close(struct net *net, int fd, size_t slot);
/* A message of n bytes was taken out. */
void net_guard_taken(struct net *net, int fd, size_t n);
/* Disconnects. Harmless where it is gone already. */
void net_guard_drop(struct net *net, int fd);
/* Looks at every connection. */
void net_guard_sweep(struct net *net, int64_t now_ns);

/* A client's link as its monitor tells it, net_link.c. Under the lock. */
void net_link_event(struct net_link *link, uint16_t event, int64_t now_ns);

/* ZAP, net_zap.c: answers one waiting request. 0, -EAGAIN, or a negative errno. */
_must_check_ int net_zap_answer(struct net *net, void *zap, int64_t now_ns);

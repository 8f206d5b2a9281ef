#include "proto/net/net.h"
#include "proto/net/net_internal.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * A draft option that Debian's header hides. CURVE decrypts into new memory anyway, so that
 * receiving without copies would only cost each connection a larger buffer.
 */
#define ZERO_COPY_RECEIVE 10
#define ZAP_ENDPOINT      "inproc://zeromq.zap.01"
#define CONTROL_ENDPOINT  "inproc://assay-door"
/* Keep-alive finds a peer that vanished without a word after 60 + 4 * 15 seconds. */
#define KEEPALIVE_IDLE_S  60
#define KEEPALIVE_EVERY_S 15
#define KEEPALIVE_TRIES   4
#define FRAME_MAX         (NET_MESSAGE_MAX + 33) /* the box of a CURVE MESSAGE adds this (RFC 26) */

int net_set_int(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int net_set_common(void *socket, bool ipv6)
{
	const int options[][2] = {
		{ ZMQ_LINGER, 0 },
		{ ZMQ_HANDSHAKE_IVL, NET_HANDSHAKE_MS },
		{ ZMQ_SNDHWM, NET_SEND_HWM },
		{ ZMQ_RCVHWM, NET_RECEIVE_HWM },
		{ ZMQ_IPV6, ipv6 },
		{ ZMQ_TCP_KEEPALIVE, 1 },
		{ ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S },
		{ ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_EVERY_S },
		{ ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_TRIES },
	};
	int64_t max = FRAME_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int r = net_set_int(socket, options[i][0], options[i][1]);

		if (r < 0)
			return r;
	}
	return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof(max)) < 0 ? -errno : 0;
}

static int start_door(struct net *net, void *control, void *zap)
{
	struct net_door_start *start = malloc(sizeof(*start));
	sigset_t all, before;
	int r;

	if (!start)
		return -ENOMEM;
	*start = (struct net_door_start){ .net = net, .control = control, .zap = zap };
	sigfillset(&all);
	r = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r == 0) {
		r = pthread_create(&net->door, NULL, net_door_run, start);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (r != 0)
		free(start);
	return -r;
}

/* Binds what the door needs here, so that a failure is known before there is a thread. */
static int open_door(struct net *net)
{
	void *theirs = zmq_socket(net->context, ZMQ_PAIR);
	void *zap = zmq_socket(net->context, ZMQ_REP);
	int r = -ENOMEM;

	net->control = zmq_socket(net->context, ZMQ_PAIR);
	if (!theirs || !zap || !net->control)
		goto fail;
	if (zmq_bind(theirs, CONTROL_ENDPOINT) < 0 ||
		zmq_connect(net->control, CONTROL_ENDPOINT) < 0 ||
		zmq_bind(zap, ZAP_ENDPOINT) < 0) {
		r = -errno;
		goto fail;
	}
	r = net_set_int(zap, ZMQ_LINGER, 0);
	if (r == 0)
		r = start_door(net, theirs, zap);
	if (r == 0)
		return 0;
fail:
	if (theirs)
		zmq_close(theirs);
	if (zap)
		zmq_close(zap);
	if (net->control)
		zmq_close(net->control);
	return r;
}

int net_new(struct net **ret_net)
{
	struct net *net = calloc(1, sizeof(*net));
	int r = -ENOMEM;

	if (!net)
		return -ENOMEM;
	pthread_mutex_init(&net->lock, NULL);
	net->carriers = calloc(NET_CONNECTIONS_MAX, sizeof(*net->carriers));
	net->context = zmq_ctx_new();
	if (net->context && zmq_ctx_set(net->context, ZERO_COPY_RECEIVE, 0) < 0)
		r = -errno;
	else if (net->carriers && net->context)
		r = open_door(net);
	if (r == 0) {
		*ret_net = net;
		return 0;
	}
	if (net->context)
		zmq_ctx_term(net->context);
	free(net->carriers);
	free(net);
	return r;
}

void net_free(struct net *net)
{
	int r;

	if (!net)
		return;
	r = net_order(net, NET_ORDER_STOP, 0);
	assert(r == 0); /* an inproc pair with a living thread behind it */
	pthread_join(net->door, NULL);
	zmq_close(net->control);
	zmq_ctx_term(net->context);
	pthread_mutex_destroy(&net->lock);
	free(net->carriers);
	free(net);
}

int net_order(struct net *net, enum net_order order, size_t slot)
{
	struct {
		enum net_order order;
		size_t slot;
	} message;
	int answer, n;

	memset(&message, 0, sizeof(message));
	message.order = order;
	message.slot = slot;
	do {
		n = zmq_send(net->control, &message, sizeof(message), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	do {
		n = zmq_recv(net->control, &answer, sizeof(answer), 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : answer;
}

void net_monitor_name(const struct net *net, size_t slot, char out[static NET_ENDPOINT_MAX])
{
	snprintf(out, NET_ENDPOINT_MAX, "inproc://assay-monitor-%llu",
		(unsigned long long)net->slots[slot].serial);
}

int net_slot_new(struct net *net, bool client, size_t *ret_slot)
{
	size_t first = client ? NET_SERVERS_MAX : 0, end = client ? NET_SLOTS_MAX : NET_SERVERS_MAX;
	int wake = -EBADF;

	if (client) {
		wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (wake < 0)
			return -errno;
	}
	pthread_mutex_lock(&net->lock);
	while (first < end && net->slots[first].used)
		first++;
	if (first < end) {
		net->slots[first] = (struct net_slot){ .used = true,
			.client = client,
			.serial = ++net->serial,
			.link = { .wake = wake } };
		*ret_slot = first;
	}
	pthread_mutex_unlock(&net->lock);
	if (first < end)
		return 0;
	if (wake >= 0)
		close(wake);
	return -ENFILE;
}

int net_slot_watch(struct net *net, size_t slot, void *socket, int events)
{
	char name[NET_ENDPOINT_MAX];

	net_monitor_name(net, slot, name);
	if (zmq_socket_monitor(socket, name, events) < 0)
		return -errno;
	return net_order(net, NET_ORDER_WATCH, slot);
}

void net_slot_free(struct net *net, size_t slot, void *socket)
{
	int r;

	if (socket) {
		/* First the writer, then the reader: libzmq waits for a monitor that has no reader.
		 */
		zmq_socket_monitor(socket, NULL, 0);
		r = net_order(net, NET_ORDER_FORGET, slot);
		assert(r == 0);
		zmq_close(socket);
	}
	pthread_mutex_lock(&net->lock);
	free(net->slots[slot].policy.keys);
	if (net->slots[slot].client)
		close(net->slots[slot].link.wake);
	net->slots[slot] = (struct net_slot){ .used = false };
	pthread_mutex_unlock(&net->lock);
}

int net_take_frame(struct net *net, void *socket, struct net_in *in)
{
	int n = 0;

	zmq_msg_init(&in->message);
	if (zmq_msg_recv(&in->message, socket, ZMQ_DONTWAIT) < 0)
		return -errno;
	in->owned = true;
	in->fd = zmq_msg_get(&in->message, ZMQ_SRCFD);
	/* libzmq gives a message when it is whole, so its parts are all there. */
	for (bool more = zmq_msg_more(&in->message); more; n++) {
		zmq_msg_t part;

		zmq_msg_init(&part);
		if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) < 0) {
			int r = -errno;

			net_in_deinit(in);
			return r;
		}
		more = zmq_msg_more(&part);
		zmq_msg_close(&part);
	}
	if (n > 0) {
		net_guard_drop(net, in->fd);
		atomic_fetch_add(&net->multipart_dropped, 1);
		net_in_deinit(in);
		return -EAGAIN;
	}
	in->bytes = SPAN(zmq_msg_data(&in->message), zmq_msg_size(&in->message));
	net_guard_taken(net, in->fd, in->bytes.n);
	atomic_fetch_add_explicit(&net->received, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&net->received_bytes, in->bytes.n, memory_order_relaxed);
	return 0;
}

void net_in_move(struct net_in *ret_to, struct net_in *from)
{
	*ret_to = *from;
	zmq_msg_init(&ret_to->message);
	zmq_msg_move(&ret_to->message, &from->message);
	net_in_deinit(from);
	ret_to->bytes = SPAN(zmq_msg_data(&ret_to->message), zmq_msg_size(&ret_to->message));
}

void net_in_deinit(struct net_in *in)
{
	if (in->owned)
		zmq_msg_close(&in->message);
	in->owned = false;
	in->bytes = SPAN(NULL, 0);
}

void net_keypair_new(struct net_keypair *ret_pair)
{
	if (sodium_init() < 0)
		abort();
	/* CURVE's keys are X25519, as crypto_box has them. */
	crypto_box_keypair(ret_pair->public_key.b, ret_pair->secret_key.b);
}

struct net_key net_key_public(const struct net_key *secret)
{
	struct net_key key;

	crypto_scalarmult_base(key.b, secret->b);
	return key;
}

struct net_counts net_counts(struct net *net)
{
	return (struct net_counts){
		.sent = atomic_load(&net->sent),
		.received = atomic_load(&net->received),
		.sent_bytes = atomic_load(&net->sent_bytes),
		.received_bytes = atomic_load(&net->received_bytes),
		.multipart_dropped = atomic_load(&net->multipart_dropped),
		.unread_dropped = atomic_load(&net->unread_dropped),
		.admitted = atomic_load(&net->admitted),
		.refused = atomic_load(&net->refused),
		.connections = (uint64_t)atomic_load(&net->n_open),
	};
}

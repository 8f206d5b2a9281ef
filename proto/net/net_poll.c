#include "proto/net/net_internal.h"
#include "proto/net/net_server.h"
#include "proto/os/clock.h"

#define ROUND_UP_MS(ns) (((ns) + NS_PER_MS - 1) / NS_PER_MS)

/* Dials again where that is due, and shortens the wait to the next time. */
static int redial(struct net_item *items, size_t n, int64_t *timeout_ms)
{
	for (size_t i = 0; i < n; i++) {
		int64_t at_ns = items[i].client ? net_client_redial_at(items[i].client) : 0;
		int64_t left_ms;
		int r;

		if (at_ns == 0)
			continue;
		left_ms = ROUND_UP_MS(at_ns - clock_mono_ns());
		if (left_ms <= 0) {
			r = net_client_redial(items[i].client);
			if (r < 0)
				return r;
		} else if (*timeout_ms < 0 || left_ms < *timeout_ms) {
			*timeout_ms = left_ms;
		}
	}
	return 0;
}

/* A client is its socket and its eventfd; the others are one item. */
static int expand(const struct net_item *items, size_t n, zmq_pollitem_t *ret)
{
	int at = 0;

	for (size_t i = 0; i < n; i++) {
		const struct net_item *item = &items[i];
		short events = (short)(ZMQ_POLLIN | (item->want_write ? ZMQ_POLLOUT : 0));

		ret[at] = (zmq_pollitem_t){ .fd = item->fd, .events = events };
		if (item->server)
			ret[at].socket = net_server_socket(item->server);
		if (item->client) {
			ret[at].socket = net_client_socket(item->client);
			ret[++at] = (zmq_pollitem_t){ .fd = net_client_wake(item->client),
				.events = ZMQ_POLLIN };
		}
		at++;
	}
	return at;
}

static int collect(struct net_item *items, size_t n, const zmq_pollitem_t *polled)
{
	int ready = 0;

	for (size_t i = 0; i < n; i++) {
		struct net_item *item = &items[i];
		short events = polled->revents;

		item->writable = (events & ZMQ_POLLOUT) != 0;
		item->readable = (events & (ZMQ_POLLIN | ZMQ_POLLERR)) != 0;
		if (item->client)
			item->readable |= ((++polled)->revents & ZMQ_POLLIN) != 0;
		polled++;
		ready += item->readable || item->writable;
	}
	return ready;
}

static bool broken(const struct net_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct net *net = items[i].server   ? net_server_net(items[i].server)
					: items[i].client ? net_client_net(items[i].client)
							  : NULL;

		if (net && atomic_load(&net->broken))
			return true;
	}
	return false;
}

int net_poll(struct net_item *items, size_t n, int64_t timeout_ms)
{
	zmq_pollitem_t polled[2 * NET_POLL_MAX];
	int64_t wait_ms = timeout_ms;
	int n_polled, r;

	if (n > NET_POLL_MAX)
		return -EINVAL;
	if (broken(items, n))
		return -EIO;
	r = redial(items, n, &wait_ms);
	if (r < 0)
		return r;
	n_polled = expand(items, n, polled);
	/* zmq_poll() asks each socket's ZMQ_EVENTS before it sleeps on the edge-triggered ZMQ_FD.
	 */
	if (zmq_poll(polled, n_polled, (long)wait_ms) < 0)
		return -errno;
	return collect(items, n, polled);
}

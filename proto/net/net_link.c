#include "proto/net/net_internal.h"

#include <sys/eventfd.h>

static void push(struct net_link *link, enum net_event event)
{
	eventfd_t unused;

	if (link->n == NET_EVENTS_MAX) {
		link->first = (link->first + 1) % NET_EVENTS_MAX;
		link->n--;
	}
	link->events[(link->first + link->n++) % NET_EVENTS_MAX] = event;
	/* Reset before set, so that the counter can never be full and the write never wait. */
	eventfd_read(link->wake, &unused);
	eventfd_write(link->wake, 1);
}

static void failed(struct net_link *link, enum net_event event)
{
	/* A refusal is followed by the connection's end, which libzmq reports as a failure without
	 * detail. */
	if (!link->told)
		push(link, event);
	link->told = true;
}

void net_link_event(struct net_link *link, uint16_t event, int64_t now_ns)
{
	switch (event) {
	case ZMQ_EVENT_CONNECTED:
		link->was_up = true;
		link->told = false;
		link->lost_at_ns = 0;
		break;
	case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
		link->connected = true;
		push(link, NET_EVENT_CONNECTED);
		break;
	case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
	case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
		failed(link, NET_EVENT_HANDSHAKE_FAILED);
		break;
	case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
		failed(link, NET_EVENT_NOT_ADMITTED);
		break;
	case ZMQ_EVENT_DISCONNECTED:
		if (link->connected)
			push(link, NET_EVENT_DISCONNECTED);
		link->connected = false;
		link->was_up = true;
		link->lost_at_ns = now_ns;
		break;
	case ZMQ_EVENT_CONNECT_RETRIED:
		/* The first after a connection's end only announces the next attempt. */
		if (!link->was_up)
			push(link, NET_EVENT_UNREACHABLE);
		link->was_up = false;
		link->lost_at_ns = 0;
		break;
	default: /* libzmq's events are bits of an int; the others were not asked for */
		break;
	}
}

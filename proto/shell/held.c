#include "proto/shell/shell_internal.h"

#include <stdlib.h>

/*
 * A peer's queue in the transport is short, since it counts messages of any size. What does not fit
 * is kept here, with its bytes counted, and tried again at each batch and every SHELL_HELD_RETRY_NS.
 */

static bool same_route(const struct route *a, const struct route *b)
{
	return a->contact == b->contact && a->n_routing == b->n_routing &&
	       memcmp(a->routing, b->routing, a->n_routing) == 0;
}

static struct held_message *at(struct held *h, size_t i)
{
	return &h->ring[(h->first + i) % SHELL_HELD_MAX];
}

static struct held_message take_first(struct held *h)
{
	struct held_message m = *at(h, 0);

	h->first = (h->first + 1) % SHELL_HELD_MAX;
	h->n--;
	return m;
}

void held_deinit(struct held *h)
{
	while (h->n > 0)
		free(take_first(h).bytes);
	free(h->ring);
	h->ring = NULL;
}

bool held_blocked(const struct held *h, const struct route *route)
{
	for (size_t i = 0; i < h->n_blocked; i++)
		if (same_route(&h->blocked[i], route))
			return true;
	return false;
}

static void block(struct held *h, const struct route *route)
{
	/* Where there is no room later ones may overtake, which every receiver bears. */
	if (h->n_blocked < SHELL_BLOCKED_MAX && !held_blocked(h, route))
		h->blocked[h->n_blocked++] = *route;
}

/* A peer of the server has a share; a server that we dial was chosen by our operator. */
static bool over_share(struct held *h, const struct route *route)
{
	size_t n = 0;

	for (size_t i = 0; route->contact < 0 && i < h->n; i++)
		n += same_route(&at(h, i)->route, route);
	return n >= SHELL_HELD_PEER_MAX;
}

bool held_put(
	struct held *h, const struct route *route, int64_t type, struct span bytes, int64_t now)
{
	struct held_message *m;
	uint8_t *copy;

	/* Who pulls chunks asks again by itself. */
	if (type == MESSAGE_CHUNK || h->n == SHELL_HELD_MAX ||
		h->bytes + bytes.n > SHELL_HELD_BYTES || over_share(h, route))
		return false;
	if (!h->ring)
		h->ring = calloc(SHELL_HELD_MAX, sizeof(*h->ring));
	copy = h->ring ? malloc(bytes.n) : NULL;
	if (!copy)
		return false;
	memcpy(copy, bytes.p, bytes.n);
	m = at(h, h->n);
	*m = (struct held_message){ .route = *route,
		.type = type,
		.until = now + SHELL_HELD_NS,
		.bytes = copy,
		.n = bytes.n };
	h->n++;
	h->bytes += bytes.n;
	block(h, route);
	return true;
}

void held_retry(struct shell *shell, int64_t now)
{
	struct held *h = &shell->held;

	h->n_blocked = 0;
	for (size_t left = h->n; left > 0; left--) {
		struct held_message m = take_first(h);
		int r = -EAGAIN;

		if (now < m.until && !held_blocked(h, &m.route))
			r = send_deliver(shell, &m.route, m.type, SPAN(m.bytes, m.n), now);
		if (r == -EAGAIN && now < m.until && send_connected(shell, &m.route)) {
			block(h, &m.route);
			*at(h, h->n++) = m; /* there is room: one was taken */
			continue;
		}
		if (r == -EAGAIN)
			shell->counts.dropped_full++;
		h->bytes -= m.n;
		free(m.bytes);
	}
}

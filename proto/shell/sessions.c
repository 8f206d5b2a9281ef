#include "proto/shell/shell_internal.h"

#include <stdlib.h>

/* Routing ids as map keys: bytes, then their number, so that none is another's prefix. */
static void routing_key(const struct route *route, uint8_t key[static 32])
{
	memset(key, 0, 32);
	memcpy(key, route->routing, route->n_routing);
	key[31] = (uint8_t)route->n_routing;
}

int sessions_init(struct sessions *s, size_t capacity, uint64_t secret)
{
	int r;

	*s = (struct sessions){ .capacity = capacity, .oldest = NONE, .newest = NONE };
	s->connections = calloc(capacity, sizeof(*s->connections));
	s->sessions = calloc(capacity, sizeof(*s->sessions));
	if (!s->connections || !s->sessions)
		return -ENOMEM;
	for (size_t i = 0; i < capacity; i++) {
		uint32_t next = i + 1 < capacity ? (uint32_t)(i + 1) : NONE;

		s->connections[i].next_free = next;
		s->sessions[i].next_free = next;
	}
	r = idmap_init(&s->by_routing, capacity, secret);
	return r < 0 ? r : idmap_init(&s->by_did, capacity, secret);
}

void sessions_deinit(struct sessions *s)
{
	free(s->connections);
	free(s->sessions);
	idmap_deinit(&s->by_routing);
	idmap_deinit(&s->by_did);
}

uint32_t sessions_connection(const struct sessions *s, const struct route *route)
{
	uint8_t key[32];

	routing_key(route, key);
	return idmap_get(&s->by_routing, key);
}

/*
 * One identity may be here in several roles at once: a node's operator looks at his wallet while
 * the node works. The role stands in the key's last byte; no one can choose a key pair whose public
 * key differs just there.
 */
static struct did role_key(const struct did *did, int64_t role)
{
	struct did key = *did;

	key.b[31] ^= (uint8_t)role;
	return key;
}

uint32_t sessions_find(const struct sessions *s, const struct did *did, int64_t role)
{
	struct did key = role_key(did, role);

	return idmap_get(&s->by_did, key.b);
}

static void list_remove(struct sessions *s, uint32_t at)
{
	struct connection *c = &s->connections[at];

	*(c->older == NONE ? &s->oldest : &s->connections[c->older].newer) = c->newer;
	*(c->newer == NONE ? &s->newest : &s->connections[c->newer].older) = c->older;
}

static void list_append(struct sessions *s, uint32_t at)
{
	struct connection *c = &s->connections[at];

	c->older = s->newest;
	c->newer = NONE;
	*(s->newest == NONE ? &s->oldest : &s->connections[s->newest].newer) = at;
	s->newest = at;
}

static void list_prepend(struct sessions *s, uint32_t at)
{
	struct connection *c = &s->connections[at];

	c->older = NONE;
	c->newer = s->oldest;
	*(s->oldest == NONE ? &s->newest : &s->connections[s->oldest].older) = at;
	s->oldest = at;
}

void sessions_heard(struct sessions *s, uint32_t connection, int64_t now)
{
	s->connections[connection].heard_at = now;
	if (s->newest == connection)
		return;
	list_remove(s, connection);
	list_append(s, connection);
}

void sessions_doom(struct sessions *s, const struct route *route)
{
	uint32_t at = sessions_connection(s, route);

	if (at == NONE)
		return;
	s->connections[at].heard_at = INT64_MIN / 2;
	list_remove(s, at);
	list_prepend(s, at);
}

static uint32_t connection_new(struct sessions *s, const struct route *route, int64_t now)
{
	uint32_t at = s->free_connection;
	uint8_t key[32];

	if (at == NONE)
		return NONE;
	routing_key(route, key);
	if (!idmap_put(&s->by_routing, key, at))
		return NONE;
	s->free_connection = s->connections[at].next_free;
	s->connections[at] = (struct connection){ .route = *route, .heard_at = now };
	list_append(s, at);
	return at;
}

static void connection_free(struct sessions *s, uint32_t at)
{
	uint8_t key[32];

	routing_key(&s->connections[at].route, key);
	idmap_remove(&s->by_routing, key);
	list_remove(s, at);
	s->connections[at].next_free = s->free_connection;
	s->free_connection = at;
}

/* Takes a session off its connection, which goes when it was the last one there. */
static void detach(struct sessions *s, uint32_t session)
{
	uint32_t at = s->sessions[session].connection;
	struct connection *c = &s->connections[at];
	size_t i = 0;

	while (i < c->n_carried && c->carried[i] != session)
		i++;
	assert(i < c->n_carried);
	memmove(&c->carried[i], &c->carried[i + 1], (c->n_carried - i - 1) * sizeof(c->carried[0]));
	c->n_carried--;
	if (c->n_carried == 0)
		connection_free(s, at);
}

static uint32_t session_new(struct sessions *s, const struct did *did, int64_t role)
{
	uint32_t at = s->free_session;
	struct did key = role_key(did, role);

	if (at == NONE || !idmap_put(&s->by_did, key.b, at))
		return NONE;
	s->free_session = s->sessions[at].next_free;
	s->sessions[at] = (struct session){ .did = *did, .connection = NONE };
	s->n++;
	return at;
}

enum refusal sessions_greet(struct sessions *s, const struct route *route, const struct did *did,
	int64_t role, int64_t expires_ns, int64_t now, bool *ret_new)
{
	uint32_t connection = sessions_connection(s, route);
	uint32_t session = sessions_find(s, did, role);
	bool is_new = session == NONE || s->sessions[session].connection != connection;

	if (is_new) {
		if (connection != NONE && s->connections[connection].n_carried == SHELL_CARRIED_MAX)
			return REFUSED_PEER_LIMIT;
		if (session == NONE && s->free_session == NONE)
			return REFUSED_PEER_LIMIT;
		if (session != NONE)
			detach(s, session);
		else
			session = session_new(s, did, role);
		/* There are as many connections as sessions, and none without one. */
		if (connection == NONE)
			connection = connection_new(s, route, now);
		assert(session != NONE && connection != NONE);
		s->sessions[session].connection = connection;
		s->connections[connection].carried[s->connections[connection].n_carried++] =
			session;
	}
	s->sessions[session].role = role;
	s->sessions[session].expires_ns = expires_ns;
	*ret_new = is_new;
	return REFUSED_NOT;
}

bool sessions_lose(struct sessions *s, int64_t now, struct did *ret_did, int64_t *ret_role)
{
	const struct connection *c;
	uint32_t session;

	if (s->oldest == NONE)
		return false;
	c = &s->connections[s->oldest];
	if (now - c->heard_at < SHELL_SERVER_LOST_NS)
		return false;
	session = c->carried[c->n_carried - 1];
	*ret_did = s->sessions[session].did;
	*ret_role = s->sessions[session].role;
	detach(s, session);

	struct did key = role_key(ret_did, *ret_role);

	idmap_remove(&s->by_did, key.b);
	s->sessions[session].next_free = s->free_session;
	s->free_session = session;
	s->n--;
	return true;
}

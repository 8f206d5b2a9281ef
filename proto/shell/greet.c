#include "proto/shell/shell_internal.h"

#include "proto/base/text.h"
#include "proto/os/clock.h"
#include "proto/os/logline.h"

/* Signs our greeting where the last one is past half of its life: one serves every connection. */
static int refresh(struct shell *shell)
{
	int64_t now_ns = clock_now_ns();
	struct buf out = BUF(shell->greeting);

	if (now_ns < shell->greeting_until_ns &&
		now_ns > shell->greeting_until_ns - IDENTITY_GREETING_NS)
		return 0;
	if (!identity_greeting(shell->o.identity, shell->o.role,
		    &shell->o.identity->curve.public_key, now_ns, &out))
		return -EINVAL;
	shell->n_greeting = out.n;
	shell->greeting_until_ns = now_ns + IDENTITY_GREETING_NS / 2;
	return 0;
}

static int introduce(struct shell *shell, const struct route *route, enum message_type type)
{
	int64_t reply_to = type == MESSAGE_WELCOME ? shell->opened.message.number : 0;
	struct message *m;
	int r = refresh(shell);

	if (r < 0)
		return r;
	m = send_begin(shell, type);
	m->reply_to = reply_to;
	m->statements[m->n_statements++] = identity_keys(shell->o.identity);
	m->statements[m->n_statements++] = SPAN(shell->greeting, shell->n_greeting);
	return send_reply(shell, route);
}

/* The greeting in shell->opened, for the connection's key. */
static enum refusal check_greeting(
	const struct shell *shell, const struct route *route, const struct statement **ret_greeting)
{
	const struct statement *s = message_find(&shell->opened, STATEMENT_GREETING);
	const struct greeting *g;
	int64_t now_ns = clock_now_ns();

	if (!s)
		return REFUSED_GREETING_REQUIRED;
	g = &s->body.greeting;
	if (!span_eq(g->carrier, SPAN_OF(route->peer)))
		return REFUSED_GREETING_CARRIER;
	if (!span_eq(g->c.market, shell->o.identity->author.market))
		return REFUSED_STATEMENT_MARKET;
	if (g->protocol != MESSAGE_PROTOCOL)
		return REFUSED_PROTOCOL_VERSION;
	if (g->c.at_ns > now_ns + CLOCK_SKEW_NS)
		return REFUSED_STATEMENT_FROM_FUTURE;
	if (g->c.expires_ns <= now_ns - CLOCK_SKEW_NS ||
		g->c.at_ns < now_ns - IDENTITY_GREETING_NS - CLOCK_SKEW_NS)
		return REFUSED_STATEMENT_EXPIRED;
	*ret_greeting = s;
	return REFUSED_NOT;
}

static void log_peer(const char *event, const struct did *did, int64_t role)
{
	char text[DID_TEXT_MAX];

	logline(LEVEL_INFO, event, KV_STR("did", did_text(did, text)), KV_INT("role", role));
}

int greet_hello(struct shell *shell, const struct route *route)
{
	const struct statement *s = NULL;
	enum refusal refusal = check_greeting(shell, route, &s);
	struct did did;
	int64_t role;
	bool is_new;
	int r;

	/* Nobody is us but ourselves: our operator may look at our wallet, as any owner of one. */
	if (refusal == REFUSED_NOT && did_eq(&s->issuer, &shell->o.identity->did) &&
		s->body.greeting.role != ROLE_BUYER)
		refusal = REFUSED_STATEMENT_ISSUER;
	if (refusal != REFUSED_NOT)
		return send_refused(shell, route, refusal, NULL);
	did = s->issuer;
	role = s->body.greeting.role;
	refusal = sessions_greet(&shell->sessions, route, &did, role,
		MIN(s->body.greeting.c.expires_ns, s->body.greeting.c.at_ns + IDENTITY_GREETING_NS),
		clock_mono_ns(), &is_new);
	if (refusal != REFUSED_NOT)
		return send_refused(shell, route, refusal, NULL);
	r = introduce(shell, route, MESSAGE_WELCOME);
	if (r < 0 || !is_new)
		return r;
	log_peer("connected", &did, role);
	return shell_step_peer(shell, EVENT_CONNECTED, &did, role);
}

int greet_welcome(struct shell *shell, struct dialled *d)
{
	const struct route route = { .contact = (int)(d - shell->dialled),
		.peer = d->contact.curve_key };
	const struct statement *s = NULL;
	enum refusal refusal = check_greeting(shell, &route, &s);
	bool again = d->greeted;

	if (refusal == REFUSED_NOT && !did_eq(&s->issuer, &d->contact.did))
		refusal = REFUSED_STATEMENT_ISSUER;
	if (refusal != REFUSED_NOT) {
		logline(LEVEL_WARNING, "welcome_refused", KV_STR("endpoint", d->contact.endpoint),
			KV_STR("code", refusal_name(refusal)));
		return 0;
	}
	d->greeted = true;
	d->greeted_at = clock_mono_ns();
	d->hello_wait = SHELL_HELLO_RETRY_NS;
	d->role = s->body.greeting.role;
	if (again)
		return 0;
	log_peer("connected", &d->contact.did, d->role);
	return shell_step_peer(shell, EVENT_CONNECTED, &d->contact.did, d->role);
}

static int hello(struct shell *shell, struct dialled *d, int64_t now)
{
	const struct route route = { .contact = (int)(d - shell->dialled),
		.peer = d->contact.curve_key };

	d->hello_at = now + d->hello_wait;
	d->hello_wait = MIN(d->hello_wait * 2, 30 * NS_PER_S);
	return introduce(shell, &route, MESSAGE_HELLO);
}

void greet_again(struct dialled *d)
{
	if (!d->greeted)
		return;
	d->greeted = false;
	d->hello_at = clock_mono_ns();
	d->hello_wait = SHELL_HELLO_RETRY_NS;
}

static int lost(struct shell *shell, struct dialled *d)
{
	bool known = d->greeted;

	d->greeted = false;
	d->up = false;
	if (!known)
		return 0;
	log_peer("lost", &d->contact.did, d->role);
	return shell_step_peer(shell, EVENT_LOST, &d->contact.did, d->role);
}

int greet_client_events(struct shell *shell, struct dialled *d)
{
	enum net_event event;
	int64_t now = clock_mono_ns();
	int r = 0;

	while (r == 0 && net_client_event(d->client, &event) == 0)
		switch (event) {
		case NET_EVENT_CONNECTED:
			r = lost(shell, d);
			d->up = true;
			d->heard_at = d->sent_at = d->pinged_at = now;
			d->hello_wait = SHELL_HELLO_RETRY_NS;
			if (r == 0)
				r = hello(shell, d, now);
			break;
		case NET_EVENT_DISCONNECTED:
			r = lost(shell, d);
			break;
		case NET_EVENT_UNREACHABLE:
			logline(LEVEL_DEBUG, "unreachable",
				KV_STR("endpoint", d->contact.endpoint));
			break;
		case NET_EVENT_HANDSHAKE_FAILED:
			logline(LEVEL_WARNING, "handshake_failed",
				KV_STR("endpoint", d->contact.endpoint));
			break;
		case NET_EVENT_NOT_ADMITTED:
			logline(LEVEL_WARNING, "not_admitted",
				KV_STR("endpoint", d->contact.endpoint));
			break;
		}
	return r;
}

static int64_t ping_due(const struct dialled *d)
{
	int64_t quiet_since = MIN(d->heard_at, d->sent_at);

	return MAX(quiet_since, d->pinged_at) + SHELL_PING_NS;
}

/* When to say hello again although nothing is wrong: our greeting must not run out over there. */
static int64_t renewal_due(const struct dialled *d)
{
	return MAX(d->greeted_at + IDENTITY_GREETING_NS / 2, d->hello_at);
}

/* A new connection in place of one that fell silent. */
static int redial(struct shell *shell, struct dialled *d)
{
	const struct net_client_options options = { .endpoint = d->contact.endpoint,
		.server_key = d->contact.curve_key,
		.keys = shell->o.identity->curve,
		.ipv6 = true };
	int r = lost(shell, d);

	net_client_free(take(&d->client));
	return r < 0 ? r : net_client_new(shell->o.net, &options, &d->client);
}

static int beat_client(struct shell *shell, struct dialled *d, int64_t now)
{
	const struct route route = { .contact = (int)(d - shell->dialled),
		.peer = d->contact.curve_key };

	if (!d->up)
		return 0;
	if (now - d->heard_at >= SHELL_CLIENT_LOST_NS)
		return redial(shell, d);
	if (!d->greeted)
		return now >= d->hello_at ? hello(shell, d, now) : 0;
	if (now >= renewal_due(d))
		return hello(shell, d, now);
	if (now < ping_due(d))
		return 0;
	d->pinged_at = now;
	send_begin(shell, MESSAGE_PING);
	return send_reply(shell, &route);
}

int greet_beat(struct shell *shell, int64_t now)
{
	struct did did;
	int64_t role;
	int r = 0;

	for (size_t i = 0; i < shell->o.n_contacts && r == 0; i++)
		r = beat_client(shell, &shell->dialled[i], now);
	while (r == 0 && sessions_lose(&shell->sessions, now, &did, &role)) {
		log_peer("lost", &did, role);
		r = shell_step_peer(shell, EVENT_LOST, &did, role);
	}
	return r;
}

int64_t greet_next(const struct shell *shell)
{
	const struct sessions *s = &shell->sessions;
	int64_t at = INT64_MAX;

	if (s->oldest != NONE)
		at = s->connections[s->oldest].heard_at + SHELL_SERVER_LOST_NS;
	for (size_t i = 0; i < shell->o.n_contacts; i++) {
		const struct dialled *d = &shell->dialled[i];

		if (!d->up)
			continue;
		at = MIN(at, d->heard_at + SHELL_CLIENT_LOST_NS);
		at = MIN(at, d->greeted ? ping_due(d) : d->hello_at);
		at = MIN(at, d->greeted ? renewal_due(d) : d->hello_at);
	}
	return at;
}

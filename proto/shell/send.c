#include "proto/shell/shell_internal.h"

#include "proto/base/text.h"
#include "proto/os/clock.h"
#include "proto/os/logline.h"

#include <stdio.h>
#include <stdlib.h>

/* Whom a message is for, where its type tells; 0: whoever is there. */
static int64_t role_for(int64_t type)
{
	switch (type) {
	case MESSAGE_ASSIGN:
	case MESSAGE_RECEIPT:
	case MESSAGE_OFFERED:
		return ROLE_NODE;
	case MESSAGE_DRAW:
	case MESSAGE_VERDICT_TAKEN:
		return ROLE_VERIFIER;
	case MESSAGE_STATUS:
	case MESSAGE_BUNDLE:
	case MESSAGE_REQUESTS:
	case MESSAGE_OFFERINGS:
	case MESSAGE_ACCOUNT:
		return ROLE_BUYER;
	case MESSAGE_FUNDED:
		return ROLE_BROKER;
	default:
		return 0;
	}
}

static uint32_t find_session(const struct shell *shell, const struct did *did, int64_t type)
{
	static const int64_t roles[] = { ROLE_BROKER, ROLE_NODE, ROLE_VERIFIER, ROLE_BUYER,
		ROLE_ESCROW };
	int64_t wanted = role_for(type);
	uint32_t session = wanted ? sessions_find(&shell->sessions, did, wanted) : NONE;

	for (size_t i = 0; i < ARRAY_SIZE(roles) && session == NONE; i++)
		session = sessions_find(&shell->sessions, did, roles[i]);
	return session;
}

bool send_route(struct shell *shell, const struct did *did, const struct message *message,
	struct route *ret_route)
{
	uint32_t session;

	if (shell->asking && message->reply_to != 0 && did_eq(&shell->asker, did)) {
		*ret_route = shell->asked_by;
		return true;
	}
	for (size_t i = 0; i < shell->o.n_contacts; i++)
		if (shell->dialled[i].greeted && did_eq(&shell->dialled[i].contact.did, did)) {
			*ret_route = (struct route){ .contact = (int)i,
				.peer = shell->dialled[i].contact.curve_key };
			return true;
		}
	session = find_session(shell, did, message->message);
	if (session == NONE)
		return false;
	*ret_route =
		shell->sessions.connections[shell->sessions.sessions[session].connection].route;
	return true;
}

/* Room for one more message. */
static int reserve(struct shell *shell)
{
	if (shell->n_outs == shell->cap_outs) {
		size_t cap = MAX(shell->cap_outs * 2, (size_t)256);
		struct out *outs = reallocarray(shell->outs, cap, sizeof(*outs));

		if (!outs)
			return -ENOMEM;
		shell->outs = outs;
		shell->cap_outs = cap;
	}
	if (shell->cap_out_bytes - shell->n_out_bytes < MESSAGE_MAX) {
		size_t cap = MAX(shell->cap_out_bytes * 2, (size_t)4 * MESSAGE_MAX);
		uint8_t *bytes = realloc(shell->out_bytes, cap);

		if (!bytes)
			return -ENOMEM;
		shell->out_bytes = bytes;
		shell->cap_out_bytes = cap;
	}
	return 0;
}

/* Numbers a message and encodes it behind the others. */
static int queue(struct shell *shell, const struct route *route, struct message *message)
{
	struct buf out;
	int r = reserve(shell);

	if (r < 0)
		return r;
	if (message->number == 0)
		message->number = ++shell->number;
	out = buf_over(shell->out_bytes + shell->n_out_bytes, MESSAGE_MAX);
	if (!message_encode(message, &out)) {
		/* A core's mistake or more than fits: the others must not suffer for it. */
		shell->counts.unresolved++;
		logline(LEVEL_ERROR, "message_not_encoded",
			KV_STR("type", message_type_name(message->message)));
		return 0;
	}
	shell->outs[shell->n_outs++] = (struct out){
		.route = *route, .offset = shell->n_out_bytes, .n = out.n, .type = message->message
	};
	shell->n_out_bytes += out.n;
	return 0;
}

static int unresolved(struct shell *shell, const struct send *send, const struct id *id)
{
	char text[ID_TEXT_MAX];

	shell->counts.unresolved++;
	logline(LEVEL_ERROR, "attachment_missing",
		KV_STR("type", message_type_name(send->message.message)),
		KV_STR("id", id_text(id, text)));
	return 0;
}

/* Adds the keys of whoever signed c, once, unless it is the receiver. False: there is no room. */
static bool attach_keys(struct shell *shell, struct send *send, const struct cached *c)
{
	const struct keyring_entry *entry;
	struct message *m = &send->message;
	struct span keys;

	if (did_eq(&c->issuer, &send->to))
		return true;
	entry = keyring_find_key(shell->o.keyring, &c->issuer, SPAN(c->kid, c->n_kid));
	if (entry)
		keys = entry->bytes;
	else if (did_eq(&c->issuer, &shell->o.identity->did))
		keys = identity_keys(shell->o.identity);
	else
		return true;
	for (size_t i = 0; i < m->n_statements; i++)
		if (m->statements[i].p == keys.p)
			return true;
	if (m->n_statements + send->n_statements >= MESSAGE_STATEMENTS_MAX)
		return false;
	m->statements[m->n_statements++] = keys;
	return true;
}

/* Resolves what the message names, keys first; *ret_missing is what cannot be attached. */
static int attach(struct shell *shell, struct send *send, const struct id **ret_missing)
{
	struct cached *cached[SEND_STATEMENTS_MAX], *blob = NULL;
	struct message *m = &send->message;
	int r;

	*ret_missing = NULL;
	m->n_statements = 0;
	/* All lookups first: a keyring entry's bytes live until the next one is learned. */
	for (size_t i = 0; i < send->n_statements; i++) {
		*ret_missing = &send->statements[i];
		r = store_statement(shell, &send->statements[i], &cached[i]);
		if (r < 0 || !cached[i] || !cache_parse(cached[i]))
			return r;
		r = store_keys(shell, &cached[i]->issuer, SPAN(cached[i]->kid, cached[i]->n_kid));
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < send->n_statements; i++) {
		*ret_missing = &send->statements[i];
		if (!attach_keys(shell, send, cached[i]))
			return 0;
	}
	for (size_t i = 0; i < send->n_statements; i++)
		m->statements[m->n_statements++] = SPAN(cached[i]->bytes, cached[i]->n);
	*ret_missing = NULL;
	if (id_is_zero(&send->blob))
		return 0;
	r = store_payload(shell, &send->blob, &blob);
	if (r < 0)
		return r;
	if (blob)
		m->blob = SPAN(blob->bytes, blob->n);
	else
		*ret_missing = &send->blob;
	return 0;
}

int send_effect(struct shell *shell, struct send *send)
{
	const struct id *missing;
	struct route route;
	int r;

	/* Cores repeat what was not answered. */
	if (!send_route(shell, &send->to, &send->message, &route)) {
		shell->counts.dropped_absent++;
		return 0;
	}
	r = attach(shell, send, &missing);
	if (r < 0)
		return r;
	if (missing)
		return unresolved(shell, send, missing);
	return queue(shell, &route, &send->message);
}

struct message *send_begin(struct shell *shell, enum message_type type)
{
	memset(&shell->reply, 0, sizeof(shell->reply));
	shell->reply.message = type;
	return &shell->reply;
}

int send_reply(struct shell *shell, const struct route *route)
{
	return queue(shell, route, &shell->reply);
}

int send_refused(
	struct shell *shell, const struct route *route, enum refusal code, const char *field)
{
	const struct message *about = &shell->opened.message;
	struct message *m;
	char text[256];

	/* An answer to an answer would go back and forth for ever. */
	if (about->message == MESSAGE_REFUSED) {
		shell->counts.ignored++;
		return 0;
	}
	shell->counts.refused++;
	logline(LEVEL_DEBUG, "refused", KV_STR("code", refusal_name(code)),
		KV_STR("type", message_type_name(about->message)),
		KV_STR("field", field ? field : ""));
	m = send_begin(shell, MESSAGE_REFUSED);
	m->code = code;
	m->reply_to = about->number;
	m->request = about->request;
	m->target = about->target;
	if (field)
		snprintf(text, sizeof(text), "%s: %s", field, refusal_sentence(code));
	else
		snprintf(text, sizeof(text), "%s", refusal_sentence(code));
	m->text = SPAN_STR(text);
	return send_reply(shell, route);
}

/* Where it went, or why not. */
static int deliver(struct shell *shell, const struct route *route, struct span bytes, int64_t now)
{
	int r;

	if (route->contact >= 0) {
		struct dialled *d = &shell->dialled[route->contact];

		r = net_client_send(d->client, bytes);
		if (r == 0)
			d->sent_at = now;
		return r;
	}
	r = net_server_send(shell->o.server, SPAN(route->routing, route->n_routing), bytes);
	if (r == -EHOSTUNREACH)
		sessions_doom(&shell->sessions, route);
	return r;
}

int send_deliver(struct shell *shell, const struct route *route, int64_t type, struct span bytes,
	int64_t now)
{
	int r = deliver(shell, route, bytes, now);

	if (r == 0) {
		shell->counts.sent++;
		if (type < SHELL_TYPES_MAX)
			shell->counts.sent_types[type]++;
	} else if (r == -EHOSTUNREACH) {
		shell->counts.dropped_absent++;
	} else if (r != -EAGAIN) {
		shell->counts.dropped_full++;
	}
	return r;
}

bool send_connected(const struct shell *shell, const struct route *route)
{
	return route->contact < 0 || shell->dialled[route->contact].greeted;
}

void send_flush(struct shell *shell)
{
	int64_t now = clock_mono_ns();

	held_retry(shell, now);
	for (size_t i = 0; i < shell->n_outs; i++) {
		const struct out *out = &shell->outs[i];
		struct span bytes = SPAN(shell->out_bytes + out->offset, out->n);
		int r = -EAGAIN;

		if (!held_blocked(&shell->held, &out->route))
			r = send_deliver(shell, &out->route, out->type, bytes, now);
		if (r == -EAGAIN &&
			!(send_connected(shell, &out->route) &&
				held_put(&shell->held, &out->route, out->type, bytes, now)))
			shell->counts.dropped_full++;
	}
	shell->n_outs = 0;
	shell->n_out_bytes = 0;
}

#include "proto/shell/shell_internal.h"

#include "proto/os/clock.h"
#include "proto/os/logline.h"

#define HELLO_STATEMENTS_MAX 4 /* keys, keys that they replace, greeting */

/* What makes the store grow by a stranger's wish. */
static bool grows(int64_t type)
{
	return type == MESSAGE_REQUEST || type == MESSAGE_OFFER || type == MESSAGE_EVIDENCE ||
	       type == MESSAGE_FUND || type == MESSAGE_DEPOSIT;
}

/* A verified message of an identity. */
static int from_peer(struct shell *shell, const struct route *route, const struct did *from)
{
	struct event event = { .type = EVENT_MESSAGE, .from = *from, .opened = &shell->opened };
	int64_t type = shell->opened.message.message;
	int low;

	if (type < SHELL_TYPES_MAX)
		shell->counts.received_types[type]++;
	if (type == MESSAGE_PING) {
		send_begin(shell, MESSAGE_PONG)->reply_to = shell->opened.message.number;
		return send_reply(shell, route);
	}
	if (type == MESSAGE_PONG)
		return 0;
	if (type == MESSAGE_FETCH)
		return serve_fetch(shell, route, from);
	if (type == MESSAGE_CHUNK)
		return pull_chunk(shell, from);
	if (type == MESSAGE_REFUSED) {
		int r = pull_refused(shell, from);

		if (r != 0)
			return MIN(r, 0);
	}
	if (grows(type)) {
		low = store_disk_low(shell);
		if (low < 0)
			return low;
		if (low > 0)
			return send_refused(shell, route, REFUSED_DISK_FULL, NULL);
	}
	shell->asked_by = *route;
	shell->asker = *from;
	shell->asking = true;
	low = shell_step(shell, &event);
	shell->asking = false;
	return low;
}

/* Whose message it is where one connection carries several identities. NONE: nobody's. */
static uint32_t speaker(const struct shell *shell, uint32_t connection)
{
	const struct connection *c = &shell->sessions.connections[connection];

	if (shell->opened.n_statements > 0)
		for (size_t i = 0; i < c->n_carried; i++)
			if (did_eq(&shell->sessions.sessions[c->carried[i]].did,
				    &shell->opened.statements[0].issuer))
				return c->carried[i];
	return c->carried[0];
}

static int from_server_peer(struct shell *shell, const struct route *route, struct span bytes)
{
	uint32_t connection = sessions_connection(&shell->sessions, route);
	struct opened *opened = &shell->opened;
	const struct session *session;
	enum refusal refusal;
	struct did from;

	if (connection != NONE) {
		sessions_heard(&shell->sessions, connection, clock_mono_ns());
	} else {
		/* Strangers do not make us verify anything but a hello. */
		opened->n_statements = 0;
		refusal = schema_decode(&message_schema, bytes, &opened->message, &opened->field);
		if (refusal != REFUSED_NOT)
			return send_refused(shell, route, refusal, opened->field);
		if (opened->message.message != MESSAGE_HELLO)
			return send_refused(shell, route, REFUSED_GREETING_REQUIRED, NULL);
		if (opened->message.n_statements > HELLO_STATEMENTS_MAX)
			return send_refused(shell, route, REFUSED_MESSAGE_SHAPE, "statements");
	}
	refusal = message_open(bytes, shell->o.keyring, NULL, NULL, opened);
	if (refusal != REFUSED_NOT)
		return send_refused(shell, route, refusal, opened->field);
	if (opened->message.message == MESSAGE_HELLO)
		return greet_hello(shell, route);
	session = &shell->sessions.sessions[speaker(shell, connection)];
	if (session->expires_ns < clock_now_ns() - CLOCK_SKEW_NS)
		return send_refused(shell, route, REFUSED_GREETING_REQUIRED, NULL);
	from = session->did;
	return from_peer(shell, route, &from);
}

static int from_dialled(struct shell *shell, const struct route *route, struct span bytes)
{
	struct dialled *d = &shell->dialled[route->contact];
	struct opened *opened = &shell->opened;
	const struct message *m = &opened->message;
	enum refusal refusal;

	/* What a connection that broke had still brought: nobody waits for an answer there. */
	if (!d->up) {
		shell->counts.ignored++;
		return 0;
	}
	d->heard_at = clock_mono_ns();
	refusal = message_open(bytes, shell->o.keyring, NULL, NULL, opened);
	if (refusal != REFUSED_NOT)
		return send_refused(shell, route, refusal, opened->field);
	if (m->message == MESSAGE_WELCOME)
		return greet_welcome(shell, d);
	if (m->message == MESSAGE_REFUSED && m->code == REFUSED_GREETING_REQUIRED) {
		greet_again(d);
		return 0;
	}
	if (!d->greeted) {
		/* Most likely our hello was refused: it is said again, ever more slowly. */
		shell->counts.ignored++;
		logline(LEVEL_WARNING, "not_welcome", KV_STR("endpoint", d->contact.endpoint),
			KV_STR("type", message_type_name(m->message)),
			KV_STR("code", refusal_name((enum refusal)m->code)));
		return 0;
	}
	return from_peer(shell, route, &d->contact.did);
}

int receive_message(struct shell *shell, const struct route *route, struct span bytes)
{
	shell->counts.received++;
	shell->batch_messages++;
	int r = route->contact >= 0 ? from_dialled(shell, route, bytes)
				    : from_server_peer(shell, route, bytes);

	/* Its spans point into bytes, which go now. */
	shell->opened.n_statements = 0;
	return r;
}

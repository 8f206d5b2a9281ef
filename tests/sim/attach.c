/* A SEND effect to bytes: statements by their ids, the keys that they need, the payload. */
#include "tests/sim/sim.h"

#include <stdlib.h>

/* Keys of whoever signed s, once, unless it is the receiver. False: not known. */
static bool attach_keys(struct sim_party *p, struct send *send, const struct statement *s)
{
	struct message *m = &send->message;
	struct span keys;

	if (did_eq(&s->issuer, &send->to))
		return true;
	if (did_eq(&s->issuer, &p->author.signer.issuer)) {
		keys = SPAN(p->keys, p->n_keys);
	} else {
		const struct keyring_entry *entry = keyring_find_key(
			p->keyring, &s->issuer, s->envelope.kid);

		if (!entry)
			return false;
		keys = entry->bytes;
	}
	for (size_t i = 0; i < m->n_statements; i++)
		if (m->statements[i].p == keys.p)
			return true;
	if (m->n_statements >= MESSAGE_STATEMENTS_MAX - send->n_statements)
		return false;
	m->statements[m->n_statements++] = keys;
	return true;
}

static void missing(struct world *w, const struct sim_party *p, const struct send *send,
	const char *what, size_t i)
{
	world_broken(w, "attachment-missing", "%s: %s of %s, number %zu", p->name, what,
		message_type_name(send->message.message), i);
}

static bool attach_statements(struct world *w, struct sim_party *p, struct send *send)
{
	struct message *m = &send->message;
	struct span bytes[SEND_STATEMENTS_MAX];
	static struct statement s; /* large */

	m->n_statements = 0;
	for (size_t i = 0; i < send->n_statements; i++) {
		const struct store_row *row = store_find(
			&p->store, TABLE_STATEMENT, SPAN_OF(send->statements[i]));

		if (!row || statement_decode(row->cells[3].b, &s, NULL) != REFUSED_NOT) {
			missing(w, p, send, "a statement", i);
			return false;
		}
		bytes[i] = row->cells[3].b;
		if (!attach_keys(p, send, &s)) {
			missing(w, p, send, "the keys of a statement", i);
			return false;
		}
	}
	for (size_t i = 0; i < send->n_statements; i++)
		m->statements[m->n_statements++] = bytes[i];
	if (!id_is_zero(&send->blob)) {
		const struct store_row *row = store_find(
			&p->store, TABLE_PAYLOAD, SPAN_OF(send->blob));

		if (!row) {
			missing(w, p, send, "the payload", 0);
			return false;
		}
		m->blob = row->cells[2].b;
	}
	return true;
}

static struct sim_out *new_out(struct sim_party *p)
{
	if (p->n_outs == p->cap_outs) {
		p->cap_outs = MAX(p->cap_outs * 2, (size_t)32);
		p->outs = reallocarray(p->outs, p->cap_outs, sizeof(*p->outs));
		if (!p->outs)
			abort();
	}
	p->outs[p->n_outs] = (struct sim_out){ 0 };
	return &p->outs[p->n_outs++];
}

static void queue(
	struct world *w, struct sim_party *p, struct send *send, bool tampered, int64_t delay_ns)
{
	static uint8_t room[MESSAGE_MAX];
	const struct sim_party *to = world_party(w, &send->to);
	struct buf out = BUF(room);
	struct sim_out *o;

	if (send->message.number == 0)
		send->message.number = ++p->number;
	if (!to || !network_joined(w, p->index, to->index)) {
		world_broken(w, "no-way", "%s sends %s to a stranger", p->name,
			message_type_name(send->message.message));
		return;
	}
	if (!message_encode(&send->message, &out)) {
		world_broken(w, "message-not-encoded", "%s: %s", p->name,
			message_type_name(send->message.message));
		return;
	}
	o = new_out(p);
	o->to = to->index;
	o->delay_ns = delay_ns;
	o->letter = malloc(sizeof(*o->letter) + out.n);
	if (!o->letter)
		abort();
	o->letter->tampered = tampered;
	o->letter->type = send->message.message;
	o->letter->n = out.n;
	memcpy(o->letter->bytes, out.p, out.n);
	o->request = send->message.request;
	o->target = send->message.target;
	if (!tampered)
		checks_promise(w, p, send, o);
}

void attach_send(struct world *w, struct sim_party *p, struct send *send)
{
	static uint8_t room_bytes[4 * COSE_MAX];
	struct buf room = BUF(room_bytes);
	int64_t delay_ns = 0;
	enum harm harm = HARM_NOT;

	if (!attach_statements(w, p, send))
		return;
	if (p->kind == SIM_NODE)
		harm = faults_node(w, p, send, &room, &delay_ns);
	switch (harm) {
	case HARM_DROP:
		return;
	case HARM_NOT:
	case HARM_DELAY:
		queue(w, p, send, false, delay_ns);
		return;
	case HARM_ALTER:
		queue(w, p, send, true, delay_ns);
		return;
	case HARM_TWICE: {
		/* What is honest, and what faults_node() put beside it. */
		struct span altered = send->message.statements[MESSAGE_STATEMENTS_MAX - 1];

		queue(w, p, send, false, 0);
		send->message.number = 0;
		send->message.statements[send->message.n_statements - 1] = altered;
		queue(w, p, send, true, delay_ns);
		return;
	}
	}
}

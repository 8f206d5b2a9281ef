#include "escrow/core/panel.h"

#include <stdlib.h>

void panel_draw(struct turn *t, struct slot *slot)
{
	struct escrow *e = t->e;
	const struct open_part *open = slot->open;
	struct progress *p = &slot->progress;
	struct span checkpoint = SPAN(open->note, open->note_n);
	struct id secret = holds_draw_secret(e, &slot->request);
	struct id seed = statement_draw_seed(
		&secret, SPAN_OF(slot->terms.salt), &p->evidence, checkpoint);
	struct draw draw = {
		.request = slot->request,
		.evidence = p->evidence,
		.draw_secret = secret,
		.checkpoint = checkpoint,
	};

	draw.n_panel = statement_draw_panel(
		&seed, open->pool, open->n_pool, (size_t)slot->terms.panel_n, draw.panel);
	if (draw.n_panel == 0)
		abort(); /* the pool was large enough at the hold */
	author_common(&e->config.author, t->event, &t->counter, t->fx, &draw.c);
	p->draw = effects_sign(
		t->fx, &e->config.author, STATEMENT_DRAW, &draw, &slot->request, NULL);
	p->n_votes = draw.n_panel;
	for (size_t i = 0; i < draw.n_panel; i++)
		p->votes[i] = (struct vote){ .present = true, .verifier = draw.panel[i] };
	holds_must_move(t, slot, SLOT_ON_PAYLOAD);
	holds_deadline(t, slot, t->event->now_ns + slot->terms.t_verify_ms * NS_PER_MS);
	panel_send(t, slot);
}

static void send_ticket(struct turn *t, struct slot *slot, const struct vote *vote)
{
	struct escrow *e = t->e;
	const struct progress *p = &slot->progress;
	const struct keyring_entry *keys = keyring_find(e->config.keyring, &vote->verifier);
	const uint8_t *content_key = holds_content_key(e, slot);
	struct id ephemeral = event_random(t->event, "wrap", t->counter++);
	struct seal_context context = {
		.request = slot->request, .scope = p->evidence, .recipient = vote->verifier
	};
	struct buf wrapped = buf_over(buf_alloc(&t->fx->arena, SEAL_WRAPPED), SEAL_WRAPPED);
	struct send *send;

	/* A verifier that never greeted has no key here: it gets its ticket when it has. */
	if (!keys || !content_key || !wrapped.p ||
		!seal_wrap(content_key, keys->encryption_key, ephemeral.b, &context, &wrapped))
		return;
	send = effects_send(t->fx, &vote->verifier, MESSAGE_DRAW);
	send->message.request = slot->request;
	send->message.wrapped = buf_span(&wrapped);
	send->message.receipt = buf_copy(
		&t->fx->arena, SPAN(slot->open->receipt, slot->open->receipt_n));
	send->message.note = buf_copy(&t->fx->arena, SPAN(slot->open->note, slot->open->note_n));
	send->message.size = p->cipher_size;
	send_attach(send, &slot->request);
	send_attach(send, &p->hold);
	if (!id_eq(&p->earmark, &p->hold))
		send_attach(send, &p->earmark);
	send_attach(send, &p->assignment);
	send_attach(send, &p->evidence);
	send_attach(send, &p->draw);
	if (p->payload_inline)
		send->blob = p->cipher_digest;
}

void panel_send(struct turn *t, struct slot *slot)
{
	for (size_t i = 0; i < slot->progress.n_votes; i++)
		if (id_is_zero(&slot->progress.votes[i].verdict))
			send_ticket(t, slot, &slot->progress.votes[i]);
	holds_back_off(t, slot);
}

struct vote *panel_vote(struct slot *slot, const struct did *verifier)
{
	for (size_t i = 0; i < slot->progress.n_votes; i++)
		if (did_eq(&slot->progress.votes[i].verifier, verifier))
			return &slot->progress.votes[i];
	return NULL;
}

void panel_on_connected(struct turn *t)
{
	struct escrow *e = t->e;

	for (uint32_t at = e->verifying; at; at = e->slots[at - 1].verifying_next) {
		struct slot *slot = &e->slots[at - 1];
		const struct vote *vote = panel_vote(slot, &t->event->from);

		if (vote && id_is_zero(&vote->verdict))
			holds_retry(e, slot, t->event->now_ns);
	}
}

#include "escrow/core/timeout.h"

#include "escrow/core/closing.h"
#include "escrow/core/panel.h"
#include "escrow/core/seen.h"
#include "escrow/core/settle.h"
#include "escrow/core/submit.h"
#include "escrow/core/verdict.h"

#include <stdlib.h>

/* What one slot may need at most: a panel's tickets, or a settlement. */
#define SLOT_EFFECTS 40
#define SLOT_ARENA   ((PANEL_MAX + 1) * (sizeof(struct send) + RECEIPT_MAX + 2048) + 8192)

static void ask_worker(struct turn *t, struct slot *slot)
{
	const struct progress *p = &slot->progress;
	const uint8_t *key = holds_content_key(t->e, slot);
	uint64_t ticket = (uint64_t)holds_index(t->e, slot) << 32 | ++slot->open->work;
	struct escrow_verify_job *job = effects_work(
		t->fx, ESCROW_WORK_VERIFY, ticket, sizeof(*job));

	*job = (struct escrow_verify_job){
		.request = slot->request,
		.hold = p->hold,
		.earmark = p->earmark,
		.assignment = p->assignment,
		.evidence = p->evidence,
		.draw = p->draw,
		.cipher_digest = p->cipher_digest,
	};
	if (key)
		memcpy(job->content_key, key, SEAL_KEY);
	slot->open->working = true;
}

/* The verifiers were silent: fetch the payload, then let the own worker look at it. */
static void default_step(struct turn *t, struct slot *slot)
{
	if (slot->open->working) {
		holds_retry(t->e, slot, INT64_MAX);
		return;
	}
	if (slot->progress.payload_here)
		ask_worker(t, slot);
	else
		submit_pull(t, slot);
	holds_retry(t->e, slot, INT64_MAX);
}

static void on_silence(struct turn *t, struct slot *slot)
{
	bool escalated = slot->state == SLOT_ESCALATED;

	if (slot->terms.on_silence == SILENCE_PAY) {
		settle_pay(t, slot, BASIS_SILENCE, escalated ? SLOT_ON_PAY : SLOT_ON_QUIET);
		return;
	}
	holds_must_move(t, slot, SLOT_ON_REFUND);
	settle_refund(t, slot, BASIS_SILENCE, 0);
}

static void deadline(struct turn *t, struct slot *slot)
{
	switch (slot->state) {
	case SLOT_OPEN:
	case SLOT_ASSIGNED:
		closing_expire(t, slot);
		return;
	case SLOT_COMMITTED:
		verdict_fail(t, slot, BASIS_WITHHELD, SLOT_ON_T_DELIVER);
		return;
	case SLOT_VERIFYING:
		holds_must_move(t, slot, SLOT_ON_T_VERIFY);
		holds_deadline(t, slot, t->event->now_ns + slot->terms.t_arbitrate_ms * NS_PER_MS);
		default_step(t, slot);
		return;
	case SLOT_DEFAULTED:
		if (id_is_zero(&slot->progress.release))
			on_silence(t, slot);
		else
			settle_released(t, slot);
		return;
	case SLOT_PASSED:
		settle_released(t, slot);
		return;
	case SLOT_FAILED:
	case SLOT_WITHHELD:
		verdict_retry_or_refund(t, slot);
		return;
	case SLOT_ESCALATED:
		on_silence(t, slot);
		return;
	case SLOT_NONE:
	case SLOT_POSTED:
	case SLOT_DISPUTED:
	case SLOT_EXPIRED:
	case SLOT_NO_SHOW:
	case SLOT_CANCELLED:
	case SLOT_CANCELLED_LATE:
	case SLOT_SETTLING:
	case SLOT_REFUNDING:
	case SLOT_SETTLED:
	case SLOT_REFUNDED:
	case SLOT_LAPSED:
		break;
	}
	abort(); /* no open hold rests in these */
}

static void again(struct turn *t, struct slot *slot)
{
	if (slot->state == SLOT_VERIFYING) {
		panel_send(t, slot);
		return;
	}
	if (slot->state == SLOT_DEFAULTED) {
		default_step(t, slot);
		return;
	}
	if (slot->state == SLOT_COMMITTED && !slot->open->working) {
		submit_pull(t, slot);
		holds_back_off(t, slot);
		return;
	}
	holds_retry(t->e, slot, INT64_MAX);
}

static bool has_room(const struct turn *t)
{
	return EFFECTS_MAX - t->fx->n >= SLOT_EFFECTS &&
	       t->fx->arena.cap - t->fx->arena.n >= SLOT_ARENA && t->e->n_dirty < HOLDS_DIRTY_MAX &&
	       t->e->ledger.n_dirty + LINES_MAX < LEDGER_DIRTY_MAX;
}

void timeout_tick(struct turn *t)
{
	struct escrow *e = t->e;
	int64_t now_ns = t->event->now_ns;
	uint32_t at;

	while (has_room(t) && (at = heap_due(&e->timers, now_ns)) != UINT32_MAX) {
		struct slot *slot = &e->slots[at];

		if (holds_deadline_at(e, slot) <= now_ns)
			deadline(t, slot);
		else
			again(t, slot);
	}
}

static void worker_said(
	struct turn *t, struct slot *slot, const struct escrow_verify_result *result)
{
	struct progress *p = &slot->progress;

	if (result->outcome == CHECK_PASS && result->has_digest && !p->measurement) {
		const struct id *earlier = seen_find(t->e, &result->plain_digest);

		if (earlier && !id_eq(earlier, &p->evidence)) {
			p->code = REFUSED_SEEN_BEFORE;
			p->code_target = *earlier;
			holds_must_move(t, slot, SLOT_ON_REFUND);
			settle_refund(t, slot, BASIS_DEFAULT, 0);
			return;
		}
		seen_add(t, &result->plain_digest, &p->evidence);
	}
	if (result->outcome == CHECK_PASS) {
		settle_pay(t, slot, BASIS_DEFAULT, SLOT_ON_QUIET);
	} else if (result->outcome == CHECK_FAIL) {
		holds_must_move(t, slot, SLOT_ON_REFUND);
		settle_refund(t, slot, BASIS_DEFAULT, 0);
	} else {
		on_silence(t, slot);
	}
}

void timeout_on_work(struct turn *t)
{
	const struct work_result *work = t->event->work;
	uint64_t at = work->ticket >> 32;
	struct slot *slot = at < t->e->n_slots ? &t->e->slots[at] : NULL;
	bool failed = work->status != 0 || work->refusal != REFUSED_NOT;

	/* Work that the slot no longer waits for. */
	if (!slot || !slot->used || !slot->open || !slot->open->working ||
		(uint32_t)work->ticket != slot->open->work)
		return;
	slot->open->working = false;
	if (failed && work->kind == ESCROW_WORK_VERIFY && work->refusal != REFUSED_NOT) {
		/* The payload itself is at fault, as the worker could say. */
		worker_said(t, slot, &(struct escrow_verify_result){ .outcome = CHECK_FAIL });
		return;
	}
	if (failed) {
		holds_back_off(t, slot);
		return;
	}
	if (work->kind == WORK_PULL) {
		submit_payload_here(t, slot);
		if (slot->state == SLOT_DEFAULTED)
			default_step(t, slot);
	} else if (work->kind == ESCROW_WORK_VERIFY && work->detail) {
		worker_said(t, slot, work->detail);
	}
}

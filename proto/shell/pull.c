#include "proto/shell/shell_internal.h"

#include "proto/os/clock.h"
#include "proto/os/logline.h"
#include "proto/seal/digest.h"

#include <stdlib.h>

static int64_t chunk_size(const struct pull *p, int64_t offset)
{
	return MIN(p->want.size - offset, (int64_t)PAYLOAD_CHUNK);
}

static void release(struct pull *p)
{
	blob_write_free(p->write);
	free(p->memory);
	*p = (struct pull){ 0 };
}

/* Ends a pull: its event comes later in this batch, or in the next. */
static int end(struct shell *shell, struct pull *p, int status, enum refusal refusal)
{
	const struct work_result result = {
		.ticket = p->ticket, .kind = WORK_PULL, .status = status, .refusal = refusal
	};
	struct span memory = SPAN(NULL, 0);

	if (status == 0 && refusal == REFUSED_NOT && p->memory)
		memory = SPAN(take(&p->memory), (size_t)p->want.size);
	if (status < 0)
		logline(LEVEL_WARNING, "pull_failed", KV_ERR("error", status));
	release(p);
	return work_post(shell, &result, 0, memory);
}

/* Asks for what the window allows. A source that is not connected is asked again later. */
static int ask(struct shell *shell, struct pull *p, int64_t now)
{
	int64_t limit = MIN(p->want.size, p->got + (int64_t)SHELL_PULL_WINDOW * PAYLOAD_CHUNK);
	struct send send;
	int r = 0;

	while (p->asked < limit && r == 0) {
		memset(&send, 0, sizeof(send));
		send.to = p->want.from;
		send.message.message = MESSAGE_FETCH;
		send.message.request = p->want.request;
		send.message.target = p->want.digest;
		send.message.offset = p->asked;
		send.message.size = chunk_size(p, p->asked);
		send_attach(&send, &p->want.ticket);
		p->asked += send.message.size;
		p->asked_at = now;
		r = send_effect(shell, &send);
	}
	return r;
}

/* 1 where the payload is here already, 0 where not, or a fault. */
static int here(struct shell *shell, const struct work_pull *want)
{
	struct cached *cached;
	int r = 0;

	if (shell->o.memory_payloads)
		return 0;
	r = store_payload(shell, &want->digest, &cached);
	if (r == 0 && !cached && shell->o.blobs)
		return blob_exists(shell->o.blobs, &want->digest);
	return r < 0 ? r : cached != NULL;
}

static int open_target(struct shell *shell, struct pull *p)
{
	if (shell->o.blobs)
		return blob_write_new(shell->o.blobs, (uint64_t)p->want.size, &p->write);
	if (!shell->o.memory_payloads)
		return -ENOSYS;
	p->memory = malloc((size_t)p->want.size);
	return p->memory ? 0 : -ENOMEM;
}

static int begin(struct shell *shell, struct pull *p, uint64_t ticket, const struct work_pull *want)
{
	int64_t now = clock_mono_ns();
	int r;

	*p = (struct pull){
		.active = true, .ticket = ticket, .want = *want, .asked_at = now, .heard_at = now
	};
	shell->counts.pulls++;
	if (want->size <= 0 || want->size > PAYLOAD_MAX + (1 << 20))
		return end(shell, p, 0, REFUSED_PAYLOAD_SIZE);
	r = here(shell, want);
	if (r == 0)
		r = open_target(shell, p);
	else if (r > 0)
		return end(shell, p, 0, REFUSED_NOT);
	return r < 0 ? end(shell, p, r, REFUSED_NOT) : ask(shell, p, now);
}

static struct pull *free_pull(struct shell *shell)
{
	for (size_t i = 0; i < SHELL_PULLS_MAX; i++)
		if (!shell->pulls[i].active)
			return &shell->pulls[i];
	return NULL;
}

int pull_start(struct shell *shell, uint64_t ticket, const struct work_pull *want)
{
	const struct work_result busy = { .ticket = ticket, .kind = WORK_PULL, .status = -EAGAIN };
	const struct work work = {
		.ticket = ticket, .kind = WORK_PULL, .size = sizeof(*want), .detail = want
	};
	struct pull *p = free_pull(shell);

	if (p)
		return begin(shell, p, ticket, want);
	if (shell->pull_queue.n == SHELL_PULL_QUEUE_MAX)
		return work_post(shell, &busy, 0, SPAN(NULL, 0));
	return work_queue_add(&shell->pull_queue, &work);
}

/* Those that wait, as far as there is room. */
static int start_queued(struct shell *shell)
{
	struct pull *p;
	struct job *job;
	int r = 0;

	while (r == 0 && shell->pull_queue.n > 0 && (p = free_pull(shell))) {
		job = work_queue_take(&shell->pull_queue);
		r = begin(shell, p, job->result.ticket, job->result.detail);
		work_job_free(job);
	}
	return r;
}

static int finish(struct shell *shell, struct pull *p)
{
	struct id digest;
	int r;

	if (p->write) {
		r = blob_write_finish(p->write, &p->want.digest, (uint64_t)p->want.size);
		return end(shell, p, MIN(r, 0), (enum refusal)MAX(r, 0));
	}
	digest = digest_of(SPAN(p->memory, (size_t)p->want.size));
	return end(shell, p, 0,
		id_eq(&digest, &p->want.digest) ? REFUSED_NOT : REFUSED_PAYLOAD_DIGEST);
}

static int take_chunk(struct shell *shell, struct pull *p)
{
	const struct message *m = &shell->opened.message;
	int r = 0;

	if (m->size != p->want.size || (int64_t)m->blob.n != chunk_size(p, p->got))
		return end(shell, p, 0, REFUSED_PAYLOAD_SIZE);
	if (p->write)
		r = blob_write_append(p->write, m->blob);
	else
		memcpy(p->memory + p->got, m->blob.p, m->blob.n);
	if (r != 0)
		return end(shell, p, MIN(r, 0), (enum refusal)MAX(r, 0));
	p->got += (int64_t)m->blob.n;
	p->heard_at = clock_mono_ns();
	p->asked_at = p->heard_at;
	return p->got == p->want.size ? finish(shell, p) : ask(shell, p, p->heard_at);
}

int pull_chunk(struct shell *shell, const struct did *from)
{
	const struct message *m = &shell->opened.message;
	bool known = false;
	int r = 0;

	for (size_t i = 0; i < SHELL_PULLS_MAX && r == 0; i++) {
		struct pull *p = &shell->pulls[i];

		if (!p->active || !did_eq(&p->want.from, from) ||
			!id_eq(&p->want.digest, &m->target))
			continue;
		known = true;
		/* In order only: what was asked for twice may come twice. */
		if (m->offset == p->got)
			r = take_chunk(shell, p);
	}
	if (!known)
		shell->counts.ignored++;
	return r < 0 ? r : start_queued(shell);
}

int pull_refused(struct shell *shell, const struct did *from)
{
	const struct message *m = &shell->opened.message;
	/* A refusal that says no reason is still one. */
	enum refusal code = m->code ? (enum refusal)m->code : REFUSED_PAYLOAD_UNKNOWN;
	bool about = false;
	int r = 0;

	if (id_is_zero(&m->target))
		return 0;
	for (size_t i = 0; i < SHELL_PULLS_MAX && r == 0; i++) {
		struct pull *p = &shell->pulls[i];

		if (!p->active || !did_eq(&p->want.from, from) ||
			!id_eq(&p->want.digest, &m->target))
			continue;
		about = true;
		r = end(shell, p, 0, code);
	}
	if (r == 0 && about)
		r = start_queued(shell);
	return r < 0 ? r : about;
}

int pull_beat(struct shell *shell, int64_t now)
{
	int r = start_queued(shell);

	for (size_t i = 0; i < SHELL_PULLS_MAX && r == 0; i++) {
		struct pull *p = &shell->pulls[i];

		if (!p->active)
			continue;
		if (now - p->heard_at >= PULL_SILENCE_NS) {
			r = end(shell, p, -ETIMEDOUT, REFUSED_NOT);
		} else if (now - p->asked_at >= SHELL_PULL_RETRY_NS) {
			p->asked = p->got;
			p->asked_at = now;
			r = ask(shell, p, now);
		}
	}
	return r;
}

int64_t pull_next(const struct shell *shell)
{
	int64_t at = INT64_MAX;

	for (size_t i = 0; i < SHELL_PULLS_MAX; i++) {
		const struct pull *p = &shell->pulls[i];

		if (!p->active)
			continue;
		at = MIN(at, p->heard_at + PULL_SILENCE_NS);
		at = MIN(at, p->asked_at + SHELL_PULL_RETRY_NS);
	}
	return at;
}

void pull_deinit(struct shell *shell)
{
	for (size_t i = 0; i < SHELL_PULLS_MAX; i++)
		release(&shell->pulls[i]);
	work_queue_free(&shell->pull_queue);
}

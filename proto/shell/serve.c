#include "proto/shell/shell_internal.h"

#include "proto/os/file.h"

/* The part of a payload that is asked for; bytes live until the next message is queued. */
struct part {
	uint64_t total;
	struct span bytes;
};

static struct span slice(struct span whole, uint64_t offset)
{
	if (offset >= whole.n)
		return SPAN(whole.p, 0);
	return SPAN(whole.p + offset, MIN(whole.n - offset, (size_t)PAYLOAD_CHUNK));
}

/* 1 where it is there, 0 where not, or a fault. */
static int read_part(
	struct shell *shell, const struct id *digest, uint64_t offset, struct part *ret)
{
	_cleanup_(closep) int fd = -EBADF;
	struct cached *cached;
	uint64_t size;
	size_t n = 0;
	int r = store_payload(shell, digest, &cached);

	if (r < 0)
		return r;
	if (cached) {
		*ret = (struct part){ cached->n, slice(SPAN(cached->bytes, cached->n), offset) };
		return 1;
	}
	if (!shell->o.blobs)
		return 0;
	r = blob_open_read(shell->o.blobs, digest, &fd, &size);
	if (r != 0)
		return MIN(r, 0);
	if (offset < size)
		r = blob_pread(fd, shell->chunk, PAYLOAD_CHUNK, offset, &n);
	if (r < 0)
		return r;
	*ret = (struct part){ size, SPAN(shell->chunk, n) };
	return 1;
}

int serve_fetch(struct shell *shell, const struct route *route, const struct did *from)
{
	const struct message *asked = &shell->opened.message;
	struct event event = { .type = EVENT_MESSAGE, .from = *from, .opened = &shell->opened };
	struct message *m;
	struct part part;
	int r;

	/* The ticket is the core's to judge, before it is asked. */
	if (shell->opened.n_statements > 0) {
		r = shell_step(shell, &event);
		if (r < 0)
			return r;
	}
	if (!shell->o.ops->may_fetch)
		return send_refused(shell, route, REFUSED_MESSAGE_UNEXPECTED, NULL);
	if (!shell->o.ops->may_fetch(shell->o.core, from, &asked->target))
		return send_refused(shell, route, REFUSED_NOT_A_PARTY, NULL);
	r = read_part(shell, &asked->target, (uint64_t)asked->offset, &part);
	if (r < 0)
		return r;
	if (r == 0)
		return send_refused(shell, route, REFUSED_PAYLOAD_UNKNOWN, NULL);
	if (part.bytes.n == 0)
		return send_refused(shell, route, REFUSED_MESSAGE_SHAPE, "offset");
	if (asked->size > 0)
		part.bytes.n = MIN(part.bytes.n, (size_t)asked->size);
	m = send_begin(shell, MESSAGE_CHUNK);
	m->reply_to = asked->number;
	m->request = asked->request;
	m->target = asked->target;
	m->offset = asked->offset;
	m->size = (int64_t)part.total;
	m->blob = part.bytes;
	shell->counts.chunks++;
	return send_reply(shell, route);
}

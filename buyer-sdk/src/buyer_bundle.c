#include "buyer-sdk/src/buyer_internal.h"

#include <stdlib.h>

void buyer_bundle_pending_free(struct pending *pending)
{
	if (!pending)
		return;
	memset(pending->content_key, 0, sizeof(pending->content_key));
	free(pending->bytes);
	free(pending);
}

static void bad(struct open_request *r, enum refusal refusal, const char *link)
{
	size_t n = link ? MIN(strlen(link), sizeof(r->field) - 1) : 0;

	r->kind = BUYER_BAD_BUNDLE;
	r->dirty = !r->forgotten;
	r->code = refusal;
	if (n > 0)
		memcpy(r->field, link, n);
	r->field[n] = '\0';
}

static enum refusal unwrap(const struct buyer *b, const struct opened *opened,
	uint8_t ret_key[static SEAL_KEY], const char **ret_link)
{
	const struct statement *release = message_find(opened, STATEMENT_RELEASE);
	const struct statement *request = message_find(opened, STATEMENT_REQUEST);
	const struct release *rel;

	*ret_link = "release";
	if (!release || !request)
		return REFUSED_BUNDLE_INCOMPLETE;
	rel = &release->body.release;

	struct seal_context context = {
		.request = request->id,
		.scope = rel->evidence,
		.recipient = b->config.author.signer.issuer,
	};

	*ret_link = "release.wrapped_key";
	for (size_t i = 0; i < b->config.n_encryption_secrets; i++) {
		uint8_t public_key[32];

		seal_public_key(b->config.encryption_secrets[i], public_key);
		if (span_eq(SPAN_OF(public_key), request->body.request.encryption_key))
			return seal_unwrap(rel->wrapped_key, b->config.encryption_secrets[i],
				&context, ret_key);
	}
	return REFUSED_PAYLOAD_KEY;
}

static void fill_result(struct buyer_result *out, const struct bundle_facts *f)
{
	const struct evidence *e = &f->evidence->body.evidence;

	assert(e->payload.type.n < sizeof(out->type)); /* the statement's table allows no more */
	memcpy(out->type, e->payload.type.p, e->payload.type.n);
	out->tier = f->tier;
	out->paid_micros = f->paid_micros;
	out->place = f->claims.place;
	out->accuracy_m = f->claims.accuracy_m;
	out->captured_at_ns = f->claims.at_ns;
	out->logged = f->logged;
}

/* All checks, then the payload and the file. */
static enum refusal open_bundle(struct buyer_step *s, struct open_request *r,
	const struct bundle *bundle, const char **ret_link)
{
	_cleanup_(buyer_result_deinit) struct buyer_result out = { 0 };
	struct bundle_facts facts;
	enum refusal refusal = bundle_check_links(
		bundle, s->buyer->config.keyring, s->buyer->room, &facts, ret_link);

	if (refusal != REFUSED_NOT)
		return refusal;
	*ret_link = "request";
	if (!id_eq(&facts.request->id, &r->id) ||
		!did_eq(&facts.request->issuer, &s->buyer->config.author.signer.issuer))
		return REFUSED_EVIDENCE_MISMATCH;

	size_t most = bundle->ciphertext.n + BUNDLE_EXTRA_MAX;

	out.n_payload = bundle_payload_size(&facts);
	out.payload = malloc(MAX(out.n_payload, (size_t)1));
	out.bundle = malloc(most);
	r->ready = calloc(1, sizeof(*r->ready));
	*ret_link = "payload.size";
	if (!out.payload || !out.bundle || !r->ready) {
		free(take(&r->ready));
		return REFUSED_PAYLOAD_SIZE;
	}

	struct buf plain = buf_over(out.payload, out.n_payload);
	struct buf file = buf_over(out.bundle, most);

	refusal = bundle_extract(bundle, &facts, &plain, ret_link);
	if (refusal == REFUSED_NOT && !bundle_write(bundle, &file))
		refusal = REFUSED_BUNDLE_SHAPE;
	if (refusal != REFUSED_NOT) {
		free(take(&r->ready));
		return refusal;
	}
	out.n_bundle = file.n;
	fill_result(&out, &facts);
	*r->ready = out;
	out = (struct buyer_result){ 0 };
	return REFUSED_NOT;
}

static void finish(struct buyer_step *s, struct open_request *r, const struct bundle *bundle)
{
	const char *link = NULL;
	enum refusal refusal = open_bundle(s, r, bundle, &link);

	if (refusal != REFUSED_NOT) {
		bad(r, refusal, link);
		return;
	}
	r->kind = BUYER_BUNDLE;
	r->dirty = !r->forgotten;
	r->code = REFUSED_NOT;
	r->field[0] = '\0';
	buyer_end(s, r);
}

/* The message's bytes go with the event: what the pull must find again is copied. */
static struct pending *keep(const struct bundle *bundle)
{
	struct pending *p = calloc(1, sizeof(*p));
	size_t n = bundle->receipt.n + bundle->note.n + 32 + 64 * MESSAGE_STATEMENTS_MAX;

	if (!p)
		return NULL;
	for (size_t i = 0; i < bundle->n_statements; i++)
		n += bundle->statements[i].n + 16;
	p->bytes = malloc(n);
	if (!p->bytes) {
		free(p);
		return NULL;
	}

	struct buf room = buf_over(p->bytes, n);

	p->bundle = *bundle;
	for (size_t i = 0; i < bundle->n_statements; i++)
		p->bundle.statements[i] = buf_copy(&room, bundle->statements[i]);
	p->bundle.receipt = buf_copy(&room, bundle->receipt);
	p->bundle.note = buf_copy(&room, bundle->note);
	memcpy(p->content_key, bundle->content_key.p, SEAL_KEY);
	p->bundle.content_key = SPAN_OF(p->content_key);
	p->bundle.ciphertext = SPAN(NULL, 0);
	assert(buf_ok(&room));
	return p;
}

static void pull(struct buyer_step *s, struct open_request *r, const struct bundle *bundle,
	const struct evidence *e)
{
	size_t size = seal_size((size_t)MAX(e->payload.size, INT64_C(0)));

	if (r->pending)
		return; /* the one that is under way */
	if (size == 0) {
		bad(r, REFUSED_PAYLOAD_SIZE, "evidence.payload.size");
		return;
	}
	r->pending = keep(bundle);
	if (!r->pending)
		return; /* no memory now: the next QUERY brings the bundle again */
	r->pending->ticket = ++s->buyer->n_tickets << 32 | (uint64_t)(r - s->buyer->requests);

	struct work_pull *work = effects_work(s->fx, WORK_PULL, r->pending->ticket, sizeof(*work));

	*work = (struct work_pull){
		/* What came by the escrow's own door never was at the broker. */
		.from = bundle->receipt.n > 0 ? s->buyer->config.broker : s->buyer->config.escrow,
		.request = r->id,
		.digest = e->payload.cipher_digest,
		.size = (int64_t)size,
	};
}

void buyer_bundle_take(struct buyer_step *s, struct open_request *r)
{
	const struct opened *opened = s->event->opened;
	uint8_t content_key[SEAL_KEY];
	struct bundle bundle;
	const char *link = "statements";
	enum refusal refusal = bundle_arrange(opened, s->buyer->config.keyring, &bundle);

	if (refusal == REFUSED_NOT)
		refusal = unwrap(s->buyer, opened, content_key, &link);
	if (refusal != REFUSED_NOT) {
		bad(r, refusal, link);
		return;
	}
	bundle.content_key = SPAN_OF(content_key);
	bundle.ciphertext = opened->message.blob;
	if (bundle.ciphertext.n > 0)
		finish(s, r, &bundle);
	else
		pull(s, r, &bundle, &message_find(opened, STATEMENT_EVIDENCE)->body.evidence);
	memset(content_key, 0, sizeof(content_key));
}

void buyer_bundle_pulled(struct buyer_step *s)
{
	const struct work_result *w = s->event->work;
	size_t index = (size_t)(w->ticket & UINT32_MAX);
	struct open_request *r = index < BUYER_REQUESTS_MAX ? &s->buyer->requests[index] : NULL;

	if (!r || !r->used || !r->pending || r->pending->ticket != w->ticket)
		return;

	struct pending *p = take(&r->pending);
	const struct span *bytes = w->detail;

	if (w->refusal != REFUSED_NOT) {
		bad(r, w->refusal, "payload");
	} else if (w->status == 0 && bytes && bytes->n > 0) {
		p->bundle.ciphertext = *bytes;
		finish(s, r, &p->bundle);
	}
	/* A broker that fell silent is asked again by the next QUERY. */
	buyer_bundle_pending_free(p);
}

#include "buyer-sdk/src/bundle.h"

#include "proto/cbor/cbor.h"
#include "proto/seal/digest.h"
#include "proto/seal/seal.h"
#include "proto/tlog/receipt.h"

enum refusal bundle_read(struct span data, struct bundle *ret_bundle)
{
	struct cbor_reader reader = cbor_over(data);
	struct cbor_item head;
	struct bundle bundle;
	enum refusal refusal = schema_decode(&bundle_schema, data, &bundle, NULL);

	if (refusal != REFUSED_NOT)
		return refusal;
	/* The schema passes over keys that it does not know; in a bundle each byte has to count. */
	uint64_t expected = bundle.note.n > 0 ? 6 : 4;

	refusal = cbor_read(&reader, &head);
	if (refusal != REFUSED_NOT)
		return refusal;
	if (head.type != CBOR_MAP || head.value != expected ||
		(bundle.note.n > 0) != (bundle.receipt.n > 0))
		return REFUSED_BUNDLE_SHAPE;
	*ret_bundle = bundle;
	return REFUSED_NOT;
}

bool bundle_write(const struct bundle *bundle, struct buf *out)
{
	struct bundle copy = *bundle;

	copy.present = true;
	copy.version = BUNDLE_VERSION;
	return schema_encode(&bundle_schema, &copy, out, NULL) == REFUSED_NOT && buf_ok(out);
}

static const struct statement *find_id(const struct opened *opened, const struct id *id)
{
	for (size_t i = 0; i < opened->n_statements; i++)
		if (id_eq(&opened->statements[i].id, id))
			return &opened->statements[i];
	return NULL;
}

struct arranged {
	const struct keyring_entry *keys[MESSAGE_STATEMENTS_MAX];
	size_t n_keys;
	const struct statement *flow[MESSAGE_STATEMENTS_MAX];
	size_t n_flow;
};

static bool need_key(struct arranged *a, const struct keyring_entry *entry)
{
	if (!entry)
		return false;
	for (size_t i = 0; i < a->n_keys; i++)
		if (a->keys[i] == entry)
			return true;
	if (a->n_keys == MESSAGE_STATEMENTS_MAX)
		return false;

	size_t at = a->n_keys++;

	for (; at > 0 && memcmp(a->keys[at - 1]->id.b, entry->id.b, sizeof(entry->id.b)) > 0; at--)
		a->keys[at] = a->keys[at - 1];
	a->keys[at] = entry;
	return true;
}

static bool add_flow(struct arranged *a, const struct statement *s)
{
	if (!s || a->n_flow == MESSAGE_STATEMENTS_MAX)
		return false;
	a->flow[a->n_flow++] = s;
	return true;
}

static bool arrange_flow(struct arranged *a, const struct opened *opened)
{
	const struct statement *assignment = message_find(opened, STATEMENT_ASSIGNMENT);
	const struct statement *hold = message_find(opened, STATEMENT_HOLD);
	const struct statement *settlement = message_find(opened, STATEMENT_SETTLEMENT);

	if (!add_flow(a, message_find(opened, STATEMENT_REQUEST)) || !add_flow(a, hold) ||
		!assignment || !settlement)
		return false;
	if (!id_eq(&assignment->body.assignment.earmark, &hold->id) &&
		!add_flow(a, find_id(opened, &assignment->body.assignment.earmark)))
		return false;
	if (!add_flow(a, assignment) || !add_flow(a, message_find(opened, STATEMENT_EVIDENCE)) ||
		!add_flow(a, message_find(opened, STATEMENT_DRAW)))
		return false;
	for (size_t i = 0; i < settlement->body.settlement.n_verdicts; i++)
		if (!add_flow(a, find_id(opened, &settlement->body.settlement.verdicts[i])))
			return false;
	return add_flow(a, message_find(opened, STATEMENT_RELEASE)) && add_flow(a, settlement);
}

enum refusal bundle_arrange(
	const struct opened *opened, const struct keyring *keyring, struct bundle *ret_bundle)
{
	struct arranged a = { 0 };
	struct receipt receipt;

	if (!arrange_flow(&a, opened))
		return REFUSED_BUNDLE_INCOMPLETE;
	for (size_t i = 0; i < a.n_flow; i++)
		if (!need_key(&a,
			    keyring_find_key(keyring, &a.flow[i]->issuer, a.flow[i]->envelope.kid)))
			return REFUSED_KEY_UNKNOWN;
	*ret_bundle = (struct bundle){
		.present = true,
		.version = BUNDLE_VERSION,
		.receipt = opened->message.receipt,
		.note = opened->message.note,
	};
	if (ret_bundle->receipt.n > 0) {
		if (receipt_parse(ret_bundle->receipt, &receipt) != REFUSED_NOT)
			return REFUSED_RECEIPT_INVALID;
		if (!need_key(&a, keyring_find_key(keyring, &receipt.issuer, SPAN_OF(receipt.key))))
			return REFUSED_KEY_UNKNOWN;
	}
	if (a.n_keys + a.n_flow > MESSAGE_STATEMENTS_MAX)
		return REFUSED_BUNDLE_SHAPE;
	for (size_t i = 0; i < a.n_keys; i++)
		ret_bundle->statements[ret_bundle->n_statements++] = a.keys[i]->bytes;
	for (size_t i = 0; i < a.n_flow; i++)
		ret_bundle->statements[ret_bundle->n_statements++] = a.flow[i]->bytes;
	return REFUSED_NOT;
}

size_t bundle_payload_size(const struct bundle_facts *facts)
{
	return (size_t)facts->evidence->body.evidence.payload.size;
}

static enum refusal check_plain(const struct bundle_facts *facts, struct span plain)
{
	struct digest digest = { 0 };

	if (digest_init(&digest) < 0)
		return REFUSED_PAYLOAD_DIGEST;
	digest_update(&digest, facts->claims.plain_salt);
	digest_update(&digest, plain);

	struct id salted = digest_final(&digest);

	digest_deinit(&digest);
	return id_eq(&salted, &facts->evidence->body.evidence.payload.plain_digest)
		       ? REFUSED_NOT
		       : REFUSED_PAYLOAD_DIGEST;
}

/* What a verifier passed must be these bytes. */
static enum refusal check_seen(const struct bundle *bundle, const struct bundle_facts *facts,
	const struct statement *verdict, const struct id *plain)
{
	const struct verdict *v = &verdict->body.verdict;
	struct seal_bound bound = {
		.request = facts->request->id,
		.subject = facts->evidence->id,
	};
	uint8_t bytes[sizeof(struct id)];
	struct buf out = BUF(bytes);

	if (v->outcome != CHECK_PASS || v->sealed_digest.n == 0)
		return REFUSED_NOT;
	if (seal_open_small(SEAL_DIGEST, bundle->content_key.p, &bound, v->sealed_digest, &out) !=
			REFUSED_NOT ||
		!span_eq(buf_span(&out), SPAN_OF(*plain)))
		return REFUSED_VERDICT_MISMATCH;
	return REFUSED_NOT;
}

enum refusal bundle_extract(const struct bundle *bundle, const struct bundle_facts *facts,
	struct buf *out, const char **ret_link)
{
	struct seal_bound bound = {
		.request = facts->request->id,
		.subject = facts->assignment->id,
	};
	size_t before = out->n;

	*ret_link = "payload";

	enum refusal refusal = seal_open(bundle->content_key.p, &bound, bundle->ciphertext, out);

	if (refusal != REFUSED_NOT)
		return refusal;

	struct span plain = SPAN(out->p + before, out->n - before);

	*ret_link = "payload.plain_digest";
	refusal = check_plain(facts, plain);
	if (refusal == REFUSED_NOT) {
		struct id digest = digest_of(plain);

		for (size_t i = 0; i < facts->n_verdicts && refusal == REFUSED_NOT; i++) {
			*ret_link = "verdict.sealed_digest";
			refusal = check_seen(bundle, facts, facts->verdicts[i], &digest);
		}
	}
	if (refusal != REFUSED_NOT) {
		memset(out->p + before, 0, out->n - before);
		out->n = before;
		return refusal;
	}
	*ret_link = NULL;
	return REFUSED_NOT;
}

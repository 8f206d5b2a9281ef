#include "proto/statement/statement.h"

#include "proto/base/be64.h"
#include "proto/base/sha256.h"
#include "proto/base/text.h"
#include "proto/cbor/cbor.h"

/* Domain tags: a hash of one purpose is never a hash of another. */
#define CHALLENGE_TAG "assay challenge v1"
#define DRAW_TAG      "assay draw v1"

/* The request that a statement belongs to, or NULL. */
static const struct id *request_of(enum statement_kind kind, const void *body)
{
	const struct schema *schema = statement_schema(kind);

	for (size_t i = 0; schema && i < schema->n_fields; i++)
		if (schema->fields[i].key == KEY_request && schema->fields[i].type == FIELD_ID)
			return (const struct id *)((const uint8_t *)body +
						   schema->fields[i].offset);
	return NULL;
}

static struct span subject_of(enum statement_kind kind, const void *body, const struct did *issuer,
	char text[static ID_TEXT_MAX])
{
	const struct id *request = request_of(kind, body);

	if (request)
		id_text(request, text);
	else
		did_text(issuer, text);
	return SPAN_STR(text);
}

enum refusal statement_decode(
	struct span bytes, struct statement *ret_statement, const char **ret_field)
{
	struct statement *s = ret_statement;
	char subject[ID_TEXT_MAX];

	if (ret_field)
		*ret_field = NULL;
	s->kind = STATEMENT_NONE;

	enum refusal refusal = cose_parse(bytes, &s->envelope);

	if (refusal != REFUSED_NOT)
		return refusal;

	enum statement_kind kind = statement_kind_of_type(s->envelope.content_type);
	const struct schema *schema = statement_schema(kind);

	if (!schema)
		return REFUSED_STATEMENT_KIND;
	refusal = schema_decode(schema, s->envelope.parts.payload, &s->body, ret_field);
	if (refusal != REFUSED_NOT)
		return refusal;

	const struct common *c = &s->body.head.c;

	if (c->version != STATEMENT_VERSION)
		return REFUSED_STATEMENT_VERSION;
	if (s->envelope.issued_at_s != c->at_ns / NS_PER_S ||
		!span_eq(s->envelope.subject,
			subject_of(kind, &s->body, &s->envelope.issuer, subject)))
		return REFUSED_COSE_HEADER;
	s->kind = kind;
	s->id = s->envelope.id;
	s->issuer = s->envelope.issuer;
	s->bytes = bytes;
	return REFUSED_NOT;
}

enum refusal statement_sign(enum statement_kind kind, void *body, const struct signer *signer,
	struct buf *out, struct id *ret_id, const char **ret_field)
{
	const struct schema *schema = statement_schema(kind);
	struct common *c = &((struct common_head *)body)->c;
	uint8_t bytes[COSE_MAX];
	struct buf payload = BUF(bytes);
	char subject[ID_TEXT_MAX];

	if (ret_field)
		*ret_field = NULL;
	if (!schema)
		return REFUSED_STATEMENT_KIND;
	c->version = STATEMENT_VERSION;

	enum refusal refusal = schema_encode(schema, body, &payload, ret_field);

	if (refusal != REFUSED_NOT)
		return refusal;

	struct cose_header header = {
		.content_type = SPAN_STR(statement_content_type(kind)),
		.subject = subject_of(kind, body, &signer->issuer, subject),
		.issued_at_s = c->at_ns / NS_PER_S,
	};

	if (!cose_sign(signer, &header, buf_span(&payload), out, ret_id))
		return REFUSED_STATEMENT_TOO_LARGE;
	return REFUSED_NOT;
}

struct id statement_challenge(const struct id *request, const struct did *node, int64_t slot,
	int64_t attempt, struct span salt, struct span checkpoint)
{
	uint8_t numbers[16];

	be64_put(numbers, (uint64_t)slot);
	be64_put(numbers + 8, (uint64_t)attempt);
	/* Fixed lengths come before the one that varies, so no two inputs give the same bytes. */
	return SHA256(SPAN_STR(CHALLENGE_TAG), SPAN_OF(*request), SPAN_OF(*node), SPAN_OF(numbers),
		salt, checkpoint);
}

struct id statement_draw_seed(const struct id *secret, struct span request_salt,
	const struct id *evidence, struct span checkpoint)
{
	return SHA256(
		SPAN_STR(DRAW_TAG), SPAN_OF(*secret), request_salt, SPAN_OF(*evidence), checkpoint);
}

/* A number below n from seed and counter, without the bias of a plain remainder (rejection). */
static size_t draw_number(const struct id *seed, uint64_t *counter, size_t n)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % n;

	for (;;) {
		uint8_t at[8];
		uint64_t value = 0;

		be64_put(at, (*counter)++);

		struct id hash = SHA256(SPAN_OF(*seed), SPAN_OF(at));

		for (int i = 0; i < 8; i++)
			value = value << 8 | hash.b[i];
		if (value < limit)
			return (size_t)(value % n);
	}
}

static bool contains(const struct did *list, size_t n, const struct did *did)
{
	for (size_t i = 0; i < n; i++)
		if (did_eq(&list[i], did))
			return true;
	return false;
}

size_t statement_draw_panel(const struct id *seed, const struct did *pool, size_t n_pool, size_t n,
	struct did ret_panel[static PANEL_MAX])
{
	struct did left[POOL_MAX];
	size_t n_left = 0;
	uint64_t counter = 0;

	if (n_pool > POOL_MAX || n > PANEL_MAX)
		return 0;
	for (size_t i = 0; i < n_pool; i++)
		if (!contains(left, n_left, &pool[i]))
			left[n_left++] = pool[i];
	if (n > n_left)
		return 0;
	for (size_t i = 0; i < n; i++) {
		size_t at = draw_number(seed, &counter, n_left);

		ret_panel[i] = left[at];
		left[at] = left[--n_left];
	}
	return n;
}

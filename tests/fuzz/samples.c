#include "tests/fuzz/samples.h"

#include "proto/base/sha256.h"
#include "tests/support/fill.h"
#include "tests/unit/trade_fixture.h"

#include <stdlib.h>

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Room that stays. */
static struct buf room(size_t n)
{
	uint8_t *p = malloc(n);

	must(p != NULL);
	return buf_over(p, n);
}

const struct bundle *samples_bundle(void)
{
	static struct bundle bundle;
	static struct trade *t;

	if (t)
		return &bundle;
	t = trade_new();
	trade_request(t);
	trade_assign(t, 900000);
	trade_settle(t);

	const struct trade_party *const signers[] = { &t->buyer, &t->node, &t->broker, &t->escrow,
		&t->verifiers[0], &t->verifiers[1], &t->verifiers[2] };
	const struct trade_statement *const flow[] = { &t->request, &t->hold, &t->assignment,
		&t->evidence, &t->draw, &t->verdicts[0], &t->verdicts[1], &t->release,
		&t->settlement };
	struct keyring *used = keyring_new(16);
	struct statement *s = calloc(1, sizeof(*s));
	struct id ids[ARRAY_SIZE(signers)];

	must(used && s);
	/* The keys that signed something, in the order of their ids. */
	for (size_t i = 0; i < ARRAY_SIZE(signers); i++) {
		bool signed_something = false;
		size_t at = bundle.n_statements;

		for (size_t k = 0; k < ARRAY_SIZE(flow); k++) {
			must(statement_decode(flow[k]->bytes, s, NULL) == REFUSED_NOT);
			signed_something = signed_something ||
					   did_eq(&s->issuer, &signers[i]->root.issuer);
		}
		if (!signed_something)
			continue;
		must(statement_decode(signers[i]->keys, s, NULL) == REFUSED_NOT);
		for (; at > 0 && memcmp(ids[at - 1].b, s->id.b, sizeof(s->id.b)) > 0; at--) {
			ids[at] = ids[at - 1];
			bundle.statements[at] = bundle.statements[at - 1];
		}
		ids[at] = s->id;
		bundle.statements[at] = signers[i]->keys;
		bundle.n_statements++;
	}
	for (size_t k = 0; k < ARRAY_SIZE(flow); k++)
		bundle.statements[bundle.n_statements++] = flow[k]->bytes;
	bundle.present = true;
	bundle.version = BUNDLE_VERSION;
	bundle.receipt = t->receipt;
	bundle.note = t->note;
	bundle.content_key = SPAN_OF(t->content_key);
	bundle.ciphertext = t->ciphertext;
	keyring_free(used);
	free(s);
	return &bundle;
}

struct span samples_bundle_file(void)
{
	static struct buf file;

	if (!file.p) {
		file = room(64 * 1024);
		must(schema_encode(&bundle_schema, samples_bundle(), &file, NULL) == REFUSED_NOT);
	}
	return buf_span(&file);
}

/* A second signature line under the first. */
static void cosign(
	const struct signer *signer, struct span name, struct span text, struct buf *note)
{
	uint8_t bytes[NOTE_MAX];
	struct buf own = BUF(bytes);

	must(note_sign(signer, name, text, &own));
	buf_put(note, own.p + text.n + 1, own.n - text.n - 1);
	must(buf_ok(note));
}

const struct samples_log *samples_log(void)
{
	static struct samples_log s;
	static const struct id other = { { 2 } };
	struct signer witness = fill_signer(2);
	struct buf text, note, receipt;
	struct receipt_place place = { .size = 2, .n_path = 1 };
	const uint8_t node = 1; /* RFC 9162, 2.1.1: the hash of two nodes */

	if (s.note.p)
		return &s;
	text = room(CHECKPOINT_TEXT_MAX);
	note = room(NOTE_MAX);
	receipt = room(RECEIPT_MAX);
	s.log = fill_signer(1);
	s.entry = (struct entry){ .type = ENTRY_EVIDENCE, .id = { { 1 } } };
	place.path[0] = entry_leaf(&(struct entry){ .type = ENTRY_KEYS, .id = other });

	struct id leaf = entry_leaf(&s.entry);

	s.checkpoint = (struct checkpoint){
		.origin = SPAN_STR(SAMPLES_LOG_NAME),
		.size = 2,
		.root = SHA256(SPAN_OF(node), SPAN_OF(leaf), SPAN_OF(place.path[0])),
	};
	must(note_key_init(&s.keys[0], SPAN_STR(SAMPLES_LOG_NAME), s.log.public_key) == 0 &&
		note_key_init(&s.keys[1], SPAN_STR("witness"), witness.public_key) == 0);
	checkpoint_write(&s.checkpoint, &text);
	must(note_sign(&s.log, SPAN_STR(SAMPLES_LOG_NAME), buf_span(&text), &note));
	cosign(&witness, SPAN_STR("witness"), buf_span(&text), &note);
	must(receipt_write(
		&s.log, SPAN_STR(SAMPLES_LOG_NAME), &place, &s.checkpoint.root, &receipt));
	s.text = buf_span(&text);
	s.receipt = buf_span(&receipt);
	s.note = buf_span(&note);
	return &s;
}

const struct samples_sealed *samples_sealed(void)
{
	static struct samples_sealed s;
	static const size_t sizes[SAMPLES_SEALED] = { 0, 21, SEAL_RECORD, SEAL_RECORD + 5 };
	const uint8_t ephemeral[32] = { 5 };
	uint8_t public_key[32];
	struct buf wrapped;

	if (s.wrapped.p)
		return &s;
	memset(s.key, 1, sizeof(s.key));
	memset(s.secret, 2, sizeof(s.secret));
	memset(&s.bound, 3, sizeof(s.bound));
	memset(&s.context, 4, sizeof(s.context));
	for (size_t i = 0; i < SAMPLES_SEALED; i++) {
		uint8_t nonce[SEAL_NONCE] = { (uint8_t)i };
		struct buf plain = room(sizes[i] + 1);
		struct buf sealed = room(seal_size(sizes[i]));

		while (plain.n < sizes[i])
			buf_byte(&plain, (uint8_t)(plain.n * 7));
		must(seal_content(s.key, nonce, &s.bound, buf_span(&plain), &sealed));
		s.plain[i] = buf_span(&plain);
		s.content[i] = buf_span(&sealed);
	}
	for (size_t i = 0; i < ARRAY_SIZE(s.small); i++) {
		uint8_t nonce[SEAL_SMALL_NONCE] = { (uint8_t)i };
		struct buf sealed = room(s.plain[1].n + SEAL_SMALL_EXTRA);

		must(seal_small((enum seal_purpose)i, s.key, nonce, &s.bound, s.plain[1], &sealed));
		s.small[i] = buf_span(&sealed);
	}
	wrapped = room(SEAL_WRAPPED);
	seal_public_key(s.secret, public_key);
	must(seal_wrap(s.key, public_key, ephemeral, &s.context, &wrapped));
	s.wrapped = buf_span(&wrapped);
	return &s;
}

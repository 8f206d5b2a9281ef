#include "buyer-sdk/cli/readable.h"

#include "buyer-sdk/cli/generic.h"
#include "escrow/core/escrow.h"
#include "proto/base/text.h"
#include "proto/core/slot.h"
#include "proto/os/file.h"
#include "proto/tlog/receipt.h"

#include <stdio.h>
#include <time.h>

struct word {
	int64_t value;
	const char *name;
};

static const struct word results[] = { { CHECK_PASS, "pass" }, { CHECK_FAIL, "fail" },
	{ CHECK_INCONCLUSIVE, "inconclusive" }, { 0, NULL } };
static const struct word silences[] = { { SILENCE_REFUND, "refund" }, { SILENCE_PAY, "pay" },
	{ 0, NULL } };
static const struct word purposes[] = { { ACCOUNT_AVAILABLE, "available" },
	{ ACCOUNT_HELD, "held" }, { ACCOUNT_BOND, "bond" }, { ACCOUNT_FEE, "fee" },
	{ ACCOUNT_VERIFIER_PAY, "verifier_pay" }, { ACCOUNT_RAIL_CLEARING, "rail_clearing" },
	{ 0, NULL } };
static const struct word bases[] = { { BASIS_VERDICTS, "verdicts" }, { BASIS_DEFAULT, "default" },
	{ BASIS_RULING, "ruling" }, { BASIS_SILENCE, "silence" }, { BASIS_NO_SHOW, "no-show" },
	{ BASIS_WITHHELD, "withheld" }, { BASIS_CANCELLED, "cancelled" },
	{ BASIS_EXPIRED, "expired" }, { 0, NULL } };
static const struct word roles[] = { { ROLE_BUYER, "buyer" }, { ROLE_NODE, "node" },
	{ ROLE_BROKER, "broker" }, { ROLE_ESCROW, "escrow" }, { ROLE_VERIFIER, "verifier" },
	{ 0, NULL } };
static const struct word tiers[] = { { TIER_LIVE_CLAIMED, "live-claimed" },
	{ TIER_REPLAY, "replay" }, { TIER_SYNTHETIC, "synthetic" }, { 0, NULL } };
static const struct word sources[] = { { SOURCE_LIVE, "live" }, { SOURCE_REPLAY, "replay" },
	{ SOURCE_SYNTHETIC, "synthetic" }, { 0, NULL } };
static const struct word algorithms[] = { { COSE_ALG_EDDSA, "EdDSA" },
	{ COSE_ALG_ED25519, "Ed25519" }, { COSE_ALG_ES256, "ES256" }, { COSE_ALG_ESP256, "ESP256" },
	{ 0, NULL } };
static const struct word transfers[] = { { TRANSFER_DEPOSIT, "deposit" }, { TRANSFER_HOLD, "hold" },
	{ TRANSFER_PAY, "pay" }, { TRANSFER_VERIFIER, "verifier" }, { TRANSFER_REFUND, "refund" },
	{ 0, NULL } };

/* Fields whose numbers have names, wherever they stand. */
static const struct {
	const char *field;
	const struct word *words;
} named[] = {
	{ "result", results }, { "on_silence", silences }, { "account_purpose", purposes },
	{ "from_purpose", purposes }, { "basis", bases }, { "role", roles }, { "side", roles },
	{ "tier", tiers }, { "source", sources }, { "working_alg", algorithms },
	{ "kind", transfers }, /* as a number it is a transfer's */
};

static json_t *word(const struct word *words, int64_t value)
{
	for (; words->name; words++)
		if (words->value == value)
			return json_string(words->name);
	return json_integer(value);
}

/* With all nine digits: nothing that was signed is lost. */
static json_t *time_json(int64_t at_ns)
{
	time_t seconds = (time_t)(at_ns / NS_PER_S);
	struct tm tm;
	char text[48];
	size_t n;

	if (!gmtime_r(&seconds, &tm))
		return json_integer(at_ns);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	if (n == 0)
		return json_integer(at_ns);
	snprintf(text + n, sizeof(text) - n, ".%09dZ", (int)(at_ns % NS_PER_S));
	return json_string(text);
}

static bool is_time(const char *name)
{
	size_t n = strlen(name);

	return n > 3 && strcmp(name + n - 3, "_ns") == 0 && strcmp(name, "uncertainty_ns") != 0;
}

static json_t *source_list(int64_t bits)
{
	json_t *list = json_array();

	for (const struct word *w = sources; w->name; w++)
		if (bits & w->value)
			json_array_append_new(list, json_string(w->name));
	return list;
}

static json_t *refusal_json(int64_t code)
{
	return code > 0 && code <= INT32_MAX && strcmp(refusal_name((enum refusal)code), "UNKNOWN")
		       ? json_string(refusal_name((enum refusal)code))
		       : json_integer(code);
}

static json_t *state_json(int64_t state)
{
	return state > SLOT_NONE && state < SLOT_STATES ? json_string(slot_state_name(state))
							: json_integer(state);
}

static json_t *int_json(
	const struct schema *schema, const struct field *f, const void *base, int64_t value)
{
	if (is_time(f->name))
		return time_json(value);
	if (strcmp(f->name, "sources") == 0)
		return source_list(value);
	if (strcmp(f->name, "code") == 0 || strcmp(f->name, "reason") == 0)
		return refusal_json(value);
	if (strcmp(f->name, "message") == 0)
		return json_string(message_type_name(value));
	if (strcmp(f->name, "outcome") == 0)
		return strcmp(schema->name, "verdict") == 0 ? word(results, value)
							    : state_json(value);
	if (strcmp(f->name, "state") == 0) {
		/* CLOSE carries its basis there. */
		bool closes = schema == &message_schema &&
			      ((const struct message *)base)->message == MESSAGE_CLOSE;

		return closes ? word(bases, value) : state_json(value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(named); i++)
		if (strcmp(f->name, named[i].field) == 0)
			return word(named[i].words, value);
	return json_integer(value);
}

static json_t *receipt_json(struct span bytes)
{
	struct receipt receipt;
	char did[DID_TEXT_MAX];

	if (receipt_parse(bytes, &receipt) != REFUSED_NOT)
		return generic_bytes(bytes);
	return json_pack("{s:s,s:o,s:I,s:I}", "issuer", did_text(&receipt.issuer, did), "origin",
		generic_text(receipt.origin), "index", (json_int_t)receipt.place.index, "size",
		(json_int_t)receipt.place.size);
}

static json_t *bytes_json(const struct field *f, struct span bytes)
{
	json_t *inner = NULL;
	enum refusal refusal;

	if (strcmp(f->name, "statements") == 0 || strcmp(f->name, "offering_bytes") == 0)
		inner = readable_statement(bytes, &refusal);
	else if (strcmp(f->name, "receipt") == 0)
		inner = receipt_json(bytes);
	return inner ? inner : generic_bytes(bytes);
}

static json_t *value_json(
	const struct schema *schema, const struct field *f, const uint8_t *base, const uint8_t *at)
{
	char id[ID_TEXT_MAX], did[DID_TEXT_MAX];
	struct span string;
	struct id bytes;
	struct did who;
	int64_t number;
	bool flag;

	switch ((enum field_type)f->type) {
	case FIELD_INT:
		memcpy(&number, at, sizeof(number));
		return int_json(schema, f, base, number);
	case FIELD_BOOL:
		memcpy(&flag, at, sizeof(flag));
		return json_boolean(flag);
	case FIELD_ID:
		memcpy(&bytes, at, sizeof(bytes));
		return json_string(id_text(&bytes, id));
	case FIELD_DID:
		memcpy(&who, at, sizeof(who));
		return json_string(did_text(&who, did));
	case FIELD_BYTES:
		memcpy(&string, at, sizeof(string));
		return bytes_json(f, string);
	case FIELD_TEXT:
	case FIELD_LINES:
		memcpy(&string, at, sizeof(string));
		return generic_text(string);
	case FIELD_MAP:
		return readable_struct(f->map, at);
	}
	return NULL;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* What is absent was zero or empty: it is left out. */
static bool is_absent(const struct field *f, const uint8_t *at)
{
	struct span string;
	bool flag;

	switch ((enum field_type)f->type) {
	case FIELD_INT:
		return all_zero(at, sizeof(int64_t));
	case FIELD_BOOL:
	case FIELD_MAP:
		memcpy(&flag, at, sizeof(flag));
		return !flag;
	case FIELD_ID:
	case FIELD_DID:
		return all_zero(at, sizeof(struct id));
	case FIELD_BYTES:
	case FIELD_TEXT:
	case FIELD_LINES:
		memcpy(&string, at, sizeof(string));
		return string.n == 0;
	}
	return true;
}

json_t *readable_struct(const struct schema *schema, const void *value)
{
	const uint8_t *base = value;
	json_t *object = json_object();

	for (size_t i = 0; object && i < schema->n_fields; i++) {
		const struct field *f = &schema->fields[i];
		const uint8_t *at = base + f->offset;
		size_t n = 0;
		json_t *j;

		if (f->most == 0) {
			if (!f->required && is_absent(f, at))
				continue;
			j = value_json(schema, f, base, at);
		} else {
			memcpy(&n, base + f->count, sizeof(n));
			if (n == 0 && !f->required)
				continue;
			j = json_array();
			for (size_t k = 0; k < n; k++)
				json_array_append_new(
					j, value_json(schema, f, base, at + k * f->stride));
		}
		if (!j || json_object_set_new(object, f->name, j) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

json_t *readable_statement(struct span bytes, enum refusal *ret_refusal)
{
	_cleanup_(freep) struct statement *s = calloc(1, sizeof(*s));
	char id[ID_TEXT_MAX], did[DID_TEXT_MAX];

	*ret_refusal = s ? statement_decode(bytes, s, NULL) : REFUSED_NOT;
	if (!s || *ret_refusal != REFUSED_NOT)
		return NULL;
	return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o}", "statement", statement_kind_name(s->kind),
		"id", id_text(&s->id, id), "issuer", did_text(&s->issuer, did), "algorithm",
		word(algorithms, (int64_t)s->envelope.alg), "key", generic_bytes(s->envelope.kid),
		"issued_at_s", json_integer(s->envelope.issued_at_s), "body",
		readable_struct(statement_schema(s->kind), &s->body));
}

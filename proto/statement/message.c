#include "proto/statement/message.h"

#include "proto/cbor/cbor.h"
#include "proto/statement/tables.h"

static const struct field moment_fields[] = {
	TIME(moment, at_ns, true),
	INT(moment, state, true, 0, 255),
};
static const struct schema moment_schema = SCHEMA(moment, moment_fields);

static const struct field balance_fields[] = {
	TEXT(balance, asset, true, 3, 128),
	INT(balance, amount_micros, true, INT64_MIN, INT64_MAX),
	DID(balance, account, true),
	INT(balance, account_purpose, true, ACCOUNT_AVAILABLE, ACCOUNT_RAIL_CLEARING),
};
static const struct schema balance_schema = SCHEMA(balance, balance_fields);

static const struct field transfer_fields[] = {
	TIME(transfer, at_ns, true),
	ID(transfer, request, false),
	TEXT(transfer, asset, true, 3, 128),
	INT(transfer, kind, true, 0, 255),
	MICROS(transfer, amount_micros, true),
	INT(transfer, account_purpose, true, ACCOUNT_AVAILABLE, ACCOUNT_RAIL_CLEARING),
	INT(transfer, seq, true, 0, INT64_MAX),
	DID(transfer, from, true),
	DID(transfer, to, true),
	INT(transfer, from_purpose, true, ACCOUNT_AVAILABLE, ACCOUNT_RAIL_CLEARING),
};
static const struct schema transfer_schema = SCHEMA(transfer, transfer_fields);

static const struct field summary_fields[] = {
	TIME(summary, at_ns, true),
	ID(summary, request, true),
	INT(summary, state, true, 0, 255),
};
static const struct schema summary_schema = SCHEMA(summary, summary_fields);

static const struct field message_fields[] = {
	ID(message, request, false),
	INT(message, slot, false, 0, 63),
	INT(message, attempt, false, 0, 8),
	DID(message, node, false),
	TEXT(message, asset, false, 3, 128),
	INT(message, price_micros, false, INT64_MIN, INT64_MAX),
	INT(message, code, false, 0, 65535),
	INT(message, amount_micros, false, INT64_MIN, INT64_MAX),
	INT(message, size, false, 0, PAYLOAD_MAX + (1 << 20)),
	MANY_MAPS(message, lines, false, transfer_schema),
	ID(message, target, false),
	INT(message, message, true, 1, 255),
	INT(message, number, true, 0, INT64_MAX),
	INT(message, reply_to, false, 0, INT64_MAX),
	INT(message, state, false, 0, 255),
	TEXT(message, text, false, 1, 512),
	INT(message, offset, false, 0, PAYLOAD_MAX + (1 << 20)),
	BYTES(message, blob, false, 1, PAYLOAD_CHUNK + 1024),
	LINES(message, note, false, 1, 1024),
	BYTES(message, receipt, false, 1, 4096),
	BYTES(message, wrapped, false, 1, 256),
	MANY(message, statements, FIELD_BYTES, false, 1, COSE_MAX),
	MANY_MAPS(message, history, false, moment_schema),
	BYTES(message, operation, false, 16, 16),
	MANY_MAPS(message, balances, false, balance_schema),
	INT(message, cursor, false, 0, INT64_MAX),
	MANY_MAPS(message, requests, false, summary_schema),
	INT(message, connected, false, 0, INT64_MAX),
};
const struct schema message_schema = SCHEMA(message, message_fields);

const char *message_type_name(int64_t type)
{
	if (type < 0 || type > UINT8_MAX)
		return "UNKNOWN";
	switch ((enum message_type)type) {
#define NAME(n) \
	case MESSAGE_##n: \
		return #n
		NAME(NONE);
		NAME(HELLO);
		NAME(WELCOME);
		NAME(PING);
		NAME(PONG);
		NAME(REFUSED);
		NAME(OFFER);
		NAME(OFFERED);
		NAME(EVIDENCE);
		NAME(DECLINE);
		NAME(ASSIGN);
		NAME(RECEIPT);
		NAME(REQUEST);
		NAME(QUERY);
		NAME(CANCEL);
		NAME(NODES);
		NAME(STATUS);
		NAME(BUNDLE);
		NAME(REQUESTS);
		NAME(OFFERINGS);
		NAME(FUND);
		NAME(CLOSE);
		NAME(SUBMISSION);
		NAME(FUNDED);
		NAME(OUTCOME);
		NAME(ENLIST);
		NAME(DRAW);
		NAME(VERDICT);
		NAME(VERDICT_TAKEN);
		NAME(FETCH);
		NAME(CHUNK);
		NAME(DEPOSIT);
		NAME(BALANCE);
		NAME(HISTORY);
		NAME(ACCOUNT);
		NAME(RELEASE_QUERY);
#undef NAME
	}
	return "UNKNOWN";
}

/* The sender's number of a message that is refused as a whole, for the reply; 0 where there is
 * none. */
static int64_t number_of(struct span data)
{
	struct cbor_reader r = cbor_over(data);
	struct cbor_item item;
	int64_t key;
	int64_t number;

	if (cbor_check(data) != REFUSED_NOT || cbor_read(&r, &item) != REFUSED_NOT ||
		item.type != CBOR_MAP)
		return 0;
	for (uint64_t left = item.value; left > 0; left--) {
		if (cbor_read(&r, &item) != REFUSED_NOT || !cbor_int(&item, &key))
			return 0;
		if (key == KEY_number)
			return cbor_read(&r, &item) == REFUSED_NOT && cbor_int(&item, &number)
				       ? MAX(number, INT64_C(0))
				       : 0;
		if (cbor_skip(&r) != REFUSED_NOT)
			return 0;
	}
	return 0;
}

/* That the escrow's own signed hold names this very request. */
static bool held(const struct opened *opened, const struct statement *request, bool verified[])
{
	for (size_t i = 0; i < opened->n_statements; i++) {
		const struct statement *s = &opened->statements[i];

		if (s->kind == STATEMENT_HOLD && verified[i] &&
			did_eq(&s->issuer, &request->body.request.escrow) &&
			id_eq(&s->body.hold.request, &request->id))
			return true;
	}
	return false;
}

static bool carried(const struct opened *opened, enum statement_kind kind)
{
	return opened->courier && opened->message.message == MESSAGE_OUTCOME &&
	       (kind == STATEMENT_DRAW || kind == STATEMENT_VERDICT || kind == STATEMENT_RELEASE);
}

static enum refusal verify_all(struct opened *opened, struct keyring *keyring)
{
	bool verified[MESSAGE_STATEMENTS_MAX] = { false };

	/* Requests last: a hold may speak for them. */
	for (int requests = 0; requests < 2; requests++)
		for (size_t i = 0; i < opened->n_statements; i++) {
			const struct statement *s = &opened->statements[i];
			enum refusal refusal;

			if ((s->kind == STATEMENT_REQUEST) != requests ||
				carried(opened, s->kind) || (requests && held(opened, s, verified)))
				continue;
			refusal = keyring_verify(keyring, s);
			if (refusal != REFUSED_NOT)
				return refusal;
			verified[i] = true;
		}
	return REFUSED_NOT;
}

enum refusal message_open(struct span data, struct keyring *keyring,
	void (*on_keys)(void *ctx, const struct statement *keys), void *ctx, struct opened *opened)
{
	enum refusal refusal = REFUSED_MESSAGE_SHAPE;

	opened->message = (struct message){ 0 };
	opened->n_statements = 0;
	opened->field = NULL;
	if (data.n > MESSAGE_MAX)
		return refusal;
	refusal = schema_decode(&message_schema, data, &opened->message, &opened->field);
	if (refusal != REFUSED_NOT) {
		opened->message.number = number_of(data);
		return refusal;
	}
	for (size_t i = 0; i < opened->message.n_statements; i++) {
		struct statement *s = &opened->statements[opened->n_statements];
		bool is_new = false;

		refusal = statement_decode(opened->message.statements[i], s, &opened->field);
		if (refusal != REFUSED_NOT)
			return refusal;
		if (s->kind != STATEMENT_KEYS_OF) {
			opened->n_statements++;
			continue;
		}
		refusal = keyring_learn(keyring, s, &is_new);
		if (refusal != REFUSED_NOT)
			return refusal;
		if (is_new && on_keys)
			on_keys(ctx, s);
	}
	return verify_all(opened, keyring);
}

const struct statement *message_find(const struct opened *opened, enum statement_kind kind)
{
	for (size_t i = 0; i < opened->n_statements; i++)
		if (opened->statements[i].kind == kind)
			return &opened->statements[i];
	return NULL;
}

bool message_encode(const struct message *message, struct buf *out)
{
	return schema_encode(&message_schema, message, out, NULL) == REFUSED_NOT;
}

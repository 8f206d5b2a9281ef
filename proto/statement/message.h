#pragma once
/*
 * What programs say to each other. A message is one frame: a CBOR map (schema.h) of at most
 * MESSAGE_MAX bytes. Authority comes from the statements in it, never from the message itself. Any
 * message may be lost, repeated, late or out of order. `number` is the sender's own number for it;
 * a reply names it in reply_to. Requests for action are idempotent by the ids of the statements in
 * them, or by `operation`.
 */
#include "proto/statement/keyring.h"
#include "proto/statement/statement.h"

#define MESSAGE_MAX            (768 * 1024)
#define MESSAGE_STATEMENTS_MAX 40
#define MESSAGE_HISTORY_MAX    32
#define MESSAGE_BALANCES_MAX   32
#define MESSAGE_REQUESTS_MAX   64
#define MESSAGE_PROTOCOL       1
/* Payloads up to this size travel inside EVIDENCE, SUBMISSION, DRAW and BUNDLE; larger ones in
 * chunks. */
#define PAYLOAD_INLINE_MAX (32 * 1024)
#define PAYLOAD_CHUNK      (128 * 1024)
#define PAYLOAD_MAX        (INT64_C(64) << 20)

/* Wire numbers: append only. "+S" names the statements a message carries, after any `keys` that
 * they need. */
enum message_type {
	MESSAGE_NONE = 0,
	/* connection */
	MESSAGE_HELLO =
		1, /* client: keys, greeting. First message of every identity on a connection */
	MESSAGE_WELCOME = 2, /* server: keys, greeting */
	MESSAGE_PING = 3, /* either, after some seconds of silence; answered by PONG */
	MESSAGE_PONG = 4,
	MESSAGE_REFUSED = 5, /* code, text (a sentence), reply_to; request or target where known */
	/* node to broker */
	MESSAGE_OFFER = 10, /* +offering; replaces the node's earlier revision of that kind */
	MESSAGE_OFFERED = 11, /* target: the offering's id */
	MESSAGE_EVIDENCE = 12, /* +evidence; blob: the ciphertext if it fits inline. To the escrow's
				* own door also +request, hold, [earmark], assignment */
	MESSAGE_DECLINE = 13, /* +decline */
	/* broker to node */
	MESSAGE_ASSIGN = 14, /* +request, hold, [earmark], assignment */
	MESSAGE_RECEIPT = 15, /* target: evidence; receipt: COSE Receipt; note: checkpoint */
	/* buyer to broker */
	MESSAGE_REQUEST = 20, /* +request; answered by STATUS or REFUSED */
	MESSAGE_QUERY =
		21, /* request (or absent: all of mine); answered by STATUS, BUNDLE or REQUESTS */
	MESSAGE_CANCEL = 22, /* +cancel; answered by STATUS or REFUSED */
	MESSAGE_NODES = 23, /* answered by NODES with offerings */
	/* broker to buyer */
	MESSAGE_STATUS =
		24, /* request, state, history, [node, code, text]; also sent unasked on change */
	MESSAGE_BUNDLE = 25, /* request, state, history; +request, hold, [earmark], assignment,
			      * evidence, draw, verdicts, release, settlement; receipt, note; blob:
			      * ciphertext if inline */
	MESSAGE_REQUESTS = 26, /* requests */
	MESSAGE_OFFERINGS =
		27, /* +offerings; bit i of connected: the node of the i-th is there; cursor: the next page */
	/* broker to escrow */
	MESSAGE_FUND = 30, /* +request, offering; [+decline of the attempt before]; slot, attempt,
			    * price_micros. answered by FUNDED or REFUSED */
	MESSAGE_CLOSE =
		31, /* request, slot; basis in `state`; [+cancel, evidence]; answered by OUTCOME */
	MESSAGE_SUBMISSION = 32, /* +assignment, evidence; receipt, note; blob if inline; size.
				  * Repeated until OUTCOME. */
	/* escrow to broker, node, buyer */
	MESSAGE_FUNDED = 33, /* +hold, [earmark] */
	MESSAGE_OUTCOME =
		34, /* request, state (enum slot_state); +[draw, verdicts, release], settlement.
		     * With attempts left after FAILED: state OPEN and no settlement */
	/* escrow and verifier */
	MESSAGE_ENLIST = 40, /* verifier: here I am; repeated as heartbeat */
	MESSAGE_DRAW = 41, /* +request, hold, [earmark], assignment, evidence, draw; receipt, note;
			    * wrapped: content key for this verifier; blob if inline, else fetched
			    * by digest */
	MESSAGE_VERDICT = 42, /* +verdict; answered by VERDICT_TAKEN or REFUSED */
	MESSAGE_VERDICT_TAKEN = 43,
	/* payloads: pulled by whoever needs them, so that each FETCH is the credit for one chunk */
	MESSAGE_FETCH =
		50, /* target: digest of the ciphertext; request; offset, size; [+draw as ticket] */
	MESSAGE_CHUNK = 51, /* target, offset, size (of the whole), blob */
	/* wallet: any identity to the escrow */
	MESSAGE_DEPOSIT =
		60, /* operation (idempotency key), asset, amount_micros; play money only */
	MESSAGE_BALANCE = 61, /* answered by ACCOUNT */
	MESSAGE_HISTORY = 62, /* cursor; answered by ACCOUNT with transfers */
	MESSAGE_ACCOUNT = 63, /* balances; the last transfers in lines */
	MESSAGE_RELEASE_QUERY =
		64, /* buyer or node at the escrow's own door: request; answered by OUTCOME */
};

struct moment {
	bool present;
	int64_t state; /* enum slot_state */
	int64_t at_ns;
};

struct balance {
	bool present;
	struct did account;
	int64_t account_purpose;
	struct span asset;
	int64_t amount_micros;
};

struct transfer {
	bool present;
	int64_t seq;
	struct did from;
	struct did to;
	int64_t from_purpose;
	int64_t account_purpose; /* of the receiver */
	struct span asset;
	int64_t amount_micros;
	int64_t at_ns;
	struct id request;
	int64_t kind; /* enum transfer_kind of the escrow */
};

struct summary {
	bool present;
	struct id request;
	int64_t state;
	int64_t at_ns;
};

struct message {
	bool present;
	int64_t message; /* enum message_type */
	int64_t number;
	int64_t reply_to;
	struct id request;
	struct id target;
	int64_t slot;
	int64_t attempt;
	int64_t state;
	int64_t code; /* enum refusal */
	struct span text;
	struct did node;
	int64_t price_micros;
	int64_t amount_micros;
	struct span asset;
	int64_t offset;
	int64_t size;
	int64_t cursor;
	int64_t connected;
	struct span operation; /* 16 bytes */
	struct span receipt;
	struct span note;
	struct span wrapped;
	struct span blob;
	struct moment history[MESSAGE_HISTORY_MAX];
	size_t n_history;
	struct balance balances[MESSAGE_BALANCES_MAX];
	size_t n_balances;
	struct transfer lines[MESSAGE_BALANCES_MAX];
	size_t n_lines;
	struct summary requests[MESSAGE_REQUESTS_MAX];
	size_t n_requests;
	struct span statements[MESSAGE_STATEMENTS_MAX];
	size_t n_statements;
};

extern const struct schema message_schema;

/* "REQUEST", ...; "UNKNOWN" for other numbers. Static text. */
const char *message_type_name(int64_t type);

/* A message with its statements decoded and verified. About 400 KiB: made once per shell and
 * reused. */
struct opened {
	struct message message;
	struct statement statements[MESSAGE_STATEMENTS_MAX];
	size_t n_statements; /* without the `keys`, which go to the keyring */
	const char *field; /* with a refusal: the field it is about, or NULL */
	/* Set by whoever only carries an OUTCOME's draws, verdicts and releases to those who verify them. */
	bool courier;
};

/*
 * Decodes data, learns the keys statements in it and verifies every other one. Two are not verified one by
 * one: a request whose id stands in a verified hold by the escrow that it names (the id covers all of it but the
 * signature, and that escrow has verified it), and what a courier carries.  Spans in `opened`
 * point into data. on_keys, where not NULL, is called for each keys statement that was new (to
 * store it). REFUSED_NOT or what broke first (MESSAGE_SHAPE: over MESSAGE_MAX);
 * opened->message.number is then still set where it could be read.
 */
_must_check_ enum refusal message_open(struct span data, struct keyring *keyring,
	void (*on_keys)(void *ctx, const struct statement *keys), void *ctx, struct opened *opened);

/* The first statement of a kind in an opened message, or NULL. */
const struct statement *message_find(const struct opened *opened, enum statement_kind kind);

/* Appends the message's bytes to out. False where it breaks a limit. */
_must_check_ bool message_encode(const struct message *message, struct buf *out);

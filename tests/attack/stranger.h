#pragma once
/*
 * Somebody who speaks the market's protocol byte for byte, but plays by no rules: an identity, a
 * connection, and whatever a test wants to send on it. What is not as expected fails the cmocka
 * test.
 */
#include "proto/core/rules.h"
#include "proto/net/net_client.h"
#include "proto/os/file.h"
#include "proto/statement/message.h"
#include "tests/integration/market.h"

#define STRANGER_WAIT_MS 20000 /* only a test that fails waits as long */

struct stranger {
	struct identity identity;
	struct net *net;
	struct net_client *client;
	struct keyring *keyring;
	struct opened *opened; /* the last message that came */
	struct net_in in; /* what opened points into */
	uint8_t *room; /* of statements that it signs */
	struct buf out;
	int64_t number; /* of its last message */
};

/* Keys in DIR/name/keys, made where they are missing; no connection. */
void stranger_init(struct stranger *s, const struct market *m, const char *name);
void stranger_deinit(struct stranger *s);
/* Begins to connect, anew where there was a connection. */
void stranger_dial(struct stranger *s, const struct contact *contact);
/* Waits for what becomes of it: CONNECTED, NOT_ADMITTED, ... */
enum net_event stranger_event(struct stranger *s);
/* HELLO of an identity with a greeting for carrier. */
void stranger_hello(struct stranger *s, const struct identity *identity, enum role role,
	const struct net_key *carrier, int64_t at_ns);
/* Dials, and is welcomed. */
void stranger_join(struct stranger *s, const struct contact *contact, enum role role);

void stranger_send(struct stranger *s, struct span bytes);
/* Numbers and sends it. */
void stranger_send_message(struct stranger *s, struct message *m);
/* A message with one statement (none where bytes.n is 0). */
void stranger_give(struct stranger *s, enum message_type type, struct span statement);
/* The type of the next message, pings left out; 0 where the connection ended. */
int64_t stranger_next(struct stranger *s);
/* Waits for a message of the type; others are passed over. */
const struct message *stranger_await(struct stranger *s, enum message_type type);
/* Waits for REFUSED and fails unless it has that code, and a sentence. */
void stranger_refused(struct stranger *s, enum refusal code);

/* Market, salt, time of a new statement. */
struct common stranger_common(struct stranger *s);
/* Signs; the bytes live until stranger_deinit(). */
struct span stranger_sign(
	struct stranger *s, enum statement_kind kind, void *body, struct id *ret_id);
/* A request that breaks no rule, for a measurement of at most 0.20 at MARKET_PLACE. */
struct request stranger_request(struct stranger *s, const struct market *m);

#pragma once
/*
 * A broker core with a disk of its own in memory, and one sale to play. Each event is a batch of its
 * own: the core steps, its rows are applied, the log is sealed, the invariants are checked, and
 * where `restarts` is set the core is built again from the rows alone. Whatever is sent must name
 * only statements and payloads that are on the disk by then.
 */
#include "broker/core/broker.h"
#include "proto/core/slot.h"
#include "tests/unit/market_fixture.h"

#define BROKER_WORLD_ROWS 8192
#define BROKER_WORLD_SENT 1024

struct broker_world {
	struct market m;
	struct broker_config config;
	struct broker *broker;
	struct effects *fx;
	struct row *rows; /* bytes in the market's arena */
	size_t n_rows;
	struct send *sent; /* of the last event, the seal and the ticks that go with it */
	size_t n_sent;
	struct work_pull pull; /* the last WORK_PULL, and its ticket; 0: none in the last event */
	uint64_t ticket;
	size_t n_puts; /* of the last event */
	uint64_t n_steps;
	bool connected[MARKET_NODES];
	bool restarts; /* after each event */
	bool open_batch; /* events do not seal: broker_world_seal() does */
};

/* One request with what belongs to it. */
struct sale {
	struct request body; /* to spoil before sale_post() */
	const struct market_party *node;
	struct statement *request, *hold, *earmark, *assignment, *evidence, *draw, *release,
		*settlement, *verdict;
	struct span blob;
	bool own_door; /* the escrow got the evidence from the node itself */
};

void broker_world_init(struct broker_world *w);
void broker_world_deinit(struct broker_world *w);
/* Throws the core away and builds it again from the rows; EVENT_START, nodes connect again. */
void broker_world_restart(struct broker_world *w);
void broker_world_event(struct broker_world *w, const struct event *event);
void broker_world_seal(struct broker_world *w);
/* The message in m.opened arrives from party. */
void broker_world_message(struct broker_world *w, const struct market_party *from);
void broker_world_connect(struct broker_world *w, size_t node, bool connected);
/* now = the core's next time, and a tick. */
void broker_world_wake(struct broker_world *w);
/* Ticks until now + ns has come; what all of them sent is kept. */
void broker_world_pass(struct broker_world *w, int64_t ns);
/* The last message of the type to party in the last event, or NULL. */
const struct send *broker_world_sent(
	const struct broker_world *w, const struct market_party *to, enum message_type type);
/* The code of the last event's REFUSED, or REFUSED_NOT. */
enum refusal broker_world_refusal(const struct broker_world *w);
struct statement *broker_world_statement(struct broker_world *w, const struct id *id);
size_t broker_world_count(const struct broker_world *w, uint16_t table);
/* State in the slot's row, or SLOT_NONE. */
enum slot_state broker_world_state(const struct broker_world *w, const struct id *request);

/* The i-th node is connected and offers; body may be NULL for market_offering(). */
struct statement *broker_world_offer(
	struct broker_world *w, size_t node, const struct offering *body);

void sale_init(struct broker_world *w, struct sale *s);
void sale_post(struct broker_world *w, struct sale *s);
/*
 * The escrow's answer to the FUND that was last sent: a hold, with an earmark inside where the FUND
 * names an offering; a later attempt gets an earmark of its own.
 */
void sale_fund(struct broker_world *w, struct sale *s);
/* Takes the assignment out of the last ASSIGN; false where there was none. */
bool sale_take_assignment(struct broker_world *w, struct sale *s);
/* Makes the evidence for the assignment; sale_give() sends it. */
void sale_capture(struct broker_world *w, struct sale *s);
void sale_give(struct broker_world *w, struct sale *s, bool with_blob);
void sale_decline(struct broker_world *w, struct sale *s);
void sale_cancel(struct broker_world *w, struct sale *s);
/* The escrow's OUTCOME: SETTLED with draw, verdict, release and settlement; REFUNDED with the
 * settlement; others with nothing. */
void sale_outcome(struct broker_world *w, struct sale *s, enum slot_state state, enum basis basis,
	int64_t attempt);
/* The escrow refuses what it was sent. */
void sale_refuse(struct broker_world *w, struct sale *s, enum refusal code);
/* Up to a state of the way: ASSIGNED, VERIFYING or SETTLED. */
void sale_to(struct broker_world *w, struct sale *s, enum slot_state state);

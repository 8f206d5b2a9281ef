#pragma once
/*
 * The one state machine of a slot that all cores share: a `static const` table of state and event.
 * Each program acts on its part of it; what an action means is the program's. The diagram in
 * proto/DESIGN.md is printed from this table by a test.
 */
#include "proto/base/base.h"

/* Wire and disk numbers: append only. */
enum slot_state {
	SLOT_NONE = 0,
	SLOT_POSTED = 1,
	SLOT_OPEN = 2,
	SLOT_ASSIGNED = 3,
	SLOT_COMMITTED = 4,
	SLOT_VERIFYING = 5,
	SLOT_PASSED = 6,
	SLOT_DEFAULTED = 7,
	SLOT_FAILED = 8,
	SLOT_WITHHELD = 9,
	SLOT_ESCALATED = 10,
	SLOT_DISPUTED = 11,
	SLOT_EXPIRED = 12,
	SLOT_NO_SHOW = 13,
	SLOT_CANCELLED = 14,
	SLOT_CANCELLED_LATE = 15,
	SLOT_SETTLING = 16,
	SLOT_REFUNDING = 17,
	SLOT_SETTLED = 18,
	SLOT_REFUNDED = 19,
	SLOT_LAPSED = 20,
};
#define SLOT_STATES 21

enum slot_event {
	SLOT_ON_FUNDED_WITH_NODE,
	SLOT_ON_FUNDED,
	SLOT_ON_T_FUND,
	SLOT_ON_EARMARK, /* a later match got its earmark */
	SLOT_ON_T_OPEN,
	SLOT_ON_CANCEL,
	SLOT_ON_COMMITMENT, /* signed evidence */
	SLOT_ON_DECLINE, /* a decline, or T_commit, with attempts left */
	SLOT_ON_NO_SHOW, /* a decline, or T_commit, with none left */
	SLOT_ON_PAYLOAD,
	SLOT_ON_T_DELIVER,
	SLOT_ON_PASS,
	SLOT_ON_FAIL,
	SLOT_ON_NEITHER,
	SLOT_ON_T_VERIFY,
	SLOT_ON_QUIET, /* T_dispute without a dispute, no attempts left where it failed */
	SLOT_ON_RETRY, /* T_dispute without a dispute, attempts left */
	SLOT_ON_DISPUTE,
	SLOT_ON_PAY, /* a ruling, or the provisional verdict, or on_silence: pays */
	SLOT_ON_REFUND, /* the same: refunds */
	SLOT_ON_AT_ONCE,
	SLOT_ON_DURABLE,
};
#define SLOT_EVENTS 22

/*
 * The state after event in state, or SLOT_NONE where the event does not apply: the caller then does
 * nothing, or refuses.
 */
enum slot_state slot_next(enum slot_state state, enum slot_event event);

/* SETTLED, REFUNDED and LAPSED. */
bool slot_ended(enum slot_state state);

/* "POSTED", "T_FUND", ...: static text; "NONE" for other numbers. */
const char *slot_state_name(int64_t state);
const char *slot_event_name(enum slot_event event);

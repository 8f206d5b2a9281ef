#include "proto/core/slot.h"

/* architecture.md's table in code: one row a state, one entry an event that it answers. */
static const uint8_t next[SLOT_STATES][SLOT_EVENTS] = {
	[SLOT_POSTED] = {
		[SLOT_ON_FUNDED_WITH_NODE] = SLOT_ASSIGNED,
		[SLOT_ON_FUNDED] = SLOT_OPEN,
		[SLOT_ON_T_FUND] = SLOT_LAPSED,
	},
	[SLOT_OPEN] = {
		[SLOT_ON_EARMARK] = SLOT_ASSIGNED,
		[SLOT_ON_T_OPEN] = SLOT_EXPIRED,
		[SLOT_ON_CANCEL] = SLOT_CANCELLED,
	},
	[SLOT_ASSIGNED] = {
		[SLOT_ON_COMMITMENT] = SLOT_COMMITTED,
		[SLOT_ON_DECLINE] = SLOT_OPEN,
		[SLOT_ON_NO_SHOW] = SLOT_NO_SHOW,
		[SLOT_ON_CANCEL] = SLOT_CANCELLED_LATE,
	},
	[SLOT_COMMITTED] = {
		[SLOT_ON_PAYLOAD] = SLOT_VERIFYING,
		[SLOT_ON_T_DELIVER] = SLOT_WITHHELD,
	},
	[SLOT_VERIFYING] = {
		[SLOT_ON_PASS] = SLOT_PASSED,
		[SLOT_ON_FAIL] = SLOT_FAILED,
		[SLOT_ON_NEITHER] = SLOT_ESCALATED,
		[SLOT_ON_T_VERIFY] = SLOT_DEFAULTED,
	},
	[SLOT_PASSED] = {
		[SLOT_ON_QUIET] = SLOT_SETTLING,
		[SLOT_ON_DISPUTE] = SLOT_DISPUTED,
	},
	/* The escrow's own worker decides: a pass pays like PASSED, a fail refunds. */
	[SLOT_DEFAULTED] = {
		[SLOT_ON_QUIET] = SLOT_SETTLING,
		[SLOT_ON_DISPUTE] = SLOT_DISPUTED,
		[SLOT_ON_REFUND] = SLOT_REFUNDING,
	},
	[SLOT_FAILED] = {
		[SLOT_ON_RETRY] = SLOT_OPEN,
		[SLOT_ON_QUIET] = SLOT_REFUNDING,
		[SLOT_ON_DISPUTE] = SLOT_DISPUTED,
	},
	[SLOT_WITHHELD] = {
		[SLOT_ON_RETRY] = SLOT_OPEN,
		[SLOT_ON_QUIET] = SLOT_REFUNDING,
		[SLOT_ON_DISPUTE] = SLOT_DISPUTED,
	},
	[SLOT_ESCALATED] = {
		[SLOT_ON_PAY] = SLOT_SETTLING,
		[SLOT_ON_REFUND] = SLOT_REFUNDING,
	},
	[SLOT_DISPUTED] = {
		[SLOT_ON_PAY] = SLOT_SETTLING,
		[SLOT_ON_REFUND] = SLOT_REFUNDING,
	},
	[SLOT_EXPIRED] = { [SLOT_ON_AT_ONCE] = SLOT_REFUNDING },
	[SLOT_NO_SHOW] = { [SLOT_ON_AT_ONCE] = SLOT_REFUNDING },
	[SLOT_CANCELLED] = { [SLOT_ON_AT_ONCE] = SLOT_REFUNDING },
	[SLOT_CANCELLED_LATE] = { [SLOT_ON_AT_ONCE] = SLOT_REFUNDING },
	[SLOT_SETTLING] = { [SLOT_ON_DURABLE] = SLOT_SETTLED },
	[SLOT_REFUNDING] = { [SLOT_ON_DURABLE] = SLOT_REFUNDED },
};

static const char *const state_names[SLOT_STATES] = {
	"NONE",
	"POSTED",
	"OPEN",
	"ASSIGNED",
	"COMMITTED",
	"VERIFYING",
	"PASSED",
	"DEFAULTED",
	"FAILED",
	"WITHHELD",
	"ESCALATED",
	"DISPUTED",
	"EXPIRED",
	"NO_SHOW",
	"CANCELLED",
	"CANCELLED_LATE",
	"SETTLING",
	"REFUNDING",
	"SETTLED",
	"REFUNDED",
	"LAPSED",
};

static const char *const event_names[SLOT_EVENTS] = {
	"FUNDED_WITH_NODE",
	"FUNDED",
	"T_FUND",
	"EARMARK",
	"T_OPEN",
	"CANCEL",
	"COMMITMENT",
	"DECLINE",
	"NO_SHOW",
	"PAYLOAD",
	"T_DELIVER",
	"PASS",
	"FAIL",
	"NEITHER",
	"T_VERIFY",
	"QUIET",
	"RETRY",
	"DISPUTE",
	"PAY",
	"REFUND",
	"AT_ONCE",
	"DURABLE",
};

enum slot_state slot_next(enum slot_state state, enum slot_event event)
{
	if (state <= SLOT_NONE || state >= SLOT_STATES || (unsigned)event >= SLOT_EVENTS)
		return SLOT_NONE;
	return (enum slot_state)next[state][event];
}

bool slot_ended(enum slot_state state)
{
	return state == SLOT_SETTLED || state == SLOT_REFUNDED || state == SLOT_LAPSED;
}

const char *slot_state_name(int64_t state)
{
	return state >= 0 && state < SLOT_STATES ? state_names[state] : state_names[0];
}

const char *slot_event_name(enum slot_event event)
{
	return (unsigned)event < SLOT_EVENTS ? event_names[event] : "NONE";
}

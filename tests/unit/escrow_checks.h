#pragma once
/*
 * What the tests of the escrow's core share: a buyer with money, and what a deal comes to that was
 * paid or refunded.
 */
#include "tests/unit/escrow_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FUNDS   (10 * MARKET_PRICE)
#define PRICE   (MARKET_PRICE * 8 / 10) /* the offering's */
#define FEE     (PRICE * 2 / 100)
#define VERIFY  (PRICE * 5 / 100)
#define ALL_PAY (PRICE + FEE + VERIFY)

static inline int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	world_init(w);
	world_deposit(w, &w->m.buyer, FUNDS);
	*state = w;
	return 0;
}

static inline int teardown(void **state)
{
	world_deinit(*state);
	free(*state);
	return 0;
}

static inline int64_t available(const struct world *w, const struct market_party *who)
{
	return world_balance(w, who, ACCOUNT_AVAILABLE);
}

static inline void assert_paid(struct world *w, struct deal *d)
{
	const struct market_party *verifier = world_verifier(w, &d->draw->body.draw.panel[0]);

	assert_int_equal(world_state(w, &d->request->id), SLOT_SETTLED);
	assert_int_equal(available(w, &w->m.nodes[0]), PRICE);
	assert_int_equal(world_balance(w, &w->m.escrow, ACCOUNT_FEE), FEE);
	assert_int_equal(world_balance(w, verifier, ACCOUNT_VERIFIER_PAY), VERIFY);
	assert_int_equal(available(w, &w->m.buyer), FUNDS - ALL_PAY);
	assert_int_equal(world_balance(w, &w->m.buyer, ACCOUNT_HELD), 0);
}

static inline void assert_refunded(struct world *w, struct deal *d, enum basis basis, int64_t spent)
{
	const struct statement *s = world_newest(w, STATEMENT_SETTLEMENT, &d->request->id);

	assert_int_equal(world_state(w, &d->request->id), SLOT_REFUNDED);
	assert_non_null(s);
	assert_int_equal(s->body.settlement.basis, basis);
	assert_int_equal(s->body.settlement.outcome, SLOT_REFUNDED);
	assert_null(world_newest(w, STATEMENT_RELEASE, &d->request->id));
	assert_int_equal(available(w, &w->m.buyer), FUNDS - spent);
	assert_int_equal(world_balance(w, &w->m.buyer, ACCOUNT_HELD), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

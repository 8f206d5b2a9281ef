#pragma once
/*
 * What any identity may ask about its own money: DEPOSIT of play money, BALANCE, HISTORY. Nobody
 * sees another's accounts; the escrow's own identity sees its fees and the clearing account.
 */
#include "escrow/core/holds.h"

/* 0 or -ENOMEM. Owes a wallet_deinit(). */
_must_check_ int wallet_init(struct escrow *e, uint64_t secret);
void wallet_deinit(struct escrow *e);
void wallet_on_deposit(struct turn *t);
void wallet_on_balance(struct turn *t);
void wallet_on_history(struct turn *t);
/* An operation's row. 0 or -EBADMSG. */
_must_check_ int wallet_load(struct escrow *e, const struct row *row);

#pragma once
/*
 * Many connected peers at once, in this process: a DEALER with a CURVE key of its own for each, as
 * a node has one, without a node's program around it.
 */
#include "proto/net/net.h"
#include "tests/bench/market.h"

struct crowd;

/* n peers of the server at endpoint, one after another with some at a time under way. */
/* Each connects, says one word and hears it again. */
struct crowd *crowd_plain(const char *endpoint, const struct net_key *server_key, size_t n);
/* Each greets the market's broker as a node of its own identity and publishes one offering. */
struct crowd *crowd_of_nodes(const struct market_bench *m, size_t n);
/* Hangs up. Returns NULL. */
struct crowd *crowd_free(struct crowd *crowd);

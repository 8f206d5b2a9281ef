#pragma once
/*
 * A whole market on this machine: escrow, broker, one verifier, and for the demonstration a small
 * instrument and a node with a camera. All of it lives below one directory.
 */
#include "buyer-sdk/cli/cli.h"
#include "buyer-sdk/cli/supervisor.h"
#include "proto/base/text.h"

struct up {
	struct supervisor supervisor;
	char dir[CLI_PATH_MAX];
	bool demo;
	const char
		*camera; /* of the demonstration's node; NULL: the photograph that comes with it */
	struct contact broker;
	struct contact escrow;
	char verifier_did[DID_TEXT_MAX];
	char node_did[DID_TEXT_MAX];
	char instrument[64]; /* host:port */
};

/*
 * Starts everything and writes market.json and the buyer's keys. say, where not NULL, is told each
 * step. 0, or a negative errno after printing what failed; up_stop() in any case.
 */
_must_check_ int up_start(struct up *up, void (*say)(const char *what));
void up_stop(struct up *up);
/* {"ready":true,...}: endpoints, public keys, paths. */
json_t *up_json(const struct up *up);

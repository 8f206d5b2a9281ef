#pragma once
/* What the files of the checks share: what was seen so far, apart from every party's store. */
#include "proto/core/idmap.h"
#include "tests/sim/sim.h"

#define PROMISES_MAX 65536
#define EVIDENCE_MAX 16384
#define MIRROR_MAX   256

struct promise {
	uint8_t party;
	uint16_t table;
	struct id id;
	int64_t number; /* of a transfer, or the state that was told as the end */
};

/* An account as the transfers make it. */
struct mirror {
	struct did owner;
	int64_t purpose;
	char asset[8];
	int64_t micros;
};

struct sim_checks {
	struct promise *promises;
	size_t n_promises;
	struct idmap by_promise;
	struct id *evidence;
	size_t n_evidence;
	struct idmap by_assignment;

	struct mirror mirror[MIRROR_MAX];
	size_t n_mirror;
	int64_t n_transfers;
	struct id *settlements; /* by request */
	size_t n_settlements;
	struct idmap by_request;
	struct idmap late; /* verdicts that came after their time */
	struct idmap passed; /* evidence that the escrow's own worker passed */
};

/* promises.c */
void promises_check(struct world *w, const struct sim_party *p);
/* settled.c: a settlement that the escrow signed. */
void settled_check(struct world *w, const struct sim_party *escrow, const struct statement *s);
/* The statement of that id in a party's store; false where it is not there. */
bool settled_load(const struct sim_party *p, const struct id *id, struct statement *ret);

#pragma once
/*
 * The verifier's core: which tickets of the escrow it works for, and what it answers. It keeps
 * nothing on disk; after a restart the escrow's repeated DRAW starts the check anew, to the same
 * bytes of checks. Leaves the checks themselves to verify.h, in the worker's thread, and pulling of
 * large payloads to the shell. Driven through verifier_ops (proto/core/core.h).
 *
 * A ticket: PULLING (a payload that was not inline: from the broker, then from the escrow, or the
 * other way round where the evidence came to the escrow's own door) -> CHECKING -> ANSWERED: the
 * VERDICT is repeated until the escrow takes or refuses it or t_verify is over, and sent again
 * whenever the DRAW comes again. A fault of ours ends a ticket without an answer; the next DRAW
 * tries again.
 *
 * Jobs are malloc'd while they last, since a payload may have any size up to PAYLOAD_MAX; the
 * limits below bound them.
 *
 * Invariants (verifier_ops.check):
 *  1. n_active and held count the tickets in PULLING and CHECKING and their bytes, and are within
 *     the limits.
 *  2. A ticket has a job exactly in PULLING; in CHECKING the worker has it.
 *  3. A content key stands only in PULLING and CHECKING.
 *  4. by_draw finds each ticket, and nothing else.
 */
#include "escrow/verify/verifier_job.h"
#include "proto/core/core.h"

#define VERIFIER_TICKETS_MAX     1024 /* remembered */
#define VERIFIER_ACTIVE_MAX      256 /* of them, in PULLING and CHECKING */
#define VERIFIER_HELD_MAX        (INT64_C(256) << 20) /* bytes of payload in those */
#define VERIFIER_VERDICT_MAX     8192 /* bytes of a verdict */
#define VERIFIER_ENLIST_NS       (10 * NS_PER_S)
#define VERIFIER_REPEAT_FIRST_NS (2 * NS_PER_S)
#define VERIFIER_REPEAT_MOST_NS  (30 * NS_PER_S)

struct verifier_config {
	struct author author;
	uint8_t encryption_secret[32]; /* X25519, as in our keys statement */
	struct did escrow; /* the one that is served */
	struct keyring *keyring; /* must outlive the core */
};

enum verifier_work {
	/* Detail: struct verifier_task. Owns the job from then on, until the result's detail gives
	 * it back in the same struct; status as verifier_job_run(). */
	VERIFIER_WORK_CHECK = WORK_OWN + 0,
};

struct verifier_task {
	struct verifier_job *job;
};

struct verifier;

/* 0 or -ENOMEM. */
_must_check_ int verifier_new(const struct verifier_config *config, struct verifier **ret_verifier);
/* Clears the keys. Takes NULL. Jobs at the worker are the worker's to free. */
void verifier_free(struct verifier *verifier);

extern const struct core_ops verifier_ops;

struct verifier_counts {
	uint64_t active; /* tickets worked on */
	uint64_t held; /* bytes of their payloads */
	uint64_t verdicts; /* signed, ever */
	uint64_t refused; /* DRAWs refused */
};

struct verifier_counts verifier_counts(const struct verifier *verifier);

#pragma once
/*
 * The verifier's one long-lived thread: it owns the sandbox (whose workers die with the thread that
 * started them) and a keyring of its own, and runs jobs in their order. How many may wait is
 * bounded by the core: VERIFIER_ACTIVE_MAX.
 */
#include "escrow/verify/verifier_job.h"

struct verifier_worker;

/* Called in the thread for each job that ended: status is verifier_job_run()'s. Takes the job. */
typedef void verifier_worker_done(void *ctx, struct verifier_job *job, int status);

/*
 * Starts the thread and waits until its sandbox is locked down. Returns 0, or the negative errno of
 * sandbox_new() or of the thread. done must not be called back into this file.
 */
_must_check_ int verifier_worker_new(const struct sandbox_options *options,
	verifier_worker_done *done, void *ctx, struct verifier_worker **ret_worker);
/* Queues a job and takes it. From any thread. */
void verifier_worker_add(struct verifier_worker *worker, struct verifier_job *job);
/* Ends the thread after the job that it has at hand; those that wait are freed. Takes NULL. */
void verifier_worker_free(struct verifier_worker *worker);

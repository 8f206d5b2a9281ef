#pragma once
/*
 * The escrow's own worker (DEFAULTED): runs gates and checks when the verifiers stay silent. One
 * thread owns the decoder's sandbox; jobs wait in a bounded queue.
 */
#include "escrow/core/escrow.h"
#include "proto/shell/shell.h"

#define DEFAULTS_QUEUE_MAX 256

struct defaults;

/* Starts the thread. 0 or a negative errno. */
_must_check_ int defaults_new(struct defaults **ret_defaults);
/* Ends it, dropping what waits: the core asks again after a restart. Takes NULL. */
void defaults_free(struct defaults *defaults);
/* What the jobs read and where the results go; before the first job. */
void defaults_attach(
	struct defaults *defaults, struct shell *shell, struct db *db, struct blob_store *blobs);
/*
 * Takes an ESCROW_WORK_VERIFY: reads statements and payload from the store, in the shell's thread,
 * and queues the rest. Ends in one shell_work_done(). 0 or a negative errno.
 */
_must_check_ int defaults_start(void *defaults, const struct work *work);

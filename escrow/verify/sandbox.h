#pragma once
/*
 * Decodes media from strangers in a process of its own that can reach no file, no network and no
 * other process, and whose answers are treated as hostile. The parent bounds bytes, pixels and
 * time. What the figures mean for a verdict is the checks' matter.
 *
 * The worker is the program assay-decoder: options.helper, $ASSAY_DECODER, in a directory of
 * $ASSAY_BIN_DIR (a list with colons), or assay-decoder (or verify/assay-decoder, as in a build
 * directory) beside the running program, in ../libexec/assay from there (an installation that was
 * moved), or the installed one in libexecdir.
 *
 * A sandbox belongs to the thread that made it: the worker dies with that thread. The program must
 * not ignore SIGCHLD and must not wait for all of its children at once.
 */
#include "escrow/verify/jpeg.h"

#define SANDBOX_DEADLINE_MAX_MS 30000
#define SANDBOX_START_MS        5000 /* for a worker to start and lock itself down */
#define SANDBOX_WORKER_MS       60000 /* of decoding before a worker is replaced; see LOCKDOWN_CPU_S */
#define SANDBOX_PER_WORKER      1 /* pictures for one worker, where options leave it 0 */
#define SANDBOX_PER_WORKER_MAX  1000

struct sandbox_options {
	const char *helper; /* path of the worker, or NULL for the places above */
	/*
	 * How many pictures one worker serves: 1 to SANDBOX_PER_WORKER_MAX, 0 for
	 * SANDBOX_PER_WORKER. A picture that takes over a worker can lie about those that come
	 * after it in the same worker, not about others.
	 */
	unsigned n_per_worker;
	/* Layers (lockdown.h) that a worker may lack besides those that depend on the kernel: 0,
	 * but in tests. */
	unsigned may_lack;
};

struct sandbox;

/*
 * Starts the first worker and hears that it is locked down. Returns 0, -ENOENT (no worker program),
 * -ETIME or -EPROTO (it did not start properly), -EPERM (it could not lock itself down), -ENOMEM,
 * or another errno.
 */
_must_check_ int sandbox_new(const struct sandbox_options *options, struct sandbox **ret_sandbox);

/*
 * Decodes one JPEG. deadline_ms: 1 to SANDBOX_DEADLINE_MAX_MS from now, a new worker's start not
 * counted. Returns 0 whatever the picture does, even where it kills the worker: ret_facts->outcome
 * says how it ended. A negative errno, as from sandbox_new() or -EINVAL for the deadline, is a
 * fault on this side and says nothing about the picture. The next call works in any case, with a
 * new worker.
 */
_must_check_ int sandbox_decode_jpeg(struct sandbox *sandbox, struct span jpeg,
	uint32_t deadline_ms, struct jpeg_facts *ret_facts);

/* The defences of the newest worker: bits of enum lockdown_layer, for the log and for `doctor`. */
unsigned sandbox_defences(const struct sandbox *sandbox);
/* Workers started so far. */
uint64_t sandbox_starts(const struct sandbox *sandbox);
/* The worker's process id, or 0 where none runs. */
int sandbox_pid(const struct sandbox *sandbox);

/* Kills the worker and frees. Takes NULL. */
void sandbox_free(struct sandbox *sandbox);

/* "DECODED", "TIMEOUT", ...; "UNKNOWN" for other numbers. Static text. */
const char *sandbox_outcome_name(enum jpeg_outcome outcome);

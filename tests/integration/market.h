#pragma once
/*
 * A whole market of real daemons on loopback for a test, in a fresh directory: escrow, broker,
 * verifiers, and what the test adds (nodes, an instrument, a network camera). Waits are for ready
 * lines and the SDK's own words, never for time. Whatever goes wrong fails the cmocka test; the
 * processes are ended by market_stop(), and by the kernel where the test dies. Programs are found
 * in $ASSAY_BIN_DIR.
 */
#include "buyer-sdk/cli/supervisor.h"
#include "proto/base/text.h"
#include "proto/shell/contact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MARKET_PATH_MAX  512
#define MARKET_VERIFIERS 4
#define MARKET_NAME      "local"
#define MARKET_CALL_MS   10000 /* what a program may take to end; only a test that fails waits so */
#define MARKET_FILE_MAX  (80 << 20)
#define MARKET_PLACE     "47.3769,8.5417" /* where nodes stand unless a test says otherwise */

struct market {
	struct supervisor supervisor;
	char dir[MARKET_PATH_MAX / 2];
	struct child *escrow;
	struct child *broker;
	struct child *verifiers[MARKET_VERIFIERS];
	size_t n_verifiers;
	char verifier_dids[MARKET_VERIFIERS][DID_TEXT_MAX];
	struct contact broker_contact;
	struct contact escrow_contact;
	struct child *instrument;
	char instrument_address[64];
	unsigned begun; /* tests; where fewer have passed the directory is kept */
	unsigned passed;
};

/* An own fresh directory below $TMPDIR; nothing runs. Call it before any thread starts. */
void market_init(struct market *m);
/* DIR/name, by turns in one of several static buffers. */
const char *market_path(const struct market *m, const char *name);

/* Escrow, broker and n verifiers; market.json; keys of a buyer in DIR/buyer/keys. The extra
 * arguments of escrow and broker end in NULL, or are NULL. */
void market_start(struct market *m, size_t n_verifiers, const char *const *escrow_args,
	const char *const *broker_args);
/* The small instrument; its address is then in instrument_address. */
void market_start_instrument(struct market *m);
/* A node that accepts all of them, with arguments that end in NULL (place and price have defaults,
 * which a later one replaces). */
struct child *market_start_node(struct market *m, const char *name, const char *const *args);
#define MARKET_NODE(m, name, ...) \
	market_start_node(m, name, (const char *const[]){ __VA_ARGS__, NULL })
/* Any program; its first line is in child->ready. */
struct child *market_start_program(
	struct market *m, const char *name, const char *program, const char *const *args);

/* Sends a signal that ends it and waits until it is gone. Returns waitpid()'s status. */
int market_kill(struct market *m, struct child *child, int signal_number);
/* Starts one that was killed anew, with the same arguments, and waits until it is ready. */
void market_restart(struct market *m, struct child *child);
/*
 * Waits until a daemon has received n messages of a type since it started ("OFFERED": the broker
 * has taken the offerings of this node).
 */
void market_wait_received(struct market *m, const struct child *child, const char *type, int64_t n);
/* Every program that should run does; a test that ends calls it. */
void market_check_alive(struct market *m);
/* The did in a daemon's ready line. */
void market_did(const struct child *child, char out[static DID_TEXT_MAX]);

/*
 * Around each test: fails it where a program died, and keeps the directory where a test did not get
 * to its end.
 */
void market_begin(struct market *m);
void market_end(struct market *m);
/* Ends all programs (each must end well), and removes the directory unless a test failed. Returns 0
 * or -1, for a teardown. */
int market_stop(struct market *m);

/* Makes DIR/party/keys where they are missing. */
void market_make_keys(const struct market *m, const char *party);

/* `PROGRAM snapshot DEST --dir DIR/NAME`, into DIR/snapshot-N/NAME; the path is in ret_dir. */
void market_snapshot(
	struct market *m, const struct child *child, char ret_dir[static MARKET_PATH_MAX]);
/* Runs a program to its end; the exit status. Output goes to DIR/log/run.log. */
int market_run(struct market *m, const char *const *argv);
/* Whether the child's log holds the text. */
bool market_logged(const struct child *child, const char *text);
/* ../shared/vectors or $ASSAY_VECTORS; "" where a test that needs them must be skipped. */
const char *market_vectors(const char *sub);

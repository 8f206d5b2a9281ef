#pragma once
/*
 * A market for a bench: the release build's programs as children of this process, on free ports of
 * this machine, in a fresh directory that goes with it. What fails ends the bench with a sentence.
 */
#include "buyer-sdk/cli/supervisor.h"
#include "proto/base/text.h"
#include "proto/shell/contact.h"
#include "proto/shell/shell.h"

#define MARKET_NAME     "bench"
#define MARKET_DIR_MAX  256
#define MARKET_FILE_LEN (MARKET_DIR_MAX + 64)
#define MARKET_LAT      "47.3769" /* where the node is */
#define MARKET_LON      "8.5417"
#define MARKET_LAT_E7   473769000
#define MARKET_LON_E7   85417000

enum market_daemon { MARKET_ESCROW, MARKET_BROKER, MARKET_VERIFIER, MARKET_NODE, MARKET_DAEMONS };

struct market_bench {
	struct supervisor supervisor;
	char dir[MARKET_DIR_MAX];
	char instrument[64]; /* HOST:PORT */
	char verifier[DID_TEXT_MAX];
	struct contact broker;
	struct contact escrow;
	pid_t pids[MARKET_DAEMONS];
};

/* Counters of a daemon, as `stats` gives them. */
struct market_stats {
	uint64_t commits;
	uint64_t commits_awaited;
	uint64_t sent;
	uint64_t sent_bytes;
	uint64_t signatures;
	uint64_t verifications;
	uint64_t wraps;
	uint64_t batches;
	uint64_t resident_bytes;
	uint64_t peers;
	uint64_t received_types[SHELL_TYPES_MAX];
	uint64_t sent_types[SHELL_TYPES_MAX];
};

/* "escrow", ...: also the name of its directory. */
const char *market_name(enum market_daemon which);
/* Says why on stderr and ends the bench, with its children. */
_printf_(1, 2) void market_die(const char *format, ...) __attribute__((noreturn));

/* Before any thread. Makes the directory. */
void market_begin(struct market_bench *m);
/* Escrow, broker and verifier, and market.json and keys for a buyer. */
void market_start(struct market_bench *m);
/* A small instrument and the node that sells its readings, many at once. */
void market_start_node(struct market_bench *m);
struct market_stats market_stats(const struct market_bench *m, enum market_daemon which);
/* Ends the children and removes the directory. */
void market_end(struct market_bench *m);

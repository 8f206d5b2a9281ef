#pragma once
/*
 * The one loop around every core: gather events, step, write all rows of the batch in ONE
 * transaction, then send and start work. It also does for the core what needs no decision:
 * greetings, heartbeats, verification of statements, attaching of statements and keys, payloads in
 * chunks, restart from the store. A program's main.c fills the options and calls shell_run().
 *
 * Crash-only: a fault (a failed commit, rows that do not load, effects that do not fit) ends
 * shell_run() before anything of the batch is sent; a supervisor starts the program again. A
 * refusal is answered with REFUSED and never ends anything.
 *
 * A shell and what it uses belong to one thread; shell_work_done() and shell_stop() alone are
 * callable from any. The store's SQL: shell_tables.sql and shell.sql, included by the program's own
 * .sql file (see there).
 */
#include "proto/core/core.h"
#include "proto/db/blob.h"
#include "proto/db/db.h"
#include "proto/net/net_client.h"
#include "proto/net/net_server.h"
#include "proto/shell/contact.h"
#include "proto/shell/identity.h"

#define SHELL_BATCH_MAX      64 /* messages of one batch */
#define SHELL_CONTACTS_MAX   8
#define SHELL_CARRIED_MAX    16 /* identities on one connection */
#define SHELL_PEERS_MAX      16384 /* identities connected at a time, at most */
#define SHELL_CACHE_BYTES    (64 << 20) /* of statements and payloads kept to be attached */
#define SHELL_CACHE_MAX      65536 /* their number; a power of two */
#define SHELL_HELD_MAX       4096 /* messages that wait for room in a peer's queue */
#define SHELL_HELD_BYTES     ((size_t)32 << 20) /* of those */
#define SHELL_HELD_PEER_MAX  512 /* of those, for one peer of the server */
#define SHELL_HELD_NS        (2 * NS_PER_S) /* after that cores repeat what matters */
#define SHELL_HELD_RETRY_NS  (2 * NS_PER_MS)
#define SHELL_BLOCKED_MAX    16 /* peers with a full queue that are remembered in a batch */
#define SHELL_OUT_MAX        (8 << 20) /* bytes queued in a batch, after which it ends */
#define SHELL_WORK_MAX       4096 /* results that wait to be taken */
#define SHELL_PULLS_MAX      32 /* payloads pulled at a time */
#define SHELL_PULL_QUEUE_MAX 4096 /* pulls that wait for their turn */
#define SHELL_PULL_WINDOW    4 /* chunks asked for at a time */
#define SHELL_PULL_RETRY_NS  (2 * NS_PER_S)
#define SHELL_PING_NS        (5 * NS_PER_S) /* of silence, on a connection that we dialled */
#define SHELL_CLIENT_LOST_NS (15 * NS_PER_S)
#define SHELL_SERVER_LOST_NS (20 * NS_PER_S)
#define SHELL_HELLO_RETRY_NS (2 * NS_PER_S)
#define SHELL_WAIT_MAX_NS    NS_PER_S /* the loop looks at its clocks at least this often */
#define SHELL_DISK_RESERVE   (UINT64_C(8) << 20) /* bytes free, below which nothing new is taken */
#define SHELL_PATH_MAX       512
#define SHELL_TYPES_MAX      72 /* message types that are counted one by one */
#define SHELL_EXIT_DISK_FULL 75 /* EX_TEMPFAIL: free some space, then start again */

struct shell;

struct shell_options {
	const struct core_ops *ops;
	void *core;
	struct keyring *keyring;
	const struct identity *identity;
	enum role role;
	/*
	 * NULL: nothing is stored; rows of the tables statement and payload then live in the
	 * cache and the others are dropped. Otherwise it must have the statements of shell.sql,
	 * and for each table X of the core's from index 2 on: load_X (all rows, the cells as
	 * columns), and those of insert_X, replace_X (the cells as parameters) and delete_X (the
	 * key's cells) that the core uses.
	 */
	struct db *db;
	struct blob_store *blobs; /* or NULL: payloads live in the table alone */
	struct net *net;
	struct net_server *server; /* or NULL */
	struct contact contacts[SHELL_CONTACTS_MAX]; /* dialled, and dialled again */
	size_t n_contacts;
	size_t peers_max; /* 0: SHELL_PEERS_MAX */
	/*
	 * Starts a piece of the program's own work (kind >= WORK_OWN), after the commit, or in the
	 * middle of the batch where the core said early. work and
	 * its detail live during the call. It must end in one shell_work_done(), which may come
	 * during the call. A negative errno ends the shell.
	 */
	int (*start_work)(void *ctx, const struct work *work);
	/* After each batch, in the shell's thread, or NULL. */
	void (*on_batch)(void *ctx);
	void *ctx;
	/* Without blobs: a pulled payload is given as bytes, work_result.detail being a struct
	 * span. */
	bool memory_payloads;
	int signals; /* of signals_open(), or -1: SIGINT and SIGTERM end, SIGHUP reads the
			allow-list again */
	const char *data_path; /* on the file system of db and blobs; NULL: free space is not looked
				  at */
	const char *blobs_path; /* of blobs, for snapshots; or NULL */
	const char *control_path; /* unix socket to make, mode 0600; or NULL */
	uint64_t disk_reserve; /* 0: SHELL_DISK_RESERVE */
};

/*
 * Checks the options, begins to dial and opens the control socket. Returns 0; -ENOENT where a
 * statement is missing in the SQL; or another negative errno. What the options point to must
 * outlive the shell. The caller frees with shell_free(), before server, net, blobs and db.
 */
_must_check_ int shell_new(const struct shell_options *options, struct shell **ret_shell);
void shell_free(struct shell *shell);
static inline void shell_freep(struct shell **shell)
{
	shell_free(*shell);
}

/*
 * Loads the rows, gives EVENT_START, and goes on until a signal or shell_stop(). Returns 0, or the
 * negative errno of the fault that ended it: -ENOBUFS where effects overflowed, -ENOSPC, ...
 */
_must_check_ int shell_run(struct shell *shell);
/* Ends shell_run() after its batch. From any thread. */
void shell_stop(struct shell *shell);
/* What main() returns for shell_run()'s result: 0, SHELL_EXIT_DISK_FULL, or 1. */
_const_ int shell_exit_code(int error);

/*
 * Gives the core an EVENT_WORK; also the way for a program's own events, with a ticket and kind (>=
 * WORK_OWN) of its choosing. detail is copied (size 0: NULL). 0, -EAGAIN where SHELL_WORK_MAX
 * wait, -ENOMEM. From any thread.
 */
_must_check_ int shell_work_done(struct shell *shell, uint64_t ticket, int kind, int status,
	enum refusal refusal, const void *detail, size_t size);

/* Figures since shell_new(). */
struct shell_counts {
	uint64_t batches;
	uint64_t events;
	uint64_t received; /* messages */
	uint64_t sent;
	uint64_t refused; /* messages answered with REFUSED by the shell */
	uint64_t ignored; /* messages not answered: of no shape, or not asked for */
	uint64_t dropped_absent; /* not sent: the receiver is not connected */
	uint64_t dropped_full; /* not sent: the receiver's queue is full */
	uint64_t unresolved; /* not sent: a statement or payload is not there */
	uint64_t pulls;
	uint64_t chunks; /* served */
	uint64_t batch_largest; /* messages in one batch */
	uint64_t commits_awaited; /* commits for which messages or works had to wait */
	uint64_t received_types[SHELL_TYPES_MAX]; /* by enum message_type, well-formed ones */
	uint64_t sent_types[SHELL_TYPES_MAX];
};

struct shell_counts shell_counts(const struct shell *shell);

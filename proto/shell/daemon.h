#pragma once
/*
 * What the main() of every daemon does in the same way: options, identity, database, payload store,
 * server socket, contact file, control socket, and the line that says that it is ready. A program
 * adds its own options and its core.
 *
 * The directory of a daemon: DIR/keys/ (identity.h), DIR/NAME.db, DIR/payloads/, DIR/contact.json
 * (for those who dial it), DIR/control (socket). A daemon that listened before takes the same port
 * again, unless --listen says otherwise.
 */
#include "proto/shell/shell.h"

#define DAEMON_OPTIONS_MAX    16
#define DAEMON_MARKET_DEFAULT "local"

/* Exit codes of every program (docs: the same in all man pages). */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAULT = 1,
	EXIT_USAGE = 2,
	EXIT_REFUSED = 3,
	EXIT_REFUNDED = 4,
	EXIT_VERIFY_FAILED = 5,
	EXIT_UNREACHABLE = 6,
};

struct daemon_option {
	const char *name; /* "escrow": --escrow VALUE */
	bool flag; /* takes no value */
	const char *help; /* "FILE  contact of the escrow" */
};

struct daemon_program {
	const char *name; /* "assay-broker" */
	const char *what; /* one sentence for --help */
	const char *example;
	enum role role;
	const struct db_sql *sql; /* NULL: keeps nothing */
	const char *db_name; /* "broker.db" */
	bool listens;
	bool payload_files;
	struct daemon_option options[DAEMON_OPTIONS_MAX]; /* beyond the common ones */
	/* Takes one of `options`. 0, or an exit code after printing what is wrong. */
	int (*option)(void *ctx, const char *name, const char *value);
	void *ctx;
};

struct daemon {
	const struct daemon_program *program;
	char dir[256];
	char listen[NET_ENDPOINT_MAX];
	char allow_path[256];
	char market[IDENTITY_MARKET_MAX];
	bool json;
	struct identity identity;
	struct keyring *keyring;
	struct db *db;
	struct blob_store *blobs;
	char blobs_path[SHELL_PATH_MAX];
	char control_path[SHELL_PATH_MAX];
	struct net *net;
	struct net_server *server;
	struct contact contacts[SHELL_CONTACTS_MAX];
	size_t n_contacts;
	struct shell *shell;
	int signals;
};

/*
 * Reads the command line and opens all of it. Also serves the subcommands `snapshot DIR`, `stats`
 * and `stop`, which talk to the running daemon of --dir. Returns -1 to go on, or the exit code to
 * leave with (help, usage, a fault that was printed). Call it before any thread starts.
 */
_must_check_ int daemon_open(
	struct daemon *daemon, const struct daemon_program *program, int argc, char **argv);

/* Reads a contact file and adds it to those dialled. 0, or an exit code after printing. */
_must_check_ int daemon_dial(struct daemon *daemon, const char *path);

/* Before daemon_run(), to use the shell in the program's own threads: daemon->shell. Exit code or
 * -1. */
_must_check_ int daemon_start(struct daemon *daemon, const struct core_ops *ops, void *core,
	int (*start_work)(void *ctx, const struct work *work), void *ctx);

/*
 * Writes DIR/contact.json, prints one line on stdout ("ready ENDPOINT DID", or JSON with --json),
 * runs until a signal, and returns the exit code.
 */
_must_check_ int daemon_run(struct daemon *daemon);

/* Takes one of zeros, and one half open. */
void daemon_deinit(struct daemon *daemon);

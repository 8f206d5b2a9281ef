#pragma once
/*
 * For tests of proto/shell: a small core that counts, a party that runs it in a thread with a store
 * of its own, and a bare client that sends whatever bytes a test wants.
 */
#include "proto/shell/control.h"
#include "proto/shell/shell.h"

#include <pthread.h>

#define RIG_WAIT_MS 20000 /* only a test that fails waits as long */
#define RIG_FRIENDS 4

/* A result of this kind makes the core send a message; detail: struct rig_order. */
#define RIG_ORDER (WORK_OWN + 1)

struct rig_order {
	struct did to;
	enum message_type type;
	struct id target;
	int64_t size;
};

/* What the core saw, through a pipe to the test. */
struct rig_note {
	enum event_type type;
	struct did from;
	int64_t message; /* enum message_type */
	int64_t code; /* REFUSED */
	int64_t kind; /* WORK */
	int64_t status;
	enum refusal refusal;
	size_t n_memory; /* bytes of a payload pulled into memory */
};

/*
 * QUERY: counts, stores the count, answers STATUS with it as cursor. CLOSE: counts
 * by the message's cursor; from 500 on the count cannot be committed, from 1000 on not even be put.
 * CANCEL: keeps the statement, answers STATUS. NODES: answers OFFERINGS with the last kept
 * statement. SUBMISSION: pulls target from the sender. DEPOSIT: starts work of kind WORK_OWN.
 * ENLIST: PUT of a payload with the blob as content.
 */
struct rig_core {
	struct did who[64];
	int64_t n[64];
	size_t n_who;
	struct id kept;
	struct did friends[RIG_FRIENDS]; /* may fetch */
	size_t n_friends;
	int64_t wake_at;
	int notes;
};

extern const struct core_ops rig_ops;

struct rig {
	char dir[64];
	struct identity identity;
	struct keyring *keyring;
	struct db *db;
	struct blob_store *blobs;
	char blobs_path[128];
	char control_path[128];
	struct net *net;
	struct net_server *server;
	struct rig_core core;
	struct shell_options options; /* to change between rig_open() and rig_start() */
	struct shell *shell;
	pthread_t thread;
	bool running;
	int result; /* of shell_run() */
	int notes; /* the test's end */
};

/* A directory of its own with an identity, database and payload store. endpoint: to listen on, or
 * NULL. */
void rig_init(struct rig *rig);
void rig_open(struct rig *rig, const char *endpoint);
void rig_start(struct rig *rig);
/* Stops, joins and closes everything but the directory; returns shell_run()'s result. */
int rig_stop(struct rig *rig);
/* Waits for it to end by itself. */
int rig_join(struct rig *rig);
void rig_deinit(struct rig *rig);
/* The next note of that event, others passed over; fails the test after RIG_WAIT_MS. */
struct rig_note rig_wait(struct rig *rig, enum event_type type);
/* Has its core send a message. */
void rig_order(struct rig *rig, const struct rig_order *order);
/* A figure of the running shell's stats. */
int64_t rig_stat(struct rig *rig, const char *name);
/* Its contact. */
struct contact rig_contact(const struct rig *rig);

/* A client that is only bytes. */
struct bare {
	struct identity identity;
	char dir[64];
	struct net *net;
	struct net_client *client;
	struct keyring *keyring;
	struct opened *opened;
	struct net_in in; /* what opened points into */
	int64_t number;
};

void bare_init(struct bare *bare, const struct rig *server);
void bare_deinit(struct bare *bare);
/* Connects (again). */
void bare_dial(struct bare *bare, const struct rig *server);
void bare_send(struct bare *bare, struct span bytes);
void bare_send_message(struct bare *bare, struct message *message);
/* HELLO of an identity with a greeting for carrier. */
void bare_hello(struct bare *bare, const struct identity *identity, const struct net_key *carrier,
	int64_t at_ns);
/* Waits for a message and returns its type (in bare->opened), or 0 when the connection ended. */
int64_t bare_wait(struct bare *bare);
/* HELLO and WELCOME. */
void bare_greet(struct bare *bare);
/* A cancel statement by identity, into room. */
struct span rig_cancel(const struct identity *identity, struct buf *room);
/* Another identity under dir/name. */
void rig_identity(const char *dir, const char *market, struct identity *ret_identity);
void rig_remove(const char *dir);

#pragma once
/* What the files of the shell share. Nobody else includes this. */
#include "proto/core/idmap.h"
#include "proto/shell/shell.h"

#include <pthread.h>
#include <stdatomic.h>

#define NO_STATEMENT SIZE_MAX /* no SQL of that name */
#define TABLES_MAX   32
#define NONE         UINT32_MAX
#define KNOWN_KEYS   4096 /* keys statements known to be stored; a power of two */

/* Bytes that can be attached: a statement or a small payload. */
struct cached {
	struct id id;
	uint8_t *bytes;
	size_t n;
	bool parsed; /* issuer and kid are known */
	struct did issuer;
	uint8_t kid[COSE_KEY_MAX];
	size_t n_kid;
};

/* First in, first out. Entries stay until cache_trim(), so within an event all of them stand. */
struct cache {
	struct cached *ring; /* SHELL_CACHE_MAX */
	size_t first;
	size_t n;
	size_t bytes;
	struct idmap map; /* id to place in the ring */
};

/* Where a message came from, or goes to. */
struct route {
	int contact; /* index, or -1: the server's peer `routing` */
	uint8_t routing[NET_ROUTING_MAX];
	size_t n_routing;
	struct net_key peer; /* CURVE key of the other side */
};

/* A peer of the server that greeted. Connections form a list by the time they were last heard. */
struct connection {
	struct route route;
	int64_t heard_at; /* monotonic */
	uint32_t older;
	uint32_t newer;
	uint32_t next_free;
	size_t n_carried;
	uint32_t carried[SHELL_CARRIED_MAX]; /* sessions */
};

struct session {
	struct did did;
	uint32_t connection;
	uint32_t next_free;
	int64_t role;
	int64_t expires_ns;
};

struct sessions {
	struct connection *connections;
	struct session *sessions;
	size_t capacity; /* of each */
	size_t n; /* sessions */
	uint32_t oldest;
	uint32_t newest;
	uint32_t free_connection;
	uint32_t free_session;
	struct idmap by_routing;
	struct idmap by_did;
};

/* A server that we dial. Times are monotonic. */
struct dialled {
	struct contact contact;
	struct net_client *client;
	bool up; /* the transport is */
	bool greeted; /* WELCOME came */
	int64_t role;
	int64_t heard_at;
	int64_t sent_at;
	int64_t pinged_at;
	int64_t greeted_at;
	int64_t hello_at; /* the next HELLO, while up and not greeted */
	int64_t hello_wait;
};

/* A message that waits for the commit: bytes out_bytes[offset..+n). */
struct out {
	struct route route;
	size_t offset;
	size_t n;
	int64_t type; /* enum message_type */
};

/* A message that waits for room in its receiver's queue; bytes are malloc'd. */
struct held_message {
	struct route route;
	int64_t type;
	int64_t until; /* monotonic */
	uint8_t *bytes;
	size_t n;
};

/* In the order of their sending. */
struct held {
	struct held_message *ring; /* SHELL_HELD_MAX, or NULL before the first */
	size_t first;
	size_t n;
	size_t bytes;
	struct route blocked[SHELL_BLOCKED_MAX]; /* full queues, as the last try found them */
	size_t n_blocked;
};

/* A piece of work to start after the commit, or a result to take. */
struct job {
	struct job *next;
	struct work_result result; /* of a result */
	size_t size;
	struct span memory; /* a pulled payload: result.detail points here, and it is freed */
	_Alignas(16) uint8_t detail[];
};

struct jobs {
	struct job *first;
	struct job **last;
	size_t n;
};

struct pull {
	bool active;
	uint64_t ticket;
	struct work_pull want;
	struct blob_write *write; /* or */
	uint8_t *memory;
	int64_t got; /* bytes */
	int64_t asked; /* bytes */
	int64_t asked_at; /* monotonic */
	int64_t heard_at;
};

struct control; /* shell_control.c */

struct table_sql {
	size_t insert, replace, delete, load;
};

struct shell {
	struct shell_options o;
	struct shell_counts counts;
	struct cache cache;
	struct sessions sessions;
	struct dialled dialled[SHELL_CONTACTS_MAX];
	struct pull pulls[SHELL_PULLS_MAX];
	struct jobs pull_queue;
	struct jobs started; /* works of this batch */
	struct control *control;

	struct table_sql tables[TABLES_MAX];
	size_t sql_put_keys, sql_load_keys, sql_find_keys, sql_get_statement, sql_get_payload;
	struct id known_keys[KNOWN_KEYS];
	struct id *doomed; /* payload files to remove after the commit */
	size_t n_doomed;

	int64_t number; /* of the last message */
	uint8_t greeting[IDENTITY_KEYS_MAX];
	size_t n_greeting;
	int64_t greeting_until_ns; /* when to sign another */

	struct out *outs;
	size_t n_outs, cap_outs;
	uint8_t *out_bytes;
	size_t n_out_bytes, cap_out_bytes;
	struct held held;
	uint8_t *chunk; /* PAYLOAD_CHUNK */
	struct message reply; /* scratch for the shell's own messages */
	struct route asked_by; /* where the message came from that the core steps over */
	struct did asker;
	bool asking;

	size_t batch_events;
	size_t batch_messages;
	int disk_low; /* of this batch: -1 not looked yet */

	int wake; /* eventfd */
	pthread_mutex_t lock;
	struct jobs done; /* under the lock */
	atomic_bool stop;

	struct statement scratch;
	struct opened opened;
	struct effects fx;
};

/* shell.c: one event to the core, and its effects. 0, or the fault that ends the shell. */
_must_check_ int shell_step(struct shell *shell, struct event *event);
_must_check_ int shell_step_peer(
	struct shell *shell, enum event_type type, const struct did *did, int64_t role);

/* cache.c */
_must_check_ int cache_init(struct cache *cache, uint64_t secret);
void cache_deinit(struct cache *cache);
struct cached *cache_find(struct cache *cache, const struct id *id);
/* Copies. What is there already stays. NULL without memory. */
struct cached *cache_put(struct cache *cache, const struct id *id, struct span bytes);
void cache_drop(struct cache *cache, const struct id *id);
void cache_trim(struct cache *cache);
/* Issuer and kid of a cached statement. False where it is none. */
_must_check_ bool cache_parse(struct cached *cached);

/* store.c */
_must_check_ int store_prepare(struct shell *shell);
/* Keys into the keyring, rows into the core. */
_must_check_ int store_load(struct shell *shell);
_must_check_ int store_put(struct shell *shell, const struct row *row);
_must_check_ int store_commit(struct shell *shell);
/* 0 and *ret_cached, which is NULL where it is nowhere; or a fault. */
_must_check_ int store_statement(
	struct shell *shell, const struct id *id, struct cached **ret_cached);
_must_check_ int store_payload(
	struct shell *shell, const struct id *digest, struct cached **ret_cached);
/* Puts the keys statement that names kid back into the keyring, where it fell out of it. */
_must_check_ int store_keys(struct shell *shell, const struct did *did, struct span kid);
/* Whether the disk is too full to take anything new: 1, 0 or a fault. */
_must_check_ int store_disk_low(struct shell *shell);

/* send.c */
/* The way to did for a message: an answer goes where the question came from, the rest to the role
 * that it is for. */
bool send_route(struct shell *shell, const struct did *did, const struct message *message,
	struct route *ret_route);
/* Encodes a SEND effect into the queue. 0, also where it is dropped, or a fault. */
_must_check_ int send_effect(struct shell *shell, struct send *send);
/* Encodes shell->reply into the queue. */
_must_check_ int send_reply(struct shell *shell, const struct route *route);
/* REFUSED, about the message in shell->opened. */
_must_check_ int send_refused(
	struct shell *shell, const struct route *route, enum refusal code, const char *field);
/* Clears shell->reply and starts a message in it. */
struct message *send_begin(struct shell *shell, enum message_type type);
/* Everything that is queued leaves, or waits for room. */
void send_flush(struct shell *shell);
/* Gives bytes to the transport and counts them. 0, -EAGAIN where there is no room, -EHOSTUNREACH. */
_must_check_ int send_deliver(struct shell *shell, const struct route *route, int64_t type,
	struct span bytes, int64_t now);
/* Whether there is somebody for whom waiting makes sense. */
bool send_connected(const struct shell *shell, const struct route *route);

/* held.c: what did not fit into a peer's queue. */
void held_deinit(struct held *held);
/* Whether the last try found the queue of that peer full. */
bool held_blocked(const struct held *held, const struct route *route);
/* Keeps a copy. False where it is not worth it, or over a limit. */
_must_check_ bool held_put(
	struct held *held, const struct route *route, int64_t type, struct span bytes, int64_t now);
/* Tries all once, and drops what is over its time. */
void held_retry(struct shell *shell, int64_t now);

/* sessions.c: peers of the server. */
_must_check_ int sessions_init(struct sessions *sessions, size_t capacity, uint64_t secret);
void sessions_deinit(struct sessions *sessions);
/* NONE where it has not greeted. */
uint32_t sessions_connection(const struct sessions *sessions, const struct route *route);
uint32_t sessions_find(const struct sessions *sessions, const struct did *did, int64_t role);
/* Somebody was heard at that (monotonic) time. */
void sessions_heard(struct sessions *sessions, uint32_t connection, int64_t now);
/* The next beat finds it silent. */
void sessions_doom(struct sessions *sessions, const struct route *route);
/*
 * did greets on a connection: it moves there. REFUSED_NOT, or PEER_LIMIT; *ret_new: it was not
 * there.
 */
_must_check_ enum refusal sessions_greet(struct sessions *sessions, const struct route *route,
	const struct did *did, int64_t role, int64_t expires_ns, int64_t now, bool *ret_new);
/*
 * Takes one identity off the connection that is silent the longest, where that is for longer than
 * SHELL_SERVER_LOST_NS. False where none is.
 */
bool sessions_lose(struct sessions *sessions, int64_t now, struct did *ret_did, int64_t *ret_role);

/* greet.c: hello, welcome, heartbeats. */
_must_check_ int greet_hello(struct shell *shell, const struct route *route);
_must_check_ int greet_welcome(struct shell *shell, struct dialled *dialled);
/* The server no longer knows us. */
void greet_again(struct dialled *dialled);
_must_check_ int greet_client_events(struct shell *shell, struct dialled *dialled);
/* What is due now. */
_must_check_ int greet_beat(struct shell *shell, int64_t now);
/* When that is next due. */
int64_t greet_next(const struct shell *shell);

/* receive.c: one message, from a route. */
_must_check_ int receive_message(struct shell *shell, const struct route *route, struct span bytes);

/* work.c */
void work_queue_init(struct jobs *jobs);
struct job *work_queue_take(struct jobs *jobs);
void work_queue_free(struct jobs *jobs);
void work_job_free(struct job *job);
/* Copies a piece of work into the queue. */
_must_check_ int work_queue_add(struct jobs *jobs, const struct work *work);
_must_check_ int work_start(struct shell *shell);
/* Takes results, each an event. */
_must_check_ int work_results(struct shell *shell);
/* As shell_work_done(); memory, where not empty, is malloc'd, becomes the queue's and the detail.
 */
_must_check_ int work_post(
	struct shell *shell, const struct work_result *result, size_t size, struct span memory);

/* pull.c */
_must_check_ int pull_start(struct shell *shell, uint64_t ticket, const struct work_pull *want);
_must_check_ int pull_chunk(struct shell *shell, const struct did *from);
/* A REFUSED came. 1 where it was about a pull, 0 where not, or a fault. */
_must_check_ int pull_refused(struct shell *shell, const struct did *from);
_must_check_ int pull_beat(struct shell *shell, int64_t now);
int64_t pull_next(const struct shell *shell);
void pull_deinit(struct shell *shell);

/* serve.c: the FETCH in shell->opened. */
_must_check_ int serve_fetch(
	struct shell *shell, const struct route *route, const struct did *from);

/* shell_control.c */
_must_check_ int shell_control_new(struct shell *shell, struct control **ret_control);
void shell_control_free(struct control *control);
/* Adds its descriptors to items and returns how many. */
size_t shell_control_items(struct control *control, struct net_item *items);
/* Reads commands and goes on with a snapshot: between batches only. A fault of the shell's alone.
 */
_must_check_ int shell_control_work(struct shell *shell, struct control *control);
/* Whether it has something to do at once. */
bool shell_control_busy(const struct control *control);

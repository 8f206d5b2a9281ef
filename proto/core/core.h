#pragma once
/*
 * How a core meets its shell: step(state, event) -> effects. A core has no clock, no random
 * numbers, no descriptors and no log; time, randomness and verified messages arrive inside events.
 * The shell (proto/shell) and the simulator (tests/sim) both drive cores through `struct core_ops`.
 *
 * The shell gathers events, lets the core step over each, writes all rows of the batch in ONE
 * transaction, and only then sends and starts work (it encodes and copies those after each step, so
 * the effects are used again for the next). Therefore whatever a core sends is durable. A message
 * that is lost is the sender's to repeat: cores repeat from their state, by wake_at().
 */
#include "proto/core/cell.h"
#include "proto/statement/message.h"

#define EFFECTS_MAX         96
#define EFFECTS_ARENA       (2 * 1024 * 1024) /* EFFECTS_MAX sends and 512 KiB of the rest */
#define SEND_STATEMENTS_MAX 24
#define ROW_CELLS_MAX       16

enum event_type {
	EVENT_START = 1, /* once, after all rows were loaded */
	EVENT_TICK = 2, /* wake_at() has come */
	EVENT_MESSAGE = 3, /* from `from`, verified */
	EVENT_CONNECTED = 4, /* `from` greeted; role */
	EVENT_LOST = 5, /* `from` is gone or silent */
	EVENT_WORK = 6, /* a piece of work ended */
	EVENT_SEAL = 7, /* the batch ends: the broker closes its log's batch here */
};

/* What happened to a piece of work that the core had asked for. */
struct work_result {
	uint64_t ticket; /* of the WORK effect */
	int kind; /* of the WORK effect: the core's own enum */
	int status; /* 0, or a negative errno */
	enum refusal refusal;
	const void *detail; /* the kind's own struct, or NULL */
};

struct event {
	enum event_type type;
	int64_t now_ns;
	uint8_t entropy[32]; /* fresh random bytes for this event alone */
	struct did from;
	int64_t role; /* CONNECTED, LOST */
	const struct opened *opened; /* MESSAGE: the message and its statements */
	const struct work_result *work;
};

enum effect_type { EFFECT_SEND = 1, EFFECT_PUT = 2, EFFECT_WORK = 3 };

/* Rows are inserted, replaced by their key, or deleted by their key. */
enum put_op { PUT_INSERT = 1, PUT_REPLACE = 2, PUT_DELETE = 3 };

struct row {
	uint16_t table;
	uint8_t op; /* enum put_op */
	uint8_t n;
	struct cell cells[ROW_CELLS_MAX]; /* the first table_info.n_key cells are the key */
};

/*
 * A message to an identity. Statements are named by id and attached by the shell, which has them in
 * this batch, in its cache or in its store; with them go the keys statements that the receiver
 * needs.
 */
struct send {
	struct did to;
	struct message message; /* without statements; the shell numbers it where number is 0;
				   spans live in the arena or in static memory */
	struct id statements[SEND_STATEMENTS_MAX];
	size_t n_statements;
	struct id blob; /* not zero: attach the stored payload with this digest as `blob` */
};

/* detail is flat: the shell copies its size bytes before the arena is used again. */
struct work {
	uint64_t ticket;
	int kind; /* the core's own enum */
	size_t size;
	const void *detail;
	bool early; /* may begin before the commit, since a crash loses nothing with it */
};

struct effect {
	enum effect_type type;
	union {
		struct send *send; /* in the arena */
		struct row row;
		struct work work;
	};
};

struct effects {
	struct effect v[EFFECTS_MAX];
	size_t n;
	struct buf arena;
	bool overflow; /* a core asked for more than fits: the shell stops, as going on would lose
			  an effect */
	uint8_t arena_room[EFFECTS_ARENA];
};

/* Work that the shell itself knows, whatever the program; a program's own kinds begin at WORK_OWN.
 */
enum { WORK_PULL = 1, WORK_OWN = 16 };

/*
 * WORK_PULL: fetch a payload in chunks from the identity that has it into the payload store,
 * durable before the EVENT_WORK that ends it. Status -ETIMEDOUT where the other side fell silent
 * for PULL_SILENCE_NS, refusal PAYLOAD_DIGEST or PAYLOAD_SIZE where it lied.
 */
struct work_pull {
	struct did from;
	struct id request;
	struct id digest; /* of the ciphertext */
	int64_t size; /* of the ciphertext */
	struct id ticket; /* not zero: a statement to attach to each FETCH (the draw) */
};
#define PULL_SILENCE_NS (10 * NS_PER_S)

struct table_info {
	const char *name; /* of the SQL table, and of its statements: insert_NAME, replace_NAME,
			     delete_NAME, load_NAME */
	uint8_t n_key; /* leading cells that make up the key */
	uint8_t n_cells;
};

/* What a program's core offers to shell and simulator. */
struct core_ops {
	const char *name;
	const struct table_info
		*tables; /* [0] and [1] are always proto's own: statement, payload */
	size_t n_tables;
	/* One stored row after a restart, table by table, each in the order of its key. 0, or
	 * -EBADMSG. */
	/* (rows of tables 0 and 1 are not loaded: the shell attaches them when a message names
	 * them) */
	int (*load)(void *core, const struct row *row);
	void (*step)(void *core, const struct event *event, struct effects *fx);
	/* The next time at which the core wants EVENT_TICK, or INT64_MAX. */
	int64_t (*wake_at)(const void *core);
	/* Aborts where an invariant of the core's header does not hold; called by the simulator
	 * after each step. */
	void (*check)(const void *core);
	/* Whether `who` may read the stored payload `digest` (FETCH); tickets were seen by step()
	 * before. */
	bool (*may_fetch)(const void *core, const struct did *who, const struct id *digest);
};

/*
 * Table 0 of every core. Cells: id (blob 32), kind (int), request (blob 32 or null), bytes (blob).
 * A core stores what it received or signed and must be able to attach later.
 */
#define TABLE_STATEMENT 0
extern const struct table_info core_statement_table;
/*
 * Table 1 of every core: payloads up to PAYLOAD_INLINE_MAX. Cells: digest (blob 32), request (blob
 * 32), bytes (blob). Larger ones are files, written by WORK_PULL or by the shell before the event
 * that reports them.
 */
#define TABLE_PAYLOAD 1
extern const struct table_info core_payload_table;

void effects_init(struct effects *fx);

/* A new SEND effect of the type, to fill in; never NULL (on overflow a scratch in fx, and
 * fx->overflow). */
struct send *effects_send(struct effects *fx, const struct did *to, enum message_type type);
/* Adds a statement's id to a send. A zero id is passed over. */
void send_attach(struct send *send, const struct id *statement);
/* A new PUT effect. */
struct row *effects_put(struct effects *fx, uint16_t table, enum put_op op);
void row_int(struct row *row, int64_t value);
void row_null(struct row *row);
/* The bytes must live until the batch is committed: arena, event or static memory. */
void row_blob(struct row *row, struct span bytes);
/* Copies into the arena first. */
void row_copy(struct effects *fx, struct row *row, struct span bytes);
/* A new WORK effect with a zeroed detail of size n in the arena; ret_detail may be NULL for n = 0.
 */
void *effects_work(struct effects *fx, int kind, uint64_t ticket, size_t n);
/*
 * The same for work of the program's own that need not wait for the commit of the event's rows:
 * what it does is done again after a crash, or never needed. Its end is an event as any other.
 */
void *effects_work_early(struct effects *fx, int kind, uint64_t ticket, size_t n);

/* Stores a statement that arrived in the event (its bytes live in the event). */
void effects_keep(struct effects *fx, const struct statement *s, const struct id *request);

/* Who signs new statements and for which market. */
struct author {
	struct signer signer;
	struct span market;
};

/*
 * Fills c of a new body: market, salt from the event's entropy and *counter (so that each statement
 * of an event gets its own), at_ns = now.
 */
void author_common(const struct author *author, const struct event *event, uint32_t *counter,
	struct effects *fx, struct common *c);

/*
 * Signs body, stores it as a row, and returns its id; the bytes live in fx's arena (ret_bytes may
 * be NULL). A body that breaks a field's rule is a mistake of the core's, not a peer's:
 * fx->overflow is set and the shell stops.
 */
struct id effects_sign(struct effects *fx, const struct author *author, enum statement_kind kind,
	void *body, const struct id *request, struct span *ret_bytes);

/* Derived randomness: SHA-256(entropy || tag || counter). */
struct id event_random(const struct event *event, const char *tag, uint32_t counter);

/* A REFUSED reply to the event's message. */
void effects_refuse(
	struct effects *fx, const struct event *event, enum refusal code, const char *field);

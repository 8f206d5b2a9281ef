#pragma once
/*
 * All programs of a market in one process: one broker, one escrow, nodes, verifiers and buyers,
 * each the real core behind struct core_ops with a simulated shell, disk and clock, joined by a
 * network that loses, repeats, delays and reorders real encoded messages. Buyers and verifiers have
 * small cores of the simulator's own (buyer.c, verifier.c), driven in the same way.
 *
 * One seed decides everything; the same seed gives the same run. world.c runs the queue, party.c is
 * the shell, network.c carries, work.c captures, pulls and verifies, faults.c harms, checks.c holds
 * what must be true, workload.c posts requests.
 */
#include "proto/core/core.h"
#include "proto/core/slot.h"
#include "proto/seal/seal.h"
#include "tests/sim/person.h"
#include "tests/sim/rng.h"
#include "tests/sim/store.h"

#define SIM_PARTIES_MAX  16
#define SIM_NODES_MAX    4
#define SIM_MARKET       "sim"
#define SIM_ASSET        "XTS"
#define SIM_START_NS     (INT64_C(1800000000) * NS_PER_S)
#define SIM_BATCH_MAX    16
#define SIM_QUIET_MAX_NS (3 * 3600 * NS_PER_S) /* after the faults stop */

enum sim_kind { SIM_BROKER, SIM_ESCROW, SIM_NODE, SIM_VERIFIER, SIM_BUYER, SIM_KINDS };
enum sim_faults { FAULTS_OFF, FAULTS_LIGHT, FAULTS_HEAVY };
enum sim_plant {
	PLANT_NONE,
	PLANT_DOUBLE_RELEASE, /* the escrow's disk applies a paying transfer's rows twice */
	PLANT_DROPPED_OUTBOX, /* a node restarts without its assignments and evidence */
	PLANT_SKIPPED_FSYNC, /* a crash also loses the last commit */
};

/* What happened, for the report. */
enum sim_fault {
	FAULT_LOST,
	FAULT_REPEATED,
	FAULT_LATE,
	FAULT_PARTITION,
	FAULT_DISCONNECT,
	FAULT_CRASH_BEFORE_COMMIT,
	FAULT_CRASH_AFTER_COMMIT,
	FAULT_CRASH_AMID_SENDS,
	FAULT_CRASH_IDLE,
	FAULT_AWAY,
	FAULT_NODE_CAPTURE_FAILS,
	FAULT_NODE_VANISHES,
	FAULT_NODE_LATE,
	FAULT_NODE_TWICE,
	FAULT_NODE_CHALLENGE,
	FAULT_NODE_OTHERS_EVIDENCE,
	FAULT_NODE_PAYLOAD,
	FAULT_NODE_JUNK,
	FAULT_VERIFIER_SILENT,
	FAULT_VERIFIER_LATE,
	FAULT_VERIFIER_TWICE,
	FAULT_VERIFIER_LIES,
	FAULT_VERIFIER_UNSURE,
	FAULT_CANCEL,
	FAULTS,
};

enum sim_what {
	W_DELIVER, /* data: struct sim_letter */
	W_PROCESS, /* the party's inbox */
	W_TICK,
	W_DONE, /* data: struct sim_done */
	W_PULL, /* data: struct sim_pull */
	W_RESTART,
	W_LINK_UP, /* between a and b */
	W_LOST, /* a notices that b is gone */
	W_FAULT,
	W_POST, /* the next request */
	W_CALM, /* the faults stop */
	W_CANCEL, /* data: struct id of a request of the party's */
};

struct sim_event {
	int64_t at_ns;
	uint64_t seq;
	enum sim_what what;
	uint8_t a;
	uint8_t b;
	uint32_t life; /* of a: an earlier life's events are passed over */
	void *data; /* malloc'd */
};

/* A message on its way. */
struct sim_letter {
	bool tampered; /* by a hostile shell */
	int64_t type;
	size_t n;
	uint8_t bytes[];
};

/* A piece of work that ended. detail is the core's struct. */
struct sim_done {
	struct work_result result;
	size_t size;
	_Alignas(16) uint8_t detail[];
};

struct sim_pull {
	uint64_t ticket;
	int64_t begun_ns;
	struct work_pull want;
};

struct sim_item {
	enum event_type type;
	uint8_t from;
	void *data; /* letter or done */
};

/* A message of the open batch, encoded. */
struct sim_out {
	uint8_t to;
	int64_t delay_ns; /* beyond the network's own */
	struct sim_letter *letter;
	struct id request;
	struct id target;
	struct id promised[SEND_STATEMENTS_MAX]; /* statements that a crash must not lose */
	size_t n_promised;
	struct id assignment; /* of a node's evidence */
	int64_t state; /* told by broker or escrow */
	int64_t transfers; /* made when an ACCOUNT was written */
};

struct sim_party {
	char name[32];
	enum sim_kind kind;
	uint8_t index;
	struct author author;
	uint8_t encryption_public[32];
	uint8_t encryption_secret[32];
	uint8_t keys[1024]; /* statement */
	size_t n_keys;
	int64_t skew_ns;

	const struct core_ops *ops;
	void *core; /* NULL: down */
	struct keyring *keyring;
	struct store store;
	uint32_t life;
	int64_t started_ns;
	int64_t tick_at_ns;
	bool process_set;
	struct sim_item *inbox;
	size_t n_inbox;
	size_t cap_inbox;
	struct sim_out *outs;
	size_t n_outs;
	size_t cap_outs;
	struct sim_done **works; /* asked for in this batch */
	size_t n_works;
	size_t cap_works;
	int64_t number;
};

/* A pair of parties: whether they are connected, and until when nothing passes. */
struct sim_link {
	bool up;
	bool lost[2]; /* told the lower, the higher party that the other is gone */
	int64_t blocked_until_ns;
};

/* A request that was posted. */
struct sim_request {
	struct id id;
	uint8_t buyer;
	enum refusal expect; /* REFUSED_NOT: a good one */
	bool known; /* durable at the buyer */
	bool ended; /* at the buyer */
	int64_t state;
	int64_t code;
	int64_t posted_ns;
	struct person_post post;
};

struct sim_options {
	uint64_t seed;
	size_t requests;
	uint64_t steps;
	enum sim_faults faults;
	enum sim_plant plant;
	bool verbose;
	bool json;
};

struct sim_checks; /* checks.c */

struct world {
	struct sim_options o;
	int64_t now_ns;
	uint64_t seq;
	uint64_t steps;
	uint64_t messages;
	struct sim_event *queue; /* binary heap */
	size_t n_queue;
	size_t cap_queue;

	struct rng chance; /* network and faults */
	struct rng entropy;
	struct rng load;

	struct sim_party parties[SIM_PARTIES_MAX];
	size_t n_parties;
	uint8_t broker;
	uint8_t escrow;
	struct sim_link links[SIM_PARTIES_MAX][SIM_PARTIES_MAX]; /* [lower][higher] */
	bool calm; /* the faults have stopped */
	int64_t quiet_by_ns; /* then everything must have ended by here */

	struct sim_request *requests;
	size_t n_requests;
	int64_t told_ns; /* when buyers were last told what they had forgotten */
	struct sim_checks *checks;

	uint64_t faults[FAULTS];
	uint64_t crashes[SIM_KINDS];
	uint64_t refusals[256];
	uint64_t bases[2][16]; /* settlements that refunded, that paid, by enum basis */
	bool broken;
	char broken_name[48];
	char broken_text[400];

	struct opened *opened;
	struct effects *fx;
};

/* world.c */
void world_init(struct world *w, const struct sim_options *options);
void world_deinit(struct world *w);
void world_at(struct world *w, int64_t at_ns, enum sim_what what, uint8_t a, uint8_t b, void *data);
/* Runs to the end; false where something that must hold did not: broken_name, broken_text. */
bool world_run(struct world *w);
/* Notes the first violation; the run ends after this event. */
_printf_(3, 4) void world_broken(struct world *w, const char *name, const char *format, ...);
_printf_(2, 3) void world_say(struct world *w, const char *format, ...);
struct sim_party *world_party(struct world *w, const struct did *did);
void *sim_copy(const void *p, size_t n);

/* identity.c: keys from the seed. */
void identity_make(struct world *w, struct sim_party *p);

/* party.c: the shell. */
int64_t party_now(const struct world *w, const struct sim_party *p);
void party_start(struct world *w, struct sim_party *p);
void party_crash(struct world *w, struct sim_party *p, int64_t away_ns);
/* Puts an item into the inbox and sees that it is looked at. */
void party_give(
	struct world *w, struct sim_party *p, enum event_type type, uint8_t from, void *data);
void party_process(struct world *w, struct sim_party *p);
/* Learns the keys statement of another party, durably. */
void party_learn(struct world *w, struct sim_party *p, const struct sim_party *of);
void party_deinit(struct sim_party *p);
/* cores.c: a new core for the party. */
void *cores_new(struct world *w, struct sim_party *p);
void cores_free(struct sim_party *p);
const struct core_ops *cores_ops(enum sim_kind kind);

/* attach.c: a SEND effect to bytes, queued in p->outs. */
void attach_send(struct world *w, struct sim_party *p, struct send *send);

/* network.c */
bool network_joined(const struct world *w, uint8_t a, uint8_t b); /* pairs that ever talk */
struct sim_link *network_link(struct world *w, uint8_t a, uint8_t b);
void network_send(struct world *w, uint8_t from, const struct sim_out *out);
void network_deliver(struct world *w, const struct sim_event *e);
void network_up(struct world *w, uint8_t a, uint8_t b);
void network_party_down(struct world *w, uint8_t a);
void network_party_up(struct world *w, uint8_t a);
void network_lost(struct world *w, uint8_t a, uint8_t b);
void network_disconnect(struct world *w, uint8_t a, uint8_t b, int64_t for_ns);

/* work.c */
void work_start(struct world *w, struct sim_party *p, struct sim_done *work);
void work_pull(struct world *w, struct sim_party *p, struct sim_pull *pull);
/* Whether the payload is worth money; digest of the plaintext. */
struct work_truth {
	int64_t outcome; /* enum check_result_value */
	struct id digest;
	bool has_digest;
};
struct work_truth work_judge(struct world *w, const struct sim_party *p,
	const struct seal_bound *bound, const uint8_t key[static 32],
	const struct statement *evidence);
struct span store_payload(const struct sim_party *p, const struct id *digest);

/* faults.c */
void faults_begin(struct world *w);
void faults_next(struct world *w);
void faults_stop(struct world *w);
/* What the shell of a hostile node does to a message. */
enum harm { HARM_NOT, HARM_DROP, HARM_DELAY, HARM_ALTER, HARM_TWICE };
enum harm faults_node(struct world *w, struct sim_party *p, struct send *send, struct buf *room,
	int64_t *ret_delay_ns);
/* What befalls a capture: 0, FAULT_NODE_CAPTURE_FAILS or FAULT_NODE_JUNK. */
int faults_capture(struct world *w, const struct sim_party *p, const struct id *assignment);
/* Whether a node gives out another payload than the one it signed. */
bool faults_lies(struct world *w, const struct sim_party *p, const struct id *digest);
/* What a verifier does with a draw: 0 or one of FAULT_VERIFIER_. */
int faults_verifier(struct world *w, const struct sim_party *p, const struct id *draw);
enum { CRASH_NOT, CRASH_BEFORE, CRASH_AFTER, CRASH_AMID };
int faults_crash(struct world *w, const struct sim_party *p);
int64_t faults_away(struct world *w);
const char *faults_name(enum sim_fault fault);

/* checks.c */
void checks_init(struct world *w);
void checks_free(struct world *w);
void checks_committed(struct world *w, struct sim_party *p);
/* A message that the party took, before its step. */
void checks_taken(struct world *w, struct sim_party *p);
void checks_left(struct world *w, struct sim_party *p, const struct sim_out *out);
void checks_restarted(struct world *w, struct sim_party *p);
void checks_default(struct world *w, const struct id *evidence, int64_t outcome);
void checks_end(struct world *w);
/* Whether nothing is open at any party. */
bool checks_quiet(const struct world *w);
/* Messages in which a party promises something; fills what must survive. */
void checks_promise(
	struct world *w, const struct sim_party *p, const struct send *send, struct sim_out *out);

/* workload.c */
void workload_begin(struct world *w);
void workload_post(struct world *w);
struct sim_request *workload_find(struct world *w, const struct id *request);
bool workload_done(const struct world *w);
void workload_cancel(struct world *w, struct sim_party *p, const struct id *request);

#pragma once
/*
 * The pure core of a sensor node: it publishes offerings, checks every assignment against them and
 * against the money behind it, has one capture made, signs one piece of evidence for it, and
 * repeats that until somebody took it. Devices, sealing of payloads and files are the shell's.
 *
 * Invariants, see node_ops.check:
 * 1. A row in use is found under its assignment; one that was accepted also under its earmark.
 * 2. A row has evidence if and only if its state is COMMITTED or RECEIPTED; it is then found under
 *    the evidence's id, and the payload's digest.
 * 3. Evidence is signed only in state ASSIGNED, which no row ever enters twice: so there is at most
 *    one piece of evidence for an assignment, and one assignment worked on for an earmark.
 * 4. n_capturing counts the pieces of NODE_WORK_CAPTURE that have not ended.
 */
#include "proto/core/core.h"
#include "proto/seal/seal.h"
#include "proto/statement/payload.h"

#define NODE_OFFERINGS_MAX     16
#define NODE_WORDS_MAX         32
#define NODE_CAPACITY_DEFAULT  1024 /* assignments kept at once */
#define NODE_CAPACITY_MAX      65536
#define NODE_CAPTURES_MAX      256 /* captures at once, or waiting for the device */
#define NODE_RESUMES_MAX       32 /* of those, begun again in one step after a restart */
#define NODE_CLAIMS_MAX        512 /* bytes of sealed claims */
#define NODE_CELL_E7           100000 /* edge of a published cell: 0.01 degrees */
#define NODE_CELL_RADIUS_M     800 /* covers a cell's corners at the equator */
#define NODE_ALGORITHM         "assay-content-v1" /* seal/: AES-256-GCM in records */
#define NODE_REPEAT_MIN_NS     NS_PER_S
#define NODE_REPEAT_MAX_NS     (10 * NS_PER_S)
#define NODE_ASK_MIN_NS        (10 * NS_PER_S) /* for an outcome that does not come */
#define NODE_ASK_MAX_NS        (300 * NS_PER_S)
#define NODE_MEMORY_NS         (60 * NS_PER_S) /* an ended assignment is remembered past its times */
#define NODE_DECLINE_MEMORY_NS (3600 * NS_PER_S)
#define NODE_SENDS_MAX         8 /* messages of one step */

/* Wire-free numbers on disk: append only. */
enum node_state {
	NODE_ASSIGNED = 1, /* accepted, nothing signed */
	NODE_COMMITTED = 2, /* evidence signed, nobody took it yet */
	NODE_RECEIPTED = 3, /* the broker's receipt came; the outcome is awaited */
	NODE_DECLINED = 4,
	NODE_DONE = 5, /* an outcome, or given up; remembered so that nothing is done twice */
};

/* One thing that the node sells. Spans live as long as the node. */
struct node_offering {
	struct span kind;
	struct parameters parameters; /* most that can be asked for: width, height; unit, quantity,
					 channel where not empty must be the same */
	int64_t price_micros;
	struct span asset;
	int64_t sources; /* SOURCE_ bits */
	struct place place; /* the exact one; never published */
	struct did brokers[PARTIES_MAX];
	size_t n_brokers;
	struct did escrows[PARTIES_MAX];
	size_t n_escrows;
	struct did verifiers[POOL_MAX];
	size_t n_verifiers;
	struct span accepts[CHECKS_MAX];
	size_t n_accepts;
	int64_t t_dispute_max_ms;
	struct span policy; /* published words of the operator */
};

struct node_config {
	struct author author;
	const struct keyring *keyring;
	struct did broker;
	struct did escrow;
	struct node_offering offerings[NODE_OFFERINGS_MAX];
	size_t n_offerings;
	struct span refused_words[NODE_WORDS_MAX]; /* in a request's purpose, in any case */
	size_t n_refused_words;
	bool persons_in_view; /* whether requests that want persons in view are served */
	size_t max_captures; /* at once; 0: 1 */
	size_t capacity; /* assignments kept; 0: NODE_CAPACITY_DEFAULT */
	uint64_t secret; /* of the id maps */
};

enum {
	NODE_WORK_CAPTURE = WORK_OWN, /* detail: struct node_capture */
	NODE_WORK_FORGET = WORK_OWN + 1, /* detail: struct node_forget; its end is passed over */
};

/* What to capture. Texts end in NUL and are empty where the request does not say. */
struct node_job {
	char kind[65];
	struct id challenge;
	int64_t sources; /* SOURCE_ bits that request and offering share */
	int64_t from_ns; /* of the window; 0: at once */
	int64_t to_ns; /* of the window; 0: no end but commit_by */
	int64_t width;
	int64_t height;
	char unit[33];
	int64_t low;
	int64_t high;
	int64_t exponent;
	char quantity[65];
	char channel[65];
	bool persons_in_view;
};

struct node_capture {
	struct id assignment;
	struct id request; /* seal the payload for {request, assignment} */
	uint32_t offering; /* index into the config */
	struct node_job job;
	int64_t deadline_ns; /* commit_by: the result must come before */
	struct place place; /* for the claims */
};

/* A payload that nobody may ask for any more; the shell removes its file, if there is one. */
struct node_forget {
	struct id digest;
};

/*
 * The detail of the EVENT_WORK that ends a capture with status 0 and no refusal: flat, so that it
 * can be copied. Texts end in NUL. The payload is already sealed with content_key for {request,
 * assignment}, the claims too. A ciphertext over PAYLOAD_INLINE_MAX is already stored durably as a
 * file under cipher_digest, and n_ciphertext is 0. A status of -ENOSPC tells of a full disk.
 */
struct capture_result {
	int64_t start_ns;
	int64_t end_ns;
	int64_t uncertainty_ns;
	int64_t source; /* one SOURCE_ bit */
	char device[257];
	char calibration[257];
	char pipeline[513];
	char redactions[257];
	char type[65]; /* media type */
	int64_t size; /* of the plaintext */
	struct id plain_digest; /* SHA-256(plain_salt of the claims || plaintext) */
	struct id cipher_digest;
	int64_t cipher_size;
	uint8_t content_key[SEAL_KEY];
	size_t n_claims;
	uint8_t claims[NODE_CLAIMS_MAX]; /* sealed */
	size_t n_ciphertext;
	uint8_t ciphertext[PAYLOAD_INLINE_MAX];
};

struct node;

/* 0, -ENOMEM, or -EINVAL where an offering or a limit of the config cannot be. */
_must_check_ int node_new(const struct node_config *config, struct node **ret_node);
/* Takes NULL. */
void node_free(struct node *node);
static inline void node_freep(struct node **node)
{
	node_free(*node);
}

extern const struct core_ops node_ops;

/* Tables after proto's own, as in store/node.sql. */
enum node_table {
	NODE_TABLE_ASSIGNMENT = 2,
	NODE_TABLE_CHAIN = 3,
	NODE_TABLE_OFFERING = 4,
	NODE_TABLE_RESULT = 5,
};

/* Figures for a shell's log and tests. */
struct node_counts {
	size_t n_rows;
	size_t n_capturing;
	int64_t sequence; /* of the last evidence */
};
struct node_counts node_counts(const struct node *node);
/* The state of an assignment, or 0 where it is not known. */
enum node_state node_state_of(const struct node *node, const struct id *assignment);

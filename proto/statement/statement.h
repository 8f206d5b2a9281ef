#pragma once
/*
 * Every signed statement of the market as a struct, with its table for schema.h; market.cddl is the
 * same in words. A statement is a COSE_Sign1 (cose/cose.h) whose content type names its kind and
 * whose id is the SHA-256 of its Sig_structure. Whether the key belongs to the issuer is keyring.h;
 * what a statement means is for the cores. Fields of zero or empty value are absent.
 */
#include "proto/cose/cose.h"
#include "proto/statement/keys.h"
#include "proto/statement/schema.h"

#define STATEMENT_VERSION 1
#define AUDIENCE_MAX      4
#define POOL_MAX          32
#define PANEL_MAX         7
#define CHECKS_MAX        16
#define FIGURES_MAX       6
#define LINES_MAX         24
#define PRICES_MAX        8
#define PARTIES_MAX       8
#define REVOKED_MAX       8
#define TIMEOUT_MAX_MS    (30 * INT64_C(86400000))
#define MICROS_MAX        INT64_C(1000000000000000000)

/* Wire numbers: append only. */
enum statement_kind {
	STATEMENT_NONE = 0,
	STATEMENT_KEYS_OF = 1,
	STATEMENT_GREETING = 2,
	STATEMENT_OFFERING = 3,
	STATEMENT_REQUEST = 4,
	STATEMENT_HOLD = 5,
	STATEMENT_EARMARK = 6,
	STATEMENT_ASSIGNMENT = 7,
	STATEMENT_BID = 8,
	STATEMENT_ACCEPT = 9,
	STATEMENT_DECLINE = 10,
	STATEMENT_EVIDENCE = 11,
	STATEMENT_VERDICT = 12,
	STATEMENT_DRAW = 13,
	STATEMENT_RELEASE = 14,
	STATEMENT_SETTLEMENT = 15,
	STATEMENT_CANCEL = 16,
	STATEMENT_DISPUTE = 17,
	STATEMENT_RULING = 18,
	STATEMENT_BOND = 19,
	STATEMENT_FAULT = 20,
	STATEMENT_REPORT = 21,
	STATEMENT_FEED = 22,
	STATEMENT_INTERVAL = 23,
};
#define STATEMENT_KINDS 24

/* Bits: what a node's source is, what a request allows (sources), what evidence says (source). */
#define SOURCE_LIVE      1
#define SOURCE_REPLAY    2
#define SOURCE_SYNTHETIC 4

enum check_result_value { CHECK_PASS = 1, CHECK_FAIL = 2, CHECK_INCONCLUSIVE = 3 };
enum silence { SILENCE_REFUND = 1, SILENCE_PAY = 2 };
enum account_purpose {
	ACCOUNT_AVAILABLE = 1,
	ACCOUNT_HELD = 2,
	ACCOUNT_BOND = 3,
	ACCOUNT_FEE = 4,
	ACCOUNT_VERIFIER_PAY = 5,
	ACCOUNT_RAIL_CLEARING = 6,
};
enum basis {
	BASIS_VERDICTS = 1,
	BASIS_DEFAULT = 2,
	BASIS_RULING = 3,
	BASIS_SILENCE = 4,
	BASIS_NO_SHOW = 5,
	BASIS_WITHHELD = 6,
	BASIS_CANCELLED = 7,
	BASIS_EXPIRED = 8,
};
enum role {
	ROLE_BUYER = 1,
	ROLE_NODE = 2,
	ROLE_BROKER = 3,
	ROLE_ESCROW = 4,
	ROLE_VERIFIER = 5,
};
/* What the source of the evidence says at best about the scene; a signature proves a key, not a
 * scene. */
enum tier { TIER_LIVE_CLAIMED = 1, TIER_REPLAY = 2, TIER_SYNTHETIC = 3 };

/* The first fields of every statement. `present` is schema.h's. */
struct common {
	bool present;
	int64_t version;
	struct span market;
	struct span salt; /* 16 random bytes */
	struct did audience[AUDIENCE_MAX];
	size_t n_audience;
	int64_t at_ns;
	int64_t expires_ns;
};

struct place {
	bool present;
	int64_t lat_e7; /* WGS 84, 1e-7 degrees */
	int64_t lon_e7;
	int64_t radius_m;
};

struct price {
	bool present;
	struct span name;
	int64_t price_micros;
};

struct revoked {
	bool present;
	struct span key;
	int64_t since_ns;
};

/* Parameters of a request or of a check: what applies to a kind is set, the rest is absent. */
struct parameters {
	bool present;
	int64_t width; /* least pixels */
	int64_t height;
	struct span unit; /* UCUM */
	int64_t low; /* times 10^exponent */
	int64_t high;
	int64_t exponent;
	struct span quantity;
	struct span channel;
};

struct check {
	bool present;
	struct span id;
	int64_t check_version;
	struct parameters parameters;
	bool binding;
};

struct figure {
	bool present;
	struct span name;
	int64_t value; /* times 10^exponent */
	int64_t exponent;
	struct span unit;
};

struct check_result {
	bool present;
	struct span id;
	int64_t check_version;
	int64_t result; /* enum check_result_value */
	int64_t code; /* enum refusal, where it did not pass */
	struct figure figures[FIGURES_MAX];
	size_t n_figures;
};

struct amount {
	bool present;
	int64_t account_purpose; /* enum account_purpose */
	int64_t amount_micros;
};

struct line {
	bool present;
	struct did account;
	int64_t account_purpose;
	int64_t amount_micros;
};

struct quorum {
	bool present;
	int64_t agree_k;
	int64_t tolerance;
	int64_t exponent;
};

struct decay {
	bool present;
	int64_t soft_deadline_ms;
	int64_t ppm_per_s;
	int64_t floor_micros;
};

struct payload {
	bool present;
	struct span type; /* media type */
	int64_t size; /* bytes of plaintext */
	struct id plain_digest; /* SHA-256(salt of the claims || plaintext) */
	struct id cipher_digest; /* SHA-256 of the ciphertext as it travels */
	struct span algorithm;
	struct span wrapped_key; /* content key for the escrow, seal/seal.h */
};

/* keys: signed by the root key itself. */
struct keys {
	bool present;
	struct common c;
	struct span working_key; /* 32 Ed25519, 33 P-256 */
	int64_t working_alg;
	struct span curve_key; /* Curve25519 of the transport */
	struct span encryption_key; /* X25519 of the content keys */
	int64_t valid_from_ns;
	int64_t valid_until_ns;
	struct id replaces;
	struct revoked revokes[REVOKED_MAX];
	size_t n_revokes;
	struct did recovery;
};

/* greeting: binds a connection's CURVE key to an identity. */
struct greeting {
	bool present;
	struct common c;
	struct span carrier; /* CURVE public key of the connection */
	int64_t protocol;
	int64_t role; /* enum role */
	int64_t message_max;
};

struct offering {
	bool present;
	struct common c;
	int64_t revision;
	struct span kind;
	struct span schema;
	struct place cell; /* coarse: a cell of the map, not the place */
	struct price prices[PRICES_MAX];
	size_t n_prices;
	int64_t price_micros;
	struct span asset;
	struct did brokers[PARTIES_MAX];
	size_t n_brokers;
	struct did escrows[PARTIES_MAX];
	size_t n_escrows;
	struct did verifiers[POOL_MAX];
	size_t n_verifiers;
	struct span accepts[CHECKS_MAX]; /* ids of checks */
	size_t n_accepts;
	int64_t t_dispute_max_ms;
	bool assign_without_asking;
	int64_t bond_micros;
	struct span payout_to;
	struct span policy;
	int64_t sources; /* SOURCE_ bits the node can give */
};

struct request {
	bool present;
	struct common c;
	struct span kind;
	struct parameters parameters;
	struct place area;
	struct window {
		bool present;
		int64_t from_ns;
		int64_t to_ns;
	} window;
	int64_t freshness_ms;
	int64_t sources;
	struct span purpose;
	bool persons_in_view;
	int64_t slots;
	struct quorum quorum;
	struct did broker;
	struct did escrow;
	struct span asset;
	int64_t price_micros;
	int64_t max_total_micros;
	int64_t fee_ppm;
	int64_t verifier_ppm;
	int64_t attempt_fee_micros;
	int64_t attempts;
	struct decay decay;
	struct did pool[POOL_MAX];
	size_t n_pool;
	int64_t panel_n;
	int64_t panel_k;
	struct check checks[CHECKS_MAX];
	size_t n_checks;
	int64_t t_fund_ms;
	int64_t t_open_ms;
	int64_t t_commit_ms;
	int64_t t_deliver_ms;
	int64_t t_verify_ms;
	int64_t t_dispute_ms;
	int64_t t_arbitrate_ms;
	int64_t on_silence;
	struct span refund_to;
	struct span encryption_key;
	int64_t retention_s;
};

/* What a hold or an earmark reserves for one node. */
struct earmarked {
	bool present;
	struct did node;
	int64_t slot;
	int64_t attempt;
	int64_t price_micros;
	int64_t until_ns;
};

struct hold {
	bool present;
	struct common c;
	struct id request;
	struct amount amounts[PARTIES_MAX];
	size_t n_amounts;
	struct span asset;
	int64_t until_ns;
	struct id draw_commitment; /* SHA-256(draw secret) */
	int64_t sequence;
	struct id previous;
	struct earmarked earmark; /* the first one travels inside the hold */
};

struct earmark {
	bool present;
	struct common c;
	struct id request;
	struct id hold;
	struct earmarked earmark;
};

struct assignment {
	bool present;
	struct common c;
	struct id request;
	struct id offering; /* or of a bid */
	struct id hold;
	struct id earmark; /* id of the hold where it travelled inside */
	struct did node;
	int64_t slot;
	int64_t attempt;
	int64_t price_micros;
	struct id challenge;
	struct span checkpoint; /* the signed note that the challenge was made from; the salt is
				   c.salt */
	int64_t commit_by_ns;
	int64_t deliver_by_ns;
};

/* bid, accept and decline share their fields. */
struct answer {
	bool present;
	struct common c;
	struct id request;
	struct id assignment;
	int64_t price_micros;
	int64_t bond_micros;
	int64_t reason; /* enum refusal */
	struct span text;
};

struct evidence {
	bool present;
	struct common c;
	struct id request;
	struct id assignment;
	struct id challenge;
	int64_t sequence; /* of the node's own chain of evidence */
	struct id previous;
	int64_t start_ns;
	int64_t end_ns;
	int64_t uncertainty_ns;
	int64_t source; /* one SOURCE_ bit */
	struct span device;
	struct span calibration;
	struct span pipeline;
	struct span redactions;
	struct payload payload;
	struct span claims; /* struct claims of payload.h, sealed for verifiers and buyer */
	int64_t segment;
	bool final;
	struct span command;
	struct span read_back;
};

struct verdict {
	bool present;
	struct common c;
	struct id request;
	struct id assignment;
	struct id evidence;
	struct id draw;
	int64_t outcome; /* enum check_result_value */
	struct check_result checks[CHECKS_MAX];
	size_t n_checks;
	struct span engine;
	struct id log_view; /* SHA-256 of the checkpoint that the verifier saw */
	struct span sealed_digest; /* SHA-256 of the plaintext, sealed under the content key */
	int64_t tier;
};

struct draw {
	bool present;
	struct common c;
	struct id request;
	struct id evidence;
	struct did panel[PANEL_MAX];
	size_t n_panel;
	struct id draw_secret; /* opens the hold's commitment */
	struct span checkpoint; /* the first one that contains the evidence; absent at the direct
				   door */
};

struct release {
	bool present;
	struct common c;
	struct id request;
	struct id evidence;
	struct id verdicts[PANEL_MAX];
	size_t n_verdicts;
	struct did recipient;
	struct span wrapped_key;
};

struct settlement {
	bool present;
	struct common c;
	struct id request;
	struct id hold;
	int64_t slot;
	int64_t attempt;
	int64_t basis; /* enum basis */
	struct id evidence;
	struct id verdicts[PANEL_MAX];
	size_t n_verdicts;
	struct id draw_secret;
	struct line lines[LINES_MAX];
	size_t n_lines;
	struct span asset;
	int64_t sequence;
	struct id previous;
	int64_t outcome; /* enum slot_state: SETTLED or REFUNDED */
};

/* cancel, dispute, ruling, bond, fault and report share their fields. */
struct claim {
	bool present;
	struct common c;
	struct id request;
	struct id target;
	int64_t slot;
	int64_t side; /* enum role */
	struct span grounds; /* id of a check, or "non-delivery" */
	int64_t bond_micros;
	struct id proofs[PANEL_MAX];
	size_t n_proofs;
	int64_t outcome;
	struct line lines[LINES_MAX];
	size_t n_lines;
	struct span asset;
	struct span text;
};

/* feed and interval: reserved. */
struct feed {
	bool present;
	struct common c;
	struct span topic;
	struct span schema;
	int64_t period_ms;
	int64_t price_micros;
	struct id feed;
	int64_t interval;
	int64_t from_ns;
	int64_t to_ns;
	struct id digest;
	struct id previous;
	bool gap;
	int64_t key_epoch;
};

union statement_body {
	struct common_head {
		bool present;
		struct common c;
	} head;
	struct keys keys;
	struct greeting greeting;
	struct offering offering;
	struct request request;
	struct hold hold;
	struct earmark earmark;
	struct assignment assignment;
	struct answer answer; /* bid, accept, decline */
	struct evidence evidence;
	struct verdict verdict;
	struct draw draw;
	struct release release;
	struct settlement settlement;
	struct claim claim; /* cancel, dispute, ruling, bond, fault, report */
	struct feed feed; /* feed, interval */
};

/* A decoded statement. Spans point into bytes. */
struct statement {
	enum statement_kind kind;
	struct id id;
	struct did issuer;
	struct span bytes; /* the whole COSE_Sign1 */
	struct cose_sign1 envelope;
	union statement_body body;
};

extern const struct schema place_schema; /* for the documents that hold a place, too */

/* "request", "hold", ...: the word used everywhere. "none" for unknown numbers. Static text. */
const char *statement_kind_name(enum statement_kind kind);
/* The table of a kind, or NULL. */
const struct schema *statement_schema(enum statement_kind kind);
/* The media type, "application/assay-request+cbor". Static text. */
const char *statement_content_type(enum statement_kind kind);
/* STATEMENT_NONE where the type names nothing that is known. */
enum statement_kind statement_kind_of_type(struct span content_type);

/*
 * Decodes and checks one statement for form: CBOR, COSE profile, fields, version, and that iat
 * agrees with at_ns. The signature is NOT checked here (keyring_verify()). ret_field as in
 * schema_decode().
 */
_must_check_ enum refusal statement_decode(
	struct span bytes, struct statement *ret_statement, const char **ret_field);

/*
 * Signs body, a struct of the kind, and appends the COSE_Sign1 to out. c.version is set to
 * STATEMENT_VERSION here; c.salt, c.market, c.at_ns and c.expires_ns are the caller's. The subject
 * is the request's id in hex, where the body has one, and the issuer's did else. ret_id gets the
 * id. A refusal means that the body breaks the rule of a field.
 */
_must_check_ enum refusal statement_sign(enum statement_kind kind, void *body,
	const struct signer *signer, struct buf *out, struct id *ret_id, const char **ret_field);

/*
 * The challenge of an assignment (statements.md, rule 5): SHA-256 over a domain tag, request, node,
 * slot, attempt, salt and checkpoint, all of which the bundle carries.
 */
struct id statement_challenge(const struct id *request, const struct did *node, int64_t slot,
	int64_t attempt, struct span salt, struct span checkpoint);

/*
 * The seed of the draw of verifiers (rule 6): SHA-256 over a domain tag, the secret committed in
 * the hold, the request's salt, the evidence's id and the first checkpoint that contains it.
 */
struct id statement_draw_seed(const struct id *secret, struct span request_salt,
	const struct id *evidence, struct span checkpoint);

/*
 * Draws n of pool by the seed: a Fisher-Yates shuffle with SHA-256(seed || counter) as its numbers.
 * Who stands in the pool twice counts once. Returns n, or 0 where the pool is smaller than n. The
 * panel keeps the order of drawing.
 */
size_t statement_draw_panel(const struct id *seed, const struct did *pool, size_t n_pool, size_t n,
	struct did ret_panel[static PANEL_MAX]);

/*
 * libassay: buy facts about the physical world from an Assay market.
 *
 *	assay_t *assay;
 *	assay_result_t *result;
 *	assay_buy_options_t buy = ASSAY_BUY_OPTIONS_INIT;
 *
 *	assay_open(NULL, &assay);	the market of ASSAY_DIR, or of the user's configuration
 *	buy.kind = "camera.still";
 *	buy.lat_e7 = 473769000;
 *	buy.lon_e7 = 85417000;
 *	buy.radius_m = 500;
 *	buy.price_max_micros = 200000;
 *	assay_buy(assay, &buy, &result);	until the money has moved, one way or the other
 *	assay_result_payload(result, &bytes, &n);	the photograph, verified
 *
 * Every function that can fail returns an assay_status_t; assay_error() has the sentence. The
 * library never exits, prints, or touches signal handlers; it aborts only where an invariant of its
 * own is broken, or libcrypto or the system fails underneath. A handle may be used from any thread,
 * by one at a time; its network runs in a thread of its own. Texts are UTF-8 and NUL-terminated;
 * times are nanoseconds UTC; positions WGS 84 in 1e-7 degrees; money is in micro-units of an
 * asset. Option structs begin with their size, so that later versions can add members. A NULL
 * where something has to be is ASSAY_USAGE; a NULL result reads as an empty one.
 */
#ifndef ASSAY_ASSAY_H
#define ASSAY_ASSAY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ASSAY_API __attribute__((visibility("default")))
#else
#define ASSAY_API
#endif

typedef struct assay assay_t;
typedef struct assay_result assay_result_t;

typedef int32_t assay_status_t;

/* The numbers are kept: new ones are only added. 1 to 999 are refusals of the market (see
 * assay_status_name()). */
enum {
	ASSAY_OK = 0,
	ASSAY_REFUNDED =
		1001, /* the request ended without evidence that passed; the money is back */
	ASSAY_TIMEOUT = 1002, /* not ended yet: the request goes on; wait again */
	ASSAY_UNREACHABLE = 1003, /* broker or escrow did not answer */
	ASSAY_NO_MARKET = 1004, /* no market is configured: `assay market add`, or ASSAY_DIR */
	ASSAY_NO_KEYS = 1005, /* no identity there: `assay key new` */
	ASSAY_USAGE = 1006, /* an argument is impossible */
	ASSAY_NO_MEMORY = 1007,
	ASSAY_SYSTEM = 1008, /* a file or the network failed: see assay_error() */
	ASSAY_VERIFY_FAILED = 1009, /* the bundle does not prove what it says */
	ASSAY_UNKNOWN_REQUEST = 1010,
};

/* "OK", "REFUNDED", "EXCEEDS_AVAILABLE", ...: never NULL, static. */
ASSAY_API const char *assay_status_name(assay_status_t status);
/* A sentence that says what to do: never NULL, static. */
ASSAY_API const char *assay_status_text(assay_status_t status);

/* Library version, "0.1.0". */
ASSAY_API const char *assay_version(void);

typedef struct assay_options {
	size_t size; /* sizeof(assay_options_t) */
	/*
	 * A directory made by `assay up` (market.json and buyer/keys in it). NULL: $ASSAY_DIR, else
	 * the user's configuration directory ($XDG_CONFIG_HOME/assay or ~/.config/assay).
	 */
	const char *dir;
	const char *market_file; /* market.json; NULL: from dir */
	const char *keys_dir; /* the identity; NULL: from dir */
	uint32_t connect_timeout_ms; /* 0: 5,000 */
} assay_options_t;

#define ASSAY_OPTIONS_INIT \
	{ \
		sizeof(assay_options_t), NULL, NULL, NULL, 0 \
	}

/*
 * Connects to broker and escrow of the market. options may be NULL. Blocks at most
 * connect_timeout_ms; ASSAY_UNREACHABLE then. *ret_assay is freed by assay_close().
 * One handle for each identity: of two at a time the market talks to the one that spoke last, and
 * the other one, though served, may wait seconds for each answer.
 */
ASSAY_API assay_status_t assay_open(const assay_options_t *options, assay_t **ret_assay);
/* Ends the thread and closes. Open requests go on in the market. Takes NULL. */
ASSAY_API void assay_close(assay_t *assay);
/* The sentence of the last failure on this handle (or of assay_open() in this thread, for NULL).
 * Valid until the next call. */
ASSAY_API const char *assay_error(const assay_t *assay);
/* This identity, "did:key:z6Mk...". Valid as long as the handle. */
ASSAY_API const char *assay_identity(const assay_t *assay);

enum {
	ASSAY_SOURCE_LIVE = 1,
	ASSAY_SOURCE_REPLAY = 2,
	ASSAY_SOURCE_SYNTHETIC = 4,
};

typedef struct assay_buy_options {
	size_t size;
	const char
		*kind; /* "camera.still", "voltage.dc": what nodes offer, see `assay node list` */
	int32_t lat_e7;
	int32_t lon_e7;
	uint32_t radius_m;
	uint32_t width; /* photographs: least pixels; 0: any */
	uint32_t height;
	const char *unit; /* measurements: UCUM code; NULL: not checked */
	int64_t low; /* plausible range, times 10^exponent; low == high: not checked */
	int64_t high;
	int32_t exponent;
	uint32_t freshness_ms; /* how old the capture may be at commitment; 0: only after the
				  challenge */
	uint32_t sources; /* ASSAY_SOURCE_ bits; 0: all */
	int64_t price_max_micros;
	const char *asset; /* NULL: the market's */
	const char *purpose; /* what for; NULL: not said */
	uint32_t timeout_ms; /* for each of commit, deliver and verify; 0: 30,000 */
	uint32_t attempts; /* nodes to try; 0: 2 */
} assay_buy_options_t;

#define ASSAY_BUY_OPTIONS_INIT \
	{ \
		sizeof(assay_buy_options_t), NULL, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0, 0, 0, NULL, \
			NULL, 0, 0 \
	}

/* A request's id as text: 64 hex digits and NUL. */
#define ASSAY_ID_SIZE 65

/*
 * Posts and waits until it has ended. OK: paid, and the result holds a verified payload; ASSAY_REFUNDED: *ret_result tells
 * why; a refusal of the market where nothing was taken.
 */
ASSAY_API assay_status_t assay_buy(
	assay_t *assay, const assay_buy_options_t *options, assay_result_t **ret_result);

/* Signs and posts, and returns as soon as the broker took it (or refused). */
ASSAY_API assay_status_t assay_post(
	assay_t *assay, const assay_buy_options_t *options, char ret_request_id[ASSAY_ID_SIZE]);
/*
 * Waits until the request has ended, at most timeout_ms (negative: without limit). Asks the broker
 * where the request was posted by an earlier process. ASSAY_TIMEOUT: *ret_result, where not NULL,
 * gets the state so far.
 */
ASSAY_API assay_status_t assay_wait(
	assay_t *assay, const char *request_id, int32_t timeout_ms, assay_result_t **ret_result);
/* The request as it stands now. */
ASSAY_API assay_status_t assay_query(
	assay_t *assay, const char *request_id, assay_result_t **ret_result);
/* Cancels; after a node was assigned the attempt fee is due. */
ASSAY_API assay_status_t assay_cancel(assay_t *assay, const char *request_id);

/* What became of a request. Freed with assay_result_free(); everything it gives lives as long as it
 * does. */
ASSAY_API void assay_result_free(assay_result_t *result);
ASSAY_API const char *assay_result_request(const assay_result_t *result);
/* "SETTLED", "REFUNDED", "LAPSED", or the state on the way. */
ASSAY_API const char *assay_result_state(const assay_result_t *result);
/* Why it ended without payment, or ASSAY_OK. */
ASSAY_API assay_status_t assay_result_reason(const assay_result_t *result);
/* The node's did, or "". */
ASSAY_API const char *assay_result_node(const assay_result_t *result);
ASSAY_API int64_t assay_result_price_micros(const assay_result_t *result);
/* "live", "replay", "synthetic" or "". */
ASSAY_API const char *assay_result_source(const assay_result_t *result);
/* "live-claimed", "replay", "synthetic" or "": what the verdict makes of the source. */
ASSAY_API const char *assay_result_tier(const assay_result_t *result);
/* Media type of the payload, or "". */
ASSAY_API const char *assay_result_type(const assay_result_t *result);
/* The verified plaintext. ASSAY_UNKNOWN_REQUEST where there is none. */
ASSAY_API assay_status_t assay_result_payload(
	const assay_result_t *result, const uint8_t **ret_bytes, size_t *ret_n);
/* The bundle's bytes, to be kept as FILE.assay. */
ASSAY_API assay_status_t assay_result_bundle(
	const assay_result_t *result, const uint8_t **ret_bytes, size_t *ret_n);
/* A measurement's value = mantissa * 10^exponent and unit. ASSAY_USAGE where it is none. */
ASSAY_API assay_status_t assay_result_measurement(const assay_result_t *result,
	int64_t *ret_mantissa, int32_t *ret_exponent, const char **ret_unit);

/* The i-th state that it went through. False (0) past the end. */
ASSAY_API int assay_result_moment(
	const assay_result_t *result, size_t i, const char **ret_state, int64_t *ret_at_ns);
/* The i-th check of the verdicts: name, "pass", "fail" or "inconclusive", and figures in words. 0
 * past the end. */
ASSAY_API int assay_result_check(const assay_result_t *result, size_t i, const char **ret_name,
	const char **ret_result, const char **ret_detail);

/* Money. operation: 16 random bytes that make a repeated call harmless, or NULL to make them here.
 */
ASSAY_API assay_status_t assay_deposit(
	assay_t *assay, const char *asset, int64_t amount_micros, const uint8_t operation[16]);

typedef struct assay_balance {
	const char *purpose; /* "available", "held", "fee", "verifier_pay", ...; static */
	char asset[32];
	int64_t amount_micros;
} assay_balance_t;

/* This identity's balances, at most max. *ret_n gets how many there are. */
ASSAY_API assay_status_t assay_balances(
	assay_t *assay, assay_balance_t *ret_balances, size_t max, size_t *ret_n);

/*
 * Event-driven use: after assay_post() the handle's fd becomes readable when something happened;
 * assay_dispatch() then calls back, in the caller's thread. The fd is an eventfd: poll for POLLIN,
 * do not read it. Each request that has ended is told once; its result stays until assay_wait()
 * takes it, which then does not block. At most 1,024 requests are open or not taken.
 */
typedef void (*assay_callback_t)(
	void *context, const char *request_id, const char *state, int ended);

ASSAY_API int assay_fd(const assay_t *assay);
ASSAY_API void assay_on_change(assay_t *assay, assay_callback_t callback, void *context);
ASSAY_API assay_status_t assay_dispatch(assay_t *assay);

/*
 * Checks a bundle offline: every signature, link, digest, receipt and the draw, and runs the
 * verifiers' checks again. Needs no market. ASSAY_OK or ASSAY_VERIFY_FAILED; *ret_result (may be
 * NULL) gets what it holds. error: assay_error(NULL).
 */
ASSAY_API assay_status_t assay_verify(const uint8_t *bundle, size_t n, assay_result_t **ret_result);

#ifdef __cplusplus
}
#endif
#endif

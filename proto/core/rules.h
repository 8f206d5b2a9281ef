#pragma once
/*
 * The rules of a request that need neither money nor a match: every program that takes a request
 * checks them by itself, from these same lines. Names of the checks that verifiers know, and of the
 * kinds of offerings, stand here too.
 */
#include "proto/statement/statement.h"

/* Ids of the checks a request may ask for, version 1 (escrow/verify/ runs them). */
#define CHECK_DECODES    "decodes" /* the payload decodes fully as its media type */
#define CHECK_DIMENSIONS "dimensions" /* parameters.width, height: at least these; as stated */
#define CHECK_PLACE      "place" /* the claimed place lies within request.area */
#define CHECK_UNIT_RANGE "unit-range" /* measurement: unit equal, value within low..high */

/* Kinds of offerings and requests that everybody knows; others are a market's own to name. */
#define KIND_CAMERA_STILL "camera.still" /* a JPEG photograph; parameters width, height */
#define KIND_VOLTAGE_DC   "voltage.dc" /* a measurement in V; parameters low, high, exponent */

#define REQUEST_HORIZON_NS (30 * INT64_C(86400) * NS_PER_S)
#define RETENTION_MAX_S    (INT64_C(366) * 86400)
#define REQUEST_BYTES_MAX  16384

/* What a slot's money comes to at a price. */
struct rules_money {
	int64_t price_micros;
	int64_t fee_micros;
	int64_t verifier_each_micros; /* for each of panel_n */
	int64_t verifiers_micros;
	int64_t total_micros;
};

/* REFUSED_NOT, PRICE_NOT_POSITIVE or PRICE_OVERFLOW. */
_must_check_ enum refusal rules_money(
	const struct request *request, int64_t price_micros, struct rules_money *ret_money);

/*
 * All rules of form and sense: time, price, max_total, area, window, pool and panel, timeouts,
 * hold length, what is not served yet. broker and escrow: this market's; market: its name. The
 * statement is a verified request. REFUSED_NOT or the first rule that is broken.
 */
_must_check_ enum refusal rules_request(const struct statement *request, struct span market,
	const struct did *broker, const struct did *escrow, int64_t now_ns);

/*
 * Whether an offering serves a request: kind, price, asset, sources, and that the node accepts this
 * broker, escrow, every verifier of the pool, every binding check and the length of T_dispute
 * (statements.md, rule 1). REFUSED_NOT, NODE_KIND_NOT_OFFERED, NODE_PRICE_TOO_LOW,
 * NODE_SOURCE_REFUSED, NODE_PARTY_NOT_ACCEPTED, ASSET_UNKNOWN, BOND_NOT_SERVED, BIDS_NOT_SERVED,
 * STATEMENT_EXPIRED.
 */
_must_check_ enum refusal rules_offering(
	const struct offering *offering, const struct request *request, int64_t now_ns);

/*
 * Great-circle distance, rounded down (haversine on a sphere of 6,371,008.8 m). Two machines' libm may
 * differ in the last places, so whoever decides by it leaves RULES_PLACE_MARGIN_MM to both sides of the
 * border: a check there is inconclusive and a node does not sell there.
 */
#define RULES_PLACE_MARGIN_MM 100
int64_t rules_distance_mm(int64_t lat1_e7, int64_t lon1_e7, int64_t lat2_e7, int64_t lon2_e7);
/* Great-circle distance in metres, rounded down (haversine on a sphere of 6,371,008.8 m). */
int64_t rules_distance_m(int64_t lat1_e7, int64_t lon1_e7, int64_t lat2_e7, int64_t lon2_e7);

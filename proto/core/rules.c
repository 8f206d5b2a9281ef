#include "proto/core/rules.h"

#include "proto/base/money.h"
#include "proto/core/purpose.h"

#include <math.h>

#define EARTH_RADIUS_M 6371008.8 /* mean radius, IUGG */
#define RADIUS_MAX_M   20000000

enum refusal rules_money(
	const struct request *request, int64_t price_micros, struct rules_money *ret_money)
{
	struct money price = { price_micros };
	struct money fee;
	struct money verifiers;
	struct money each;
	struct money total;

	if (price_micros <= 0)
		return REFUSED_PRICE_NOT_POSITIVE;
	if (price_micros > MICROS_MAX || money_share(price, (uint32_t)request->fee_ppm, &fee) < 0 ||
		money_share(price, (uint32_t)request->verifier_ppm, &verifiers) < 0 ||
		money_split(verifiers, (uint32_t)request->panel_n, &each) < 0)
		return REFUSED_PRICE_OVERFLOW;
	verifiers.micros = each.micros * request->panel_n;
	if (money_add(price, fee, &total) < 0 || money_add(total, verifiers, &total) < 0 ||
		total.micros > MICROS_MAX)
		return REFUSED_PRICE_OVERFLOW;
	*ret_money = (struct rules_money){
		.price_micros = price.micros,
		.fee_micros = fee.micros,
		.verifier_each_micros = each.micros,
		.verifiers_micros = verifiers.micros,
		.total_micros = total.micros,
	};
	return REFUSED_NOT;
}

static bool pool_has_duplicates(const struct request *r)
{
	for (size_t i = 0; i < r->n_pool; i++)
		for (size_t j = i + 1; j < r->n_pool; j++)
			if (did_eq(&r->pool[i], &r->pool[j]))
				return true;
	return false;
}

static enum refusal check_times(const struct request *r, int64_t now_ns)
{
	int64_t attempt_ms = r->t_commit_ms + r->t_deliver_ms + r->t_verify_ms + r->t_dispute_ms;
	int64_t least_ms = r->t_fund_ms + r->t_open_ms + r->attempts * attempt_ms +
			   r->t_arbitrate_ms;

	/* Each timeout is at most 30 days by its table, so these sums stay far below 64 bits. */
	if (r->c.expires_ns <= now_ns)
		return REFUSED_REQUEST_EXPIRED;
	if (r->c.at_ns > now_ns + 5 * NS_PER_S)
		return REFUSED_REQUEST_FROM_FUTURE;
	if (r->c.expires_ns > now_ns + REQUEST_HORIZON_NS)
		return REFUSED_REQUEST_TOO_FAR;
	if ((r->c.expires_ns - r->c.at_ns) / NS_PER_MS < least_ms + 2 * 5 * 1000 ||
		(r->c.expires_ns - now_ns) / NS_PER_MS < least_ms - r->t_fund_ms)
		return REFUSED_HOLD_TOO_SHORT;
	if (r->window.present &&
		(r->window.from_ns >= r->window.to_ns || r->window.to_ns <= now_ns))
		return REFUSED_WINDOW_IMPOSSIBLE;
	return REFUSED_NOT;
}

static enum refusal check_money(const struct request *r)
{
	struct rules_money money;
	enum refusal refusal = rules_money(r, r->price_micros, &money);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (r->max_total_micros < money.total_micros)
		return REFUSED_MAX_TOTAL_TOO_SMALL;
	if (r->attempt_fee_micros > r->price_micros)
		return REFUSED_ATTEMPT_FEE_TOO_HIGH;
	return REFUSED_NOT;
}

static enum refusal check_served(const struct request *r)
{
	static const char *const known[] = { CHECK_DECODES, CHECK_DIMENSIONS, CHECK_PLACE,
		CHECK_UNIT_RANGE };

	if (r->slots != 1 || r->quorum.present)
		return REFUSED_QUORUM_NOT_SERVED;
	if (r->decay.present)
		return REFUSED_DECAY_NOT_SERVED;
	if (r->retention_s > RETENTION_MAX_S)
		return REFUSED_RETENTION_NOT_SERVED;
	for (size_t i = 0; i < r->n_checks; i++) {
		bool found = false;

		for (size_t k = 0; k < ARRAY_SIZE(known) && !found; k++)
			found = span_is(r->checks[i].id, known[k]) &&
				r->checks[i].check_version == 1;
		if (!found && r->checks[i].binding)
			return REFUSED_CHECK_UNKNOWN;
	}
	return REFUSED_NOT;
}

enum refusal rules_request(const struct statement *request, struct span market,
	const struct did *broker, const struct did *escrow, int64_t now_ns)
{
	const struct request *r = &request->body.request;
	bool broker_meant = false;
	bool escrow_meant = false;
	enum refusal refusal;

	if (request->bytes.n > REQUEST_BYTES_MAX)
		return REFUSED_STATEMENT_TOO_LARGE;
	if (!span_eq(r->c.market, market))
		return REFUSED_STATEMENT_MARKET;
	for (size_t i = 0; i < r->c.n_audience; i++) {
		broker_meant |= did_eq(&r->c.audience[i], broker);
		escrow_meant |= did_eq(&r->c.audience[i], escrow);
	}
	if (!broker_meant || !escrow_meant || !did_eq(&r->broker, broker) ||
		!did_eq(&r->escrow, escrow))
		return REFUSED_STATEMENT_AUDIENCE;
	refusal = check_money(r);
	if (refusal != REFUSED_NOT)
		return refusal;
	refusal = check_times(r, now_ns);
	if (refusal != REFUSED_NOT)
		return refusal;
	if (r->area.radius_m < 1 || r->area.radius_m > RADIUS_MAX_M)
		return REFUSED_AREA_IMPOSSIBLE;
	if (r->panel_k > r->panel_n || pool_has_duplicates(r) ||
		(int64_t)r->n_pool < r->panel_n * (r->t_dispute_ms > 0 ? 2 : 1))
		return REFUSED_POOL_TOO_SMALL;
	if (purpose_tracks_person(r->purpose))
		return REFUSED_PERSON_TRACKING;
	return check_served(r);
}

static bool accepts(const struct did *list, size_t n, const struct did *did)
{
	for (size_t i = 0; i < n; i++)
		if (did_eq(&list[i], did))
			return true;
	return false;
}

static bool accepts_check(const struct offering *o, struct span id)
{
	for (size_t i = 0; i < o->n_accepts; i++)
		if (span_eq(o->accepts[i], id))
			return true;
	return false;
}

enum refusal rules_offering(
	const struct offering *offering, const struct request *request, int64_t now_ns)
{
	const struct offering *o = offering;
	const struct request *r = request;

	if (!span_eq(o->kind, r->kind))
		return REFUSED_NODE_KIND_NOT_OFFERED;
	if (o->c.expires_ns != 0 && o->c.expires_ns <= now_ns)
		return REFUSED_STATEMENT_EXPIRED;
	if (!span_eq(o->asset, r->asset))
		return REFUSED_ASSET_UNKNOWN;
	if (o->price_micros > r->price_micros)
		return REFUSED_NODE_PRICE_TOO_LOW;
	if ((o->sources & r->sources) == 0)
		return REFUSED_NODE_SOURCE_REFUSED;
	if (o->bond_micros > 0)
		return REFUSED_BOND_NOT_SERVED;
	if (!o->assign_without_asking)
		return REFUSED_BIDS_NOT_SERVED;
	if ((o->n_brokers > 0 && !accepts(o->brokers, o->n_brokers, &r->broker)) ||
		!accepts(o->escrows, o->n_escrows, &r->escrow) ||
		r->t_dispute_ms > o->t_dispute_max_ms)
		return REFUSED_NODE_PARTY_NOT_ACCEPTED;
	for (size_t i = 0; i < r->n_pool; i++)
		if (!accepts(o->verifiers, o->n_verifiers, &r->pool[i]))
			return REFUSED_NODE_PARTY_NOT_ACCEPTED;
	for (size_t i = 0; i < r->n_checks; i++)
		if (r->checks[i].binding && !accepts_check(o, r->checks[i].id))
			return REFUSED_NODE_PARTY_NOT_ACCEPTED;
	return REFUSED_NOT;
}

int64_t rules_distance_mm(int64_t lat1_e7, int64_t lon1_e7, int64_t lat2_e7, int64_t lon2_e7)
{
	const double to_radians = 3.14159265358979323846 / 180e7;
	double lat1 = (double)lat1_e7 * to_radians;
	double lat2 = (double)lat2_e7 * to_radians;
	double dlat = lat2 - lat1;
	double dlon = (double)(lon2_e7 - lon1_e7) * to_radians;
	double a = sin(dlat / 2) * sin(dlat / 2) +
		   cos(lat1) * cos(lat2) * sin(dlon / 2) * sin(dlon / 2);

	return (int64_t)(2 * 1000 * EARTH_RADIUS_M * asin(sqrt(a < 1.0 ? a : 1.0)));
}

int64_t rules_distance_m(int64_t lat1_e7, int64_t lon1_e7, int64_t lat2_e7, int64_t lon2_e7)
{
	return rules_distance_mm(lat1_e7, lon1_e7, lat2_e7, lon2_e7) / 1000;
}

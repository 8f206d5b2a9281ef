#include "buyer-sdk/src/handle.h"

#include "proto/os/clock.h"
#include "proto/os/entropy.h"

#include <stdio.h>
#include <sys/eventfd.h>

#define TIMEOUT_DEFAULT_MS 30000
#define ATTEMPTS_DEFAULT   2
#define FEE_PPM            20000 /* what `assay up` expects: 2 % for the escrow, 3 % for the verifiers */
#define VERIFIER_PPM       30000
#define T_FUND_MS          10000
#define T_ARBITRATE_MS     60000
#define MARGIN_MS          30000

static struct span text_span(const char *text)
{
	return text ? SPAN_STR(text) : SPAN(NULL, 0);
}

static void add_check(struct request *r, const char *id)
{
	r->checks[r->n_checks++] = (struct check){
		.present = true,
		.id = SPAN_STR(id),
		.check_version = 1,
		.binding = true,
	};
}

/* The checks that make sense of what is asked for. */
static void add_checks(struct request *r, const assay_buy_options_t *o)
{
	add_check(r, CHECK_DECODES);
	add_check(r, CHECK_PLACE);
	if (o->width || o->height) {
		add_check(r, CHECK_DIMENSIONS);
		r->checks[r->n_checks - 1].parameters = (struct parameters){
			.present = true,
			.width = o->width,
			.height = o->height,
		};
	}
	if (o->unit) {
		add_check(r, CHECK_UNIT_RANGE);
		r->checks[r->n_checks - 1].parameters = (struct parameters){
			.present = true,
			.unit = text_span(o->unit),
			.low = o->low,
			.high = o->high,
			.exponent = o->exponent,
		};
	}
}

static void fill(const assay_t *a, const assay_buy_options_t *o, int64_t now_ns, struct request *r)
{
	int64_t t_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_DEFAULT_MS;

	*r = (struct request){
		.kind = text_span(o->kind),
		.parameters = { .present = true,
			.width = o->width,
			.height = o->height,
			.unit = text_span(o->unit),
			.low = o->low,
			.high = o->high,
			.exponent = o->exponent },
		.area = { .present = true,
			.lat_e7 = o->lat_e7,
			.lon_e7 = o->lon_e7,
			.radius_m = o->radius_m },
		.freshness_ms = o->freshness_ms,
		.sources = o->sources ? o->sources : SOURCE_LIVE | SOURCE_REPLAY | SOURCE_SYNTHETIC,
		.purpose = text_span(o->purpose),
		.slots = 1,
		.asset = o->asset ? SPAN_STR(o->asset) : SPAN_STR(a->market.asset),
		.price_micros = o->price_max_micros,
		.fee_ppm = FEE_PPM,
		.verifier_ppm = VERIFIER_PPM,
		.attempts = o->attempts ? o->attempts : ATTEMPTS_DEFAULT,
		.n_pool = a->market.n_verifiers,
		.panel_n = 1,
		.panel_k = 1,
		.t_fund_ms = T_FUND_MS,
		.t_open_ms = t_ms,
		.t_commit_ms = t_ms,
		.t_deliver_ms = t_ms,
		.t_verify_ms = t_ms,
		.t_arbitrate_ms = T_ARBITRATE_MS,
		.on_silence = SILENCE_REFUND,
		.encryption_key = SPAN_OF(a->identity.encryption_public),
	};
	memcpy(r->pool, a->market.verifiers, sizeof(r->pool));

	struct rules_money money;

	/* An impossible price is left to the market's rules, which name it. */
	r->max_total_micros = rules_money(r, o->price_max_micros, &money) == REFUSED_NOT
				      ? money.total_micros
				      : o->price_max_micros;
	r->c.expires_ns = now_ns +
			  (T_FUND_MS + t_ms + r->attempts * 3 * t_ms + T_ARBITRATE_MS + MARGIN_MS) *
				  NS_PER_MS;
	add_checks(r, o);
}

static assay_status_t refused(assay_t *a, enum refusal code, const char *field)
{
	const char *sentence = refusal_sentence(code);

	/* A peer may send the sentence itself, cut, where a field could stand. */
	if (field && *field && strncmp(sentence, field, strlen(field)) != 0)
		return handle_fail(a, (assay_status_t)code, "%s (%s)", sentence, field);
	return handle_status(a, (assay_status_t)code);
}

static bool any_result(const struct buyer_result *result)
{
	(void)result; /* ignored: the first word is enough */
	return true;
}

static bool ended_result(const struct buyer_result *result)
{
	return result->ended;
}

static bool ended_or_refused(const struct buyer_result *result)
{
	return result->ended || result->kind == BUYER_REFUSED;
}

static assay_status_t sign(assay_t *a, const assay_buy_options_t *options, struct buyer_call *call)
{
	assay_buy_options_t whole = { 0 };
	struct request request;
	struct buf out = buf_over(call->statement, sizeof(call->statement));
	const char *field = NULL;
	uint8_t random[16];
	int64_t now_ns = clock_now_ns();

	if (!options || options->size < sizeof(size_t) || options->size > sizeof(whole))
		return handle_fail(
			a, ASSAY_USAGE, "options.size is not sizeof(assay_buy_options_t).");
	memcpy(&whole, options, options->size);
	if (!whole.kind)
		return handle_fail(
			a, ASSAY_USAGE, "kind is missing: \"camera.still\", \"voltage.dc\", ...");
	fill(a, &whole, now_ns, &request);
	entropy_fill(random, sizeof(random));

	enum refusal refusal = buyer_sign_request(
		&a->config, random, now_ns, &request, &out, &call->request, &field);

	if (refusal != REFUSED_NOT)
		return refused(a, refusal, field);
	call->n_statement = out.n;
	return ASSAY_OK;
}

/* Posts; *ret_number is the ticket under which the request lives. */
static assay_status_t post(
	assay_t *a, const assay_buy_options_t *options, struct id *ret_id, uint64_t *ret_number)
{
	struct buyer_call *call = calloc(1, sizeof(*call));

	if (!call)
		return handle_status(a, ASSAY_NO_MEMORY);

	assay_status_t status = sign(a, options, call);

	if (status == ASSAY_OK) {
		*ret_id = call->request;
		*ret_number = handle_call(a, BUYER_CALL_POST, call, &call->request);
		if (*ret_number == 0)
			status = handle_fail(a, (assay_status_t)REFUSED_TOO_MANY_REQUESTS,
				"Too many requests are open on this handle: wait for some.");
	}
	free(call);
	return status;
}

static void forget(assay_t *a, uint64_t number)
{
	pthread_mutex_lock(&a->lock);

	struct ticket *ticket = handle_ticket(a, number);

	if (ticket)
		handle_release(ticket);
	pthread_mutex_unlock(&a->lock);
}

/* A word that was taken out goes back for assay_wait(), unless a newer one has come. */
static void give_back(assay_t *a, uint64_t number, struct buyer_result *result, bool fresh)
{
	pthread_mutex_lock(&a->lock);

	struct ticket *ticket = handle_ticket(a, number);

	if (ticket && !ticket->have) {
		ticket->latest = *result;
		ticket->have = true;
		ticket->fresh = fresh;
		*result = (struct buyer_result){ 0 };
	}
	pthread_mutex_unlock(&a->lock);
	buyer_result_deinit(result);
}

/* What an ended request, or the state on the way, means to the caller. */
static assay_status_t judge(assay_t *a, struct buyer_result *result, assay_result_t **ret_result)
{
	enum refusal code = result->code;
	bool refusal = result->kind == BUYER_REFUSED;
	bool served = result->kind == BUYER_BUNDLE;
	bool ended = result->ended;
	/* Nothing was taken, so nothing came back: the escrow refused to fund it. */
	bool unfunded = result->state == SLOT_LAPSED && code != REFUSED_NOT;
	char field[sizeof(result->field)];

	memcpy(field, result->field, sizeof(field));
	if (ret_result) {
		*ret_result = result_of(result);
		if (!*ret_result) {
			buyer_result_deinit(result);
			return handle_status(a, ASSAY_NO_MEMORY);
		}
	}
	buyer_result_deinit(result);
	if (refusal || (ended && unfunded))
		return refused(a, code, field);
	if (served)
		return ASSAY_OK;
	if (!ended)
		return ASSAY_OK;
	if (code != REFUSED_NOT)
		return handle_fail(a, ASSAY_REFUNDED, "%s", refusal_sentence(code));
	return handle_status(a, ASSAY_REFUNDED);
}

assay_status_t assay_post(
	assay_t *assay, const assay_buy_options_t *options, char ret_request_id[ASSAY_ID_SIZE])
{
	struct buyer_result result;
	uint64_t number;
	struct id id;

	if (!assay || !ret_request_id)
		return handle_null(assay);

	assay_status_t status = post(assay, options, &id, &number);

	if (status != ASSAY_OK)
		return status;
	id_text(&id, ret_request_id);
	if (!handle_wait(assay, number, HANDLE_CALL_MS, any_result, &result))
		return handle_fail(assay, ASSAY_UNREACHABLE,
			"The broker does not answer; the request may still reach it: ask for it by its id.");

	bool ended = result.ended;
	bool refusal = result.kind == BUYER_REFUSED;

	if (refusal) {
		forget(assay, number);
		return judge(assay, &result, NULL);
	}
	give_back(assay, number, &result, ended);
	return ASSAY_OK;
}

/* The ticket of a request, asking the broker where this handle does not know it. */
static assay_status_t ticket_of(assay_t *a, const char *text, bool fresh, uint64_t *ret_number)
{
	struct id id;

	if (!text || id_parse(SPAN_STR(text), &id) < 0)
		return handle_fail(a, ASSAY_USAGE, "A request's id has 64 hex digits.");
	pthread_mutex_lock(&a->lock);

	struct ticket *ticket = handle_find(a, &id);

	*ret_number = ticket ? ticket->number : 0;
	pthread_mutex_unlock(&a->lock);
	if (*ret_number != 0 && !fresh)
		return ASSAY_OK;
	if (*ret_number != 0)
		forget(a, *ret_number);

	struct buyer_call *call = calloc(1, sizeof(*call));

	if (!call)
		return handle_status(a, ASSAY_NO_MEMORY);
	call->request = id;
	*ret_number = handle_call(a, BUYER_CALL_QUERY, call, &id);
	free(call);
	return *ret_number ? ASSAY_OK : handle_status(a, (assay_status_t)REFUSED_TOO_MANY_REQUESTS);
}

/* The state on the way, for a wait that was not long enough. */
static assay_status_t so_far(assay_t *a, uint64_t number, assay_result_t **ret_result)
{
	struct buyer_result copy = { 0 };

	pthread_mutex_lock(&a->lock);

	const struct ticket *ticket = handle_ticket(a, number);
	bool dead = a->thread_result < 0;

	if (ticket && ticket->have) {
		copy = ticket->latest;
		copy.bundle = NULL;
		copy.payload = NULL;
		copy.account = NULL;
		copy.nodes = NULL;
	}
	pthread_mutex_unlock(&a->lock);
	if (dead)
		return handle_status(a, ASSAY_UNREACHABLE);
	if (ret_result && copy.kind != 0)
		*ret_result = result_of(&copy);
	return handle_status(a, ASSAY_TIMEOUT);
}

assay_status_t assay_wait(
	assay_t *assay, const char *request_id, int32_t timeout_ms, assay_result_t **ret_result)
{
	struct buyer_result result;
	uint64_t number;

	if (ret_result)
		*ret_result = NULL;
	if (!assay)
		return handle_null(NULL);

	assay_status_t status = ticket_of(assay, request_id, false, &number);

	if (status != ASSAY_OK)
		return status;
	if (!handle_wait(assay, number, timeout_ms, ended_result, &result))
		return so_far(assay, number, ret_result);
	forget(assay, number);
	return judge(assay, &result, ret_result);
}

assay_status_t assay_query(assay_t *assay, const char *request_id, assay_result_t **ret_result)
{
	struct buyer_result result;
	uint64_t number;

	if (!assay || !ret_result)
		return handle_null(assay);
	*ret_result = NULL;

	assay_status_t status = ticket_of(assay, request_id, true, &number);

	if (status != ASSAY_OK)
		return status;
	if (!handle_wait(assay, number, HANDLE_CALL_MS, any_result, &result))
		return handle_status(assay, ASSAY_UNREACHABLE);
	if (result.ended) {
		forget(assay, number);
		return judge(assay, &result, ret_result);
	}

	/* A state on the way owns nothing: the ticket keeps the same word. */
	struct buyer_result copy = result;

	give_back(assay, number, &copy, false);
	return judge(assay, &result, ret_result);
}

assay_status_t assay_cancel(assay_t *assay, const char *request_id)
{
	struct buyer_result result;
	uint64_t number;

	if (!assay)
		return handle_null(NULL);

	assay_status_t status = ticket_of(assay, request_id, false, &number);

	if (status != ASSAY_OK)
		return status;

	struct buyer_call *call = calloc(1, sizeof(*call));

	if (!call)
		return handle_status(assay, ASSAY_NO_MEMORY);
	if (id_parse(SPAN_STR(request_id), &call->request) < 0) {
		free(call);
		return handle_status(assay, ASSAY_USAGE);
	}

	uint64_t cancel = handle_call(assay, BUYER_CALL_CANCEL, call, NULL);

	free(call);
	if (cancel == 0)
		return handle_status(assay, ASSAY_UNREACHABLE);
	/* Until it has ended or the cancel was refused: states on the way may be older than it. */
	bool ended = handle_wait(assay, number, HANDLE_CALL_MS, ended_or_refused, &result);

	forget(assay, cancel);
	if (!ended)
		return handle_fail(assay, ASSAY_UNREACHABLE,
			"The cancel was not answered in time; it may still be taken: ask for the request.");
	forget(assay, number);
	if (result.kind == BUYER_REFUSED)
		return judge(assay, &result, NULL);
	if (result.kind == BUYER_BUNDLE)
		status = refused(assay, REFUSED_ALREADY_ENDED, NULL);
	buyer_result_deinit(&result);
	return status;
}

assay_status_t assay_buy(
	assay_t *assay, const assay_buy_options_t *options, assay_result_t **ret_result)
{
	char id[ASSAY_ID_SIZE];

	if (ret_result)
		*ret_result = NULL;

	assay_status_t status = assay_post(assay, options, id);

	if (status != ASSAY_OK)
		return status;
	return assay_wait(assay, id, -1, ret_result);
}

int assay_fd(const assay_t *assay)
{
	return assay ? assay->event_fd : -EBADF;
}

void assay_on_change(assay_t *assay, assay_callback_t callback, void *context)
{
	if (!assay)
		return;
	assay->callback = callback;
	assay->callback_context = context;
}

assay_status_t assay_dispatch(assay_t *assay)
{
	eventfd_t value;

	if (!assay)
		return handle_null(NULL);
	if (eventfd_read(assay->event_fd, &value) < 0 && errno != EAGAIN)
		return handle_status(assay, ASSAY_SYSTEM);
	for (size_t i = 0; i < HANDLE_TICKETS_MAX; i++) {
		char id[ASSAY_ID_SIZE] = "";
		const char *state = NULL;
		bool ended = false;

		pthread_mutex_lock(&assay->lock);

		struct ticket *ticket = &assay->tickets[i];

		if (ticket->number != 0 && ticket->is_request && ticket->have && ticket->fresh) {
			ticket->fresh = false;
			id_text(&ticket->request, id);
			state = slot_state_name(ticket->latest.state);
			ended = ticket->latest.ended;
		}
		pthread_mutex_unlock(&assay->lock);
		/* Without the lock, so that a callback may call the library. */
		if (state && assay->callback)
			assay->callback(assay->callback_context, id, state, ended);
	}
	return assay->thread_result < 0 ? handle_status(assay, ASSAY_UNREACHABLE) : ASSAY_OK;
}

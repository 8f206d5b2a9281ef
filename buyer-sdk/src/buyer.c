#include "buyer-sdk/src/buyer_internal.h"

#include <stdlib.h>

int buyer_new(const struct buyer_config *config, struct buyer **ret_buyer)
{
	_cleanup_(buyer_freep) struct buyer *b = NULL;
	int r;

	if (config->n_encryption_secrets < 1 || config->n_encryption_secrets > BUYER_SECRETS_MAX ||
		!config->keyring)
		return -EINVAL;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->config = *config;
	b->wallet_next_ns = INT64_MAX;
	r = idmap_init(&b->by_id, BUYER_REQUESTS_MAX, config->secret);
	if (r < 0)
		return r;
	r = heap_init(&b->deadlines, BUYER_REQUESTS_MAX);
	if (r < 0)
		return r;
	*ret_buyer = take(&b);
	return 0;
}

void buyer_result_deinit(struct buyer_result *result)
{
	free(result->bundle);
	free(result->payload);
	free(result->account);
	free(result->nodes);
	free(result->requests);
	*result = (struct buyer_result){ 0 };
}

static void request_deinit(struct open_request *r)
{
	buyer_bundle_pending_free(r->pending);
	if (r->ready)
		buyer_result_deinit(r->ready);
	free(r->ready);
	*r = (struct open_request){ 0 };
}

void buyer_free(struct buyer *buyer)
{
	if (!buyer)
		return;
	for (size_t i = 0; i < BUYER_REQUESTS_MAX; i++)
		request_deinit(&buyer->requests[i]);
	for (size_t i = 0; i < BUYER_WALLET_MAX; i++)
		buyer_result_deinit(&buyer->wallet[i].result);
	idmap_deinit(&buyer->by_id);
	heap_deinit(&buyer->deadlines);
	free(buyer);
}

static uint32_t index_of(const struct buyer *b, const struct open_request *r)
{
	return (uint32_t)(r - b->requests);
}

struct open_request *buyer_find(struct buyer *buyer, const struct id *id)
{
	uint32_t index = idmap_get(&buyer->by_id, id->b);

	return index == IDMAP_NONE ? NULL : &buyer->requests[index];
}

void buyer_schedule(struct buyer *buyer, struct open_request *r, int64_t at_ns, int64_t wait_ns)
{
	r->next_ns = r->ended ? INT64_MAX : at_ns;
	r->wait_ns = MIN(wait_ns, BUYER_REPEAT_MAX_NS);
	heap_set(&buyer->deadlines, index_of(buyer, r), r->next_ns);
}

static void drop(struct buyer *b, struct open_request *r)
{
	idmap_remove(&b->by_id, r->id.b);
	heap_set(&b->deadlines, index_of(b, r), INT64_MAX);
	request_deinit(r);
}

static void forget_statement(struct effects *fx, const struct id *id)
{
	if (!id_is_zero(id))
		row_copy(fx, effects_put(fx, TABLE_STATEMENT, PUT_DELETE), SPAN_OF(*id));
}

void buyer_end(struct buyer_step *s, struct open_request *r)
{
	forget_statement(s->fx, &r->id);
	forget_statement(s->fx, &r->cancel);
	r->ended = true;
	buyer_schedule(s->buyer, r, INT64_MAX, 0);
	if (r->forgotten)
		drop(s->buyer, r);
}

static struct open_request *add(struct buyer *b, const struct id *id)
{
	for (uint32_t i = 0; i < BUYER_REQUESTS_MAX; i++) {
		struct open_request *r = &b->requests[i];

		if (r->used)
			continue;
		if (!idmap_put(&b->by_id, id->b, i))
			return NULL;
		*r = (struct open_request){ .used = true, .id = *id };
		return r;
	}
	return NULL;
}

enum refusal buyer_sign_request(const struct buyer_config *config, const uint8_t random[static 16],
	int64_t now_ns, struct request *request, struct buf *out, struct id *ret_id,
	const char **ret_field)
{
	uint8_t public_key[32];

	seal_public_key(config->encryption_secrets[0], public_key);
	request->present = true;
	request->c.market = config->author.market;
	request->c.salt = SPAN(random, 16);
	request->c.audience[0] = config->broker;
	request->c.audience[1] = config->escrow;
	request->c.n_audience = 2;
	request->c.at_ns = now_ns;
	request->broker = config->broker;
	request->escrow = config->escrow;
	request->encryption_key = SPAN_OF(public_key);

	enum refusal refusal = statement_sign(
		STATEMENT_REQUEST, request, &config->author.signer, out, ret_id, ret_field);

	request->encryption_key = SPAN(NULL, 0);
	return refusal;
}

static void send_request(struct buyer_step *s, struct open_request *r)
{
	bool cancels = !id_is_zero(&r->cancel);
	struct send *send = effects_send(s->fx, &s->buyer->config.broker,
		r->posting ? MESSAGE_REQUEST
		: cancels  ? MESSAGE_CANCEL
			   : MESSAGE_QUERY);

	send->message.request = r->id;
	if (r->posting)
		send_attach(send, &r->id);
	else
		send_attach(send, &r->cancel);
	s->n_sent++;
	buyer_schedule(s->buyer, r, s->event->now_ns + r->wait_ns, 2 * r->wait_ns);
}

static void send_now(struct buyer_step *s, struct open_request *r)
{
	r->wait_ns = BUYER_REPEAT_MIN_NS;
	send_request(s, r);
}

enum refusal buyer_post(struct buyer *buyer, const struct event *event, struct span statement,
	uint64_t ticket, struct effects *fx, struct id *ret_request)
{
	struct buyer_step s = { .buyer = buyer, .event = event, .fx = fx };
	struct statement *st = &buyer->room[0];
	enum refusal refusal = statement_decode(statement, st, NULL);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (st->kind != STATEMENT_REQUEST ||
		!did_eq(&st->issuer, &buyer->config.author.signer.issuer))
		return REFUSED_STATEMENT_ISSUER;

	struct open_request *r = buyer_find(buyer, &st->id);

	keyring_vouch(buyer->config.keyring, st);
	if (!r) {
		r = add(buyer, &st->id);
		if (!r)
			return REFUSED_TOO_MANY_REQUESTS;
		r->posting = true;
		struct row *row = effects_put(fx, TABLE_STATEMENT, PUT_REPLACE);

		row_copy(fx, row, SPAN_OF(st->id));
		row_int(row, STATEMENT_REQUEST);
		row_copy(fx, row, SPAN_OF(st->id));
		row_copy(fx, row, statement);
	}
	r->ticket = ticket;
	*ret_request = r->id;
	if (!r->ended)
		send_now(&s, r);
	return REFUSED_NOT;
}

enum refusal buyer_query(struct buyer *buyer, const struct event *event, const struct id *request,
	uint64_t ticket, struct effects *fx)
{
	struct buyer_step s = { .buyer = buyer, .event = event, .fx = fx };
	struct open_request *r = buyer_find(buyer, request);

	if (!r)
		r = add(buyer, request);
	if (!r)
		return REFUSED_TOO_MANY_REQUESTS;
	r->ticket = ticket;
	r->asked = true;
	if (!r->ended)
		send_now(&s, r);
	return REFUSED_NOT;
}

enum refusal buyer_cancel(struct buyer *buyer, const struct event *event, const struct id *request,
	struct effects *fx)
{
	struct buyer_step s = { .buyer = buyer, .event = event, .fx = fx };
	struct open_request *r = buyer_find(buyer, request);
	struct claim body = {
		.present = true, .request = *request, .target = *request, .side = ROLE_BUYER
	};
	uint32_t counter = 0;

	if (!r)
		return REFUSED_REQUEST_UNKNOWN;
	if (r->ended)
		return REFUSED_ALREADY_ENDED;
	if (id_is_zero(&r->cancel)) {
		author_common(&buyer->config.author, event, &counter, fx, &body.c);
		body.c.audience[0] = buyer->config.broker;
		body.c.audience[1] = buyer->config.escrow;
		body.c.n_audience = 2;
		r->cancel = effects_sign(
			fx, &buyer->config.author, STATEMENT_CANCEL, &body, request, NULL);
	}
	send_now(&s, r);
	return REFUSED_NOT;
}

static void read_status(struct open_request *r, const struct message *m)
{
	r->posting = false;
	r->state = m->state;
	r->node = m->node;
	r->price_micros = m->price_micros;
	r->code = (enum refusal)m->code;
	r->n_history = m->n_history;
	memcpy(r->history, m->history, sizeof(r->history));
}

static void set_field(struct open_request *r, struct span text)
{
	size_t n = MIN(text.n, sizeof(r->field) - 1);

	if (n > 0)
		memcpy(r->field, text.p, n);
	r->field[n] = '\0';
}

static void flag(struct open_request *r, enum buyer_result_kind kind)
{
	r->kind = kind;
	r->dirty = !r->forgotten;
}

static void on_status(struct buyer_step *s)
{
	const struct message *m = &s->event->opened->message;
	struct open_request *r = buyer_find(s->buyer, &m->request);

	if (!r || r->ended)
		return;

	/* Who has asked is told, also where nothing has changed. */
	bool changed = r->asked || r->posting || r->state != m->state ||
		       r->n_history != m->n_history;

	r->asked = false;
	read_status(r, m);
	set_field(r, m->text);
	if (changed)
		flag(r, BUYER_STATUS);
	/* A settled request still owes its bundle; all other ends are ends. */
	if (slot_ended((enum slot_state)m->state) && m->state != SLOT_SETTLED) {
		buyer_end(s, r);
		return;
	}
	buyer_schedule(s->buyer, r, s->event->now_ns + BUYER_REPEAT_MAX_NS, BUYER_REPEAT_MAX_NS);
}

static void on_bundle(struct buyer_step *s)
{
	const struct message *m = &s->event->opened->message;
	struct open_request *r = buyer_find(s->buyer, &m->request);

	if (!r || r->ended)
		return;
	read_status(r, m);
	buyer_schedule(s->buyer, r, s->event->now_ns + BUYER_REPEAT_MAX_NS, BUYER_REPEAT_MAX_NS);
	buyer_bundle_take(s, r);
}

/* The peer could not, this time. */
static bool passing(int64_t code)
{
	return code == REFUSED_PEER_BUSY || code == REFUSED_PEER_LIMIT ||
	       code == REFUSED_DISK_FULL || code == REFUSED_GREETING_REQUIRED;
}

/* The broker's answer to the first word about a request: it took nothing of it before. */
static bool first_answer(const struct open_request *r)
{
	return r->posting && r->wait_ns <= 2 * BUYER_REPEAT_MIN_NS;
}

/* A request that the broker once took ends by its state, unless the broker knows nothing of it. */
static bool about_cancel(const struct open_request *r, int64_t code)
{
	if (code == REFUSED_CANCEL_TOO_LATE || code == REFUSED_ALREADY_ENDED)
		return true;
	return !r->posting && code != REFUSED_REQUEST_UNKNOWN && code != REFUSED_NOT_A_PARTY;
}

static void on_refused(struct buyer_step *s)
{
	const struct message *m = &s->event->opened->message;
	struct open_request *r = buyer_find(s->buyer, &m->request);

	if (did_eq(&s->event->from, &s->buyer->config.escrow) || !r) {
		buyer_wallet_refused(s);
		return;
	}
	/* "Nothing was accepted" is told; the others are tried again. */
	if (r->ended || (passing(m->code) && (m->code != REFUSED_DISK_FULL || !first_answer(r))))
		return;

	bool of_cancel = about_cancel(r, m->code);

	/* Repeated on the way, the refusal of a cancel comes twice. */
	if (of_cancel && id_is_zero(&r->cancel))
		return;
	r->code = (enum refusal)m->code;
	set_field(r, m->text);
	flag(r, BUYER_REFUSED);
	if (!of_cancel) {
		buyer_end(s, r);
		return;
	}
	forget_statement(s->fx, &r->cancel);
	r->cancel = (struct id){ 0 };
}

static void message(struct buyer_step *s)
{
	int64_t type = s->event->opened->message.message;
	bool broker = did_eq(&s->event->from, &s->buyer->config.broker);
	bool escrow = did_eq(&s->event->from, &s->buyer->config.escrow);

	if (broker && type == MESSAGE_STATUS)
		on_status(s);
	else if (broker && type == MESSAGE_BUNDLE)
		on_bundle(s);
	else if ((broker || escrow) && type == MESSAGE_REFUSED)
		on_refused(s);
	else if ((escrow && type == MESSAGE_ACCOUNT) ||
		 (broker && (type == MESSAGE_OFFERINGS || type == MESSAGE_REQUESTS)))
		buyer_wallet_message(s);
}

static void tick(struct buyer_step *s)
{
	if (s->buyer->wallet_next_ns <= s->event->now_ns)
		buyer_wallet_send(s);
	while (s->n_sent < BUYER_SENDS_MAX) {
		uint32_t index = heap_due(&s->buyer->deadlines, s->event->now_ns);

		if (index == UINT32_MAX)
			break;
		send_request(s, &s->buyer->requests[index]);
	}
}

static void connected(struct buyer_step *s)
{
	if (did_eq(&s->event->from, &s->buyer->config.broker))
		for (size_t i = 0; i < BUYER_REQUESTS_MAX; i++) {
			struct open_request *r = &s->buyer->requests[i];

			if (r->used && !r->ended)
				buyer_schedule(s->buyer, r, s->event->now_ns, BUYER_REPEAT_MIN_NS);
		}
	/* What the connection before had under way will not come. */
	if (did_eq(&s->event->from, &s->buyer->config.escrow)) {
		s->buyer->wallet_owed = 0;
		s->buyer->wallet_sent = 0;
	}
	if (s->buyer->wallet_next_ns != INT64_MAX)
		s->buyer->wallet_next_ns = s->event->now_ns;
}

static void forget(struct buyer_step *s, const struct id *request)
{
	struct open_request *r = buyer_find(s->buyer, request);

	if (!r)
		return;
	r->forgotten = true;
	buyer_end(s, r);
}

/* A call that fails at once still gives a result: a request of its own that has ended. */
static void refuse_call(struct buyer_step *s, const struct id *request, enum refusal refusal)
{
	struct open_request *r = buyer_find(s->buyer, request);
	struct id id = id_is_zero(request) ? event_random(s->event, "refused", 0) : *request;
	bool fresh = !r;

	if (fresh)
		r = add(s->buyer, &id);
	if (!r)
		return; /* BUYER_REQUESTS_MAX results were not taken: the caller sees none either */
	r->ticket = s->event->work->ticket;
	r->code = refusal;
	r->ended |= fresh;
	flag(r, BUYER_REFUSED);
}

static void work(struct buyer_step *s)
{
	const struct work_result *w = s->event->work;
	const struct buyer_call *call = w->detail;
	struct id request = { 0 };
	enum refusal refusal = REFUSED_NOT;

	switch (w->kind) {
	case WORK_PULL:
		buyer_bundle_pulled(s);
		return;
	case BUYER_CALL_POST:
		if (call->n_statement > sizeof(call->statement))
			refusal = REFUSED_STATEMENT_TOO_LARGE;
		else
			refusal = buyer_post(s->buyer, s->event,
				SPAN(call->statement, call->n_statement), w->ticket, s->fx,
				&request);
		break;
	case BUYER_CALL_QUERY:
		request = call->request;
		refusal = buyer_query(s->buyer, s->event, &request, w->ticket, s->fx);
		break;
	case BUYER_CALL_CANCEL:
		request = call->request;
		refusal = buyer_cancel(s->buyer, s->event, &request, s->fx);
		break;
	case BUYER_CALL_FORGET:
		forget(s, &call->request);
		break;
	default:
		buyer_wallet_call(s, call);
		return;
	}
	if (refusal != REFUSED_NOT)
		refuse_call(s, &request, refusal);
}

static void buyer_step(void *core, const struct event *event, struct effects *fx)
{
	struct buyer_step s = { .buyer = core, .event = event, .fx = fx };

	switch (event->type) {
	case EVENT_MESSAGE:
		message(&s);
		break;
	case EVENT_TICK:
		tick(&s);
		break;
	case EVENT_CONNECTED:
		connected(&s);
		break;
	case EVENT_WORK:
		work(&s);
		break;
	case EVENT_START:
	case EVENT_LOST:
	case EVENT_SEAL:
		break;
	}
}

static bool next_request_result(struct buyer *b, struct buyer_result *ret)
{
	for (size_t n = 0; n < BUYER_REQUESTS_MAX; n++) {
		struct open_request *r = &b->requests[b->next_result];

		b->next_result = (b->next_result + 1) % BUYER_REQUESTS_MAX;
		if (!r->used || !r->dirty)
			continue;
		*ret = (struct buyer_result){ 0 };
		if (r->ready) {
			*ret = *r->ready;
			free(take(&r->ready));
		}
		ret->kind = r->kind;
		ret->ticket = r->ticket;
		ret->request = r->id;
		ret->state = r->state;
		ret->code = r->code;
		memcpy(ret->field, r->field, sizeof(ret->field));
		memcpy(ret->history, r->history, sizeof(ret->history));
		ret->n_history = r->n_history;
		ret->node = r->node;
		ret->price_micros = r->price_micros;
		ret->ended = r->ended;
		r->dirty = false;
		if (r->ended)
			drop(b, r);
		return true;
	}
	return false;
}

bool buyer_next_result(struct buyer *buyer, struct buyer_result *ret_result)
{
	return next_request_result(buyer, ret_result) || buyer_wallet_result(buyer, ret_result);
}

static int64_t buyer_wake_at(const void *core)
{
	const struct buyer *b = core;
	int64_t next_ns = heap_next(&b->deadlines);

	return MIN(next_ns, b->wallet_next_ns);
}

static void buyer_check(const void *core)
{
	const struct buyer *b = core;

	for (uint32_t i = 0; i < BUYER_REQUESTS_MAX; i++) {
		const struct open_request *r = &b->requests[i];

		if (!r->used)
			continue;
		assert(idmap_get(&b->by_id, r->id.b) == i);
		assert(r->ended || r->next_ns != INT64_MAX);
	}
	assert(b->n_wallet <= BUYER_WALLET_MAX);
}

static int buyer_load(void *core, const struct row *row)
{
	(void)core; /* ignored: nothing is kept */
	(void)row;
	return -EBADMSG;
}

static bool buyer_may_fetch(const void *core, const struct did *who, const struct id *digest)
{
	(void)core; /* ignored: a buyer gives no payloads to anybody */
	(void)who;
	(void)digest;
	return false;
}

static const struct table_info tables[] = {
	{ .name = "statement", .n_key = 1, .n_cells = 4 },
	{ .name = "payload", .n_key = 1, .n_cells = 3 },
};

const struct core_ops buyer_ops = {
	.name = "buyer",
	.tables = tables,
	.n_tables = ARRAY_SIZE(tables),
	.load = buyer_load,
	.step = buyer_step,
	.wake_at = buyer_wake_at,
	.check = buyer_check,
	.may_fetch = buyer_may_fetch,
};

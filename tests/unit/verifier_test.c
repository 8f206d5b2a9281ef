#include "escrow/verify/verifier.h"

#include "escrow/verify/verifier_worker.h"
#include "proto/base/sha256.h"
#include "verify_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct fixture fixture;
static struct verifier *verifier;
static struct keyring *worker_keys;
static struct opened opened;
static struct effects fx;
static uint8_t frame[MESSAGE_MAX];
static uint8_t plain[512];
static size_t n_plain;
static int64_t now_ns;

static const struct did *party(enum fixture_party who)
{
	return &fixture.signers[who].issuer;
}

static void ask_volts(struct fixture *f, int stage)
{
	if (stage == STATEMENT_REQUEST)
		fixture_ask_value(f, "V", 12, 15, -1);
}

static void own_door(struct fixture *f, int stage)
{
	ask_volts(f, stage);
	f->direct = true;
}

/* A measurement, so that no decoder is needed. */
static void begin(fixture_tamper *tamper)
{
	struct buf room = BUF(plain);
	struct verifier_config config = { 0 };

	n_plain = fixture_measurement("V", 13, -1, &room).n;
	fixture_make(&fixture, SPAN(plain, n_plain), tamper);
	config.author = (struct author){ fixture.signers[FIXTURE_VERIFIER], SPAN_STR("test") };
	memcpy(config.encryption_secret, fixture.encryption_secret[FIXTURE_VERIFIER], 32);
	config.escrow = *party(FIXTURE_ESCROW);
	config.keyring = fixture.keyring;
	assert_int_equal(verifier_new(&config, &verifier), 0);
	worker_keys = keyring_new(8);
	assert_non_null(worker_keys);
	now_ns = FIXTURE_NOW_NS + 4 * NS_PER_S;
}

static void end(void)
{
	verifier_free(verifier);
	keyring_free(worker_keys);
	fixture_deinit(&fixture);
}

static void step(struct event event)
{
	static uint8_t entropy;

	event.now_ns = now_ns;
	memset(event.entropy, ++entropy, sizeof(event.entropy));
	effects_init(&fx);
	verifier_ops.step(verifier, &event, &fx);
	verifier_ops.check(verifier);
	assert_false(fx.overflow);
}

/* The only effect of that type, or NULL. */
static const struct effect *effect_of(enum effect_type type)
{
	const struct effect *found = NULL;

	for (size_t i = 0; i < fx.n; i++) {
		if (fx.v[i].type != type)
			continue;
		assert_null(found);
		found = &fx.v[i];
	}
	return found;
}

static const struct message *sent(enum message_type type)
{
	const struct effect *effect = effect_of(EFFECT_SEND);

	assert_non_null(effect);
	assert_int_equal(effect->send->message.message, type);
	assert_true(did_eq(&effect->send->to, party(FIXTURE_ESCROW)));
	return &effect->send->message;
}

static void receive(const struct message *message, enum fixture_party from)
{
	struct buf out = BUF(frame);

	assert_true(message_encode(message, &out));
	assert_int_equal(
		message_open(buf_span(&out), fixture.keyring, NULL, NULL, &opened), REFUSED_NOT);
	step((struct event){ .type = EVENT_MESSAGE, .from = *party(from), .opened = &opened });
}

struct ticket_options {
	enum fixture_party from;
	enum fixture_party wrapped_for;
	bool inlined;
	int64_t size; /* 0: the true one */
	int without; /* a statement's kind */
};

static const struct ticket_options usual = { FIXTURE_ESCROW, FIXTURE_VERIFIER, true, 0, 0 };
static const struct ticket_options large = { FIXTURE_ESCROW, FIXTURE_VERIFIER, false, 0, 0 };

static void draw(const struct ticket_options *o)
{
	static const int kinds[] = { STATEMENT_REQUEST, STATEMENT_HOLD, STATEMENT_ASSIGNMENT,
		STATEMENT_EVIDENCE, STATEMENT_DRAW };
	static struct message m;
	uint8_t wrapped_room[SEAL_WRAPPED];
	struct buf wrapped = BUF(wrapped_room);
	uint8_t key[32];
	struct seal_context context = { fixture.statements[STATEMENT_REQUEST].id,
		fixture.statements[STATEMENT_EVIDENCE].id, *party(FIXTURE_VERIFIER) };

	seal_public_key(fixture.encryption_secret[o->wrapped_for], key);
	assert_true(seal_wrap(
		fixture.input.content_key, key, (const uint8_t[32]){ 77 }, &context, &wrapped));
	m = (struct message){ .present = true,
		.message = MESSAGE_DRAW,
		.number = 5,
		.request = context.request,
		.wrapped = buf_span(&wrapped),
		.receipt = fixture.input.receipt,
		.note = fixture.input.note,
		.size = o->size ? o->size : (int64_t)fixture.input.ciphertext.n };
	if (o->inlined)
		m.blob = fixture.input.ciphertext;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i] != o->without)
			m.statements[m.n_statements++] = fixture.statements[kinds[i]].bytes;
	receive(&m, o->from);
}

static void refuses(const struct ticket_options *o, enum refusal code)
{
	draw(o);

	const struct effect *effect = effect_of(EFFECT_SEND);

	assert_non_null(effect);
	assert_int_equal(effect->send->message.message, MESSAGE_REFUSED);
	assert_int_equal(effect->send->message.code, code);
	assert_int_equal(effect->send->message.reply_to, 5);
	assert_null(effect_of(EFFECT_WORK));
	assert_int_equal(verifier_counts(verifier).active, 0);
}

static const struct work *work_of(int kind)
{
	const struct effect *effect = effect_of(EFFECT_WORK);

	assert_non_null(effect);
	assert_int_equal(effect->work.kind, kind);
	return &effect->work;
}

/* What the shell and the worker do with a check; error: what goes wrong there. */
static void run_check(int error)
{
	const struct work *work = work_of(VERIFIER_WORK_CHECK);
	struct verifier_task task = *(const struct verifier_task *)work->detail;
	struct work_result result = {
		.ticket = work->ticket, .kind = work->kind, .status = error, .detail = &task
	};

	if (error == 0)
		result.status = verifier_job_run(task.job, worker_keys, NULL);
	assert_int_equal(result.status, error);
	step((struct event){ .type = EVENT_WORK, .work = &result });
}

static void run_pull(int status, enum refusal refusal)
{
	struct work_result result = { .ticket = work_of(WORK_PULL)->ticket,
		.kind = WORK_PULL,
		.status = status,
		.refusal = refusal };

	if (status == 0 && refusal == REFUSED_NOT)
		result.detail = &fixture.input.ciphertext;
	step((struct event){ .type = EVENT_WORK, .work = &result });
}

/* The verdict that was sent, checked for what every one must say. Its bytes go to out. */
static void take_verdict(struct statement *ret, struct buf *out)
{
	const struct effect *put = NULL;
	struct seal_bound bound = { fixture.statements[STATEMENT_REQUEST].id,
		fixture.statements[STATEMENT_EVIDENCE].id };
	struct id digest = SHA256(SPAN(plain, n_plain));
	struct id view = SHA256(fixture.input.note);
	uint8_t room[32];
	struct buf opened_digest = BUF(room);
	const struct verdict *v = &ret->body.verdict;

	/* Signing stores it once, sending once more. */
	for (size_t i = 0; i < fx.n; i++)
		if (fx.v[i].type == EFFECT_PUT)
			put = &fx.v[i];
	assert_non_null(put);
	buf_put(out, put->row.cells[3].b.p, put->row.cells[3].b.n);
	assert_int_equal(statement_decode(buf_span(out), ret, NULL), REFUSED_NOT);
	assert_int_equal(keyring_verify(fixture.keyring, ret), REFUSED_NOT);
	assert_true(did_eq(&ret->issuer, party(FIXTURE_VERIFIER)));
	assert_true(id_eq(&v->request, &bound.request) && id_eq(&v->evidence, &bound.subject));
	assert_true(id_eq(&v->assignment, &fixture.statements[STATEMENT_ASSIGNMENT].id));
	assert_true(id_eq(&v->draw, &fixture.statements[STATEMENT_DRAW].id));
	assert_true(did_eq(&v->c.audience[0], party(FIXTURE_ESCROW)));
	assert_true(span_is(v->engine, "assay-verify/1 jpeg-islow-y-1"));
	assert_int_equal(v->tier, TIER_LIVE_CLAIMED);
	if (fixture.direct)
		assert_true(id_is_zero(&v->log_view));
	else
		assert_true(id_eq(&v->log_view, &view));
	assert_int_equal(seal_open_small(SEAL_DIGEST, fixture.input.content_key, &bound,
				 v->sealed_digest, &opened_digest),
		REFUSED_NOT);
	assert_memory_equal(room, digest.b, 32);
	assert_true(id_eq(&sent(MESSAGE_VERDICT)->target, &ret->id));
}

static void test_verdict(void **state)
{
	uint8_t bytes[8192];
	uint8_t again[8192];
	struct buf first = BUF(bytes);
	struct buf second = BUF(again);
	struct statement verdict;
	fixture_tamper *const ways[] = { ask_volts, own_door };

	(void)state; /* ignored: cmocka's shape */
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		first.n = second.n = 0;
		begin(ways[i]);
		draw(&usual);
		assert_int_equal(verifier_counts(verifier).active, 1);
		/* Asked again while it works: nothing. */
		const struct effect work = *effect_of(EFFECT_WORK);
		struct verifier_task task = *(const struct verifier_task *)work.work.detail;

		draw(&usual);
		assert_int_equal(fx.n, 0);
		*(struct verifier_task *)effects_work(
			&fx, work.work.kind, work.work.ticket, sizeof(task)) = task;
		run_check(0);
		take_verdict(&verdict, &first);
		assert_int_equal(verdict.body.verdict.outcome, CHECK_PASS);
		assert_int_equal(verdict.body.verdict.n_checks, VERIFY_GATES + 1);
		assert_int_equal(verifier_counts(verifier).active, 0);
		assert_int_equal(verifier_counts(verifier).held, 0);
		/* And after the answer: the same one. */
		draw(&usual);
		take_verdict(&verdict, &second);
		assert_true(span_eq(buf_span(&first), buf_span(&second)));
		assert_null(effect_of(EFFECT_WORK));
		end();
	}
}

static void bad_value(struct fixture *f, int stage)
{
	if (stage == STATEMENT_REQUEST)
		fixture_ask_value(f, "V", 14, 15, -1);
}

static void test_fails(void **state)
{
	uint8_t bytes[8192];
	struct buf out = BUF(bytes);
	struct statement verdict;

	(void)state; /* ignored: cmocka's shape */
	begin(bad_value);
	draw(&usual);
	run_check(0);
	take_verdict(&verdict, &out);
	assert_int_equal(verdict.body.verdict.outcome, CHECK_FAIL);
	assert_int_equal(verdict.body.verdict.checks[VERIFY_GATES].code, REFUSED_VALUE_OUTSIDE);
	end();
}

static int64_t wakes_at(void)
{
	return verifier_ops.wake_at(verifier);
}

static void test_repeats(void **state)
{
	static struct message taken;
	struct id verdict;

	(void)state; /* ignored: cmocka's shape */
	begin(ask_volts);
	draw(&usual);
	run_check(0);
	verdict = sent(MESSAGE_VERDICT)->target;
	for (int64_t wait = VERIFIER_REPEAT_FIRST_NS; wait <= 8 * NS_PER_S; wait *= 2) {
		assert_int_equal(wakes_at(), now_ns + wait);
		now_ns += wait - 1;
		step((struct event){ .type = EVENT_TICK });
		assert_int_equal(fx.n, 0);
		now_ns++;
		step((struct event){ .type = EVENT_TICK });
		assert_true(id_eq(&sent(MESSAGE_VERDICT)->target, &verdict));
	}
	/* A stranger's word ends nothing. */
	taken = (struct message){
		.present = true, .message = MESSAGE_VERDICT_TAKEN, .number = 9, .target = verdict
	};
	receive(&taken, FIXTURE_BROKER);
	assert_true(wakes_at() < INT64_MAX);
	receive(&taken, FIXTURE_ESCROW);
	now_ns += 60 * NS_PER_S;
	step((struct event){ .type = EVENT_TICK });
	assert_int_equal(fx.n, 0);
	assert_int_equal(wakes_at(), INT64_MAX);
	end();
}

/* Nobody hears it: it ends when t_verify is over. */
static void test_gives_up(void **state)
{
	int n = 0;

	(void)state; /* ignored: cmocka's shape */
	begin(ask_volts);
	draw(&usual);
	run_check(0);
	while (wakes_at() < INT64_MAX && n++ < 20) {
		now_ns = wakes_at();
		step((struct event){ .type = EVENT_TICK });
	}
	assert_int_equal(wakes_at(), INT64_MAX);
	assert_true(now_ns < FIXTURE_NOW_NS + 100 * NS_PER_S);
	end();
}

static void chosen(struct fixture *f, int stage)
{
	ask_volts(f, stage);
	if (stage == STATEMENT_DRAW)
		f->draw.draw_secret.b[0] ^= 1;
}

static void others_panel(struct fixture *f, int stage)
{
	ask_volts(f, stage);
	if (stage == STATEMENT_REQUEST)
		f->request.pool[0] = f->signers[FIXTURE_STRANGER].issuer;
}

static void others_escrow(struct fixture *f, int stage)
{
	ask_volts(f, stage);
	if (stage == STATEMENT_REQUEST) {
		f->request.escrow = f->signers[FIXTURE_STRANGER].issuer;
		f->signed_by[STATEMENT_HOLD] = FIXTURE_STRANGER;
		f->signed_by[STATEMENT_DRAW] = FIXTURE_STRANGER;
	}
}

static void test_refuses(void **state)
{
	struct ticket_options o = usual;

	(void)state; /* ignored: cmocka's shape */
	begin(ask_volts);
	o.from = FIXTURE_BROKER;
	refuses(&o, REFUSED_NOT_A_PARTY);
	o = usual;
	o.wrapped_for = FIXTURE_STRANGER;
	refuses(&o, REFUSED_PAYLOAD_KEY);
	o = usual;
	o.without = STATEMENT_ASSIGNMENT;
	refuses(&o, REFUSED_MESSAGE_SHAPE);
	o = large;
	o.size = PAYLOAD_MAX + (1 << 20);
	refuses(&o, REFUSED_PAYLOAD_SIZE);
	assert_int_equal(verifier_counts(verifier).refused, 4);
	/* Nothing of that stands in the way of the right one. */
	draw(&usual);
	run_check(0);
	(void)sent(MESSAGE_VERDICT); /* ignored: it is one */
	end();
	begin(chosen);
	refuses(&usual, REFUSED_DRAW_MISMATCH);
	end();
	begin(others_panel);
	refuses(&usual, REFUSED_DRAW_INVALID);
	end();
	begin(others_escrow);
	refuses(&usual, REFUSED_NOT_A_PARTY);
	end();
}

static void expect_pull(enum fixture_party from)
{
	const struct work_pull *want = work_of(WORK_PULL)->detail;

	assert_true(did_eq(&want->from, party(from)));
	assert_true(id_eq(&want->digest, &fixture.evidence.payload.cipher_digest));
	assert_true(id_eq(&want->ticket, &fixture.statements[STATEMENT_DRAW].id));
	assert_int_equal(want->size, fixture.input.ciphertext.n);
}

static void test_pulls(void **state)
{
	uint8_t bytes[8192];
	struct buf out = BUF(bytes);
	struct statement verdict;

	(void)state; /* ignored: cmocka's shape */
	begin(ask_volts);
	draw(&large);
	expect_pull(FIXTURE_BROKER);
	/* The draw must be there to be attached. */
	assert_int_equal(effect_of(EFFECT_PUT)->row.table, TABLE_STATEMENT);
	run_pull(-ETIMEDOUT, REFUSED_NOT);
	expect_pull(FIXTURE_ESCROW);
	run_pull(0, REFUSED_PAYLOAD_DIGEST);
	assert_int_equal(fx.n, 0);
	assert_int_equal(verifier_counts(verifier).active, 0);
	/* The next ticket tries again. */
	draw(&large);
	expect_pull(FIXTURE_BROKER);
	run_pull(0, REFUSED_NOT);
	run_check(0);
	take_verdict(&verdict, &out);
	assert_int_equal(verdict.body.verdict.outcome, CHECK_PASS);
	end();
	begin(own_door);
	draw(&large);
	expect_pull(FIXTURE_ESCROW);
	end();
}

/* A fault of ours is no verdict. */
static void test_fault(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	begin(ask_volts);
	draw(&usual);
	run_check(-ENOMEM);
	assert_int_equal(fx.n, 0);
	draw(&usual);
	run_check(0);
	(void)sent(MESSAGE_VERDICT); /* ignored: it is one */
	end();
}

static void test_enlists(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	begin(ask_volts);
	step((struct event){ .type = EVENT_CONNECTED, .from = *party(FIXTURE_BROKER) });
	assert_int_equal(fx.n, 0);
	step((struct event){ .type = EVENT_CONNECTED, .from = *party(FIXTURE_ESCROW) });
	(void)sent(MESSAGE_ENLIST); /* ignored: it is one */
	assert_int_equal(verifier_ops.wake_at(verifier), now_ns + VERIFIER_ENLIST_NS);
	now_ns += VERIFIER_ENLIST_NS;
	step((struct event){ .type = EVENT_TICK });
	(void)sent(MESSAGE_ENLIST); /* ignored: it is one */
	step((struct event){ .type = EVENT_LOST, .from = *party(FIXTURE_ESCROW) });
	assert_int_equal(verifier_ops.wake_at(verifier), INT64_MAX);
	end();
}

/* The worker's thread: a job goes in and comes back, with its own decoder. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static struct verifier_job *back;
static int back_status;

static void take_back(void *ctx, struct verifier_job *job, int status)
{
	(void)ctx; /* ignored: one worker */
	pthread_mutex_lock(&lock);
	back = job;
	back_status = status;
	pthread_cond_signal(&came);
	pthread_mutex_unlock(&lock);
}

static void test_thread(void **state)
{
	struct verifier_worker *worker = NULL;
	struct verifier_task task;
	struct work_result result = { .kind = VERIFIER_WORK_CHECK };

	(void)state; /* ignored: cmocka's shape */
	assert_int_equal(verifier_worker_new(&(struct sandbox_options){ .helper = "/nowhere" },
				 take_back, NULL, &worker),
		-ENOENT);
	assert_int_equal(verifier_worker_new(&(struct sandbox_options){ .helper = DECODER },
				 take_back, NULL, &worker),
		0);
	begin(ask_volts);
	draw(&usual);
	result.ticket = work_of(VERIFIER_WORK_CHECK)->ticket;
	task = *(const struct verifier_task *)work_of(VERIFIER_WORK_CHECK)->detail;
	verifier_worker_add(worker, take(&task.job));
	pthread_mutex_lock(&lock);
	while (!back)
		pthread_cond_wait(&came, &lock);
	pthread_mutex_unlock(&lock);
	verifier_worker_free(worker);
	task.job = back;
	result.status = back_status;
	result.detail = &task;
	assert_int_equal(back_status, 0);
	step((struct event){ .type = EVENT_WORK, .work = &result });
	(void)sent(MESSAGE_VERDICT); /* ignored: it is one */
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdict),
		cmocka_unit_test(test_fails),
		cmocka_unit_test(test_repeats),
		cmocka_unit_test(test_gives_up),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_pulls),
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_enlists),
		cmocka_unit_test(test_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/support/shell_rig.h"
#include "shelltest_sql.h"

#include "proto/base/text.h"
#include "proto/os/clock.h"
#include "proto/os/entropy.h"
#include "proto/os/file.h"
#include "proto/seal/digest.h"
#include "proto/shell/control.h"
#include "proto/statement/keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#define LOCAL "tcp://127.0.0.1:0"

/* A server that runs, and a bare client that is connected to it. */
struct pair {
	struct rig rig;
	struct bare bare;
	struct message m;
};

static struct pair *pair_open(void)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	rig_init(&p->rig);
	rig_open(&p->rig, LOCAL);
	return p;
}

static void pair_start(struct pair *p)
{
	rig_start(&p->rig);
	bare_init(&p->bare, &p->rig);
}

static int setup(void **state)
{
	struct pair *p = pair_open();

	pair_start(p);
	*state = p;
	return 0;
}

static int setup_unstarted(void **state)
{
	*state = pair_open();
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	bare_deinit(&p->bare);
	assert_int_equal(rig_stop(&p->rig), 0);
	rig_deinit(&p->rig);
	free(p);
	return 0;
}

/* Sends a message of a type, with target and size as they stand, and gives the answer's type. */
static int64_t ask(struct pair *p, enum message_type type)
{
	p->m.message = type;
	bare_send_message(&p->bare, &p->m);
	memset(&p->m, 0, sizeof(p->m));
	return bare_wait(&p->bare);
}

static void assert_refused(struct pair *p, enum refusal code)
{
	const struct message *m = &p->bare.opened->message;

	assert_int_equal(m->message, MESSAGE_REFUSED);
	assert_int_equal(m->code, code);
	assert_true(m->text.n > 0);
}

static void greets_and_counts(void **state)
{
	struct pair *p = *state;
	const struct statement *greeting;

	bare_greet(&p->bare);
	greeting = message_find(p->bare.opened, STATEMENT_GREETING);
	assert_non_null(greeting);
	assert_memory_equal(&greeting->issuer, &p->rig.identity.did, sizeof(struct did));
	assert_memory_equal(
		greeting->body.greeting.carrier.p, p->rig.identity.curve.public_key.b, 32);
	assert_int_equal(rig_wait(&p->rig, EVENT_CONNECTED).type, EVENT_CONNECTED);
	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_STATUS);
	assert_int_equal(p->bare.opened->message.cursor, 1);
	assert_int_equal(p->bare.opened->message.reply_to, p->bare.number);
	/* A hello that was repeated is answered, and the core hears of it once. */
	bare_greet(&p->bare);
	assert_int_equal(ask(p, MESSAGE_PING), MESSAGE_PONG);
	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_STATUS);
	assert_int_equal(p->bare.opened->message.cursor, 2);
	assert_int_equal(rig_wait(&p->rig, EVENT_MESSAGE).message, MESSAGE_QUERY);
	assert_int_equal(rig_wait(&p->rig, EVENT_MESSAGE).message, MESSAGE_QUERY);
}

static void refuses_bad_greetings(void **state)
{
	struct pair *p = *state;
	struct identity other;
	char dir[128];
	int64_t now_ns = clock_now_ns();

	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_GREETING_REQUIRED);
	assert_int_equal(ask(p, MESSAGE_HELLO), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_GREETING_REQUIRED);

	for (size_t i = 0; i < 5; i++)
		p->m.statements[p->m.n_statements++] = identity_keys(&p->bare.identity);
	assert_int_equal(ask(p, MESSAGE_HELLO), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_MESSAGE_SHAPE);

	/* A greeting that was overheard: signed, but for the key of another connection. */
	bare_hello(&p->bare, &p->bare.identity, &p->rig.identity.curve.public_key, now_ns);
	assert_int_equal(bare_wait(&p->bare), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_GREETING_CARRIER);

	bare_hello(&p->bare, &p->bare.identity, &p->bare.identity.curve.public_key,
		now_ns + 60 * NS_PER_S);
	assert_int_equal(bare_wait(&p->bare), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_STATEMENT_FROM_FUTURE);

	snprintf(dir, sizeof(dir), "%s/other", p->bare.dir);
	rig_identity(dir, "elsewhere", &other);
	bare_hello(&p->bare, &other, &p->bare.identity.curve.public_key, now_ns);
	assert_int_equal(bare_wait(&p->bare), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_STATEMENT_MARKET);
	identity_deinit(&other);

	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_GREETING_REQUIRED);
}

static void refuses_what_does_not_verify(void **state)
{
	struct pair *p = *state;
	struct identity other;
	uint8_t room[4096];
	struct buf out = BUF(room);
	struct span cancel;
	char dir[128];

	bare_greet(&p->bare);
	cancel = rig_cancel(&p->bare.identity, &out);
	room[cancel.n - 1] ^= 1;
	p->m.statements[p->m.n_statements++] = cancel;
	assert_int_equal(ask(p, MESSAGE_CANCEL), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_COSE_SIGNATURE);
	room[cancel.n - 1] ^= 1;
	p->m.statements[p->m.n_statements++] = cancel;
	assert_int_equal(ask(p, MESSAGE_CANCEL), MESSAGE_STATUS);

	/* Of somebody whose keys did not come along, and then did. */
	snprintf(dir, sizeof(dir), "%s/other", p->bare.dir);
	rig_identity(dir, "test", &other);
	cancel = rig_cancel(&other, &out);
	p->m.statements[p->m.n_statements++] = cancel;
	assert_int_equal(ask(p, MESSAGE_CANCEL), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_KEY_UNKNOWN);
	p->m.statements[p->m.n_statements++] = identity_keys(&other);
	p->m.statements[p->m.n_statements++] = cancel;
	assert_int_equal(ask(p, MESSAGE_CANCEL), MESSAGE_STATUS);

	/* It is passed on with its keys: bare_wait() verifies it with a keyring that lacks them. */
	keyring_free(p->bare.keyring);
	p->bare.keyring = keyring_new(8);
	assert_non_null(p->bare.keyring);
	assert_int_equal(ask(p, MESSAGE_NODES), MESSAGE_OFFERINGS);
	assert_int_equal(p->bare.opened->n_statements, 1);
	assert_memory_equal(&p->bare.opened->statements[0].issuer, &other.did, sizeof(struct did));
	identity_deinit(&other);
}

static void survives_garbage(void **state)
{
	struct pair *p = *state;
	uint8_t *big = calloc(1, NET_MESSAGE_MAX);
	uint8_t junk[300];

	assert_non_null(big);
	for (size_t n = 1; n < sizeof(junk); n += 13) {
		entropy_fill(junk, n);
		bare_send(&p->bare, SPAN(junk, n));
		assert_int_equal(bare_wait(&p->bare), MESSAGE_REFUSED);
	}
	bare_greet(&p->bare);
	bare_send(&p->bare, SPAN(big, NET_MESSAGE_MAX));
	assert_int_equal(bare_wait(&p->bare), MESSAGE_REFUSED);
	bare_send(&p->bare, SPAN("", 0));
	assert_int_equal(bare_wait(&p->bare), MESSAGE_REFUSED);
	/* A refusal that is no message does not start a quarrel: the next answer is the query's. */
	p->m.code = 1;
	p->m.text = SPAN_STR("no");
	p->m.message = MESSAGE_REFUSED;
	p->m.statements[p->m.n_statements++] = SPAN(junk, 10);
	bare_send_message(&p->bare, &p->m);
	memset(&p->m, 0, sizeof(p->m));
	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_STATUS);
	free(big);
}

/* Answers to both, but the second cannot be stored; what was durable before is there again. */
static void answer_is_never_sent(struct pair *p, int64_t step, int error)
{
	bare_greet(&p->bare);
	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_STATUS);
	p->m.cursor = step;
	assert_int_equal(ask(p, MESSAGE_CLOSE), MESSAGE_NONE);
	assert_int_equal(rig_join(&p->rig), error);

	p->rig.result = 0;
	rig_open(&p->rig, LOCAL);
	rig_start(&p->rig);
	bare_dial(&p->bare, &p->rig);
	bare_greet(&p->bare);
	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_STATUS);
	assert_int_equal(p->bare.opened->message.cursor, 2);
}

static void sends_nothing_when_a_row_fails(void **state)
{
	answer_is_never_sent(*state, 1000, -EDOM);
}

/* The answer is queued, all rows are written, and the commit fails. */
static void sends_nothing_when_the_commit_fails(void **state)
{
	answer_is_never_sent(*state, 500, -ENOENT);
}

static void attaches_after_a_restart(void **state)
{
	struct pair *p = *state;
	struct identity other;
	uint8_t room[4096];
	struct buf out = BUF(room);
	struct rig_core before;
	char dir[128];

	snprintf(dir, sizeof(dir), "%s/other", p->bare.dir);
	rig_identity(dir, "test", &other);
	bare_greet(&p->bare);
	p->m.statements[p->m.n_statements++] = identity_keys(&other);
	p->m.statements[p->m.n_statements++] = rig_cancel(&other, &out);
	assert_int_equal(ask(p, MESSAGE_CANCEL), MESSAGE_STATUS);
	before = p->rig.core;
	assert_int_equal(rig_stop(&p->rig), 0);

	rig_open(&p->rig, LOCAL);
	p->rig.core.kept = before.kept;
	rig_start(&p->rig);
	keyring_free(p->bare.keyring);
	p->bare.keyring = keyring_new(8);
	assert_non_null(p->bare.keyring);
	bare_dial(&p->bare, &p->rig);
	bare_greet(&p->bare);
	assert_int_equal(ask(p, MESSAGE_NODES), MESSAGE_OFFERINGS);
	assert_int_equal(p->bare.opened->n_statements, 1);
	assert_memory_equal(&p->bare.opened->statements[0].issuer, &other.did, sizeof(struct did));
	identity_deinit(&other);
}

static void carries_several_identities(void **state)
{
	struct pair *p = *state;
	struct identity *others = calloc(SHELL_CARRIED_MAX, sizeof(*others));
	uint8_t room[4096];
	struct buf out = BUF(room);
	struct did from;
	char dir[128];

	assert_non_null(others);
	bare_greet(&p->bare);
	rig_wait(&p->rig, EVENT_CONNECTED);
	for (size_t i = 0; i < SHELL_CARRIED_MAX; i++) {
		bool last = i == SHELL_CARRIED_MAX - 1;

		snprintf(dir, sizeof(dir), "%s/other%zu", p->bare.dir, i);
		rig_identity(dir, "test", &others[i]);
		bare_hello(
			&p->bare, &others[i], &p->bare.identity.curve.public_key, clock_now_ns());
		assert_int_equal(bare_wait(&p->bare), last ? MESSAGE_REFUSED : MESSAGE_WELCOME);
	}
	assert_refused(p, REFUSED_PEER_LIMIT);

	/* Its own statement tells who speaks; without one it is who greeted first. */
	p->m.statements[p->m.n_statements++] = rig_cancel(&others[3], &out);
	assert_int_equal(ask(p, MESSAGE_CANCEL), MESSAGE_STATUS);
	from = rig_wait(&p->rig, EVENT_MESSAGE).from;
	assert_memory_equal(&from, &others[3].did, sizeof(from));
	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_STATUS);
	from = rig_wait(&p->rig, EVENT_MESSAGE).from;
	assert_memory_equal(&from, &p->bare.identity.did, sizeof(from));
	for (size_t i = 0; i < SHELL_CARRIED_MAX; i++)
		identity_deinit(&others[i]);
	free(others);
}

static void serves_payloads_to_parties_only(void **state)
{
	struct pair *p = *state;
	struct span content = SPAN_STR("a small payload");
	struct id digest = digest_of(content), unknown = { { 9 } };

	p->rig.core.friends[0] = (struct did){ { 1 } };
	p->rig.core.n_friends = 1;
	pair_start(p);
	bare_greet(&p->bare);
	p->m.target = digest;
	p->m.blob = content;
	assert_int_equal(ask(p, MESSAGE_ENLIST), MESSAGE_STATUS);
	p->m.target = digest;
	assert_int_equal(ask(p, MESSAGE_FETCH), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_NOT_A_PARTY);
	assert_int_equal(rig_stop(&p->rig), 0);

	rig_open(&p->rig, LOCAL);
	p->rig.core.friends[0] = p->bare.identity.did;
	p->rig.core.n_friends = 1;
	rig_start(&p->rig);
	bare_dial(&p->bare, &p->rig);
	bare_greet(&p->bare);
	p->m.target = digest;
	p->m.offset = 2;
	assert_int_equal(ask(p, MESSAGE_FETCH), MESSAGE_CHUNK);
	assert_int_equal(p->bare.opened->message.size, content.n);
	assert_int_equal(p->bare.opened->message.offset, 2);
	assert_true(span_eq(p->bare.opened->message.blob, SPAN(content.p + 2, content.n - 2)));
	p->m.target = digest;
	p->m.offset = (int64_t)content.n;
	assert_int_equal(ask(p, MESSAGE_FETCH), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_MESSAGE_SHAPE);
	p->m.target = unknown;
	assert_int_equal(ask(p, MESSAGE_FETCH), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_PAYLOAD_UNKNOWN);
}

static void takes_nothing_new_when_the_disk_is_full(void **state)
{
	struct pair *p = *state;

	p->rig.options.disk_reserve = UINT64_MAX;
	pair_start(p);
	bare_greet(&p->bare);
	assert_int_equal(ask(p, MESSAGE_REQUEST), MESSAGE_REFUSED);
	assert_refused(p, REFUSED_DISK_FULL);
	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_STATUS);
	assert_int_equal(shell_exit_code(-ENOSPC), SHELL_EXIT_DISK_FULL);
	assert_int_equal(shell_exit_code(-EIO), 1);
	assert_int_equal(shell_exit_code(0), 0);
}

static void *worker(void *shell)
{
	if (shell_work_done(shell, 9, WORK_OWN, 0, REFUSED_NODE_BUSY, "x", 1) < 0)
		abort();
	return NULL;
}

static pthread_t worker_thread;

static int start_work(void *ctx, const struct work *work)
{
	struct rig *rig = ctx;

	assert(work->kind == WORK_OWN && work->ticket == 9);
	return -pthread_create(&worker_thread, NULL, worker, rig->shell);
}

static void takes_results_of_threads(void **state)
{
	struct pair *p = *state;
	struct rig_note note;

	p->rig.options.start_work = start_work;
	p->rig.options.ctx = &p->rig;
	p->rig.core.wake_at = 1;
	pair_start(p);
	rig_wait(&p->rig, EVENT_START);
	rig_wait(&p->rig, EVENT_TICK);
	bare_greet(&p->bare);
	p->m.message = MESSAGE_DEPOSIT;
	bare_send_message(&p->bare, &p->m);
	memset(&p->m, 0, sizeof(p->m));
	note = rig_wait(&p->rig, EVENT_WORK);
	assert_int_equal(note.kind, WORK_OWN);
	assert_int_equal(note.refusal, REFUSED_NODE_BUSY);
	assert_int_equal(pthread_join(worker_thread, NULL), 0);
	assert_int_equal(
		shell_work_done(p->rig.shell, 1, WORK_PULL, 0, REFUSED_NOT, NULL, 0), -EINVAL);
}

static void snapshots_while_it_runs(void **state)
{
	struct pair *p = *state;
	char dest[128], command[256], answer[CONTROL_REPLY_MAX], path[256], hex[ID_TEXT_MAX];
	_cleanup_(blob_write_freep) struct blob_write *w = NULL;
	struct id digest = digest_of(SPAN("abc", 3));
	struct db *copy = NULL;
	struct db_rows rows;
	struct stat st;

	assert_int_equal(blob_write_new(p->rig.blobs, 3, &w), 0);
	assert_int_equal(blob_write_append(w, SPAN("abc", 3)), 0);
	assert_int_equal(blob_write_finish(w, &digest, 3), 0);
	bare_greet(&p->bare);
	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_STATUS);
	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_STATUS);
	snprintf(dest, sizeof(dest), "%s/copy", p->bare.dir);
	assert_int_equal(mkdir(dest, 0700), 0);
	snprintf(command, sizeof(command), "snapshot %s", dest);
	assert_int_equal(control_command(p->rig.control_path, command, answer), 0);
	assert_string_equal(answer, "ok");
	assert_int_equal(ask(p, MESSAGE_QUERY), MESSAGE_STATUS);

	snprintf(path, sizeof(path), "%s/rig.db", dest);
	assert_int_equal(db_open(path, &shelltest_sql, &copy), 0);
	assert_int_equal(db_query(copy, SHELLTEST_SQL_LOAD_TALLY, NULL, 0, &rows), 0);
	assert_int_equal(db_rows_next(&rows), 1);
	assert_int_equal(rows.columns[1].i, 2);
	db_rows_deinit(&rows);
	db_free(copy);

	id_text(&digest, hex);
	snprintf(path, sizeof(path), "%s/payloads/%.2s/%s", dest, hex, hex);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3);

	assert_int_equal(control_command(p->rig.control_path, "stats", answer), 0);
	assert_non_null(strstr(answer, "\"commits\":3"));
	assert_non_null(strstr(answer, "\"unresolved\":0"));
	assert_int_equal(stat(p->rig.control_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(
		control_command(p->rig.control_path, "snapshot relative", answer), -EREMOTEIO);
	assert_int_equal(control_command(p->rig.control_path, "nonsense", answer), -EREMOTEIO);
	assert_int_equal(control_command(p->rig.control_path, "a\nb", answer), -EINVAL);
	assert_int_equal(control_command(dest, "stats", answer), -ECONNREFUSED);
}

/* Longer than the address of a unix socket has room for. */
static void controls_in_a_deep_directory(void **state)
{
	struct pair *p = *state;
	char deep[400], path[450], answer[CONTROL_REPLY_MAX];

	snprintf(deep, sizeof(deep), "%s/%0150d", p->rig.dir, 1);
	assert_int_equal(mkdir(deep, 0700), 0);
	snprintf(path, sizeof(path), "%s/control", deep);
	assert_int_equal(control_command(path, "stats", answer), -ENOENT);
	p->rig.options.control_path = path;
	pair_start(p);
	assert_int_equal(control_command(path, "stats", answer), 0);
	assert_int_equal(answer[0], '{');
	assert_int_equal(control_command(path, "stop", answer), 0);
	assert_int_equal(rig_join(&p->rig), 0);
	assert_int_equal(control_command(path, "stats", answer), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(greets_and_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_bad_greetings, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_does_not_verify, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(sends_nothing_when_a_row_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(
			sends_nothing_when_the_commit_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(attaches_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(carries_several_identities, setup, teardown),
		cmocka_unit_test_setup_teardown(
			serves_payloads_to_parties_only, setup_unstarted, teardown),
		cmocka_unit_test_setup_teardown(
			takes_nothing_new_when_the_disk_is_full, setup_unstarted, teardown),
		cmocka_unit_test_setup_teardown(
			takes_results_of_threads, setup_unstarted, teardown),
		cmocka_unit_test_setup_teardown(
			controls_in_a_deep_directory, setup_unstarted, teardown),
		cmocka_unit_test_setup_teardown(snapshots_while_it_runs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

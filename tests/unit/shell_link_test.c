#include "tests/support/shell_rig.h"

#include "proto/os/clock.h"
#include "proto/seal/digest.h"
#include "proto/shell/shell_internal.h"
#include "proto/statement/keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LOCAL "tcp://127.0.0.1:0"
#define SIZE  ((1 << 20) + 77) /* nine chunks, the last a short one */

/* Two shells: one listens, the other dials it. */
struct two {
	struct rig server;
	struct rig client;
	uint8_t *payload;
	struct id digest;
};

static void put_payload(struct two *t)
{
	_cleanup_(blob_write_freep) struct blob_write *w = NULL;

	assert_int_equal(blob_write_new(t->client.blobs, SIZE, &w), 0);
	assert_int_equal(blob_write_append(w, SPAN(t->payload, SIZE)), 0);
	assert_int_equal(blob_write_finish(w, &t->digest, SIZE), 0);
}

static int setup(void **state)
{
	struct two *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->payload = malloc(SIZE);
	assert_non_null(t->payload);
	for (size_t i = 0; i < SIZE; i++)
		t->payload[i] = (uint8_t)(i * 2654435761u >> 13);
	t->digest = digest_of(SPAN(t->payload, SIZE));
	rig_init(&t->server);
	rig_init(&t->client);
	rig_open(&t->server, LOCAL);
	rig_open(&t->client, NULL);
	t->client.options.contacts[0] = rig_contact(&t->server);
	t->client.options.n_contacts = 1;
	t->client.options.role = ROLE_NODE;
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct two *t = *state;

	assert_int_equal(rig_stop(&t->client), 0);
	assert_int_equal(rig_stop(&t->server), 0);
	rig_deinit(&t->client);
	rig_deinit(&t->server);
	free(t->payload);
	free(t);
	return 0;
}

static void start(struct two *t)
{
	struct rig_note note;

	rig_start(&t->server);
	rig_start(&t->client);
	note = rig_wait(&t->client, EVENT_CONNECTED);
	assert_memory_equal(&note.from, &t->server.identity.did, sizeof(note.from));
	note = rig_wait(&t->server, EVENT_CONNECTED);
	assert_memory_equal(&note.from, &t->client.identity.did, sizeof(note.from));
}

/* The client says that it has something, and the server pulls it. */
static struct rig_note submit(struct two *t, const struct id *digest, int64_t size)
{
	const struct rig_order order = { .to = t->server.identity.did,
		.type = MESSAGE_SUBMISSION,
		.target = *digest,
		.size = size };

	rig_order(&t->client, &order);
	return rig_wait(&t->server, EVENT_WORK);
}

static void pulls_a_payload(void **state)
{
	struct two *t = *state;
	struct rig_note note;

	put_payload(t);
	t->client.core.friends[0] = t->server.identity.did;
	t->client.core.n_friends = 1;
	start(t);
	note = submit(t, &t->digest, SIZE);
	assert_int_equal(note.kind, WORK_PULL);
	assert_int_equal(note.status, 0);
	assert_int_equal(note.refusal, REFUSED_NOT);
	assert_int_equal(rig_stat(&t->client, "chunks"), 9);
	/* What is here already is not fetched again. */
	note = submit(t, &t->digest, SIZE);
	assert_int_equal(note.refusal, REFUSED_NOT);
	assert_int_equal(rig_stat(&t->client, "chunks"), 9);
	assert_int_equal(blob_exists(t->server.blobs, &t->digest), 1);
}

static void reports_what_cannot_be_pulled(void **state)
{
	struct two *t = *state;
	struct id unknown = { { 7 } };

	put_payload(t);
	t->client.core.friends[0] = t->server.identity.did;
	t->client.core.n_friends = 1;
	start(t);
	assert_int_equal(submit(t, &unknown, 1000).refusal, REFUSED_PAYLOAD_UNKNOWN);
	assert_int_equal(submit(t, &t->digest, SIZE - 1).refusal, REFUSED_PAYLOAD_SIZE);
	assert_int_equal(submit(t, &t->digest, SIZE + 1).refusal, REFUSED_PAYLOAD_SIZE);
	assert_int_equal(submit(t, &t->digest, 0).refusal, REFUSED_PAYLOAD_SIZE);
	assert_int_equal(submit(t, &t->digest, PAYLOAD_MAX).refusal, REFUSED_PAYLOAD_SIZE);
	assert_int_equal(blob_exists(t->server.blobs, &t->digest), 0);
}

static void is_refused_as_a_stranger(void **state)
{
	struct two *t = *state;

	put_payload(t);
	start(t);
	assert_int_equal(submit(t, &t->digest, SIZE).refusal, REFUSED_NOT_A_PARTY);
	assert_int_equal(rig_stat(&t->client, "chunks"), 0);
}

static void pulls_into_memory(void **state)
{
	struct two *t = *state;

	put_payload(t);
	t->client.core.friends[0] = t->server.identity.did;
	t->client.core.n_friends = 1;
	t->server.options.db = NULL;
	t->server.options.blobs = NULL;
	t->server.options.memory_payloads = true;
	start(t);
	assert_int_equal(submit(t, &t->digest, SIZE).n_memory, SIZE);
	assert_int_equal(submit(t, &t->digest, SIZE - 5).n_memory, 0);
}

static void connects_again(void **state)
{
	struct two *t = *state;
	char endpoint[NET_ENDPOINT_MAX];

	start(t);
	snprintf(endpoint, sizeof(endpoint), "%s", net_server_endpoint(t->server.server));
	assert_int_equal(rig_stop(&t->server), 0);
	rig_wait(&t->client, EVENT_LOST);
	rig_open(&t->server, endpoint);
	rig_start(&t->server);
	rig_wait(&t->client, EVENT_CONNECTED);
	rig_wait(&t->server, EVENT_CONNECTED);
}

/* The right address and key, but the identity behind it is another. */
static void trusts_only_its_contact(void **state)
{
	struct two *t = *state;
	struct bare bare;

	t->client.options.contacts[0].did = (struct did){ { 3 } };
	rig_start(&t->server);
	rig_start(&t->client);
	/* The server admitted it; so its WELCOME is on the way, before the answer to this one. */
	rig_wait(&t->server, EVENT_CONNECTED);
	bare_init(&bare, &t->server);
	bare_greet(&bare);
	bare_deinit(&bare);
	while (rig_stat(&t->client, "received") == 0)
		;
	/* START and SEAL, and no CONNECTED. */
	assert_int_equal(rig_stat(&t->client, "events"), 2);
}

/* A source that sends what it likes: asked for at most the window, and found out. */
static void finds_a_lying_source(void **state)
{
	struct two *t = *state;
	struct message *m = calloc(1, sizeof(*m));
	struct bare bare;
	struct rig_note note;
	int64_t offset = 0, asked = 0;

	assert_non_null(m);
	t->payload[SIZE / 2] ^= 1;
	rig_start(&t->server);
	bare_init(&bare, &t->server);
	bare_greet(&bare);
	m->message = MESSAGE_SUBMISSION;
	m->target = t->digest;
	m->size = SIZE;
	bare_send_message(&bare, m);
	while (offset < SIZE) {
		int64_t n = MIN((int64_t)SIZE - offset, (int64_t)PAYLOAD_CHUNK);
		int64_t window = MIN((int64_t)SIZE, offset + SHELL_PULL_WINDOW * PAYLOAD_CHUNK);

		while (asked < window) {
			assert_int_equal(bare_wait(&bare), MESSAGE_FETCH);
			assert_int_equal(bare.opened->message.offset, asked);
			asked += bare.opened->message.size;
		}
		assert_int_equal(asked, window);
		memset(m, 0, sizeof(*m));
		m->message = MESSAGE_CHUNK;
		m->target = t->digest;
		m->offset = offset;
		m->size = SIZE;
		m->blob = SPAN(t->payload + offset, (size_t)n);
		bare_send_message(&bare, m);
		offset += n;
	}
	note = rig_wait(&t->server, EVENT_WORK);
	assert_int_equal(note.refusal, REFUSED_PAYLOAD_DIGEST);
	assert_int_equal(blob_exists(t->server.blobs, &t->digest), 0);
	bare_deinit(&bare);
	free(m);
}

/* "Refused, for no reason" must not pass for success. */
static void a_refusal_without_code_is_one(void **state)
{
	struct two *t = *state;
	struct message *m = calloc(1, sizeof(*m));
	struct bare bare;

	assert_non_null(m);
	rig_start(&t->server);
	bare_init(&bare, &t->server);
	bare_greet(&bare);
	m->message = MESSAGE_SUBMISSION;
	m->target = t->digest;
	m->size = SIZE;
	bare_send_message(&bare, m);
	assert_int_equal(bare_wait(&bare), MESSAGE_FETCH);
	memset(m, 0, sizeof(*m));
	m->message = MESSAGE_REFUSED;
	m->target = t->digest;
	bare_send_message(&bare, m);
	assert_int_equal(rig_wait(&t->server, EVENT_WORK).refusal, REFUSED_PAYLOAD_UNKNOWN);
	bare_deinit(&bare);
	free(m);
}

/* Many more results than one batch takes, and none is forgotten. */
static void takes_all_results(void **state)
{
	struct two *t = *state;

	rig_start(&t->server);
	for (int64_t i = 0; i < 10 * SHELL_BATCH_MAX; i++)
		assert_int_equal(shell_work_done(t->server.shell, 1, WORK_OWN, (int)-i, REFUSED_NOT,
					 NULL, 0),
			0);
	for (int64_t i = 0; i < 10 * SHELL_BATCH_MAX; i++)
		assert_int_equal(rig_wait(&t->server, EVENT_WORK).status, -i);
}

/* Time is what the test says: the shell does not run. */
static void asks_again_and_gives_up(void **state)
{
	struct two *t = *state;
	const struct work_pull want = {
		.from = t->server.identity.did, .digest = t->digest, .size = SIZE
	};
	struct shell *shell;
	struct job *job;
	int64_t now;

	assert_int_equal(shell_new(&t->client.options, &shell), 0);
	t->client.shell = shell;
	now = clock_mono_ns();
	assert_int_equal(pull_start(shell, 5, &want), 0);
	assert_int_equal(shell->counts.dropped_absent, SHELL_PULL_WINDOW);
	assert_int_equal(pull_beat(shell, now + NS_PER_S), 0);
	assert_int_equal(shell->counts.dropped_absent, SHELL_PULL_WINDOW);
	assert_int_equal(pull_beat(shell, now + 3 * NS_PER_S), 0);
	assert_int_equal(shell->counts.dropped_absent, 2 * SHELL_PULL_WINDOW);
	assert_true(pull_next(shell) <= now + 5 * NS_PER_S);
	assert_int_equal(pull_beat(shell, now + PULL_SILENCE_NS + NS_PER_S), 0);
	job = work_queue_take(&shell->done);
	assert_non_null(job);
	assert_int_equal(job->result.ticket, 5);
	assert_int_equal(job->result.status, -ETIMEDOUT);
	work_job_free(job);
	assert_int_equal(pull_next(shell), INT64_MAX);

	/* More than fit wait for their turn, and get it. */
	for (uint64_t i = 0; i < SHELL_PULLS_MAX + 2; i++)
		assert_int_equal(pull_start(shell, i, &want), 0);
	assert_int_equal(shell->pull_queue.n, 2);
	assert_int_equal(pull_beat(shell, now + 2 * PULL_SILENCE_NS), 0);
	assert_int_equal(shell->done.n, SHELL_PULLS_MAX);
	assert_int_equal(pull_beat(shell, now + 2 * PULL_SILENCE_NS), 0);
	assert_int_equal(shell->pull_queue.n, 0);
}

static struct route route_of(uint8_t byte)
{
	return (struct route){ .contact = -1, .routing = { byte }, .n_routing = 5 };
}

static void loses_who_is_silent(void **state)
{
	struct sessions s;
	struct did dids[4] = { { { 1 } }, { { 2 } }, { { 3 } }, { { 4 } } }, did;
	struct route a = route_of(1), b = route_of(2);
	int64_t role;
	bool is_new;

	(void)state;
	assert_int_equal(sessions_init(&s, 3, 42), 0);
	assert_int_equal(sessions_greet(&s, &a, &dids[0], 1, 0, 1000, &is_new), REFUSED_NOT);
	assert_true(is_new);
	assert_int_equal(sessions_greet(&s, &a, &dids[0], 1, 0, 1000, &is_new), REFUSED_NOT);
	assert_false(is_new);
	assert_int_equal(sessions_greet(&s, &a, &dids[1], 2, 0, 1000, &is_new), REFUSED_NOT);
	assert_int_equal(sessions_greet(&s, &b, &dids[2], 3, 0, 1000, &is_new), REFUSED_NOT);
	assert_int_equal(sessions_greet(&s, &b, &dids[3], 3, 0, 1000, &is_new), REFUSED_PEER_LIMIT);
	/* One identity moves to the other connection; the latest greeting wins. */
	assert_int_equal(sessions_greet(&s, &b, &dids[0], 1, 0, 1000, &is_new), REFUSED_NOT);
	assert_true(is_new);
	assert_int_equal(s.n, 3);

	sessions_heard(&s, sessions_connection(&s, &a), 5000);
	assert_false(sessions_lose(&s, 999 + SHELL_SERVER_LOST_NS, &did, &role));
	assert_true(sessions_lose(&s, 1000 + SHELL_SERVER_LOST_NS, &did, &role));
	assert_memory_equal(&did, &dids[0], sizeof(did));
	assert_true(sessions_lose(&s, 1000 + SHELL_SERVER_LOST_NS, &did, &role));
	assert_memory_equal(&did, &dids[2], sizeof(did));
	assert_int_equal(role, 3);
	assert_false(sessions_lose(&s, 1000 + SHELL_SERVER_LOST_NS, &did, &role));
	assert_int_equal(sessions_connection(&s, &b), NONE);
	assert_int_equal(sessions_find(&s, &dids[2], 3), NONE);

	/* The same identity in another role is a session of its own. */
	assert_int_equal(sessions_greet(&s, &a, &dids[1], 4, 0, 5000, &is_new), REFUSED_NOT);
	assert_true(is_new);
	assert_true(sessions_find(&s, &dids[1], 4) != sessions_find(&s, &dids[1], 2));
	sessions_doom(&s, &a);
	assert_true(sessions_lose(&s, 9001, &did, &role));
	assert_int_equal(role, 4);
	sessions_heard(&s, sessions_connection(&s, &a), 5000);

	/* A connection that turned out to be gone is the next to be lost. */
	assert_int_equal(sessions_greet(&s, &b, &dids[3], 4, 0, 2000, &is_new), REFUSED_NOT);
	sessions_heard(&s, sessions_connection(&s, &a), 9000);
	sessions_doom(&s, &a);
	assert_true(sessions_lose(&s, 9001, &did, &role));
	assert_memory_equal(&did, &dids[1], sizeof(did));
	assert_false(sessions_lose(&s, 9001, &did, &role));
	assert_int_equal(s.n, 1);
	sessions_deinit(&s);
}

static void cache_is_first_in_first_out(void **state)
{
	struct cache cache = { 0 };
	size_t big = SHELL_CACHE_BYTES / 4;
	uint8_t *bytes = calloc(1, big);
	struct id id = { { 0 } };

	(void)state;
	assert_non_null(bytes);
	assert_int_equal(cache_init(&cache, 1), 0);
	for (uint8_t i = 1; i <= 6; i++) {
		id.b[0] = i;
		assert_non_null(cache_put(&cache, &id, SPAN(bytes, big)));
	}
	id.b[0] = 4;
	cache_drop(&cache, &id);
	assert_null(cache_find(&cache, &id));
	assert_non_null(cache_put(&cache, &id, SPAN("again", 5)));
	cache_trim(&cache);
	assert_true(cache.bytes <= SHELL_CACHE_BYTES);
	id.b[0] = 1;
	assert_null(cache_find(&cache, &id));
	id.b[0] = 6;
	assert_non_null(cache_find(&cache, &id));
	for (size_t i = 0; i < 3 * SHELL_CACHE_MAX; i++) {
		memcpy(id.b + 8, &i, sizeof(i));
		assert_non_null(cache_put(&cache, &id, SPAN("x", 1)));
		cache_trim(&cache);
	}
	assert_non_null(cache_find(&cache, &id));
	assert_true(cache.n < SHELL_CACHE_MAX);
	cache_deinit(&cache);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pulls_a_payload, setup, teardown),
		cmocka_unit_test_setup_teardown(reports_what_cannot_be_pulled, setup, teardown),
		cmocka_unit_test_setup_teardown(is_refused_as_a_stranger, setup, teardown),
		cmocka_unit_test_setup_teardown(pulls_into_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(connects_again, setup, teardown),
		cmocka_unit_test_setup_teardown(trusts_only_its_contact, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_a_lying_source, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_without_code_is_one, setup, teardown),
		cmocka_unit_test_setup_teardown(takes_all_results, setup, teardown),
		cmocka_unit_test_setup_teardown(asks_again_and_gives_up, setup, teardown),
		cmocka_unit_test(loses_who_is_silent),
		cmocka_unit_test(cache_is_first_in_first_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

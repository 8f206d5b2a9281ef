#include "tests/support/shell_rig.h"
#include "shelltest_sql.h"

#include "proto/os/clock.h"
#include "proto/os/entropy.h"
#include "proto/os/file.h"
#include "proto/statement/keyring.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static size_t index_of(struct rig_core *c, const struct did *who)
{
	size_t i = 0;

	while (i < c->n_who && !did_eq(&c->who[i], who))
		i++;
	if (i == c->n_who) {
		assert(c->n_who < ARRAY_SIZE(c->who));
		c->who[c->n_who++] = *who;
	}
	return i;
}

static int load(void *core, const struct row *row)
{
	struct rig_core *c = core;
	struct did who;

	if (row->table != 2 || row->n != 2 || row->cells[0].b.n != sizeof(who))
		return -EBADMSG;
	memcpy(who.b, row->cells[0].b.p, sizeof(who.b));
	c->n[index_of(c, &who)] = row->cells[1].i;
	return 0;
}

static struct message *reply(struct effects *fx, const struct event *event, enum message_type type)
{
	struct message *m = &effects_send(fx, &event->from, type)->message;

	m->reply_to = event->opened->message.number;
	return m;
}

static void tally(struct rig_core *c, const struct event *event, struct effects *fx, int64_t step)
{
	size_t i = index_of(c, &event->from);
	/* The message first: the shell must hold it back by itself. */
	struct message *m = reply(fx, event, MESSAGE_STATUS);
	struct row *row = effects_put(fx, 2, PUT_REPLACE);

	c->n[i] += step;
	m->cursor = c->n[i];
	row_copy(fx, row, SPAN_OF(event->from));
	row_int(row, c->n[i]);
}

static void message(struct rig_core *c, const struct event *event, struct effects *fx)
{
	const struct message *m = &event->opened->message;
	struct work_pull *pull;
	struct row *row;

	if (m->message == MESSAGE_QUERY) {
		tally(c, event, fx, 1);
	} else if (m->message == MESSAGE_CLOSE) {
		tally(c, event, fx, m->cursor);
	} else if (m->message == MESSAGE_CANCEL && event->opened->n_statements > 0) {
		c->kept = event->opened->statements[0].id;
		effects_keep(fx, &event->opened->statements[0], NULL);
		reply(fx, event, MESSAGE_STATUS);
	} else if (m->message == MESSAGE_NODES) {
		struct send *send = effects_send(fx, &event->from, MESSAGE_OFFERINGS);

		send_attach(send, &c->kept);
	} else if (m->message == MESSAGE_SUBMISSION) {
		pull = effects_work(fx, WORK_PULL, 7, sizeof(*pull));
		*pull = (struct work_pull){
			.from = event->from, .digest = m->target, .size = m->size
		};
	} else if (m->message == MESSAGE_DEPOSIT) {
		effects_work(fx, WORK_OWN, 9, 0);
	} else if (m->message == MESSAGE_ENLIST) {
		row = effects_put(fx, TABLE_PAYLOAD, PUT_INSERT);
		row_copy(fx, row, SPAN_OF(m->target));
		row_null(row);
		row_blob(row, m->blob);
		reply(fx, event, MESSAGE_STATUS);
	}
}

static void work(const struct work_result *result, struct effects *fx)
{
	const struct rig_order *order = result->detail;

	if (result->kind != RIG_ORDER)
		return;

	struct message *m = &effects_send(fx, &order->to, order->type)->message;

	m->target = order->target;
	m->size = order->size;
}

static void step(void *core, const struct event *event, struct effects *fx)
{
	struct rig_core *c = core;
	struct rig_note note = { .type = event->type, .from = event->from };

	if (event->type == EVENT_TICK)
		c->wake_at = INT64_MAX;
	if (event->type == EVENT_MESSAGE) {
		note.message = event->opened->message.message;
		note.code = event->opened->message.code;
		message(c, event, fx);
	}
	if (event->type == EVENT_WORK) {
		note.kind = event->work->kind;
		note.status = event->work->status;
		note.refusal = event->work->refusal;
		if (event->work->kind == WORK_PULL && event->work->detail)
			note.n_memory = ((const struct span *)event->work->detail)->n;
		work(event->work, fx);
	}
	if (event->type != EVENT_SEAL && write(c->notes, &note, sizeof(note)) != sizeof(note))
		abort();
}

static int64_t wake_at(const void *core)
{
	return ((const struct rig_core *)core)->wake_at;
}

static void check(const void *core)
{
	assert(((const struct rig_core *)core)->n_who <= 64);
}

static bool may_fetch(const void *core, const struct did *who, const struct id *digest)
{
	const struct rig_core *c = core;

	(void)digest; /* ignored: friends may read everything */
	for (size_t i = 0; i < c->n_friends; i++)
		if (did_eq(&c->friends[i], who))
			return true;
	return false;
}

static const struct table_info tables[] = {
	{ .name = "statement", .n_key = 1, .n_cells = 4 },
	{ .name = "payload", .n_key = 1, .n_cells = 3 },
	{ .name = "tally", .n_key = 1, .n_cells = 2 },
};

const struct core_ops rig_ops = {
	.name = "rig",
	.tables = tables,
	.n_tables = ARRAY_SIZE(tables),
	.load = load,
	.step = step,
	.wake_at = wake_at,
	.check = check,
	.may_fetch = may_fetch,
};

static int remove_one(const char *name, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(name);
}

void rig_remove(const char *dir)
{
	assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void rig_identity(const char *dir, const char *market, struct identity *ret_identity)
{
	assert_int_equal(identity_new(dir, market), 0);
	assert_int_equal(identity_load(dir, ret_identity), 0);
}

void rig_init(struct rig *rig)
{
	char keys[128];

	memset(rig, 0, sizeof(*rig));
	strcpy(rig->dir, "/tmp/assay-shell-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(keys, sizeof(keys), "%s/keys", rig->dir);
	rig_identity(keys, "test", &rig->identity);
}

void rig_open(struct rig *rig, const char *endpoint)
{
	struct net_server_options listen = { .endpoint = endpoint,
		.secret_key = rig->identity.curve.secret_key };
	char path[128];
	int fds[2];

	snprintf(path, sizeof(path), "%s/rig.db", rig->dir);
	assert_int_equal(db_open(path, &shelltest_sql, &rig->db), 0);
	snprintf(rig->blobs_path, sizeof(rig->blobs_path), "%s/payloads", rig->dir);
	assert_int_equal(blob_open(rig->blobs_path, &rig->blobs), 0);
	snprintf(rig->control_path, sizeof(rig->control_path), "%s/control", rig->dir);
	rig->keyring = keyring_new(64);
	assert_non_null(rig->keyring);
	assert_int_equal(net_new(&rig->net), 0);
	if (endpoint)
		assert_int_equal(net_server_new(rig->net, &listen, &rig->server), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	rig->notes = fds[0];
	rig->core = (struct rig_core){ .wake_at = INT64_MAX, .notes = fds[1] };
	rig->options = (struct shell_options){
		.ops = &rig_ops,
		.core = &rig->core,
		.keyring = rig->keyring,
		.identity = &rig->identity,
		.role = ROLE_BROKER,
		.db = rig->db,
		.blobs = rig->blobs,
		.net = rig->net,
		.server = rig->server,
		.signals = -1,
		.data_path = rig->dir,
		.blobs_path = rig->blobs_path,
		.control_path = rig->control_path,
		.disk_reserve = 1,
	};
}

static void *run(void *arg)
{
	struct rig *rig = arg;

	rig->result = shell_run(rig->shell);
	/* Here, so that the peers see the end of the connection. */
	shell_free(take(&rig->shell));
	net_server_free(take(&rig->server));
	return NULL;
}

void rig_start(struct rig *rig)
{
	assert_int_equal(shell_new(&rig->options, &rig->shell), 0);
	assert_int_equal(pthread_create(&rig->thread, NULL, run, rig), 0);
	rig->running = true;
}

int rig_join(struct rig *rig)
{
	if (rig->running)
		assert_int_equal(pthread_join(rig->thread, NULL), 0);
	rig->running = false;
	shell_free(take(&rig->shell));
	net_server_free(take(&rig->server));
	net_free(take(&rig->net));
	blob_free(take(&rig->blobs));
	db_free(take(&rig->db));
	keyring_free(take(&rig->keyring));
	close(rig->notes);
	close(rig->core.notes);
	return rig->result;
}

int rig_stop(struct rig *rig)
{
	if (rig->running) {
		char answer[CONTROL_REPLY_MAX];

		assert_int_equal(control_command(rig->control_path, "stop", answer), 0);
	}
	return rig_join(rig);
}

void rig_deinit(struct rig *rig)
{
	identity_deinit(&rig->identity);
	rig_remove(rig->dir);
}

struct rig_note rig_wait(struct rig *rig, enum event_type type)
{
	struct pollfd item = { .fd = rig->notes, .events = POLLIN };
	struct rig_note note;

	do {
		assert_int_equal(poll(&item, 1, RIG_WAIT_MS), 1);
		assert_int_equal(read(rig->notes, &note, sizeof(note)), sizeof(note));
	} while (note.type != type);
	return note;
}

void rig_order(struct rig *rig, const struct rig_order *order)
{
	assert_int_equal(
		shell_work_done(rig->shell, 1, RIG_ORDER, 0, REFUSED_NOT, order, sizeof(*order)),
		0);
}

int64_t rig_stat(struct rig *rig, const char *name)
{
	char answer[CONTROL_REPLY_MAX], key[64];
	const char *at;

	assert_int_equal(control_command(rig->control_path, "stats", answer), 0);
	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(answer, key);
	assert_non_null(at);
	return strtoll(at + strlen(key), NULL, 10);
}

struct contact rig_contact(const struct rig *rig)
{
	struct contact contact;

	assert_int_equal(contact_of(&rig->identity, net_server_endpoint(rig->server), &contact), 0);
	return contact;
}

void bare_dial(struct bare *b, const struct rig *server)
{
	const struct net_client_options options = {
		.endpoint = net_server_endpoint(server->server),
		.server_key = server->identity.curve.public_key,
		.keys = b->identity.curve,
	};

	net_in_deinit(&b->in);
	net_client_free(take(&b->client));
	assert_int_equal(net_client_new(b->net, &options, &b->client), 0);
	while (!net_client_connected(b->client)) {
		struct net_item item = { .client = b->client };
		enum net_event event;

		assert_int_equal(net_poll(&item, 1, RIG_WAIT_MS), 1);
		while (net_client_event(b->client, &event) == 0)
			;
	}
}

void bare_init(struct bare *b, const struct rig *server)
{
	char keys[128];

	memset(b, 0, sizeof(*b));
	strcpy(b->dir, "/tmp/assay-bare-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(keys, sizeof(keys), "%s/keys", b->dir);
	rig_identity(keys, "test", &b->identity);
	assert_int_equal(net_new(&b->net), 0);
	b->keyring = keyring_new(64);
	b->opened = calloc(1, sizeof(*b->opened));
	assert_true(b->keyring && b->opened);
	bare_dial(b, server);
}

void bare_deinit(struct bare *b)
{
	net_in_deinit(&b->in);
	net_client_free(b->client);
	net_free(b->net);
	keyring_free(b->keyring);
	free(b->opened);
	identity_deinit(&b->identity);
	rig_remove(b->dir);
}

void bare_send(struct bare *b, struct span bytes)
{
	assert_int_equal(net_client_send(b->client, bytes), 0);
}

void bare_send_message(struct bare *b, struct message *m)
{
	_cleanup_(freep) uint8_t *room = malloc(MESSAGE_MAX);
	struct buf out = buf_over(room, MESSAGE_MAX);

	assert_non_null(room);
	m->number = ++b->number;
	assert_true(message_encode(m, &out));
	bare_send(b, buf_span(&out));
}

void bare_hello(struct bare *b, const struct identity *identity, const struct net_key *carrier,
	int64_t at_ns)
{
	struct message *m = calloc(1, sizeof(*m));
	uint8_t room[2048];
	struct buf greeting = BUF(room);

	assert_non_null(m);
	assert_true(identity_greeting(identity, ROLE_BUYER, carrier, at_ns, &greeting));
	m->message = MESSAGE_HELLO;
	m->statements[m->n_statements++] = identity_keys(identity);
	m->statements[m->n_statements++] = buf_span(&greeting);
	bare_send_message(b, m);
	free(m);
}

int64_t bare_wait(struct bare *b)
{
	enum net_event event;
	int r;

	for (;;) {
		struct net_item item = { .client = b->client };

		net_in_deinit(&b->in);
		r = net_client_recv(b->client, &b->in);
		if (r == 0)
			break;
		assert_int_equal(r, -EAGAIN);
		while (net_client_event(b->client, &event) == 0)
			if (event == NET_EVENT_DISCONNECTED)
				return 0;
		assert_int_equal(net_poll(&item, 1, RIG_WAIT_MS), 1);
	}
	assert_int_equal(message_open(b->in.bytes, b->keyring, NULL, NULL, b->opened), REFUSED_NOT);
	return b->opened->message.message;
}

void bare_greet(struct bare *b)
{
	bare_hello(b, &b->identity, &b->identity.curve.public_key, clock_now_ns());
	assert_int_equal(bare_wait(b), MESSAGE_WELCOME);
}

struct span rig_cancel(const struct identity *identity, struct buf *room)
{
	uint8_t salt[16];
	struct id id;
	struct claim claim = {
		.c = { .market = identity->author.market,
			.salt = SPAN_OF(salt),
			.at_ns = clock_now_ns() },
		.request = { { 1 } },
	};
	size_t from = room->n;

	entropy_fill(salt, sizeof(salt));
	assert_int_equal(
		statement_sign(STATEMENT_CANCEL, &claim, &identity->author.signer, room, &id, NULL),
		REFUSED_NOT);
	return SPAN(room->p + from, room->n - from);
}

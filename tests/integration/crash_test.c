/*
 * Requests run while each daemon in turn is killed with SIGKILL at a random moment and started
 * again. At the end every request has ended, the ledger balances, and all that was acknowledged is
 * there; then the audit that says so is shown to find what is planted in copies of the snapshots.
 * ASSAY_SEED repeats the moments, ASSAY_CRASH_S makes it longer.
 */
#include "proto/os/clock.h"
#include "proto/os/entropy.h"
#include "proto/os/file.h"
#include "tests/integration/audit.h"
#include "tests/integration/purchase.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_FLIGHT    8
#define REQUESTS_MAX 8192
#define RUN_S        25 /* of killing */
#define END_MS       150000 /* for all that is open when the killing stops */
#define PAUSE_MAX_MS 500 /* before a kill */
#define PHOTO_EVERY  5
#define DEPOSIT      INT64_C(4000000000)
#define VICTIMS      4

static struct market market;
static struct child *node;
static struct audit audit;
static uint64_t seed;

static int start_all(void **state)
{
	const char *given = getenv("ASSAY_SEED");

	(void)state; /* ignored: one market */
	if (given)
		seed = strtoull(given, NULL, 10);
	else
		entropy_fill(&seed, sizeof(seed));
	printf("ASSAY_SEED=%llu\n", (unsigned long long)seed);
	market_init(&market);
	market_start(&market, 1, NULL, NULL);
	market_start_instrument(&market);
	node = MARKET_NODE(&market, "node", "--camera", "test", "--instrument",
		market.instrument_address, "--captures", "32");
	return 0;
}

static int stop_all(void **state)
{
	(void)state; /* ignored: one market */
	return market_stop(&market);
}

/* xorshift64*: the moments need no more. */
static uint64_t next_random(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * UINT64_C(2685821657736338717);
}

struct shopper {
	assay_t *assay;
	atomic_bool stop;
	char ids[REQUESTS_MAX][ASSAY_ID_SIZE];
	size_t n; /* posted */
	size_t unsure; /* of these not acknowledged: they may never have arrived */
	size_t settled, refunded, lapsed, unknown;
	int64_t paid_micros;
	char error[512];
};

static bool shop_failed(struct shopper *s, const char *what, const char *id, assay_status_t status)
{
	snprintf(s->error, sizeof(s->error), "%s %s: %s: %s", what, id, assay_status_name(status),
		assay_error(s->assay));
	return false;
}

static bool note_end(
	struct shopper *s, const char *id, assay_result_t *result, assay_status_t status)
{
	const char *state = result ? assay_result_state(result) : "";
	const uint8_t *bundle;
	size_t n;

	if (strcmp(state, "SETTLED") == 0) {
		s->settled++;
		s->paid_micros += PURCHASE_TOTAL;
		if (assay_result_bundle(result, &bundle, &n) != ASSAY_OK ||
			assay_verify(bundle, n, NULL) != ASSAY_OK)
			return shop_failed(s, "the bundle does not verify", id, status);
	} else if (strcmp(state, "REFUNDED") == 0) {
		s->refunded++;
	} else if (strcmp(state, "LAPSED") == 0) {
		s->lapsed++;
	} else {
		return shop_failed(s, "an end that is none", id, status);
	}
	return true;
}

static bool await_one(struct shopper *s, const char *id, int32_t timeout_ms)
{
	assay_result_t *result = NULL;
	assay_status_t status = assay_wait(s->assay, id, timeout_ms, &result);
	bool ok = true;

	if (status == ASSAY_TIMEOUT)
		ok = shop_failed(s, "has not ended:", id, status);
	else if (status == ASSAY_UNREACHABLE)
		ok = shop_failed(s, "no answer about", id, status);
	else if (result && strcmp(assay_result_state(result), "") != 0)
		ok = note_end(s, id, result, status);
	else
		s->unknown++;
	assay_result_free(result);
	return ok;
}

/* In a thread of its own, since the one that starts processes must live as long as they do. */
static void *shop(void *arg)
{
	struct shopper *s = arg;
	size_t waited = 0;
	bool ok = true;

	while (ok && !s->stop && s->n < REQUESTS_MAX) {
		assay_buy_options_t want = s->n % PHOTO_EVERY == PHOTO_EVERY - 1
						   ? purchase_photo()
						   : purchase_measurement();
		char *id = s->ids[s->n];

		want.timeout_ms = 10000;
		want.freshness_ms = 0; /* another picture each time */

		assay_status_t status = assay_post(s->assay, &want, id);

		if (id[0])
			s->n++;
		if (status == ASSAY_UNREACHABLE)
			s->unsure++;
		else if (status != ASSAY_OK)
			ok = shop_failed(s, "post", id, status);
		if (ok && s->n - waited >= IN_FLIGHT)
			ok = await_one(s, s->ids[waited++], END_MS);
	}
	while (ok && waited < s->n)
		ok = await_one(s, s->ids[waited++], END_MS);
	return NULL;
}

static void kill_and_restart(unsigned kills[VICTIMS])
{
	struct child *victims[VICTIMS] = { market.escrow, market.broker, market.verifiers[0],
		node };
	const char *seconds = getenv("ASSAY_CRASH_S");
	int64_t until = clock_mono_ns() + (seconds ? atoi(seconds) : RUN_S) * NS_PER_S;
	char dir[MARKET_PATH_MAX];

	while (clock_mono_ns() < until) {
		size_t i = next_random() % VICTIMS;

		/* Not for anything to happen: so that it happens anywhere. */
		poll(NULL, 0, (int)(next_random() % PAUSE_MAX_MS));
		market_check_alive(&market);
		market_snapshot(&market, node, dir);
		if (!audit_collect(&audit, dir))
			fail_msg("%s", audit.complaint);
		market_kill(&market, victims[i], SIGKILL);
		market_restart(&market, victims[i]);
		kills[i]++;
	}
}

static void check_audit(void)
{
	if (!audit_run(&audit))
		fail_msg("%s", audit.complaint);
	printf("audit: %zu requests, %zu settled, %zu transfers, %zu pieces of evidence, "
	       "%zu receipts that the node held, %zu entries\n",
		audit.n_requests, audit.n_settled, audit.n_transfers, audit.n_evidence,
		audit.n_receipts, audit.n_entries);
}

static void test_kill_each(void **state)
{
	static struct shopper shopper;
	unsigned kills[VICTIMS] = { 0 };
	pthread_t thread;

	(void)state; /* ignored: one market */
	market_begin(&market);
	shopper.assay = purchase_open(&market, "buyer");
	purchase_deposit(shopper.assay, DEPOSIT);
	assert_int_equal(pthread_create(&thread, NULL, shop, &shopper), 0);
	kill_and_restart(kills);
	shopper.stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	printf("killed: escrow %u, broker %u, verifier %u, node %u; %zu requests: %zu settled, "
	       "%zu refunded, %zu lapsed, %zu of %zu unsure never arrived\n",
		kills[0], kills[1], kills[2], kills[3], shopper.n, shopper.settled,
		shopper.refunded, shopper.lapsed, shopper.unknown, shopper.unsure);
	if (shopper.error[0])
		fail_msg("%s", shopper.error);
	assert_true(shopper.unknown <= shopper.unsure);
	assert_true(shopper.settled > 0);
	for (size_t i = 0; i < VICTIMS; i++)
		assert_true(kills[i] > 0 || getenv("ASSAY_CRASH_S"));
	assert_int_equal(purchase_balance(shopper.assay, "held"), 0);
	market_snapshot(&market, market.escrow, audit.escrow);
	market_snapshot(&market, market.broker, audit.broker);
	market_snapshot(&market, node, audit.node);
	if (!audit_collect(&audit, audit.node))
		fail_msg("%s", audit.complaint);
	check_audit();
	assert_int_equal(audit.n_settled, shopper.settled);
	assay_close(shopper.assay);
	market_end(&market);
}

struct plant {
	const char *db; /* "broker" */
	const char *sql;
	const char *complaint; /* that it must give */
};

static void copy_db(const char *from_dir, const char *to_dir, const char *name)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	char from[MARKET_PATH_MAX + 32], to[MARKET_PATH_MAX + 32];
	size_t n;

	snprintf(from, sizeof(from), "%s/%s.db", from_dir, name);
	snprintf(to, sizeof(to), "%s/%s.db", to_dir, name);
	assert_int_equal(file_read(from, (size_t)MARKET_FILE_MAX, &bytes, &n), 0);
	assert_int_equal(file_write_durable(to, SPAN(bytes, n), 0600), 0);
}

static void plant_one(const struct plant *p, unsigned number)
{
	struct audit copy = audit;
	char *dir = strcmp(p->db, "broker") == 0   ? copy.broker
		    : strcmp(p->db, "escrow") == 0 ? copy.escrow
						   : copy.node;
	char from[AUDIT_PATH_MAX];
	char name[32], path[AUDIT_PATH_MAX + 32];
	sqlite3 *db = NULL;

	snprintf(name, sizeof(name), "planted-%u", number);
	snprintf(from, sizeof(from), "%s", dir);
	snprintf(dir, AUDIT_PATH_MAX, "%s", market_path(&market, name));
	assert_int_equal(mkdir(dir, 0700), 0);
	copy_db(from, dir, p->db);
	if (strcmp(p->db, "broker") == 0) {
		snprintf(path, sizeof(path), "%s/payloads", from);
		snprintf(name, sizeof(name), "planted-%u/payloads", number);
		assert_int_equal(symlink(path, market_path(&market, name)), 0);
	}
	snprintf(path, sizeof(path), "%s/%s.db", dir, p->db);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, p->sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", p->sql, sqlite3_errmsg(db));
	if (sqlite3_changes(db) == 0)
		fail_msg("this changes nothing: %s", p->sql);
	sqlite3_close(db);
	if (audit_run(&copy))
		fail_msg("the audit does not find: %s", p->sql);
	if (!strstr(copy.complaint, p->complaint))
		fail_msg("%s gives: %s", p->sql, copy.complaint);
}

/* The audit itself must say no. */
static void test_audit_bites(void **state)
{
	static const struct plant plants[] = {
		{ "escrow",
			"UPDATE account SET balance_micros = balance_micros + CASE purpose WHEN 4 THEN 1 ELSE -1 END "
			"WHERE purpose IN (4, 6)",
			"not what its transfers" },
		{ "escrow",
			"DROP TRIGGER transfer_is_kept; DELETE FROM transfer WHERE seq = (SELECT max(seq) / 2 FROM transfer)",
			"transfers come to" },
		{ "escrow",
			"UPDATE slot SET state = 5 WHERE request = (SELECT max(request) FROM slot)",
			"has not ended" },
		{ "escrow",
			"DELETE FROM statement WHERE kind = 15 AND seq = (SELECT max(seq) FROM statement WHERE kind = 15)",
			"no settlement" },
		{ "broker",
			"UPDATE slot SET state = 3 WHERE request = (SELECT max(request) FROM slot)",
			"has not ended" },
		{ "broker",
			"UPDATE slot SET state = 19 WHERE request = (SELECT max(request) FROM slot WHERE state = 18)",
			"do not agree" },
		{ "broker",
			"DELETE FROM statement WHERE kind = 11 AND seq = (SELECT min(seq) FROM statement WHERE kind = 11)",
			"not there" },
		{ "broker",
			"DELETE FROM entry WHERE log_index = (SELECT max(log_index) FROM entry)",
			"" },
		{ "broker", "DELETE FROM entry WHERE log_index = 0", "gap" },
		{ "broker", "DELETE FROM payload", "lost its payload" },
		{ "broker", "UPDATE entry SET type = 3 WHERE log_index = 0", "the log" },
		{ "node",
			"UPDATE result SET amount_micros = amount_micros + 1 WHERE amount_micros > 0",
			"did not transfer" },
	};

	(void)state; /* ignored: one market */
	market_begin(&market);
	assert_true(audit.n_receipts > 0);
	for (unsigned i = 0; i < ARRAY_SIZE(plants); i++)
		plant_one(&plants[i], i);
	market_end(&market);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_each),
		cmocka_unit_test(test_audit_bites),
	};

	return cmocka_run_group_tests(tests, start_all, stop_all);
}

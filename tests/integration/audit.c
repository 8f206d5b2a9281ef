#include "tests/integration/audit.h"

#include "proto/base/text.h"
#include "proto/statement/statement.h"
#include "proto/tlog/checkpoint.h"
#include "proto/tlog/entry.h"
#include "proto/tlog/merkle.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define TREE_HEIGHT 64

/* Each gives a row for what is wrong: its first column says which. */
static const struct rule {
	const char *what;
	const char *sql;
} escrow_rules[] = {
	{ "the balances do not add up to nothing",
		"SELECT asset FROM account GROUP BY asset HAVING sum(balance_micros) <> 0" },
	{ "a balance is negative",
		"SELECT hex(id) FROM account WHERE purpose <> 6 AND balance_micros < 0" },
	{ "a balance is not what its transfers come to",
		"SELECT hex(owner) || ' purpose ' || purpose FROM account a WHERE balance_micros <> "
		"coalesce((SELECT sum(amount_micros) FROM transfer t WHERE t.credit = a.owner AND "
		"t.credit_purpose = a.purpose AND t.asset = a.asset), 0) - "
		"coalesce((SELECT sum(amount_micros) FROM transfer t WHERE t.debit = a.owner AND "
		"t.debit_purpose = a.purpose AND t.asset = a.asset), 0)" },
	{ "a transfer names no account",
		"SELECT t.seq FROM transfer t WHERE NOT EXISTS (SELECT 1 FROM account a WHERE "
		"a.owner = t.debit AND a.purpose = t.debit_purpose AND a.asset = t.asset) OR NOT EXISTS "
		"(SELECT 1 FROM account a WHERE a.owner = t.credit AND a.purpose = t.credit_purpose AND "
		"a.asset = t.asset)" },
	{ "a transfer is missing",
		"SELECT count(*) FROM transfer HAVING count(*) <> coalesce(max(seq), 0)" },
	{ "money is still held",
		"SELECT hex(owner) FROM account WHERE purpose = 2 AND balance_micros <> 0" },
	{ "a request does not give back all that was held for it",
		"SELECT hex(request) FROM transfer WHERE debit_purpose = 2 OR credit_purpose = 2 "
		"GROUP BY request HAVING sum(CASE WHEN credit_purpose = 2 THEN amount_micros ELSE 0 END) <> "
		"sum(CASE WHEN debit_purpose = 2 THEN amount_micros ELSE 0 END)" },
	{ "a slot has not ended",
		"SELECT hex(request) || ' state ' || state FROM slot WHERE state NOT IN (18, 19, 20)" },
	{ "a request was settled twice",
		"SELECT hex(request) FROM statement WHERE kind = 15 GROUP BY request HAVING count(*) > 1" },
	{ "a hold was signed twice",
		"SELECT hex(request) FROM statement WHERE kind = 5 GROUP BY request HAVING count(*) > 1" },
	{ "a hold has no settlement",
		"SELECT hex(request) FROM statement h WHERE kind = 5 AND NOT EXISTS (SELECT 1 FROM "
		"statement s WHERE s.kind = 15 AND s.request = h.request)" },
};

static const struct rule broker_rules[] = {
	{ "a slot has not ended",
		"SELECT hex(request) || ' state ' || state FROM slot WHERE state NOT IN (18, 19, 20)" },
	{ "a request is still open", "SELECT hex(request) FROM open_request" },
	{ "the log has a gap",
		"SELECT count(*) FROM entry HAVING count(*) > 0 AND count(*) <> max(log_index) + 1" },
	{ "a statement is in the log twice",
		"SELECT hex(id) FROM entry GROUP BY type, id HAVING count(*) > 1" },
	{ "the log names evidence that is not there",
		"SELECT hex(id) FROM entry e WHERE type = 1 AND NOT EXISTS (SELECT 1 FROM statement s "
		"WHERE s.id = e.id AND s.kind = 11)" },
};

/* With the escrow's snapshot attached as `escrow`, the node's as `node`. */
static const struct rule joint_rules[] = {
	{ "broker and escrow do not agree how a request ended",
		"SELECT hex(b.request) || ' ' || b.state || ' and ' || e.state FROM main.slot b JOIN "
		"escrow.slot e USING (request) WHERE b.state <> e.state AND b.state <> 20" },
	{ "the escrow's settlement is not at the broker",
		"SELECT hex(s.request) FROM escrow.statement s JOIN main.slot b USING (request) WHERE "
		"s.kind = 15 AND b.state <> 20 AND NOT EXISTS (SELECT 1 FROM main.statement t WHERE t.id = s.id)" },
	{ "a node was paid for evidence that the broker does not have",
		"SELECT hex(r.evidence) FROM node.result r WHERE r.amount_micros > 0 AND NOT EXISTS "
		"(SELECT 1 FROM main.statement s WHERE s.id = r.evidence AND s.kind = 11)" },
	{ "a node was paid what the escrow did not transfer",
		"SELECT hex(r.request) FROM node.result r WHERE r.amount_micros > 0 AND NOT EXISTS "
		"(SELECT 1 FROM escrow.transfer t WHERE t.request = r.request AND "
		"t.amount_micros = r.amount_micros AND t.debit_purpose = 2 AND t.credit_purpose = 1)" },
};

_printf_(2, 3) static bool complain(struct audit *audit, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(audit->complaint, sizeof(audit->complaint), format, ap);
	va_end(ap);
	return false;
}

static void sqlite3_closep(sqlite3 **db)
{
	sqlite3_close(*db);
}

static void finalizep(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}

static bool open_db(struct audit *audit, const char *dir, const char *name, sqlite3 **ret_db)
{
	char path[AUDIT_PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		return complain(audit, "%s: %s", path, sqlite3_errmsg(*ret_db));
	return true;
}

static bool prepare(struct audit *audit, sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
	if (sqlite3_prepare_v2(db, sql, -1, ret, NULL) != SQLITE_OK)
		return complain(audit, "%s: %s", sql, sqlite3_errmsg(db));
	return true;
}

static bool check_rules(
	struct audit *audit, sqlite3 *db, const char *whose, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(finalizep) sqlite3_stmt *s = NULL;
		int r;

		if (!prepare(audit, db, rules[i].sql, &s))
			return false;
		r = sqlite3_step(s);
		if (r == SQLITE_ROW)
			return complain(audit, "%s: %s: %s", whose, rules[i].what,
				(const char *)sqlite3_column_text(s, 0));
		if (r != SQLITE_DONE)
			return complain(audit, "%s: %s", rules[i].sql, sqlite3_errmsg(db));
	}
	return true;
}

static bool count(struct audit *audit, sqlite3 *db, const char *sql, size_t *ret_n)
{
	_cleanup_(finalizep) sqlite3_stmt *s = NULL;

	if (!prepare(audit, db, sql, &s))
		return false;
	if (sqlite3_step(s) != SQLITE_ROW)
		return complain(audit, "%s: %s", sql, sqlite3_errmsg(db));
	*ret_n = (size_t)sqlite3_column_int64(s, 0);
	return true;
}

static bool column_id(sqlite3_stmt *s, int column, struct id *ret_id)
{
	if (sqlite3_column_bytes(s, column) != 32)
		return false;
	memcpy(ret_id->b, sqlite3_column_blob(s, column), 32);
	return true;
}

static struct span column_span(sqlite3_stmt *s, int column)
{
	return SPAN(sqlite3_column_blob(s, column), (size_t)sqlite3_column_bytes(s, column));
}

bool audit_collect(struct audit *audit, const char *node_dir)
{
	_cleanup_(sqlite3_closep) sqlite3 *db = NULL;
	_cleanup_(finalizep) sqlite3_stmt *s = NULL;

	if (!open_db(audit, node_dir, "node.db", &db) ||
		!prepare(audit, db,
			"SELECT assignment, answer, digest FROM assignment WHERE state = 3", &s))
		return false;
	while (sqlite3_step(s) == SQLITE_ROW) {
		struct audit_receipt *receipt = &audit->receipts[audit->n_receipts];
		bool known = false;

		if (audit->n_receipts == AUDIT_EVIDENCE_MAX ||
			!column_id(s, 0, &receipt->assignment) ||
			!column_id(s, 1, &receipt->evidence) || !column_id(s, 2, &receipt->digest))
			return complain(audit, "%s: an assignment is malformed", node_dir);
		for (size_t i = 0; i < audit->n_receipts && !known; i++)
			known = id_eq(&audit->receipts[i].evidence, &receipt->evidence);
		audit->n_receipts += !known;
	}
	return true;
}

static bool has_row(struct audit *audit, sqlite3 *db, const char *sql, const struct id *id)
{
	_cleanup_(finalizep) sqlite3_stmt *s = NULL;

	return prepare(audit, db, sql, &s) &&
	       sqlite3_bind_blob(s, 1, id->b, 32, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_step(s) == SQLITE_ROW;
}

static bool has_payload(struct audit *audit, sqlite3 *db, const char *dir, const struct id *digest)
{
	char text[ID_TEXT_MAX];
	char path[AUDIT_PATH_MAX + ID_TEXT_MAX + 32];

	id_text(digest, text);
	snprintf(path, sizeof(path), "%s/payloads/%.2s/%s", dir, text, text);
	return access(path, R_OK) == 0 ||
	       has_row(audit, db, "SELECT 1 FROM payload WHERE digest = ?1", digest);
}

static bool check_receipts(struct audit *audit, sqlite3 *broker)
{
	for (size_t i = 0; i < audit->n_receipts; i++) {
		const struct audit_receipt *r = &audit->receipts[i];
		char id[ID_TEXT_MAX];

		id_text(&r->evidence, id);
		if (!has_row(audit, broker, "SELECT 1 FROM statement WHERE id = ?1 AND kind = 11",
			    &r->evidence))
			return complain(
				audit, "evidence with a receipt is not at the broker: %s", id);
		if (!has_row(audit, broker, "SELECT 1 FROM entry WHERE id = ?1 AND type = 1",
			    &r->evidence))
			return complain(audit, "evidence with a receipt is not in the log: %s", id);
		if (!has_payload(audit, broker, audit->broker, &r->digest))
			return complain(
				audit, "evidence with a receipt has lost its payload: %s", id);
	}
	return true;
}

/* RFC 9162, 2.1.1, from all leaves at once: a stack of complete subtrees, joined from the right. */
static bool check_log(struct audit *audit, sqlite3 *db)
{
	_cleanup_(finalizep) sqlite3_stmt *entries = NULL;
	_cleanup_(finalizep) sqlite3_stmt *log = NULL;
	struct id stack[TREE_HEIGHT];
	struct checkpoint checkpoint;
	size_t n_stack = 0;

	if (!prepare(audit, db, "SELECT type, id FROM entry ORDER BY log_index", &entries) ||
		!prepare(audit, db, "SELECT checkpoint FROM log", &log))
		return false;
	audit->n_entries = 0;
	while (sqlite3_step(entries) == SQLITE_ROW) {
		struct entry entry = { .type = (enum entry_type)sqlite3_column_int(entries, 0) };

		if (!column_id(entries, 1, &entry.id))
			return complain(audit, "an entry of the log is malformed");
		stack[n_stack++] = entry_leaf(&entry);
		for (size_t n = ++audit->n_entries; n % 2 == 0; n /= 2, n_stack--)
			stack[n_stack - 2] = merkle_node(&stack[n_stack - 2], &stack[n_stack - 1]);
	}
	for (; n_stack > 1; n_stack--)
		stack[n_stack - 2] = merkle_node(&stack[n_stack - 2], &stack[n_stack - 1]);
	if (n_stack == 0)
		stack[0] = merkle_empty();
	if (sqlite3_step(log) != SQLITE_ROW)
		return audit->n_entries == 0 || complain(audit, "the log has no checkpoint");

	struct span note = column_span(log, 0);
	const uint8_t *end = memmem(note.p, note.n, "\n\n", 2);

	if (!end || checkpoint_parse(SPAN(note.p, (size_t)(end - note.p) + 1), &checkpoint) !=
			    REFUSED_NOT)
		return complain(audit, "the log's checkpoint is malformed");
	if (checkpoint.size != audit->n_entries || !id_eq(&checkpoint.root, &stack[0]))
		return complain(audit, "the log's entries do not give its checkpoint's root");
	return true;
}

struct pieces {
	struct audit_receipt of[AUDIT_EVIDENCE_MAX];
	size_t n;
};

static bool add_evidence(struct audit *audit, sqlite3 *db, const char *dir, struct pieces *pieces)
{
	_cleanup_(finalizep) sqlite3_stmt *s = NULL;
	struct statement statement;

	if (!prepare(audit, db, "SELECT bytes, id FROM statement WHERE kind = 11", &s))
		return false;
	while (sqlite3_step(s) == SQLITE_ROW) {
		struct id id;
		size_t i = 0;

		if (statement_decode(column_span(s, 0), &statement, NULL) != REFUSED_NOT ||
			!column_id(s, 1, &id) || !id_eq(&id, &statement.id))
			return complain(audit, "%s: evidence that is none", dir);
		while (i < pieces->n &&
			!id_eq(&pieces->of[i].assignment, &statement.body.evidence.assignment))
			i++;
		if (i == AUDIT_EVIDENCE_MAX)
			return complain(audit, "too much evidence for this audit");
		if (i < pieces->n && !id_eq(&pieces->of[i].evidence, &id))
			return complain(audit, "%s: other evidence for the same assignment", dir);
		if (i == pieces->n)
			pieces->of[pieces->n++] = (struct audit_receipt){
				.assignment = statement.body.evidence.assignment,
				.evidence = id,
			};
	}
	return true;
}

static bool check_evidence(struct audit *audit, sqlite3 *broker, sqlite3 *escrow, sqlite3 *node)
{
	static struct pieces pieces;

	pieces.n = 0;
	if (!add_evidence(audit, broker, audit->broker, &pieces) ||
		!add_evidence(audit, escrow, audit->escrow, &pieces) ||
		!add_evidence(audit, node, audit->node, &pieces))
		return false;
	audit->n_evidence = pieces.n;
	return true;
}

static bool attach(struct audit *audit, sqlite3 *db, const char *dir, const char *name)
{
	char sql[AUDIT_PATH_MAX + 64];
	int n = snprintf(sql, sizeof(sql), "ATTACH '%s/%s.db' AS %s", dir, name, name);

	if (n < 0 || (size_t)n >= sizeof(sql) ||
		sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return complain(audit, "%s: %s", sql, sqlite3_errmsg(db));
	return true;
}

bool audit_run(struct audit *audit)
{
	_cleanup_(sqlite3_closep) sqlite3 *escrow = NULL;
	_cleanup_(sqlite3_closep) sqlite3 *broker = NULL;
	_cleanup_(sqlite3_closep) sqlite3 *node = NULL;

	audit->complaint[0] = '\0';
	return open_db(audit, audit->escrow, "escrow.db", &escrow) &&
	       open_db(audit, audit->broker, "broker.db", &broker) &&
	       open_db(audit, audit->node, "node.db", &node) &&
	       check_rules(audit, escrow, "escrow", escrow_rules, ARRAY_SIZE(escrow_rules)) &&
	       check_rules(audit, broker, "broker", broker_rules, ARRAY_SIZE(broker_rules)) &&
	       check_receipts(audit, broker) && check_log(audit, broker) &&
	       check_evidence(audit, broker, escrow, node) &&
	       attach(audit, broker, audit->escrow, "escrow") &&
	       attach(audit, broker, audit->node, "node") &&
	       check_rules(audit, broker, "all", joint_rules, ARRAY_SIZE(joint_rules)) &&
	       count(audit, escrow, "SELECT count(*) FROM transfer", &audit->n_transfers) &&
	       count(audit, broker, "SELECT count(*) FROM slot", &audit->n_requests) &&
	       count(audit, broker, "SELECT count(*) FROM slot WHERE state = 18",
		       &audit->n_settled);
}

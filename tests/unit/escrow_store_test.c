/* The escrow's SQL: what the core puts is what it gets back, and money's rows cannot be changed. */
#include "tests/unit/escrow_world.h"

#include "escrow_sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct disk {
	struct world w;
	char dir[64];
	char path[80];
	struct db *db;
};

static int setup(void **state)
{
	struct disk *d = calloc(1, sizeof(*d));

	if (!d)
		return -1;
	world_init(&d->w);
	snprintf(d->dir, sizeof(d->dir), "/tmp/escrow_store_test.XXXXXX");
	if (!mkdtemp(d->dir))
		return -1;
	snprintf(d->path, sizeof(d->path), "%s/db", d->dir);
	*state = d;
	return db_open(d->path, &escrow_sql, &d->db);
}

static int teardown(void **state)
{
	struct disk *d = *state;
	char path[96];

	db_free(d->db);
	world_deinit(&d->w);
	for (const char *const *end = (const char *const[]){ "", "-wal", "-shm", NULL }; *end;
		end++) {
		snprintf(path, sizeof(path), "%s%s", d->path, *end);
		unlink(path);
	}
	rmdir(d->dir);
	free(d);
	return 0;
}

static size_t statement_of(const struct disk *d, const char *verb, uint16_t table)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%s", verb, escrow_ops.tables[table].name);

	int at = db_find(d->db, SPAN_STR(name));

	return at < 0 ? SIZE_MAX : (size_t)at;
}

static void play(struct world *w)
{
	struct deal d;

	world_deposit(w, &w->m.buyer, 10 * MARKET_PRICE);
	deal_init(w, &d);
	deal_verify(w, &d);
	deal_vote(w, &d, 0, CHECK_PASS);
	deal_init(w, &d);
	d.plain = "another one";
	deal_verify(w, &d); /* stays open, with its proof */
}

static void put_all(struct disk *d)
{
	for (uint16_t table = ESCROW_TABLE_ACCOUNT; table < ESCROW_TABLES; table++) {
		size_t put = statement_of(d, "replace", table);

		if (put == SIZE_MAX)
			put = statement_of(d, "insert", table);
		assert_true(put != SIZE_MAX);
		for (size_t i = 0; i < d->w.n_rows; i++)
			if (d->w.rows[i].table == table)
				assert_int_equal(
					db_exec_row(d->db, put, d->w.rows[i].cells, d->w.rows[i].n),
					0);
	}
}

static void test_rows_come_back(void **state)
{
	struct disk *d = *state;
	struct escrow *e = NULL;
	struct db_rows rows;

	play(&d->w);
	put_all(d);
	db_free(d->db);
	d->db = NULL;
	assert_int_equal(db_open(d->path, &escrow_sql, &d->db), 0);
	assert_int_equal(escrow_new(&d->w.config, &e), 0);
	for (uint16_t table = ESCROW_TABLE_ACCOUNT; table < ESCROW_TABLES; table++) {
		size_t n = 0;

		assert_true(world_count(&d->w, table) > 0);
		assert_int_equal(
			db_query(d->db, statement_of(d, "load", table), NULL, 0, &rows), 0);
		while (db_rows_next(&rows) == 1) {
			struct row row = { .table = table, .n = (uint8_t)rows.n_columns };

			assert_int_equal(rows.n_columns, escrow_ops.tables[table].n_cells);
			memcpy(row.cells, rows.columns, row.n * sizeof(row.cells[0]));
			assert_int_equal(escrow_ops.load(e, &row), 0);
			n++;
		}
		db_rows_deinit(&rows);
		assert_int_equal(n, world_count(&d->w, table));
	}
	escrow_free(d->w.escrow);
	d->w.escrow = e;

	struct event event = { .type = EVENT_START };

	world_event(&d->w, &event); /* and its invariants hold */
}

static void test_deletes(void **state)
{
	struct disk *d = *state;

	play(&d->w);
	put_all(d);
	for (uint16_t table = ESCROW_TABLE_ACCOUNT; table < ESCROW_TABLES; table++) {
		size_t forget = statement_of(d, "delete", table);

		if (forget == SIZE_MAX)
			continue;
		for (size_t i = 0; i < d->w.n_rows; i++)
			if (d->w.rows[i].table == table)
				assert_int_equal(db_exec_row(d->db, forget, d->w.rows[i].cells,
							 escrow_ops.tables[table].n_key),
					0);
	}
	/* Money's rows have no way to be deleted or replaced. */
	assert_true(statement_of(d, "delete", ESCROW_TABLE_TRANSFER) == SIZE_MAX);
	assert_true(statement_of(d, "replace", ESCROW_TABLE_TRANSFER) == SIZE_MAX);
	assert_true(statement_of(d, "delete", ESCROW_TABLE_ACCOUNT) == SIZE_MAX);
}

static void test_constraints(void **state)
{
	struct disk *d = *state;
	struct world_row account = { 0 };
	struct world_row transfer = { 0 };

	play(&d->w);
	put_all(d);
	for (size_t i = 0; i < d->w.n_rows; i++) {
		if (d->w.rows[i].table == ESCROW_TABLE_TRANSFER)
			transfer = d->w.rows[i];
		if (d->w.rows[i].table == ESCROW_TABLE_ACCOUNT &&
			d->w.rows[i].cells[2].i == ACCOUNT_AVAILABLE)
			account = d->w.rows[i];
	}
	assert_int_equal(db_exec_row(d->db, statement_of(d, "insert", ESCROW_TABLE_TRANSFER),
				 transfer.cells, transfer.n),
		-EEXIST);
	transfer.cells[0].i += 1000;
	transfer.cells[9].i = 0;
	assert_int_equal(db_exec_row(d->db, statement_of(d, "insert", ESCROW_TABLE_TRANSFER),
				 transfer.cells, transfer.n),
		-EDOM);
	account.cells[4].i = -1;
	assert_int_equal(db_exec_row(d->db, statement_of(d, "replace", ESCROW_TABLE_ACCOUNT),
				 account.cells, account.n),
		-EDOM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rows_come_back),
		TEST(test_deletes),
		TEST(test_constraints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

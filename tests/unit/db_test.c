#include "dbtest_sql.h"
#include "proto/base/text.h"
#include "proto/db/blob.h"
#include "proto/db/db.h"
#include "proto/os/file.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "proto/base/sha256.h"

static char dir[32];
static char path[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/assay-db-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/test.db", dir);
	return 0;
}

static int remove_one(const char *name, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(name);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct db *open_db(void)
{
	struct db *db = NULL;

	assert_int_equal(db_open(path, &dbtest_sql, &db), 0);
	return db;
}

static int add_account(struct db *db, int64_t id, const char *name, int64_t balance)
{
	const struct cell cells[] = { cell_int(id), cell_text(SPAN_STR(name)), cell_int(balance) };

	return db_exec_row(db, DBTEST_SQL_INSERT_ACCOUNT, cells, 3);
}

static int64_t one_int(struct db *db, size_t statement)
{
	struct db_rows rows;
	int64_t value;

	assert_int_equal(db_query(db, statement, NULL, 0, &rows), 0);
	assert_int_equal(db_rows_next(&rows), 1);
	assert_int_equal(rows.columns[0].type, CELL_INT);
	value = rows.columns[0].i;
	assert_int_equal(db_rows_next(&rows), 0);
	db_rows_deinit(&rows);
	return value;
}

static bool one_text_is(struct db *db, size_t statement, const char *text)
{
	struct db_rows rows;
	bool is;

	assert_int_equal(db_query(db, statement, NULL, 0, &rows), 0);
	assert_int_equal(db_rows_next(&rows), 1);
	is = rows.columns[0].type == CELL_TEXT && span_is(rows.columns[0].b, text);
	db_rows_deinit(&rows);
	return is;
}

static void test_rows_survive(void **state)
{
	struct cell from = cell_int(2);
	struct db_rows rows;
	struct db *db = open_db();

	(void)state;
	assert_true(one_text_is(db, DBTEST_SQL_JOURNAL_MODE, "wal"));
	assert_true(one_text_is(db, DBTEST_SQL_LOCKING_MODE, "exclusive"));
	assert_int_equal(one_int(db, DBTEST_SQL_SYNCHRONOUS), 2);

	assert_int_equal(db_begin(db), 0);
	assert_int_equal(db_begin(db), -EINVAL);
	assert_int_equal(add_account(db, 1, "ann", 10), 0);
	assert_int_equal(add_account(db, 2, "", INT64_MAX), 0);
	assert_int_equal(db_commit(db), 0);
	assert_int_equal(db_commit(db), -EINVAL);
	assert_int_equal(db_begin(db), 0);
	assert_int_equal(add_account(db, 3, "gone", 1), 0);
	assert_int_equal(db_rollback(db), 0);
	assert_int_equal(db_rollback(db), 0);
	assert_int_equal(db_commits(db), 1);
	db_free(db);

	db = open_db();
	assert_int_equal(db_query(db, DBTEST_SQL_ACCOUNTS, &from, 1, &rows), 0);
	assert_int_equal(db_rows_next(&rows), 1);
	assert_int_equal(rows.n_columns, 6);
	assert_int_equal(rows.columns[0].i, 2);
	assert_int_equal(rows.columns[1].type, CELL_TEXT);
	assert_int_equal(rows.columns[1].b.n, 0);
	assert_true(rows.columns[2].i == INT64_MAX);
	assert_int_equal(rows.columns[3].type, CELL_NULL);
	assert_int_equal(rows.columns[4].type, CELL_BLOB);
	assert_true(span_eq(rows.columns[4].b, SPAN("\x00\xff", 2)));
	assert_true(span_is(rows.columns[5].b, "a\"b\\c"));
	assert_int_equal(db_rows_next(&rows), 0);
	assert_int_equal(db_rows_next(&rows), 0);
	db_rows_deinit(&rows);
	db_free(db);
}

static void test_constraints_have_names(void **state)
{
	struct cell cells[] = { cell_int(1), cell_int(-1), cell_null() };
	struct db_rows rows, again;
	int64_t changes = -1;
	struct db *db = open_db();

	(void)state;
	assert_int_equal(add_account(db, 1, "ann", 10), 0);
	assert_int_equal(add_account(db, 1, "bob", 10), -EEXIST);
	assert_int_equal(add_account(db, 2, "ann", 10), -EEXIST);
	assert_int_equal(add_account(db, 2, "bob", -1), -EDOM);
	assert_int_equal(db_exec_row(db, DBTEST_SQL_UPDATE_BALANCE, cells, 2), -EDOM);
	cells[0].i = 9;
	cells[1] = cell_blob(SPAN_STR("x"));
	assert_int_equal(db_exec_row(db, DBTEST_SQL_INSERT_ENTRY, cells, 2), -ENOENT);
	cells[1] = cell_int(5);
	assert_int_equal(db_exec_row(db, DBTEST_SQL_UPDATE_BALANCE, cells, 2), -ENOENT);
	assert_int_equal(db_exec(db, DBTEST_SQL_UPDATE_BALANCE, cells, 2, &changes), 0);
	assert_int_equal(changes, 0);
	cells[0].i = 1;
	assert_int_equal(db_exec(db, DBTEST_SQL_UPDATE_BALANCE, cells, 2, &changes), 0);
	assert_int_equal(changes, 1);

	assert_int_equal(db_exec_row(db, DBTEST_SQL_UPDATE_BALANCE, cells, 1), -EINVAL);
	assert_int_equal(db_exec_row(db, DBTEST_SQL_UPDATE_BALANCE, cells, 3), -EINVAL);
	assert_int_equal(db_exec_row(db, DBTEST_SQL_N, NULL, 0), -EINVAL);
	assert_int_equal(db_query(db, DBTEST_SQL_A_FLOAT, NULL, 0, &rows), 0);
	assert_int_equal(db_rows_next(&rows), -EDOM);
	db_rows_deinit(&rows);

	assert_int_equal(db_query(db, DBTEST_SQL_COUNT_ENTRIES, NULL, 0, &rows), 0);
	assert_int_equal(db_rows_next(&rows), 1);
	assert_int_equal(db_query(db, DBTEST_SQL_COUNT_ENTRIES, NULL, 0, &again), -EBUSY);
	db_rows_deinit(&rows);
	assert_int_equal(one_int(db, DBTEST_SQL_COUNT_ENTRIES), 0);

	assert_int_equal(db_find(db, SPAN_STR("insert_entry")), DBTEST_SQL_INSERT_ENTRY);
	assert_int_equal(db_find(db, SPAN_STR("drop_all")), -ENOENT);
	db_free(db);
}

static void test_migrations(void **state)
{
	static const char *const broken[] = { NULL, NULL,
		"CREATE TABLE t (a INT); CREATE TABL x;" };
	static const struct db_statement two[] = { { "two", "SELECT 1; SELECT 2" } };
	const char *const three[] = { dbtest_sql.migrations[0], dbtest_sql.migrations[1],
		broken[2] };
	struct db_sql old = dbtest_sql, other = dbtest_sql, wrong = dbtest_sql;
	struct db *db = NULL, *none = NULL;

	(void)state;
	old.n_migrations = 1;
	old.n_statements = 1;
	assert_int_equal(db_open(path, &old, &db), 0);
	assert_int_equal(add_account(db, 1, "ann", 10), 0);
	db_free(db);

	db = open_db();
	assert_int_equal(add_account(db, 1, "ann", 10), -EEXIST);
	assert_int_equal(one_int(db, DBTEST_SQL_COUNT_ENTRIES), 0);
	db_free(db);

	assert_int_equal(db_open(path, &old, &none), -EPROTONOSUPPORT);
	other.application_id++;
	assert_int_equal(db_open(path, &other, &none), -EMEDIUMTYPE);
	wrong.migrations = three;
	wrong.n_migrations = 3;
	assert_int_equal(db_open(path, &wrong, &none), -EINVAL);
	wrong = dbtest_sql;
	wrong.statements = two;
	wrong.n_statements = 1;
	assert_int_equal(db_open(path, &wrong, &none), -EINVAL);
	assert_int_equal(db_open_vfs(path, &dbtest_sql, "nosuch", &none), -ENODEV);
	assert_null(none);
	/* The broken migration left nothing behind. */
	db = open_db();
	assert_int_equal(db_open(path, &dbtest_sql, &none), -EBUSY);
	db_free(db);
}

static void test_full_disk(void **state)
{
	static const uint8_t block[3000];
	struct cell cells[] = { cell_int(1), cell_blob(SPAN(block, sizeof(block))) };
	struct db *db = open_db();
	int64_t n = 0;
	int r = 0;

	(void)state;
	assert_int_equal(add_account(db, 1, "ann", 10), 0);
	assert_int_equal(one_int(db, DBTEST_SQL_LIMIT_PAGES), 40);
	for (; r == 0 && n < 100; n += r == 0) {
		assert_int_equal(db_begin(db), 0);
		r = db_exec_row(db, DBTEST_SQL_INSERT_ENTRY, cells, 2);
		if (r == 0)
			assert_int_equal(db_commit(db), 0);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(db_rollback(db), 0);
	assert_int_equal(one_int(db, DBTEST_SQL_COUNT_ENTRIES), n);
	db_free(db);
}

static void test_disk_error(void **state)
{
	static const uint8_t block[30000];
	struct cell cells[] = { cell_int(1), cell_blob(SPAN(block, sizeof(block))) };
	struct rlimit before, small = { .rlim_cur = 100000 };
	struct db *db = open_db();
	int64_t n = 0;
	int r = 0;

	(void)state;
	assert_int_equal(add_account(db, 1, "ann", 10), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (; r == 0 && n < 100; n += r == 0)
		r = db_exec_row(db, DBTEST_SQL_INSERT_ENTRY, cells, 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, -EIO);
	db_free(db);
	db = open_db();
	assert_int_equal(one_int(db, DBTEST_SQL_COUNT_ENTRIES), n);
	db_free(db);
}

static void test_not_a_database(void **state)
{
	static const uint8_t garbage[8192] = "this is no database at all, but a long enough file";
	struct db *none = NULL;
	struct db *db;
	int fd;

	(void)state;
	assert_int_equal(file_write_durable(path, SPAN(garbage, sizeof(garbage)), 0600), 0);
	assert_int_equal(db_open(path, &dbtest_sql, &none), -EBADMSG);
	assert_int_equal(unlink(path), 0);

	db = open_db();
	db_free(db);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	/* Page 1 after its 100-byte header: the root of the schema. */
	assert_int_equal(pwrite(fd, garbage, 1000, 100), 1000);
	close(fd);
	assert_int_equal(db_open(path, &dbtest_sql, &none), -EUCLEAN);
	assert_int_equal(db_open("/nonexistent/x.db", &dbtest_sql, &none), -ENOENT);
	assert_null(none);
}

static void test_snapshot(void **state)
{
	static const uint8_t block[1 << 20];
	struct cell cells[] = { cell_int(1), cell_blob(SPAN(block, sizeof(block))) };
	struct db_snapshot *snapshot = NULL;
	struct db *db = open_db(), *copy = NULL;
	char dest[64], file[80], part[96];
	struct stat st;

	(void)state;
	snprintf(dest, sizeof(dest), "%s/copy", dir);
	snprintf(file, sizeof(file), "%s/test.db", dest);
	snprintf(part, sizeof(part), "%s.part", file);
	assert_int_equal(db_snapshot(db, dest), -ENOENT);
	assert_int_equal(mkdir(dest, 0700), 0);
	assert_int_equal(db_snapshot(db, dir), -EINVAL);

	assert_int_equal(add_account(db, 1, "ann", 10), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(db_exec_row(db, DBTEST_SQL_INSERT_ENTRY, cells, 2), 0);
	assert_int_equal(db_snapshot_new(db, dest, &snapshot), 0);
	assert_int_equal(db_snapshot_step(snapshot), 1);
	assert_int_equal(db_begin(db), 0);
	assert_int_equal(add_account(db, 2, "between", 20), 0);
	assert_int_equal(db_snapshot_step(snapshot), -EBUSY);
	assert_int_equal(db_commit(db), 0);
	assert_int_equal(stat(file, &st), -1);
	assert_int_equal(stat(part, &st), 0);
	while (db_snapshot_step(snapshot) == 1)
		;
	assert_int_equal(db_snapshot_step(snapshot), -EINVAL);
	db_snapshot_free(snapshot);

	assert_int_equal(stat(part, &st), -1);
	assert_int_equal(db_open(file, &dbtest_sql, &copy), 0);
	assert_int_equal(one_int(copy, DBTEST_SQL_COUNT_ENTRIES), 6);
	assert_int_equal(add_account(copy, 2, "x", 0), -EEXIST);
	db_free(copy);

	/* One that is given up leaves the earlier one alone. */
	assert_int_equal(db_snapshot_new(db, dest, &snapshot), 0);
	assert_int_equal(db_snapshot_step(snapshot), 1);
	db_snapshot_free(snapshot);
	assert_int_equal(stat(part, &st), -1);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(db_snapshot(db, dest), 0);
	db_free(db);
}

static struct blob_store *open_store(void)
{
	struct blob_store *store = NULL;

	assert_int_equal(blob_open(path, &store), 0);
	return store;
}

static struct blob_write *write_some(struct blob_store *store, const char *text)
{
	struct blob_write *w = NULL;

	assert_int_equal(blob_write_new(store, 100, &w), 0);
	for (; *text; text++)
		assert_int_equal(blob_write_append(w, SPAN(text, 1)), 0);
	return w;
}

static size_t n_incoming(void)
{
	char name[96];
	struct stat st;

	snprintf(name, sizeof(name), "%s/incoming", path);
	assert_int_equal(stat(name, &st), 0);
	/* Each file has one link; directories are not made there. Count by trying to remove it. */
	return rmdir(name) == 0 ? mkdir(name, 0700) != 0 : 1;
}

static void test_blob_round_trip(void **state)
{
	_cleanup_(blob_freep) struct blob_store *store = open_store();
	struct id digest = SHA256(SPAN_STR("hello")), none = SHA256(SPAN_STR("none"));
	_cleanup_(closep) int fd = -EBADF;
	struct blob_write *w;
	uint64_t size = 0;
	char buf[8] = { 0 };
	size_t n = 9;

	(void)state;
	for (int i = 0; i < 2; i++) {
		w = write_some(store, "hello");
		assert_int_equal(blob_write_size(w), 5);
		assert_int_equal(blob_exists(store, &digest), i);
		assert_int_equal(blob_write_finish(w, &digest, 5), 0);
		assert_int_equal(blob_write_append(w, SPAN_STR("x")), -EINVAL);
		assert_int_equal(blob_write_finish(w, &digest, 5), -EINVAL);
		blob_write_free(w);
	}
	assert_int_equal(blob_exists(store, &digest), 1);
	assert_int_equal(blob_open_read(store, &digest, &fd, &size), 0);
	assert_int_equal(size, 5);
	assert_int_equal(blob_pread(fd, buf, 8, 1, &n), 0);
	assert_int_equal(n, 4);
	assert_string_equal(buf, "ello");
	assert_int_equal(blob_pread(fd, buf, 8, 5, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(blob_pread(fd, buf, 8, UINT64_MAX, &n), -EINVAL);

	assert_int_equal(blob_open_read(store, &none, &fd, &size), REFUSED_PAYLOAD_UNKNOWN);
	assert_int_equal(blob_exists(store, &none), 0);
	assert_int_equal(blob_remove(store, &none), REFUSED_PAYLOAD_UNKNOWN);
	assert_int_equal(blob_remove(store, &digest), 0);
	assert_int_equal(blob_exists(store, &digest), 0);
	assert_int_equal(n_incoming(), 0);
}

static void test_blob_refusals(void **state)
{
	_cleanup_(blob_freep) struct blob_store *store = open_store();
	struct id digest = SHA256(SPAN_STR("hello")), flipped = digest;
	static const uint8_t zeros[101];
	struct blob_store *second = NULL;
	struct blob_write *w;

	(void)state;
	assert_int_equal(blob_open(path, &second), -EBUSY);
	flipped.b[31] ^= 1;
	w = write_some(store, "hello");
	assert_int_equal(blob_write_finish(w, &flipped, 5), REFUSED_PAYLOAD_DIGEST);
	blob_write_free(w);
	w = write_some(store, "hello");
	assert_int_equal(blob_write_finish(w, &digest, 6), REFUSED_PAYLOAD_SIZE);
	blob_write_free(w);
	w = write_some(store, "hello");
	assert_int_equal(blob_write_append(w, SPAN(zeros, 96)), REFUSED_PAYLOAD_SIZE);
	assert_int_equal(blob_write_append(w, SPAN(zeros, 95)), 0);
	blob_write_free(w);
	assert_int_equal(blob_exists(store, &digest), 0);
	assert_int_equal(blob_exists(store, &flipped), 0);
	assert_int_equal(n_incoming(), 0);
}

static void test_blob_disk_error_and_crash(void **state)
{
	struct rlimit before, small = { .rlim_cur = 3 };
	struct id digest = SHA256(SPAN_STR("hello"));
	struct blob_store *store = open_store();
	struct blob_write *w;
	char left[96];
	int r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(blob_write_new(store, 100, &w), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = blob_write_append(w, SPAN_STR("hello"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, -EFBIG);
	/* Half of it is in the file and nothing in the hash: it must not be possible to go on. */
	assert_int_equal(blob_write_append(w, SPAN_STR("hello")), -EINVAL);
	assert_int_equal(blob_write_finish(w, &digest, 5), -EINVAL);
	blob_write_free(w);
	blob_free(store);

	snprintf(left, sizeof(left), "%s/incoming/left", path);
	assert_int_equal(file_write_durable(left, SPAN_STR("unfinished"), 0600), 0);
	store = open_store();
	assert_int_equal(n_incoming(), 0);
	blob_free(store);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_rows_survive),
		TEST(test_constraints_have_names),
		TEST(test_migrations),
		TEST(test_full_disk),
		TEST(test_disk_error),
		TEST(test_not_a_database),
		TEST(test_snapshot),
		TEST(test_blob_round_trip),
		TEST(test_blob_refusals),
		TEST(test_blob_disk_error_and_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

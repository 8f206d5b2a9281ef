#include "proto/db/db_internal.h"

static int bind(struct db *db, sqlite3_stmt *stmt, const struct cell *cells, size_t n)
{
	int code = SQLITE_OK;

	if (n != (size_t)sqlite3_bind_parameter_count(stmt))
		return -EINVAL;
	for (size_t i = 0; i < n && code == SQLITE_OK; i++) {
		const struct cell *cell = &cells[i];
		/* A NULL pointer would bind NULL instead of an empty value. */
		const void *p = cell->b.n > 0 ? (const void *)cell->b.p : "";
		int at = (int)i + 1;

		switch (cell->type) {
		case CELL_NULL:
			code = sqlite3_bind_null(stmt, at);
			break;
		case CELL_INT:
			code = sqlite3_bind_int64(stmt, at, cell->i);
			break;
		case CELL_BLOB:
			code = sqlite3_bind_blob64(stmt, at, p, cell->b.n, SQLITE_STATIC);
			break;
		case CELL_TEXT:
			code = sqlite3_bind_text64(
				stmt, at, p, cell->b.n, SQLITE_STATIC, SQLITE_UTF8);
			break;
		}
	}
	return db_error(db->handle, code);
}

/* Ends a run and forgets the caller's bytes. */
static void reset(sqlite3_stmt *stmt)
{
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
}

/* The statement, ready with its parameters. */
static int start(struct db *db, size_t statement, const struct cell *cells, size_t n,
	sqlite3_stmt **ret_stmt)
{
	sqlite3_stmt *stmt;
	int r;

	if (statement >= db->sql->n_statements)
		return -EINVAL;
	stmt = db->statements[statement];
	if (sqlite3_stmt_busy(stmt))
		return -EBUSY;
	r = bind(db, stmt, cells, n);
	if (r < 0) {
		reset(stmt);
		return r;
	}
	*ret_stmt = stmt;
	return 0;
}

int db_exec(
	struct db *db, size_t statement, const struct cell *cells, size_t n, int64_t *ret_changes)
{
	sqlite3_stmt *stmt;
	int64_t before = sqlite3_total_changes64(db->handle);
	bool alone = !db_in_transaction(db);
	int code, r;

	r = start(db, statement, cells, n, &stmt);
	if (r < 0)
		return r;
	do {
		code = sqlite3_step(stmt);
	} while (code == SQLITE_ROW);
	r = db_error(db->handle, code);
	if (r == 0 && alone && !sqlite3_stmt_readonly(stmt))
		db->commits++;
	/* changes() keeps the figure of an earlier statement where this one is no INSERT, UPDATE or
	 * DELETE. */
	if (r == 0 && ret_changes)
		*ret_changes = sqlite3_total_changes64(db->handle) == before
				       ? 0
				       : sqlite3_changes64(db->handle);
	reset(stmt);
	return r;
}

int db_exec_row(struct db *db, size_t statement, const struct cell *cells, size_t n)
{
	int64_t changes;
	int r = db_exec(db, statement, cells, n, &changes);

	if (r < 0)
		return r;
	return changes > 0 ? 0 : -ENOENT;
}

int db_query(struct db *db, size_t statement, const struct cell *cells, size_t n,
	struct db_rows *ret_rows)
{
	sqlite3_stmt *stmt;
	int r = start(db, statement, cells, n, &stmt);

	if (r < 0)
		return r;
	ret_rows->db = db;
	ret_rows->statement = statement;
	ret_rows->n_columns = (size_t)sqlite3_column_count(stmt);
	return 0;
}

static int column(sqlite3_stmt *stmt, int at, struct cell *ret)
{
	switch (sqlite3_column_type(stmt, at)) {
	case SQLITE_NULL:
		*ret = cell_null();
		return 0;
	case SQLITE_INTEGER:
		*ret = cell_int(sqlite3_column_int64(stmt, at));
		return 0;
	case SQLITE_BLOB:
		ret->type = CELL_BLOB;
		ret->b.p = sqlite3_column_blob(stmt, at);
		break;
	case SQLITE_TEXT:
		ret->type = CELL_TEXT;
		ret->b.p = sqlite3_column_text(stmt, at);
		break;
	default: /* SQLITE_FLOAT: no statement of ours stores one */
		return -EDOM;
	}
	ret->i = 0;
	ret->b.n = (size_t)sqlite3_column_bytes(stmt, at);
	/* NULL is right for an empty value; for another it means that memory ran out. */
	return ret->b.n > 0 && !ret->b.p ? -ENOMEM : 0;
}

int db_rows_next(struct db_rows *rows)
{
	sqlite3_stmt *stmt;
	int code, r = 0;

	if (!rows->db)
		return 0;
	stmt = rows->db->statements[rows->statement];
	code = sqlite3_step(stmt);
	if (code != SQLITE_ROW) {
		r = db_error(rows->db->handle, code);
		db_rows_deinit(rows);
		return r;
	}
	for (size_t i = 0; i < rows->n_columns; i++) {
		r = column(stmt, (int)i, &rows->columns[i]);
		if (r < 0) {
			db_rows_deinit(rows);
			return r;
		}
	}
	return 1;
}

void db_rows_deinit(struct db_rows *rows)
{
	if (rows->db)
		reset(rows->db->statements[rows->statement]);
	rows->db = NULL;
}

int db_find(const struct db *db, struct span name)
{
	for (size_t i = 0; i < db->sql->n_statements; i++)
		if (span_is(name, db->sql->statements[i].name))
			return (int)i;
	return -ENOENT;
}

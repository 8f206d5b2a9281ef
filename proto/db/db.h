#pragma once
/*
 * SQLite as a daemon's one database: one connection, one writer, WAL with synchronous=FULL, so that
 * a commit that returned 0 survives a power cut. SQL comes from a .sql file that db/sqlgen.py
 * compiled into a struct db_sql; every statement is prepared when the database is opened, so wrong
 * SQL fails there. Payloads beyond 32 KiB belong in blob.h.
 *
 * Errors of every function: -ENOSPC disk full, -EIO the disk failed, -EUCLEAN the file is corrupt,
 * -EBADMSG it is no database, -EBUSY another process has it, -EEXIST a unique or primary key stands
 * already, -ENOENT a foreign key names nothing, -EDOM another constraint (CHECK, NOT NULL, STRICT)
 * is broken, -EROFS, -ENOMEM, -EPERM, -E2BIG a value or row is over SQLite's limit, -EINVAL wrong
 * use or SQL. After -EIO from db_commit() it is unknown whether the transaction is durable: end the
 * process and open again.
 *
 * Not safe from two threads at once.
 */
#include "proto/core/cell.h"

#define DB_COLUMNS_MAX      64 /* columns of a row, parameters of a statement */
#define DB_STATEMENTS_MAX   256 /* named statements of one program */
#define DB_CACHE_KIB        65536 /* page cache */
#define DB_CHECKPOINT_PAGES 20000
#define DB_SNAPSHOT_PAGES   1024 /* pages copied in one step: 4 MiB */

struct db_statement {
	const char *name;
	const char *sql;
};

/* What sqlgen.py makes of a .sql file. Migration i leads from user_version i to i + 1. */
struct db_sql {
	int32_t application_id;
	const struct db_statement *statements;
	size_t n_statements;
	const char *const *migrations;
	size_t n_migrations;
};

struct db;

/*
 * Opens or makes the database at path and brings it to the newest migration, each in a transaction
 * of its own. vfs: the name of a registered SQLite VFS, or NULL for the system's. Beside the errors
 * above: -EMEDIUMTYPE the file belongs to another program, -EPROTONOSUPPORT a newer version wrote
 * it. The caller frees *ret_db with db_free().
 */
_must_check_ int db_open_vfs(
	const char *path, const struct db_sql *sql, const char *vfs, struct db **ret_db);
_must_check_ int db_open(const char *path, const struct db_sql *sql, struct db **ret_db);
/* Rolls back what is open and closes. Takes NULL. */
void db_free(struct db *db);
static inline void db_freep(struct db **db)
{
	db_free(*db);
}

/* Starts a write transaction. -EINVAL inside another. */
_must_check_ int db_begin(struct db *db);
/* Makes it durable. On failure it is rolled back. */
_must_check_ int db_commit(struct db *db);
/* Drops the transaction; 0 where none is open (SQLite ends one by itself on a full disk). */
_must_check_ int db_rollback(struct db *db);
bool db_in_transaction(const struct db *db);

/*
 * Runs statement (an index from the generated enum) with n cells as its parameters ?1 to ?n; n must
 * be exactly the number that it has. Rows that it gives are dropped. Outside of a transaction it is
 * one of its own. *ret_changes, where not NULL, gets the number of rows inserted, updated or
 * deleted.
 */
_must_check_ int db_exec(
	struct db *db, size_t statement, const struct cell *cells, size_t n, int64_t *ret_changes);
/* The same for one row that must be written: -ENOENT where nothing changed. */
_must_check_ int db_exec_row(struct db *db, size_t statement, const struct cell *cells, size_t n);

/* The rows of one running query: the caller's memory. One query per statement at a time. */
struct db_rows {
	struct db *db;
	size_t statement;
	size_t n_columns;
	struct cell columns[DB_COLUMNS_MAX];
};

/*
 * Starts a query. The bytes that the cells point to must live until the rows end. -EBUSY where this
 * statement's rows are still open. End it with db_rows_deinit().
 */
_must_check_ int db_query(struct db *db, size_t statement, const struct cell *cells, size_t n,
	struct db_rows *ret_rows);
/*
 * Fetches the next row. Returns 1 and fills rows->columns, whose bytes live until the next call on
 * these rows; 0 at the end; or a negative errno. A column of floats is -EDOM.
 */
_must_check_ int db_rows_next(struct db_rows *rows);
/* Ends the query. Takes rows of zeros, and rows that ended. */
void db_rows_deinit(struct db_rows *rows);

/* The index of the statement of that name, or -ENOENT. */
_must_check_ int db_find(const struct db *db, struct span name);

/* Commits of write transactions since db_open(), for benches. */
uint64_t db_commits(const struct db *db);

/*
 * Copies the committed content into dest_dir/NAME, NAME being the database's own file name, as a
 * single file without WAL: what audits, exports and backups read. The copy is made by SQLite's
 * backup API on this connection, since exclusive locking keeps any other out: a step copies
 * DB_SNAPSHOT_PAGES pages, and what is written between steps is copied along, so the result is the
 * state at the last step. The file is fsynced and renamed into place in that step; before it
 * nothing stands under its name.
 */
struct db_snapshot;
/* dest_dir must exist and be another than the database's. The caller frees with db_snapshot_free().
 */
_must_check_ int db_snapshot_new(
	struct db *db, const char *dest_dir, struct db_snapshot **ret_snapshot);
/* Returns 1 where there is more to copy, 0 when the snapshot is durable, -EBUSY inside a
 * transaction. */
_must_check_ int db_snapshot_step(struct db_snapshot *snapshot);
/* Also aborts an unfinished one and removes its file. Must come before db_free(). Takes NULL. */
void db_snapshot_free(struct db_snapshot *snapshot);
/* All steps at once. */
_must_check_ int db_snapshot(struct db *db, const char *dest_dir);

#include "proto/db/db.h"
#include "proto/db/db_internal.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Before the first read, in this order: exclusive locking keeps the WAL's index in this process's
 * memory, so that no second connection can meet SQLite 3.40's WAL-reset bug.
 */
static const char setup_sql[] = "PRAGMA locking_mode=EXCLUSIVE;"
				"PRAGMA synchronous=FULL;"
				"PRAGMA foreign_keys=ON;"
				"PRAGMA trusted_schema=OFF;"
				"PRAGMA cell_size_check=ON;"
				"PRAGMA mmap_size=0;"
				"PRAGMA temp_store=MEMORY;";

int db_error(sqlite3 *handle, int code)
{
	int system = handle ? sqlite3_system_errno(handle) : 0;

	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return -EEXIST;
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return -ENOENT;
	default: /* all other extended codes mean what their primary code means */
		break;
	}
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_IOERR:
		if (system == ENOSPC || system == EDQUOT)
			return -ENOSPC;
		return code == SQLITE_IOERR_NOMEM ? -ENOMEM : -EIO;
	case SQLITE_CORRUPT:
		return -EUCLEAN;
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CONSTRAINT:
		return -EDOM;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EPERM;
	case SQLITE_TOOBIG:
		return -E2BIG;
	case SQLITE_CANTOPEN:
		return system != 0 ? -system : -ENOENT;
	default: /* SQLITE_ERROR, MISUSE, MISMATCH, RANGE: the SQL or the caller is wrong */
		return -EINVAL;
	}
}

int db_run(sqlite3 *handle, const char *sql)
{
	return db_error(handle, sqlite3_exec(handle, sql, NULL, NULL, NULL));
}

/* A pragma's one integer. */
static int pragma_int(sqlite3 *handle, const char *sql, int64_t *ret_value)
{
	sqlite3_stmt *stmt;
	int code = sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL);

	if (code != SQLITE_OK)
		return db_error(handle, code);
	code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		*ret_value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? -EIO : db_error(handle, code);
}

static int set_wal(sqlite3 *handle)
{
	char sql[160];
	sqlite3_stmt *stmt;
	bool wal = false;
	int code;

	code = sqlite3_prepare_v2(handle, "PRAGMA journal_mode=WAL", -1, &stmt, NULL);
	if (code != SQLITE_OK)
		return db_error(handle, code);
	code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		wal = strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") == 0;
	sqlite3_finalize(stmt);
	if (code != SQLITE_ROW)
		return code == SQLITE_DONE ? -EIO : db_error(handle, code);
	if (!wal)
		return -ENOTSUP;
	snprintf(sql, sizeof(sql), "PRAGMA cache_size=-%d; PRAGMA wal_autocheckpoint=%d;",
		DB_CACHE_KIB, DB_CHECKPOINT_PAGES);
	return db_run(handle, sql);
}

static int configure(sqlite3 *handle)
{
	static const int flags[][2] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 },
		{ SQLITE_DBCONFIG_DQS_DML, 0 },
		{ SQLITE_DBCONFIG_DQS_DDL, 0 },
		{ SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
	};
	int r;

	sqlite3_extended_result_codes(handle, 1);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		int code = sqlite3_db_config(handle, flags[i][0], flags[i][1], NULL);

		if (code != SQLITE_OK)
			return db_error(handle, code);
	}
	r = db_run(handle, setup_sql);
	return r < 0 ? r : set_wal(handle);
}

/* One migration and its number, together or not at all. */
static int migrate_one(sqlite3 *handle, const struct db_sql *sql, size_t from)
{
	char mark[96];
	int r = db_run(handle, "BEGIN IMMEDIATE");

	if (r < 0)
		return r;
	r = db_run(handle, sql->migrations[from]);
	if (r == 0) {
		snprintf(mark, sizeof(mark), "PRAGMA user_version=%zu; PRAGMA application_id=%d;",
			from + 1, (int)sql->application_id);
		r = db_run(handle, mark);
	}
	if (r == 0)
		r = db_run(handle, "COMMIT");
	if (r < 0 && !sqlite3_get_autocommit(handle)) {
		int rollback = db_run(handle, "ROLLBACK");

		(void)rollback; /* ignored: the connection is closed next, which rolls back as well
				 */
	}
	return r;
}

static int migrate(sqlite3 *handle, const struct db_sql *sql)
{
	int64_t version, application, tables;
	int r;

	r = pragma_int(handle, "PRAGMA user_version", &version);
	if (r == 0)
		r = pragma_int(handle, "PRAGMA application_id", &application);
	if (r == 0)
		r = pragma_int(handle, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r < 0)
		return r;
	if (application != sql->application_id && (application != 0 || version != 0 || tables != 0))
		return -EMEDIUMTYPE;
	if (version < 0 || (uint64_t)version > sql->n_migrations)
		return -EPROTONOSUPPORT;
	for (size_t i = (size_t)version; i < sql->n_migrations; i++) {
		r = migrate_one(handle, sql, i);
		if (r < 0)
			return r;
	}
	return 0;
}

static int prepare(struct db *db)
{
	for (size_t i = 0; i < db->sql->n_statements; i++) {
		const char *tail;
		int code = sqlite3_prepare_v3(db->handle, db->sql->statements[i].sql, -1,
			SQLITE_PREPARE_PERSISTENT, &db->statements[i], &tail);

		if (code != SQLITE_OK)
			return db_error(db->handle, code);
		/* A second statement in a section would silently never run. */
		if (tail[strspn(tail, " \t\r\n;")] != '\0' || !db->statements[i])
			return -EINVAL;
		if (sqlite3_column_count(db->statements[i]) > DB_COLUMNS_MAX ||
			sqlite3_bind_parameter_count(db->statements[i]) > DB_COLUMNS_MAX)
			return -EINVAL;
	}
	return 0;
}

int db_open_vfs(const char *path, const struct db_sql *sql, const char *vfs, struct db **ret_db)
{
	_cleanup_(db_freep) struct db *db = NULL;
	int code, r;

	if (sql->n_statements > DB_STATEMENTS_MAX || sql->n_migrations == 0)
		return -EINVAL;
	db = calloc(1, sizeof(*db));
	if (!db)
		return -ENOMEM;
	db->sql = sql;
	db->path = strdup(path);
	db->statements = calloc(MAX(sql->n_statements, (size_t)1), sizeof(*db->statements));
	if (!db->path || !db->statements)
		return -ENOMEM;
	if (vfs && !sqlite3_vfs_find(vfs))
		return -ENODEV;
	db->vfs = vfs;
	code = sqlite3_open_v2(path, &db->handle,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
			SQLITE_OPEN_PRIVATECACHE,
		vfs);
	if (code != SQLITE_OK)
		return db_error(db->handle, code);
	r = configure(db->handle);
	if (r == 0)
		r = migrate(db->handle, sql);
	if (r == 0)
		r = prepare(db);
	if (r < 0)
		return r;
	*ret_db = take(&db);
	return 0;
}

int db_open(const char *path, const struct db_sql *sql, struct db **ret_db)
{
	return db_open_vfs(path, sql, NULL, ret_db);
}

void db_free(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; db->statements && i < db->sql->n_statements; i++)
		sqlite3_finalize(db->statements[i]);
	/* Zombie-safe close: a snapshot that was forgotten keeps the handle, and not freed memory.
	 */
	sqlite3_close_v2(db->handle);
	free(db->statements);
	free(db->path);
	free(db);
}

int db_begin(struct db *db)
{
	if (db_in_transaction(db))
		return -EINVAL;
	return db_run(db->handle, "BEGIN IMMEDIATE");
}

int db_commit(struct db *db)
{
	int r, rollback;

	if (!db_in_transaction(db))
		return -EINVAL;
	r = db_run(db->handle, "COMMIT");
	if (r == 0) {
		db->commits++;
		return 0;
	}
	rollback = db_rollback(db);
	(void)rollback; /* ignored: the commit's error says more */
	return r;
}

int db_rollback(struct db *db)
{
	return db_in_transaction(db) ? db_run(db->handle, "ROLLBACK") : 0;
}

bool db_in_transaction(const struct db *db)
{
	return !sqlite3_get_autocommit(db->handle);
}

uint64_t db_commits(const struct db *db)
{
	return db->commits;
}

#pragma once
/* What db.c, db_rows.c and db_snapshot.c share. Nobody else includes this. */
#include "proto/db/db.h"

#include <sqlite3.h>

struct db {
	sqlite3 *handle;
	const struct db_sql *sql;
	sqlite3_stmt **statements;
	char *path;
	const char *vfs;
	uint64_t commits;
};

/* SQLite's result as an errno; handle may be NULL. */
int db_error(sqlite3 *handle, int code);
/* Runs SQL without parameters. */
_must_check_ int db_run(sqlite3 *handle, const char *sql);

#include "proto/shell/shell_internal.h"

#include "proto/os/file.h"
#include "proto/os/logline.h"

#include <stdio.h>
#include <sys/statvfs.h>

/* The index of the statement "prefixNAME". */
static int find_sql(
	const struct shell *shell, const char *prefix, const char *name, bool must, size_t *ret)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%s%s", prefix, name);
	int r;

	if (n < 0 || (size_t)n >= sizeof(text))
		return -EINVAL;
	r = db_find(shell->o.db, SPAN(text, (size_t)n));
	if (r < 0 && must) {
		logline(LEVEL_ERROR, "sql_missing", KV_STR("name", text));
		return r;
	}
	*ret = r < 0 ? NO_STATEMENT : (size_t)r;
	return 0;
}

int store_prepare(struct shell *shell)
{
	const struct core_ops *ops = shell->o.ops;
	int r = 0;

	if (ops->n_tables > TABLES_MAX)
		return -EINVAL;
	if (!shell->o.db)
		return 0;
	for (size_t i = 0; i < ops->n_tables && r == 0; i++) {
		struct table_sql *t = &shell->tables[i];
		const char *name = ops->tables[i].name;

		r = find_sql(shell, "insert_", name, false, &t->insert);
		if (r == 0)
			r = find_sql(shell, "replace_", name, i <= TABLE_PAYLOAD, &t->replace);
		if (r == 0)
			r = find_sql(shell, "delete_", name, false, &t->delete);
		if (r == 0)
			r = find_sql(shell, "load_", name, i > TABLE_PAYLOAD, &t->load);
	}
	if (r == 0)
		r = find_sql(shell, "shell_", "put_keys", true, &shell->sql_put_keys);
	if (r == 0)
		r = find_sql(shell, "shell_", "load_keys", true, &shell->sql_load_keys);
	if (r == 0)
		r = find_sql(shell, "shell_", "find_keys", true, &shell->sql_find_keys);
	if (r == 0)
		r = find_sql(shell, "shell_", "get_statement", true, &shell->sql_get_statement);
	if (r == 0)
		r = find_sql(shell, "shell_", "get_payload", true, &shell->sql_get_payload);
	return r;
}

static int learn(struct shell *shell, struct span bytes)
{
	struct statement *s = &shell->scratch;
	bool is_new;

	/* What was stored had been verified: anything else is a damaged store. */
	if (statement_decode(bytes, s, NULL) != REFUSED_NOT || s->kind != STATEMENT_KEYS_OF ||
		keyring_learn(shell->o.keyring, s, &is_new) != REFUSED_NOT)
		return -EBADMSG;
	return 0;
}

static int load_keys(struct shell *shell)
{
	_cleanup_(db_rows_deinit) struct db_rows rows = { 0 };
	int r = db_query(shell->o.db, shell->sql_load_keys, NULL, 0, &rows);

	if (r < 0)
		return r;
	while ((r = db_rows_next(&rows)) > 0) {
		r = learn(shell, rows.columns[0].b);
		if (r < 0)
			return r;
	}
	return r;
}

static int load_table(struct shell *shell, size_t table)
{
	_cleanup_(db_rows_deinit) struct db_rows rows = { 0 };
	const struct table_info *info = &shell->o.ops->tables[table];
	struct row row = { .table = (uint16_t)table, .op = PUT_INSERT, .n = info->n_cells };
	int r = db_query(shell->o.db, shell->tables[table].load, NULL, 0, &rows);

	if (r == 0 && rows.n_columns != info->n_cells)
		r = -EINVAL;
	if (r < 0)
		return r;
	while ((r = db_rows_next(&rows)) > 0) {
		memcpy(row.cells, rows.columns, info->n_cells * sizeof(row.cells[0]));
		r = shell->o.ops->load(shell->o.core, &row);
		if (r < 0)
			return r;
	}
	return r;
}

int store_load(struct shell *shell)
{
	int r = learn(shell, identity_keys(shell->o.identity));

	if (r < 0 || !shell->o.db)
		return r;
	r = load_keys(shell);
	if (r < 0)
		logline(LEVEL_ERROR, "load_failed", KV_STR("table", "keys"), KV_ERR("error", r));
	for (size_t i = TABLE_PAYLOAD + 1; i < shell->o.ops->n_tables && r == 0; i++) {
		r = load_table(shell, i);
		if (r < 0)
			logline(LEVEL_ERROR, "load_failed",
				KV_STR("table", shell->o.ops->tables[i].name), KV_ERR("error", r));
	}
	return r;
}

/*
 * A statement is kept with the keys that it needs, when somebody restarts from here. Keys of others
 * are not kept: whoever only connects must not fill the disk.
 */
static int put_keys(struct shell *shell, struct cached *c)
{
	const struct keyring_entry *entry;
	struct id *known;
	int r;

	if (!cache_parse(c))
		return -EBADMSG;
	entry = keyring_find_key(shell->o.keyring, &c->issuer, SPAN(c->kid, c->n_kid));
	if (!entry)
		return 0;
	known = &shell->known_keys[(entry->id.b[0] | entry->id.b[1] << 8) & (KNOWN_KEYS - 1)];
	if (id_eq(known, &entry->id))
		return 0;

	const struct cell cells[] = { cell_blob(SPAN_OF(entry->did)), cell_blob(SPAN_OF(entry->id)),
		cell_blob(entry->bytes) };

	r = db_exec(shell->o.db, shell->sql_put_keys, cells, ARRAY_SIZE(cells), NULL);
	if (r == 0)
		*known = entry->id;
	return r;
}

/* Statements and payloads stay at hand for the messages that follow. */
static int put_cache(struct shell *shell, const struct row *row, struct cached **ret_cached)
{
	struct id id;
	struct span bytes = row->table == TABLE_STATEMENT ? row->cells[3].b : row->cells[2].b;

	assert(row->n > 2 && row->cells[0].b.n == sizeof(id));
	memcpy(&id, row->cells[0].b.p, sizeof(id));
	*ret_cached = cache_put(&shell->cache, &id, bytes);
	return *ret_cached ? 0 : -ENOMEM;
}

/* A payload's file goes after the commit. */
static int forget(struct shell *shell, const struct row *row)
{
	struct id id, *doomed;

	assert(row->cells[0].b.n == sizeof(id));
	memcpy(&id, row->cells[0].b.p, sizeof(id));
	cache_drop(&shell->cache, &id);
	if (row->table != TABLE_PAYLOAD || !shell->o.blobs)
		return 0;
	doomed = reallocarray(shell->doomed, shell->n_doomed + 1, sizeof(*doomed));
	if (!doomed)
		return -ENOMEM;
	shell->doomed = doomed;
	doomed[shell->n_doomed++] = id;
	return 0;
}

static int run_row(struct shell *shell, const struct row *row)
{
	const struct table_sql *t = &shell->tables[row->table];
	size_t n_key = shell->o.ops->tables[row->table].n_key;
	size_t sql = NO_STATEMENT;

	switch ((enum put_op)row->op) {
	case PUT_INSERT:
		sql = t->insert;
		break;
	case PUT_REPLACE:
		sql = t->replace;
		break;
	case PUT_DELETE:
		/* One that is gone already is no fault. */
		return t->delete == NO_STATEMENT
			       ? -ENOSYS
			       : db_exec(shell->o.db, t->delete, row->cells, n_key, NULL);
	}
	return sql == NO_STATEMENT ? -ENOSYS : db_exec_row(shell->o.db, sql, row->cells, row->n);
}

int store_put(struct shell *shell, const struct row *row)
{
	bool cacheable = row->table <= TABLE_PAYLOAD && row->op != PUT_DELETE;
	struct cached *cached = NULL;
	int r = 0;

	assert(row->table < shell->o.ops->n_tables);
	if (cacheable)
		r = put_cache(shell, row, &cached);
	if (row->table <= TABLE_PAYLOAD && row->op == PUT_DELETE)
		r = forget(shell, row);
	if (r == 0 && shell->o.db) {
		if (!db_in_transaction(shell->o.db))
			r = db_begin(shell->o.db);
		if (r == 0)
			r = run_row(shell, row);
		if (r == 0 && cacheable && row->table == TABLE_STATEMENT)
			r = put_keys(shell, cached);
	}
	if (r < 0)
		logline(LEVEL_ERROR, "put_failed",
			KV_STR("table", shell->o.ops->tables[row->table].name),
			KV_INT("op", row->op), KV_ERR("error", r));
	return r;
}

int store_commit(struct shell *shell)
{
	int r = 0;

	if (shell->o.db && db_in_transaction(shell->o.db))
		r = db_commit(shell->o.db);
	if (r < 0) {
		logline(LEVEL_ERROR, "commit_failed", KV_ERR("error", r));
		return r;
	}
	for (size_t i = 0; i < shell->n_doomed && r >= 0; i++)
		r = blob_remove(shell->o.blobs, &shell->doomed[i]);
	shell->n_doomed = 0;
	if (r < 0)
		logline(LEVEL_ERROR, "payload_remove_failed", KV_ERR("error", r));
	return MIN(r, 0);
}

/* bytes of one row by its id, into the cache. */
static int fetch(struct shell *shell, size_t sql, const struct id *id, struct cached **ret_cached)
{
	_cleanup_(db_rows_deinit) struct db_rows rows = { 0 };
	const struct cell key = cell_blob(SPAN_OF(*id));
	int r = db_query(shell->o.db, sql, &key, 1, &rows);

	if (r == 0)
		r = db_rows_next(&rows);
	if (r <= 0)
		return r;
	*ret_cached = cache_put(&shell->cache, id, rows.columns[0].b);
	return *ret_cached ? 0 : -ENOMEM;
}

int store_statement(struct shell *shell, const struct id *id, struct cached **ret_cached)
{
	*ret_cached = cache_find(&shell->cache, id);
	if (*ret_cached)
		return 0;
	/* One that came in this very event and is passed on without being kept. */
	for (size_t i = 0; i < shell->opened.n_statements; i++)
		if (id_eq(&shell->opened.statements[i].id, id)) {
			*ret_cached = cache_put(
				&shell->cache, id, shell->opened.statements[i].bytes);
			return *ret_cached ? 0 : -ENOMEM;
		}
	return shell->o.db ? fetch(shell, shell->sql_get_statement, id, ret_cached) : 0;
}

/* A file small enough to be attached. */
static int fetch_file(struct shell *shell, const struct id *digest, struct cached **ret_cached)
{
	_cleanup_(closep) int fd = -EBADF;
	uint64_t size;
	size_t n;
	int r = blob_open_read(shell->o.blobs, digest, &fd, &size);

	if (r != 0 || size > PAYLOAD_INLINE_MAX)
		return MIN(r, 0);
	r = blob_pread(fd, shell->chunk, PAYLOAD_CHUNK, 0, &n);
	if (r < 0)
		return r;
	*ret_cached = cache_put(&shell->cache, digest, SPAN(shell->chunk, n));
	return *ret_cached ? 0 : -ENOMEM;
}

int store_payload(struct shell *shell, const struct id *digest, struct cached **ret_cached)
{
	int r = 0;

	*ret_cached = cache_find(&shell->cache, digest);
	if (!*ret_cached && shell->o.db)
		r = fetch(shell, shell->sql_get_payload, digest, ret_cached);
	if (r == 0 && !*ret_cached && shell->o.blobs)
		r = fetch_file(shell, digest, ret_cached);
	return r;
}

int store_keys(struct shell *shell, const struct did *did, struct span kid)
{
	_cleanup_(db_rows_deinit) struct db_rows rows = { 0 };
	const struct cell key = cell_blob(SPAN_OF(*did));
	int r;

	if (!shell->o.db || keyring_find_key(shell->o.keyring, did, kid))
		return 0;
	r = db_query(shell->o.db, shell->sql_find_keys, &key, 1, &rows);
	while (r == 0 && !keyring_find_key(shell->o.keyring, did, kid)) {
		r = db_rows_next(&rows);
		if (r <= 0)
			break;
		r = learn(shell, rows.columns[0].b);
	}
	return r;
}

int store_disk_low(struct shell *shell)
{
	struct statvfs fs;

	if (!shell->o.data_path || shell->disk_low >= 0)
		return MAX(shell->disk_low, 0);
	if (statvfs(shell->o.data_path, &fs) < 0)
		return -errno;
	shell->disk_low = (uint64_t)fs.f_bavail * fs.f_frsize < shell->o.disk_reserve;
	return shell->disk_low;
}

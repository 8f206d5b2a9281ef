#include "proto/db/db_internal.h"
#include "proto/os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

struct db_snapshot {
	struct db *db;
	sqlite3 *dest;
	sqlite3_backup *backup;
	bool done;
	char dir[FILE_PATH_MAX];
	char temporary[FILE_PATH_MAX];
	char final[FILE_PATH_MAX];
};

static int join(
	char out[static FILE_PATH_MAX], const char *dir, const char *name, const char *suffix)
{
	int n = snprintf(out, FILE_PATH_MAX, "%s/%s%s", dir, name, suffix);

	return n > 0 && n < FILE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int paths(struct db_snapshot *s, const char *dest_dir)
{
	const char *slash = strrchr(s->db->path, '/');
	const char *name = slash ? slash + 1 : s->db->path;
	struct stat live, there;
	int r;

	if (snprintf(s->dir, sizeof(s->dir), "%s", dest_dir) >= FILE_PATH_MAX)
		return -ENAMETOOLONG;
	r = join(s->final, dest_dir, name, "");
	if (r == 0)
		r = join(s->temporary, dest_dir, name, ".part");
	if (r < 0)
		return r;
	/* The live file by another way: replacing it would lose everything after the copy. */
	if (stat(s->db->path, &live) == 0 && stat(s->final, &there) == 0 &&
		live.st_dev == there.st_dev && live.st_ino == there.st_ino)
		return -EINVAL;
	return 0;
}

static void snapshot_freep(struct db_snapshot **s)
{
	db_snapshot_free(*s);
}

int db_snapshot_new(struct db *db, const char *dest_dir, struct db_snapshot **ret_snapshot)
{
	_cleanup_(snapshot_freep) struct db_snapshot *s = NULL;
	int code, r;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->db = db;
	r = paths(s, dest_dir);
	if (r < 0) {
		s->temporary[0] = '\0'; /* nothing of ours stands there */
		return r;
	}
	/* What an earlier process left: SQLite would take it as the start of the copy. */
	if (unlink(s->temporary) < 0 && errno != ENOENT)
		return -errno;
	code = sqlite3_open_v2(s->temporary, &s->dest,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code != SQLITE_OK)
		return db_error(s->dest, code);
	/* A crash leaves a temporary file that nobody reads: no journal, and one fsync at the end.
	 */
	r = db_run(s->dest, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=OFF;");
	if (r < 0)
		return r;
	s->backup = sqlite3_backup_init(s->dest, "main", db->handle, "main");
	if (!s->backup)
		return db_error(s->dest, sqlite3_extended_errcode(s->dest));
	*ret_snapshot = take(&s);
	return 0;
}

static int sync_file(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) < 0 || fsync(fd) < 0)
		return errno == EDQUOT ? -ENOSPC : -errno;
	return 0;
}

/* The copy is whole: makes it one file without WAL, durable, and gives it its name. */
static int finish(struct db_snapshot *s)
{
	int code = sqlite3_backup_finish(take(&s->backup));
	int r;

	if (code != SQLITE_OK)
		return db_error(s->dest, code);
	/* The copied header says WAL, which a reader without write permission could not open. */
	r = db_run(s->dest, "PRAGMA journal_mode=DELETE;");
	if (r < 0)
		return r;
	code = sqlite3_close(s->dest);
	if (code != SQLITE_OK)
		return db_error(s->dest, code);
	s->dest = NULL;
	r = sync_file(s->temporary);
	if (r < 0)
		return r;
	if (rename(s->temporary, s->final) < 0)
		return -errno;
	s->done = true;
	return file_sync_dir(s->dir);
}

int db_snapshot_step(struct db_snapshot *s)
{
	int code;

	if (s->done || !s->backup)
		return -EINVAL;
	/* The source is our own connection: its backup would contain what is not committed. */
	if (db_in_transaction(s->db))
		return -EBUSY;
	code = sqlite3_backup_step(s->backup, DB_SNAPSHOT_PAGES);
	if (code == SQLITE_OK)
		return 1;
	return code == SQLITE_DONE ? finish(s) : db_error(s->dest, code);
}

void db_snapshot_free(struct db_snapshot *s)
{
	if (!s)
		return;
	if (s->backup)
		sqlite3_backup_finish(s->backup);
	sqlite3_close(s->dest);
	if (!s->done && s->temporary[0] != '\0')
		unlink(s->temporary);
	free(s);
}

int db_snapshot(struct db *db, const char *dest_dir)
{
	_cleanup_(snapshot_freep) struct db_snapshot *s = NULL;
	int r;

	r = db_snapshot_new(db, dest_dir, &s);
	while (r == 0) {
		r = db_snapshot_step(s);
		if (r <= 0)
			return r;
		r = 0;
	}
	return r;
}

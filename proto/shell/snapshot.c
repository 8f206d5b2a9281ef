#include "proto/shell/snapshot.h"

#include "proto/db/blob.h"
#include "proto/os/file.h"
#include "proto/statement/message.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define SUBDIRS 256 /* of a payload store, by the first two digits */

struct snapshot {
	struct db_snapshot *db;
	bool blobs;
	unsigned int next; /* subdirectory */
	char from[FILE_PATH_MAX];
	char to[FILE_PATH_MAX];
};

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static void snapshot_freep(struct snapshot **snapshot)
{
	snapshot_free(*snapshot);
}

int snapshot_new(
	struct db *db, const char *blobs_path, const char *dest_dir, struct snapshot **ret_snapshot)
{
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct stat st;
	int n, r = 0;

	if (dest_dir[0] != '/')
		return -EINVAL;
	if (stat(dest_dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	if (blobs_path) {
		s->blobs = true;
		n = snprintf(s->from, sizeof(s->from), "%s", blobs_path);
		if (n < 0 || (size_t)n >= sizeof(s->from) - 8)
			return -ENAMETOOLONG;
		n = snprintf(s->to, sizeof(s->to), "%s/payloads", dest_dir);
		if (n < 0 || (size_t)n >= sizeof(s->to) - 8)
			return -ENAMETOOLONG;
		r = file_make_private_dir(s->to);
	}
	if (r == 0 && db)
		r = db_snapshot_new(db, dest_dir, &s->db);
	if (r < 0)
		return r;
	*ret_snapshot = take(&s);
	return 0;
}

/* Another file system, or one without links: the bytes themselves. */
static int copy(int from_fd, int to_fd, const char *name)
{
	_cleanup_(closep) int in = -EBADF, out = -EBADF;
	char buf[65536];
	ssize_t n;
	int r;

	in = openat(from_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (in < 0)
		return -errno;
	out = openat(to_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return -errno;
	while ((n = read(in, buf, sizeof(buf))) > 0) {
		r = file_write_all(out, buf, (size_t)n);
		if (r < 0)
			return r;
	}
	return n < 0 || fsync(out) < 0 ? -errno : 0;
}

static int take_file(int from_fd, int to_fd, const char *name)
{
	if (linkat(from_fd, name, to_fd, name, 0) == 0 || errno == EEXIST || errno == ENOENT)
		return 0;
	if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != ENOTSUP)
		return -errno;
	return copy(from_fd, to_fd, name);
}

static int take_subdir(struct snapshot *s)
{
	_cleanup_(closep) int to = -EBADF;
	_cleanup_(closedirp) DIR *dir = NULL;
	char from_path[FILE_PATH_MAX + 8], to_path[FILE_PATH_MAX + 8];
	struct dirent *entry;
	int r = 0;

	snprintf(from_path, sizeof(from_path), "%s/%02x", s->from, s->next);
	snprintf(to_path, sizeof(to_path), "%s/%02x", s->to, s->next);
	s->next++;
	dir = opendir(from_path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	if (mkdir(to_path, 0700) < 0 && errno != EEXIST)
		return -errno;
	to = open(to_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return -errno;
	while (r == 0 && (errno = 0, entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			r = take_file(dirfd(dir), to, entry->d_name);
	if (r == 0 && errno != 0)
		r = -errno;
	if (r == 0 && fsync(to) < 0)
		r = -errno;
	return r;
}

int snapshot_step(struct snapshot *s)
{
	int r;

	if (s->db) {
		r = db_snapshot_step(s->db);
		if (r != 0)
			return r;
		db_snapshot_free(take(&s->db));
		return 1;
	}
	if (!s->blobs)
		return 0;
	if (s->next < SUBDIRS) {
		r = take_subdir(s);
		return r < 0 ? r : 1;
	}
	return file_sync_dir(s->to);
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	db_snapshot_free(s->db);
	free(s);
}

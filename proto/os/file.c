#include "proto/os/file.h"
#include "proto/base/text.h"
#include "proto/os/entropy.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>

/* A path taken apart: dirname() and basename() may write into their argument. */
struct parts {
	char dir_copy[FILE_PATH_MAX];
	char base_copy[FILE_PATH_MAX];
	const char *dir;
	const char *base;
};

static int split(const char *path, struct parts *ret)
{
	size_t n = strlen(path);

	if (n == 0)
		return -EINVAL;
	if (n >= FILE_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(ret->dir_copy, path, n + 1);
	memcpy(ret->base_copy, path, n + 1);
	ret->dir = dirname(ret->dir_copy);
	ret->base = basename(ret->base_copy);
	return 0;
}

static int open_dir(const char *path, int *ret_fd)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* A full quota asks the same of people as a full disk. */
static int write_error(int error)
{
	return error == EDQUOT ? -ENOSPC : -error;
}

int file_write_all(int fd, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return write_error(errno);
		}
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int file_sync_dir(const char *path)
{
	_cleanup_(closep) int fd = -EBADF;
	int r = open_dir(path, &fd);

	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_temporary(int dir, const char *name, struct span content, mode_t mode)
{
	_cleanup_(closep) int fd = -EBADF;
	int r;

	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return write_error(errno);
	r = file_write_all(fd, content.p, content.n);
	if (r < 0)
		return r;
	/* Not through open()'s mode: the umask must not decide who reads a key. */
	if (fchmod(fd, mode) < 0)
		return -errno;
	if (fsync(fd) < 0)
		return write_error(errno);
	/* NFS reports a full disk only here. */
	if (close(take_fd(&fd)) < 0 && errno != EINTR)
		return write_error(errno);
	return 0;
}

int file_write_durable(const char *path, struct span content, mode_t mode)
{
	_cleanup_(closep) int dir = -EBADF;
	char name[64], digits[2 * 8 + 1];
	struct parts parts;
	uint8_t random[8];
	int r;

	r = split(path, &parts);
	if (r < 0)
		return r;
	r = open_dir(parts.dir, &dir);
	if (r < 0)
		return r;
	entropy_fill(random, sizeof(random));
	hex_encode(random, sizeof(random), digits);
	snprintf(name, sizeof(name), ".tmp-%s", digits);

	r = write_temporary(dir, name, content, mode);
	if (r == 0 && renameat(dir, name, dir, parts.base) < 0)
		r = write_error(errno);
	if (r < 0) {
		unlinkat(dir, name, 0);
		return r;
	}
	return fsync(dir) < 0 ? -errno : 0;
}

/* Fills buf up to cap; *ret_n tells how much there was. */
static int read_all(int fd, uint8_t *buf, size_t cap, size_t *ret_n)
{
	size_t n = 0;

	while (n < cap) {
		ssize_t done = read(fd, buf + n, cap - n);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (done == 0)
			break;
		n += (size_t)done;
	}
	*ret_n = n;
	return 0;
}

int file_read(const char *path, size_t max, uint8_t **ret_bytes, size_t *ret_n)
{
	_cleanup_(closep) int fd = -EBADF;
	_cleanup_(freep) uint8_t *bytes = NULL;
	struct stat st;
	size_t cap, n;
	int r;

	/* Non-blocking, so that a FIFO put in its place does not hang the open. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size < 0 || (uint64_t)st.st_size > max || max >= SIZE_MAX - 2)
		return -EFBIG;

	/* Files of /proc and /sys say 0; they, and files that grow meanwhile, get the whole room.
	 */
	cap = (st.st_size > 0 ? (size_t)st.st_size : max) + 1;
	bytes = malloc(cap + 1);
	if (!bytes)
		return -ENOMEM;
	r = read_all(fd, bytes, cap, &n);
	if (r < 0)
		return r;
	if (n == cap)
		return -EFBIG;
	bytes[n] = '\0';
	*ret_bytes = take(&bytes);
	*ret_n = n;
	return 0;
}

int file_make_private_dir(const char *path)
{
	_cleanup_(closep) int fd = -EBADF;
	struct parts parts;
	struct stat st;
	int r;

	r = split(path, &parts);
	if (r < 0)
		return r;
	if (mkdir(path, 0700) == 0) {
		r = file_sync_dir(parts.dir);
		if (r < 0)
			return r;
	} else if (errno != EEXIST) {
		return write_error(errno);
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_uid == geteuid() && (st.st_mode & 0077) == 0 ? 0 : -EPERM;
}

int file_open_private(const char *path, int *ret_fd)
{
	_cleanup_(closep) int dir = -EBADF, fd = -EBADF;
	uid_t self = geteuid();
	struct parts parts;
	struct stat st;
	int r;

	r = split(path, &parts);
	if (r < 0)
		return r;
	r = open_dir(parts.dir, &dir);
	if (r < 0)
		return r;
	if (fstat(dir, &st) < 0)
		return -errno;
	if ((st.st_uid != self && st.st_uid != 0) || (st.st_mode & 0022) != 0)
		return REFUSED_KEY_FILE_OPEN;

	fd = openat(dir, parts.base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return errno == ELOOP ? (int)REFUSED_KEY_FILE_OPEN : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != self || st.st_nlink != 1 ||
		(st.st_mode & 07777 & ~(mode_t)0600) != 0)
		return REFUSED_KEY_FILE_OPEN;
	*ret_fd = take_fd(&fd);
	return 0;
}

int file_read_private(const char *path, void *buf, size_t cap, size_t *ret_n)
{
	_cleanup_(closep) int fd = -EBADF;
	struct stat st;
	size_t n;
	int r;

	r = file_open_private(path, &fd);
	if (r != 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size > cap)
		return -EFBIG;
	r = read_all(fd, buf, cap, &n);
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

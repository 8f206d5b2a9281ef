#pragma once
/*
 * Files as a daemon needs them: whole files written so that they survive a power cut, whole files
 * read up to a limit, private directories and key files. Streams of payload are db/blob.h.
 * Functions that can meet a refusal return 0, a positive enum refusal, or a negative errno.
 */
#include "proto/base/refusal.h"

#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define FILE_PATH_MAX 4096 /* bytes of a path with its NUL; longer: -ENAMETOOLONG */

/* _cleanup_(closep) int fd = -EBADF; */
static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Takes the descriptor out of fd and leaves -EBADF behind. */
static inline int take_fd(int *fd)
{
	int v = *fd;

	*fd = -EBADF;
	return v;
}

/* _cleanup_(freep) uint8_t *bytes = NULL; for any pointer to malloc'd memory. */
static inline void freep(void *pp)
{
	free(*(void **)pp);
}

/*
 * Replaces path by content, durably: a temporary file beside it, fsync, rename, fsync of the
 * directory. A reader sees the old file or the new one. Returns 0 or a negative errno (-ENOSPC
 * where the disk or the quota is full); on failure the old file stands, unless only the directory's
 * fsync failed: then it may be either.
 */
_must_check_ int file_write_durable(const char *path, struct span content, mode_t mode);

/*
 * Reads a regular file whole. *ret_bytes is malloc'd (the caller frees, see freep) and has a NUL
 * after its *ret_n bytes. Returns 0, -EFBIG where it is larger than max, -EINVAL where it is not a
 * regular file, or another negative errno.
 */
_must_check_ int file_read(const char *path, size_t max, uint8_t **ret_bytes, size_t *ret_n);

/*
 * Makes a directory of mode 0700 and makes it durable. One that exists must be a directory of this
 * user that no group and no other may enter: -EPERM if it is not, -ENOTDIR for a symbolic link.
 */
_must_check_ int file_make_private_dir(const char *path);

/*
 * Opens a private key's file for reading. It must be a regular file, mode 0600 or stricter, with
 * one name, owned by the effective user, reached without a symbolic link in its last part, in a
 * directory of this user or root that no group and no other may write to. Returns 0 and a
 * descriptor that the caller closes; REFUSED_KEY_FILE_OPEN; or a negative errno.
 */
_must_check_ int file_open_private(const char *path, int *ret_fd);

/*
 * file_open_private(), then the whole content into buf[0..cap), the caller's own memory so that it
 * can be wiped. Returns as above, or -EFBIG where it does not fit.
 */
_must_check_ int file_read_private(const char *path, void *buf, size_t cap, size_t *ret_n);

/* Writes all n bytes to fd. Returns 0 or a negative errno; -ENOSPC for a full quota as well. */
_must_check_ int file_write_all(int fd, const void *bytes, size_t n);

/* fsync of the directory that fd refers to, so that names in it are durable. 0 or a negative errno.
 */
_must_check_ int file_sync_dir(const char *path);

#include "proto/db/blob.h"
#include "proto/base/text.h"
#include "proto/os/entropy.h"
#include "proto/os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define INCOMING       "incoming"
#define NAME_MAX_BYTES (3 + ID_TEXT_MAX) /* "ab/" + 64 digits + NUL */

struct blob_store {
	int dir; /* the store; holds the lock */
	int incoming; /* unfinished files */
};

struct blob_write {
	struct blob_store *store;
	EVP_MD_CTX *hash;
	int fd;
	uint64_t size;
	uint64_t size_max;
	bool broken; /* an append failed: what is in the file is not what was hashed */
	char name[2 * 16 + 1];
};

static int disk_error(int error)
{
	return error == EDQUOT ? -ENOSPC : -error;
}

static void blob_name(const struct id *digest, char out[static NAME_MAX_BYTES])
{
	char hex[ID_TEXT_MAX];

	id_text(digest, hex);
	snprintf(out, NAME_MAX_BYTES, "%.2s/%s", hex, hex);
}

static int make_subdirs(int dir)
{
	char name[3];

	for (unsigned int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "%02x", i);
		if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
			return disk_error(errno);
	}
	if (mkdirat(dir, INCOMING, 0700) < 0 && errno != EEXIST)
		return disk_error(errno);
	return fsync(dir) < 0 ? -errno : 0;
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Removes what an earlier process did not finish. */
static int sweep(int incoming)
{
	_cleanup_(closep) int fd = openat(incoming, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *entry;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d)
		return -errno;
	fd = -EBADF;
	while ((errno = 0, entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(incoming, entry->d_name, 0) < 0)
			return -errno;
	}
	return -errno;
}

int blob_open(const char *path, struct blob_store **ret_store)
{
	_cleanup_(blob_freep) struct blob_store *store = NULL;
	int r;

	r = file_make_private_dir(path);
	if (r < 0)
		return r;
	store = malloc(sizeof(*store));
	if (!store)
		return -ENOMEM;
	*store = (struct blob_store){ .dir = -EBADF, .incoming = -EBADF };
	store->dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (store->dir < 0)
		return -errno;
	if (flock(store->dir, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	r = make_subdirs(store->dir);
	if (r < 0)
		return r;
	store->incoming = openat(
		store->dir, INCOMING, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (store->incoming < 0)
		return -errno;
	r = sweep(store->incoming);
	if (r < 0)
		return r;
	*ret_store = take(&store);
	return 0;
}

void blob_free(struct blob_store *store)
{
	if (!store)
		return;
	closep(&store->incoming);
	closep(&store->dir);
	free(store);
}

int blob_write_new(struct blob_store *store, uint64_t size_max, struct blob_write **ret_write)
{
	_cleanup_(blob_write_freep) struct blob_write *w = NULL;
	uint8_t random[16];

	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct blob_write){ .store = store, .fd = -EBADF };
	w->size_max = MIN(size_max, BLOB_SIZE_MAX);
	w->hash = EVP_MD_CTX_new();
	if (!w->hash || EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	entropy_fill(random, sizeof(random));
	hex_encode(random, sizeof(random), w->name);
	w->fd = openat(store->incoming, w->name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->fd < 0)
		return disk_error(errno);
	*ret_write = take(&w);
	return 0;
}

int blob_write_append(struct blob_write *w, struct span bytes)
{
	int r;

	if (w->fd < 0 || w->broken)
		return -EINVAL;
	if (bytes.n > w->size_max - w->size)
		return REFUSED_PAYLOAD_SIZE;
	w->broken = true;
	r = file_write_all(w->fd, bytes.p, bytes.n);
	if (r < 0)
		return r;
	if (EVP_DigestUpdate(w->hash, bytes.p, bytes.n) != 1)
		return -ENOMEM;
	w->size += bytes.n;
	w->broken = false;
	return 0;
}

uint64_t blob_write_size(const struct blob_write *w)
{
	return w->size;
}

/* Removes the unfinished file and closes it. */
static void abandon(struct blob_write *w)
{
	if (w->fd < 0)
		return;
	unlinkat(w->store->incoming, w->name, 0);
	closep(&w->fd);
	w->fd = -EBADF;
}

static int publish(struct blob_write *w, const struct id *digest)
{
	_cleanup_(closep) int sub = -EBADF;
	char name[NAME_MAX_BYTES], digits[3] = { 0 };

	blob_name(digest, name);
	memcpy(digits, name, 2);
	sub = openat(w->store->dir, digits, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0)
		return -errno;
	if (fsync(w->fd) < 0)
		return disk_error(errno);
	/* Over a file of the same digest it changes nothing: the content is the same. */
	if (renameat(w->store->incoming, w->name, sub, name + 3) < 0)
		return disk_error(errno);
	closep(&w->fd);
	w->fd = -EBADF;
	return fsync(sub) < 0 ? -errno : 0;
}

int blob_write_finish(struct blob_write *w, const struct id *digest, uint64_t size)
{
	struct id found;
	unsigned int n = 0;
	int r;

	if (w->fd < 0 || w->broken)
		return -EINVAL;
	if (EVP_DigestFinal_ex(w->hash, found.b, &n) != 1 || n != sizeof(found.b))
		r = -ENOMEM;
	else if (w->size != size)
		r = REFUSED_PAYLOAD_SIZE;
	else if (!id_eq(&found, digest))
		r = REFUSED_PAYLOAD_DIGEST;
	else
		r = publish(w, digest);
	if (r != 0)
		abandon(w);
	return r;
}

void blob_write_free(struct blob_write *w)
{
	if (!w)
		return;
	abandon(w);
	EVP_MD_CTX_free(w->hash);
	free(w);
}

int blob_open_read(
	struct blob_store *store, const struct id *digest, int *ret_fd, uint64_t *ret_size)
{
	_cleanup_(closep) int fd = -EBADF;
	char name[NAME_MAX_BYTES];
	struct stat st;

	blob_name(digest, name);
	fd = openat(store->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? (int)REFUSED_PAYLOAD_UNKNOWN : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < 0)
		return -EUCLEAN;
	*ret_fd = take_fd(&fd);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

int blob_pread(int fd, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
	uint8_t *p = buf;
	size_t got = 0;

	if (offset > INT64_MAX - n)
		return -EINVAL;
	while (got < n) {
		ssize_t done = pread(fd, p + got, n - got, (off_t)(offset + got));

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (done == 0)
			break;
		got += (size_t)done;
	}
	*ret_n = got;
	return 0;
}

int blob_exists(struct blob_store *store, const struct id *digest)
{
	char name[NAME_MAX_BYTES];
	struct stat st;

	blob_name(digest, name);
	if (fstatat(store->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISREG(st.st_mode) ? 1 : -EUCLEAN;
}

int blob_remove(struct blob_store *store, const struct id *digest)
{
	_cleanup_(closep) int sub = -EBADF;
	char name[NAME_MAX_BYTES], digits[3] = { 0 };

	blob_name(digest, name);
	memcpy(digits, name, 2);
	sub = openat(store->dir, digits, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0)
		return -errno;
	if (unlinkat(sub, name + 3, 0) < 0)
		return errno == ENOENT ? (int)REFUSED_PAYLOAD_UNKNOWN : -errno;
	return fsync(sub) < 0 ? -errno : 0;
}

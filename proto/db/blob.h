#pragma once
/*
 * Payload files: named by the lower-case hex SHA-256 of their content, in 256 subdirectories by the
 * first two digits. A file under its name is whole, durable and never changes. What a payload
 * means, and how long it is kept, is its owner's business. A store may be used from several threads
 * at once, a handle from one at a time. Functions that can meet a refusal return
 * 0, a positive enum refusal, or a negative errno; a full disk or quota is -ENOSPC.
 */
#include "proto/base/refusal.h"

#define BLOB_SIZE_MAX (UINT64_C(1) << 34) /* bytes of one payload, 16 GiB */

struct blob_store;

/*
 * Opens the store in directory path, making it (mode 0700, durable) where it is missing. Unfinished
 * writes of an earlier process are removed: one process per store, which holds a lock: -EBUSY.
 */
_must_check_ int blob_open(const char *path, struct blob_store **ret_store);
void blob_free(struct blob_store *store);
static inline void blob_freep(struct blob_store **store)
{
	blob_free(*store);
}

/* A payload on its way in. */
struct blob_write;

/* Begins a payload of at most size_max bytes (and at most BLOB_SIZE_MAX). */
_must_check_ int blob_write_new(
	struct blob_store *store, uint64_t size_max, struct blob_write **ret_write);
/* Appends and hashes. REFUSED_PAYLOAD_SIZE where it grows over size_max, -ENOSPC, ... */
_must_check_ int blob_write_append(struct blob_write *write, struct span bytes);
/* Bytes appended so far. */
uint64_t blob_write_size(const struct blob_write *write);
/*
 * Ends it: REFUSED_PAYLOAD_SIZE or REFUSED_PAYLOAD_DIGEST where size or SHA-256 are others than
 * expected, and then nothing is kept. 0 once the file is durable under its name; a payload that
 * stands already is kept. The handle is to be freed in any case.
 */
_must_check_ int blob_write_finish(
	struct blob_write *write, const struct id *digest, uint64_t size);
/* Frees the handle, and removes what was not finished. Takes NULL. */
void blob_write_free(struct blob_write *write);
static inline void blob_write_freep(struct blob_write **write)
{
	blob_write_free(*write);
}

/*
 * Opens a payload for reading (with pread). Returns 0, a descriptor that the caller closes, and the
 * size; REFUSED_PAYLOAD_UNKNOWN; or a negative errno.
 */
_must_check_ int blob_open_read(
	struct blob_store *store, const struct id *digest, int *ret_fd, uint64_t *ret_size);
/* Reads up to n bytes at offset, fewer only at the end. Returns 0 and *ret_n, or a negative errno.
 */
_must_check_ int blob_pread(int fd, void *buf, size_t n, uint64_t offset, size_t *ret_n);
/* 1 where it is stored, 0 where not, or a negative errno. */
_must_check_ int blob_exists(struct blob_store *store, const struct id *digest);
/* Removes a payload durably. 0, REFUSED_PAYLOAD_UNKNOWN, or a negative errno. */
_must_check_ int blob_remove(struct blob_store *store, const struct id *digest);

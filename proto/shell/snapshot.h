#pragma once
/*
 * A copy of a daemon's database and payload files in a directory, made in small steps between its
 * batches. The database comes first, as it is at one commit; payload files never change, and one
 * that was deleted meanwhile may be missing.
 */
#include "proto/db/db.h"

struct snapshot;

/*
 * db may be NULL, blobs_path too. dest_dir is an absolute path of an existing directory; payloads
 * go to its subdirectory "payloads", as hard links where that is possible. -EINVAL for another
 * path.
 */
_must_check_ int snapshot_new(struct db *db, const char *blobs_path, const char *dest_dir,
	struct snapshot **ret_snapshot);
/* 1 where there is more to do, 0 when all of it is durable, or a negative errno. */
_must_check_ int snapshot_step(struct snapshot *snapshot);
/* Takes NULL. */
void snapshot_free(struct snapshot *snapshot);

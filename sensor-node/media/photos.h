#pragma once
/*
 * Photographs on disk, handed out one after another, byte for byte, and from the first again after
 * the last. Knows nothing of GStreamer; locking is the caller's.
 */
#include "sensor-node/media/camera.h"

struct photos;

/*
 * path: a JPEG file, or a folder with at least one name ending in .jpg or .jpeg (any case), at most
 * CAMERA_PHOTOS_MAX of them. The first one must be a JPEG. Returns 0, or -ENOENT, -EBADMSG, -EFBIG,
 * -ENOMEM or another errno of the file system, with a sentence.
 */
_must_check_ int photos_open(
	const char *path, struct camera_error *ret_error, struct photos **ret_photos);

/*
 * The next photograph that satisfies the wish's size. Sets jpeg, jpeg_n, width and height of
 * *ret_shot. Returns 0 or -ERANGE, -EBADMSG, -EFBIG, -ENOMEM or an errno of the file system.
 */
_must_check_ int photos_next(struct photos *photos, const struct camera_wish *wish,
	struct camera_error *ret_error, struct camera_shot *ret_shot);

void photos_close(struct photos *photos);

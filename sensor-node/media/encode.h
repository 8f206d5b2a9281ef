#pragma once
/*
 * Makes one JPEG out of one GStreamer sample, scaled if asked. A pipeline of its own each time: no
 * state of one frame, or of one hostile stream, is left for the next.
 */
#include "sensor-node/media/camera.h"

#include <gst/gst.h>

#define ENCODE_TIMEOUT_MS 5000

/*
 * sample: video/x-raw or image/jpeg. The result is I420 of width x height at CAMERA_QUALITY. The
 * bytes are the caller's, to free(). Returns 0, -EBADMSG (it does not decode), -EFBIG, -ENOENT (a
 * plugin is missing), -ENOMEM, with a sentence.
 */
_must_check_ int encode_jpeg(GstSample *sample, uint32_t width, uint32_t height,
	struct camera_error *ret_error, uint8_t **ret_jpeg, size_t *ret_n);

/* Copies a sample's bytes, which are the caller's, to free(). Returns 0, -EFBIG, -ENOMEM, -EIO. */
_must_check_ int encode_copy(
	GstSample *sample, struct camera_error *ret_error, uint8_t **ret_bytes, size_t *ret_n);

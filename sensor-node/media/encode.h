#pragma once
/*
 * Makes JPEGs out of GStreamer samples with libjpeg-turbo, scaled if asked. A raw I420 frame of the
 * right size, which is the usual one, is compressed where it lies. Others first go through a
 * pipeline that is kept playing from one frame to the next, as building one costs several times
 * what encoding does; it is built anew for frames of another form or size, and after any failure.
 * Frames that are themselves JPEGs, whose decoder works on a stranger's bytes, get a pipeline of
 * their own each time, so that nothing of one is left for the next.
 */
#include "sensor-node/media/camera.h"

#include <gst/gst.h>

#define ENCODE_TIMEOUT_MS 5000

struct encoder;

/* NULL without memory. */
struct encoder *encode_new(void);
/* Stops and frees. Nobody may be in encode_jpeg(). Takes NULL. */
void encode_free(struct encoder *encoder);

/*
 * sample: video/x-raw or image/jpeg. The result is I420 of width x height at CAMERA_QUALITY. The
 * bytes are the caller's, to free(). From several threads: one frame after another. Returns 0,
 * -EBADMSG (it does not decode), -EFBIG, -ENOENT (a plugin is missing), -ENOMEM, with a sentence.
 */
_must_check_ int encode_jpeg(struct encoder *encoder, GstSample *sample, uint32_t width,
	uint32_t height, struct camera_error *ret_error, uint8_t **ret_jpeg, size_t *ret_n);

/* Copies a sample's bytes, which are the caller's, to free(). Returns 0, -EFBIG, -ENOMEM, -EIO. */
_must_check_ int encode_copy(
	GstSample *sample, struct camera_error *ret_error, uint8_t **ret_bytes, size_t *ret_n);

#pragma once
/*
 * Builds GStreamer pipelines out of named elements only: source, demuxer or depayloader, parser,
 * decoder, and an appsink, the tap, that holds one buffer. A stream of another kind than H.264,
 * H.265 or JPEG ends in an error on the bus. Knows nothing of time, threads and reconnection.
 */
#include "sensor-node/media/camera.h"

#include <gst/gst.h>

#define CHAIN_DECODER_THREADS 2

enum chain_kind {
	CHAIN_TEST,
	CHAIN_V4L2,
	CHAIN_RTSP,
	CHAIN_QT,
	CHAIN_MATROSKA,
	CHAIN_AVI,
};

struct chain_plan {
	enum chain_kind kind;
	char location[CAMERA_SOURCE_MAX]; /* device, address or file */
	uint32_t width; /* test and v4l2; 0: the device's choice */
	uint32_t height;
	uint32_t fps;
	uint32_t latency_ms; /* rtsp */
};

/* An owned GStreamer object, for _cleanup_. */
static inline void chain_unrefp(void *pp)
{
	void *object = *(void **)pp;

	if (object)
		gst_object_unref(object);
}

/*
 * Makes the pipeline of a plan, in state NULL. Pads that come later are linked by themselves.
 * Returns 0 with a reference to the pipeline and one to its appsink, or -ENOENT where a GStreamer
 * plugin is missing, with a sentence that names it.
 */
_must_check_ int chain_build(const struct chain_plan *plan, struct camera_error *ret_error,
	GstElement **ret_pipeline, GstElement **ret_tap);

/* Writes the names of the elements that lead to tap, "v4l2src ! capsfilter", while they are linked.
 */
void chain_describe(GstElement *tap, char out[static CAMERA_TEXT_MAX]);

/*
 * Adds an element to the bin and links it after *last, if there is one; *last moves on to it (the
 * bin owns it). Returns 0 or -ENOENT, with a sentence.
 */
_must_check_ int chain_add(
	GstBin *bin, const char *factory, GstElement **last, struct camera_error *ret_error);
/* The same with a capsfilter for caps in GStreamer's text form; -EINVAL where they are malformed.
 */
_must_check_ int chain_add_caps(
	GstBin *bin, const char *caps, GstElement **last, struct camera_error *ret_error);

#include "sensor-node/media/encode.h"

#include "sensor-node/media/chain.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/video/video.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <turbojpeg.h>

/* Whether a raw frame has the bytes that its form needs: the pipeline would drop it in silence. */
static bool encode_is_whole(GstSample *sample, GstVideoInfo *ret_info)
{
	const GstCaps *caps = gst_sample_get_caps(sample);
	GstBuffer *buffer = gst_sample_get_buffer(sample);

	return caps && buffer && gst_video_info_from_caps(ret_info, caps) &&
	       (gst_buffer_get_video_meta(buffer) || gst_buffer_get_size(buffer) >= ret_info->size);
}

/* A pipeline from an appsrc to an appsink that holds one I420 frame. */
struct line {
	GstElement *pipeline;
	GstElement *src; /* the pipeline's */
	GstElement *sink; /* the pipeline's */
};

/* Invariants: warm.pipeline plays and is empty, or is NULL; room has room_n bytes. All are guarded
 * by lock. */
struct encoder {
	pthread_mutex_t lock;
	tjhandle turbo;
	unsigned char *room;
	unsigned long room_n;
	struct line warm;
	GstCaps *caps; /* what warm takes, and gives: */
	uint32_t width;
	uint32_t height;
};

int encode_copy(
	GstSample *sample, struct camera_error *ret_error, uint8_t **ret_bytes, size_t *ret_n)
{
	GstBuffer *buffer = gst_sample_get_buffer(sample);
	GstMapInfo map;
	int r = 0;

	if (!buffer || !gst_buffer_map(buffer, &map, GST_MAP_READ)) {
		camera_error_set(ret_error, "The frame's memory cannot be read.");
		return -EIO;
	}
	uint8_t *bytes = NULL;

	if (map.size > CAMERA_JPEG_MAX) {
		camera_error_set(
			ret_error, "The frame is over 16 MiB: set max_width and max_height.");
		r = -EFBIG;
	} else {
		bytes = malloc(map.size > 0 ? map.size : 1);
		if (bytes) {
			memcpy(bytes, map.data, map.size);
			*ret_bytes = bytes;
			*ret_n = map.size;
		} else {
			r = -ENOMEM;
		}
	}
	gst_buffer_unmap(buffer, &map);
	return r;
}

static bool encode_is_jpeg(GstSample *sample)
{
	const GstCaps *caps = gst_sample_get_caps(sample);

	return caps && gst_structure_has_name(gst_caps_get_structure(caps, 0), "image/jpeg");
}

static void line_close(struct line *line)
{
	if (!line->pipeline)
		return;
	gst_element_set_state(line->pipeline, GST_STATE_NULL);
	gst_object_unref(line->pipeline);
	*line = (struct line){ 0 };
}

/* On failure too, the caller closes it. */
static int line_open(struct line *line, GstSample *sample, uint32_t width, uint32_t height,
	struct camera_error *error)
{
	GstElement *pipeline = gst_object_ref_sink(gst_pipeline_new("encode"));
	GstBin *bin = GST_BIN(pipeline);
	char caps[128];
	GstElement *last = NULL;

	*line = (struct line){ .pipeline = pipeline };

	int r = chain_add(bin, "appsrc", &last, error);

	line->src = last;
	if (r == 0 && encode_is_jpeg(sample))
		r = chain_add(bin, "jpegparse", &last, error);
	if (r == 0 && encode_is_jpeg(sample))
		r = chain_add(bin, "jpegdec", &last, error);
	if (r == 0)
		r = chain_add(bin, "videoconvert", &last, error);
	if (r == 0)
		r = chain_add(bin, "videoscale", &last, error);
	if (r < 0)
		return r;
	snprintf(caps, sizeof(caps), "video/x-raw,format=I420,width=(int)%u,height=(int)%u", width,
		height);
	r = chain_add_caps(bin, caps, &last, error);
	if (r == 0)
		r = chain_add(bin, "appsink", &last, error);
	if (r < 0)
		return r;
	line->sink = last;
	g_object_set(line->src, "format", GST_FORMAT_TIME, NULL);
	g_object_set(line->sink, "sync", FALSE, "async", FALSE, "max-buffers", 1u,
		"enable-last-sample", FALSE, NULL);
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	return 0;
}

/* The pipeline's own words for why there was no picture. */
static void line_explain(const struct line *line, struct camera_error *error)
{
	_cleanup_(chain_unrefp) GstBus *bus = gst_element_get_bus(line->pipeline);
	GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
	GError *reason = NULL;

	if (message)
		gst_message_parse_error(message, &reason, NULL);
	camera_error_set(
		error, "The frame does not decode: %s", reason ? reason->message : "no picture.");
	g_clear_error(&reason);
	if (message)
		gst_message_unref(message);
}

/* Sample in, I420 frame out: the caller's, to gst_sample_unref(). */
static int line_run(struct line *line, GstSample *sample, bool last, struct camera_error *error,
	GstSample **ret_frame)
{
	gst_app_src_push_sample(GST_APP_SRC(line->src), sample);
	if (last)
		gst_app_src_end_of_stream(GST_APP_SRC(line->src));

	GstSample *frame = gst_app_sink_try_pull_sample(
		GST_APP_SINK(line->sink), ENCODE_TIMEOUT_MS * NS_PER_MS);

	if (!frame) {
		line_explain(line, error);
		return -EBADMSG;
	}
	*ret_frame = frame;
	return 0;
}

/* Under the lock. */
static void cool(struct encoder *e)
{
	line_close(&e->warm);
	gst_caps_replace(&e->caps, NULL);
}

struct encoder *encode_new(void)
{
	struct encoder *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	pthread_mutex_init(&e->lock, NULL);
	e->turbo = tjInitCompress();
	if (e->turbo)
		return e;
	encode_free(e);
	return NULL;
}

void encode_free(struct encoder *e)
{
	if (!e)
		return;
	cool(e);
	if (e->turbo)
		tjDestroy(e->turbo);
	free(e->room);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* Under the lock. */
static int make_room(struct encoder *e, unsigned long n)
{
	if (n > e->room_n) {
		free(e->room);
		e->room_n = 0;
		e->room = malloc(n);
		if (!e->room)
			return -ENOMEM;
		e->room_n = n;
	}
	return 0;
}

/* Under the lock. frame is mapped. */
static int compress(struct encoder *e, const GstVideoFrame *frame, struct camera_error *error,
	uint8_t **ret_jpeg, size_t *ret_n)
{
	int width = GST_VIDEO_FRAME_WIDTH(frame);
	int height = GST_VIDEO_FRAME_HEIGHT(frame);
	const unsigned char *planes[3];
	int strides[3];
	unsigned long n;
	int r = make_room(e, tjBufSize(width, height, TJSAMP_420));

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < 3; i++) {
		planes[i] = GST_VIDEO_FRAME_PLANE_DATA(frame, i);
		strides[i] = GST_VIDEO_FRAME_PLANE_STRIDE(frame, i);
	}
	n = e->room_n;
	if (tjCompressFromYUVPlanes(e->turbo, planes, width, strides, height, TJSAMP_420, &e->room,
		    &n, CAMERA_QUALITY, TJFLAG_NOREALLOC) < 0) {
		camera_error_set(
			error, "The frame cannot be compressed: %s", tjGetErrorStr2(e->turbo));
		return -EBADMSG;
	}
	if (n > CAMERA_JPEG_MAX) {
		camera_error_set(
			error, "The picture is over 16 MiB: set max_width and max_height.");
		return -EFBIG;
	}

	uint8_t *jpeg = malloc(n);

	if (!jpeg)
		return -ENOMEM;
	memcpy(jpeg, e->room, n);
	*ret_jpeg = jpeg;
	*ret_n = n;
	return 0;
}

/* Under the lock. */
static int encode_frame(struct encoder *e, GstSample *sample, struct camera_error *error,
	uint8_t **ret_jpeg, size_t *ret_n)
{
	GstVideoInfo info;
	GstVideoFrame frame;

	if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) ||
		!gst_video_frame_map(&frame, &info, gst_sample_get_buffer(sample), GST_MAP_READ)) {
		camera_error_set(error, "The frame's memory cannot be read.");
		return -EBADMSG;
	}

	int r = compress(e, &frame, error, ret_jpeg, ret_n);

	gst_video_frame_unmap(&frame);
	return r;
}

/* A stranger's JPEG: a pipeline that ends with it. */
static int convert_once(GstSample *sample, uint32_t width, uint32_t height,
	struct camera_error *error, GstSample **ret_frame)
{
	struct line line;
	int r = line_open(&line, sample, width, height, error);

	if (r == 0)
		r = line_run(&line, sample, true, error, ret_frame);
	line_close(&line);
	return r;
}

/* Under the lock. */
static int convert_warm(struct encoder *e, GstSample *sample, uint32_t width, uint32_t height,
	struct camera_error *error, GstSample **ret_frame)
{
	GstCaps *caps = gst_sample_get_caps(sample);
	int r = 0;

	if (e->warm.pipeline &&
		(e->width != width || e->height != height || !gst_caps_is_equal(e->caps, caps)))
		cool(e);
	if (!e->warm.pipeline) {
		r = line_open(&e->warm, sample, width, height, error);
		gst_caps_replace(&e->caps, caps);
		e->width = width;
		e->height = height;
	}
	if (r == 0)
		r = line_run(&e->warm, sample, false, error, ret_frame);
	/* What did not come out in time must not come out as the next one. */
	if (r < 0)
		cool(e);
	return r;
}

/* An I420 frame of that size, which may be the sample itself: to gst_sample_unref(). Under the
 * lock. */
static int encode_convert(struct encoder *e, GstSample *sample, uint32_t width, uint32_t height,
	struct camera_error *error, GstSample **ret_frame)
{
	GstVideoInfo info;

	if (encode_is_jpeg(sample))
		return convert_once(sample, width, height, error, ret_frame);
	if (!encode_is_whole(sample, &info)) {
		camera_error_set(error, "The source sent a frame that was cut short.");
		return -EBADMSG;
	}
	if (GST_VIDEO_INFO_FORMAT(&info) != GST_VIDEO_FORMAT_I420 ||
		GST_VIDEO_INFO_WIDTH(&info) != (int)width ||
		GST_VIDEO_INFO_HEIGHT(&info) != (int)height)
		return convert_warm(e, sample, width, height, error, ret_frame);
	*ret_frame = gst_sample_ref(sample);
	return 0;
}

int encode_jpeg(struct encoder *encoder, GstSample *sample, uint32_t width, uint32_t height,
	struct camera_error *ret_error, uint8_t **ret_jpeg, size_t *ret_n)
{
	GstSample *frame = NULL;
	int r;

	pthread_mutex_lock(&encoder->lock);
	r = encode_convert(encoder, sample, width, height, ret_error, &frame);
	if (r == 0)
		r = encode_frame(encoder, frame, ret_error, ret_jpeg, ret_n);
	pthread_mutex_unlock(&encoder->lock);
	if (frame)
		gst_sample_unref(frame);
	return r;
}

#include "sensor-node/media/encode.h"

#include "sensor-node/media/chain.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <stdio.h>
#include <stdlib.h>

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

static int encode_build(GstBin *bin, GstSample *sample, uint32_t width, uint32_t height,
	struct camera_error *error, GstElement **ret_src, GstElement **ret_sink)
{
	char caps[128];
	GstElement *last = NULL;
	int r = chain_add(bin, "appsrc", &last, error);

	*ret_src = last;
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
		r = chain_add(bin, "jpegenc", &last, error);
	if (r < 0)
		return r;
	g_object_set(last, "quality", CAMERA_QUALITY, NULL);
	r = chain_add(bin, "appsink", &last, error);
	if (r == 0)
		g_object_set(last, "sync", FALSE, "max-buffers", 1u, NULL);
	*ret_sink = last;
	return r;
}

/* The pipeline's own words for why there was no picture. */
static void encode_explain(GstElement *pipeline, struct camera_error *error)
{
	_cleanup_(chain_unrefp) GstBus *bus = gst_element_get_bus(pipeline);
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

int encode_jpeg(GstSample *sample, uint32_t width, uint32_t height, struct camera_error *ret_error,
	uint8_t **ret_jpeg, size_t *ret_n)
{
	_cleanup_(chain_unrefp)
		GstElement *pipeline = gst_object_ref_sink(gst_pipeline_new("encode"));
	GstElement *src = NULL;
	GstElement *sink = NULL;
	int r = encode_build(GST_BIN(pipeline), sample, width, height, ret_error, &src, &sink);

	if (r < 0)
		return r;
	g_object_set(src, "format", GST_FORMAT_TIME, NULL);
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	gst_app_src_push_sample(GST_APP_SRC(src), sample);
	gst_app_src_end_of_stream(GST_APP_SRC(src));

	GstSample *jpeg = gst_app_sink_try_pull_sample(
		GST_APP_SINK(sink), ENCODE_TIMEOUT_MS * NS_PER_MS);

	if (jpeg) {
		r = encode_copy(jpeg, ret_error, ret_jpeg, ret_n);
		gst_sample_unref(jpeg);
	} else {
		encode_explain(pipeline, ret_error);
		r = -EBADMSG;
	}
	gst_element_set_state(pipeline, GST_STATE_NULL);
	return r;
}

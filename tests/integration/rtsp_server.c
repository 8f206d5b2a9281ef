/*
 * A network camera for tests: rtsp-server FILE [h264|h265|jpeg [PORT]] serves the video of an MP4
 * (h264, h265) or AVI (jpeg) file in an endless loop on that port of 127.0.0.1, or a free one.
 * Prints one line, the address, when it listens, and ends on SIGTERM or SIGINT.
 */
#include "proto/base/base.h"

#include <glib-unix.h>
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/rtsp-server/rtsp-server.h>
#include <stdio.h>
#include <stdlib.h>

#define FRAMES_MAX 10000u

static const struct codec {
	const char *name, *reader, *media;
} codecs[] = {
	{ "h264",
		"filesrc name=file ! qtdemux ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au",
		"( appsrc name=frames ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )" },
	{ "h265",
		"filesrc name=file ! qtdemux ! h265parse ! video/x-h265,stream-format=byte-stream,alignment=au",
		"( appsrc name=frames ! h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1 )" },
	{ "jpeg", "filesrc name=file ! avidemux ! image/jpeg",
		"( appsrc name=frames ! rtpjpegpay name=pay0 pt=26 )" },
};

static struct {
	GstBuffer *frames[FRAMES_MAX];
	size_t n;
	GstCaps *caps;
	GstClockTime length;
} clip;

/* Where one viewer's media stands in the clip. */
struct position {
	size_t next;
	GstClockTime turn;
};

static bool read_clip(const char *path, const struct codec *codec)
{
	char text[256];

	snprintf(text, sizeof(text), "%s ! appsink name=out sync=false", codec->reader);
	GstElement *pipeline = gst_parse_launch(text, NULL);

	if (!pipeline)
		return false;
	GstElement *file = gst_bin_get_by_name(GST_BIN(pipeline), "file");
	GstElement *out = gst_bin_get_by_name(GST_BIN(pipeline), "out");
	GstSample *sample;

	g_object_set(file, "location", path, NULL);
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	while (clip.n < FRAMES_MAX && (sample = gst_app_sink_pull_sample(GST_APP_SINK(out)))) {
		GstBuffer *frame = gst_sample_get_buffer(sample);

		clip.frames[clip.n++] = gst_buffer_ref(frame);
		gst_caps_replace(&clip.caps, gst_sample_get_caps(sample));
		if (GST_BUFFER_PTS_IS_VALID(frame) && GST_BUFFER_DURATION_IS_VALID(frame))
			clip.length = MAX(
				clip.length, GST_BUFFER_PTS(frame) + GST_BUFFER_DURATION(frame));
		gst_sample_unref(sample);
	}
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(file);
	gst_object_unref(out);
	gst_object_unref(pipeline);
	return clip.n > 0 && clip.length > 0;
}

static void on_need_data(GstElement *source, guint wanted, void *user)
{
	struct position *at = user;
	GstBuffer *frame = gst_buffer_copy(clip.frames[at->next]);

	(void)wanted;
	if (GST_BUFFER_PTS_IS_VALID(frame))
		GST_BUFFER_PTS(frame) += at->turn;
	if (GST_BUFFER_DTS_IS_VALID(frame))
		GST_BUFFER_DTS(frame) += at->turn;
	if (++at->next == clip.n) {
		at->next = 0;
		at->turn += clip.length;
	}
	/* a viewer who has gone is no matter: the media is then unprepared by the server */
	gst_app_src_push_buffer(GST_APP_SRC(source), frame);
}

static void free_position(void *user, GClosure *closure)
{
	(void)closure;
	free(user);
}

static void on_configure(GstRTSPMediaFactory *factory, GstRTSPMedia *media, void *user)
{
	GstElement *bin = gst_rtsp_media_get_element(media);
	GstElement *source = gst_bin_get_by_name_recurse_up(GST_BIN(bin), "frames");
	struct position *at = calloc(1, sizeof(*at));

	(void)factory;
	(void)user;
	assert(at);
	g_object_set(source, "format", GST_FORMAT_TIME, "caps", clip.caps, NULL);
	g_signal_connect_data(source, "need-data", G_CALLBACK(on_need_data), at, free_position, 0);
	gst_object_unref(source);
	gst_object_unref(bin);
}

static gboolean on_signal(void *user)
{
	g_main_loop_quit(user);
	return G_SOURCE_CONTINUE;
}

static int serve(const struct codec *codec, const char *port)
{
	GMainLoop *loop = g_main_loop_new(NULL, FALSE);
	GstRTSPServer *server = gst_rtsp_server_new();
	GstRTSPMountPoints *mounts = gst_rtsp_server_get_mount_points(server);
	GstRTSPMediaFactory *factory = gst_rtsp_media_factory_new();

	gst_rtsp_server_set_address(server, "127.0.0.1");
	gst_rtsp_server_set_service(server, port);
	gst_rtsp_media_factory_set_launch(factory, codec->media);
	gst_rtsp_media_factory_set_shared(factory, TRUE);
	g_signal_connect(factory, "media-configure", G_CALLBACK(on_configure), NULL);
	gst_rtsp_mount_points_add_factory(mounts, "/camera", factory);
	g_object_unref(mounts);
	g_unix_signal_add(SIGTERM, on_signal, loop);
	g_unix_signal_add(SIGINT, on_signal, loop);

	unsigned attached = gst_rtsp_server_attach(server, NULL);

	if (attached) {
		printf("rtsp://127.0.0.1:%d/camera\n", gst_rtsp_server_get_bound_port(server));
		fflush(stdout);
		g_main_loop_run(loop);
		g_source_remove(attached);
	} else {
		fprintf(stderr, "rtsp-server: no port on 127.0.0.1 is free.\n");
	}
	g_object_unref(server);
	g_main_loop_unref(loop);
	return attached ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct codec *codec = NULL;

	gst_init(NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
		if (strcmp(argc >= 3 ? argv[2] : "h264", codecs[i].name) == 0)
			codec = &codecs[i];
	if (argc < 2 || argc > 4 || !codec) {
		fprintf(stderr, "usage: rtsp-server FILE [h264|h265|jpeg [PORT]]\n");
		return 2;
	}
	if (!read_clip(argv[1], codec)) {
		fprintf(stderr, "rtsp-server: %s holds no %s video.\n", argv[1], codec->name);
		return 1;
	}
	return serve(codec, argc == 4 ? argv[3] : "0");
}

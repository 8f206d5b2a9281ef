#include "sensor-node/media/chain.h"

#include "proto/base/buf.h"

#include <gst/app/gstappsink.h>

#define DIM_CAPS "width=(int)[1,16384],height=(int)[1,16384]"

_Static_assert(CAMERA_DIM_MAX == 16384, "DIM_CAPS must say the same");

#define CHAIN_CODEC_ELEMENTS 4
#define CHAIN_DEPTH_MAX      8

/* What may follow a depayloader or demuxer. caps stand before the decoder, so that it never
 * allocates for a size that nobody wants. */
static const struct chain_codec {
	const char *media; /* caps name of a demuxer's pad, or NULL */
	const char *encoding; /* RTP encoding name, or NULL */
	const char *depay;
	const char *parse;
	const char *caps;
	const char *decode;
} chain_codecs[] = {
	{ "video/x-h264", NULL, NULL, "h264parse", "video/x-h264," DIM_CAPS, "avdec_h264" },
	{ "video/x-h265", NULL, NULL, "h265parse", "video/x-h265," DIM_CAPS, "avdec_h265" },
	{ "image/jpeg", NULL, NULL, NULL, "image/jpeg," DIM_CAPS, NULL },
	{ NULL, "H264", "rtph264depay", "h264parse", "video/x-h264," DIM_CAPS, "avdec_h264" },
	{ NULL, "H265", "rtph265depay", "h265parse", "video/x-h265," DIM_CAPS, "avdec_h265" },
	{ NULL, "JPEG", "rtpjpegdepay", NULL, "image/jpeg," DIM_CAPS, NULL },
};

int chain_add(GstBin *bin, const char *factory, GstElement **last, struct camera_error *error)
{
	GstElement *element = gst_element_factory_make(factory, NULL);

	if (!element) {
		camera_error_set(
			error, "GStreamer has no element %s: install its plugin package.", factory);
		return -ENOENT;
	}
	gst_bin_add(bin, element);
	if (*last && !gst_element_link(*last, element)) {
		camera_error_set(error, "GStreamer cannot link %s.", factory);
		return -ENOENT;
	}
	*last = element;
	return 0;
}

int chain_add_caps(GstBin *bin, const char *text, GstElement **last, struct camera_error *error)
{
	GstCaps *caps = gst_caps_from_string(text);
	int r = caps ? chain_add(bin, "capsfilter", last, error) : -EINVAL;

	if (r == 0)
		g_object_set(*last, "caps", caps, NULL);
	if (caps)
		gst_caps_unref(caps);
	return r;
}

static void chain_limit_decoder(GstElement *decoder)
{
	g_object_set(decoder, "max-threads", CHAIN_DECODER_THREADS, NULL);
	/* slices, not frames: frame threads would hold back as many frames as there are threads */
	gst_util_set_object_arg(G_OBJECT(decoder), "thread-type", "slice");
}

static const struct chain_codec *chain_codec_of(GstPad *pad)
{
	GstCaps *caps = gst_pad_get_current_caps(pad);
	const struct chain_codec *found = NULL;

	if (!caps)
		caps = gst_pad_query_caps(pad, NULL);
	if (caps && !gst_caps_is_empty(caps) && !gst_caps_is_any(caps)) {
		const GstStructure *s = gst_caps_get_structure(caps, 0);
		const char *encoding = gst_structure_get_string(s, "encoding-name");

		for (size_t i = 0; i < ARRAY_SIZE(chain_codecs) && !found; i++) {
			const struct chain_codec *c = &chain_codecs[i];

			if (c->media ? gst_structure_has_name(s, c->media)
				     : encoding && g_ascii_strcasecmp(encoding, c->encoding) == 0)
				found = c;
		}
	}
	if (caps)
		gst_caps_unref(caps);
	return found;
}

/* Adds what comes between the new pad and the tap. Returns how many elements, first to last. */
static int chain_add_codec(GstBin *bin, const struct chain_codec *codec,
	GstElement *elements[static CHAIN_CODEC_ELEMENTS], struct camera_error *error)
{
	const char *factories[] = { codec->depay, codec->parse };
	GstElement *last = NULL;
	int n = 0;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(factories); i++) {
		if (!factories[i])
			continue;
		r = chain_add(bin, factories[i], &last, error);
		if (r < 0)
			return r;
		elements[n++] = last;
	}
	r = chain_add_caps(bin, codec->caps, &last, error);
	if (r < 0)
		return r;
	elements[n++] = last;
	if (codec->decode) {
		r = chain_add(bin, codec->decode, &last, error);
		if (r < 0)
			return r;
		chain_limit_decoder(last);
		elements[n++] = last;
	}
	return n;
}

/* Links from the tap backwards and the pad last, when all are running, so that no data reaches a
 * stopped element. */
static int chain_link_pad(GstBin *bin, GstElement *tap, GstPad *pad,
	const struct chain_codec *codec, struct camera_error *error)
{
	GstElement *elements[CHAIN_CODEC_ELEMENTS];
	int n = chain_add_codec(bin, codec, elements, error);

	if (n < 0)
		return n;
	if (!gst_element_link(elements[n - 1], tap)) {
		camera_error_set(error, "The stream cannot be linked to the tap.");
		return -EBADMSG;
	}
	for (int i = n; i-- > 0;)
		gst_element_sync_state_with_parent(elements[i]);

	_cleanup_(chain_unrefp) GstPad *sink = gst_element_get_static_pad(elements[0], "sink");

	if (!sink || GST_PAD_LINK_FAILED(gst_pad_link(pad, sink))) {
		camera_error_set(error, "The stream does not fit its decoder.");
		return -EBADMSG;
	}
	return 0;
}

static bool chain_is_linked(GstElement *tap)
{
	_cleanup_(chain_unrefp) GstPad *sink = gst_element_get_static_pad(tap, "sink");

	return sink && gst_pad_is_linked(sink);
}

static void chain_on_pad(GstElement *source, GstPad *pad, void *user)
{
	GstElement *tap = user;
	const struct chain_codec *codec = chain_codec_of(pad);
	_cleanup_(chain_unrefp) GstObject *bin = gst_object_get_parent(GST_OBJECT(tap));
	struct camera_error error = { "" };

	(void)source;
	/* other streams stay unlinked; a source without any that fits is reported by no-more-pads
	 */
	if (!codec || !bin || chain_is_linked(tap))
		return;
	if (chain_link_pad(GST_BIN(bin), tap, pad, codec, &error) < 0)
		GST_ELEMENT_ERROR(tap, STREAM, WRONG_TYPE, ("%s", error.text), (NULL));
}

static void chain_on_no_more_pads(GstElement *source, void *user)
{
	GstElement *tap = user;

	(void)source;
	if (!chain_is_linked(tap))
		GST_ELEMENT_ERROR(tap, STREAM, WRONG_TYPE,
			("It holds no H.264, H.265 or JPEG video."), (NULL));
}

static int chain_on_select(GstElement *source, unsigned stream, GstCaps *caps, void *user)
{
	const char *media = gst_structure_get_string(gst_caps_get_structure(caps, 0), "media");

	(void)source;
	(void)stream;
	(void)user;
	return media && strcmp(media, "video") == 0;
}

/* Appends the caps of one medium to text, as narrow as the plan asks. */
static void chain_medium(struct buf *text, const struct chain_plan *plan, const char *medium)
{
	buf_printf(text, "%s%s", text->n > 0 ? ";" : "", medium);
	if (plan->width > 0)
		buf_printf(text, ",width=(int)%u,height=(int)%u", plan->width, plan->height);
	else
		buf_printf(text, "," DIM_CAPS);
	if (plan->fps > 0)
		buf_printf(text, ",framerate=(fraction)%u/1", plan->fps);
}

static int chain_build_source(
	GstBin *bin, const struct chain_plan *plan, GstElement *tap, struct camera_error *error)
{
	bool test = plan->kind == CHAIN_TEST;
	GstElement *last = NULL;
	char caps[512];
	struct buf text = buf_over(caps, sizeof(caps));
	int r = chain_add(bin, test ? "videotestsrc" : "v4l2src", &last, error);

	if (r < 0)
		return r;
	if (test)
		g_object_set(last, "is-live", TRUE, NULL);
	else
		g_object_set(last, "device", plan->location, NULL);
	/* JPEG first: from a camera that has both, the bytes are then its own */
	if (!test)
		chain_medium(&text, plan, "image/jpeg");
	/* the pattern can be had in what the encoder wants; left to itself it takes 64 bits a pixel
	 */
	chain_medium(&text, plan, test ? "video/x-raw,format=I420" : "video/x-raw");
	buf_byte(&text, 0);
	if (!buf_ok(&text))
		return -EINVAL;
	r = chain_add_caps(bin, caps, &last, error);
	if (r == 0 && !gst_element_link(last, tap)) {
		camera_error_set(error, "The source cannot be linked to the tap.");
		r = -EBADMSG;
	}
	return r;
}

static int chain_build_rtsp(
	GstBin *bin, const struct chain_plan *plan, GstElement *tap, struct camera_error *error)
{
	GstElement *source = NULL;
	int r = chain_add(bin, "rtspsrc", &source, error);

	if (r < 0)
		return r;
	g_object_set(source, "location", plan->location, "latency", plan->latency_ms, "tcp-timeout",
		(guint64)5000000, "timeout", (guint64)5000000, NULL);
	/* interleaved only: passes NAT and firewalls, and no stranger can send packets into it */
	gst_util_set_object_arg(G_OBJECT(source), "protocols", "tcp");
	g_signal_connect(source, "select-stream", G_CALLBACK(chain_on_select), NULL);
	g_signal_connect(source, "pad-added", G_CALLBACK(chain_on_pad), tap);
	g_signal_connect(source, "no-more-pads", G_CALLBACK(chain_on_no_more_pads), tap);
	return 0;
}

static int chain_build_file(GstBin *bin, const struct chain_plan *plan, const char *demuxer,
	GstElement *tap, struct camera_error *error)
{
	GstElement *last = NULL;
	int r = chain_add(bin, "filesrc", &last, error);

	if (r < 0)
		return r;
	g_object_set(last, "location", plan->location, NULL);
	g_object_set(tap, "sync", TRUE, NULL);
	r = chain_add(bin, demuxer, &last, error);
	if (r < 0)
		return r;
	g_signal_connect(last, "pad-added", G_CALLBACK(chain_on_pad), tap);
	g_signal_connect(last, "no-more-pads", G_CALLBACK(chain_on_no_more_pads), tap);
	return 0;
}

static int chain_build_kind(
	GstBin *bin, const struct chain_plan *plan, GstElement *tap, struct camera_error *error)
{
	switch (plan->kind) {
	case CHAIN_TEST:
	case CHAIN_V4L2:
		return chain_build_source(bin, plan, tap, error);
	case CHAIN_RTSP:
		return chain_build_rtsp(bin, plan, tap, error);
	case CHAIN_QT:
		return chain_build_file(bin, plan, "qtdemux", tap, error);
	case CHAIN_MATROSKA:
		return chain_build_file(bin, plan, "matroskademux", tap, error);
	case CHAIN_AVI:
		return chain_build_file(bin, plan, "avidemux", tap, error);
	}
	return -EINVAL;
}

int chain_build(const struct chain_plan *plan, struct camera_error *ret_error,
	GstElement **ret_pipeline, GstElement **ret_tap)
{
	_cleanup_(chain_unrefp)
		GstElement *pipeline = gst_object_ref_sink(gst_pipeline_new("camera"));
	GstElement *tap = NULL;
	int r = chain_add(GST_BIN(pipeline), "appsink", &tap, ret_error);

	if (r < 0)
		return r;
	GstCaps *caps = gst_caps_from_string("image/jpeg;video/x-raw");

	g_object_set(tap, "caps", caps, "drop", TRUE, "max-buffers", 1u, "sync", FALSE, NULL);
	gst_caps_unref(caps);
	r = chain_build_kind(GST_BIN(pipeline), plan, tap, ret_error);
	if (r < 0)
		return r;
	*ret_tap = gst_object_ref(tap);
	*ret_pipeline = take(&pipeline);
	return 0;
}

void chain_describe(GstElement *tap, char out[static CAMERA_TEXT_MAX])
{
	char names[CHAIN_DEPTH_MAX][64];
	size_t n = 0;
	GstElement *at = gst_object_ref(tap);

	while (at && n < CHAIN_DEPTH_MAX) {
		_cleanup_(chain_unrefp) GstPad *sink = gst_element_get_static_pad(at, "sink");
		_cleanup_(chain_unrefp) GstPad *peer = sink ? gst_pad_get_peer(sink) : NULL;

		gst_object_unref(at);
		at = peer ? gst_pad_get_parent_element(peer) : NULL;
		const GstElementFactory *factory = at ? gst_element_get_factory(at) : NULL;
		const char *name = factory ? GST_OBJECT_NAME(factory) : NULL;

		if (name && strcmp(name, "capsfilter") != 0)
			g_strlcpy(names[n++], name, sizeof(names[0]));
	}
	if (at)
		gst_object_unref(at);

	struct buf text = buf_over(out, CAMERA_TEXT_MAX - 1);

	while (n-- > 0)
		buf_printf(&text, "%s%s", text.n > 0 ? " ! " : "", names[n]);
	out[text.n] = '\0';
}

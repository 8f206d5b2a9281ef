/* A photograph bought off a network camera that streams a real video clip: real input, and the
 * evidence says live. */
#include "tests/integration/purchase.h"

#include <gst/gst.h>

static struct market market;
static char url[128];
static char clip[MARKET_PATH_MAX];
static const char *codec = "h264";

/* For machines without the vectors. */
static void make_clip(void)
{
	char text[MARKET_PATH_MAX + 256];

	codec = "jpeg";
	snprintf(clip, sizeof(clip), "%s", market_path(&market, "clip.avi"));
	snprintf(text, sizeof(text),
		"videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=640,height=480,framerate=10/1 ! "
		"jpegenc ! avimux ! filesink location=%s",
		clip);

	GstElement *pipeline = gst_parse_launch(text, NULL);
	GstBus *bus = gst_element_get_bus(pipeline);

	gst_element_set_state(pipeline, GST_STATE_PLAYING);

	GstMessage *end = gst_bus_timed_pop_filtered(
		bus, 20 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);

	assert_non_null(end);
	assert_int_equal(GST_MESSAGE_TYPE(end), GST_MESSAGE_EOS);
	gst_message_unref(end);
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(bus);
	gst_object_unref(pipeline);
}

static int start_all(void **state)
{
	struct child *server;

	(void)state; /* ignored: one market */
	market_init(&market);
	snprintf(clip, sizeof(clip), "%s", market_vectors("video/test_h264.mp4"));
	if (!clip[0])
		make_clip();
	server = market_start_program(
		&market, "rtsp", "rtsp-server", (const char *const[]){ clip, codec, NULL });
	snprintf(url, sizeof(url), "%.127s", server->ready);
	market_start(&market, 1, NULL, NULL);
	MARKET_NODE(&market, "node", "--camera", url);
	return 0;
}

static int stop_all(void **state)
{
	(void)state; /* ignored: one market */
	return market_stop(&market);
}

static void test_live_photo(void **state)
{
	assay_buy_options_t want = purchase_photo();
	assay_t *buyer;

	(void)state; /* ignored: one market */
	market_begin(&market);
	buyer = purchase_open(&market, "buyer");
	purchase_deposit(buyer, 1000000);
	want.sources = ASSAY_SOURCE_LIVE;
	want.freshness_ms = 0; /* light from after the challenge */

	assay_result_t *result = purchase_buy(buyer, &want, ASSAY_OK);
	const uint8_t *bytes;
	size_t n;

	assert_string_equal(assay_result_state(result), "SETTLED");
	assert_string_equal(assay_result_source(result), "live");
	assert_string_equal(assay_result_tier(result), "live-claimed");
	assert_int_equal(assay_result_payload(result, &bytes, &n), ASSAY_OK);
	assert_true(n > 1000 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[n - 1] == 0xd9);
	purchase_check_bundle(result, 16);
	printf("bought %zu bytes of %s off %s (%s)\n", n, clip, url, codec);
	assay_result_free(result);
	assay_close(buyer);
	market_end(&market);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_photo),
	};

	gst_init(NULL, NULL);
	return cmocka_run_group_tests(tests, start_all, stop_all);
}

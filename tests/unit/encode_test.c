#include "sensor-node/media/encode.h"
#include "sensor-node/media/jpeg.h"

#include <gst/video/video.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct encoder *encoder;

/* An I420 frame of one grey; of n bytes, where that is not what it needs. */
static GstSample *frame(int width, int height, uint8_t grey, size_t n)
{
	GstCaps *caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "I420", "width",
		G_TYPE_INT, width, "height", G_TYPE_INT, height, "framerate", GST_TYPE_FRACTION, 10,
		1, NULL);
	GstVideoInfo info;

	assert_true(gst_video_info_from_caps(&info, caps));

	GstBuffer *buffer = gst_buffer_new_allocate(NULL, n ? n : info.size, NULL);

	gst_buffer_memset(buffer, 0, grey, gst_buffer_get_size(buffer));

	GstSample *sample = gst_sample_new(buffer, caps, NULL, NULL);

	gst_buffer_unref(buffer);
	gst_caps_unref(caps);
	return sample;
}

struct jpeg {
	uint8_t *p;
	size_t n;
};

static struct jpeg encode(GstSample *sample, uint32_t width, uint32_t height)
{
	struct camera_error error = { "" };
	struct jpeg_shape shape;
	struct jpeg jpeg = { 0 };

	if (encode_jpeg(encoder, sample, width, height, &error, &jpeg.p, &jpeg.n) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(jpeg_measure(SPAN(jpeg.p, jpeg.n), &shape), 0);
	assert_int_equal(shape.width, width);
	assert_int_equal(shape.height, height);
	gst_sample_unref(sample);
	return jpeg;
}

static bool same(struct jpeg a, struct jpeg b)
{
	return span_eq(SPAN(a.p, a.n), SPAN(b.p, b.n));
}

/* Every frame's picture is its own, never the one before it. */
static void test_no_frame_lags(void **state)
{
	struct jpeg dark[3];
	struct jpeg light[3];

	(void)state; /* ignored: cmocka's */
	for (size_t i = 0; i < 3; i++) {
		dark[i] = encode(frame(64, 48, 20, 0), 64, 48);
		light[i] = encode(frame(64, 48, 200, 0), 64, 48);
		assert_true(same(dark[i], dark[0]));
		assert_true(same(light[i], light[0]));
		assert_false(same(dark[i], light[i]));
	}
	for (size_t i = 0; i < 3; i++) {
		free(dark[i].p);
		free(light[i].p);
	}
}

static void test_other_sizes(void **state)
{
	static const int sizes[][2] = { { 64, 48 }, { 32, 24 }, { 64, 48 }, { 33, 17 }, { 2, 2 },
		{ 1, 1 } };

	(void)state; /* ignored: cmocka's */
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		free(encode(frame(64, 48, 90, 0), (uint32_t)sizes[i][0], (uint32_t)sizes[i][1]).p);
		free(encode(frame(sizes[i][0], sizes[i][1], 90, 0), 64, 48).p);
	}
}

/* A JPEG goes in as well, also between raw frames; bytes that are none are refused. */
static void test_jpeg_in(void **state)
{
	struct jpeg raw = encode(frame(64, 48, 120, 0), 64, 48);
	GstCaps *caps = gst_caps_new_empty_simple("image/jpeg");
	GstBuffer *buffer = gst_buffer_new_memdup(raw.p, raw.n);
	GstSample *sample = gst_sample_new(buffer, caps, NULL, NULL);
	struct camera_error error = { "" };
	struct jpeg out = { 0 };

	(void)state; /* ignored: cmocka's */
	free(encode(sample, 32, 24).p);
	gst_buffer_unref(buffer);
	buffer = gst_buffer_new_memdup("this is no picture at all", 25);
	sample = gst_sample_new(buffer, caps, NULL, NULL);
	assert_int_equal(encode_jpeg(encoder, sample, 32, 24, &error, &out.p, &out.n), -EBADMSG);
	assert_true(strlen(error.text) > 0);
	assert_null(out.p);
	gst_sample_unref(sample);
	gst_buffer_unref(buffer);
	gst_caps_unref(caps);
	free(raw.p);
}

/* A frame with too few bytes fails by itself, and the next one is as if it had not been. */
static void test_after_a_failure(void **state)
{
	struct jpeg before = encode(frame(64, 48, 50, 0), 64, 48);
	GstSample *cut = frame(64, 48, 200, 100);
	struct camera_error error = { "" };
	struct jpeg out = { 0 };

	(void)state; /* ignored: cmocka's */
	assert_int_equal(encode_jpeg(encoder, cut, 64, 48, &error, &out.p, &out.n), -EBADMSG);
	assert_null(out.p);
	gst_sample_unref(cut);

	struct jpeg after = encode(frame(64, 48, 50, 0), 64, 48);

	assert_true(same(before, after));
	free(before.p);
	free(after.p);
}

static int setup(void **state)
{
	(void)state; /* ignored: cmocka's */
	gst_init(NULL, NULL);
	encoder = encode_new();
	return encoder ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state; /* ignored: cmocka's */
	encode_free(encoder);
	gst_deinit();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_frame_lags),
		cmocka_unit_test(test_other_sizes),
		cmocka_unit_test(test_jpeg_in),
		cmocka_unit_test(test_after_a_failure),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

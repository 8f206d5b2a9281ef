/*
 * A snapshot from a warm camera beside the encoder library alone, for frames of 1920 x 1080.
 *
 * The first figure is the encoder of sensor-node/media: from a frame in memory to a JPEG in the
 * caller's own memory. Beside it stands one tjCompressFromYUVPlanes() of the same picture (a
 * camera's JPEG, decoded to I420 again), at the same quality, with the same fast DCT, into memory
 * that is already there.
 *
 * The second is the whole way through camera_capture(), from when the frame reached the tap
 * (camera_shot.end_ns) until its JPEG is the caller's. Left out is the wait for the camera's next
 * frame, up to 1/30 s, which is no work; in it is the time until the caller's thread runs again,
 * while the pattern's own thread is already painting the next frame: on two processors that are
 * busy with other things, one to two milliseconds.
 *
 * The third is what a camera costs that is opened and closed for one frame.
 */
#include "proto/os/clock.h"
#include "sensor-node/media/encode.h"
#include "tests/bench/figures.h"

#include <gst/video/video.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <turbojpeg.h>

#define WIDTH  1920
#define HEIGHT 1080
#define FPS    30
#define ROUNDS 60
#define COLD   5

_Static_assert(CAMERA_QUALITY < 96, "turbojpeg takes the slow DCT from 96 on");

static const struct camera_options options = { .width = WIDTH, .height = HEIGHT, .fps = FPS };
static const struct camera_wish wish = { .timeout_ms = 10000 };

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench-snapshot: %s\n", what);
	exit(1);
}

static struct camera *open_camera(void)
{
	struct camera *camera = NULL;
	struct camera_error error;

	if (camera_open("test", &options, &error, &camera) < 0)
		fail(error.text);
	return camera;
}

/* Milliseconds from the frame's arrival to its JPEG. */
static double whole_way(struct camera *camera, struct camera_shot *shot)
{
	struct camera_error error;

	if (camera_capture(camera, &wish, &error, shot) < 0)
		fail(error.text);
	return (double)(clock_now_ns() - shot->end_ns) / 1e6;
}

struct turbo {
	tjhandle compressor;
	tjhandle decompressor;
	unsigned char *planes[3];
	unsigned char *jpeg;
	unsigned long room;
};

static void turbo_init(struct turbo *t)
{
	t->compressor = tjInitCompress();
	t->decompressor = tjInitDecompress();
	t->planes[0] = malloc(WIDTH * HEIGHT);
	t->planes[1] = malloc(WIDTH / 2 * HEIGHT / 2);
	t->planes[2] = malloc(WIDTH / 2 * HEIGHT / 2);
	t->room = tjBufSize(WIDTH, HEIGHT, TJSAMP_420);
	t->jpeg = tjAlloc((int)t->room);
	if (!t->compressor || !t->decompressor || !t->planes[0] || !t->planes[1] || !t->planes[2] ||
		!t->jpeg)
		fail("no memory");
}

static void turbo_deinit(struct turbo *t)
{
	tjDestroy(t->compressor);
	tjDestroy(t->decompressor);
	for (size_t i = 0; i < 3; i++)
		free(t->planes[i]);
	tjFree(t->jpeg);
}

static void develop(struct turbo *t, const struct camera_shot *shot)
{
	if (tjDecompressToYUVPlanes(t->decompressor, shot->jpeg, shot->jpeg_n, t->planes, WIDTH,
		    NULL, HEIGHT, 0) < 0)
		fail(tjGetErrorStr2(t->decompressor));
}

/* Milliseconds of turbojpeg alone. */
static double beside(struct turbo *t, size_t *ret_n)
{
	unsigned long n = t->room;
	double began = figures_clock_s();

	if (tjCompressFromYUVPlanes(t->compressor, (const unsigned char **)t->planes, WIDTH, NULL,
		    HEIGHT, TJSAMP_420, &t->jpeg, &n, CAMERA_QUALITY, TJFLAG_NOREALLOC) < 0)
		fail(tjGetErrorStr2(t->compressor));

	double took = (figures_clock_s() - began) * 1e3;

	*ret_n = n;
	return took;
}

/* The same planes as a frame, as a source would hand it over. */
static GstSample *sample_of(const struct turbo *t)
{
	GstCaps *caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "I420", "width",
		G_TYPE_INT, WIDTH, "height", G_TYPE_INT, HEIGHT, "framerate", GST_TYPE_FRACTION,
		FPS, 1, NULL);
	GstBuffer *buffer = gst_buffer_new_allocate(NULL, WIDTH * HEIGHT * 3 / 2, NULL);
	const size_t sizes[3] = { WIDTH * HEIGHT, WIDTH * HEIGHT / 4, WIDTH * HEIGHT / 4 };
	size_t at = 0;

	for (size_t i = 0; i < 3; i++) {
		gst_buffer_fill(buffer, at, t->planes[i], sizes[i]);
		at += sizes[i];
	}

	GstSample *sample = gst_sample_new(buffer, caps, NULL, NULL);

	gst_buffer_unref(buffer);
	gst_caps_unref(caps);
	return sample;
}

/* Milliseconds of our encoder. */
static double ours(struct encoder *encoder, GstSample *sample, size_t *ret_n)
{
	struct camera_error error;
	uint8_t *jpeg = NULL;
	double began = figures_clock_s();

	if (encode_jpeg(encoder, sample, WIDTH, HEIGHT, &error, &jpeg, ret_n) < 0)
		fail(error.text);

	double took = (figures_clock_s() - began) * 1e3;

	free(jpeg);
	return took;
}

static struct camera *measure(double *encode, double *library, double *whole)
{
	struct camera *camera = open_camera();
	struct encoder *encoder = encode_new();
	struct camera_shot shot;
	struct turbo turbo;
	size_t turbo_n = 0;
	size_t n = 0;

	if (!encoder)
		fail("no memory");
	turbo_init(&turbo);
	for (size_t i = 0; i <= ROUNDS; i++) {
		size_t at = i > 0 ? i - 1 : 0; /* the first round is to warm up */

		whole[at] = whole_way(camera, &shot);
		develop(&turbo, &shot);

		GstSample *sample = sample_of(&turbo);

		/* Who goes second finds warmer caches: they take turns. */
		if (i % 2 == 0)
			library[at] = beside(&turbo, &turbo_n);
		encode[at] = ours(encoder, sample, &n);
		if (i % 2 != 0)
			library[at] = beside(&turbo, &turbo_n);
		if (n != turbo_n || shot.width != WIDTH || shot.height != HEIGHT)
			fail("the two did not do the same work");
		gst_sample_unref(sample);
		camera_shot_deinit(&shot);
	}
	turbo_deinit(&turbo);
	encode_free(encoder);
	return camera;
}

int main(int argc, char **argv)
{
	struct figures *f = figures_new("snapshot");
	double encode[ROUNDS];
	double library[ROUNDS];
	double whole[ROUNDS];
	double cold[COLD];
	struct camera *camera = measure(encode, library, whole);

	camera_close(camera);
	for (size_t i = 0; i < COLD; i++) {
		struct camera_shot shot;
		double began = figures_clock_s();

		camera = open_camera();
		whole_way(camera, &shot);
		camera_shot_deinit(&shot);
		camera_close(camera);
		cold[i] = (figures_clock_s() - began) * 1e3;
	}
	figures_add(f, "1080p frame to JPEG, warm", "ms", FIGURES_LOWER, encode, ROUNDS, 1 / 1.5);
	figures_beside(f, "turbojpeg alone", library, ROUNDS);
	figures_add(f, "camera_capture() from the frame's arrival", "ms", FIGURES_LOWER, whole,
		ROUNDS, 1 / 1.5);
	figures_beside(f, "turbojpeg alone", library, ROUNDS);
	figures_add(
		f, "camera opened and closed for one frame", "ms", FIGURES_LOWER, cold, COLD, NAN);
	figures_print(f, figures_json(argc, argv));
	f = figures_free(f);
	return 0;
}

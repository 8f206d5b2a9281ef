#include "sensor-node/media/camera.h"
#include "sensor-node/media/jpeg.h"

#include <dirent.h>
#include <gst/gst.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static char folder[] = "/tmp/assay-camera-XXXXXX";

static const struct camera_wish any = { .timeout_ms = 20000 };

static char *in_folder(const char *name, char path[static 128])
{
	snprintf(path, 128, "%s/%s", folder, name);
	return path;
}

/* Runs a pipeline to its end. */
static void make(const char *text)
{
	GstElement *pipeline = gst_parse_launch(text, NULL);

	assert_non_null(pipeline);
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

static void make_photo(const char *path, unsigned width, unsigned height)
{
	char text[512];

	snprintf(text, sizeof(text),
		"videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=%u,height=%u ! jpegenc ! "
		"filesink location=%s",
		width, height, path);
	make(text);
}

static void make_video(const char *path, const char *muxer)
{
	char text[512];

	snprintf(text, sizeof(text),
		"videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=320,height=240,framerate=20/1 ! "
		"jpegenc ! %s ! filesink location=%s",
		muxer, path);
	make(text);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static size_t read_file(const char *path, uint8_t **ret)
{
	FILE *f = fopen(path, "rb");
	struct stat st;

	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	*ret = malloc((size_t)st.st_size);
	assert_non_null(*ret);
	assert_int_equal(fread(*ret, 1, (size_t)st.st_size, f), st.st_size);
	fclose(f);
	return (size_t)st.st_size;
}

static struct camera *open_source(
	const char *prefix, const char *path, const struct camera_options *options)
{
	char source[CAMERA_SOURCE_MAX];
	struct camera_error error = { "" };
	struct camera *c = NULL;

	snprintf(source, sizeof(source), "%s%s", prefix, path);
	if (camera_open(source, options, &error, &c) < 0)
		fail_msg("%s: %s", source, error.text);
	return c;
}

static struct camera_shot capture(struct camera *c, const struct camera_wish *wish)
{
	struct camera_error error = { "" };
	struct camera_shot shot = { 0 };
	struct jpeg_shape shape;

	if (camera_capture(c, wish, &error, &shot) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(jpeg_measure(SPAN(shot.jpeg, shot.jpeg_n), &shape), 0);
	assert_int_equal(shape.width, shot.width);
	assert_int_equal(shape.height, shot.height);
	assert_true(shot.start_ns > 0 && shot.start_ns <= shot.end_ns);
	return shot;
}

static void refused(const char *source, int expected)
{
	struct camera_error error = { "" };
	struct camera *c = NULL;

	assert_int_equal(camera_open(source, NULL, &error, &c), expected);
	assert_null(c);
	assert_true(strlen(error.text) > 10);
}

static void test_pattern(void **state)
{
	struct camera *c = open_source("test", "", &(struct camera_options){ .fps = 20 });
	struct camera_shot a = capture(c, &any);
	struct camera_shot b = capture(c, &any);
	struct camera_shot small = capture(c,
		&(struct camera_wish){ .max_width = 640, .max_height = 640, .timeout_ms = 20000 });

	(void)state;
	assert_int_equal(camera_kind(c), CAMERA_SYNTHETIC);
	assert_int_equal(a.source, CAMERA_SYNTHETIC);
	assert_int_equal(a.width, 1280);
	assert_int_equal(a.height, 720);
	assert_true(b.start_ns > a.end_ns);
	assert_int_equal(a.uncertainty_ns, NS_PER_S / 20);
	assert_string_equal(a.pipeline, "videotestsrc ! videoscale ! turbojpeg");
	assert_int_equal(small.width, 640);
	assert_int_equal(small.height, 360);
	camera_shot_deinit(&a);
	camera_shot_deinit(&b);
	camera_shot_deinit(&small);
	camera_close(c);
}

static void test_wish_refused(void **state)
{
	struct camera *c = open_source("test", "", NULL);
	struct camera_error error = { "" };
	struct camera_shot shot;
	const struct camera_wish large = { .min_width = 1281, .timeout_ms = 20000 };
	const struct camera_wish later = { .not_before_ns = INT64_MAX, .timeout_ms = 300 };
	const struct camera_wish endless = { .timeout_ms = 0 };

	(void)state;
	assert_int_equal(camera_capture(c, &large, &error, &shot), -ERANGE);
	assert_non_null(strstr(error.text, "1280"));
	assert_int_equal(camera_capture(c, &later, &error, &shot), -ETIMEDOUT);
	assert_int_equal(camera_capture(c, &endless, &error, &shot), -EINVAL);
	camera_close(c);
}

static unsigned count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(dir);
	for (const struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* GLib keeps idle threads of its pools for a while; all that are not idle belong to a camera. */
static void test_no_thread_stays(void **state)
{
	(void)state;
	g_thread_pool_set_max_unused_threads(0);
	camera_close(open_source("test", "", NULL));

	unsigned before = count_threads();

	for (unsigned i = 0; i < 8; i++)
		camera_close(open_source("test", "", NULL));
	for (unsigned i = 0; i < 100000 && count_threads() > before; i++)
		g_thread_yield();
	assert_true(count_threads() <= before);
	g_thread_pool_set_max_unused_threads(-1);
}

static void *capture_never(void *user)
{
	const struct camera_wish later = { .not_before_ns = INT64_MAX, .timeout_ms = 60000 };
	struct camera_shot shot;

	return (void *)(intptr_t)camera_capture(user, &later, NULL, &shot);
}

static void test_cancel(void **state)
{
	struct camera *c = open_source("test", "", NULL);
	struct camera_shot shot;
	pthread_t thread;
	void *result;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, capture_never, c), 0);
	camera_cancel(c);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal((intptr_t)result, -ECANCELED);
	assert_int_equal(camera_capture(c, &any, NULL, &shot), -ECANCELED);
	camera_close(c);
}

static void test_shipped_photo(void **state)
{
	uint8_t *bytes;
	size_t n = read_file(DEMO_PHOTO, &bytes);
	struct camera *c = open_source("replay:", DEMO_PHOTO, NULL);
	struct camera_error error = { "" };
	struct camera_shot shot = capture(c, &any);

	(void)state;
	assert_int_equal(shot.jpeg_n, n);
	assert_memory_equal(shot.jpeg, bytes, n);
	assert_memory_equal(shot.jpeg + 6, "Exif\0\0", 6);
	assert_int_equal(shot.source, CAMERA_REPLAY);
	assert_int_equal(shot.width, 1920);
	assert_int_equal(shot.height, 1080);
	assert_string_equal(shot.device, "replay of lake.jpg");
	camera_shot_deinit(&shot);

	const struct camera_wish large = { .min_height = 1081, .timeout_ms = 1 };
	const struct camera_wish small = { .max_width = 1919, .timeout_ms = 1 };

	assert_int_equal(camera_capture(c, &large, &error, &shot), -ERANGE);
	assert_int_equal(camera_capture(c, &small, &error, &shot), -ERANGE);
	camera_cancel(c);
	assert_int_equal(camera_capture(c, &any, &error, &shot), -ECANCELED);
	camera_close(c);
	free(bytes);
}

static void test_folder(void **state)
{
	static const unsigned widths[] = { 64, 96, 128, 64, 96 };
	char path[128];

	(void)state;
	assert_int_equal(mkdir(in_folder("photos", path), 0700), 0);
	make_photo(in_folder("photos/b.JPG", path), 96, 48);
	make_photo(in_folder("photos/c.jpeg", path), 128, 48);
	make_photo(in_folder("photos/a.jpg", path), 64, 48);
	write_file(in_folder("photos/bb.jpg", path), "not a picture", 13);
	write_file(in_folder("photos/notes.txt", path), "x", 1);

	struct camera *c = open_source("replay:", in_folder("photos", path), NULL);

	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		struct camera_shot shot = capture(c, &any);

		assert_int_equal(shot.width, widths[i]);
		camera_shot_deinit(&shot);
	}
	struct camera_shot wide = capture(
		c, &(struct camera_wish){ .min_width = 97, .timeout_ms = 1 });

	assert_int_equal(wide.width, 128);
	camera_shot_deinit(&wide);
	camera_close(c);
}

static void play_video(const char *path, const char *chain, unsigned times)
{
	struct camera *c = open_source("replay:", path, NULL);
	struct camera_shot before = { 0 };

	for (unsigned i = 0; i < times; i++) {
		struct camera_shot shot = capture(c, &any);

		assert_int_equal(shot.source, CAMERA_REPLAY);
		assert_true(shot.start_ns > before.end_ns);
		assert_string_equal(shot.pipeline, chain);
		camera_shot_deinit(&before);
		before = shot;
	}
	camera_shot_deinit(&before);
	camera_close(c);
}

/* More captures than the clips have frames: they loop. */
static void test_video(void **state)
{
	char path[128];

	(void)state;
	make_video(in_folder("clip.avi", path), "avimux");
	play_video(path, "filesrc ! avidemux", 12);
	make_video(in_folder("clip.mkv", path), "matroskamux");
	play_video(path, "filesrc ! matroskademux", 12);
	make_video(in_folder("clip.mov", path), "qtmux");
	play_video(path, "filesrc ! qtdemux", 12);
}

static void test_video_vectors(void **state)
{
	const char *vectors = getenv("ASSAY_VECTORS");
	char path[512];

	(void)state;
	snprintf(path, sizeof(path), "%s/video/test_h264.mp4",
		vectors ? vectors : "../shared/vectors");
	if (access(path, R_OK) < 0) {
		print_message("SKIPPED: %s is not here\n", path);
		skip();
	}
	play_video(path, "filesrc ! qtdemux ! h264parse ! avdec_h264 ! videoscale ! turbojpeg", 3);
	snprintf(path, sizeof(path), "%s/video/test_h265.mp4",
		vectors ? vectors : "../shared/vectors");
	play_video(path, "filesrc ! qtdemux ! h265parse ! avdec_h265 ! videoscale ! turbojpeg", 3);
}

static void test_refused(void **state)
{
	static const uint8_t mp4[64] = { 0, 0, 0, 24, 'f', 't', 'y', 'p', 'i', 's', 'o', 'm' };
	static const uint8_t cut[] = { 0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff };
	char path[128];
	char source[192];

	(void)state;
	refused("", -EINVAL);
	refused("webcam", -EINVAL);
	refused("v4l2:/etc/passwd", -EINVAL);
	refused("replay:", -EINVAL);
	refused("http://127.0.0.1/", -EINVAL);
	refused("replay:/nowhere/at/all.jpg", -ENOENT);
	refused("v4l2:/dev/video-that-is-not", -ENOENT);
	refused("replay:/dev/null", -EBADMSG);
	write_file(in_folder("junk.mp4", path), mp4, sizeof(mp4));
	snprintf(source, sizeof(source), "replay:%s", path);
	refused(source, -EBADMSG);
	write_file(in_folder("cut.jpg", path), cut, sizeof(cut));
	snprintf(source, sizeof(source), "replay:%s", path);
	refused(source, -EBADMSG);
	assert_int_equal(mkdir(in_folder("empty", path), 0700), 0);
	snprintf(source, sizeof(source), "replay:%s", path);
	refused(source, -ENOENT);
}

static void test_jpeg_headers(void **state)
{
	uint8_t *bytes;
	size_t n = read_file(DEMO_PHOTO, &bytes);
	struct jpeg_shape shape;
	size_t scan = 0;

	(void)state;
	for (size_t i = 0; i + 1 < n && scan == 0; i++)
		if (bytes[i] == 0xff && bytes[i + 1] == 0xda)
			scan = i;
	/* no cut before the scan's header is taken for a JPEG, and none is read past its end */
	for (size_t i = 0; i < scan + 4; i++) {
		uint8_t *cut = malloc(i + 1);

		assert_non_null(cut);
		memcpy(cut, bytes, i);
		assert_int_equal(jpeg_measure(SPAN(cut, i), &shape), -EBADMSG);
		free(cut);
	}
	assert_int_equal(jpeg_measure(SPAN(bytes, n), &shape), 0);
	free(bytes);
}

static void test_v4l2(void **state)
{
	(void)state;
	if (access("/dev/video0", R_OK | W_OK) < 0) {
		print_message("SKIPPED: there is no camera at /dev/video0\n");
		skip();
	}
	struct camera *c = open_source("v4l2:/dev/video0", "", NULL);
	struct camera_shot shot = capture(c, &any);

	assert_int_equal(shot.source, CAMERA_LIVE);
	camera_shot_deinit(&shot);
	camera_close(c);
}

static int remove_folder(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	return system(command);
}

static int make_folder(void **state)
{
	(void)state;
	gst_init(NULL, NULL);
	return mkdtemp(folder) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pattern),
		cmocka_unit_test(test_wish_refused),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_no_thread_stays),
		cmocka_unit_test(test_shipped_photo),
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_video),
		cmocka_unit_test(test_video_vectors),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_jpeg_headers),
		cmocka_unit_test(test_v4l2),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

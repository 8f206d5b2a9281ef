/* The camera against a real RTSP server: the program rtsp-server, whose path is the first argument.
 */
#include "sensor-node/media/camera.h"
#include "sensor-node/media/jpeg.h"

#include <gst/gst.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char *server_path;
extern char **environ;

struct server {
	pid_t pid;
	char url[128];
};

static void server_start(struct server *s, const char *clip, const char *codec, const char *port)
{
	const char *argv[] = { server_path, clip, codec, port, NULL };
	posix_spawn_file_actions_t actions;
	int out[2];

	assert_int_equal(pipe(out), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, out[0]);
	assert_int_equal(posix_spawn(&s->pid, server_path, &actions, NULL,
				 (char *const *)(uintptr_t)argv, environ),
		0);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);

	FILE *f = fdopen(out[0], "r");

	assert_non_null(f);
	assert_non_null(fgets(s->url, sizeof(s->url), f));
	fclose(f);
	s->url[strcspn(s->url, "\n")] = '\0';
}

static void server_stop(struct server *s)
{
	int status;

	assert_int_equal(kill(s->pid, SIGTERM), 0);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A short MJPEG clip, for machines without the vectors. */
static void make_clip(const char *path)
{
	char text[512];

	snprintf(text, sizeof(text),
		"videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=640,height=480,framerate=10/1 ! "
		"jpegenc ! avimux ! filesink location=%s",
		path);
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

static void assert_live(const struct camera_shot *shot, const struct camera_shot *before)
{
	struct jpeg_shape shape;

	assert_int_equal(jpeg_measure(SPAN(shot->jpeg, shot->jpeg_n), &shape), 0);
	assert_int_equal(shape.width, shot->width);
	assert_int_equal(shape.height, shot->height);
	assert_int_equal(shot->source, CAMERA_LIVE);
	assert_true(shot->start_ns <= shot->end_ns);
	assert_true(shot->uncertainty_ns > 0);
	if (before)
		assert_true(shot->end_ns > before->end_ns);
}

static void capture_twice(const char *clip, const char *codec, const char *chain)
{
	struct server s;
	struct camera *c = NULL;
	struct camera_error error = { "" };
	struct camera_shot a = { 0 };
	struct camera_shot b = { 0 };
	const struct camera_wish wish = { .min_width = 64, .timeout_ms = 20000 };

	server_start(&s, clip, codec, "0");
	assert_int_equal(camera_open(s.url, NULL, &error, &c), 0);
	if (camera_capture(c, &wish, &error, &a) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(camera_capture(c, &wish, &error, &b), 0);
	assert_live(&a, NULL);
	assert_live(&b, &a);
	assert_string_equal(a.device, s.url);
	assert_non_null(strstr(a.pipeline, chain));
	camera_shot_deinit(&a);
	camera_shot_deinit(&b);
	camera_close(c);
	server_stop(&s);
}

static const char *vector(const char *name, char path[static 512])
{
	const char *vectors = getenv("ASSAY_VECTORS");

	snprintf(path, 512, "%s/video/%s", vectors ? vectors : "../shared/vectors", name);
	if (access(path, R_OK) == 0)
		return path;
	print_message("SKIPPED: %s is not here\n", path);
	return NULL;
}

static void test_h264(void **state)
{
	char path[512];

	(void)state;
	if (!vector("test_h264.mp4", path))
		skip();
	capture_twice(path, "h264", "rtspsrc ! rtph264depay ! h264parse ! avdec_h264");
}

static void test_h265(void **state)
{
	char path[512];

	(void)state;
	if (!vector("test_h265.mp4", path))
		skip();
	capture_twice(path, "h265", "rtspsrc ! rtph265depay ! h265parse ! avdec_h265");
}

static void test_jpeg(void **state)
{
	char path[] = "/tmp/assay-rtsp-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	make_clip(path);
	capture_twice(path, "jpeg", "rtspsrc ! rtpjpegdepay");
	unlink(path);
}

/* A camera that is away says so, and is found again when it is back. */
static void test_away_and_back(void **state)
{
	const struct camera_wish brief = { .timeout_ms = 2000 };
	const struct camera_wish patient = { .timeout_ms = 20000 };
	char path[] = "/tmp/assay-rtsp-XXXXXX";
	int fd = mkstemp(path);
	struct server s;
	char port[8];
	struct camera *c = NULL;
	struct camera_error error = { "" };
	struct camera_shot shot = { 0 };

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	make_clip(path);
	server_start(&s, path, "jpeg", "0");
	assert_int_equal(sscanf(s.url, "rtsp://127.0.0.1:%7[0-9]", port), 1);
	assert_int_equal(camera_open(s.url, NULL, &error, &c), 0);
	assert_int_equal(camera_capture(c, &patient, &error, &shot), 0);
	camera_shot_deinit(&shot);
	server_stop(&s);
	assert_int_equal(camera_capture(c, &brief, &error, &shot), -EIO);
	assert_true(strlen(error.text) > 0);
	server_start(&s, path, "jpeg", port);
	if (camera_capture(c, &patient, &error, &shot) < 0)
		fail_msg("%s", error.text);
	camera_shot_deinit(&shot);
	camera_close(c);
	server_stop(&s);
	unlink(path);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_h264),
		cmocka_unit_test(test_h265),
		cmocka_unit_test(test_jpeg),
		cmocka_unit_test(test_away_and_back),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: rtsp_camera_test RTSP-SERVER\n");
		return 2;
	}
	server_path = argv[1];
	gst_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

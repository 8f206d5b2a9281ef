#include "sensor-node/media/camera.h"

#include "sensor-node/media/encode.h"
#include "sensor-node/media/jpeg.h"
#include "sensor-node/media/photos.h"
#include "sensor-node/media/tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Either photos or tap is set. lock guards photos and canceled. */
struct camera {
	enum camera_source_kind kind;
	struct photos *photos;
	struct tap *tap;
	struct encoder *encoder;
	pthread_mutex_t lock;
	bool canceled;
	int64_t delay_ns; /* the source's own buffering */
	char device[CAMERA_TEXT_MAX];
};

void camera_error_set(struct camera_error *error, const char *format, ...)
{
	va_list ap;

	if (!error)
		return;
	va_start(ap, format);
	if (vsnprintf(error->text, sizeof(error->text), format, ap) < 0)
		error->text[0] = '\0';
	va_end(ap);
	for (char *c = error->text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
}

static int64_t camera_wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int camera_init_gst(struct camera_error *error)
{
	GError *reason = NULL;

	/* gst_init_check may be called by many threads and many times */
	if (gst_init_check(NULL, NULL, &reason))
		return 0;
	camera_error_set(error, "GStreamer does not start: %s",
		reason ? reason->message : "no reason given.");
	g_clear_error(&reason);
	return -EIO;
}

/* "rtsp://user:password@host/path" -> "rtsp://host/path" */
static void camera_public_address(const char *address, struct camera_error *ret)
{
	const char *host = address + strlen("rtsp://");
	const char *path = strchrnul(host, '/');
	const char *at = memrchr(host, '@', (size_t)(path - host));

	camera_error_set(ret, "rtsp://%s", at ? at + 1 : host);
}

/* Which demuxer a file wants, by its first bytes; photographs are set apart in *ret_photo. */
static int camera_sniff(
	const char *path, struct camera_error *error, bool *ret_photo, enum chain_kind *ret_kind)
{
	uint8_t head[12] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;

		camera_error_set(error, "%s cannot be opened: %s.", path, strerror(-r));
		if (fd >= 0)
			close(fd);
		return r;
	}
	ssize_t n = S_ISREG(st.st_mode) ? read(fd, head, sizeof(head)) : 0;

	close(fd);
	*ret_photo = S_ISDIR(st.st_mode) || (n >= 3 && memcmp(head, "\xff\xd8\xff", 3) == 0);
	if (*ret_photo)
		return 0;
	if (n >= 12 && memcmp(head + 4, "ftyp", 4) == 0)
		*ret_kind = CHAIN_QT;
	else if (n >= 4 && memcmp(head, "\x1a\x45\xdf\xa3", 4) == 0)
		*ret_kind = CHAIN_MATROSKA;
	else if (n >= 12 && memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "AVI ", 4) == 0)
		*ret_kind = CHAIN_AVI;
	else {
		camera_error_set(error,
			"%s is neither a JPEG photograph nor an MP4, Matroska or AVI video: convert it.",
			path);
		return -EBADMSG;
	}
	return 0;
}

static int camera_open_tap(struct camera *c, const struct camera_options *o,
	struct tap_options *tap, struct camera_error *error)
{
	uint32_t patience_ms = o->open_timeout_ms > 0 ? o->open_timeout_ms : 10000;
	int64_t deadline = tap_now_ns() + (int64_t)patience_ms * NS_PER_MS;
	int r = camera_init_gst(error);

	if (r < 0)
		return r;
	tap->stall_ms = o->stall_ms > 0 ? o->stall_ms : 10000;
	r = tap_open(tap, &c->tap);
	if (r < 0) {
		camera_error_set(error, "The camera's thread does not start: %s.", strerror(-r));
		return r;
	}
	return tap->plan.kind == CHAIN_RTSP ? 0 : tap_ready(c->tap, deadline, error);
}

static int camera_open_replay(struct camera *c, const char *path, const struct camera_options *o,
	struct tap_options *tap, struct camera_error *error)
{
	const char *slash = strrchr(path, '/');
	struct camera_error device;
	bool photo = false;
	int r = camera_sniff(path, error, &photo, &tap->plan.kind);

	if (r < 0)
		return r;
	c->kind = CAMERA_REPLAY;
	camera_error_set(&device, "replay of %s", slash && slash[1] ? slash + 1 : path);
	memcpy(c->device, device.text, sizeof(c->device));
	if (photo)
		return photos_open(path, error, &c->photos);
	tap->loop = true;
	snprintf(tap->plan.location, sizeof(tap->plan.location), "%s", path);
	r = camera_open_tap(c, o, tap, error);
	return r == -EIO ? -EBADMSG : r;
}

static int camera_open_live(struct camera *c, const char *source, const struct camera_options *o,
	struct tap_options *tap, struct camera_error *error)
{
	struct camera_error device;

	c->kind = CAMERA_LIVE;
	tap->live = true;
	if (strncmp(source, "rtsp://", 7) == 0) {
		tap->plan.kind = CHAIN_RTSP;
		tap->plan.latency_ms = o->rtsp_latency_ms > 0 ? o->rtsp_latency_ms : 100;
		c->delay_ns = tap->plan.latency_ms * NS_PER_MS;
		camera_public_address(source, &device);
	} else if (strncmp(source, "v4l2:/dev/", 10) == 0) {
		source += strlen("v4l2:");
		if (access(source, R_OK | W_OK) < 0) {
			int r = -errno;

			camera_error_set(error, "%s cannot be opened: %s.", source, strerror(-r));
			return r;
		}
		tap->plan.kind = CHAIN_V4L2;
		camera_error_set(&device, "%s", source);
	} else {
		tap->plan.kind = CHAIN_TEST;
		c->kind = CAMERA_SYNTHETIC;
		camera_error_set(&device, "test pattern");
	}
	memcpy(c->device, device.text, sizeof(c->device));
	snprintf(tap->plan.location, sizeof(tap->plan.location), "%s", source);
	return camera_open_tap(c, o, tap, error);
}

static int camera_check(const char *source, const struct camera_options *o, struct tap_options *tap,
	struct camera_error *error)
{
	bool test = strcmp(source, "test") == 0;

	if (strlen(source) >= CAMERA_SOURCE_MAX ||
		!(test || strncmp(source, "v4l2:/dev/", 10) == 0 ||
			(strncmp(source, "rtsp://", 7) == 0 && source[7]) ||
			(strncmp(source, "replay:", 7) == 0 && source[7]))) {
		camera_error_set(error, "A camera is one of v4l2:/dev/videoN, rtsp://HOST/PATH, "
					"replay:FILE-or-FOLDER, test.");
		return -EINVAL;
	}
	if (o->width > CAMERA_DIM_MAX || o->height > CAMERA_DIM_MAX ||
		(o->width == 0) != (o->height == 0)) {
		camera_error_set(
			error, "Give width and height together, at most %u each.", CAMERA_DIM_MAX);
		return -EINVAL;
	}
	tap->plan.width = test && o->width == 0 ? 1280 : o->width;
	tap->plan.height = test && o->height == 0 ? 720 : o->height;
	tap->plan.fps = test && o->fps == 0 ? 10 : o->fps;
	return 0;
}

int camera_open(const char *source, const struct camera_options *options,
	struct camera_error *ret_error, struct camera **ret_camera)
{
	static const struct camera_options defaults;
	struct tap_options tap = { 0 };
	struct camera *c = NULL;
	int r = camera_check(source, options ? options : &defaults, &tap, ret_error);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	c->encoder = encode_new();
	if (!c->encoder)
		r = -ENOMEM;
	else if (strncmp(source, "replay:", 7) == 0)
		r = camera_open_replay(
			c, source + 7, options ? options : &defaults, &tap, ret_error);
	else
		r = camera_open_live(c, source, options ? options : &defaults, &tap, ret_error);
	if (r < 0) {
		camera_close(c);
		return r;
	}
	*ret_camera = c;
	return 0;
}

/* The size to encode to: as large as allowed, with the frame's own shape. Returns 0 or -ERANGE. */
static int camera_fit(const struct camera_wish *w, uint32_t width, uint32_t height,
	uint32_t *ret_width, uint32_t *ret_height)
{
	uint64_t x = width;
	uint64_t y = height;

	if (w->max_width > 0 && x > w->max_width) {
		y = y * w->max_width / x;
		x = w->max_width;
	}
	if (w->max_height > 0 && y > w->max_height) {
		x = x * w->max_height / y;
		y = w->max_height;
	}
	if (x < MAX(w->min_width, 1u) || y < MAX(w->min_height, 1u))
		return -ERANGE;
	*ret_width = (uint32_t)x;
	*ret_height = (uint32_t)y;
	return 0;
}

/* The frame's size by its caps, or where they do not say, by the JPEG's header. */
static int camera_frame_size(GstSample *sample, struct jpeg_shape *ret, bool *ret_jpeg)
{
	GstCaps *caps = gst_sample_get_caps(sample);
	const GstStructure *s = caps ? gst_caps_get_structure(caps, 0) : NULL;
	int width = 0;
	int height = 0;

	*ret_jpeg = s && gst_structure_has_name(s, "image/jpeg");
	if (*ret_jpeg) {
		GstBuffer *buffer = gst_sample_get_buffer(sample);
		GstMapInfo map;

		if (!buffer || !gst_buffer_map(buffer, &map, GST_MAP_READ))
			return -EBADMSG;
		int r = jpeg_measure(SPAN(map.data, map.size), ret);

		gst_buffer_unmap(buffer, &map);
		return r;
	}
	if (!s || !gst_structure_get_int(s, "width", &width) ||
		!gst_structure_get_int(s, "height", &height) || width < 1 || height < 1)
		return -EBADMSG;
	ret->width = (uint32_t)width;
	ret->height = (uint32_t)height;
	return 0;
}

static int camera_develop(struct camera *c, struct tap_frame *frame, const struct camera_wish *wish,
	struct camera_error *error, struct camera_shot *shot)
{
	struct jpeg_shape shape = { 0 };
	bool is_jpeg;
	int r = camera_frame_size(frame->sample, &shape, &is_jpeg);

	if (r < 0 || shape.width > CAMERA_DIM_MAX || shape.height > CAMERA_DIM_MAX) {
		camera_error_set(error,
			"The source's frame is not a picture of at most %u pixels a side.",
			CAMERA_DIM_MAX);
		return -EBADMSG;
	}
	r = camera_fit(wish, shape.width, shape.height, &shot->width, &shot->height);
	if (r < 0) {
		camera_error_set(error,
			"The source's frames are %u x %u, which cannot be made to fit the wish.",
			shape.width, shape.height);
		return r;
	}
	bool as_is = is_jpeg && shape.has_tables && shape.width == shot->width &&
		     shape.height == shot->height;

	snprintf(shot->pipeline, sizeof(shot->pipeline), "%.200s%s", frame->chain,
		as_is ? "" : " ! videoscale ! turbojpeg");
	if (as_is)
		return encode_copy(frame->sample, error, &shot->jpeg, &shot->jpeg_n);
	return encode_jpeg(c->encoder, frame->sample, shot->width, shot->height, error, &shot->jpeg,
		&shot->jpeg_n);
}

/* A frame's length by its caps; a tenth of a second where they do not say. */
static int64_t camera_frame_ns(GstSample *sample)
{
	GstCaps *caps = gst_sample_get_caps(sample);
	int n = 0;
	int d = 1;

	if (!caps ||
		!gst_structure_get_fraction(gst_caps_get_structure(caps, 0), "framerate", &n, &d) ||
		n < 1 || d < 1)
		return NS_PER_S / 10;
	return NS_PER_S * d / n;
}

static int camera_capture_frame(struct camera *c, const struct camera_wish *wish,
	struct camera_error *error, struct camera_shot *shot)
{
	int64_t now = tap_now_ns();
	int64_t wall = camera_wall_ns();
	int64_t after = now + MAX(wish->not_before_ns - wall, INT64_C(0));
	struct tap_frame frame = { 0 };
	int r = tap_take(c->tap, after, now + (int64_t)wish->timeout_ms * NS_PER_MS, error, &frame);

	if (r < 0)
		return r;
	wall = camera_wall_ns() - tap_now_ns();
	shot->start_ns = wall + frame.produced_ns;
	shot->end_ns = wall + frame.arrived_ns;
	shot->uncertainty_ns = camera_frame_ns(frame.sample) + c->delay_ns;
	r = camera_develop(c, &frame, wish, error, shot);
	gst_sample_unref(frame.sample);
	return r;
}

static int camera_capture_photo(struct camera *c, const struct camera_wish *wish,
	struct camera_error *error, struct camera_shot *shot)
{
	int r = -ECANCELED;

	pthread_mutex_lock(&c->lock);
	if (!c->canceled)
		r = photos_next(c->photos, wish, error, shot);
	else
		camera_error_set(error, "The capture was cancelled.");
	pthread_mutex_unlock(&c->lock);
	if (r < 0)
		return r;
	shot->start_ns = shot->end_ns = camera_wall_ns();
	snprintf(shot->pipeline, sizeof(shot->pipeline), "photograph, bytes unchanged");
	return 0;
}

int camera_capture(struct camera *c, const struct camera_wish *wish, struct camera_error *ret_error,
	struct camera_shot *ret_shot)
{
	struct camera_shot shot = { .source = c->kind };
	int r;

	if (wish->timeout_ms == 0 || wish->not_before_ns < 0) {
		camera_error_set(ret_error, "A capture needs a timeout.");
		return -EINVAL;
	}
	memcpy(shot.device, c->device, sizeof(shot.device));
	if (c->photos)
		r = camera_capture_photo(c, wish, ret_error, &shot);
	else
		r = camera_capture_frame(c, wish, ret_error, &shot);
	if (r < 0) {
		camera_shot_deinit(&shot);
		return r;
	}
	*ret_shot = shot;
	return 0;
}

void camera_cancel(struct camera *c)
{
	pthread_mutex_lock(&c->lock);
	c->canceled = true;
	pthread_mutex_unlock(&c->lock);
	if (c->tap)
		tap_cancel(c->tap);
}

enum camera_source_kind camera_kind(const struct camera *c)
{
	return c->kind;
}

void camera_close(struct camera *c)
{
	if (!c)
		return;
	tap_close(c->tap);
	encode_free(c->encoder);
	photos_close(c->photos);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void camera_shot_deinit(struct camera_shot *shot)
{
	free(shot->jpeg);
	*shot = (struct camera_shot){ 0 };
}

#include "sensor-node/media/tap.h"

#include <gst/app/gstappsink.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define TAP_LOOK_MS 500 /* how often a playing pipeline is looked at for a stall */

/* Invariants: latest.sample is set only while n_takers > 0 or until the next frame or tap_close;
 * bus is set only while a pipeline plays; all but options and thread are guarded by lock. */
struct tap {
	struct tap_options options;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	GstBus *bus;
	struct tap_frame latest;
	char chain[CAMERA_TEXT_MAX];
	unsigned n_takers;
	uint64_t n_frames; /* of this run of the pipeline */
	uint64_t n_frames_eos; /* when the file was last wound back */
	int64_t last_frame_ns;
	bool had_frame;
	bool down; /* the last run has ended; error says why */
	bool canceled;
	bool closing;
	struct camera_error error;
};

int64_t tap_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Waits for a change until the deadline, with the lock held. Returns false when it has passed. */
static bool tap_wait(struct tap *t, int64_t deadline_ns)
{
	struct timespec until = {
		.tv_sec = deadline_ns / NS_PER_S,
		.tv_nsec = deadline_ns % NS_PER_S,
	};

	return pthread_cond_timedwait(&t->changed, &t->lock, &until) == 0;
}

/* When the source stamped the sample, on CLOCK_MONOTONIC; arrived_ns where it carries no time. */
static int64_t tap_produced(GstElement *sink, GstSample *sample, int64_t arrived_ns)
{
	const GstBuffer *buffer = gst_sample_get_buffer(sample);
	const GstSegment *segment = gst_sample_get_segment(sample);

	if (!buffer || !segment || segment->format != GST_FORMAT_TIME ||
		!GST_BUFFER_PTS_IS_VALID(buffer))
		return arrived_ns;
	GstClockTime base = gst_element_get_base_time(sink);
	GstClockTime running = gst_segment_to_running_time(
		segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));

	if (!GST_CLOCK_TIME_IS_VALID(running) || !GST_CLOCK_TIME_IS_VALID(base) ||
		running > INT64_MAX / 2 || base > INT64_MAX / 2)
		return arrived_ns;
	return MIN((int64_t)(base + running), arrived_ns);
}

static GstFlowReturn tap_on_sample(GstAppSink *sink, void *user)
{
	struct tap *t = user;
	int64_t now = tap_now_ns();
	GstSample *sample = gst_app_sink_try_pull_sample(sink, 0);
	GstSample *old = NULL;

	if (!sample)
		return GST_FLOW_OK;
	pthread_mutex_lock(&t->lock);
	if (t->n_frames == 0)
		chain_describe(GST_ELEMENT(sink), t->chain);
	t->n_frames++;
	t->last_frame_ns = now;
	t->had_frame = true;
	t->down = false;
	old = take(&t->latest.sample);
	if (t->n_takers > 0) {
		t->latest.sample = take(&sample);
		t->latest.arrived_ns = now;
		t->latest.produced_ns = now;
		if (t->options.live)
			t->latest.produced_ns = tap_produced(
				GST_ELEMENT(sink), t->latest.sample, now);
	}
	if (t->n_takers > 0 || t->n_frames == 1)
		pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (sample)
		gst_sample_unref(sample);
	if (old)
		gst_sample_unref(old);
	return GST_FLOW_OK;
}

static void tap_fail(struct tap *t, const char *reason)
{
	pthread_mutex_lock(&t->lock);
	t->down = true;
	camera_error_set(&t->error, "%s", reason);
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static bool tap_is_closing(struct tap *t)
{
	pthread_mutex_lock(&t->lock);
	bool closing = t->closing;
	pthread_mutex_unlock(&t->lock);
	return closing;
}

static bool tap_is_stalled(struct tap *t)
{
	pthread_mutex_lock(&t->lock);
	int64_t idle = tap_now_ns() - t->last_frame_ns;
	pthread_mutex_unlock(&t->lock);
	return idle > (int64_t)t->options.stall_ms * NS_PER_MS;
}

/* Starts a file again, unless it gave no frame since the last time: that would go round for ever.
 */
static bool tap_wind_back(struct tap *t, GstElement *pipeline)
{
	pthread_mutex_lock(&t->lock);
	bool played = t->n_frames > t->n_frames_eos;
	t->n_frames_eos = t->n_frames;
	pthread_mutex_unlock(&t->lock);
	return played && gst_element_seek_simple(pipeline, GST_FORMAT_TIME,
				 GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_KEY_UNIT, 0);
}

/* Acts on one message (or none: the regular look). Returns true when this run is over. */
static bool tap_on_message(struct tap *t, GstElement *pipeline, GstMessage *message)
{
	GError *reason = NULL;

	if (!message) {
		if (tap_is_stalled(t))
			tap_fail(t, "The source sends no frames.");
		else
			return false;
		return true;
	}
	if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
		gst_message_parse_error(message, &reason, NULL);
		tap_fail(t, reason ? reason->message : "The pipeline failed.");
		g_clear_error(&reason);
		return true;
	}
	if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS) {
		if (t->options.loop && tap_wind_back(t, pipeline))
			return false;
		tap_fail(t, "The stream has ended.");
		return true;
	}
	return true; /* the application's own message: tap_close */
}

/* Plays until the source fails or the tap closes. */
static void tap_play(struct tap *t, GstElement *pipeline, GstElement *sink)
{
	GstAppSinkCallbacks callbacks = { .new_sample = tap_on_sample };
	_cleanup_(chain_unrefp) GstClock *clock = gst_system_clock_obtain();
	_cleanup_(chain_unrefp) GstBus *bus = gst_element_get_bus(pipeline);
	bool over = false;

	/* the tap compares the source's stamps with CLOCK_MONOTONIC, so no element may offer its
	 * own */
	gst_pipeline_use_clock(GST_PIPELINE(pipeline), clock);
	gst_app_sink_set_callbacks(GST_APP_SINK(sink), &callbacks, t, NULL);
	pthread_mutex_lock(&t->lock);
	t->n_frames = 0;
	t->n_frames_eos = 0;
	t->last_frame_ns = tap_now_ns();
	t->bus = bus;
	over = t->closing;
	pthread_mutex_unlock(&t->lock);
	/* a failure to start is also a message on the bus */
	if (!over)
		gst_element_set_state(pipeline, GST_STATE_PLAYING);
	while (!over) {
		GstMessage *message = gst_bus_timed_pop_filtered(bus, TAP_LOOK_MS * NS_PER_MS,
			GST_MESSAGE_ERROR | GST_MESSAGE_EOS | GST_MESSAGE_APPLICATION);

		over = tap_on_message(t, pipeline, message);
		if (message)
			gst_message_unref(message);
	}
	pthread_mutex_lock(&t->lock);
	t->bus = NULL;
	pthread_mutex_unlock(&t->lock);
	gst_element_set_state(pipeline, GST_STATE_NULL);
}

static void *tap_run(void *user)
{
	struct tap *t = user;
	uint32_t pause_ms = TAP_BACKOFF_FIRST_MS;

	while (!tap_is_closing(t)) {
		_cleanup_(chain_unrefp) GstElement *pipeline = NULL;
		_cleanup_(chain_unrefp) GstElement *sink = NULL;
		struct camera_error error = { "" };

		if (chain_build(&t->options.plan, &error, &pipeline, &sink) < 0)
			tap_fail(t, error.text);
		else
			tap_play(t, pipeline, sink);

		pthread_mutex_lock(&t->lock);
		if (t->n_frames > 0)
			pause_ms = TAP_BACKOFF_FIRST_MS;
		t->n_frames = 0;
		int64_t until = tap_now_ns() + pause_ms * NS_PER_MS;

		while (!t->closing && tap_wait(t, until))
			;
		pthread_mutex_unlock(&t->lock);
		pause_ms = MIN(pause_ms * 2, TAP_BACKOFF_MAX_MS);
	}
	return NULL;
}

int tap_open(const struct tap_options *options, struct tap **ret_tap)
{
	struct tap *t = calloc(1, sizeof(*t));
	pthread_condattr_t attr;

	if (!t)
		return -ENOMEM;
	t->options = *options;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	pthread_condattr_destroy(&attr);

	int r = pthread_create(&t->thread, NULL, tap_run, t);

	if (r != 0) {
		pthread_cond_destroy(&t->changed);
		pthread_mutex_destroy(&t->lock);
		free(t);
		return -r;
	}
	*ret_tap = t;
	return 0;
}

int tap_ready(struct tap *t, int64_t deadline_ns, struct camera_error *ret_error)
{
	int r = 0;

	pthread_mutex_lock(&t->lock);
	while (!t->had_frame && !t->down && r == 0)
		if (!tap_wait(t, deadline_ns))
			r = -ETIMEDOUT;
	if (t->had_frame)
		r = 0;
	else if (t->down)
		r = -EIO;
	camera_error_set(ret_error, "%s", r == -EIO ? t->error.text : "No frame came in time.");
	pthread_mutex_unlock(&t->lock);
	return r;
}

int tap_take(struct tap *t, int64_t after_ns, int64_t deadline_ns, struct camera_error *ret_error,
	struct tap_frame *ret_frame)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&t->lock);
	t->n_takers++;
	while (r == -EAGAIN) {
		const struct tap_frame *f = &t->latest;

		if (t->canceled) {
			camera_error_set(ret_error, "The capture was cancelled.");
			r = -ECANCELED;
		} else if (f->sample && f->arrived_ns >= after_ns && f->produced_ns >= after_ns) {
			*ret_frame = *f;
			memcpy(ret_frame->chain, t->chain, sizeof(ret_frame->chain));
			t->latest.sample = NULL;
			r = 0;
		} else if (!tap_wait(t, deadline_ns)) {
			r = t->down ? -EIO : -ETIMEDOUT;
			camera_error_set(ret_error, "%s",
				t->down ? t->error.text : "No frame came in time.");
		}
	}
	t->n_takers--;
	pthread_mutex_unlock(&t->lock);
	return r;
}

void tap_cancel(struct tap *t)
{
	pthread_mutex_lock(&t->lock);
	t->canceled = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

void tap_close(struct tap *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->closing = true;
	if (t->bus)
		gst_bus_post(t->bus,
			gst_message_new_application(NULL, gst_structure_new_empty("camera-close")));
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	if (t->latest.sample)
		gst_sample_unref(t->latest.sample);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

#include "sensor-node/capture.h"

#include "proto/os/clock.h"
#include "proto/os/entropy.h"
#include "proto/os/logline.h"
#include "sensor-node/drivers/scpi.h"
#include "sensor-node/sealing.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timex.h>
#include <time.h>

static_assert((int)CAMERA_LIVE == SOURCE_LIVE && (int)CAMERA_REPLAY == SOURCE_REPLAY &&
		      (int)CAMERA_SYNTHETIC == SOURCE_SYNTHETIC,
	"a camera's kind is the statement's source bit");

struct order {
	uint64_t ticket;
	struct node_capture want;
};

/* lock guards orders, n_orders and ending. */
struct capture {
	struct capture_options options;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct order orders[CAPTURE_QUEUE_MAX]; /* in the order of their coming */
	size_t n_orders;
	bool ending;
	struct capture_result result; /* the thread's own */
};

int64_t capture_clock_error_ns(void)
{
	struct timex clock = { .modes = 0 };

	if (adjtimex(&clock) < 0 || clock.maxerror < 0)
		return CAPTURE_CLOCK_ERROR_MAX_NS;
	return MIN((int64_t)clock.maxerror * 1000, CAPTURE_CLOCK_ERROR_MAX_NS);
}

/* As much of a device's words as the field holds. */
static void put_text(char *out, size_t cap, const char *text)
{
	size_t n = text ? MIN(strlen(text), cap - 1) : 0;

	if (n > 0)
		memcpy(out, text, n);
	out[n] = '\0';
}

static void log_failed(const struct order *order, const char *why)
{
	logline(LEVEL_WARNING, "capture_failed",
		KV_HEX("assignment", SPAN_OF(order->want.assignment)),
		KV_STR("kind", order->want.job.kind), KV_STR("why", why));
}

/* Whole milliseconds until t, of at least 1 and at most `most`. */
static uint32_t wait_ms(int64_t t, int64_t now_ns, uint32_t most)
{
	int64_t left_ms = (t - now_ns) / NS_PER_MS;

	return (uint32_t)MAX(INT64_C(1), MIN(left_ms, (int64_t)most));
}

/* When the capture must have ended. */
static int64_t end_of(const struct node_capture *want)
{
	return want->job.to_ns > 0 ? MIN(want->deadline_ns, want->job.to_ns) : want->deadline_ns;
}

static int seal(struct capture *c, const struct order *order, struct span plain, int64_t at_ns)
{
	const struct sealing_input input = {
		.bound = { .request = order->want.request, .subject = order->want.assignment },
		.plain = plain,
		.place = order->want.place,
		.at_ns = at_ns,
	};
	const struct node_job *job = &order->want.job;
	struct sealing_secrets secrets;

	if (c->result.end_ns < c->result.start_ns || c->result.start_ns < job->from_ns ||
		(job->to_ns > 0 && c->result.end_ns > job->to_ns)) {
		log_failed(order, "The time of the capture lies outside the request's window.");
		return -ERANGE;
	}
	entropy_fill(&secrets, sizeof(secrets));

	int r = sealing_make(&input, &secrets, c->options.blobs, &c->result);

	sodium_memzero(&secrets, sizeof(secrets));
	if (r < 0)
		log_failed(order, r == -ENOSPC ? "The disk is full: free some space."
					       : "The payload could not be sealed and stored.");
	return r;
}

/* A parameter that stays under what a camera can be asked for. */
static uint32_t pixels(int64_t n)
{
	return (uint32_t)MAX(INT64_C(0), MIN(n, (int64_t)CAMERA_DIM_MAX + 1));
}

static int take_photo(
	struct capture *c, const struct capture_device *device, const struct order *order)
{
	const struct node_job *job = &order->want.job;
	const struct camera_wish wish = {
		.min_width = pixels(job->width),
		.min_height = pixels(job->height),
		.max_width = device->max_width,
		.max_height = device->max_height,
		.not_before_ns = job->from_ns,
		.timeout_ms = wait_ms(end_of(&order->want), clock_now_ns(), CAPTURE_CAMERA_WAIT_MS),
	};
	struct capture_result *result = &c->result;
	struct camera_error error = { "" };
	struct camera_shot shot;
	int r = camera_capture(c->options.camera, &wish, &error, &shot);

	if (r < 0) {
		if (r != -ECANCELED)
			log_failed(order, error.text);
		return r;
	}
	result->start_ns = shot.start_ns;
	result->end_ns = shot.end_ns;
	result->uncertainty_ns = shot.uncertainty_ns + capture_clock_error_ns();
	result->source = shot.source;
	put_text(result->device, sizeof(result->device), shot.device);
	put_text(result->pipeline, sizeof(result->pipeline), shot.pipeline);
	put_text(result->redactions, sizeof(result->redactions), device->redactions);
	put_text(result->type, sizeof(result->type), JPEG_TYPE);
	r = seal(c, order, SPAN(shot.jpeg, shot.jpeg_n), shot.end_ns);
	camera_shot_deinit(&shot);
	return r;
}

static int encode_measurement(const struct capture_device *device,
	const struct scpi_reading *reading, int64_t at_ns, struct buf *out)
{
	const struct measurement m = {
		.present = true,
		.quantity = SPAN_STR(device->quantity),
		.channel = SPAN_STR(device->channel ? device->channel : ""),
		.unit = SPAN_STR(device->unit),
		.mantissa = reading->mantissa,
		.exponent = reading->exponent,
		.raw = SPAN_STR(reading->reply),
		.identity = SPAN(reading->idn, strnlen(reading->idn, 256)),
		.error_queue = SPAN(reading->error, strnlen(reading->error, 256)),
		.at_ns = at_ns,
	};

	return schema_encode(&measurement_schema, &m, out, NULL) == REFUSED_NOT && buf_ok(out)
		       ? 0
		       : -ERANGE;
}

static int measure(
	struct capture *c, const struct capture_device *device, const struct order *order)
{
	struct capture_result *result = &c->result;
	struct scpi_error error = { "" };
	struct scpi_reading reading;
	uint8_t room[2048];
	struct buf plain = BUF(room);
	int64_t start_ns = clock_now_ns();
	const struct scpi_options options = {
		.host = device->host,
		.port = device->port,
		.query = device->query,
		.timeout_ms = wait_ms(end_of(&order->want), start_ns,
			device->timeout_ms ? device->timeout_ms : CAPTURE_INSTRUMENT_WAIT_MS),
	};
	int r = scpi_measure(&options, &error, &reading);

	if (r < 0) {
		log_failed(order, error.text);
		return r;
	}
	result->start_ns = start_ns;
	result->end_ns = clock_now_ns();
	result->uncertainty_ns = capture_clock_error_ns();
	result->source = device->source;
	put_text(result->device, sizeof(result->device), reading.idn);
	put_text(result->calibration, sizeof(result->calibration), device->calibration);
	snprintf(result->pipeline, sizeof(result->pipeline), "scpi %s", device->query);
	put_text(result->type, sizeof(result->type), MEASUREMENT_TYPE);
	r = encode_measurement(device, &reading, result->end_ns, &plain);
	if (r < 0) {
		log_failed(order, "The instrument's value or words do not fit a measurement.");
		return r;
	}
	return seal(c, order, buf_span(&plain), result->end_ns);
}

static int perform(struct capture *c, const struct order *order)
{
	const struct capture_device *device = &c->options.devices[order->want.offering];
	int r = -EINVAL;

	memset(&c->result, 0, sizeof(c->result));
	if (clock_now_ns() >= end_of(&order->want)) {
		log_failed(order, "The time for it had passed before its turn came.");
		return -ETIMEDOUT;
	}
	switch (device->kind) {
	case CAPTURE_PHOTO:
		r = take_photo(c, device, order);
		break;
	case CAPTURE_MEASUREMENT:
		r = measure(c, device, order);
		break;
	}
	return r;
}

static void work_on(struct capture *c, const struct order *order)
{
	int64_t began_ns = clock_mono_ns();
	int r = perform(c, order);

	if (r == 0)
		logline(LEVEL_INFO, "captured",
			KV_HEX("assignment", SPAN_OF(order->want.assignment)),
			KV_STR("kind", order->want.job.kind), KV_INT("size", c->result.size),
			KV_INT("source", c->result.source),
			KV_INT("uncertainty_ms", c->result.uncertainty_ns / NS_PER_MS),
			KV_INT("took_ms", (clock_mono_ns() - began_ns) / NS_PER_MS));
	c->options.done(c->options.ctx, order->ticket, NODE_WORK_CAPTURE, r,
		r == 0 ? &c->result : NULL, r == 0 ? sizeof(c->result) : 0);
	sodium_memzero(c->result.content_key, sizeof(c->result.content_key));
}

/* The first order whose window has begun; else NULL and when the next one begins. Under the lock.
 */
static bool next_order(struct capture *c, struct order *ret_order, int64_t *ret_next_ns)
{
	int64_t now_ns = clock_now_ns();

	*ret_next_ns = INT64_MAX;
	for (size_t i = 0; i < c->n_orders; i++) {
		int64_t from_ns = c->orders[i].want.job.from_ns;

		if (from_ns > now_ns) {
			*ret_next_ns = MIN(*ret_next_ns, from_ns);
			continue;
		}
		*ret_order = c->orders[i];
		c->n_orders--;
		memmove(&c->orders[i], &c->orders[i + 1], (c->n_orders - i) * sizeof(c->orders[0]));
		return true;
	}
	return false;
}

static void *run(void *user)
{
	struct capture *c = user;
	struct order order;
	int64_t next_ns;

	pthread_mutex_lock(&c->lock);
	while (!c->ending) {
		if (next_order(c, &order, &next_ns)) {
			pthread_mutex_unlock(&c->lock);
			work_on(c, &order);
			pthread_mutex_lock(&c->lock);
		} else if (next_ns == INT64_MAX) {
			pthread_cond_wait(&c->changed, &c->lock);
		} else {
			/* CLOCK_REALTIME, as the window: it follows a clock that is set. */
			const struct timespec until = { .tv_sec = next_ns / NS_PER_S,
				.tv_nsec = next_ns % NS_PER_S };

			pthread_cond_timedwait(&c->changed, &c->lock, &until);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int capture_new(const struct capture_options *options, struct capture **ret_capture)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->options = *options;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);

	int r = pthread_create(&c->thread, NULL, run, c);

	if (r != 0) {
		pthread_cond_destroy(&c->changed);
		pthread_mutex_destroy(&c->lock);
		free(c);
		return -r;
	}
	*ret_capture = c;
	return 0;
}

void capture_free(struct capture *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->ending = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (c->options.camera)
		camera_cancel(c->options.camera);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static int enqueue(struct capture *c, const struct work *work)
{
	const struct node_capture *want = work->detail;
	int r = 0;

	if (work->size != sizeof(*want) || want->offering >= c->options.n_devices)
		return -EINVAL;
	pthread_mutex_lock(&c->lock);
	if (c->n_orders < CAPTURE_QUEUE_MAX) {
		c->orders[c->n_orders++] = (struct order){ .ticket = work->ticket, .want = *want };
		pthread_cond_signal(&c->changed);
	} else {
		r = -EBUSY;
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* Here and not in the thread: a removed file must not wait behind a camera, and there may be more
 * of these than the queue holds. */
static int forget(struct capture *c, const struct work *work)
{
	const struct node_forget *gone = work->detail;

	if (work->size != sizeof(*gone))
		return -EINVAL;

	int r = blob_remove(c->options.blobs, &gone->digest);

	if (r < 0)
		logline(LEVEL_WARNING, "payload_kept", KV_HEX("digest", SPAN_OF(gone->digest)),
			KV_ERR("error", r));
	return r < 0 ? r : 0; /* it was gone already: a repeated wish after a crash */
}

int capture_start(void *capture, const struct work *work)
{
	struct capture *c = capture;
	bool is_capture = work->kind == NODE_WORK_CAPTURE;
	int r = is_capture                       ? enqueue(c, work)
		: work->kind == NODE_WORK_FORGET ? forget(c, work)
						 : -EINVAL;

	if (r < 0 || !is_capture)
		c->options.done(c->options.ctx, work->ticket, work->kind, r, NULL, 0);
	return 0;
}

#pragma once
/*
 * A pipeline kept playing by a thread of its own: it starts it, loops files, starts it anew after
 * an error, an end or a stall, with growing pauses, and hands each frame to at most one taker.
 */
#include "sensor-node/media/chain.h"

#define TAP_BACKOFF_FIRST_MS 500u
#define TAP_BACKOFF_MAX_MS   30000u

struct tap_options {
	struct chain_plan plan;
	bool live; /* frames carry the time they were made; else only their arrival counts */
	bool loop; /* an end is followed by the beginning */
	uint32_t stall_ms; /* without a frame for so long, the pipeline is started anew */
};

struct tap_frame {
	GstSample *sample; /* freed with gst_sample_unref */
	int64_t produced_ns; /* CLOCK_MONOTONIC: the source's stamp, at most arrived_ns */
	int64_t arrived_ns; /* CLOCK_MONOTONIC: when it reached the tap */
	char chain[CAMERA_TEXT_MAX];
};

struct tap;

/* Starts the thread; does not wait for a frame. Returns 0 or a negative errno. */
_must_check_ int tap_open(const struct tap_options *options, struct tap **ret_tap);

/*
 * Waits until there was a first frame. Returns 0, or -EIO where the pipeline failed, with its
 * reason, or -ETIMEDOUT. deadline_ns: CLOCK_MONOTONIC.
 */
_must_check_ int tap_ready(struct tap *tap, int64_t deadline_ns, struct camera_error *ret_error);

/*
 * Takes the next frame that reached the tap, and where the source is live was stamped, at or after
 * after_ns. Both times: CLOCK_MONOTONIC. Returns 0, -ETIMEDOUT, -EIO (the same, where the source is
 * down: its reason is the sentence) or -ECANCELED.
 */
_must_check_ int tap_take(struct tap *tap, int64_t after_ns, int64_t deadline_ns,
	struct camera_error *ret_error, struct tap_frame *ret_frame);

/* Every tap_take, now and later, returns -ECANCELED. */
void tap_cancel(struct tap *tap);

/* Joins the thread and frees. Nobody may be in tap_take. NULL is fine. */
void tap_close(struct tap *tap);

/* Nanoseconds of CLOCK_MONOTONIC, which is also the pipelines' clock. */
int64_t tap_now_ns(void);

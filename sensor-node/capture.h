#pragma once
/*
 * The node's hands: one thread that takes what the core wants captured, one after another, from a
 * camera or an instrument, seals it and reports the result. Whether a request is served at all was
 * the core's decision; how devices work is media/'s and drivers/'s.
 *
 * Work of which the window has not begun waits without holding up what came after it. Each capture
 * is tried once: a node that fails declines, and the broker has others. Nothing of a device's error
 * reaches the network but that the capture failed; the log has the sentence.
 *
 * Times are this machine's clock. The uncertainty that is stated is the device's own part plus the
 * kernel's bound of the clock's error (adjtimex(2), maxerror); a clock that nobody disciplines has
 * CAPTURE_CLOCK_ERROR_MAX_NS, and says so.
 */
#include "proto/db/blob.h"
#include "sensor-node/core/node.h"
#include "sensor-node/media/camera.h"

#define CAPTURE_QUEUE_MAX          NODE_CAPTURES_MAX
#define CAPTURE_CAMERA_WAIT_MS     30000u /* longest wait for one frame */
#define CAPTURE_INSTRUMENT_WAIT_MS 5000u /* the same for one measurement, by default */
#define CAPTURE_CLOCK_ERROR_MAX_NS (16 * NS_PER_S) /* the kernel's own limit (NTP_PHASE_LIMIT) */

enum capture_kind {
	CAPTURE_PHOTO = 1,
	CAPTURE_MEASUREMENT = 2,
};

/* What serves an offering. Texts live as long as the worker and may be empty, but for those of a
 * measurement that are marked. */
struct capture_device {
	enum capture_kind kind;
	const char *redactions; /* what was done to the picture before it left the camera */
	uint32_t max_width; /* photographs are scaled down to these; 0: as they are */
	uint32_t max_height;
	const char *host; /* measurement */
	uint16_t port;
	uint32_t timeout_ms; /* 0: CAPTURE_INSTRUMENT_WAIT_MS */
	const char *query; /* measurement */
	const char *quantity; /* measurement */
	const char *unit; /* measurement; UCUM */
	const char *channel;
	const char *calibration;
	int64_t source; /* measurement: one SOURCE_ bit */
};

struct capture_options {
	struct camera
		*camera; /* the caller's, to close after capture_free(); NULL without photos */
	struct capture_device devices[NODE_OFFERINGS_MAX]; /* by the index of the offering */
	size_t n_devices;
	/* Payload files. The shell may read the same store meanwhile: no handle is shared. */
	struct blob_store *blobs;
	/*
	 * Takes a result, in the worker's thread, once for each capture_start() (which is where a
	 * NODE_WORK_FORGET ends). detail, of size bytes, is a struct capture_result or NULL and
	 * lives during the call.
	 */
	void (*done)(
		void *ctx, uint64_t ticket, int kind, int status, const void *detail, size_t size);
	void *ctx;
};

struct capture;

/* Starts the thread. 0, -ENOMEM or another negative errno. */
_must_check_ int capture_new(const struct capture_options *options, struct capture **ret_capture);
/*
 * Ends the capture under way (camera_cancel(): the camera can then only be closed; a measurement
 * ends by its own timeout), drops what waits without a result, and joins the thread. Takes NULL.
 */
void capture_free(struct capture *capture);
static inline void capture_freep(struct capture **capture)
{
	capture_free(*capture);
}

/*
 * Queues a NODE_WORK_CAPTURE, or does a NODE_WORK_FORGET. Work that cannot be done (a full queue:
 * -EBUSY, an unknown offering or kind: -EINVAL) ends in done() at once. The signature that
 * daemon_start() wants: capture is a struct capture; always 0.
 */
_must_check_ int capture_start(void *capture, const struct work *work);

/* The bound of this machine's clock error, in nanoseconds. */
int64_t capture_clock_error_ns(void);

#pragma once
/*
 * A camera kept warm: one GStreamer pipeline that plays all the time, tapped by an appsink, out of
 * which single frames are taken as JPEG. Leaves to others what a frame is worth, who may have it,
 * and the signature over it. Everything a device, a server or a file sends is treated as hostile:
 * elements are named (no autoplugging), sizes are bounded, and a source that fails is an error with
 * a sentence.
 *
 * Sources:
 *   v4l2:/dev/videoN   a camera of this machine. LIVE.
 *   rtsp://HOST/PATH   a network camera, over TCP: H.264, H.265 or JPEG. LIVE, but only as far as
 * its server is to be trusted: a server that plays a file looks just the same. replay:PATH        a
 * JPEG photograph, a folder of them (in the order of their names, *.jpg and
 *                      *.jpeg), or an MP4, Matroska or AVI file played at its own pace in a loop.
 * REPLAY. test               a pattern with noise. SYNTHETIC.
 *
 * A camera may be used from several threads; each frame and each turn of a photograph goes to one.
 */
#include "proto/base/base.h"

#define CAMERA_JPEG_MAX   (16u << 20) /* bytes of one photograph or frame */
#define CAMERA_DIM_MAX    16384u /* pixels in one direction */
#define CAMERA_PHOTOS_MAX 4096u /* photographs of one folder */
#define CAMERA_SOURCE_MAX 1024u /* bytes of a source's text, with NUL */
#define CAMERA_TEXT_MAX   256u /* bytes of any text given out, with NUL */
#define CAMERA_QUALITY    90 /* of libjpeg, 1 to 100 */

/* Where light came from. One bit each: a request's allowed tiers are a sum of them. */
enum camera_source_kind {
	CAMERA_LIVE = 1,
	CAMERA_REPLAY = 2,
	CAMERA_SYNTHETIC = 4,
};

/* A sentence about what went wrong, in printable ASCII, that says what to do where that is known.
 */
struct camera_error {
	char text[CAMERA_TEXT_MAX];
};

/* Zeros stand for the defaults in brackets. */
struct camera_options {
	uint32_t width; /* asked of a v4l2 device [its choice] or the pattern [1280] */
	uint32_t height; /* likewise [720]; both or none */
	uint32_t fps; /* likewise [its choice; 10] */
	uint32_t open_timeout_ms; /* until the first frame [10,000]; rtsp does not wait */
	uint32_t rtsp_latency_ms; /* how long packets may wait for those before them [100] */
	uint32_t stall_ms; /* a playing source without a frame for so long is restarted [10,000] */
};

struct camera_wish {
	uint32_t min_width; /* pixels; 0: any */
	uint32_t min_height;
	uint32_t max_width; /* 0: any */
	uint32_t max_height;
	int64_t not_before_ns; /* UTC; frames produced earlier are not taken; 0: from the call on */
	uint32_t timeout_ms; /* for the whole call; at least 1 */
};

struct camera_shot {
	uint8_t *jpeg; /* freed by camera_shot_deinit */
	size_t jpeg_n;
	uint32_t width;
	uint32_t height;
	/*
	 * UTC by this machine's clock. Of a frame: from when its source stamped it until it reached
	 * the tap. Of a photograph: when it was handed out, twice. uncertainty_ns is the camera's
	 * own part (a frame's length and the source's buffering); the error of the machine's clock
	 * comes on top, and so does a network camera's inner delay, which nobody here can see.
	 */
	int64_t start_ns;
	int64_t end_ns;
	int64_t uncertainty_ns;
	enum camera_source_kind source;
	char pipeline[CAMERA_TEXT_MAX]; /* "v4l2src ! turbojpeg": the elements that made these bytes
					 */
	char device[CAMERA_TEXT_MAX]; /* printable ASCII; an address without its password */
};

struct camera;

/*
 * Opens a source and starts it. Waits for the first frame, so that a file or device that does not
 * work is refused here; a network camera may be away and is then tried again and again, with
 * growing pauses (0.5 to 30 s), as is any source that fails later. Initialises GStreamer where
 * nobody did. options and ret_error may be NULL. Returns 0, or -EINVAL (not a source), -ENOENT,
 * -EACCES, -EBADMSG (not media), -EFBIG, -ETIMEDOUT, -EIO, -ENOMEM, with a sentence in *ret_error.
 */
_must_check_ int camera_open(const char *source, const struct camera_options *options,
	struct camera_error *ret_error, struct camera **ret_camera);

/*
 * Takes the next frame: one that was produced and reached the tap after the call began (and not
 * before wish->not_before_ns), never a buffered one. Frames over the wanted size are scaled down,
 * keeping their shape. Photographs are handed out byte for byte, one after another, leaving out
 * those whose size does not fit; not_before_ns says nothing about them. Blocks, for at most
 * timeout_ms and 5 s more for encoding. Returns 0 and the caller owes camera_shot_deinit, or
 * -ERANGE (no frame of the size wished), -ETIMEDOUT, -EIO (the source is down), -EBADMSG, -EFBIG,
 * -ECANCELED, -EINVAL, -ENOMEM.
 */
_must_check_ int camera_capture(struct camera *camera, const struct camera_wish *wish,
	struct camera_error *ret_error, struct camera_shot *ret_shot);

/* Ends the captures under way and all later ones with -ECANCELED; only camera_close is left. */
void camera_cancel(struct camera *camera);

enum camera_source_kind camera_kind(const struct camera *camera);

/* Stops and frees everything, joining the threads. No capture may be under way. NULL is fine. */
void camera_close(struct camera *camera);

void camera_shot_deinit(struct camera_shot *shot);

/* Writes a sentence, with everything but printable ASCII turned to '?'. error may be NULL. */
_printf_(2, 3) void camera_error_set(struct camera_error *error, const char *format, ...);

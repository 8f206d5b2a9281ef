#pragma once
/*
 * What a node's operator decided: devices, place, prices, whom it works for. Read from a JSON file
 * and from options, without floats. A file that holds a key or a value that is not understood is
 * refused whole, with a sentence: a misspelt limit must not be no limit.
 *
 *	{"broker": "FILE", "escrow": "FILE", "place": "47.3769,8.5417", "accuracy_m": 10,
 *	 "price": "0.05", "asset": "XTS", "verifiers": ["did:key:..."], "t_dispute_max_ms":
 *86400000, "refused_words": ["..."], "persons_in_view": false, "policy": "...", "captures": 8,
 *	 "camera": {"source": "v4l2:/dev/video0", "price": "0.10", "width": 1920, "height": 1080,
 *		"fps": 10, "max_width": 1920, "max_height": 1080, "redactions": "..."},
 *	 "instruments": [{"address": "HOST:PORT", "kind": "voltage.dc", "quantity": "voltage-dc",
 *		"unit": "V", "query": "MEAS:VOLT:DC?", "channel": "...", "calibration": "...",
 *		"timeout_ms": 5000, "synthetic": false, "price": "0.01"}]}
 *
 * Every key is optional. What they mean stands in docs/man/assay-node.1.
 */
#include "sensor-node/core/node.h"
#include "sensor-node/media/camera.h"

#define CONFIG_FILE_MAX        65536 /* bytes */
#define CONFIG_INSTRUMENTS_MAX (NODE_OFFERINGS_MAX - 1) /* beside the camera */
#define CONFIG_WORD_MAX        65 /* bytes of a refused word, with NUL */
#define CONFIG_PATH_MAX        512
#define CONFIG_CAPTURES        8 /* at once, by default */
#define CONFIG_T_DISPUTE_MS    (INT64_C(86400) * 1000) /* by default */
#define CONFIG_ASSET           "XTS" /* by default: money for play */

/* Texts end in NUL and are empty, numbers zero, where nothing was said. */
struct config_camera {
	char source[CAMERA_SOURCE_MAX];
	int64_t price_micros; /* 0: the node's */
	int64_t width;
	int64_t height;
	int64_t fps;
	int64_t max_width;
	int64_t max_height;
	char redactions[257];
};

struct config_instrument {
	char host[256];
	uint16_t port;
	char kind[65];
	char quantity[65];
	char unit[33];
	char query[129];
	char channel[65];
	char calibration[257];
	int64_t timeout_ms;
	int64_t price_micros; /* 0: the node's */
	bool synthetic; /* a simulated instrument, which says so */
};

/* Large: keep it off the stack. */
struct config {
	char broker[CONFIG_PATH_MAX]; /* contact files */
	char escrow[CONFIG_PATH_MAX];
	struct config_camera camera;
	struct config_instrument instruments[CONFIG_INSTRUMENTS_MAX];
	size_t n_instruments;
	struct place place; /* radius_m: the accuracy; present: it was said */
	int64_t price_micros;
	char asset[129];
	struct did verifiers[POOL_MAX];
	size_t n_verifiers;
	int64_t t_dispute_max_ms;
	char refused_words[NODE_WORDS_MAX][CONFIG_WORD_MAX];
	size_t n_refused_words;
	bool persons_in_view;
	char policy[257];
	int64_t captures;
};

/* A sentence that says what to do. */
struct config_error {
	char text[256];
};

/* The defaults. */
void config_init(struct config *config);

/*
 * Adds what a file, or its content, says to *config, which is then in part changed where that
 * fails. 0; -EINVAL, or of the file -EFBIG or another negative errno; always with a sentence.
 */
_must_check_ int config_read(
	const char *path, struct config *config, struct config_error *ret_error);
_must_check_ int config_parse(
	struct span json, struct config *config, struct config_error *ret_error);

/*
 * What an option says: "camera", "instrument" (adds one), "place", "price", "verifier" (adds one),
 * "asset", "broker", "escrow", "captures", as the text forms above. 0, or -EINVAL with a sentence.
 */
_must_check_ int config_option(
	struct config *config, const char *name, const char *value, struct config_error *ret_error);

/* Whether a node can run with it. 0, or -EINVAL with a sentence that says what is missing. */
_must_check_ int config_check(const struct config *config, struct config_error *ret_error);

/*
 * A decimal number, [-]digits[.digits], as an integer of 10^-digits: ("0.05", 6) gives 50000. At
 * most `digits` after the point; no exponent, no sign '+', no blanks. 0, or -EINVAL (not such a
 * number, or more digits than that) or -ERANGE (over 64 bits).
 */
_must_check_ int config_decimal(const char *text, unsigned int digits, int64_t *ret_value);

#pragma once
/*
 * Decodes one JPEG wholly (libjpeg-turbo) and says in integers what is in it. This parses bytes of
 * strangers: only the sandboxed worker may call jpeg_decode(); everybody else asks sandbox.h.
 *
 * Decoder profile JPEG_PROFILE: integer "slow" inverse DCT, luma as coded (the Y plane; RGB is
 * converted by libjpeg's integer tables), no upsampling. All figures are integers, so that two
 * verifiers get the same bytes.
 */
#include "proto/base/base.h"

#define JPEG_PROFILE    "jpeg-islow-y-1"
#define JPEG_BYTES_MAX  (16u * 1024 * 1024) /* of one file */
#define JPEG_PIXELS_MAX 100000000u /* of one picture */
#define JPEG_SCANS_MAX  200 /* of one progressive picture */
#define JPEG_MEMORY_MAX (384l * 1024 * 1024) /* of libjpeg's working memory; bytes */
#define JPEG_ERROR_MAX  80 /* bytes of error text with its NUL */

/* How it ended. The numbers are on the wire between worker and sandbox: append only. */
enum jpeg_outcome {
	JPEG_DECODED = 1, /* fully and without a warning */
	JPEG_NOT_JPEG = 2, /* no JPEG header */
	JPEG_CORRUPT = 3, /* an error or a warning: cut, damaged */
	JPEG_TOO_LARGE = 4, /* more bytes or pixels than the limits */
	JPEG_UNSERVED = 5, /* a colour space that cameras do not write (CMYK and the like) */
	/* said by the sandbox, never by a worker */
	JPEG_TIMEOUT = 16, /* the deadline came first; the worker was killed */
	JPEG_KILLED = 17, /* the worker died over it; see worker_signal */
	JPEG_LIED = 18, /* the worker answered something impossible and was killed */
};

struct jpeg_facts {
	enum jpeg_outcome outcome;
	bool decodes; /* outcome is JPEG_DECODED */
	int worker_signal; /* JPEG_KILLED: the signal, 0 where it exited */
	uint32_t width, height; /* pixels as coded; 0 where there is no header */
	uint8_t n_components; /* 1 or 3 where it decodes */
	uint32_t n_warnings; /* libjpeg's */
	uint32_t mean_luma_milli; /* 0 to 255,000; 0 unless it decodes */
	uint32_t luma_deviation_milli; /* standard deviation over all pixels; 0 unless it decodes */
	bool has_position; /* EXIF GPSLatitude and GPSLongitude */
	int32_t lat_e7, lon_e7; /* 1e-7 degrees, as the file claims, datum unchecked */
	bool has_gps_time; /* EXIF GPSDateStamp and GPSTimeStamp */
	int64_t gps_time_s; /* UTC, seconds since 1970 */
	bool has_taken_at; /* EXIF DateTimeOriginal */
	int64_t taken_at_s; /* as if it were UTC: EXIF states no zone here */
	char error[JPEG_ERROR_MAX]; /* printable ASCII, empty where it decodes */
};

/* Fills ret_facts, whatever the bytes are. */
void jpeg_decode(struct span bytes, struct jpeg_facts *ret_facts);

/*
 * Makes and decodes a tiny picture, so that libjpeg-turbo looks at the CPU (on arm64 it opens
 * /proc/cpuinfo) before the sandbox closes. False where the library does not work.
 */
_must_check_ bool jpeg_warm_up(void);

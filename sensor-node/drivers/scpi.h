#pragma once
/*
 * One measurement from an instrument that speaks SCPI (SCPI-99, IEEE 488.2) over a raw TCP socket,
 * as most do on port 5025. A connection is made for each measurement, so that an instrument that
 * was switched off and on again needs nothing special. Values stay the decimal numbers that the
 * instrument sent: no floats. An instrument is a peer like any other: what it sends is bounded and
 * checked.
 */
#include "proto/base/base.h"

#define SCPI_PORT        5025
#define SCPI_LINE_MAX    512u /* bytes of a line without its end, either way */
#define SCPI_ERRORS_MAX  32u /* entries of the error queue that are read after a query */
#define SCPI_TEXT_MAX    (SCPI_LINE_MAX + 1)
#define SCPI_TIMEOUT_MAX 600000u /* ms */

struct scpi_options {
	const char *host; /* a name or an address */
	uint16_t port; /* 0: SCPI_PORT */
	uint32_t timeout_ms; /* for everything together, 1 to SCPI_TIMEOUT_MAX; a name look-up comes
				on top */
	const char *query; /* "MEAS:VOLT:DC?": one query, printable ASCII, no ';' */
};

/* value = mantissa * 10^exponent, in the unit that the query implies */
struct scpi_reading {
	int64_t mantissa;
	int32_t exponent;
	char idn[SCPI_TEXT_MAX]; /* the answer to *IDN? */
	char reply[SCPI_TEXT_MAX]; /* the answer to the query, as it came */
	char error[SCPI_TEXT_MAX]; /* the last of the error queue: 0,"No error" */
};

/* Why a measurement was not taken: a sentence in printable ASCII. */
struct scpi_error {
	char text[256];
};

/*
 * Connects, clears the instrument's status (*CLS), asks who it is, sends the query and then reads
 * the error queue to its end. ret_error may be NULL. Returns 0, or with a sentence in *ret_error:
 *   -EINVAL      the options are not valid
 *   -ETIMEDOUT   the time was up
 *   -ECONNRESET  the instrument closed the connection
 *   -EPROTO      an answer was too long, not ASCII, or not of the form it must have
 *   -ERANGE      the instrument reported an overload, or not a number, or more digits than 64 bits
 * hold -EREMOTEIO   the error queue was not empty afterwards; the sentence cites the first entry
 *   -EHOSTUNREACH, -ECONNREFUSED or another errno of connect(2).
 */
_must_check_ int scpi_measure(const struct scpi_options *options, struct scpi_error *ret_error,
	struct scpi_reading *ret_reading);

/* Writes a sentence, with everything but printable ASCII turned to '?'. error may be NULL. */
_printf_(2, 3) void scpi_error_set(struct scpi_error *error, const char *format, ...);

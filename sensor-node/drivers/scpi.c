#include "sensor-node/drivers/scpi.h"

#include "sensor-node/drivers/scpi_link.h"
#include "sensor-node/drivers/scpi_number.h"

#include <stdarg.h>
#include <stdio.h>

void scpi_error_set(struct scpi_error *error, const char *format, ...)
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

/* One query: a second one behind a ';' or a line's end would leave an answer that nobody reads. */
static bool scpi_is_query(const char *text)
{
	size_t n = strnlen(text, SCPI_LINE_MAX + 1);
	bool asks = false;

	if (n > SCPI_LINE_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e || text[i] == ';')
			return false;
		asks = asks || text[i] == '?';
	}
	return asks;
}

/* An entry of the error queue (SCPI-99 volume 2, 21.8.1): a number, a comma, a quoted text. */
static int scpi_parse_error(const char *entry, int64_t *ret_code)
{
	const char *comma = strchr(entry, ',');
	size_t n = comma ? strlen(comma) : 0;
	int32_t exponent;

	if (n < 3 || comma[1] != '"' || comma[n - 1] != '"')
		return -EPROTO;
	if (scpi_number_parse(SPAN(entry, (size_t)(comma - entry)), ret_code, &exponent) < 0 ||
		exponent != 0)
		return -EPROTO;
	return 0;
}

/* Empties the error queue. Returns 0 where it was empty. */
static int scpi_drain_errors(
	struct scpi_link *link, struct scpi_error *error, char last[static SCPI_TEXT_MAX])
{
	int result = 0;

	for (unsigned i = 0; i < SCPI_ERRORS_MAX; i++) {
		int64_t code;
		int r = scpi_link_ask(link, "SYST:ERR?", error, last);

		if (r < 0)
			return r;
		r = scpi_parse_error(last, &code);
		if (r < 0) {
			scpi_error_set(error,
				"The answer to SYST:ERR? is not a number and a text: %s", last);
			return r;
		}
		if (code == 0)
			return result;
		if (result == 0)
			scpi_error_set(error, "The instrument reports an error: %s", last);
		result = -EREMOTEIO;
	}
	return -EREMOTEIO;
}

static int scpi_parse_reply(
	const char *reply, struct scpi_error *error, struct scpi_reading *reading)
{
	int r = scpi_number_parse(SPAN_STR(reply), &reading->mantissa, &reading->exponent);

	switch (-r) {
	case 0:
		return 0;
	case ENODATA:
		scpi_error_set(error, "The instrument has no value (9.91E37, not a number).");
		return -ERANGE;
	case EOVERFLOW:
		scpi_error_set(
			error, "The instrument is overloaded (9.9E37): choose a larger range.");
		return -ERANGE;
	case ERANGE:
		scpi_error_set(error, "The reading has too many digits: %s", reply);
		return -ERANGE;
	default:
		scpi_error_set(error, "The reading is not one decimal number: %s", reply);
		return -EPROTO;
	}
}

static int scpi_converse(struct scpi_link *link, const char *query, struct scpi_error *error,
	struct scpi_reading *reading)
{
	int r = scpi_link_send(link, "*CLS", error);

	if (r == 0)
		r = scpi_link_ask(link, "*IDN?", error, reading->idn);
	if (r == 0)
		r = scpi_link_ask(link, query, error, reading->reply);
	if (r == 0)
		r = scpi_drain_errors(link, error, reading->error);
	/* after the queue: an error of the instrument explains a reply that is no number */
	if (r == 0)
		r = scpi_parse_reply(reading->reply, error, reading);
	return r;
}

int scpi_measure(const struct scpi_options *options, struct scpi_error *ret_error,
	struct scpi_reading *ret_reading)
{
	struct scpi_link link = SCPI_LINK_CLOSED;
	struct scpi_reading reading = { 0 };

	if (!options->host || !*options->host || options->timeout_ms == 0 ||
		options->timeout_ms > SCPI_TIMEOUT_MAX || !options->query ||
		!scpi_is_query(options->query)) {
		scpi_error_set(ret_error,
			"An instrument needs a host, a timeout of up to 10 minutes, and one "
			"query like MEAS:VOLT:DC?.");
		return -EINVAL;
	}
	int r = scpi_link_open(&link, options->host, options->port ? options->port : SCPI_PORT,
		options->timeout_ms, ret_error);

	if (r == 0)
		r = scpi_converse(&link, options->query, ret_error, &reading);
	scpi_link_close(&link);
	if (r == 0)
		*ret_reading = reading;
	return r;
}

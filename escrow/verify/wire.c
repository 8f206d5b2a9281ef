#include "escrow/verify/wire.h"

#define MAGIC 0x41535731u /* "ASW1" */

#define FLAG_POSITION 1
#define FLAG_TAKEN_AT 2
#define FLAG_GPS_TIME 4

#define TIME_END INT64_C(253402300800) /* the year 10000, seconds since 1970 */

/* Offsets in a reply. */
enum {
	AT_SEQUENCE = 0,
	AT_OUTCOME = 4,
	AT_COMPONENTS = 5,
	AT_FLAGS = 6,
	AT_WIDTH = 8,
	AT_HEIGHT = 12,
	AT_WARNINGS = 16,
	AT_MEAN = 20,
	AT_DEVIATION = 24,
	AT_LAT = 28,
	AT_LON = 32,
	AT_TAKEN = 40,
	AT_GPS = 48,
	AT_ERROR = 56,
};

_Static_assert(AT_ERROR + JPEG_ERROR_MAX <= WIRE_REPLY, "the reply has room for the text");

static void put(uint8_t *p, uint64_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(value >> 8 * (n - 1 - i));
}

static uint64_t get(const uint8_t *p, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | p[i];
	return value;
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)get(p, 4);
}

void wire_put_hello(const struct wire_hello *hello, uint8_t out[static WIRE_HELLO])
{
	put(out, MAGIC, 4);
	put(out + 4, hello->defences, 2);
	put(out + 6, hello->error, 2);
}

bool wire_get_hello(const uint8_t in[static WIRE_HELLO], struct wire_hello *ret_hello)
{
	if (get_u32(in) != MAGIC)
		return false;
	ret_hello->defences = (uint16_t)get(in + 4, 2);
	ret_hello->error = (uint16_t)get(in + 6, 2);
	return true;
}

void wire_put_request(const struct wire_request *request, uint8_t out[static WIRE_REQUEST])
{
	put(out, request->sequence, 4);
	put(out + 4, request->length, 4);
}

bool wire_get_request(const uint8_t in[static WIRE_REQUEST], struct wire_request *ret_request)
{
	uint32_t length = get_u32(in + 4);

	if (length > JPEG_BYTES_MAX)
		return false;
	ret_request->sequence = get_u32(in);
	ret_request->length = length;
	return true;
}

void wire_put_reply(uint32_t sequence, const struct jpeg_facts *f, uint8_t out[static WIRE_REPLY])
{
	unsigned flags = (f->has_position ? FLAG_POSITION : 0u) |
			 (f->has_taken_at ? FLAG_TAKEN_AT : 0u) |
			 (f->has_gps_time ? FLAG_GPS_TIME : 0u);

	memset(out, 0, WIRE_REPLY);
	put(out + AT_SEQUENCE, sequence, 4);
	put(out + AT_OUTCOME, f->outcome, 1);
	put(out + AT_COMPONENTS, f->n_components, 1);
	put(out + AT_FLAGS, flags, 1);
	put(out + AT_WIDTH, f->width, 4);
	put(out + AT_HEIGHT, f->height, 4);
	put(out + AT_WARNINGS, f->n_warnings, 4);
	put(out + AT_MEAN, f->mean_luma_milli, 4);
	put(out + AT_DEVIATION, f->luma_deviation_milli, 4);
	put(out + AT_LAT, (uint32_t)f->lat_e7, 4);
	put(out + AT_LON, (uint32_t)f->lon_e7, 4);
	put(out + AT_TAKEN, (uint64_t)f->taken_at_s, 8);
	put(out + AT_GPS, (uint64_t)f->gps_time_s, 8);
	memcpy(out + AT_ERROR, f->error, strnlen(f->error, JPEG_ERROR_MAX - 1));
}

static bool printable(const char text[static JPEG_ERROR_MAX])
{
	size_t n = strnlen(text, JPEG_ERROR_MAX);

	if (n == JPEG_ERROR_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	}
	return true;
}

static bool outcome_of_worker(uint8_t number, enum jpeg_outcome *ret_outcome)
{
	if (number < JPEG_DECODED || number > JPEG_UNSERVED)
		return false;
	*ret_outcome = (enum jpeg_outcome)number;
	return true;
}

/* What a decoder that is itself could have said. */
static bool possible(const struct jpeg_facts *f)
{
	uint64_t pixels = (uint64_t)f->width * f->height;

	if (f->width > 65535 || f->height > 65535 || !printable(f->error))
		return false;
	if (f->has_position && (f->lat_e7 < -900000000 || f->lat_e7 > 900000000 ||
				       f->lon_e7 < -1800000000 || f->lon_e7 > 1800000000))
		return false;
	if (!f->has_position && (f->lat_e7 || f->lon_e7))
		return false;
	if (f->taken_at_s < 0 || f->taken_at_s >= TIME_END || (!f->has_taken_at && f->taken_at_s))
		return false;
	if (f->gps_time_s < 0 || f->gps_time_s >= TIME_END || (!f->has_gps_time && f->gps_time_s))
		return false;
	if (!f->decodes)
		return f->error[0] != 0 && f->mean_luma_milli == 0 && f->luma_deviation_milli == 0;
	return f->error[0] == 0 && f->n_warnings == 0 && pixels > 0 && pixels <= JPEG_PIXELS_MAX &&
	       (f->n_components == 1 || f->n_components == 3) && f->mean_luma_milli <= 255000 &&
	       f->luma_deviation_milli <= 127500;
}

bool wire_get_reply(
	const uint8_t in[static WIRE_REPLY], uint32_t sequence, struct jpeg_facts *ret_facts)
{
	uint8_t flags = in[AT_FLAGS];
	struct jpeg_facts f = {
		.n_components = in[AT_COMPONENTS],
		.width = get_u32(in + AT_WIDTH),
		.height = get_u32(in + AT_HEIGHT),
		.n_warnings = get_u32(in + AT_WARNINGS),
		.mean_luma_milli = get_u32(in + AT_MEAN),
		.luma_deviation_milli = get_u32(in + AT_DEVIATION),
		.has_position = flags & FLAG_POSITION,
		.lat_e7 = (int32_t)get_u32(in + AT_LAT),
		.lon_e7 = (int32_t)get_u32(in + AT_LON),
		.has_taken_at = flags & FLAG_TAKEN_AT,
		.taken_at_s = (int64_t)get(in + AT_TAKEN, 8),
		.has_gps_time = flags & FLAG_GPS_TIME,
		.gps_time_s = (int64_t)get(in + AT_GPS, 8),
	};

	if (get_u32(in + AT_SEQUENCE) != sequence ||
		flags & ~(FLAG_POSITION | FLAG_TAKEN_AT | FLAG_GPS_TIME) ||
		!outcome_of_worker(in[AT_OUTCOME], &f.outcome))
		return false;
	f.decodes = f.outcome == JPEG_DECODED;
	memcpy(f.error, in + AT_ERROR, JPEG_ERROR_MAX);
	if (!possible(&f))
		return false;
	*ret_facts = f;
	return true;
}

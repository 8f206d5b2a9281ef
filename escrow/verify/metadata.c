#include "escrow/verify/metadata.h"

#include <libexif/exif-data.h>

#define SECOND_PER_DAY INT64_C(86400)

struct fraction {
	uint32_t above;
	uint32_t below;
};

static void data_freep(ExifData **data)
{
	if (*data)
		exif_data_unref(*data);
}

/* Three unsigned rationals: degrees, minutes, seconds, or hours, minutes, seconds. */
static bool three(ExifData *data, ExifTag tag, struct fraction out[static 3])
{
	ExifEntry *entry = exif_content_get_entry(data->ifd[EXIF_IFD_GPS], tag);
	ExifByteOrder order = exif_data_get_byte_order(data);

	if (!entry || !entry->data || entry->format != EXIF_FORMAT_RATIONAL ||
		entry->components != 3 || entry->size < 24)
		return false;
	for (size_t i = 0; i < 3; i++) {
		ExifRational r = exif_get_rational(entry->data + 8 * i, order);

		if (r.denominator == 0)
			return false;
		out[i] = (struct fraction){ r.numerator, r.denominator };
	}
	return true;
}

static struct span text_of(ExifData *data, ExifIfd ifd, ExifTag tag)
{
	ExifEntry *entry = exif_content_get_entry(data->ifd[ifd], tag);

	if (!entry || !entry->data || entry->format != EXIF_FORMAT_ASCII)
		return SPAN(NULL, 0);
	return SPAN(entry->data, entry->size);
}

/* 1e-7 degrees, rounded to nearest. minus and plus: the letters of the reference tag. */
static bool coordinate(ExifData *data, ExifTag tag, ExifTag reference, char plus, char minus,
	uint32_t degrees_max, int32_t *ret_e7)
{
	static const uint32_t units[3] = { 1, 60, 3600 };
	const unsigned __int128 e11 = 100000000000u;
	struct fraction parts[3];
	struct span sign = text_of(data, EXIF_IFD_GPS, reference);
	unsigned __int128 sum = 0;

	if (!three(data, tag, parts) || sign.n == 0 || (sign.p[0] != plus && sign.p[0] != minus))
		return false;
	for (size_t i = 0; i < 3; i++) {
		if (i > 0 && parts[i].above >= UINT64_C(60) * parts[i].below)
			return false;
		sum += parts[i].above * e11 / ((unsigned __int128)units[i] * parts[i].below);
	}
	if (sum > degrees_max * e11)
		return false;
	int32_t e7 = (int32_t)((sum + 5000) / 10000);

	*ret_e7 = sign.p[0] == minus ? -e7 : e7;
	return true;
}

static bool digits(const uint8_t *p, size_t n, int64_t *ret_value)
{
	int64_t value = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		value = value * 10 + (p[i] - '0');
	}
	*ret_value = value;
	return true;
}

/* "YYYY:MM:DD" of the Gregorian calendar, 1970 to 9999, as days since 1970. */
static bool days_of(struct span text, int64_t *ret_days)
{
	static const uint16_t before_month[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304,
		334, 365 };
	int64_t y, m, d;

	if (text.n < 10 || text.p[4] != ':' || text.p[7] != ':' || !digits(text.p, 4, &y) ||
		!digits(text.p + 5, 2, &m) || !digits(text.p + 8, 2, &d))
		return false;
	if (y < 1970 || m < 1 || m > 12)
		return false;
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	int64_t length = before_month[m] - before_month[m - 1] + (leap && m == 2);

	if (d < 1 || d > length)
		return false;
	int64_t past = y - 1;

	/* 719162 days lie between 0001-01-01 and 1970-01-01. */
	*ret_days = past * 365 + past / 4 - past / 100 + past / 400 - 719162 + before_month[m - 1] +
		    (leap && m > 2) + d - 1;
	return true;
}

static bool taken_at(ExifData *data, int64_t *ret_s)
{
	struct span text = text_of(data, EXIF_IFD_EXIF, EXIF_TAG_DATE_TIME_ORIGINAL);
	int64_t days, h, m, s;

	if (text.n < 19 || text.p[10] != ' ' || text.p[13] != ':' || text.p[16] != ':' ||
		!days_of(text, &days) || !digits(text.p + 11, 2, &h) ||
		!digits(text.p + 14, 2, &m) || !digits(text.p + 17, 2, &s) || h > 23 || m > 59 ||
		s > 59)
		return false;
	*ret_s = days * SECOND_PER_DAY + h * 3600 + m * 60 + s;
	return true;
}

static bool gps_time(ExifData *data, int64_t *ret_s)
{
	struct span date = text_of(data, EXIF_IFD_GPS, (ExifTag)EXIF_TAG_GPS_DATE_STAMP);
	struct fraction clock[3];
	int64_t days;

	if (!days_of(date, &days) || !three(data, (ExifTag)EXIF_TAG_GPS_TIME_STAMP, clock))
		return false;
	int64_t h = clock[0].above / clock[0].below;
	int64_t m = clock[1].above / clock[1].below;
	int64_t s = clock[2].above / clock[2].below;

	if (h > 23 || m > 59 || s > 59)
		return false;
	*ret_s = days * SECOND_PER_DAY + h * 3600 + m * 60 + s;
	return true;
}

void metadata_read(struct span app1, struct jpeg_facts *facts)
{
	_cleanup_(data_freep) ExifData *data = exif_data_new();
	int32_t lat, lon;

	if (!data || app1.n > 0xffff)
		return;
	/* As written: libexif would otherwise add tags that the standard asks for. */
	exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
	exif_data_load_data(data, app1.p, (unsigned)app1.n);
	facts->has_taken_at = taken_at(data, &facts->taken_at_s);
	facts->has_gps_time = gps_time(data, &facts->gps_time_s);
	if (coordinate(data, (ExifTag)EXIF_TAG_GPS_LATITUDE, (ExifTag)EXIF_TAG_GPS_LATITUDE_REF,
		    'N', 'S', 90, &lat) &&
		coordinate(data, (ExifTag)EXIF_TAG_GPS_LONGITUDE,
			(ExifTag)EXIF_TAG_GPS_LONGITUDE_REF, 'E', 'W', 180, &lon)) {
		facts->has_position = true;
		facts->lat_e7 = lat;
		facts->lon_e7 = lon;
	}
}

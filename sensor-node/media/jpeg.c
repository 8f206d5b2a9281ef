#include "sensor-node/media/jpeg.h"

enum {
	JPEG_TEM = 0x01,
	JPEG_DHT = 0xc4,
	JPEG_JPG = 0xc8,
	JPEG_DAC = 0xcc,
	JPEG_RST0 = 0xd0,
	JPEG_SOI = 0xd8,
	JPEG_EOI = 0xd9,
	JPEG_SOS = 0xda,
};

static bool jpeg_is_frame(uint8_t marker)
{
	return marker >= 0xc0 && marker <= 0xcf && marker != JPEG_DHT && marker != JPEG_JPG &&
	       marker != JPEG_DAC;
}

/* Moves to the next marker, over its fill bytes. Returns it, or 0 at the end or at other bytes. */
static uint8_t jpeg_marker(struct span jpeg, size_t *at)
{
	if (*at >= jpeg.n || jpeg.p[*at] != 0xff)
		return 0;
	while (*at < jpeg.n && jpeg.p[*at] == 0xff)
		(*at)++;
	return *at < jpeg.n ? jpeg.p[(*at)++] : 0;
}

int jpeg_measure(struct span jpeg, struct jpeg_shape *ret_shape)
{
	struct jpeg_shape shape = { 0 };
	size_t at = 2;

	if (jpeg.n < 4 || jpeg.p[0] != 0xff || jpeg.p[1] != JPEG_SOI)
		return -EBADMSG;
	for (;;) {
		uint8_t marker = jpeg_marker(jpeg, &at);

		if (marker == 0 || marker == JPEG_TEM ||
			(marker >= JPEG_RST0 && marker <= JPEG_EOI))
			return -EBADMSG;
		if (jpeg.n - at < 2)
			return -EBADMSG;
		size_t length = (size_t)jpeg.p[at] << 8 | jpeg.p[at + 1];

		if (length < 2 || length > jpeg.n - at)
			return -EBADMSG;
		if (marker == JPEG_SOS)
			break;
		if (marker == JPEG_DHT || marker == JPEG_DAC)
			shape.has_tables = true;
		if (jpeg_is_frame(marker)) {
			if (length < 8 || shape.width > 0)
				return -EBADMSG;
			shape.height = (uint32_t)jpeg.p[at + 3] << 8 | jpeg.p[at + 4];
			shape.width = (uint32_t)jpeg.p[at + 5] << 8 | jpeg.p[at + 6];
			if (shape.width == 0 || shape.height == 0)
				return -EBADMSG;
		}
		at += length;
	}
	if (shape.width == 0)
		return -EBADMSG;
	*ret_shape = shape;
	return 0;
}

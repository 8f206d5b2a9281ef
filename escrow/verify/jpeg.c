#include "escrow/verify/jpeg.h"

#include "escrow/verify/metadata.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <jerror.h>

#define EXIF_MARKER (JPEG_APP0 + 1)

struct decoder {
	struct jpeg_decompress_struct cinfo;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf failed;
	struct jpeg_facts *facts;
	JSAMPLE *row;
	uint64_t sum, sum_of_squares;
};

static void fail(struct decoder *d, enum jpeg_outcome outcome, const char *text)
{
	d->facts->outcome = outcome;
	if (d->facts->error[0] == 0)
		snprintf(d->facts->error, sizeof(d->facts->error), "%s", text);
	longjmp(d->failed, 1);
}

/* The first message of an error or a warning is the telling one. libjpeg's texts are ASCII. */
static void note(j_common_ptr cinfo)
{
	struct decoder *d = cinfo->client_data;
	char text[JMSG_LENGTH_MAX];

	if (d->facts->error[0] != 0)
		return;
	cinfo->err->format_message(cinfo, text);
	snprintf(d->facts->error, sizeof(d->facts->error), "%.*s", JPEG_ERROR_MAX - 1, text);
	for (char *c = d->facts->error; *c; c++) {
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	}
}

static void on_error(j_common_ptr cinfo)
{
	struct decoder *d = cinfo->client_data;

	note(cinfo);
	if (cinfo->err->msg_code == JERR_IMAGE_TOO_BIG)
		fail(d, JPEG_TOO_LARGE, "too large");
	fail(d, d->facts->width ? JPEG_CORRUPT : JPEG_NOT_JPEG, "unreadable");
}

static void on_message(j_common_ptr cinfo, int level)
{
	struct decoder *d = cinfo->client_data;

	if (level >= 0)
		return;
	note(cinfo);
	d->facts->n_warnings++;
}

/* A progressive file of a few kilobytes can ask for thousands of passes over a large picture. */
static void on_progress(j_common_ptr cinfo)
{
	struct decoder *d = cinfo->client_data;

	if (d->cinfo.input_scan_number > JPEG_SCANS_MAX)
		fail(d, JPEG_TOO_LARGE, "more scans than the limit");
}

static void read_metadata(struct decoder *d)
{
	for (jpeg_saved_marker_ptr m = d->cinfo.marker_list; m; m = m->next) {
		if (m->marker == EXIF_MARKER && m->data_length > 6 &&
			memcmp(m->data, "Exif\0", 6) == 0) {
			metadata_read(SPAN(m->data, m->data_length), d->facts);
			return;
		}
	}
}

static void read_header(struct decoder *d, struct span bytes)
{
	jpeg_create_decompress(&d->cinfo);
	d->cinfo.mem->max_memory_to_use = JPEG_MEMORY_MAX;
	d->cinfo.progress = &d->progress;
	jpeg_mem_src(&d->cinfo, bytes.p, bytes.n);
	jpeg_save_markers(&d->cinfo, EXIF_MARKER, 0xffff);
	jpeg_read_header(&d->cinfo, TRUE);
	d->facts->width = d->cinfo.image_width;
	d->facts->height = d->cinfo.image_height;
	d->facts->n_components = (uint8_t)MIN(d->cinfo.num_components, 255);
	if ((uint64_t)d->facts->width * d->facts->height > JPEG_PIXELS_MAX)
		fail(d, JPEG_TOO_LARGE, "more pixels than the limit");
	if (d->cinfo.jpeg_color_space != JCS_GRAYSCALE && d->cinfo.jpeg_color_space != JCS_YCbCr &&
		d->cinfo.jpeg_color_space != JCS_RGB)
		fail(d, JPEG_UNSERVED, "a colour space other than grey, YCbCr or RGB");
	read_metadata(d);
}

static void read_pixels(struct decoder *d)
{
	d->cinfo.out_color_space = JCS_GRAYSCALE;
	d->cinfo.dct_method = JDCT_ISLOW;
	jpeg_start_decompress(&d->cinfo);
	d->row = malloc(d->cinfo.output_width);
	if (!d->row)
		fail(d, JPEG_TOO_LARGE, "no memory for a row");
	while (d->cinfo.output_scanline < d->cinfo.output_height) {
		uint64_t sum = 0;
		uint64_t squares = 0;

		jpeg_read_scanlines(&d->cinfo, &d->row, 1);
		for (size_t x = 0; x < d->cinfo.output_width; x++) {
			uint32_t y = d->row[x];

			sum += y;
			squares += y * y;
		}
		d->sum += sum;
		d->sum_of_squares += squares;
	}
	jpeg_finish_decompress(&d->cinfo);
}

/* Largest integer whose square is at most n. */
static uint64_t root(uint64_t n)
{
	uint64_t r = 0;

	for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1) {
		if ((r | bit) * (r | bit) <= n)
			r |= bit;
	}
	return r;
}

/* Rounded down. At most 1e8 pixels of 255: the squares need more than 64 bits. */
static void measure(struct decoder *d)
{
	uint64_t n = (uint64_t)d->facts->width * d->facts->height;
	unsigned __int128 spread = (unsigned __int128)n * d->sum_of_squares -
				   (unsigned __int128)d->sum * d->sum;

	d->facts->mean_luma_milli = (uint32_t)(d->sum * 1000 / n);
	d->facts->luma_deviation_milli = (uint32_t)root(
		(uint64_t)(spread * 1000000 / ((unsigned __int128)n * n)));
}

void jpeg_decode(struct span bytes, struct jpeg_facts *ret_facts)
{
	struct decoder *d = calloc(1, sizeof(*d));

	*ret_facts = (struct jpeg_facts){ .outcome = JPEG_NOT_JPEG };
	if (!d || bytes.n > JPEG_BYTES_MAX) {
		ret_facts->outcome = JPEG_TOO_LARGE;
		snprintf(ret_facts->error, sizeof(ret_facts->error), "%s",
			d ? "more bytes than the limit" : "no memory");
		free(d);
		return;
	}
	d->facts = ret_facts;
	d->cinfo.err = jpeg_std_error(&d->errors);
	d->cinfo.client_data = d;
	d->errors.error_exit = on_error;
	d->errors.emit_message = on_message;
	d->progress.progress_monitor = on_progress;
	if (setjmp(d->failed) == 0) {
		if (bytes.n == 0)
			fail(d, JPEG_NOT_JPEG, "empty");
		read_header(d, bytes);
		read_pixels(d);
		ret_facts->outcome = ret_facts->n_warnings ? JPEG_CORRUPT : JPEG_DECODED;
		if (ret_facts->outcome == JPEG_DECODED)
			measure(d);
	}
	ret_facts->decodes = ret_facts->outcome == JPEG_DECODED;
	jpeg_destroy_decompress(&d->cinfo);
	free(d->row);
	free(d);
}

bool jpeg_warm_up(void)
{
	struct jpeg_compress_struct cinfo = { 0 };
	struct jpeg_error_mgr errors;
	struct jpeg_facts facts;
	JSAMPLE pixels[16 * 3] = { 0 };
	JSAMPROW row = pixels;
	unsigned char *bytes = NULL;
	unsigned long n = 0;

	cinfo.err = jpeg_std_error(&errors);
	jpeg_create_compress(&cinfo);
	jpeg_mem_dest(&cinfo, &bytes, &n);
	cinfo.image_width = 16;
	cinfo.image_height = 16;
	cinfo.input_components = 3;
	cinfo.in_color_space = JCS_RGB;
	jpeg_set_defaults(&cinfo);
	jpeg_start_compress(&cinfo, TRUE);
	while (cinfo.next_scanline < cinfo.image_height)
		jpeg_write_scanlines(&cinfo, &row, 1);
	jpeg_finish_compress(&cinfo);
	jpeg_destroy_compress(&cinfo);
	jpeg_decode(SPAN(bytes, n), &facts);
	free(bytes);
	return facts.decodes && facts.mean_luma_milli == 0;
}

/*
 * Writes the seeds of the fuzz targets that know genuine things: corpus-seeds DIR, into DIR/TARGET/,
 * which must exist. Always the same bytes, but for the JPEGs, which are the installed library's.
 * (cbor's were written by hand; statement's and message's come from statement-samples.)
 */
#include "escrow/verify/wire.h"
#include "proto/base/text.h"
#include "tests/fuzz/samples.h"
#include "tests/support/fill.h"

#include <stdio.h>
#include <stdlib.h>

#include <turbojpeg.h>

static const char *dir;

static void seed(const char *target, const char *name, struct span bytes)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/%s/%s", dir, target, name);
	FILE *file = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "wb") : NULL;

	if (!file || fwrite(bytes.p, 1, bytes.n, file) != bytes.n || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

#define SEED_BYTES(target, name, ...) \
	seed(target, name, SPAN_OF(((const uint8_t[]){ __VA_ARGS__ })))
#define SEED_TEXT(target, name, text) seed(target, name, SPAN_STR(text))

static void seed_bundle(void)
{
	seed("bundle", "genuine", samples_bundle_file());
	SEED_BYTES("bundle", "script-nothing", 0xff, 0xff, 0xff);
	SEED_BYTES("bundle", "script-flip", 0xff, 0xff, 0xff, 0, 0x08, 0x00, 1);
	SEED_BYTES("bundle", "script-cut", 0xff, 0xff, 0xff, 1, 0x10, 0x00, 1);
	SEED_BYTES("bundle", "script-insert", 0xff, 0xff, 0xff, 2, 0xff, 0xff, 0);
	SEED_BYTES("bundle", "exchange-keys", 0xff, 0, 1);
	SEED_BYTES("bundle", "exchange-verdicts", 0xff, 11, 12);
}

static void seed_note(void)
{
	const struct samples_log *s = samples_log();
	char vkey[NOTE_VKEY_MAX];
	uint8_t entry[ENTRY_MAX];

	seed("note", "note", s->note);
	seed("note", "checkpoint", s->text);
	seed("note", "receipt", s->receipt);
	seed("note", "entry", SPAN(entry, entry_encode(&s->entry, entry)));
	SEED_TEXT("note", "vkey", note_key_text(&s->keys[0], vkey));
	SEED_BYTES("note", "script-note", 0xff, 0, 0, 0x00, 0x20, 1);
	SEED_BYTES("note", "script-receipt", 0xff, 1, 0, 0x00, 0x20, 1);
}

static void seed_contact(void)
{
	static const char hex[] =
		"0101010101010101010101010101010101010101010101010101010101010101";
	struct signer who = fill_signer(1);
	char did[DID_TEXT_MAX];
	char contact[512];
	char market[2048];

	did_text(&who.issuer, did);
	snprintf(contact, sizeof(contact),
		"{\"did\": \"%s\", \"curve_key\": \"%s\", \"encryption_key\": \"%s\", "
		"\"endpoint\": \"tcp://192.0.2.1:7411\"}",
		did, hex, hex);
	snprintf(market, sizeof(market),
		"{\"name\": \"local\", \"asset\": \"XTS\", \"broker\": %s, \"escrow\": %s, "
		"\"verifiers\": [\"%s\"]}",
		contact, contact, did);
	SEED_TEXT("contact", "contact", contact);
	SEED_TEXT("contact", "market", market);
	SEED_TEXT("contact", "twice", "{\"did\":\"a\",\"did\":\"b\"}");
}

static void seed_scpi(void)
{
	static const char *const texts[] = { "+4.99873E+00", "9.91E37", "9.9E37", "-9.9E+37", "0",
		"-0.000", ".5", "5.", "9223372036854775807", "1E99", "1E-99", "0.00000000001E-99",
		"1e+100", "E5", "+-1", "123456789012345678901" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char name[16];

		snprintf(name, sizeof(name), "number-%zu", i);
		SEED_TEXT("scpi", name, texts[i]);
	}
}

static void seed_cose(void)
{
	struct signer who = fill_signer(1);
	const struct cose_header header = { .content_type = SPAN_STR("application/sample+cbor"),
		.subject = SPAN_STR("sample"),
		.issued_at_s = 1700000000 };
	const uint8_t empty_map[] = { 0xa0 };
	uint8_t bytes[1024];
	struct buf out = BUF(bytes);
	struct id id;

	if (!cose_sign(&who, &header, SPAN_STR("payload"), &out, &id))
		exit(1);
	seed("cose", "signed", buf_span(&out));
	bytes[out.n - 1] ^= 1;
	seed("cose", "signature-of-others", buf_span(&out));
	out = BUF(bytes);
	if (!cose_sign_detached(&who, SPAN_OF(empty_map), SPAN_OF(empty_map), SPAN_STR("x"), &out))
		exit(1);
	seed("cose", "detached", buf_span(&out));
	seed("cose", "receipt", samples_log()->receipt);
}

static void seed_seal(void)
{
	const struct samples_sealed *s = samples_sealed();

	seed("seal", "content-empty", s->content[0]);
	seed("seal", "content-short", s->content[1]);
	seed("seal", "small-claims", s->small[SEAL_CLAIMS]);
	seed("seal", "small-digest", s->small[SEAL_DIGEST]);
	seed("seal", "wrapped", s->wrapped);
	for (uint8_t i = 0; i < 7; i++) {
		char name[16];

		snprintf(name, sizeof(name), "same-%d", i);
		SEED_BYTES("seal", name, 0xff, i);
		snprintf(name, sizeof(name), "flip-%d", i);
		SEED_BYTES("seal", name, 0xff, i, 0, 0x00, 0x09, 1);
	}
	SEED_BYTES("seal", "cut-record", 0xff, 3, 1, 0xff, 0xff, 255);
}

static void seed_jpeg(void)
{
	static const int subsamplings[] = { TJSAMP_GRAY, TJSAMP_420, TJSAMP_444, TJSAMP_422 };
	/* A TIFF header and one empty directory (EXIF 2.3, 4.5.2 and 4.7.2). */
	static const uint8_t exif[] = { 0xff, 0xe1, 0, 22, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0,
		42, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0 };
	uint8_t pixels[24 * 18 * 3];
	tjhandle handle = tjInitCompress();

	for (size_t i = 0; i < sizeof(pixels); i++)
		pixels[i] = (uint8_t)(i * i / 7);
	for (size_t i = 0; handle && i < 2 * ARRAY_SIZE(subsamplings); i++) {
		bool progressive = i >= ARRAY_SIZE(subsamplings);
		unsigned char *jpeg = NULL;
		unsigned long n = 0;
		uint8_t with_exif[4096];
		struct buf out = BUF(with_exif);
		char name[32];

		if (tjCompress2(handle, pixels, 24, 0, 18, TJPF_RGB, &jpeg, &n,
			    subsamplings[i % ARRAY_SIZE(subsamplings)], 50,
			    progressive ? TJFLAG_PROGRESSIVE : 0) != 0)
			exit(1);
		snprintf(name, sizeof(name), "%s-%zu", progressive ? "progressive" : "baseline",
			i % ARRAY_SIZE(subsamplings));
		seed("jpeg", name, SPAN(jpeg, n));
		if (i == 1) {
			buf_put(&out, jpeg, 2);
			buf_put(&out, exif, sizeof(exif));
			buf_put(&out, jpeg + 2, n - 2);
			seed("jpeg", "exif", buf_span(&out));
			seed("jpeg", "cut", SPAN(jpeg, n - 40));
		}
		tjFree(jpeg);
	}
	tjDestroy(handle);

	/* A worker's reply about a picture of 24 x 18 (escrow/verify/wire.c). */
	const struct jpeg_facts facts = { .outcome = JPEG_DECODED,
		.width = 24,
		.height = 18,
		.n_components = 3,
		.mean_luma_milli = 1000,
		.has_taken_at = true,
		.taken_at_s = 1700000000 };
	uint8_t reply[WIRE_REPLY];

	wire_put_reply(0xff000001, &facts, reply);
	seed("jpeg", "reply", SPAN_OF(reply));
}

static void seed_config(void)
{
	struct signer who = fill_signer(1);
	char did[DID_TEXT_MAX];
	char text[2048];

	snprintf(text, sizeof(text),
		"{\"broker\": \"b.json\", \"escrow\": \"e.json\", \"place\": \"47.3769,8.5417\", "
		"\"accuracy_m\": 10, \"price\": \"0.05\", \"asset\": \"XTS\", \"verifiers\": [\"%s\"], "
		"\"t_dispute_max_ms\": 86400000, \"refused_words\": [\"crowd\"], "
		"\"persons_in_view\": false, \"policy\": \"none\", \"captures\": 8, "
		"\"camera\": {\"source\": \"test\", \"price\": \"0.10\", \"width\": 640, \"height\": "
		"480, \"fps\": 10, \"max_width\": 640, \"max_height\": 480, \"redactions\": \"none\"}, "
		"\"instruments\": [{\"address\": \"[::1]:5025\", \"kind\": \"voltage.dc\", \"quantity\": "
		"\"voltage-dc\", \"unit\": \"V\", \"query\": \"MEAS:VOLT:DC?\", \"channel\": \"1\", "
		"\"calibration\": \"2026\", \"timeout_ms\": 5000, \"synthetic\": true, \"price\": "
		"\"0.01\"}]}",
		did_text(&who.issuer, did));
	SEED_TEXT("config", "whole", text);
	SEED_TEXT("config", "empty", "{}");
	SEED_TEXT("config", "float", "{\"price\": 0.05}");
	SEED_TEXT("config", "unknown", "{\"prize\": \"0.05\"}");
	SEED_TEXT("config", "place", "-90,180.0000000");
	SEED_TEXT("config", "price", "0.000001");
	SEED_TEXT("config", "address", "[fe80::1]:5025");
	SEED_TEXT("config", "did", did);
	SEED_TEXT("config", "captures-none", "000"); /* once taken although it was refused */
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "Usage: %s DIR\n", argv[0]);
		return 2;
	}
	dir = argv[1];
	seed_bundle();
	seed_note();
	seed_contact();
	seed_scpi();
	seed_cose();
	seed_seal();
	seed_jpeg();
	seed_config();
	return 0;
}

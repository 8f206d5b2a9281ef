#include "tests/fuzz/fuzz.h"

#include "escrow/verify/wire.h"

/* Larger pictures are the sandbox's time limit's matter: they would only make a run slow. */
#define PIXELS_MAX (1024 * 1024)

/* Whether any bytes that could be a frame header (ITU T.81, B.2.2) tell of a larger picture. */
static bool large(const uint8_t *data, size_t n)
{
	for (size_t i = 0; i + 8 < n; i++) {
		uint32_t height = (uint32_t)(data[i + 5] << 8 | data[i + 6]);
		uint32_t width = (uint32_t)(data[i + 7] << 8 | data[i + 8]);

		if (data[i] == 0xff && data[i + 1] >= 0xc0 && data[i + 1] <= 0xcf &&
			(uint64_t)width * height > PIXELS_MAX)
			return true;
	}
	return false;
}

static uint32_t sequence_of(const uint8_t reply[static 4])
{
	return (uint32_t)reply[0] << 24 | (uint32_t)reply[1] << 16 | (uint32_t)reply[2] << 8 |
	       reply[3];
}

/* Whatever the bytes are, the facts are possible: the other side of the wire takes them unchanged. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t reply[WIRE_REPLY], again[WIRE_REPLY];
	struct jpeg_facts facts, got;

	if (large(data, n))
		return 0;
	memset(&facts, 0x5a, sizeof(facts));
	jpeg_decode(SPAN(data, n), &facts);
	FUZZ_PROMISE(facts.decodes == (facts.outcome == JPEG_DECODED));
	wire_put_reply(7, &facts, reply);
	FUZZ_PROMISE(wire_get_reply(reply, 7, &got));
	FUZZ_PROMISE(!wire_get_reply(reply, 8, &got));
	wire_put_reply(7, &got, again);
	FUZZ_PROMISE(memcmp(reply, again, sizeof(reply)) == 0);

	/* The same bytes as a worker's words, in an attacker's hands. */
	if (n >= WIRE_REPLY && wire_get_reply(data, sequence_of(data), &got)) {
		FUZZ_PROMISE(got.width <= 65535 && got.height <= 65535);
		FUZZ_PROMISE(strnlen(got.error, JPEG_ERROR_MAX) < JPEG_ERROR_MAX);
		FUZZ_PROMISE(got.outcome >= JPEG_DECODED && got.outcome <= JPEG_UNSERVED);
	}
	return 0;
}

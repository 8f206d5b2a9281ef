#include "tests/fuzz/fuzz.h"

#include "proto/base/base.h"
#include "tests/support/cbor_again.h"

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t out_bytes[INPUT_MAX];
	struct buf out = BUF(out_bytes);
	struct span input = SPAN(data, n);
	struct cbor_reader heads = cbor_over(input);
	struct cbor_reader whole = cbor_over(input);
	struct cbor_item item;

	if (n > INPUT_MAX)
		return 0;

	/* Reading heads out of anything stays inside the input and always gets on. */
	for (const uint8_t *before = heads.p; cbor_read(&heads, &item) == REFUSED_NOT;
		before = heads.p) {
		FUZZ_PROMISE(heads.p > before && heads.p <= heads.end);
		if (item.type == CBOR_BYTES || item.type == CBOR_TEXT)
			FUZZ_PROMISE(item.string.n <= (size_t)(heads.p - before));
	}

	enum refusal skipped = cbor_skip(&whole);
	enum refusal checked = cbor_check(input);

	FUZZ_PROMISE(whole.p <= whole.end);
	if (checked != REFUSED_NOT) {
		FUZZ_PROMISE(checked == skipped ||
			     (checked == REFUSED_CBOR_TRAILING && skipped == REFUSED_NOT));
		return 0;
	}
	FUZZ_PROMISE(skipped == REFUSED_NOT && whole.p == whole.end);
	FUZZ_PROMISE(cbor_again(input, &out));
	FUZZ_PROMISE(span_eq(buf_span(&out), input));
	return 0;
}

#include "tests/fuzz/fuzz.h"

#include "proto/cbor/cbor.h"
#include "proto/cose/cose.h"

static bool within(struct span inner, struct span outer)
{
	return inner.n == 0 || (inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n);
}

/* The profile has one encoding: the parts written again are the input. */
static void written_again(struct span input, const struct cose_parts *p)
{
	static uint8_t bytes[COSE_MAX + 64];
	struct buf out = BUF(bytes);

	if (input.n > COSE_MAX)
		return;
	cbor_put_tag(&out, CBOR_TAG_SIGN1);
	cbor_put_array(&out, 4);
	cbor_put_bytes(&out, p->protected);
	buf_put(&out, p->unprotected.p, p->unprotected.n);
	if (p->payload.p)
		cbor_put_bytes(&out, p->payload);
	else
		cbor_put_null(&out);
	cbor_put_bytes(&out, p->signature);
	FUZZ_PROMISE(span_eq(buf_span(&out), input));
}

/* What verifies does not verify with any other bit in payload, header or signature. */
static void tampered(struct span input, const struct cose_sign1 *sign1)
{
	const struct cose_parts *p = &sign1->parts;
	const struct span parts[] = { p->protected, p->payload, p->signature };
	static uint8_t bytes[COSE_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (parts[i].n == 0)
			continue;

		size_t at = (size_t)(parts[i].p - input.p) + parts[i].n / 2;
		struct cose_parts other;

		memcpy(bytes, input.p, input.n);
		bytes[at] ^= 1;
		if (cose_split(SPAN(bytes, input.n), &other) == REFUSED_NOT)
			FUZZ_PROMISE(cose_verify(&other, sign1->alg, sign1->kid, SPAN(NULL, 0)) !=
				     REFUSED_NOT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span input = SPAN(data, n);
	struct cose_parts parts;
	struct cose_sign1 sign1;
	enum refusal split = cose_split(input, &parts);
	enum refusal parsed = cose_parse(input, &sign1);

	if (split == REFUSED_NOT) {
		FUZZ_PROMISE(within(parts.protected, input) && within(parts.unprotected, input));
		FUZZ_PROMISE(within(parts.payload, input) && within(parts.signature, input));
		written_again(input, &parts);
	}
	if (parsed != REFUSED_NOT)
		return 0;
	FUZZ_PROMISE(split == REFUSED_NOT && parts.payload.p);
	FUZZ_PROMISE(within(sign1.content_type, input) && within(sign1.kid, input));
	FUZZ_PROMISE(within(sign1.subject, input));
	FUZZ_PROMISE(sign1.parts.signature.n == COSE_SIGNATURE && sign1.kid.n <= COSE_KEY_MAX);
	if (n <= COSE_MAX &&
		cose_verify(&sign1.parts, sign1.alg, sign1.kid, SPAN(NULL, 0)) == REFUSED_NOT)
		tampered(input, &sign1);
	return 0;
}

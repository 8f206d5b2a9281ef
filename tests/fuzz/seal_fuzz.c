#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/edit.h"
#include "tests/fuzz/samples.h"

#define SEALED_MAX (2 * SEAL_RECORD + 1024)

/* Opens in pieces of n_piece bytes; the answer is seal_open()'s. */
static void in_pieces(struct span input, size_t n_piece, enum refusal whole, struct span plain)
{
	static struct seal_stream stream;
	static uint8_t bytes[SEALED_MAX + SEAL_RECORD];
	const struct samples_sealed *s = samples_sealed();
	struct buf out = BUF(bytes);
	enum refusal refusal = REFUSED_NOT;

	seal_reader_init(&stream, s->key, &s->bound);
	for (size_t at = 0; at < input.n && refusal == REFUSED_NOT; at += n_piece)
		refusal = seal_reader_put(
			&stream, SPAN(input.p + at, MIN(n_piece, input.n - at)), &out);
	if (refusal == REFUSED_NOT)
		refusal = seal_reader_end(&stream, &out);
	seal_stream_deinit(&stream);
	FUZZ_PROMISE((refusal == REFUSED_NOT) == (whole == REFUSED_NOT));
	if (refusal == REFUSED_NOT)
		FUZZ_PROMISE(span_eq(buf_span(&out), plain));
}

static void as_content(struct span input)
{
	static uint8_t bytes[SEALED_MAX];
	const struct samples_sealed *s = samples_sealed();
	struct buf out = BUF(bytes);
	bool genuine = false;
	size_t n_plain;
	enum refusal refusal = seal_open(s->key, &s->bound, input, &out);

	for (size_t i = 0; i < SAMPLES_SEALED; i++) {
		if (!span_eq(input, s->content[i]))
			continue;
		genuine = true;
		FUZZ_PROMISE(refusal == REFUSED_NOT && span_eq(buf_span(&out), s->plain[i]));
		FUZZ_PROMISE(seal_plain_size(input.n, &n_plain) == REFUSED_NOT);
		FUZZ_PROMISE(n_plain == s->plain[i].n);
	}
	FUZZ_PROMISE(genuine == (refusal == REFUSED_NOT));
	FUZZ_PROMISE(genuine || out.n == 0);
	in_pieces(input, 1 + input.n / 3, refusal, buf_span(&out));
}

static void as_small(struct span input)
{
	static uint8_t bytes[SEAL_SMALL_MAX];
	const struct samples_sealed *s = samples_sealed();

	for (size_t i = 0; i < ARRAY_SIZE(s->small); i++) {
		struct buf out = BUF(bytes);
		enum refusal refusal = seal_open_small(
			(enum seal_purpose)i, s->key, &s->bound, input, &out);

		FUZZ_PROMISE((refusal == REFUSED_NOT) == span_eq(input, s->small[i]));
		FUZZ_PROMISE(out.n == (refusal == REFUSED_NOT ? s->plain[1].n : 0));
	}
}

static void as_wrapped(struct span input)
{
	const struct samples_sealed *s = samples_sealed();
	uint8_t key[SEAL_KEY] = { 0 };
	enum refusal refusal = seal_unwrap(input, s->secret, &s->context, key);

	FUZZ_PROMISE((refusal == REFUSED_NOT) == span_eq(input, s->wrapped));
	if (refusal == REFUSED_NOT)
		FUZZ_PROMISE(memcmp(key, s->key, sizeof(key)) == 0);
}

/* Anything; or FF, a byte that chooses something genuine, and a script of changes to it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t bytes[SEALED_MAX];
	const struct samples_sealed *s = samples_sealed();
	const struct span from[] = { s->content[0], s->content[1], s->content[2], s->content[3],
		s->small[0], s->small[1], s->wrapped };
	struct edit edits[EDIT_STEPS_MAX];
	struct buf out = BUF(bytes);
	struct span input = SPAN(data, n);

	if (n > SEALED_MAX)
		return 0;
	if (n >= 2 && data[0] == 0xff) {
		const struct span *chosen = &from[data[1] % ARRAY_SIZE(from)];

		buf_put(&out, chosen->p, chosen->n);
		edit_apply(edits, edit_read(SPAN(data + 2, n - 2), edits), &out);
		input = buf_span(&out);
	}
	as_content(input);
	as_small(input);
	as_wrapped(input);
	return 0;
}

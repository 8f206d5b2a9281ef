#include "tests/fuzz/fuzz.h"

#include "buyer-sdk/src/bundle.h"
#include "tests/fuzz/edit.h"
#include "tests/fuzz/samples.h"

#define FILE_MAX (64 * 1024)

static bool believed(struct span file)
{
	static struct statement room[MESSAGE_STATEMENTS_MAX];
	static struct bundle_facts facts;
	static uint8_t bytes[FILE_MAX];
	struct keyring *keyring = keyring_new(32);
	struct buf plain = BUF(bytes);
	struct bundle b;
	const char *link = NULL;

	FUZZ_PROMISE(keyring);

	enum refusal refusal = bundle_read(file, &b);

	if (refusal == REFUSED_NOT) {
		refusal = bundle_check_links(&b, keyring, room, &facts, &link);
		FUZZ_PROMISE(refusal == REFUSED_NOT || (link && *link));
	}
	if (refusal == REFUSED_NOT) {
		FUZZ_PROMISE(bundle_extract(&b, &facts, &plain, &link) == REFUSED_NOT);
		FUZZ_PROMISE(plain.n == bundle_payload_size(&facts));
	}
	keyring_free(keyring);
	return refusal == REFUSED_NOT;
}

/*
 * A bundle file; or FF, which no bundle begins with, a pair of statements to exchange (a number
 * over all: none), and a script of changes to the genuine file. Only the genuine file is believed.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t bytes[FILE_MAX];
	struct edit edits[EDIT_STEPS_MAX];
	struct buf file = BUF(bytes);
	struct span genuine = samples_bundle_file();

	if (n < 3 || data[0] != 0xff) {
		if (n <= FILE_MAX)
			FUZZ_PROMISE(believed(SPAN(data, n)) == span_eq(SPAN(data, n), genuine));
		return 0;
	}

	struct bundle b = *samples_bundle();

	if (data[1] < b.n_statements && data[2] < b.n_statements) {
		b.statements[data[1]] = samples_bundle()->statements[data[2]];
		b.statements[data[2]] = samples_bundle()->statements[data[1]];
	}
	FUZZ_PROMISE(schema_encode(&bundle_schema, &b, &file, NULL) == REFUSED_NOT);
	edit_apply(edits, edit_read(SPAN(data + 3, n - 3), edits), &file);
	FUZZ_PROMISE(believed(buf_span(&file)) == span_eq(buf_span(&file), genuine));
	return 0;
}

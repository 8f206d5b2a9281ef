#include "tests/fuzz/fuzz.h"

#include "proto/cbor/cbor.h"
#include "proto/statement/statement.h"

/* Whether the map, or one within it, has a key that no table knows: those are passed over. */
static bool has_newer_keys(const struct schema *schema, struct cbor_reader *r)
{
	struct cbor_item item;
	bool newer = false;

	FUZZ_PROMISE(cbor_read(r, &item) == REFUSED_NOT && item.type == CBOR_MAP);
	for (uint64_t left = item.value; left > 0; left--) {
		const struct field *f = NULL;
		uint64_t n = 1;
		int64_t key;

		FUZZ_PROMISE(cbor_read(r, &item) == REFUSED_NOT && cbor_int(&item, &key));
		for (size_t i = 0; i < schema->n_fields && !f; i++)
			f = schema->fields[i].key == key ? &schema->fields[i] : NULL;
		if (f && f->most > 0) {
			FUZZ_PROMISE(cbor_read(r, &item) == REFUSED_NOT);
			n = item.value;
		}
		newer = newer || !f;
		for (; n > 0; n--) {
			if (f && f->map)
				newer = has_newer_keys(f->map, r) || newer;
			else
				FUZZ_PROMISE(cbor_skip(r) == REFUSED_NOT);
		}
	}
	return newer;
}

/* What is accepted says the same when it is written again, to the byte. */
static void again(const struct schema *schema, struct span payload, const void *value)
{
	static uint8_t bytes[COSE_MAX];
	struct buf out = BUF(bytes);
	struct cbor_reader r = cbor_over(payload);

	FUZZ_PROMISE(schema_encode(schema, value, &out, NULL) == REFUSED_NOT);
	if (!has_newer_keys(schema, &r))
		FUZZ_PROMISE(span_eq(buf_span(&out), payload));
}

/* The input is a statement, and after its first byte, which names a kind, a payload. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct statement s;
	const char *field = "untouched";
	enum refusal refusal = statement_decode(SPAN(data, n), &s, &field);

	FUZZ_PROMISE((refusal == REFUSED_NOT) == (s.kind != STATEMENT_NONE));
	if (refusal == REFUSED_NOT) {
		FUZZ_PROMISE(field == NULL);
		again(statement_schema(s.kind), s.envelope.parts.payload, &s.body);
	}
	if (n == 0 || n > COSE_MAX)
		return 0;

	const struct schema *schema = statement_schema((enum statement_kind)data[0]);

	if (schema && schema_decode(schema, SPAN(data + 1, n - 1), &s.body, &field) == REFUSED_NOT)
		again(schema, SPAN(data + 1, n - 1), &s.body);
	return 0;
}

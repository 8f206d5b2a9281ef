#include "tests/support/cbor_again.h"

static void put(struct buf *out, const struct cbor_item *item)
{
	switch (item->type) {
	case CBOR_UINT:
		cbor_put_uint(out, item->value);
		break;
	case CBOR_NINT:
		cbor_put_int(out, -1 - (int64_t)item->value);
		break;
	case CBOR_BYTES:
		cbor_put_bytes(out, item->string);
		break;
	case CBOR_TEXT:
		cbor_put_text(out, item->string);
		break;
	case CBOR_ARRAY:
		cbor_put_array(out, item->value);
		break;
	case CBOR_MAP:
		cbor_put_map(out, item->value);
		break;
	case CBOR_TAG:
		cbor_put_tag(out, item->value);
		break;
	case CBOR_BOOL:
		cbor_put_bool(out, item->value != 0);
		break;
	case CBOR_NULL:
		cbor_put_null(out);
		break;
	}
}

bool cbor_again(struct span data, struct buf *out)
{
	struct cbor_reader r = cbor_over(data);

	/* Heads stand one after another whatever the nesting, so no stack is needed. */
	while (r.p != r.end) {
		struct cbor_item item;

		if (cbor_read(&r, &item) != REFUSED_NOT)
			return false;
		put(out, &item);
	}
	return buf_ok(out);
}

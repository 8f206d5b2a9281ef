#include "proto/cbor/cbor.h"

#include "proto/base/text.h"

#include <cbor.h>

/* What libcbor's callbacks report of one head. */
struct head {
	struct cbor_item item;
	enum refusal refusal;
};

static void set(void *ctx, enum cbor_kind type, uint64_t value)
{
	((struct head *)ctx)->item = (struct cbor_item){ .type = type, .value = value };
}

static void refuse(void *ctx, enum refusal refusal)
{
	((struct head *)ctx)->refusal = refusal;
}

static void on_uint8(void *ctx, uint8_t v)
{
	set(ctx, CBOR_UINT, v);
}
static void on_uint16(void *ctx, uint16_t v)
{
	set(ctx, CBOR_UINT, v);
}
static void on_uint32(void *ctx, uint32_t v)
{
	set(ctx, CBOR_UINT, v);
}
static void on_uint64(void *ctx, uint64_t v)
{
	set(ctx, CBOR_UINT, v);
}
static void on_nint8(void *ctx, uint8_t v)
{
	set(ctx, CBOR_NINT, v);
}
static void on_nint16(void *ctx, uint16_t v)
{
	set(ctx, CBOR_NINT, v);
}
static void on_nint32(void *ctx, uint32_t v)
{
	set(ctx, CBOR_NINT, v);
}
static void on_nint64(void *ctx, uint64_t v)
{
	set(ctx, CBOR_NINT, v);
}
static void on_array(void *ctx, size_t n)
{
	set(ctx, CBOR_ARRAY, n);
}
static void on_map(void *ctx, size_t n)
{
	set(ctx, CBOR_MAP, n);
}
static void on_tag(void *ctx, uint64_t n)
{
	set(ctx, CBOR_TAG, n);
}
static void on_bool(void *ctx, bool v)
{
	set(ctx, CBOR_BOOL, v);
}
static void on_null(void *ctx)
{
	set(ctx, CBOR_NULL, 0);
}
static void on_indefinite(void *ctx)
{
	refuse(ctx, REFUSED_CBOR_INDEFINITE);
}
static void on_float(void *ctx, float v)
{
	(void)v;
	refuse(ctx, REFUSED_CBOR_FLOAT);
}
static void on_double(void *ctx, double v)
{
	(void)v;
	refuse(ctx, REFUSED_CBOR_FLOAT);
}
static void on_undefined(void *ctx)
{
	refuse(ctx, REFUSED_CBOR_SIMPLE);
}
static void on_break(void *ctx)
{
	refuse(ctx, REFUSED_CBOR_MALFORMED);
}

static void on_bytes(void *ctx, cbor_data data, size_t n)
{
	set(ctx, CBOR_BYTES, n);
	((struct head *)ctx)->item.string = SPAN(data, n);
}

static void on_text(void *ctx, cbor_data data, size_t n)
{
	set(ctx, CBOR_TEXT, n);
	((struct head *)ctx)->item.string = SPAN(data, n);
}

static const struct cbor_callbacks callbacks = {
	.uint8 = on_uint8,
	.uint16 = on_uint16,
	.uint32 = on_uint32,
	.uint64 = on_uint64,
	.negint8 = on_nint8,
	.negint16 = on_nint16,
	.negint32 = on_nint32,
	.negint64 = on_nint64,
	.byte_string_start = on_indefinite,
	.byte_string = on_bytes,
	.string_start = on_indefinite,
	.string = on_text,
	.indef_array_start = on_indefinite,
	.array_start = on_array,
	.indef_map_start = on_indefinite,
	.map_start = on_map,
	.tag = on_tag,
	.float2 = on_float,
	.float4 = on_float,
	.float8 = on_double,
	.undefined = on_undefined,
	.null = on_null,
	.boolean = on_bool,
	.indef_break = on_break,
};

/* RFC 8949, 3: major type 7 with another value than 20 to 23 and the floats 25 to 27. */
static bool other_simple(uint8_t initial)
{
	return initial >> 5 == 7 && (initial & 31) <= 24 && (initial < 0xf4 || initial > 0xf7);
}

static size_t head_size(const struct cbor_item *item)
{
	if (item->type == CBOR_BOOL || item->type == CBOR_NULL || item->value < 24)
		return 1;
	if (item->value <= UINT8_MAX)
		return 2;
	if (item->value <= UINT16_MAX)
		return 3;
	return item->value <= UINT32_MAX ? 5 : 9;
}

enum refusal cbor_read(struct cbor_reader *r, struct cbor_item *ret_item)
{
	struct head head = { 0 };

	if (r->p == r->end)
		return REFUSED_CBOR_TRUNCATED;
	if (other_simple(*r->p))
		return REFUSED_CBOR_SIMPLE;

	/* libcbor's decoder takes the one-byte heads of tags 6 to 20 for errors; ours is among
	 * them. */
	if (*r->p >> 5 == 6 && (*r->p & 31) < 24) {
		uint64_t short_tag = *r->p & 31;

		if (short_tag != CBOR_TAG_SIGN1)
			return REFUSED_CBOR_TAG;
		r->p++;
		*ret_item = (struct cbor_item){ .type = CBOR_TAG, .value = short_tag };
		return REFUSED_NOT;
	}

	struct cbor_decoder_result result = cbor_stream_decode(
		r->p, (size_t)(r->end - r->p), &callbacks, &head);

	if (result.status == CBOR_DECODER_NEDATA)
		return REFUSED_CBOR_TRUNCATED;
	if (result.status != CBOR_DECODER_FINISHED)
		return REFUSED_CBOR_MALFORMED;
	if (head.refusal != REFUSED_NOT)
		return head.refusal;
	if (result.read - head.item.string.n != head_size(&head.item))
		return REFUSED_CBOR_NOT_SHORTEST;
	if (head.item.type == CBOR_NINT && head.item.value > INT64_MAX)
		return REFUSED_CBOR_RANGE;
	if (head.item.type == CBOR_TAG && head.item.value != CBOR_TAG_SIGN1)
		return REFUSED_CBOR_TAG;
	if (head.item.type == CBOR_TEXT && !utf8_valid(head.item.string))
		return REFUSED_CBOR_UTF8;
	r->p += result.read;
	*ret_item = head.item;
	return REFUSED_NOT;
}

static int compare(struct span a, struct span b)
{
	int order = memcmp(a.p, b.p, MIN(a.n, b.n));

	if (order != 0)
		return order;
	return a.n < b.n ? -1 : a.n > b.n;
}

/* An open array, map or tag. */
struct level {
	uint64_t left; /* items still to come; a map counts keys and values */
	bool map;
	const uint8_t *key_start;
	struct span last_key;
};

/* An item directly inside `in` ended at `end`: where it was a key, it must sort after the one
 * before. */
static enum refusal end_item(struct level *in, const uint8_t *end)
{
	if (!in->map || in->left % 2 == 0)
		return REFUSED_NOT;

	struct span key = SPAN(in->key_start, (size_t)(end - in->key_start));
	int order = in->last_key.p ? compare(in->last_key, key) : -1;

	in->last_key = key;
	if (order == 0)
		return REFUSED_CBOR_DUPLICATE_KEY;
	return order < 0 ? REFUSED_NOT : REFUSED_CBOR_UNSORTED;
}

/* How many items follow the head as its content. */
static uint64_t content(const struct cbor_item *item)
{
	if (item->type == CBOR_ARRAY)
		return item->value;
	if (item->type == CBOR_MAP)
		return item->value * 2;
	return item->type == CBOR_TAG;
}

/* Walks one item. The depth is bounded, so the stack is an array and nothing recurses. */
static enum refusal walk(struct cbor_reader *r)
{
	struct level level[CBOR_DEPTH_MAX + 1] = { { .left = 1 } };
	size_t depth = 0;
	enum refusal refusal = REFUSED_NOT;

	while (refusal == REFUSED_NOT) {
		struct level *in = &level[depth];
		struct cbor_item item;

		if (in->left == 0) {
			if (depth == 0)
				break;
			refusal = end_item(&level[--depth], r->p);
			continue;
		}
		in->key_start = in->map && in->left % 2 == 0 ? r->p : in->key_start;
		in->left--;
		refusal = cbor_read(r, &item);
		if (refusal != REFUSED_NOT)
			break;
		/* Each item takes a byte at least, so a count over what is left is refused at once.
		 */
		if ((item.type == CBOR_ARRAY || item.type == CBOR_MAP) &&
			item.value > (uint64_t)(r->end - r->p))
			return REFUSED_CBOR_TRUNCATED;
		if (content(&item) == 0)
			refusal = end_item(in, r->p);
		else if (depth == CBOR_DEPTH_MAX)
			refusal = REFUSED_CBOR_DEPTH;
		else
			level[++depth] = (struct level){ .left = content(&item),
				.map = item.type == CBOR_MAP };
	}
	return refusal;
}

enum refusal cbor_skip(struct cbor_reader *r)
{
	return walk(r);
}

enum refusal cbor_check(struct span data)
{
	struct cbor_reader r = cbor_over(data);
	enum refusal refusal = walk(&r);

	if (refusal == REFUSED_NOT && r.p != r.end)
		return REFUSED_CBOR_TRAILING;
	return refusal;
}

bool cbor_int(const struct cbor_item *item, int64_t *ret_value)
{
	if ((item->type != CBOR_UINT && item->type != CBOR_NINT) || item->value > INT64_MAX)
		return false;
	*ret_value = item->type == CBOR_UINT ? (int64_t)item->value : -1 - (int64_t)item->value;
	return true;
}

static void put_head(
	struct buf *b, uint64_t value, size_t (*encode)(uint64_t, unsigned char *, size_t))
{
	unsigned char head[9];

	buf_put(b, head, encode(value, head, sizeof(head)));
}

static size_t encode_bytes(uint64_t n, unsigned char *p, size_t cap)
{
	return cbor_encode_bytestring_start(n, p, cap);
}
static size_t encode_text(uint64_t n, unsigned char *p, size_t cap)
{
	return cbor_encode_string_start(n, p, cap);
}
static size_t encode_array(uint64_t n, unsigned char *p, size_t cap)
{
	return cbor_encode_array_start(n, p, cap);
}
static size_t encode_map(uint64_t n, unsigned char *p, size_t cap)
{
	return cbor_encode_map_start(n, p, cap);
}

void cbor_put_uint(struct buf *b, uint64_t value)
{
	put_head(b, value, cbor_encode_uint);
}

void cbor_put_int(struct buf *b, int64_t value)
{
	if (value >= 0)
		put_head(b, (uint64_t)value, cbor_encode_uint);
	else
		put_head(b, (uint64_t)(-1 - value), cbor_encode_negint);
}

void cbor_put_bytes(struct buf *b, struct span bytes)
{
	put_head(b, bytes.n, encode_bytes);
	buf_put(b, bytes.p, bytes.n);
}

void cbor_put_text(struct buf *b, struct span text)
{
	put_head(b, text.n, encode_text);
	buf_put(b, text.p, text.n);
}

void cbor_put_str(struct buf *b, const char *text)
{
	cbor_put_text(b, SPAN_STR(text));
}

void cbor_put_array(struct buf *b, size_t entries)
{
	put_head(b, entries, encode_array);
}

void cbor_put_map(struct buf *b, size_t pairs)
{
	put_head(b, pairs, encode_map);
}

void cbor_put_tag(struct buf *b, uint64_t tag)
{
	put_head(b, tag, cbor_encode_tag);
}

void cbor_put_bool(struct buf *b, bool value)
{
	buf_byte(b, value ? 0xf5 : 0xf4);
}

void cbor_put_null(struct buf *b)
{
	buf_byte(b, 0xf6);
}

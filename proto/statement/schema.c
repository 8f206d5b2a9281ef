#include "proto/statement/schema.h"

#include "proto/base/text.h"
#include "proto/cbor/cbor.h"

struct context {
	const char *field;
	unsigned depth;
};

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static size_t field_count(const struct field *f, const uint8_t *base)
{
	size_t n;

	memcpy(&n, base + f->count, sizeof(n));
	return n;
}

/* Whether an optional field has something to say. */
static bool has_value(const struct field *f, const uint8_t *base)
{
	const uint8_t *at = base + f->offset;
	struct span string;
	bool flag;

	if (f->most > 0)
		return field_count(f, base) > 0;
	switch ((enum field_type)f->type) {
	case FIELD_INT:
		return !is_zero(at, sizeof(int64_t));
	case FIELD_BOOL:
	case FIELD_MAP:
		memcpy(&flag, at, sizeof(flag));
		return flag;
	case FIELD_ID:
	case FIELD_DID:
		return !is_zero(at, sizeof(struct id));
	case FIELD_BYTES:
	case FIELD_TEXT:
	case FIELD_LINES:
		memcpy(&string, at, sizeof(string));
		return string.n > 0;
	}
	return false;
}

static bool text_clean(struct span text, bool lines)
{
	for (size_t i = 0; i < text.n; i++)
		if ((text.p[i] < 0x20 && !(lines && text.p[i] == '\n')) || text.p[i] == 0x7f)
			return false;
	return true;
}

static enum refusal decode_map(
	const struct schema *schema, struct cbor_reader *r, uint8_t *base, struct context *ctx);

static enum refusal decode_string(const struct field *f, const struct cbor_item *item, void *at)
{
	bool text = f->type == FIELD_TEXT || f->type == FIELD_LINES;

	if (item->type != (text ? CBOR_TEXT : CBOR_BYTES))
		return REFUSED_STATEMENT_FIELD_TYPE;
	if (f->type == FIELD_ID || f->type == FIELD_DID) {
		if (item->string.n != sizeof(struct id))
			return REFUSED_STATEMENT_FIELD_RANGE;
		memcpy(at, item->string.p, sizeof(struct id));
		return REFUSED_NOT;
	}
	if (item->string.n < (uint64_t)f->min || item->string.n > (uint64_t)f->max)
		return REFUSED_STATEMENT_FIELD_RANGE;
	if (text && !text_clean(item->string, f->type == FIELD_LINES))
		return REFUSED_STATEMENT_TEXT;
	memcpy(at, &item->string, sizeof(item->string));
	return REFUSED_NOT;
}

static enum refusal decode_value(
	const struct field *f, struct cbor_reader *r, uint8_t *at, struct context *ctx)
{
	struct cbor_item item;
	int64_t number;
	bool flag;

	if (f->type == FIELD_MAP)
		return decode_map(f->map, r, at, ctx);

	enum refusal refusal = cbor_read(r, &item);

	if (refusal != REFUSED_NOT)
		return refusal;
	switch ((enum field_type)f->type) {
	case FIELD_INT:
		if (item.type != CBOR_UINT && item.type != CBOR_NINT)
			return REFUSED_STATEMENT_FIELD_TYPE;
		if (!cbor_int(&item, &number) || number < f->min || number > f->max)
			return REFUSED_STATEMENT_FIELD_RANGE;
		memcpy(at, &number, sizeof(number));
		return REFUSED_NOT;
	case FIELD_BOOL:
		if (item.type != CBOR_BOOL)
			return REFUSED_STATEMENT_FIELD_TYPE;
		flag = item.value != 0;
		memcpy(at, &flag, sizeof(flag));
		return REFUSED_NOT;
	case FIELD_ID:
	case FIELD_DID:
	case FIELD_BYTES:
	case FIELD_TEXT:
	case FIELD_LINES:
		return decode_string(f, &item, at);
	case FIELD_MAP:
		break;
	}
	return REFUSED_STATEMENT_FIELD_TYPE;
}

static enum refusal decode_field(
	const struct field *f, struct cbor_reader *r, uint8_t *base, struct context *ctx)
{
	struct cbor_item item;

	if (f->most == 0)
		return decode_value(f, r, base + f->offset, ctx);

	enum refusal refusal = cbor_read(r, &item);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (item.type != CBOR_ARRAY)
		return REFUSED_STATEMENT_FIELD_TYPE;
	if (item.value > f->most || (f->required && item.value == 0))
		return REFUSED_STATEMENT_FIELD_RANGE;

	size_t n = (size_t)item.value;

	for (size_t i = 0; i < n && refusal == REFUSED_NOT; i++)
		refusal = decode_value(f, r, base + f->offset + i * f->stride, ctx);
	memcpy(base + f->count, &n, sizeof(n));
	return refusal;
}

static enum refusal decode_map(
	const struct schema *schema, struct cbor_reader *r, uint8_t *base, struct context *ctx)
{
	struct cbor_item item;
	bool seen[SCHEMA_FIELDS_MAX] = { false };
	bool present = true;
	enum refusal refusal = cbor_read(r, &item);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (item.type != CBOR_MAP)
		return REFUSED_STATEMENT_FIELD_TYPE;
	if (++ctx->depth > SCHEMA_DEPTH_MAX)
		return REFUSED_CBOR_DEPTH;
	for (uint64_t left = item.value; left > 0; left--) {
		int64_t key;
		size_t i = 0;

		refusal = cbor_read(r, &item);
		if (refusal != REFUSED_NOT)
			return refusal;
		if (!cbor_int(&item, &key))
			return REFUSED_STATEMENT_FIELD_TYPE;
		while (i < schema->n_fields && schema->fields[i].key != key)
			i++;
		if (i == schema->n_fields) {
			if (key < 0) {
				ctx->field = NULL;
				return REFUSED_STATEMENT_CRITICAL_KEY;
			}
			refusal = cbor_skip(r);
			if (refusal != REFUSED_NOT)
				return refusal;
			continue;
		}
		ctx->field = schema->fields[i].name;
		seen[i] = true;
		refusal = decode_field(&schema->fields[i], r, base, ctx);
		if (refusal != REFUSED_NOT)
			return refusal;
		ctx->field = schema->fields[i].name;
		if (!schema->fields[i].required && !has_value(&schema->fields[i], base))
			return REFUSED_STATEMENT_FIELD_RANGE;
	}
	for (size_t i = 0; i < schema->n_fields; i++) {
		if (schema->fields[i].required && !seen[i]) {
			ctx->field = schema->fields[i].name;
			return REFUSED_STATEMENT_FIELD_MISSING;
		}
	}
	ctx->depth--;
	memcpy(base, &present, sizeof(present));
	return REFUSED_NOT;
}

enum refusal schema_decode(
	const struct schema *schema, struct span data, void *ret_value, const char **ret_field)
{
	struct cbor_reader r = cbor_over(data);
	struct context ctx = { 0 };
	enum refusal refusal = cbor_check(data);

	memset(ret_value, 0, schema->size);
	if (refusal == REFUSED_NOT)
		refusal = decode_map(schema, &r, ret_value, &ctx);
	if (refusal != REFUSED_NOT)
		memset(ret_value, 0, schema->size);
	if (ret_field)
		*ret_field = refusal == REFUSED_NOT ? NULL : ctx.field;
	return refusal;
}

static enum refusal encode_map(
	const struct schema *schema, const uint8_t *base, struct buf *out, struct context *ctx);

static enum refusal encode_value(
	const struct field *f, const uint8_t *at, struct buf *out, struct context *ctx)
{
	struct span string;
	int64_t number;
	bool flag;

	switch ((enum field_type)f->type) {
	case FIELD_INT:
		memcpy(&number, at, sizeof(number));
		if (number < f->min || number > f->max)
			return REFUSED_STATEMENT_FIELD_RANGE;
		cbor_put_int(out, number);
		return REFUSED_NOT;
	case FIELD_BOOL:
		memcpy(&flag, at, sizeof(flag));
		cbor_put_bool(out, flag);
		return REFUSED_NOT;
	case FIELD_ID:
	case FIELD_DID:
		cbor_put_bytes(out, SPAN(at, sizeof(struct id)));
		return REFUSED_NOT;
	case FIELD_BYTES:
	case FIELD_TEXT:
	case FIELD_LINES:
		memcpy(&string, at, sizeof(string));
		if (string.n < (uint64_t)f->min || string.n > (uint64_t)f->max)
			return REFUSED_STATEMENT_FIELD_RANGE;
		if (f->type == FIELD_BYTES) {
			cbor_put_bytes(out, string);
			return REFUSED_NOT;
		}
		if (!utf8_valid(string))
			return REFUSED_CBOR_UTF8;
		if (!text_clean(string, f->type == FIELD_LINES))
			return REFUSED_STATEMENT_TEXT;
		cbor_put_text(out, string);
		return REFUSED_NOT;
	case FIELD_MAP:
		return encode_map(f->map, at, out, ctx);
	}
	return REFUSED_STATEMENT_FIELD_TYPE;
}

static enum refusal encode_field(
	const struct field *f, const uint8_t *base, struct buf *out, struct context *ctx)
{
	enum refusal refusal = REFUSED_NOT;

	ctx->field = f->name;
	cbor_put_int(out, f->key);
	if (f->most == 0)
		return encode_value(f, base + f->offset, out, ctx);

	size_t n = field_count(f, base);

	if (n > f->most || (f->required && n == 0))
		return REFUSED_STATEMENT_FIELD_RANGE;
	cbor_put_array(out, n);
	for (size_t i = 0; i < n && refusal == REFUSED_NOT; i++)
		refusal = encode_value(f, base + f->offset + i * f->stride, out, ctx);
	return refusal;
}

static enum refusal encode_map(
	const struct schema *schema, const uint8_t *base, struct buf *out, struct context *ctx)
{
	enum refusal refusal = REFUSED_NOT;
	size_t n = 0;

	for (size_t i = 0; i < schema->n_fields; i++)
		n += schema->fields[i].required || has_value(&schema->fields[i], base);
	cbor_put_map(out, n);
	for (size_t i = 0; i < schema->n_fields && refusal == REFUSED_NOT; i++)
		if (schema->fields[i].required || has_value(&schema->fields[i], base))
			refusal = encode_field(&schema->fields[i], base, out, ctx);
	return refusal;
}

enum refusal schema_encode(
	const struct schema *schema, const void *value, struct buf *out, const char **ret_field)
{
	struct context ctx = { 0 };
	enum refusal refusal = encode_map(schema, value, out, &ctx);

	if (refusal == REFUSED_NOT && !buf_ok(out))
		refusal = REFUSED_STATEMENT_TOO_LARGE;
	if (ret_field)
		*ret_field = refusal == REFUSED_NOT ? NULL : ctx.field;
	return refusal;
}

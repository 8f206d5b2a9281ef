#include "buyer-sdk/cli/generic.h"

#include "proto/base/buf.h"
#include "proto/base/text.h"
#include "proto/os/file.h"
#include "proto/seal/digest.h"

#include <math.h>
#include <stdio.h>

enum {
	MAJOR_UINT,
	MAJOR_NINT,
	MAJOR_BYTES,
	MAJOR_TEXT,
	MAJOR_ARRAY,
	MAJOR_MAP,
	MAJOR_TAG,
	MAJOR_SIMPLE
};

#define INDEFINITE 31

struct reader {
	const uint8_t *p;
	const uint8_t *end;
	unsigned depth;
};

struct head {
	unsigned major;
	unsigned info; /* the low five bits */
	uint64_t value;
};

static json_t *read_item(struct reader *r);

static bool read_head(struct reader *r, struct head *ret)
{
	size_t n;

	if (r->p == r->end)
		return false;
	*ret = (struct head){ .major = *r->p >> 5, .info = *r->p & 31 };
	r->p++;
	if (ret->info < 24) {
		ret->value = ret->info;
		return true;
	}
	if (ret->info == INDEFINITE)
		return true;
	if (ret->info > 27)
		return false;
	n = (size_t)1 << (ret->info - 24);
	if ((size_t)(r->end - r->p) < n)
		return false;
	for (size_t i = 0; i < n; i++)
		ret->value = ret->value << 8 | r->p[i];
	r->p += n;
	return true;
}

static bool at_break(struct reader *r)
{
	if (r->p < r->end && *r->p == 0xff) {
		r->p++;
		return true;
	}
	return false;
}

json_t *generic_bytes(struct span bytes)
{
	_cleanup_(freep) char *hex = NULL;
	char digest[ID_TEXT_MAX];
	struct id id;

	if (bytes.n > GENERIC_BYTES_MAX) {
		id = digest_of(bytes);
		return json_pack(
			"{s:I,s:s}", "size", (json_int_t)bytes.n, "sha256", id_text(&id, digest));
	}
	hex = malloc(2 * bytes.n + 1);
	if (!hex)
		return NULL;
	hex_encode(bytes.p, bytes.n, hex);
	return json_string(hex);
}

json_t *generic_text(struct span text)
{
	if (utf8_valid(text))
		return json_stringn(text.n ? (const char *)text.p : "", text.n);
	return json_pack("{s:o}", "invalid_utf8", generic_bytes(text));
}

static json_t *string_json(unsigned major, struct span string)
{
	return major == MAJOR_TEXT ? generic_text(string) : generic_bytes(string);
}

/* The parts of an indefinite string, joined: no longer together than the source. */
static json_t *read_parts(struct reader *r, unsigned major)
{
	size_t room = (size_t)(r->end - r->p);
	_cleanup_(freep) uint8_t *joined = malloc(room + 1);
	struct buf out = buf_over(joined, room);
	struct head part;

	if (!joined)
		return NULL;
	while (!at_break(r)) {
		if (!read_head(r, &part) || part.major != major || part.info == INDEFINITE ||
			part.value > (uint64_t)(r->end - r->p))
			return NULL;
		buf_put(&out, r->p, (size_t)part.value);
		r->p += part.value;
	}
	return string_json(major, buf_span(&out));
}

static json_t *read_string(struct reader *r, const struct head *head)
{
	struct span string;

	if (head->info == INDEFINITE)
		return read_parts(r, head->major);
	if (head->value > (uint64_t)(r->end - r->p))
		return NULL;
	string = SPAN(r->p, (size_t)head->value);
	r->p += head->value;
	return string_json(head->major, string);
}

/* Each entry takes a byte at least, so a length that lies ends with the source. */
static json_t *read_array(struct reader *r, const struct head *head)
{
	json_t *list = json_array();

	for (uint64_t left = head->value; list; left--) {
		json_t *item;

		if (head->info == INDEFINITE ? at_break(r) : left == 0)
			return list;
		item = read_item(r);
		if (!item || json_array_append_new(list, item) < 0)
			break;
	}
	json_decref(list);
	return NULL;
}

static char *key_text(json_t *key)
{
	return json_is_string(key) ? strdup(json_string_value(key))
				   : json_dumps(key, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* The pairs as an object, or NULL where two keys have the same text or one holds a NUL. */
static json_t *as_object(json_t *pairs)
{
	json_t *object = json_object();
	json_t *pair;
	size_t i;

	json_array_foreach(pairs, i, pair)
	{
		json_t *key = json_array_get(pair, 0);
		_cleanup_(freep) char *text = key_text(key);
		bool odd = json_is_string(key) && text && strlen(text) != json_string_length(key);

		if (!text || odd || json_object_get(object, text) ||
			json_object_set(object, text, json_array_get(pair, 1)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *read_map(struct reader *r, const struct head *head)
{
	json_t *pairs = json_array();
	json_t *object;

	for (uint64_t left = head->value; pairs; left--) {
		json_t *key;
		json_t *value;

		if (head->info == INDEFINITE ? at_break(r) : left == 0) {
			object = as_object(pairs);
			if (!object)
				return json_pack("{s:o}", "pairs", pairs);
			json_decref(pairs);
			return object;
		}
		key = read_item(r);
		value = key ? read_item(r) : NULL;
		if (!value || json_array_append_new(pairs, json_pack("[oo]", key, value)) < 0) {
			if (!value)
				json_decref(key);
			break;
		}
	}
	json_decref(pairs);
	return NULL;
}

static double half(uint64_t bits)
{
	int exponent = (int)(bits >> 10 & 31);
	double mantissa = (double)(bits & 1023);
	double value = exponent == 0    ? ldexp(mantissa, -24)
		       : exponent != 31 ? ldexp(mantissa + 1024, exponent - 25)
		       : mantissa == 0  ? (double)INFINITY
					: (double)NAN;

	return bits & 0x8000 ? -value : value;
}

static json_t *float_json(const struct head *head)
{
	double value;
	float single;
	uint32_t bits = (uint32_t)head->value;

	if (head->info == 25) {
		value = half(head->value);
	} else if (head->info == 26) {
		memcpy(&single, &bits, sizeof(single));
		value = (double)single;
	} else {
		memcpy(&value, &head->value, sizeof(value));
	}
	if (isnan(value))
		return json_string("NaN");
	if (isinf(value))
		return json_string(value < 0 ? "-Infinity" : "Infinity");
	return json_real(value);
}

static json_t *simple_json(const struct head *head)
{
	if (head->info >= 25 && head->info <= 27)
		return float_json(head);
	if (head->info == INDEFINITE)
		return NULL;
	switch (head->value) {
	case 20:
		return json_false();
	case 21:
		return json_true();
	case 22:
		return json_null();
	case 23:
		return json_string("undefined");
	default:
		return json_pack("{s:I}", "simple", (json_int_t)head->value);
	}
}

static json_t *integer_json(const struct head *head)
{
	char text[32];

	if (head->info == INDEFINITE)
		return NULL;
	if (head->value <= INT64_MAX)
		return json_integer(head->major == MAJOR_UINT ? (json_int_t)head->value
							      : -1 - (json_int_t)head->value);
	/* Beyond 64 bits with a sign: as text. */
	if (head->major == MAJOR_UINT)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)head->value);
	else
		snprintf(text, sizeof(text), "-1-%llu", (unsigned long long)head->value);
	return json_string(text);
}

static json_t *read_body(struct reader *r, const struct head *head)
{
	json_t *value;

	switch (head->major) {
	case MAJOR_UINT:
	case MAJOR_NINT:
		return integer_json(head);
	case MAJOR_BYTES:
	case MAJOR_TEXT:
		return read_string(r, head);
	case MAJOR_ARRAY:
		return read_array(r, head);
	case MAJOR_MAP:
		return read_map(r, head);
	case MAJOR_TAG:
		value = head->info == INDEFINITE ? NULL : read_item(r);
		return value ? json_pack(
				       "{s:I,s:o}", "tag", (json_int_t)head->value, "value", value)
			     : NULL;
	default:
		return simple_json(head);
	}
}

static json_t *read_item(struct reader *r)
{
	struct head head;
	json_t *item;

	if (r->depth == GENERIC_DEPTH_MAX || !read_head(r, &head))
		return NULL;
	r->depth++;
	item = read_body(r, &head);
	r->depth--;
	return item;
}

json_t *generic_json(struct span data)
{
	struct reader r = { .p = data.p, .end = data.p + data.n };
	json_t *item = data.n ? read_item(&r) : NULL;

	if (item && r.p != r.end) {
		json_decref(item);
		return NULL;
	}
	return item;
}

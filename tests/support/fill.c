#include "tests/support/fill.h"

#include <sodium.h>
#include <stdlib.h>

struct filler {
	enum fill_how how;
	uint64_t seed;
	struct buf *arena;
};

/* splitmix64 */
static uint64_t draw(struct filler *f)
{
	uint64_t z = f->seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t within(struct filler *f, uint64_t least, uint64_t most)
{
	if (f->how == FILL_LEAST)
		return least;
	if (f->how == FILL_MOST)
		return most;
	/* The whole of 64 bits has a size that wraps to 0. */
	return most - least == UINT64_MAX ? draw(f) : least + draw(f) % (most - least + 1);
}

static void fill_int(const struct field *field, uint8_t *at, struct filler *f)
{
	int64_t value = (int64_t)within(f, (uint64_t)field->min, (uint64_t)field->max);

	if (value == 0 && !field->required)
		value = field->max > 0 ? field->max : field->min;
	memcpy(at, &value, sizeof(value));
}

static void fill_bytes(uint8_t *p, size_t n, bool text, struct filler *f)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(text ? 'a' + draw(f) % 26 : draw(f));
}

static void fill_string(const struct field *field, uint8_t *at, struct filler *f)
{
	uint64_t most = MIN((uint64_t)field->max, (uint64_t)FILL_STRING_MAX);
	size_t n = (size_t)within(f, (uint64_t)field->min, most);
	uint8_t *p = buf_alloc(f->arena, n);
	struct span string = SPAN(p, n);

	if (!p)
		abort();
	fill_bytes(p, n, field->type != FIELD_BYTES, f);
	if (field->type == FIELD_LINES)
		p[n - 1] = '\n';
	memcpy(at, &string, sizeof(string));
}

static void fill_map(const struct schema *schema, uint8_t *base, struct filler *f);

static void fill_value(const struct field *field, uint8_t *at, struct filler *f)
{
	bool flag = true;

	switch ((enum field_type)field->type) {
	case FIELD_INT:
		fill_int(field, at, f);
		break;
	case FIELD_BOOL:
		memcpy(at, &flag, sizeof(flag));
		break;
	case FIELD_ID:
	case FIELD_DID:
		fill_bytes(at, sizeof(struct id), false, f);
		break;
	case FIELD_BYTES:
	case FIELD_TEXT:
	case FIELD_LINES:
		fill_string(field, at, f);
		break;
	case FIELD_MAP:
		fill_map(field->map, at, f);
		break;
	}
}

static void fill_map(const struct schema *schema, uint8_t *base, struct filler *f)
{
	bool present = true;

	memcpy(base, &present, sizeof(present));
	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct field *field = &schema->fields[i];
		size_t n = 1;

		if (f->how == FILL_LEAST && !field->required)
			continue;
		if (field->most > 0) {
			n = (size_t)within(f, 1, f->how == FILL_MOST ? field->most : 2);
			memcpy(base + field->count, &n, sizeof(n));
		}
		for (size_t j = 0; j < n; j++)
			fill_value(field, base + field->offset + j * field->stride, f);
	}
}

void fill_struct(const struct schema *schema, void *value, enum fill_how how, uint64_t seed,
	struct buf *arena)
{
	struct filler f = { .how = how, .seed = seed, .arena = arena };

	memset(value, 0, schema->size);
	fill_map(schema, value, &f);
}

static bool same_value(
	const struct field *field, const uint8_t *a, const uint8_t *b, const char **ret_field)
{
	struct span left;
	struct span right;

	switch ((enum field_type)field->type) {
	case FIELD_INT:
		return memcmp(a, b, sizeof(int64_t)) == 0;
	case FIELD_BOOL:
		return memcmp(a, b, sizeof(bool)) == 0;
	case FIELD_ID:
	case FIELD_DID:
		return memcmp(a, b, sizeof(struct id)) == 0;
	case FIELD_BYTES:
	case FIELD_TEXT:
	case FIELD_LINES:
		memcpy(&left, a, sizeof(left));
		memcpy(&right, b, sizeof(right));
		return span_eq(left, right);
	case FIELD_MAP:
		return fill_same(field->map, a, b, ret_field);
	}
	return false;
}

bool fill_same(const struct schema *schema, const void *a, const void *b, const char **ret_field)
{
	const uint8_t *left = a;
	const uint8_t *right = b;

	if (memcmp(left, right, sizeof(bool)) != 0) {
		*ret_field = "present";
		return false;
	}
	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct field *field = &schema->fields[i];
		size_t n[2] = { 1, 1 };

		*ret_field = field->name;
		if (field->most > 0) {
			memcpy(&n[0], left + field->count, sizeof(n[0]));
			memcpy(&n[1], right + field->count, sizeof(n[1]));
		}
		if (n[0] != n[1])
			return false;
		for (size_t j = 0; j < n[0]; j++) {
			size_t at = field->offset + j * field->stride;

			if (!same_value(field, left + at, right + at, ret_field))
				return false;
		}
	}
	*ret_field = NULL;
	return true;
}

static size_t collect(const struct schema *schema, const struct schema **list, size_t n)
{
	for (size_t i = 0; i < schema->n_fields; i++)
		if (schema->fields[i].map)
			n = collect(schema->fields[i].map, list, n);
	for (size_t i = 0; i < n; i++)
		if (list[i] == schema)
			return n;
	if (n == FILL_SCHEMAS_MAX)
		abort();
	list[n] = schema;
	return n + 1;
}

size_t fill_schemas(const struct schema *ret_schemas[static FILL_SCHEMAS_MAX])
{
	size_t n = 0;

	for (int kind = STATEMENT_NONE + 1; kind < STATEMENT_KINDS; kind++)
		n = collect(statement_schema((enum statement_kind)kind), ret_schemas, n);
	n = collect(&message_schema, ret_schemas, n);
	n = collect(&claims_schema, ret_schemas, n);
	n = collect(&measurement_schema, ret_schemas, n);
	return collect(&bundle_schema, ret_schemas, n);
}

struct signer fill_signer(uint8_t seed_byte)
{
	struct signer signer;
	uint8_t seed[crypto_sign_SEEDBYTES];

	memset(seed, seed_byte, sizeof(seed));
	if (crypto_sign_seed_keypair(signer.public_key, signer.secret_key, seed) != 0)
		abort();
	memcpy(signer.issuer.b, signer.public_key, sizeof(signer.issuer.b));
	return signer;
}

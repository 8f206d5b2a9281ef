#pragma once
/*
 * Fills and compares any struct that has a schema, by its table: how tests, samples and corpora get
 * a body of every statement without a line for each field.
 */
#include "proto/statement/payload.h"

#define FILL_SCHEMAS_MAX 96
#define FILL_ARENA       (512 * 1024)
/* Strings whose limit is higher (payloads) are filled up to here. */
#define FILL_STRING_MAX 2048

enum fill_how {
	FILL_LEAST, /* required fields alone, each at its minimum */
	FILL_SOME, /* every field, from the seed */
	FILL_MOST, /* every field, each at its maximum, arrays full */
};

/* Sets the struct at value, strings from the arena (FILL_ARENA is enough for any). Aborts without
 * room. */
void fill_struct(const struct schema *schema, void *value, enum fill_how how, uint64_t seed,
	struct buf *arena);

/* Whether two structs say the same; ret_field gets the name of the first field that differs. */
bool fill_same(const struct schema *schema, const void *a, const void *b, const char **ret_field);

/* Every schema once, those of inner maps before those that hold them. Returns how many. */
size_t fill_schemas(const struct schema *ret_schemas[static FILL_SCHEMAS_MAX]);

/* A signer from a seed byte; the issuer is the working key itself. */
struct signer fill_signer(uint8_t seed_byte);

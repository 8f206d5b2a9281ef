#pragma once
/*
 * Structs that have a schema as JSON for people: names instead of map keys, ids in hex, identities
 * as did:key, points in time as RFC 3339, enumerations by their names. Statements inside a message
 * or bundle are opened too.
 */
#include "proto/statement/payload.h"

#include <jansson.h>

/* The struct at value, decoded by schema. NULL without memory. */
json_t *readable_struct(const struct schema *schema, const void *value);
/*
 * A statement: {"statement": kind, "id", "issuer", "algorithm", "key", "issued_at", "body"}.
 * Signatures are not checked. NULL where it does not decode; ret_refusal then tells why.
 */
json_t *readable_statement(struct span bytes, enum refusal *ret_refusal);

#pragma once
/*
 * Any CBOR as JSON, also what this market's profile forbids (RFC 8949: floats, tags, indefinite
 * lengths, unsorted keys), so that a refused item can be looked at. Byte strings are hex, tags are
 * {"tag", "value"}; a map is an object, or a list of pairs where its keys would fall together.
 */
#include "proto/base/base.h"

#include <jansson.h>

#define GENERIC_DEPTH_MAX 64
/* Byte strings longer than this are shown as {"size", "sha256"}. */
#define GENERIC_BYTES_MAX 4096

/* NULL where data is not exactly one well-formed item within GENERIC_DEPTH_MAX, or without memory. */
json_t *generic_json(struct span data);

/* Bytes as hex, or as size and digest where there are many. */
json_t *generic_bytes(struct span bytes);
/* Text, or {"invalid_utf8": hex}. */
json_t *generic_text(struct span text);

#pragma once
/*
 * A map from 32-byte ids to 32-bit indexes: how cores find a slot, a hold or a node. Fixed
 * capacity, linear probing at most half full, over a small table of numbers; the ids themselves lie
 * close together, so that a large map with little in it takes little memory. Ids that peers choose freely (dids)
 * are mixed with a secret of the map, so that nobody can aim at one bucket.
 */
#include "proto/base/base.h"

#define IDMAP_NONE UINT32_MAX

struct idmap {
	struct idmap_entry {
		uint8_t key[32];
		uint32_t value;
	} * entries; /* n in use, without gaps */
	uint32_t *slots; /* number of the entry and one; 0: none */
	size_t n_slots; /* a power of two */
	size_t n;
	size_t capacity;
	uint64_t secret;
};

/* 0 or -ENOMEM. secret: any number that peers cannot know; a core derives it from its key. */
_must_check_ int idmap_init(struct idmap *map, size_t capacity, uint64_t secret);
void idmap_deinit(struct idmap *map);
/* The value, or IDMAP_NONE. */
uint32_t idmap_get(const struct idmap *map, const uint8_t key[static 32]);
/* Sets or replaces. False where the map is full. */
_must_check_ bool idmap_put(struct idmap *map, const uint8_t key[static 32], uint32_t value);
void idmap_remove(struct idmap *map, const uint8_t key[static 32]);

#include "proto/core/idmap.h"

#include <stdlib.h>

int idmap_init(struct idmap *map, size_t capacity, uint64_t secret)
{
	size_t n_slots = 16;

	while (n_slots < capacity * 2)
		n_slots *= 2;
	*map = (struct idmap){ .n_slots = n_slots, .capacity = capacity, .secret = secret };
	map->slots = calloc(n_slots, sizeof(*map->slots));
	return map->slots ? 0 : -ENOMEM;
}

void idmap_deinit(struct idmap *map)
{
	free(map->slots);
	map->slots = NULL;
}

static size_t home(const struct idmap *map, const uint8_t *key)
{
	uint64_t h = map->secret;

	for (size_t i = 0; i < 32; i += 8) {
		uint64_t part;

		memcpy(&part, key + i, sizeof(part));
		h = (h ^ part) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return (size_t)h & (map->n_slots - 1);
}

static size_t find(const struct idmap *map, const uint8_t *key)
{
	size_t i = home(map, key);

	while (map->slots[i].used && memcmp(map->slots[i].key, key, 32) != 0)
		i = (i + 1) & (map->n_slots - 1);
	return i;
}

uint32_t idmap_get(const struct idmap *map, const uint8_t key[static 32])
{
	size_t i = find(map, key);

	return map->slots[i].used ? map->slots[i].value : IDMAP_NONE;
}

bool idmap_put(struct idmap *map, const uint8_t key[static 32], uint32_t value)
{
	size_t i = find(map, key);

	if (!map->slots[i].used) {
		if (map->n == map->capacity)
			return false;
		map->n++;
		map->slots[i].used = 1;
		memcpy(map->slots[i].key, key, 32);
	}
	map->slots[i].value = value;
	return true;
}

void idmap_remove(struct idmap *map, const uint8_t key[static 32])
{
	size_t hole = find(map, key);
	size_t mask = map->n_slots - 1;

	if (!map->slots[hole].used)
		return;
	map->n--;
	map->slots[hole].used = 0;
	/* Close the gap (Knuth 6.4, algorithm R). */
	for (size_t i = (hole + 1) & mask; map->slots[i].used; i = (i + 1) & mask) {
		size_t want = home(map, map->slots[i].key);
		bool reachable = hole < i ? want > hole && want <= i : want > hole || want <= i;

		if (reachable)
			continue;
		map->slots[hole] = map->slots[i];
		map->slots[i].used = 0;
		hole = i;
	}
}

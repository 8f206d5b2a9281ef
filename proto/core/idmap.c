#include "proto/core/idmap.h"

#include <stdlib.h>

int idmap_init(struct idmap *map, size_t capacity, uint64_t secret)
{
	size_t n_slots = 16;

	while (n_slots < capacity * 2)
		n_slots *= 2;
	*map = (struct idmap){ .n_slots = n_slots, .capacity = capacity, .secret = secret };
	map->slots = calloc(n_slots, sizeof(*map->slots));
	map->entries = calloc(MAX(capacity, (size_t)1), sizeof(*map->entries));
	if (map->slots && map->entries)
		return 0;
	idmap_deinit(map);
	return -ENOMEM;
}

void idmap_deinit(struct idmap *map)
{
	free(map->slots);
	free(map->entries);
	map->slots = NULL;
	map->entries = NULL;
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

static struct idmap_entry *entry_at(const struct idmap *map, size_t slot)
{
	return &map->entries[map->slots[slot] - 1];
}

static size_t find(const struct idmap *map, const uint8_t *key)
{
	size_t i = home(map, key);

	while (map->slots[i] && memcmp(entry_at(map, i)->key, key, 32) != 0)
		i = (i + 1) & (map->n_slots - 1);
	return i;
}

uint32_t idmap_get(const struct idmap *map, const uint8_t key[static 32])
{
	size_t i = find(map, key);

	return map->slots[i] ? entry_at(map, i)->value : IDMAP_NONE;
}

bool idmap_put(struct idmap *map, const uint8_t key[static 32], uint32_t value)
{
	size_t i = find(map, key);

	if (!map->slots[i]) {
		if (map->n == map->capacity)
			return false;
		map->slots[i] = (uint32_t)++map->n;
		memcpy(entry_at(map, i)->key, key, 32);
	}
	entry_at(map, i)->value = value;
	return true;
}

void idmap_remove(struct idmap *map, const uint8_t key[static 32])
{
	size_t hole = find(map, key);
	size_t mask = map->n_slots - 1;
	uint32_t gone = map->slots[hole];
	uint32_t last = (uint32_t)map->n;

	if (!gone)
		return;
	/* The last entry takes the place of the one that goes. */
	if (gone != last) {
		map->slots[find(map, map->entries[last - 1].key)] = gone;
		map->entries[gone - 1] = map->entries[last - 1];
	}
	map->n--;
	map->slots[hole] = 0;
	/* Close the gap (Knuth 6.4, algorithm R). */
	for (size_t i = (hole + 1) & mask; map->slots[i]; i = (i + 1) & mask) {
		size_t want = home(map, entry_at(map, i)->key);
		bool reachable = hole < i ? want > hole && want <= i : want > hole || want <= i;

		if (reachable)
			continue;
		map->slots[hole] = map->slots[i];
		map->slots[i] = 0;
		hole = i;
	}
}

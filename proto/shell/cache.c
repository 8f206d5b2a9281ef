#include "proto/shell/shell_internal.h"

#include "proto/os/file.h"

/* Room that one event can fill before cache_trim(). */
#define CACHE_SLACK 8192

int cache_init(struct cache *cache, uint64_t secret)
{
	cache->ring = calloc(SHELL_CACHE_MAX, sizeof(*cache->ring));
	if (!cache->ring)
		return -ENOMEM;
	return idmap_init(&cache->map, SHELL_CACHE_MAX, secret);
}

void cache_deinit(struct cache *cache)
{
	for (size_t i = 0; cache->ring && i < cache->n; i++)
		free(cache->ring[(cache->first + i) % SHELL_CACHE_MAX].bytes);
	free(cache->ring);
	idmap_deinit(&cache->map);
	*cache = (struct cache){ 0 };
}

struct cached *cache_find(struct cache *cache, const struct id *id)
{
	uint32_t at = idmap_get(&cache->map, id->b);

	return at == IDMAP_NONE ? NULL : &cache->ring[at];
}

struct cached *cache_put(struct cache *cache, const struct id *id, struct span bytes)
{
	struct cached *c = cache_find(cache, id);
	size_t at = (cache->first + cache->n) % SHELL_CACHE_MAX;

	if (c)
		return c;
	if (cache->n == SHELL_CACHE_MAX || !idmap_put(&cache->map, id->b, (uint32_t)at))
		return NULL;
	c = &cache->ring[at];
	*c = (struct cached){ .id = *id, .bytes = malloc(MAX(bytes.n, (size_t)1)), .n = bytes.n };
	if (!c->bytes) {
		idmap_remove(&cache->map, id->b);
		return NULL;
	}
	memcpy(c->bytes, bytes.p, bytes.n);
	cache->n++;
	cache->bytes += bytes.n;
	return c;
}

/* Leaves a hole of no bytes, which goes when its turn comes. */
void cache_drop(struct cache *cache, const struct id *id)
{
	struct cached *c = cache_find(cache, id);

	if (!c)
		return;
	idmap_remove(&cache->map, id->b);
	cache->bytes -= c->n;
	free(c->bytes);
	*c = (struct cached){ 0 };
}

void cache_trim(struct cache *cache)
{
	while (cache->n > SHELL_CACHE_MAX - CACHE_SLACK || cache->bytes > SHELL_CACHE_BYTES) {
		struct cached *c = &cache->ring[cache->first];

		cache_drop(cache, &c->id);
		cache->first = (cache->first + 1) % SHELL_CACHE_MAX;
		cache->n--;
	}
}

bool cache_parse(struct cached *c)
{
	struct cose_sign1 envelope;

	if (c->parsed)
		return true;
	if (cose_parse(SPAN(c->bytes, c->n), &envelope) != REFUSED_NOT ||
		envelope.kid.n > sizeof(c->kid))
		return false;
	c->issuer = envelope.issuer;
	memcpy(c->kid, envelope.kid.p, envelope.kid.n);
	c->n_kid = envelope.kid.n;
	c->parsed = true;
	return true;
}

#include "escrow/core/seen.h"

#include <stdlib.h>

int seen_init(struct escrow *e, uint64_t secret)
{
	e->n_seen = e->config.seen;
	e->seen_first = 1;
	e->seen_next = 1;
	e->seen = calloc(e->n_seen, sizeof(*e->seen));
	if (!e->seen)
		return -ENOMEM;
	return idmap_init(&e->by_seen, e->n_seen, secret);
}

void seen_deinit(struct escrow *e)
{
	free(e->seen);
	idmap_deinit(&e->by_seen);
}

static struct seen_entry *entry(const struct escrow *e, int64_t number)
{
	return &e->seen[(size_t)number % e->n_seen];
}

const struct id *seen_find(const struct escrow *e, const struct id *digest)
{
	uint32_t at = idmap_get(&e->by_seen, digest->b);

	return at == IDMAP_NONE ? NULL : &e->seen[at].evidence;
}

static void drop_first(struct escrow *e)
{
	idmap_remove(&e->by_seen, entry(e, e->seen_first)->digest.b);
	e->seen_first++;
}

static bool append(struct escrow *e, const struct id *digest, const struct id *evidence)
{
	*entry(e, e->seen_next) = (struct seen_entry){ *digest, *evidence };
	return idmap_put(&e->by_seen, digest->b, (uint32_t)((size_t)e->seen_next++ % e->n_seen));
}

void seen_add(struct turn *t, const struct id *digest, const struct id *evidence)
{
	struct escrow *e = t->e;
	struct row *row;

	if (seen_find(e, digest))
		return;
	if ((size_t)(e->seen_next - e->seen_first) == e->n_seen) {
		row_int(effects_put(t->fx, ESCROW_TABLE_SEEN, PUT_DELETE), e->seen_first);
		drop_first(e);
	}
	row = effects_put(t->fx, ESCROW_TABLE_SEEN, PUT_INSERT);
	row_int(row, e->seen_next);
	row_copy(t->fx, row, SPAN_OF(*digest));
	row_copy(t->fx, row, SPAN_OF(*evidence));
	if (!append(e, digest, evidence))
		abort(); /* the oldest made room */
}

int seen_load(struct escrow *e, const struct row *row)
{
	const struct cell *c = row->cells;
	struct id digest;
	struct id evidence;

	if (row->n != 3 || c[0].type != CELL_INT || c[0].i < e->seen_next ||
		c[1].type != CELL_BLOB || c[1].b.n != 32 || c[2].type != CELL_BLOB ||
		c[2].b.n != 32)
		return -EBADMSG;
	/* Rows are without gaps but for those that were dropped at the beginning. */
	if (e->seen_next == e->seen_first)
		e->seen_first = e->seen_next = c[0].i;
	if (c[0].i != e->seen_next)
		return -EBADMSG;
	memcpy(digest.b, c[1].b.p, 32);
	memcpy(evidence.b, c[2].b.p, 32);
	if ((size_t)(e->seen_next - e->seen_first) == e->n_seen)
		drop_first(e); /* the operator made the table smaller */
	return append(e, &digest, &evidence) ? 0 : -EBADMSG;
}

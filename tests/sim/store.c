#include "tests/sim/store.h"

#include "proto/base/sha256.h"

#include <stdlib.h>

static uint8_t keys_of(const struct store *s, uint16_t table)
{
	if (table == STORE_KEYS)
		return 2;
	if (table == STORE_FILES)
		return 1;
	assert(table < s->ops->n_tables);
	return s->ops->tables[table].n_key;
}

static uint64_t hash_cells(const struct cell *cells, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++) {
		const struct cell *c = &cells[i];

		h = (h ^ (uint64_t)c->i) * UINT64_C(0x100000001b3);
		for (size_t k = 0; k < c->b.n; k++)
			h = (h ^ c->b.p[k]) * UINT64_C(0x100000001b3);
	}
	return h ^ h >> 29;
}

static int compare_cell(const struct cell *a, const struct cell *b)
{
	size_t n = MIN(a->b.n, b->b.n);
	int r;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->type == CELL_INT)
		return a->i < b->i ? -1 : a->i > b->i;
	r = n > 0 ? memcmp(a->b.p, b->b.p, n) : 0;
	if (r != 0)
		return r;
	return a->b.n < b->b.n ? -1 : a->b.n > b->b.n;
}

static int compare_key(const struct cell *a, const struct cell *b, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = compare_cell(&a[i], &b[i]);
	return r;
}

static struct store_row *copy_row(
	uint16_t table, uint8_t n_key, const struct cell *cells, uint8_t n)
{
	size_t size = sizeof(struct store_row);
	struct store_row *row;
	uint8_t *p;

	for (size_t i = 0; i < n; i++)
		size += cells[i].b.n;
	row = calloc(1, size);
	if (!row)
		abort();
	p = (uint8_t *)(row + 1);
	row->table = table;
	row->n = n;
	row->n_key = n_key;
	for (size_t i = 0; i < n; i++) {
		row->cells[i] = cells[i];
		if (cells[i].type == CELL_INT || cells[i].type == CELL_NULL) {
			row->cells[i].b = SPAN(NULL, 0);
			continue;
		}
		row->cells[i].i = 0;
		row->cells[i].b = SPAN(p, cells[i].b.n);
		if (cells[i].b.n > 0)
			memcpy(p, cells[i].b.p, cells[i].b.n);
		p += cells[i].b.n;
	}
	return row;
}

static size_t find(const struct store_table *t, const struct cell *key, size_t n_key)
{
	size_t at = hash_cells(key, n_key) & (t->n_slots - 1);

	while (t->slots[at] && compare_key(t->slots[at]->cells, key, n_key) != 0)
		at = (at + 1) & (t->n_slots - 1);
	return at;
}

static void grow(struct store_table *t)
{
	struct store_row **old = t->slots;
	size_t n_old = t->n_slots;

	t->n_slots = n_old ? n_old * 2 : 64;
	t->slots = calloc(t->n_slots, sizeof(struct store_row *));
	if (!t->slots)
		abort();
	for (size_t i = 0; i < n_old; i++)
		if (old[i])
			t->slots[find(t, old[i]->cells, old[i]->n_key)] = old[i];
	free(old);
}

/* Puts row (or NULL: nothing) at the key, and returns what stood there. */
static struct store_row *exchange(
	struct store_table *t, const struct cell *key, size_t n_key, struct store_row *row)
{
	struct store_row *old;
	size_t at;

	if (t->n * 2 >= t->n_slots)
		grow(t);
	at = find(t, key, n_key);
	old = t->slots[at];
	t->slots[at] = row;
	t->n += (row != NULL) - (size_t)(old != NULL);
	if (row || !old)
		return old;
	/* Close the gap (Knuth 6.4, algorithm R). */
	for (size_t i = (at + 1) & (t->n_slots - 1); t->slots[i]; i = (i + 1) & (t->n_slots - 1)) {
		size_t want = hash_cells(t->slots[i]->cells, n_key) & (t->n_slots - 1);
		bool reachable = at < i ? want > at && want <= i : want > at || want <= i;

		if (reachable)
			continue;
		t->slots[at] = t->slots[i];
		t->slots[i] = NULL;
		at = i;
	}
	return old;
}

void store_init(struct store *s, const struct core_ops *ops)
{
	*s = (struct store){ .ops = ops };
	assert(ops->n_tables <= STORE_KEYS);
}

void store_begin(struct store *s)
{
	for (size_t i = 0; i < s->n_changes; i++) {
		free(s->changes[i].key);
		free(s->changes[i].old);
	}
	s->n_changes = 0;
}

void store_rollback(struct store *s)
{
	while (s->n_changes > 0) {
		struct store_change *c = &s->changes[--s->n_changes];
		struct store_row *now = exchange(
			&s->tables[c->table], c->key->cells, c->key->n_key, c->old);

		free(now);
		free(c->key);
	}
}

void store_wipe_table(struct store *s, uint16_t table)
{
	struct store_table *t = &s->tables[table];

	for (size_t i = 0; i < t->n_slots; i++)
		free(t->slots[i]);
	free(t->slots);
	*t = (struct store_table){ 0 };
}

void store_wipe(struct store *s)
{
	store_begin(s);
	for (uint16_t i = 0; i < STORE_TABLES; i++)
		store_wipe_table(s, i);
}

void store_deinit(struct store *s)
{
	store_wipe(s);
	free(s->changes);
	*s = (struct store){ 0 };
}

static void note_change(struct store *s, const struct store_change *change)
{
	if (s->n_changes == s->cap_changes) {
		s->cap_changes = MAX(s->cap_changes * 2, (size_t)64);
		s->changes = reallocarray(s->changes, s->cap_changes, sizeof(*s->changes));
		if (!s->changes)
			abort();
	}
	s->changes[s->n_changes++] = *change;
}

bool store_put(struct store *s, const struct row *row)
{
	uint8_t n_key = keys_of(s, row->table);
	struct store_table *t = &s->tables[row->table];
	struct store_change change = { .table = row->table };
	struct store_row *new = NULL;

	if (row->op != PUT_DELETE) {
		if (row->table < s->ops->n_tables && row->n != s->ops->tables[row->table].n_cells)
			return false;
		new = copy_row(row->table, n_key, row->cells, row->n);
	} else if (row->n != n_key) {
		return false;
	}
	change.key = copy_row(row->table, n_key, row->cells, n_key);
	change.old = exchange(t, row->cells, n_key, new);
	note_change(s, &change);
	return row->op != PUT_INSERT || !change.old;
}

void store_put_apart(struct store *s, const struct row *row)
{
	uint8_t n_key = keys_of(s, row->table);
	struct store_row *new = row->op == PUT_DELETE
					? NULL
					: copy_row(row->table, n_key, row->cells, row->n);

	free(exchange(&s->tables[row->table], row->cells, n_key, new));
}

static const struct store_row *look(const struct store *s, uint16_t table, const struct cell *key)
{
	const struct store_table *t = &s->tables[table];

	return t->n_slots ? t->slots[find(t, key, 1)] : NULL;
}

const struct store_row *store_find(const struct store *s, uint16_t table, struct span key)
{
	struct cell cell = cell_blob(key);

	return look(s, table, &cell);
}

const struct store_row *store_find_int(const struct store *s, uint16_t table, int64_t key)
{
	struct cell cell = cell_int(key);

	return look(s, table, &cell);
}

static int by_key(const void *a, const void *b)
{
	const struct store_row *x = *(struct store_row *const *)a;
	const struct store_row *y = *(struct store_row *const *)b;

	return compare_key(x->cells, y->cells, x->n_key);
}

struct store_row **store_sorted(const struct store *s, uint16_t table, size_t *ret_n)
{
	const struct store_table *t = &s->tables[table];
	struct store_row **rows = calloc(t->n + 1, sizeof(struct store_row *));
	size_t n = 0;

	if (!rows)
		abort();
	for (size_t i = 0; i < t->n_slots; i++)
		if (t->slots[i])
			rows[n++] = t->slots[i];
	qsort(rows, n, sizeof(struct store_row *), by_key);
	*ret_n = n;
	return rows;
}

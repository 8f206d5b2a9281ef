/*
 * A treap (Seidel and Aragon, 1996) whose priorities are a fixed mix of the handle: expected depth
 * O(log n), and the same shape for the same content.
 */
#include "broker/core/match_internal.h"

static uint32_t match_order_priority(uint32_t e)
{
	e *= UINT32_C(0x9e3779b1);
	e ^= e >> 15;
	e *= UINT32_C(0x85ebca77);
	return e ^ e >> 13;
}

static bool match_order_less(const struct match *m, uint32_t a, uint32_t b)
{
	const struct match_entry *x = &m->entries[a];
	const struct match_entry *y = &m->entries[b];

	if (x->price != y->price)
		return x->price < y->price;
	if (x->used != y->used)
		return x->used < y->used;
	return a < b;
}

/* Puts child, or nobody, where e hangs below its parent. */
static void match_order_replace(
	struct match *m, struct match_place *place, uint32_t e, uint32_t child)
{
	uint32_t parent = m->entries[e].parent;

	if (parent == 0)
		place->root = child;
	else if (m->entries[parent].left == e)
		m->entries[parent].left = child;
	else
		m->entries[parent].right = child;
	if (child != 0)
		m->entries[child].parent = parent;
}

/* Turns e, which has a parent, above it. */
static void match_order_rotate(struct match *m, struct match_place *place, uint32_t e)
{
	struct match_entry *x = &m->entries[e];
	uint32_t parent = x->parent;
	struct match_entry *p = &m->entries[parent];
	uint32_t moved;

	match_order_replace(m, place, parent, e);
	if (p->left == e) {
		moved = x->right;
		p->left = moved;
		x->right = parent;
	} else {
		moved = x->left;
		p->right = moved;
		x->left = parent;
	}
	p->parent = e;
	if (moved != 0)
		m->entries[moved].parent = parent;
}

static void match_order_first(const struct match *m, struct match_place *place)
{
	uint32_t e = place->root;

	while (e != 0 && m->entries[e].left != 0)
		e = m->entries[e].left;
	place->first = e;
	place->min_price = e == 0 ? INT64_MAX : m->entries[e].price;
}

void match_order_insert(struct match *m, struct match_place *place, uint32_t entry)
{
	uint32_t parent = 0;
	bool left = false;

	place->count++;
	for (uint32_t e = place->root; e != 0;) {
		parent = e;
		left = match_order_less(m, entry, e);
		e = left ? m->entries[e].left : m->entries[e].right;
	}
	m->entries[entry].left = m->entries[entry].right = 0;
	m->entries[entry].parent = parent;
	if (parent == 0)
		place->root = entry;
	else if (left)
		m->entries[parent].left = entry;
	else
		m->entries[parent].right = entry;
	while ((parent = m->entries[entry].parent) != 0 &&
		match_order_priority(parent) < match_order_priority(entry))
		match_order_rotate(m, place, entry);
	match_order_first(m, place);
}

void match_order_remove(struct match *m, struct match_place *place, uint32_t entry)
{
	const struct match_entry *x = &m->entries[entry];

	place->count--;
	while (x->left != 0 && x->right != 0)
		match_order_rotate(m, place,
			match_order_priority(x->left) > match_order_priority(x->right) ? x->left
										       : x->right);
	match_order_replace(m, place, entry, x->left != 0 ? x->left : x->right);
	match_order_first(m, place);
}

uint32_t match_order_next(const struct match *m, uint32_t entry)
{
	uint32_t e = m->entries[entry].right;

	if (e != 0) {
		while (m->entries[e].left != 0)
			e = m->entries[e].left;
		return e;
	}
	for (e = entry; m->entries[e].parent != 0; e = m->entries[e].parent)
		if (m->entries[m->entries[e].parent].left == e)
			return m->entries[e].parent;
	return 0;
}

#include "broker/core/match_internal.h"

uint32_t match_cell_find(const struct match *m, uint64_t key)
{
	uint32_t slot = match_cell_home(m, key);

	while (m->cell_slots[slot] != 0 && m->cells[m->cell_slots[slot]].key != key)
		slot = (slot + 1) & m->cell_mask;
	return m->cell_slots[slot];
}

uint32_t match_cell_need(struct match *m, uint64_t key)
{
	uint32_t slot = match_cell_home(m, key);
	uint32_t cell;

	for (; m->cell_slots[slot] != 0; slot = (slot + 1) & m->cell_mask)
		if (m->cells[m->cell_slots[slot]].key == key)
			return m->cell_slots[slot];
	if (m->free_cell != 0) {
		cell = m->free_cell;
		m->free_cell = m->cells[cell].next;
	} else {
		assert(m->n_cells < m->max_cells);
		cell = ++m->n_cells;
	}
	m->cells[cell] = (struct match_cell){ .key = key, .min_price = INT64_MAX };
	m->cell_slots[slot] = cell;
	return cell;
}

void match_cell_drop(struct match *m, uint64_t key)
{
	uint32_t slot = match_cell_home(m, key);
	uint32_t hole;

	while (m->cells[m->cell_slots[slot]].key != key) {
		assert(m->cell_slots[slot] != 0);
		slot = (slot + 1) & m->cell_mask;
	}
	m->cells[m->cell_slots[slot]].next = m->free_cell;
	m->free_cell = m->cell_slots[slot];
	/* Closes the gap, so that no search ends at it too early. */
	hole = slot;
	for (;;) {
		uint32_t home;

		slot = (slot + 1) & m->cell_mask;
		if (m->cell_slots[slot] == 0)
			break;
		home = match_cell_home(m, m->cells[m->cell_slots[slot]].key);
		if (((slot - home) & m->cell_mask) < ((slot - hole) & m->cell_mask))
			continue;
		m->cell_slots[hole] = m->cell_slots[slot];
		hole = slot;
	}
	m->cell_slots[hole] = 0;
}

/* The slot's machine: every state and event, those that must be refused among them. */
#include "proto/core/slot.h"
#include "tests/table/table.h"

#include <stdio.h>

static bool seen[SLOT_STATES][SLOT_EVENTS];

static bool find(const char *word, enum slot_state *ret_state)
{
	for (int i = SLOT_NONE + 1; i < SLOT_STATES; i++)
		if (strcmp(slot_state_name(i), word) == 0) {
			*ret_state = (enum slot_state)i;
			return true;
		}
	return false;
}

/* "STATE others": all events that no line before named. */
static void others(enum slot_state state, struct buf *out)
{
	for (int i = 0; i < SLOT_EVENTS; i++) {
		enum slot_event event = (enum slot_event)i;

		if (seen[state][i])
			continue;
		seen[state][i] = true;
		if (slot_next(state, event) != SLOT_NONE)
			buf_printf(out, "%s: %s, ", slot_event_name(event),
				slot_state_name(slot_next(state, event)));
	}
	buf_str(out, "refused");
}

static bool then(char *const *words, size_t n, struct buf *out)
{
	enum slot_state state;

	if (n != 2 || !find(words[0], &state))
		return false;
	if (strcmp(words[1], "others") == 0) {
		others(state, out);
		return true;
	}
	for (int i = 0; i < SLOT_EVENTS; i++) {
		enum slot_event event = (enum slot_event)i;

		if (strcmp(slot_event_name(event), words[1]) != 0)
			continue;
		if (seen[state][i])
			return false;
		seen[state][i] = true;

		enum slot_state next = slot_next(state, event);

		buf_str(out, next == SLOT_NONE ? "refused" : slot_state_name(next));
		return true;
	}
	return false;
}

static const char *missing(void)
{
	static char sentence[128];

	for (int s = SLOT_NONE + 1; s < SLOT_STATES; s++)
		for (int e = 0; e < SLOT_EVENTS; e++)
			if (!seen[s][e]) {
				snprintf(sentence, sizeof(sentence), "there is no line for %s %s",
					slot_state_name(s), slot_event_name((enum slot_event)e));
				return sentence;
			}
	return NULL;
}

const struct table slot_table = { "slot", then, missing };

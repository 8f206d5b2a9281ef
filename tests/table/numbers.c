/*
 * Numbers that are on the wire, on disk or under signatures: no number is ever given to something
 * else. What is new has to be added to its table, so that from then on it cannot change either.
 */
#include "proto/base/refusal.h"
#include "proto/core/slot.h"
#include "proto/statement/message.h"
#include "tests/table/table.h"

#include <stdio.h>

#define NUMBER_MAX 4096

static const char *refusal_of(int64_t number)
{
	const char *name = refusal_name((enum refusal)number);

	return strcmp(name, "UNKNOWN") == 0 || strcmp(name, "NONE") == 0 ? NULL : name;
}

static const char *key_of(int64_t number)
{
	static const struct {
		int64_t number;
		const char *name;
	} keys[] = {
#define X(n, k) { n, #k },
		STATEMENT_KEYS(X)
#undef X
	};
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].number != number)
			continue;
		if (name)
			return "given twice";
		name = keys[i].name;
	}
	return name;
}

static const char *message_of(int64_t number)
{
	const char *name = message_type_name(number);

	return strcmp(name, "UNKNOWN") == 0 || number == MESSAGE_NONE ? NULL : name;
}

static const char *kind_of(int64_t number)
{
	const char *name = statement_kind_name((enum statement_kind)number);

	return strcmp(name, "none") == 0 ? NULL : name;
}

static const char *state_of(int64_t number)
{
	const char *name = slot_state_name(number);

	return strcmp(name, "NONE") == 0 ? NULL : name;
}

static bool seen[NUMBER_MAX];

/* "N -> NAME", or "N -> unused" for a number that nothing may have any more. */
static bool number(
	const char *(*name_of)(int64_t number), char *const *words, size_t n, struct buf *out)
{
	int64_t value;

	if (n != 1 || !table_int(words[0], &value) || value < 1 || value >= NUMBER_MAX ||
		seen[value])
		return false;
	seen[value] = true;

	const char *name = name_of(value);

	buf_str(out, name ? name : "unused");
	return true;
}

static const char *unlisted(const char *(*name_of)(int64_t number))
{
	static char sentence[256];
	const char *found = NULL;

	for (int64_t i = 1; i < NUMBER_MAX && !found; i++) {
		if (!name_of(i) || seen[i])
			continue;
		snprintf(sentence, sizeof(sentence),
			"add the line \"%d -> %s\": from then on it cannot change", (int)i,
			name_of(i));
		found = sentence;
	}
	memset(seen, 0, sizeof(seen));
	return found;
}

#define NUMBERS(what) \
	static bool what##_then(char *const *words, size_t n, struct buf *out) \
	{ \
		return number(what##_of, words, n, out); \
	} \
	static const char *what##_missing(void) \
	{ \
		return unlisted(what##_of); \
	}

NUMBERS(refusal)
NUMBERS(key)
NUMBERS(message)
NUMBERS(kind)
NUMBERS(state)

const struct table numbers_tables[] = {
	{ "refusals", refusal_then, refusal_missing },
	{ "keys", key_then, key_missing },
	{ "messages", message_then, message_missing },
	{ "kinds", kind_then, kind_missing },
	{ "states", state_then, state_missing },
};
const size_t numbers_n_tables = ARRAY_SIZE(numbers_tables);

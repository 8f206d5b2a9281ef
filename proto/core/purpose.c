#include "proto/core/purpose.h"

enum meaning {
	WORD_OTHER,
	WORD_HUNT,
	WORD_PERSON,
	WORD_NOT,
};

struct known_word {
	const char *word;
	enum meaning meaning;
};

/* Hunting words stand in the forms that people write; nouns of other trades are left out. */
static const struct known_word known[] = {
	{ "find", WORD_HUNT },
	{ "finding", WORD_HUNT },
	{ "finds", WORD_HUNT },
	{ "follow", WORD_HUNT },
	{ "following", WORD_HUNT },
	{ "follows", WORD_HUNT },
	{ "identify", WORD_HUNT },
	{ "identifying", WORD_HUNT },
	{ "identifies", WORD_HUNT },
	{ "identity", WORD_HUNT },
	{ "locate", WORD_HUNT },
	{ "locating", WORD_HUNT },
	{ "recognise", WORD_HUNT },
	{ "recognising", WORD_HUNT },
	{ "recognition", WORD_HUNT },
	{ "recognize", WORD_HUNT },
	{ "recognizing", WORD_HUNT },
	{ "spy", WORD_HUNT },
	{ "spying", WORD_HUNT },
	{ "stalk", WORD_HUNT },
	{ "stalking", WORD_HUNT },
	{ "surveil", WORD_HUNT },
	{ "track", WORD_HUNT },
	{ "tracking", WORD_HUNT },
	{ "watch", WORD_HUNT },
	{ "watching", WORD_HUNT },
	{ "whereabouts", WORD_HUNT },
	{ "boy", WORD_PERSON },
	{ "boyfriend", WORD_PERSON },
	{ "child", WORD_PERSON },
	{ "children", WORD_PERSON },
	{ "daughter", WORD_PERSON },
	{ "ex-wife", WORD_PERSON },
	{ "ex-husband", WORD_PERSON },
	{ "face", WORD_PERSON },
	{ "faces", WORD_PERSON },
	{ "girl", WORD_PERSON },
	{ "girlfriend", WORD_PERSON },
	{ "her", WORD_PERSON },
	{ "him", WORD_PERSON },
	{ "husband", WORD_PERSON },
	{ "man", WORD_PERSON },
	{ "men", WORD_PERSON },
	{ "neighbor", WORD_PERSON },
	{ "neighbors", WORD_PERSON },
	{ "neighbour", WORD_PERSON },
	{ "neighbours", WORD_PERSON },
	{ "people", WORD_PERSON },
	{ "person", WORD_PERSON },
	{ "persons", WORD_PERSON },
	{ "somebody", WORD_PERSON },
	{ "someone", WORD_PERSON },
	{ "son", WORD_PERSON },
	{ "wife", WORD_PERSON },
	{ "woman", WORD_PERSON },
	{ "women", WORD_PERSON },
	{ "empty", WORD_NOT },
	{ "free", WORD_NOT },
	{ "never", WORD_NOT },
	{ "no", WORD_NOT },
	{ "nobody", WORD_NOT },
	{ "not", WORD_NOT },
	{ "without", WORD_NOT },
};

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* A hyphen holds a word together ("man-made"), and so does any byte beyond ASCII. */
static bool in_word(uint8_t c)
{
	return (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c >= 0x80;
}

static bool is_word(struct span text, const char *word)
{
	size_t n = strlen(word);

	if (text.n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (lower(text.p[i]) != (uint8_t)word[i])
			return false;
	return true;
}

static enum meaning meaning_of(struct span word)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (is_word(word, known[i].word))
			return known[i].meaning;
	return WORD_OTHER;
}

/* What was heard in the sentence so far: words since the last verb and the last person. */
struct hearing {
	size_t since_hunt;
	size_t since_person;
	size_t since_not;
};

#define LONG_AGO (SIZE_MAX / 2)

static void forget(struct hearing *h)
{
	*h = (struct hearing){ LONG_AGO, LONG_AGO, LONG_AGO };
}

/* True where the word makes a hunt of what was heard. */
static bool hear(struct hearing *h, struct span word)
{
	enum meaning meaning = meaning_of(word);
	size_t other;

	h->since_hunt++;
	h->since_person++;
	h->since_not++;
	/* "find out", "follow up" are no hunts. */
	if (h->since_hunt == 1 && (is_word(word, "out") || is_word(word, "up")))
		h->since_hunt = LONG_AGO;
	if (meaning == WORD_NOT)
		h->since_not = 0;
	if (meaning != WORD_HUNT && meaning != WORD_PERSON)
		return false;
	other = meaning == WORD_HUNT ? h->since_person : h->since_hunt;
	if (meaning == WORD_HUNT)
		h->since_hunt = 0;
	else
		h->since_person = 0;
	/* A negation counts between the two and in the two words before the first. */
	return other <= PURPOSE_NEAR && h->since_not > other + 2;
}

bool purpose_tracks_person(struct span purpose)
{
	struct hearing h;
	size_t i = 0;

	forget(&h);
	while (i < purpose.n) {
		size_t from = i;

		while (i < purpose.n && in_word(purpose.p[i]))
			i++;
		if (i == from) {
			if (memchr(".;:!?", purpose.p[i], 5))
				forget(&h);
			i++;
		} else if (hear(&h, SPAN(purpose.p + from, i - from))) {
			return true;
		}
	}
	return false;
}

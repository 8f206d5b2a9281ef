#include "proto/base/refusal.h"

static const struct {
	enum refusal code;
	const char *name;
	const char *sentence;
} refusals[] = {
#define X(number, name, sentence) { REFUSED_##name, #name, sentence },
	REFUSALS(X)
#undef X
};

const char *refusal_name(enum refusal code)
{
	if (code == REFUSED_NOT)
		return "NONE";
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].code == code)
			return refusals[i].name;
	return "UNKNOWN";
}

const char *refusal_sentence(enum refusal code)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].code == code)
			return refusals[i].sentence;
	return code == REFUSED_NOT ? "Nothing was refused."
				   : "The peer refused for a reason unknown here.";
}

enum refusal refusal_by_name(struct span name)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (span_is(name, refusals[i].name))
			return refusals[i].code;
	return REFUSED_NOT;
}

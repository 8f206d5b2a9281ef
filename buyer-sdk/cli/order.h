#pragma once
/*
 * What a user asks for in words, as options of `buy` or as members of a JSON file for `request
 * post`: both have the same names and the same texts. Numbers are integers, amounts and positions
 * decimal texts: no floats.
 */
#include "buyer-sdk/cli/cli.h"

#define ORDER_FILE_MAX 16384

enum order_member {
	ORDER_KIND,
	ORDER_AT,
	ORDER_RADIUS,
	ORDER_WIDTH,
	ORDER_HEIGHT,
	ORDER_UNIT,
	ORDER_LOW,
	ORDER_HIGH,
	ORDER_MAX,
	ORDER_ASSET,
	ORDER_FRESH,
	ORDER_SOURCES,
	ORDER_PURPOSE,
	ORDER_TIMEOUT,
	ORDER_ATTEMPTS,
	ORDER_MEMBERS
};

struct order {
	assay_buy_options_t buy;
	const char *low;
	const char *high;
	bool given[ORDER_MEMBERS];
	json_t *root; /* owns the texts of a file */
};

void order_init(struct order *order);
void order_deinit(struct order *order);

/* "at", "radius", ... */
const char *order_name(enum order_member member);
/* Sets a member from its text, which must live as long as the order. NULL, or what to say instead.
 */
_must_check_ const char *order_set(struct order *order, enum order_member member, const char *text);
/* What is missing or does not fit together, or NULL; the order can then be bought. */
_must_check_ const char *order_finish(struct order *order);

/*
 * Reads a JSON file: one object of members as above, integers for radius, width, height, fresh,
 * timeout and attempts, strings for the rest. Members that are not known are refused. True, or
 * false and a sentence in ret_error.
 */
_must_check_ bool order_read(struct order *order, const char *path, char *ret_error, size_t cap);

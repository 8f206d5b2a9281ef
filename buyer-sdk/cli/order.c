#include "buyer-sdk/cli/order.h"

#include "buyer-sdk/cli/print.h"
#include "proto/os/file.h"

#define RADIUS_DEFAULT_M 1000
#define EXPONENT_MOST    12 /* decimals of low and high */

static const struct {
	const char *name;
	bool integer;
	const char *sentence; /* what to write instead */
} members[ORDER_MEMBERS] = {
	[ORDER_KIND] = { "kind", false, "kind is a name such as camera.still or voltage.dc" },
	[ORDER_AT] = { "at", false,
		"at is LAT,LON in degrees, such as 47.3769,8.5417, with at most 7 decimals" },
	[ORDER_RADIUS] = { "radius", true, "radius is in metres, a whole number" },
	[ORDER_WIDTH] = { "width", true, "width is in pixels, a whole number" },
	[ORDER_HEIGHT] = { "height", true, "height is in pixels, a whole number" },
	[ORDER_UNIT] = { "unit", false, "unit is a UCUM code such as V or Cel" },
	[ORDER_LOW] = { "low", false, "low is a decimal number with at most 12 decimals" },
	[ORDER_HIGH] = { "high", false, "high is a decimal number with at most 12 decimals" },
	[ORDER_MAX] = { "max", false,
		"max is the highest price, such as 0.20, with at most 6 decimals" },
	[ORDER_ASSET] = { "asset", false, "asset is a currency such as XTS" },
	[ORDER_FRESH] = { "fresh", true,
		"fresh is in seconds before the node's commitment, a whole number; 0: only after it was asked" },
	[ORDER_SOURCES] = { "sources", false,
		"sources is a list out of live, replay, synthetic, such as live,replay" },
	[ORDER_PURPOSE] = { "purpose", false, "purpose is a short text" },
	[ORDER_TIMEOUT] = { "timeout", true, "timeout is in seconds, from 1 to 86400" },
	[ORDER_ATTEMPTS] = { "attempts", true, "attempts is a number of nodes, from 1 to 16" },
};

void order_init(struct order *order)
{
	*order = (struct order){ .buy = ASSAY_BUY_OPTIONS_INIT };
	order->buy.radius_m = RADIUS_DEFAULT_M;
}

void order_deinit(struct order *order)
{
	json_decref(order->root);
	*order = (struct order){ 0 };
}

const char *order_name(enum order_member member)
{
	return members[member].name;
}

static bool whole(const char *text, int64_t least, int64_t most, int64_t *ret_value)
{
	return cli_decimal(text, 0, ret_value) == 0 && *ret_value >= least && *ret_value <= most;
}

static bool set_number(uint32_t *to, const char *text, int64_t least, int64_t most, int64_t times)
{
	int64_t value;

	if (!whole(text, least, most, &value))
		return false;
	*to = (uint32_t)(value * times);
	return true;
}

/* "47.3769,8.5417" */
static bool set_place(struct order *order, const char *text)
{
	const char *comma = strchr(text, ',');
	char lat_text[24];
	int64_t lat;
	int64_t lon;
	size_t n = comma ? (size_t)(comma - text) : 0;

	if (!comma || n >= sizeof(lat_text))
		return false;
	memcpy(lat_text, text, n);
	lat_text[n] = '\0';
	comma += strspn(comma + 1, " ") + 1;
	if (cli_decimal(lat_text, 7, &lat) < 0 || cli_decimal(comma, 7, &lon) < 0 ||
		lat < INT32_MIN || lat > INT32_MAX || lon < INT32_MIN || lon > INT32_MAX)
		return false;
	order->buy.lat_e7 = (int32_t)lat;
	order->buy.lon_e7 = (int32_t)lon;
	return true;
}

static bool set_sources(struct order *order, const char *text)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} names[] = { { "live", ASSAY_SOURCE_LIVE }, { "replay", ASSAY_SOURCE_REPLAY },
		{ "synthetic", ASSAY_SOURCE_SYNTHETIC } };
	uint32_t sources = 0;

	for (;;) {
		size_t n = strcspn(text, ",");
		size_t i = 0;

		while (i < ARRAY_SIZE(names) &&
			!(strlen(names[i].name) == n && strncmp(names[i].name, text, n) == 0))
			i++;
		if (i == ARRAY_SIZE(names))
			return false;
		sources |= names[i].bit;
		if (text[n] == '\0')
			break;
		text += n + 1;
	}
	order->buy.sources = sources;
	return true;
}

static bool set_text(const char **to, const char *text)
{
	*to = text;
	return *text != '\0';
}

static bool set(struct order *order, enum order_member member, const char *text)
{
	assay_buy_options_t *buy = &order->buy;
	int64_t ignored;

	switch (member) {
	case ORDER_KIND:
		return set_text(&buy->kind, text);
	case ORDER_AT:
		return set_place(order, text);
	case ORDER_RADIUS:
		return set_number(&buy->radius_m, text, 0, UINT32_MAX, 1);
	case ORDER_WIDTH:
		return set_number(&buy->width, text, 0, UINT32_MAX, 1);
	case ORDER_HEIGHT:
		return set_number(&buy->height, text, 0, UINT32_MAX, 1);
	case ORDER_UNIT:
		return set_text(&buy->unit, text);
	case ORDER_LOW:
		order->low = text;
		return cli_decimal(text, EXPONENT_MOST, &ignored) == 0;
	case ORDER_HIGH:
		order->high = text;
		return cli_decimal(text, EXPONENT_MOST, &ignored) == 0;
	case ORDER_MAX:
		return cli_decimal(text, 6, &buy->price_max_micros) == 0;
	case ORDER_ASSET:
		return set_text(&buy->asset, text);
	case ORDER_FRESH:
		return set_number(&buy->freshness_ms, text, 0, UINT32_MAX / 1000, 1000);
	case ORDER_SOURCES:
		return set_sources(order, text);
	case ORDER_PURPOSE:
		return set_text(&buy->purpose, text);
	case ORDER_TIMEOUT:
		return set_number(&buy->timeout_ms, text, 1, 86400, 1000);
	case ORDER_ATTEMPTS:
		return set_number(&buy->attempts, text, 1, 16, 1);
	case ORDER_MEMBERS:
		break;
	}
	return false;
}

const char *order_set(struct order *order, enum order_member member, const char *text)
{
	if (!set(order, member, text))
		return members[member].sentence;
	order->given[member] = true;
	return NULL;
}

static unsigned decimals(const char *text)
{
	const char *point = strchr(text, '.');

	return point ? (unsigned)strlen(point + 1) : 0;
}

const char *order_finish(struct order *order)
{
	assay_buy_options_t *buy = &order->buy;

	if (!buy->kind)
		return "kind is missing: what is to be bought, such as camera.still";
	if (!order->given[ORDER_AT])
		return "at is missing: LAT,LON of the place, such as 47.3769,8.5417";
	if (!order->given[ORDER_MAX])
		return "max is missing: the highest price, such as 0.20";
	if (!order->low != !order->high)
		return "low and high belong together: give both";
	if (!order->low)
		return NULL;
	if (!buy->unit)
		return "low and high need a unit, such as V";

	unsigned n = MAX(decimals(order->low), decimals(order->high));

	if (cli_decimal(order->low, n, &buy->low) < 0 ||
		cli_decimal(order->high, n, &buy->high) < 0 || buy->low >= buy->high)
		return "low must be below high";
	buy->exponent = -(int32_t)n;
	return NULL;
}

/* An integer as the text that the option would have. */
static const char *text_of(struct order *order, json_t *value, bool integer)
{
	char text[24];
	json_t *kept;

	if (!integer)
		return json_string_value(value);
	if (!json_is_integer(value))
		return NULL;
	snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
	kept = json_string(text);
	/* The object keeps the text alive under a name that no member has. */
	if (!kept || json_array_append_new(json_object_get(order->root, ""), kept) < 0)
		return NULL;
	return json_string_value(kept);
}

static bool read_members(struct order *order, json_t *object, char *ret_error, size_t cap)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		char shown[PRINT_TEXT_MAX];
		const char *text;
		const char *wrong;
		int i = 0;

		while (i < ORDER_MEMBERS && strcmp(members[i].name, name) != 0)
			i++;
		if (i == ORDER_MEMBERS) {
			snprintf(ret_error, cap,
				"\"%.80s\" is no member of an order: see 'assay request post --help'",
				print_safe(name, shown));
			return false;
		}
		text = text_of(order, value, members[i].integer);
		wrong = text ? order_set(order, (enum order_member)i, text) : NULL;
		if (!text)
			snprintf(ret_error, cap, "\"%s\" must be %s: %s", name,
				members[i].integer ? "an integer" : "a string",
				members[i].sentence);
		else if (wrong)
			snprintf(ret_error, cap, "%s", wrong);
		if (!text || wrong)
			return false;
	}
	return true;
}

bool order_read(struct order *order, const char *path, char *ret_error, size_t cap)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	json_error_t error;
	json_t *object = NULL;
	size_t n = 0;
	int r = file_read(path, ORDER_FILE_MAX, &bytes, &n);

	if (r < 0) {
		snprintf(ret_error, cap, "the file cannot be read: %s", strerror(-r));
		return false;
	}
	object = json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(object)) {
		json_decref(object);
		snprintf(ret_error, cap, "the file is not one JSON object (line %d)",
			error.line > 0 ? error.line : 1);
		return false;
	}
	order->root = json_pack("{s:[],s:o}", "", "order", object);
	if (!order->root) {
		snprintf(ret_error, cap, "there is not enough memory");
		return false;
	}
	return read_members(order, object, ret_error, cap);
}

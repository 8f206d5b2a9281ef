#include "sensor-node/config.h"

#include "proto/base/text.h"
#include "proto/core/rules.h"
#include "proto/os/file.h"
#include "sensor-node/drivers/scpi.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#define E7_DIGITS     7
#define MICROS_DIGITS 6

enum value_type {
	VALUE_TEXT, /* char[max] */
	VALUE_INT, /* int64_t of min..max */
	VALUE_BOOL,
	VALUE_OTHER, /* config_option() takes the text */
	VALUE_AMOUNT, /* int64_t micros */
	VALUE_VERIFIERS,
	VALUE_WORDS,
	VALUE_CAMERA,
	VALUE_INSTRUMENTS,
	VALUE_ADDRESS,
};

struct value {
	const char *name;
	enum value_type type;
	size_t offset;
	int64_t min;
	int64_t max;
};

#define VALUE_OF(s, field, type, min, max) \
	{ \
#field, (type), offsetof(struct s, field), (min), (max) \
	}
#define TEXT_OF(s, field) \
	VALUE_OF(s, field, VALUE_TEXT, 1, (int64_t)sizeof(((struct s *)NULL)->field))

static const struct value camera_values[] = {
	TEXT_OF(config_camera, source),
	{ "price", VALUE_AMOUNT, offsetof(struct config_camera, price_micros), 0, 0 },
	VALUE_OF(config_camera, width, VALUE_INT, 1, CAMERA_DIM_MAX),
	VALUE_OF(config_camera, height, VALUE_INT, 1, CAMERA_DIM_MAX),
	VALUE_OF(config_camera, fps, VALUE_INT, 1, 240),
	VALUE_OF(config_camera, max_width, VALUE_INT, 1, CAMERA_DIM_MAX),
	VALUE_OF(config_camera, max_height, VALUE_INT, 1, CAMERA_DIM_MAX),
	TEXT_OF(config_camera, redactions),
	{ NULL, VALUE_TEXT, 0, 0, 0 },
};

static const struct value instrument_values[] = {
	{ "address", VALUE_ADDRESS, 0, 0, 0 },
	TEXT_OF(config_instrument, kind),
	TEXT_OF(config_instrument, quantity),
	TEXT_OF(config_instrument, unit),
	TEXT_OF(config_instrument, query),
	TEXT_OF(config_instrument, channel),
	TEXT_OF(config_instrument, calibration),
	VALUE_OF(config_instrument, timeout_ms, VALUE_INT, 1, SCPI_TIMEOUT_MAX),
	VALUE_OF(config_instrument, synthetic, VALUE_BOOL, 0, 0),
	{ "price", VALUE_AMOUNT, offsetof(struct config_instrument, price_micros), 0, 0 },
	{ NULL, VALUE_TEXT, 0, 0, 0 },
};

static const struct value values[] = {
	TEXT_OF(config, broker),
	TEXT_OF(config, escrow),
	{ "place", VALUE_OTHER, 0, 0, 0 },
	{ "accuracy_m", VALUE_INT, offsetof(struct config, place.radius_m), 0, 100000 },
	{ "price", VALUE_AMOUNT, offsetof(struct config, price_micros), 0, 0 },
	TEXT_OF(config, asset),
	{ "verifiers", VALUE_VERIFIERS, 0, 0, 0 },
	VALUE_OF(config, t_dispute_max_ms, VALUE_INT, 0, TIMEOUT_MAX_MS),
	{ "refused_words", VALUE_WORDS, 0, 0, 0 },
	VALUE_OF(config, persons_in_view, VALUE_BOOL, 0, 0),
	TEXT_OF(config, policy),
	VALUE_OF(config, captures, VALUE_INT, 1, NODE_CAPTURES_MAX),
	{ "camera", VALUE_CAMERA, 0, 0, 0 },
	{ "instruments", VALUE_INSTRUMENTS, 0, 0, 0 },
	{ NULL, VALUE_TEXT, 0, 0, 0 },
};

_printf_(2, 3) static int wrong(struct config_error *error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (vsnprintf(error->text, sizeof(error->text), format, ap) < 0)
		error->text[0] = '\0';
	va_end(ap);
	/* It may cite a file's own words. */
	for (char *c = error->text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	return -EINVAL;
}

int config_decimal(const char *text, unsigned int digits, int64_t *ret_value)
{
	bool negative = text[0] == '-';
	const char *c = text + (negative ? 1 : 0);
	const char *point = NULL;
	unsigned int after = 0;
	int64_t value = 0;

	if (*c < '0' || *c > '9')
		return -EINVAL;
	for (; *c; c++) {
		if (*c == '.' && !point) {
			point = c;
			continue;
		}
		if (*c < '0' || *c > '9' || (point && after == digits))
			return -EINVAL;
		after += point ? 1 : 0;
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, *c - '0', &value))
			return -ERANGE;
	}
	if (point && after == 0)
		return -EINVAL;
	for (; after < digits; after++)
		if (__builtin_mul_overflow(value, 10, &value))
			return -ERANGE;
	*ret_value = negative ? -value : value;
	return 0;
}

static int take_text(
	char *out, size_t cap, const char *name, struct span text, struct config_error *error)
{
	if (text.n == 0 || text.n >= cap)
		return wrong(error, "\"%s\" must have 1 to %zu bytes.", name, cap - 1);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < 0x20 || text.p[i] == 0x7f)
			return wrong(error, "\"%s\" holds a control character: take it out.", name);
	memcpy(out, text.p, text.n);
	out[text.n] = '\0';
	return 0;
}

static int take_amount(int64_t *out, const char *name, const char *text, struct config_error *error)
{
	int64_t micros;

	if (config_decimal(text, MICROS_DIGITS, &micros) < 0 || micros < 1 || micros > MICROS_MAX)
		return wrong(error,
			"\"%s\" is not a price (%.32s): write an amount over 0 such as 0.05, with at most 6 "
			"digits after the point.",
			name, text);
	*out = micros;
	return 0;
}

static int take_place(struct place *out, const char *text, struct config_error *error)
{
	const char *comma = strchr(text, ',');
	char lat_text[32] = "";
	int64_t lat = 0;
	int64_t lon = 0;

	if (comma && (size_t)(comma - text) < sizeof(lat_text))
		memcpy(lat_text, text, (size_t)(comma - text));
	if (!comma || config_decimal(lat_text, E7_DIGITS, &lat) < 0 ||
		config_decimal(comma + 1, E7_DIGITS, &lon) < 0)
		return wrong(error,
			"\"%.40s\" is not a place: write LAT,LON in degrees, such as 47.3769,8.5417, with at "
			"most 7 digits after the point.",
			text);
	if (lat < -900000000 || lat > 900000000 || lon < -1800000000 || lon > 1800000000)
		return wrong(error,
			"%.40s is not on Earth: a latitude is -90 to 90, a longitude -180 to 180.",
			text);
	out->present = true;
	out->lat_e7 = lat;
	out->lon_e7 = lon;
	return 0;
}

static int take_verifier(struct config *config, const char *text, struct config_error *error)
{
	struct did did;

	if (did_parse(SPAN_STR(text), &did) < 0)
		return wrong(
			error, "\"%.64s\" is not an identity: a verifier is did:key:z6Mk...", text);
	for (size_t i = 0; i < config->n_verifiers; i++)
		if (did_eq(&config->verifiers[i], &did))
			return 0;
	if (config->n_verifiers == POOL_MAX)
		return wrong(error, "At most %d verifiers can be accepted.", POOL_MAX);
	config->verifiers[config->n_verifiers++] = did;
	return 0;
}

/* HOST, HOST:PORT or [ADDRESS]:PORT. */
static int take_address(struct config_instrument *out, const char *text, struct config_error *error)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : strrchr(text, ':');
	const char *host = text[0] == '[' ? text + 1 : text;
	const char *port = end && *end == ']' ? end + 1 : end;
	int64_t number = SCPI_PORT;

	if (text[0] == '[' && !end)
		return wrong(error, "\"%.64s\" lacks the closing bracket.", text);
	if (!end)
		end = text + strlen(text);
	if (end == host || (size_t)(end - host) >= sizeof(out->host) ||
		(text[0] != '[' && memchr(host, ':', (size_t)(end - host))) ||
		(port && *port &&
			(*port != ':' || config_decimal(port + 1, 0, &number) < 0 || number < 1 ||
				number > UINT16_MAX)))
		return wrong(error,
			"\"%.64s\" is not an instrument's address: write HOST:PORT, or [IPV6]:PORT.",
			text);
	memcpy(out->host, host, (size_t)(end - host));
	out->host[end - host] = '\0';
	out->port = (uint16_t)number;
	return 0;
}

static void instrument_defaults(struct config_instrument *instrument)
{
	*instrument = (struct config_instrument){
		.kind = KIND_VOLTAGE_DC,
		.quantity = "voltage-dc",
		.unit = "V",
		.query = "MEAS:VOLT:DC?",
	};
}

static int next_instrument(
	struct config *config, struct config_instrument **ret, struct config_error *error)
{
	if (config->n_instruments == CONFIG_INSTRUMENTS_MAX)
		return wrong(error, "At most %d instruments fit one node: run a second node.",
			CONFIG_INSTRUMENTS_MAX);
	*ret = &config->instruments[config->n_instruments];
	instrument_defaults(*ret);
	return 0;
}

static int take_instrument(struct config *config, const char *text, struct config_error *error)
{
	struct config_instrument *instrument = NULL;
	int r = next_instrument(config, &instrument, error);

	if (r == 0)
		r = take_address(instrument, text, error);
	if (r == 0)
		config->n_instruments++;
	return r;
}

static int take_captures(struct config *config, const char *text, struct config_error *error)
{
	int64_t captures;

	if (config_decimal(text, 0, &captures) < 0 || captures < 1 || captures > NODE_CAPTURES_MAX)
		return wrong(error, "--captures must be a whole number from 1 to %d.",
			NODE_CAPTURES_MAX);
	config->captures = captures;
	return 0;
}

int config_option(
	struct config *config, const char *name, const char *value, struct config_error *ret_error)
{
	struct span text = SPAN_STR(value);

	if (strcmp(name, "camera") == 0)
		return take_text(config->camera.source, sizeof(config->camera.source), name, text,
			ret_error);
	if (strcmp(name, "instrument") == 0)
		return take_instrument(config, value, ret_error);
	if (strcmp(name, "place") == 0)
		return take_place(&config->place, value, ret_error);
	if (strcmp(name, "price") == 0)
		return take_amount(&config->price_micros, name, value, ret_error);
	if (strcmp(name, "verifier") == 0)
		return take_verifier(config, value, ret_error);
	if (strcmp(name, "asset") == 0)
		return take_text(config->asset, sizeof(config->asset), name, text, ret_error);
	if (strcmp(name, "broker") == 0)
		return take_text(config->broker, sizeof(config->broker), name, text, ret_error);
	if (strcmp(name, "escrow") == 0)
		return take_text(config->escrow, sizeof(config->escrow), name, text, ret_error);
	if (strcmp(name, "captures") == 0)
		return take_captures(config, value, ret_error);
	return wrong(ret_error, "There is no option \"%s\".", name);
}

static int take_object(struct config *config, void *object, const struct value *known,
	const char *where, json_t *json, struct config_error *error);

static int take_list(
	struct config *config, const struct value *value, json_t *json, struct config_error *error)
{
	bool words = value->type == VALUE_WORDS;
	size_t i;
	json_t *item;
	int r = 0;

	if (!json_is_array(json))
		return wrong(error, "\"%s\" must be a list, in [ ].", value->name);
	json_array_foreach(json, i, item)
	{
		if (!json_is_string(item))
			return wrong(error, "\"%s\" must be a list of texts.", value->name);
		if (words && config->n_refused_words == NODE_WORDS_MAX)
			return wrong(error, "At most %d refused words are kept.", NODE_WORDS_MAX);
		if (words)
			r = take_text(config->refused_words[config->n_refused_words],
				CONFIG_WORD_MAX, value->name, SPAN_STR(json_string_value(item)),
				error);
		else
			r = take_verifier(config, json_string_value(item), error);
		if (r < 0)
			return r;
		config->n_refused_words += words ? 1 : 0;
	}
	return 0;
}

static int take_instruments(struct config *config, json_t *json, struct config_error *error)
{
	struct config_instrument *instrument = NULL;
	size_t i;
	json_t *item;

	if (!json_is_array(json))
		return wrong(error, "\"instruments\" must be a list, in [ ].");
	json_array_foreach(json, i, item)
	{
		int r = next_instrument(config, &instrument, error);

		if (r == 0)
			r = take_object(config, instrument, instrument_values, "an instrument",
				item, error);
		if (r < 0)
			return r;
		if (instrument->host[0] == '\0')
			return wrong(error, "An instrument needs its \"address\": \"HOST:PORT\".");
		config->n_instruments++;
	}
	return 0;
}

static int take_int(void *at, const struct value *value, json_t *json, struct config_error *error)
{
	json_int_t n = json_integer_value(json);

	if (!json_is_integer(json) || n < value->min || n > value->max)
		return wrong(error, "\"%s\" must be a whole number from %lld to %lld.", value->name,
			(long long)value->min, (long long)value->max);
	memcpy(at, &(int64_t){ n }, sizeof(int64_t));
	return 0;
}

static int take_value(struct config *config, void *object, const struct value *value, json_t *json,
	struct config_error *error)
{
	void *at = (uint8_t *)object + value->offset;
	const char *text = json_string_value(json);

	switch (value->type) {
	case VALUE_INT:
		return take_int(at, value, json, error);
	case VALUE_BOOL:
		if (!json_is_boolean(json))
			return wrong(error, "\"%s\" must be true or false.", value->name);
		*(bool *)at = json_is_true(json);
		return 0;
	case VALUE_VERIFIERS:
	case VALUE_WORDS:
		return take_list(config, value, json, error);
	case VALUE_CAMERA:
		return take_object(
			config, &config->camera, camera_values, "\"camera\"", json, error);
	case VALUE_INSTRUMENTS:
		return take_instruments(config, json, error);
	case VALUE_TEXT:
	case VALUE_OTHER:
	case VALUE_AMOUNT:
	case VALUE_ADDRESS:
		break;
	}
	if (!text)
		return wrong(error, "\"%s\" must be a text, in double quotes.", value->name);
	if (value->type == VALUE_ADDRESS)
		return take_address(object, text, error);
	if (value->type == VALUE_AMOUNT)
		return take_amount(at, value->name, text, error);
	if (value->type == VALUE_OTHER)
		return config_option(config, value->name, text, error);
	return take_text(at, (size_t)value->max, value->name, SPAN_STR(text), error);
}

/* At most two levels deep: the tables have no others. */
static int take_object(struct config *config, void *object, const struct value *known,
	const char *where, json_t *json, struct config_error *error)
{
	const char *key;
	json_t *item;

	if (!json_is_object(json))
		return wrong(error, "%s must be an object, in { }.", where);
	json_object_foreach(json, key, item)
	{
		const struct value *value = known;

		while (value->name && strcmp(value->name, key) != 0)
			value++;
		if (!value->name)
			return wrong(error,
				"\"%.64s\" is not a key of %s: see assay-node(1) for those that are.",
				key, where);

		int r = take_value(config, object, value, item, error);

		if (r < 0)
			return r;
	}
	return 0;
}

void config_init(struct config *config)
{
	memset(config, 0, sizeof(*config));
	memcpy(config->asset, CONFIG_ASSET, sizeof(CONFIG_ASSET));
	config->t_dispute_max_ms = CONFIG_T_DISPUTE_MS;
	config->captures = CONFIG_CAPTURES;
}

int config_parse(struct span json, struct config *config, struct config_error *ret_error)
{
	json_error_t where;
	json_t *root = json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, &where);

	if (!root)
		return wrong(ret_error, "Line %d is not JSON: %s.", where.line, where.text);

	int r = take_object(config, config, values, "the configuration", root, ret_error);

	json_decref(root);
	return r;
}

int config_read(const char *path, struct config *config, struct config_error *ret_error)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t n = 0;
	int r = file_read(path, CONFIG_FILE_MAX, &bytes, &n);

	if (r < 0) {
		wrong(ret_error, "%.150s cannot be read: %s.", path, strerror(-r));
		return r;
	}
	return config_parse(SPAN(bytes, n), config, ret_error);
}

int config_check(const struct config *config, struct config_error *ret_error)
{
	const struct config_camera *camera = &config->camera;

	if (config->broker[0] == '\0' || config->escrow[0] == '\0')
		return wrong(ret_error,
			"Say whom to work for: --broker FILE and --escrow FILE, the "
			"contact.json of each.");
	if (!config->place.present)
		return wrong(ret_error,
			"Say where the devices are: --place LAT,LON. Only the cell of "
			"0.01 degrees is published.");
	if (config->n_verifiers == 0)
		return wrong(
			ret_error, "Name a verifier whose verdicts you accept: --verifier DID.");
	if (camera->source[0] == '\0' && config->n_instruments == 0)
		return wrong(ret_error, "Name a device: --camera SRC or --instrument HOST:PORT.");
	if (camera->source[0] && camera->price_micros == 0 && config->price_micros == 0)
		return wrong(
			ret_error, "Say what a photograph costs: --price AMOUNT, such as 0.05.");
	if ((camera->width == 0) != (camera->height == 0))
		return wrong(ret_error, "Give the camera's width and height together.");
	for (size_t i = 0; i < config->n_instruments; i++) {
		const struct config_instrument *a = &config->instruments[i];

		if (a->price_micros == 0 && config->price_micros == 0)
			return wrong(ret_error, "Say what a measurement costs: --price AMOUNT.");
		if (camera->source[0] && strcmp(a->kind, KIND_CAMERA_STILL) == 0)
			return wrong(ret_error,
				"An instrument cannot be of kind " KIND_CAMERA_STILL ".");
		for (size_t j = 0; j < i; j++)
			if (strcmp(a->kind, config->instruments[j].kind) == 0)
				return wrong(ret_error,
					"Two instruments are of kind %s: run a second node.",
					a->kind);
	}
	return 0;
}

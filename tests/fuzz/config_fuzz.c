#include "tests/fuzz/fuzz.h"

#include "sensor-node/config.h"

#define ENDS(text) FUZZ_PROMISE(strnlen((text), sizeof(text)) < sizeof(text))

static void promise_sentence(int r, const struct config_error *error)
{
	FUZZ_PROMISE(r == 0 || r == -EINVAL || r == -ENOMEM);
	ENDS(error->text);
	FUZZ_PROMISE((r < 0) == (error->text[0] != '\0'));
	for (const char *c = error->text; *c; c++)
		FUZZ_PROMISE(*c >= 0x20 && *c <= 0x7e);
}

static void promise_bounds(const struct config *c)
{
	ENDS(c->broker);
	ENDS(c->escrow);
	ENDS(c->asset);
	ENDS(c->policy);
	ENDS(c->camera.source);
	ENDS(c->camera.redactions);
	FUZZ_PROMISE(c->price_micros >= 0 && c->price_micros <= MICROS_MAX);
	FUZZ_PROMISE(c->camera.price_micros >= 0 && c->camera.price_micros <= MICROS_MAX);
	FUZZ_PROMISE(c->place.lat_e7 >= -900000000 && c->place.lat_e7 <= 900000000);
	FUZZ_PROMISE(c->place.lon_e7 >= -1800000000 && c->place.lon_e7 <= 1800000000);
	FUZZ_PROMISE(c->n_verifiers <= POOL_MAX);
	FUZZ_PROMISE(c->t_dispute_max_ms >= 0 && c->t_dispute_max_ms <= TIMEOUT_MAX_MS);
	FUZZ_PROMISE(c->captures >= 1);
	FUZZ_PROMISE(c->n_refused_words <= NODE_WORDS_MAX);
	for (size_t i = 0; i < c->n_refused_words; i++)
		ENDS(c->refused_words[i]);
	FUZZ_PROMISE(c->n_instruments <= CONFIG_INSTRUMENTS_MAX);
	for (size_t i = 0; i < c->n_instruments; i++) {
		const struct config_instrument *in = &c->instruments[i];

		ENDS(in->host);
		ENDS(in->kind);
		ENDS(in->quantity);
		ENDS(in->unit);
		ENDS(in->query);
		ENDS(in->channel);
		ENDS(in->calibration);
		FUZZ_PROMISE(in->price_micros >= 0 && in->price_micros <= MICROS_MAX);
	}
}

/* As the file's content, and, up to a first NUL, as what each option says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const options[] = { "camera", "instrument", "place", "price", "verifier",
		"asset", "broker", "escrow", "captures" };
	static struct config config;
	struct config_error error = { "" };
	char text[600] = "";

	if (n > CONFIG_FILE_MAX)
		return 0;
	config_init(&config);

	int r = config_parse(SPAN(data, n), &config, &error);

	promise_sentence(r, &error);
	promise_bounds(&config);
	if (r == 0) {
		error = (struct config_error){ "" };
		promise_sentence(config_check(&config, &error), &error);
	}
	if (n >= sizeof(text))
		return 0;
	memcpy(text, data, n);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		config_init(&config);
		error = (struct config_error){ "" };
		promise_sentence(config_option(&config, options[i], text, &error), &error);
		promise_bounds(&config);
	}
	return 0;
}

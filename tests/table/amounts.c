/* Money and decimal text: nothing wraps, nothing is a float. */
#include "buyer-sdk/cli/cli.h"
#include "proto/base/money.h"
#include "proto/core/rules.h"
#include "sensor-node/config.h"
#include "tests/table/table.h"

/* A word that stands for no text. */
static const char *text_of(const char *word)
{
	return strcmp(word, "empty") == 0 ? "" : word;
}

static void result(int r, int64_t value, struct buf *out)
{
	if (r == 0)
		buf_printf(out, "%lld", (long long)value);
	else
		buf_str(out, r == -ERANGE ? "out of range" : r == -EINVAL ? "not a number" : "?");
}

/* slot PRICE FEE_PPM VERIFIER_PPM PANEL: fee, each verifier's, total. */
static bool slot_then(const int64_t v[static 4], struct buf *out)
{
	struct request request = { .fee_ppm = v[1], .verifier_ppm = v[2], .panel_n = v[3] };
	struct rules_money money;
	enum refusal refusal = rules_money(&request, v[0], &money);

	if (refusal != REFUSED_NOT) {
		buf_str(out, refusal_name(refusal));
		return true;
	}
	buf_printf(out, "%lld %lld %lld", (long long)money.fee_micros,
		(long long)money.verifier_each_micros, (long long)money.total_micros);
	return money.price_micros == v[0] &&
	       money.verifiers_micros == money.verifier_each_micros * v[3];
}

static bool money_then(char *const *words, size_t n, struct buf *out)
{
	struct money got = { -1 };
	int64_t v[4] = { 0 };
	char text[32];
	int r;

	if (n < 2 || n > 5)
		return false;
	for (size_t i = 1; i < n; i++)
		if (!table_int(words[i], &v[i - 1]))
			return false;

	struct money a = { v[0] }, b = { v[1] };

	if (strcmp(words[0], "slot") == 0 && n == 5)
		return slot_then(v, out);
	if (strcmp(words[0], "print") == 0 && n == 2) {
		buf_str(out, cli_money(v[0], text));
		return true;
	}
	if (n != 3)
		return false;
	if (strcmp(words[0], "add") == 0)
		r = money_add(a, b, &got);
	else if (strcmp(words[0], "sub") == 0)
		r = money_sub(a, b, &got);
	else if (strcmp(words[0], "share") == 0 && v[1] >= 0 && v[1] <= UINT32_MAX)
		r = money_share(a, (uint32_t)v[1], &got);
	else if (strcmp(words[0], "split") == 0 && v[1] >= 0 && v[1] <= UINT32_MAX)
		r = money_split(a, (uint32_t)v[1], &got);
	else
		return false;
	result(r, got.micros, out);
	/* Untouched on failure. */
	return r == 0 || got.micros == -1;
}

/* PARSER TEXT DIGITS, where the parser is the command line's or the node's. */
static bool decimals_then(char *const *words, size_t n, struct buf *out)
{
	int64_t digits, value = -77;
	int r;

	if (n != 3 || !table_int(words[2], &digits) || digits < 0 || digits > 18)
		return false;
	if (strcmp(words[0], "assay") == 0)
		r = cli_decimal(text_of(words[1]), (unsigned int)digits, &value);
	else if (strcmp(words[0], "node") == 0)
		r = config_decimal(text_of(words[1]), (unsigned int)digits, &value);
	else
		return false;
	result(r, value, out);
	return r == 0 || value == -77;
}

/* OPTION TEXT: what a node's --price or --place come to. */
static bool options_then(char *const *words, size_t n, struct buf *out)
{
	static struct config config;
	struct config_error error = { "" };

	if (n != 2)
		return false;
	config_init(&config);
	if (config_option(&config, words[0], text_of(words[1]), &error) < 0)
		buf_str(out, error.text[0] ? "refused" : "?");
	else if (strcmp(words[0], "price") == 0)
		buf_printf(out, "%lld", (long long)config.price_micros);
	else if (strcmp(words[0], "place") == 0 && config.place.present)
		buf_printf(out, "%lld %lld", (long long)config.place.lat_e7,
			(long long)config.place.lon_e7);
	else
		return false;
	return true;
}

const struct table amounts_tables[] = {
	{ "money", money_then, NULL },
	{ "decimals", decimals_then, NULL },
	{ "options", options_then, NULL },
};
const size_t amounts_n_tables = ARRAY_SIZE(amounts_tables);

/* assay node list: who offers what, where, for what price. */
#include "buyer-sdk/cli/print.h"
#include "buyer-sdk/src/handle.h"
#include "proto/base/text.h"

static const char *sources_text(int64_t sources, char out[static 32])
{
	snprintf(out, 32, "%s%s%s", sources & SOURCE_LIVE ? "live " : "",
		sources & SOURCE_REPLAY ? "replay " : "",
		sources & SOURCE_SYNTHETIC ? "synthetic " : "");
	out[strlen(out) ? strlen(out) - 1 : 0] = '\0';
	return out;
}

static json_t *sources_json(int64_t sources)
{
	json_t *list = json_array();

	if (sources & SOURCE_LIVE)
		json_array_append_new(list, json_string("live"));
	if (sources & SOURCE_REPLAY)
		json_array_append_new(list, json_string("replay"));
	if (sources & SOURCE_SYNTHETIC)
		json_array_append_new(list, json_string("synthetic"));
	return list;
}

static int print_json(const struct buyer_nodes *nodes)
{
	char did[DID_TEXT_MAX], id[ID_TEXT_MAX];
	json_t *list = json_array();

	for (size_t i = 0; i < nodes->n_offerings; i++) {
		const struct buyer_offering *o = &nodes->offerings[i];

		json_array_append_new(list,
			json_pack("{s:s,s:s,s:s,s:I,s:s,s:{s:I,s:I,s:I},s:o,s:b}", "node",
				did_text(&o->node, did), "offering", id_text(&o->id, id), "kind",
				o->kind, "price_micros", (json_int_t)o->price_micros, "asset",
				o->asset, "cell", "lat_e7", (json_int_t)o->cell.lat_e7, "lon_e7",
				(json_int_t)o->cell.lon_e7, "radius_m",
				(json_int_t)o->cell.radius_m, "sources", sources_json(o->sources),
				"connected", o->connected));
	}
	return cli_print_json(json_pack("{s:o}", "offerings", list));
}

static void print_table(const struct buyer_nodes *nodes)
{
	char kind[PRINT_TEXT_MAX], asset[PRINT_TEXT_MAX], did[DID_TEXT_MAX];
	char lat[PRINT_DECIMAL_MAX], lon[PRINT_DECIMAL_MAX], money[32], sources[32];

	for (size_t i = 0; i < nodes->n_offerings; i++) {
		const struct buyer_offering *o = &nodes->offerings[i];

		printf("%-16s %10s %-5s near %s,%s (%lld m)  %s  %s  %s\n",
			print_safe(o->kind, kind), cli_money(o->price_micros, money),
			print_safe(o->asset, asset), print_degrees(o->cell.lat_e7, lat),
			print_degrees(o->cell.lon_e7, lon), (long long)o->cell.radius_m,
			sources_text(o->sources, sources), o->connected ? "connected" : "away",
			did_text(&o->node, did));
	}
}

static int run_list(int argc, char **argv)
{
	struct buyer_result result = { 0 };
	assay_t *assay = NULL;
	struct cli cli;
	int option;
	int code;

	cli_begin(&cli, &node_list_command);
	while ((option = cli_option(&cli, argc, argv, NULL)) != -1)
		return option == CLI_HELPED ? EXIT_DONE : EXIT_USAGE;
	if (optind < argc)
		return cli_usage(&cli, "unexpected: ", argv[optind]);
	code = cli_open(&cli, &assay);
	if (code == EXIT_DONE) {
		assay_status_t status = wallet_ask(assay, BUYER_CALL_NODES, 0, &result);

		if (status != ASSAY_OK)
			code = cli_fail(&cli, status, assay_error(assay));
		else if (cli.json)
			code = print_json(result.nodes);
		else
			print_table(result.nodes);
		buyer_result_deinit(&result);
	}
	assay_close(assay);
	return code;
}

const struct command node_list_command = {
	.name = "node list",
	.summary = "what the market's nodes offer: kind, price, coarse place",
	.usage = "",
	.example = "assay node list",
	.run = run_list,
};

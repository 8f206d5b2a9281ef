/* assay buy photo|measure: post, wait, keep what came. */
#include "buyer-sdk/cli/follow.h"
#include "buyer-sdk/cli/order.h"
#include "buyer-sdk/cli/report.h"
#include "buyer-sdk/src/handle.h"
#include "proto/core/rules.h"
#include "proto/os/clock.h"

enum { OPTION_LIVE = ORDER_MEMBERS + 1, OPTION_OUT, OPTION_BUNDLE, OPTION_NO_WAIT };

#define MEMBER(name, member) \
	{ \
		name, required_argument, NULL, 1 + (member) \
	}
#define COMMON_OPTIONS \
	MEMBER("at", ORDER_AT), MEMBER("radius", ORDER_RADIUS), MEMBER("max", ORDER_MAX), \
		MEMBER("asset", ORDER_ASSET), MEMBER("fresh", ORDER_FRESH), \
		MEMBER("sources", ORDER_SOURCES), MEMBER("purpose", ORDER_PURPOSE), \
		MEMBER("timeout", ORDER_TIMEOUT), MEMBER("attempts", ORDER_ATTEMPTS), \
		MEMBER("kind", ORDER_KIND), { "live-only", no_argument, NULL, OPTION_LIVE }, \
		{ "out", required_argument, NULL, OPTION_OUT }, \
		{ "bundle", required_argument, NULL, OPTION_BUNDLE }, \
	{ \
		"no-wait", no_argument, NULL, OPTION_NO_WAIT \
	}

#define COMMON_HELP \
	"  --at LAT,LON     where, in degrees\n" \
	"  --radius M       how far around it, in metres (1000)\n" \
	"  --max PRICE      the highest price, such as 0.20\n" \
	"  --asset CODE     its currency (the market's)\n" \
	"  --fresh SECONDS  how old it may be; 0: only after the node was asked (0)\n" \
	"  --live-only      no replays and no synthetic sources\n" \
	"  --sources LIST   out of live,replay,synthetic (all)\n" \
	"  --purpose TEXT   what it is for, for the node's operator\n" \
	"  --timeout S      seconds for each of commit, deliver and verify (30)\n" \
	"  --attempts N     nodes to try (2)\n" \
	"  --kind KIND      another kind of offering, see 'assay node list'\n"
#define OUTPUT_HELP \
	"  --out FILE       write the payload there\n" \
	"  --bundle FILE    write the bundle there, for 'assay verify'\n" \
	"  --no-wait        print the request's id and leave\n"

struct buy {
	struct order order;
	const char *out;
	const char *bundle;
	bool no_wait;
};

/* -1 to go on, or an exit code. */
static int take_option(struct cli *cli, struct buy *b, int option)
{
	const char *wrong;

	switch (option) {
	case OPTION_LIVE:
		b->order.buy.sources = ASSAY_SOURCE_LIVE;
		return -1;
	case OPTION_OUT:
		b->out = optarg;
		return -1;
	case OPTION_BUNDLE:
		b->bundle = optarg;
		return -1;
	case OPTION_NO_WAIT:
		b->no_wait = true;
		return -1;
	default:
		break;
	}
	wrong = order_set(&b->order, (enum order_member)(option - 1), optarg);
	return wrong ? cli_usage(cli, "--", wrong) : -1;
}

static int read_options(
	struct cli *cli, struct buy *b, int argc, char **argv, const struct option *own)
{
	const char *wrong;
	int option;

	while ((option = cli_option(cli, argc, argv, own)) != -1) {
		if (option == CLI_HELPED)
			return EXIT_DONE;
		if (option == '?')
			return EXIT_USAGE;

		int r = take_option(cli, b, option);

		if (r >= 0)
			return r;
	}
	if (optind < argc)
		return cli_usage(cli, "unexpected: ", argv[optind]);
	if (b->no_wait && (b->out || b->bundle))
		return cli_usage(cli, "--no-wait leaves before there is anything to write: ",
			"take 'assay request show ID --wait --out FILE' later");
	wrong = order_finish(&b->order);
	return wrong ? cli_usage(cli, "--", wrong) : -1;
}

static int tell(const struct cli *cli, const struct buy *b, assay_t *assay, assay_status_t status,
	const assay_result_t *result, int64_t elapsed_ms)
{
	const uint8_t *bytes;
	size_t n;
	int code = report_save(cli, result, b->out, b->bundle);
	bool paid = assay_result_bundle(result, &bytes, &n) == ASSAY_OK;
	struct report report = {
		.result = result,
		.status = status,
		.sentence = assay_error(assay),
		.currency = b->order.buy.asset ? b->order.buy.asset : assay->market.asset,
		.elapsed_ms = elapsed_ms,
		.payload = paid ? b->out : NULL,
		.bundle = paid ? b->bundle : NULL,
	};

	if (code != EXIT_DONE)
		return code;
	if (cli->json) {
		code = cli_print_json(report_json(&report));
		return code == EXIT_DONE ? cli_exit_code(status) : code;
	}
	report_print(cli, &report);
	if (status != ASSAY_OK)
		return cli_fail(cli, status, assay_error(assay));
	if (!b->out && !b->bundle)
		fprintf(stderr, "Keep it: assay request show %s --out FILE --bundle FILE.assay\n",
			assay_result_request(result));
	return EXIT_DONE;
}

static int buy_it(const struct cli *cli, const struct buy *b, assay_t *assay)
{
	char id[ASSAY_ID_SIZE];
	assay_result_t *result = NULL;
	int64_t began_ns = clock_mono_ns();
	assay_status_t status = assay_post(assay, &b->order.buy, id);
	int code;

	if (status != ASSAY_OK)
		return cli_fail(cli, status, assay_error(assay));
	if (b->no_wait) {
		if (cli->json)
			return cli_print_json(json_pack("{s:s}", "request_id", id));
		printf("%s\n", id);
		return EXIT_DONE;
	}
	if (cli->progress)
		fprintf(stderr, "request %s\n", id);
	status = follow_request(cli, assay, id, &result);
	code = result ? tell(cli, b, assay, status, result,
				(clock_mono_ns() - began_ns) / NS_PER_MS)
		      : cli_fail(cli, status, assay_error(assay));
	assay_result_free(result);
	return code;
}

static int run(struct cli *cli, struct buy *b, int argc, char **argv, const struct option *own)
{
	assay_t *assay = NULL;
	int code = read_options(cli, b, argc, argv, own);

	if (code < 0)
		code = cli_open(cli, &assay);
	else
		return code;
	if (code == EXIT_DONE)
		code = buy_it(cli, b, assay);
	assay_close(assay);
	return code;
}

static int run_photo(int argc, char **argv)
{
	static const struct option own[] = { COMMON_OPTIONS, MEMBER("width", ORDER_WIDTH),
		MEMBER("height", ORDER_HEIGHT), { 0 } };
	struct buy b = { 0 };
	struct cli cli;

	cli_begin(&cli, &buy_photo_command);
	order_init(&b.order);
	b.order.buy.kind = KIND_CAMERA_STILL;
	return run(&cli, &b, argc, argv, own);
}

static int run_measure(int argc, char **argv)
{
	static const struct option own[] = { COMMON_OPTIONS, MEMBER("unit", ORDER_UNIT),
		MEMBER("low", ORDER_LOW), MEMBER("high", ORDER_HIGH), { 0 } };
	struct buy b = { 0 };
	struct cli cli;

	cli_begin(&cli, &buy_measure_command);
	order_init(&b.order);
	b.order.buy.kind = KIND_VOLTAGE_DC;
	b.order.buy.unit = "V";
	return run(&cli, &b, argc, argv, own);
}

const struct command buy_photo_command = {
	.name = "buy photo",
	.summary = "buy a photograph of a place",
	.usage = COMMON_HELP "  --width PX       least width in pixels\n"
			     "  --height PX      least height in pixels\n" OUTPUT_HELP,
	.example = "assay buy photo --at 47.3769,8.5417 --radius 500 --max 0.20 --out lake.jpg",
	.run = run_photo,
};

const struct command buy_measure_command = {
	.name = "buy measure",
	.summary = "buy a measurement at a place",
	.usage = COMMON_HELP "  --unit UCUM      the unit it must have (V)\n"
			     "  --low VALUE      the lower end of the plausible range\n"
			     "  --high VALUE     its upper end\n" OUTPUT_HELP,
	.example =
		"assay buy measure --at 47.3769,8.5417 --max 0.20 --low 0 --high 5 --bundle volt.assay",
	.run = run_measure,
};

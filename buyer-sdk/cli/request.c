/* assay request post|show|list|cancel. */
#include "buyer-sdk/cli/follow.h"
#include "buyer-sdk/cli/order.h"
#include "buyer-sdk/cli/print.h"
#include "buyer-sdk/cli/report.h"
#include "buyer-sdk/src/handle.h"

#define LIST_PAGES_MAX    64
#define BUNDLE_TIMEOUT_MS 30000 /* for the bundle of a request that is settled */

/* The one argument of a command, or an exit code. */
static int one_argument(struct cli *cli, int argc, char **argv, const char *what, const char **ret)
{
	if (argc - optind != 1)
		return cli_usage(cli, "name one ", what);
	*ret = argv[optind];
	return -1;
}

static int run_post(int argc, char **argv)
{
	char error[PRINT_TEXT_MAX];
	char id[ASSAY_ID_SIZE];
	struct order order;
	assay_t *assay = NULL;
	const char *path = NULL;
	const char *wrong;
	struct cli cli;
	int option;
	int code;

	cli_begin(&cli, &request_post_command);
	while ((option = cli_option(&cli, argc, argv, NULL)) != -1)
		return option == CLI_HELPED ? EXIT_DONE : EXIT_USAGE;
	code = one_argument(&cli, argc, argv, "FILE.json", &path);
	if (code >= 0)
		return code;
	order_init(&order);
	wrong = order_read(&order, path, error, sizeof(error)) ? order_finish(&order) : error;
	if (wrong) {
		code = cli_usage(&cli, "", wrong);
		order_deinit(&order);
		return code;
	}
	code = cli_open(&cli, &assay);
	if (code == EXIT_DONE) {
		assay_status_t status = assay_post(assay, &order.buy, id);

		if (status != ASSAY_OK)
			code = cli_fail(&cli, status, assay_error(assay));
		else if (cli.json)
			code = cli_print_json(json_pack("{s:s}", "request_id", id));
		else
			printf("%s\n", id);
	}
	assay_close(assay);
	order_deinit(&order);
	return code;
}

struct show {
	const char *id;
	const char *out;
	const char *bundle;
	bool wait;
};

/* Whether more will come than what the first answer said. */
static bool goes_on(const assay_result_t *result)
{
	const uint8_t *bytes;
	size_t n;
	const char *state = assay_result_state(result);

	return strcmp(state, "REFUNDED") != 0 && strcmp(state, "LAPSED") != 0 &&
	       assay_result_bundle(result, &bytes, &n) != ASSAY_OK;
}

static assay_status_t look(
	const struct cli *cli, const struct show *s, assay_t *assay, assay_result_t **ret_result)
{
	assay_status_t status = assay_query(assay, s->id, ret_result);
	assay_result_t *later = NULL;

	if (status != ASSAY_OK || !goes_on(*ret_result))
		return status;
	if (s->wait)
		status = follow_request(cli, assay, s->id, &later);
	else if (strcmp(assay_result_state(*ret_result), "SETTLED") == 0)
		status = assay_wait(assay, s->id, BUNDLE_TIMEOUT_MS, &later);
	if (later) {
		assay_result_free(*ret_result);
		*ret_result = later;
	}
	return status;
}

static int show(const struct cli *cli, const struct show *s, assay_t *assay)
{
	assay_result_t *result = NULL;
	assay_status_t status = look(cli, s, assay, &result);
	const uint8_t *bytes;
	size_t n;
	int code;

	/* That it was refunded or not funded is an answer, unless the caller waited for the outcome. */
	bool answered = result && (status == ASSAY_OK || status == ASSAY_REFUNDED ||
					  strcmp(assay_result_state(result), "LAPSED") == 0);

	if (!answered) {
		code = cli_fail(cli, status, assay_error(assay));
		assay_result_free(result);
		return code;
	}
	code = report_save(cli, result, s->out, s->bundle);

	bool paid = assay_result_bundle(result, &bytes, &n) == ASSAY_OK;
	struct report report = {
		.result = result,
		.status = s->wait ? status : ASSAY_OK,
		.sentence = assay_error(assay),
		.currency = assay->market.asset,
		.elapsed_ms = -1,
		.payload = paid ? s->out : NULL,
		.bundle = paid ? s->bundle : NULL,
	};

	if (code == EXIT_DONE && cli->json)
		code = cli_print_json(report_json(&report));
	else if (code == EXIT_DONE)
		report_print(cli, &report);
	assay_result_free(result);
	return code == EXIT_DONE && s->wait ? cli_exit_code(status) : code;
}

static int run_show(int argc, char **argv)
{
	static const struct option own[] = { { "wait", no_argument, NULL, 'w' },
		{ "out", required_argument, NULL, 'o' }, { "bundle", required_argument, NULL, 'b' },
		{ 0 } };
	struct show s = { 0 };
	assay_t *assay = NULL;
	struct cli cli;
	int option;
	int code;

	cli_begin(&cli, &request_show_command);
	while ((option = cli_option(&cli, argc, argv, own)) != -1) {
		if (option == CLI_HELPED)
			return EXIT_DONE;
		if (option == '?')
			return EXIT_USAGE;
		if (option == 'w')
			s.wait = true;
		else if (option == 'o')
			s.out = optarg;
		else
			s.bundle = optarg;
	}
	code = one_argument(&cli, argc, argv, "request's ID", &s.id);
	if (code >= 0)
		return code;
	code = cli_open(&cli, &assay);
	if (code == EXIT_DONE)
		code = show(&cli, &s, assay);
	assay_close(assay);
	return code;
}

/* Prints a page, or adds it to list. */
static void add_page(const struct buyer_requests *page, json_t *list)
{
	char id[ID_TEXT_MAX], at[40];

	for (size_t i = 0; i < page->n_requests; i++) {
		const struct summary *r = &page->requests[i];

		id_text(&r->request, id);
		cli_time(r->at_ns, at);
		if (list)
			json_array_append_new(
				list, json_pack("{s:s,s:s,s:s,s:I}", "request_id", id, "state",
					      slot_state_name(r->state), "at", at, "at_ns",
					      (json_int_t)r->at_ns));
		else
			printf("%s  %-14s %s\n", id, slot_state_name(r->state), at);
	}
}

static assay_status_t list_all(assay_t *assay, json_t *list)
{
	int64_t cursor = 0;

	for (int i = 0; i < LIST_PAGES_MAX; i++) {
		struct buyer_result result = { 0 };
		assay_status_t status = wallet_ask(assay, BUYER_CALL_REQUESTS, cursor, &result);

		if (status != ASSAY_OK)
			return status;
		cursor = result.requests ? result.requests->cursor : 0;
		if (result.requests)
			add_page(result.requests, list);
		buyer_result_deinit(&result);
		if (cursor == 0)
			break;
	}
	return ASSAY_OK;
}

static int run_list(int argc, char **argv)
{
	assay_t *assay = NULL;
	json_t *list = NULL;
	struct cli cli;
	int option;
	int code;

	cli_begin(&cli, &request_list_command);
	while ((option = cli_option(&cli, argc, argv, NULL)) != -1)
		return option == CLI_HELPED ? EXIT_DONE : EXIT_USAGE;
	if (optind < argc)
		return cli_usage(&cli, "unexpected: ", argv[optind]);
	code = cli_open(&cli, &assay);
	if (code == EXIT_DONE) {
		list = cli.json ? json_array() : NULL;

		assay_status_t status = list_all(assay, list);

		if (status != ASSAY_OK)
			code = cli_fail(&cli, status, assay_error(assay));
		else if (cli.json)
			code = cli_print_json(json_pack("{s:O}", "requests", list));
		json_decref(list);
	}
	assay_close(assay);
	return code;
}

static int run_cancel(int argc, char **argv)
{
	struct show s = { 0 };
	assay_t *assay = NULL;
	struct cli cli;
	int option;
	int code;

	cli_begin(&cli, &request_cancel_command);
	while ((option = cli_option(&cli, argc, argv, NULL)) != -1)
		return option == CLI_HELPED ? EXIT_DONE : EXIT_USAGE;
	code = one_argument(&cli, argc, argv, "request's ID", &s.id);
	if (code >= 0)
		return code;
	code = cli_open(&cli, &assay);
	if (code == EXIT_DONE) {
		assay_status_t status = assay_cancel(assay, s.id);

		code = status == ASSAY_OK ? show(&cli, &s, assay)
					  : cli_fail(&cli, status, assay_error(assay));
	}
	assay_close(assay);
	return code;
}

const struct command request_post_command = {
	.name = "request post",
	.summary = "post a request from a JSON file and print its id",
	.usage =
		"  The file holds one object with the members kind, at, radius, width, height, unit,\n"
		"  low, high, max, asset, fresh, sources, purpose, timeout, attempts: as the options\n"
		"  of 'buy'. kind, at and max must be there; at, max, low and high are strings.\n",
	.example = "assay request post order.json",
	.run = run_post,
};

const struct command request_show_command = {
	.name = "request show",
	.summary = "how a request stands, and what came of it",
	.usage = "  --wait           until it has ended; exits as 'buy' does\n"
		 "  --out FILE       write the payload there\n"
		 "  --bundle FILE    write the bundle there, for 'assay verify'\n",
	.example = "assay request show ID --wait --bundle lake.assay",
	.run = run_show,
};

const struct command request_list_command = {
	.name = "request list",
	.summary = "this identity's requests, the newest first",
	.usage = "",
	.example = "assay request list --json",
	.run = run_list,
};

const struct command request_cancel_command = {
	.name = "request cancel",
	.summary = "end a request; after a node was assigned its attempt fee is due",
	.usage = "",
	.example = "assay request cancel ID",
	.run = run_cancel,
};

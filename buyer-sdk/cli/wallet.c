/* assay wallet balance|deposit|history: an identity's money at the escrow. */
#include "buyer-sdk/cli/print.h"
#include "buyer-sdk/src/handle.h"
#include "escrow/core/escrow.h"
#include "proto/base/text.h"

#define BALANCES_MAX      MESSAGE_BALANCES_MAX
#define HISTORY_PAGES_MAX 4096

struct wallet {
	struct cli cli;
	const char *keys;
	const char *asset;
	uint8_t operation[16];
	bool has_operation;
	int64_t from;
};

/* -1 to go on, or an exit code. */
static int read_options(struct wallet *w, const struct command *command, int argc, char **argv,
	const struct option *own)
{
	int option;

	*w = (struct wallet){ 0 };
	cli_begin(&w->cli, command);
	while ((option = cli_option(&w->cli, argc, argv, own)) != -1) {
		if (option == CLI_HELPED)
			return EXIT_DONE;
		if (option == '?')
			return EXIT_USAGE;
		if (option == 'k')
			w->keys = optarg;
		if (option == 'a')
			w->asset = optarg;
		if (option == 'o') {
			if (hex_decode(SPAN_STR(optarg), w->operation, sizeof(w->operation)) < 0)
				return cli_usage(
					&w->cli, "--operation has 32 hex digits, not: ", optarg);
			w->has_operation = true;
		}
		if (option == 'f' && (cli_decimal(optarg, 0, &w->from) < 0 || w->from < 0))
			return cli_usage(&w->cli, "--from is a sequence number, not: ", optarg);
	}
	return -1;
}

static int open_as(const struct wallet *w, assay_t **ret_assay)
{
	assay_options_t options = ASSAY_OPTIONS_INIT;
	assay_status_t status;

	options.dir = w->cli.dir;
	options.keys_dir = w->keys;
	status = assay_open(&options, ret_assay);
	return status == ASSAY_OK ? EXIT_DONE : cli_fail(&w->cli, status, assay_error(NULL));
}

static int print_balances(const struct wallet *w, assay_t *assay)
{
	assay_balance_t balances[BALANCES_MAX];
	json_t *list;
	size_t n = 0;
	assay_status_t status = assay_balances(assay, balances, BALANCES_MAX, &n);

	if (status != ASSAY_OK)
		return cli_fail(&w->cli, status, assay_error(assay));
	n = MIN(n, (size_t)BALANCES_MAX);
	if (!w->cli.json) {
		char money[32], asset[PRINT_TEXT_MAX];

		printf("%s\n", assay_identity(assay));
		for (size_t i = 0; i < n; i++)
			printf("  %-14s %16s %s\n", balances[i].purpose,
				cli_money(balances[i].amount_micros, money),
				print_safe(balances[i].asset, asset));
		return EXIT_DONE;
	}
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			list, json_pack("{s:s,s:s,s:I}", "purpose", balances[i].purpose, "asset",
				      balances[i].asset, "amount_micros",
				      (json_int_t)balances[i].amount_micros));
	return cli_print_json(
		json_pack("{s:s,s:o}", "identity", assay_identity(assay), "balances", list));
}

static int run_balance(int argc, char **argv)
{
	static const struct option own[] = { { "keys", required_argument, NULL, 'k' }, { 0 } };
	assay_t *assay = NULL;
	struct wallet w;
	int code = read_options(&w, &wallet_balance_command, argc, argv, own);

	if (code >= 0)
		return code;
	if (optind < argc)
		return cli_usage(&w.cli, "unexpected: ", argv[optind]);
	code = open_as(&w, &assay);
	if (code == EXIT_DONE)
		code = print_balances(&w, assay);
	assay_close(assay);
	return code;
}

static int run_deposit(int argc, char **argv)
{
	static const struct option own[] = { { "keys", required_argument, NULL, 'k' },
		{ "asset", required_argument, NULL, 'a' },
		{ "operation", required_argument, NULL, 'o' }, { 0 } };
	assay_t *assay = NULL;
	int64_t micros;
	struct wallet w;
	int code = read_options(&w, &wallet_deposit_command, argc, argv, own);

	if (code >= 0)
		return code;
	if (argc - optind != 1)
		return cli_usage(&w.cli, "name one AMOUNT", "");
	if (cli_decimal(argv[optind], 6, &micros) < 0)
		return cli_usage(&w.cli,
			"an amount is a decimal number with at most 6 decimals, not: ",
			argv[optind]);
	code = open_as(&w, &assay);
	if (code == EXIT_DONE) {
		assay_status_t status = assay_deposit(
			assay, w.asset, micros, w.has_operation ? w.operation : NULL);

		code = status == ASSAY_OK ? print_balances(&w, assay)
					  : cli_fail(&w.cli, status, assay_error(assay));
	}
	assay_close(assay);
	return code;
}

static const char *kind_name(int64_t kind)
{
	switch (kind) {
	case TRANSFER_DEPOSIT:
		return "deposit";
	case TRANSFER_HOLD:
		return "hold";
	case TRANSFER_PAY:
		return "pay";
	case TRANSFER_VERIFIER:
		return "verifier";
	case TRANSFER_REFUND:
		return "refund";
	default:
		return "unknown";
	}
}

static json_t *transfer_json(const struct buyer_transfer *t)
{
	char from[DID_TEXT_MAX], to[DID_TEXT_MAX], at[40], request[ID_TEXT_MAX];
	json_t *j = json_pack("{s:I,s:s,s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "seq",
		(json_int_t)t->seq, "at", cli_time(t->at_ns, at), "at_ns", (json_int_t)t->at_ns,
		"kind", kind_name(t->kind), "from", did_text(&t->from, from), "from_purpose",
		wallet_purpose(t->from_purpose), "to", did_text(&t->line.account, to), "to_purpose",
		wallet_purpose(t->line.account_purpose), "asset", t->line.asset, "amount_micros",
		(json_int_t)t->line.amount_micros);

	if (j && !id_is_zero(&t->request))
		json_object_set_new(j, "request_id", json_string(id_text(&t->request, request)));
	return j;
}

static void print_transfer(const struct buyer_transfer *t)
{
	char at[40], money[32], asset[PRINT_TEXT_MAX], request[ID_TEXT_MAX] = "";

	if (!id_is_zero(&t->request))
		id_text(&t->request, request);
	printf("%6lld %s  %-8s %14s %s  %s -> %s%s%.16s\n", (long long)t->seq,
		cli_time(t->at_ns, at), kind_name(t->kind), cli_money(t->line.amount_micros, money),
		print_safe(t->line.asset, asset), wallet_purpose(t->from_purpose),
		wallet_purpose(t->line.account_purpose), *request ? "  " : "", request);
}

/* Page after page, from the oldest on, until the cursor stays where it is. */
static assay_status_t read_history(assay_t *assay, int64_t from, json_t *list)
{
	int64_t cursor = from > 0 ? from - 1 : 0;

	for (int page = 0; page < HISTORY_PAGES_MAX; page++) {
		struct buyer_result result = { 0 };
		assay_status_t status = wallet_ask(assay, BUYER_CALL_HISTORY, cursor, &result);
		const struct buyer_account *account = result.account;

		if (status != ASSAY_OK)
			return status;
		for (size_t i = 0; account && i < account->n_transfers; i++) {
			if (list)
				json_array_append_new(list, transfer_json(&account->transfers[i]));
			else
				print_transfer(&account->transfers[i]);
		}

		bool more = account && account->n_transfers > 0 && account->cursor > cursor;

		cursor = account ? account->cursor : cursor;
		buyer_result_deinit(&result);
		if (!more)
			break;
	}
	return ASSAY_OK;
}

static int run_history(int argc, char **argv)
{
	static const struct option own[] = { { "keys", required_argument, NULL, 'k' },
		{ "from", required_argument, NULL, 'f' }, { 0 } };
	assay_t *assay = NULL;
	json_t *list = NULL;
	struct wallet w;
	int code = read_options(&w, &wallet_history_command, argc, argv, own);

	if (code >= 0)
		return code;
	if (optind < argc)
		return cli_usage(&w.cli, "unexpected: ", argv[optind]);
	code = open_as(&w, &assay);
	if (code == EXIT_DONE) {
		assay_status_t status;

		list = w.cli.json ? json_array() : NULL;
		status = read_history(assay, w.from, list);
		if (status != ASSAY_OK)
			code = cli_fail(&w.cli, status, assay_error(assay));
		else if (w.cli.json)
			code = cli_print_json(json_pack(
				"{s:s,s:O}", "identity", assay_identity(assay), "transfers", list));
		json_decref(list);
	}
	assay_close(assay);
	return code;
}

#define KEYS_HELP "  --keys DIR       ask as another identity, such as DIR/node/keys of a market\n"

const struct command wallet_balance_command = {
	.name = "wallet balance",
	.summary = "what this identity has at the escrow",
	.usage = KEYS_HELP,
	.example = "assay wallet balance",
	.run = run_balance,
};

const struct command wallet_deposit_command = {
	.name = "wallet deposit",
	.summary = "put play money on the account",
	.usage = KEYS_HELP
	"  --asset CODE     the currency (the market's)\n"
	"  --operation HEX  32 hex digits; the same ones again deposit nothing more\n",
	.example = "assay wallet deposit 10.00",
	.run = run_deposit,
};

const struct command wallet_history_command = {
	.name = "wallet history",
	.summary = "the last transfers from and to this identity",
	.usage = KEYS_HELP "  --from SEQ       from that sequence number on\n",
	.example = "assay wallet history --json",
	.run = run_history,
};

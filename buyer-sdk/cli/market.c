/* assay market add|list: which markets this user knows. The one in market.json is used. */
#include "buyer-sdk/src/market.h"

#include "buyer-sdk/cli/print.h"
#include "proto/base/text.h"
#include "proto/os/file.h"

#include <dirent.h>
#include <sys/stat.h>

#define MARKETS_MAX 256

/* A market's name becomes a file's: no separators, nothing hidden. */
static bool good_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= 64 && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       n;
}

static int path_of(const char *dir, const char *name, char out[static CLI_PATH_MAX])
{
	int n = snprintf(out, CLI_PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= CLI_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int kept_path(const char *dir, const char *name, char out[static CLI_PATH_MAX])
{
	int n = snprintf(out, CLI_PATH_MAX, "%s/markets/%s.json", dir, name);

	return n < 0 || n >= CLI_PATH_MAX ? -ENAMETOOLONG : 0;
}

static bool same_parties(const struct market *a, const struct market *b)
{
	return did_eq(&a->broker.did, &b->broker.did) && did_eq(&a->escrow.did, &b->escrow.did);
}

/* --dir alone counts here: $ASSAY_DIR is the directory of a market, not the user's own. */
static int own_dir(const struct cli *cli, char out[static CLI_PATH_MAX])
{
	if (!cli->dir)
		return cli_config_dir(out);
	if (snprintf(out, CLI_PATH_MAX, "%s", cli->dir) >= CLI_PATH_MAX)
		return -ENAMETOOLONG;
	return file_make_private_dir(out);
}

static int fault(const struct cli *cli, const char *path, int error)
{
	char text[CLI_PATH_MAX + 128];

	snprintf(text, sizeof(text), "%s: %s", path, strerror(-error));
	return cli_fail(cli, ASSAY_SYSTEM, text);
}

/* market.json of a directory, or the file itself. */
static int read_given(const struct cli *cli, const char *given, char path[static CLI_PATH_MAX],
	struct market *ret_market)
{
	struct stat st;
	bool dir = stat(given, &st) == 0 && S_ISDIR(st.st_mode);
	int r = dir ? path_of(given, "market.json", path)
		    : (snprintf(path, CLI_PATH_MAX, "%s", given) >= CLI_PATH_MAX ? -ENAMETOOLONG
										 : 0);

	if (r == 0)
		r = market_read(path, ret_market);
	if (r == -EBADMSG || r == -EFBIG) {
		fprintf(stderr,
			"assay market add: %s is no market file: take the market.json that 'assay up' wrote.\n",
			path);
		return EXIT_REFUSED;
	}
	if (r < 0)
		return cli_usage(cli, "cannot read the market file: ", strerror(-r));
	if (!good_name(ret_market->name)) {
		fprintf(stderr,
			"assay market add: the market's name must be of letters, digits, '-', '_' and '.'\n");
		return EXIT_REFUSED;
	}
	return -1;
}

static int keep(const struct cli *cli, const char *given_path, const char *dir,
	const struct market *market, bool replace)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	_cleanup_(freep) struct market *known = calloc(1, sizeof(*known));
	char markets[CLI_PATH_MAX], kept[CLI_PATH_MAX], current[CLI_PATH_MAX];
	size_t n = 0;
	int r = known ? path_of(dir, "markets", markets) : -ENOMEM;

	if (r == 0)
		r = file_make_private_dir(markets);
	if (r == 0)
		r = kept_path(dir, market->name, kept);
	if (r == 0)
		r = path_of(dir, "market.json", current);
	if (r < 0)
		return fault(cli, dir, r);
	if (!replace && market_read(kept, known) == 0 && !same_parties(known, market))
		return cli_fail(cli, (assay_status_t)REFUSED_EXISTS_WITH_DIFFERENT_CONTENT,
			"Another market of that name is known: --replace takes the new one's broker and escrow.");
	r = file_read(given_path, MARKET_FILE_MAX, &bytes, &n);
	if (r == 0)
		r = file_write_durable(kept, SPAN(bytes, n), 0644);
	if (r == 0)
		r = file_write_durable(current, SPAN(bytes, n), 0644);
	return r < 0 ? fault(cli, kept, r) : -1;
}

static json_t *market_json(const struct market *m, bool current)
{
	char broker[DID_TEXT_MAX];
	char escrow[DID_TEXT_MAX];

	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:b}", "name", m->name, "asset", m->asset,
		"broker", did_text(&m->broker.did, broker), "broker_endpoint", m->broker.endpoint,
		"escrow", did_text(&m->escrow.did, escrow), "escrow_endpoint", m->escrow.endpoint,
		"verifiers", (json_int_t)m->n_verifiers, "current", current);
}

static void print_market(const struct market *m, bool current)
{
	char name[PRINT_TEXT_MAX], asset[PRINT_TEXT_MAX], endpoint[PRINT_TEXT_MAX];
	char escrow[DID_TEXT_MAX];

	printf("%s %-20s %-5s %s\n  escrow %s, %zu verifiers\n", current ? "*" : " ",
		print_safe(m->name, name), print_safe(m->asset, asset),
		print_safe(m->broker.endpoint, endpoint), did_text(&m->escrow.did, escrow),
		m->n_verifiers);
}

static int run_add(int argc, char **argv)
{
	static const struct option own[] = { { "replace", no_argument, NULL, 'r' }, { 0 } };
	static struct market market;
	char path[CLI_PATH_MAX], dir[CLI_PATH_MAX];
	bool replace = false;
	struct cli cli;
	int option;
	int r;

	cli_begin(&cli, &market_add_command);
	while ((option = cli_option(&cli, argc, argv, own)) != -1) {
		if (option == CLI_HELPED)
			return EXIT_DONE;
		if (option == '?')
			return EXIT_USAGE;
		replace = true;
	}
	if (argc - optind != 1)
		return cli_usage(&cli, "name one FILE or DIR", "");
	r = read_given(&cli, argv[optind], path, &market);
	if (r >= 0)
		return r;
	r = own_dir(&cli, dir);
	if (r < 0)
		return fault(&cli, cli.dir ? cli.dir : "the configuration directory", r);
	r = keep(&cli, path, dir, &market, replace);
	if (r >= 0)
		return r;
	if (cli.json)
		return cli_print_json(market_json(&market, true));
	print_market(&market, true);
	return EXIT_DONE;
}

static bool is_market_file(const char *name, char out[static 65])
{
	size_t n = strlen(name);

	if (n < 6 || n > 69 || strcmp(name + n - 5, ".json") != 0)
		return false;
	memcpy(out, name, n - 5);
	out[n - 5] = '\0';
	return good_name(out);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct market *)a)->name, ((const struct market *)b)->name);
}

/* Those in markets/, sorted, then market.json where `assay up` put another one there. */
static size_t read_all(const char *dir, struct market *all, size_t max, size_t *ret_current)
{
	char markets[CLI_PATH_MAX], path[CLI_PATH_MAX], name[65];
	_cleanup_(freep) struct market *current = calloc(1, sizeof(*current));
	struct dirent *entry;
	size_t n = 0;
	DIR *d = path_of(dir, "markets", markets) == 0 ? opendir(markets) : NULL;

	while (d && n < max - 1 && (entry = readdir(d)) != NULL)
		if (is_market_file(entry->d_name, name) && kept_path(dir, name, path) == 0 &&
			market_read(path, &all[n]) == 0)
			n++;
	if (d)
		closedir(d);
	qsort(all, n, sizeof(*all), compare);
	*ret_current = max;
	if (!current || path_of(dir, "market.json", path) < 0 || market_read(path, current) < 0)
		return n;
	for (*ret_current = 0; *ret_current < n; ++*ret_current)
		if (strcmp(all[*ret_current].name, current->name) == 0 &&
			same_parties(&all[*ret_current], current))
			return n;
	all[n] = *current;
	return n + 1;
}

static int run_list(int argc, char **argv)
{
	_cleanup_(freep) struct market *all = calloc(MARKETS_MAX, sizeof(*all));
	char dir[CLI_PATH_MAX];
	size_t current;
	struct cli cli;
	int option;
	int r;

	cli_begin(&cli, &market_list_command);
	while ((option = cli_option(&cli, argc, argv, NULL)) != -1)
		return option == CLI_HELPED ? EXIT_DONE : EXIT_USAGE;
	if (optind < argc)
		return cli_usage(&cli, "unexpected: ", argv[optind]);
	if (!all)
		return cli_fail(&cli, ASSAY_NO_MEMORY, NULL);
	r = cli_dir(&cli, dir);
	if (r < 0)
		return fault(&cli, "the configuration directory", r);

	size_t n = read_all(dir, all, MARKETS_MAX, &current);

	if (cli.json) {
		json_t *list = json_array();

		for (size_t i = 0; i < n; i++)
			json_array_append_new(list, market_json(&all[i], i == current));
		return cli_print_json(json_pack("{s:o}", "markets", list));
	}
	for (size_t i = 0; i < n; i++)
		print_market(&all[i], i == current);
	if (n == 0)
		fprintf(stderr, "No market is known: add one with 'assay market add FILE'.\n");
	return EXIT_DONE;
}

const struct command market_add_command = {
	.name = "market add",
	.summary = "check a market file and use that market from now on",
	.usage =
		"  --replace        take it although a market of that name with other parties is known\n",
	.example = "assay market add ./market/market.json",
	.run = run_add,
};

const struct command market_list_command = {
	.name = "market list",
	.summary = "the markets that are known; the one in use has a star",
	.usage = "",
	.example = "assay market list",
	.run = run_list,
};

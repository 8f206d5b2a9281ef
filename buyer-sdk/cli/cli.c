#include "buyer-sdk/cli/cli.h"

#include "buyer-sdk/cli/print.h"
#include "proto/os/file.h"

#include <ctype.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OPTION_DIR = 2000, OPTION_JSON, OPTION_YES, OPTION_HELP };

void cli_begin(struct cli *cli, const struct command *command)
{
	const char *no_colour = getenv("NO_COLOR");

	*cli = (struct cli){
		.command = command,
		.colour = isatty(1) && !(no_colour && *no_colour),
		.progress = isatty(2),
	};
	optind = 1;
}

void cli_help(const struct command *command)
{
	printf("assay %s - %s\n\nUsage: assay %s [OPTIONS]\n\nOptions:\n%s", command->name,
		command->summary, command->name, command->usage ? command->usage : "");
	printf("  --dir DIR        the market's directory (else $ASSAY_DIR, else the configuration)\n"
	       "  --json           one JSON object on standard output\n"
	       "  --help\n\nExample:\n  %s\n\n"
	       "Exit codes: 0 done, 1 a fault, 2 usage, 3 refused, 4 ended with a refund,\n"
	       "5 verification failed, 6 unreachable.\n",
		command->example);
}

int cli_usage(const struct cli *cli, const char *what, const char *value)
{
	char shown[PRINT_TEXT_MAX];

	fprintf(stderr, "assay %s: %s%s\nTry 'assay %s --help'.\n", cli->command->name, what,
		print_safe(value, shown), cli->command->name);
	return EXIT_USAGE;
}

int cli_exit_code(assay_status_t status)
{
	switch (status) {
	case ASSAY_OK:
		return EXIT_DONE;
	case ASSAY_REFUNDED:
		return EXIT_REFUNDED;
	case ASSAY_UNREACHABLE:
	case ASSAY_TIMEOUT:
		return EXIT_UNREACHABLE;
	case ASSAY_VERIFY_FAILED:
		return EXIT_VERIFY_FAILED;
	case ASSAY_USAGE:
	case ASSAY_NO_MARKET:
	case ASSAY_NO_KEYS:
		return EXIT_USAGE;
	default:
		return status > 0 && status < 1000 ? EXIT_REFUSED : EXIT_FAULT;
	}
}

int cli_print_json(json_t *value)
{
	/* In ASCII: a stranger's text has no power over a terminal. */
	int r = value ? json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) : -1;

	json_decref(value);
	if (r < 0 || putchar('\n') == EOF || fflush(stdout) != 0)
		return EXIT_FAULT;
	return EXIT_DONE;
}

int cli_fail(const struct cli *cli, assay_status_t status, const char *sentence)
{
	int code = cli_exit_code(status);
	char shown[PRINT_TEXT_MAX];

	if (!sentence || !*sentence)
		sentence = assay_status_text(status);
	if (cli->json)
		cli_print_json(
			json_pack("{s:{s:s,s:i,s:s}}", "error", "name", assay_status_name(status),
				"code", (int)status, "text", print_safe(sentence, shown)));
	else
		fprintf(stderr, "assay %s: %s: %s\n", cli->command->name, assay_status_name(status),
			print_safe(sentence, shown));
	return code;
}

int cli_option(struct cli *cli, int argc, char **argv, const struct option *own)
{
	struct option all[32] = {
		{ "dir", required_argument, NULL, OPTION_DIR },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "yes", no_argument, NULL, OPTION_YES },
		{ "help", no_argument, NULL, OPTION_HELP },
	};
	size_t n = 4;

	opterr = 0;

	for (; own && own->name && n < ARRAY_SIZE(all) - 1; own++)
		all[n++] = *own;
	for (;;) {
		int option = getopt_long(argc, argv, "h", all, NULL);

		switch (option) {
		case OPTION_DIR:
			cli->dir = optarg;
			break;
		case OPTION_JSON:
			cli->json = true;
			cli->progress = false;
			break;
		case OPTION_YES:
			cli->yes = true;
			break;
		case OPTION_HELP:
		case 'h':
			cli_help(cli->command);
			return CLI_HELPED;
		case '?':
			cli_usage(
				cli, "no such option, or its value is missing: ", argv[optind - 1]);
			return '?';
		default:
			return option;
		}
	}
}

int cli_decimal(const char *text, unsigned digits, int64_t *ret_value)
{
	bool negative = *text == '-';
	int64_t value = 0;
	unsigned after = 0;
	bool point = false;
	bool any = false;

	for (text += negative || *text == '+'; *text; text++) {
		if (*text == '.' && !point) {
			point = true;
			continue;
		}
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		any = true;
		if (point && after++ == digits)
			return -ERANGE;
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, *text - '0', &value))
			return -ERANGE;
	}
	if (!any)
		return -EINVAL;
	for (; after < digits; after++)
		if (__builtin_mul_overflow(value, 10, &value))
			return -ERANGE;
	*ret_value = negative ? -value : value;
	return 0;
}

const char *cli_money(int64_t micros, char out[static 32])
{
	uint64_t magnitude = micros < 0 ? 0 - (uint64_t)micros : (uint64_t)micros;
	int n = snprintf(out, 32, "%s%llu.%06llu", micros < 0 ? "-" : "",
		(unsigned long long)(magnitude / 1000000),
		(unsigned long long)(magnitude % 1000000));

	/* Two decimals stay, as people expect of money. */
	while (n > 3 && out[n - 1] == '0' && out[n - 3] != '.')
		out[--n] = '\0';
	return out;
}

const char *cli_time(int64_t at_ns, char out[static 40])
{
	time_t seconds = (time_t)(at_ns / NS_PER_S);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&seconds, &tm))
		return strcpy(out, "?");
	n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 40 - n, ".%03dZ", (int)(at_ns % NS_PER_S / NS_PER_MS));
	return out;
}

int cli_config_dir(char out[static CLI_PATH_MAX])
{
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	char base[CLI_PATH_MAX];
	int n;

	if (xdg && *xdg == '/')
		n = snprintf(base, sizeof(base), "%s", xdg);
	else
		n = snprintf(base, sizeof(base), "%s/.config", home && *home ? home : "/");
	if (n < 0 || (size_t)n >= sizeof(base))
		return -ENAMETOOLONG;
	if (mkdir(base, 0700) < 0 && errno != EEXIST)
		return -errno;
	n = snprintf(out, CLI_PATH_MAX, "%s/assay", base);
	if (n < 0 || n >= CLI_PATH_MAX)
		return -ENAMETOOLONG;
	return file_make_private_dir(out);
}

int cli_dir(const struct cli *cli, char out[static CLI_PATH_MAX])
{
	const char *dir = cli->dir ? cli->dir : getenv("ASSAY_DIR");

	if (!dir || !*dir)
		return cli_config_dir(out);
	return snprintf(out, CLI_PATH_MAX, "%s", dir) >= CLI_PATH_MAX ? -ENAMETOOLONG : 0;
}

int cli_open(const struct cli *cli, assay_t **ret_assay)
{
	assay_options_t options = ASSAY_OPTIONS_INIT;

	options.dir = cli->dir;

	assay_status_t status = assay_open(&options, ret_assay);

	return status == ASSAY_OK ? EXIT_DONE : cli_fail(cli, status, assay_error(NULL));
}

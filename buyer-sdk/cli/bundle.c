/* assay bundle extract: the payload of a bundle that holds. */
#include "buyer-sdk/src/bundle.h"

#include "buyer-sdk/cli/report.h"
#include "buyer-sdk/cli/verify.h"

static int run_extract(int argc, char **argv)
{
	static const struct option own[] = { { "out", required_argument, NULL, 'o' }, { 0 } };
	assay_result_t *result = NULL;
	const char *out = NULL;
	struct cli cli;
	int option;
	int code;

	cli_begin(&cli, &bundle_extract_command);
	while ((option = cli_option(&cli, argc, argv, own)) != -1) {
		if (option == CLI_HELPED)
			return EXIT_DONE;
		if (option == '?')
			return EXIT_USAGE;
		out = optarg;
	}
	if (argc - optind != 1)
		return cli_usage(&cli, "name one BUNDLE", "");
	if (!out)
		return cli_usage(&cli, "--out FILE is missing", "");
	code = verify_file(&cli, argv[optind], &result);
	if (code == EXIT_DONE)
		code = report_save(&cli, result, out, NULL);
	if (code == EXIT_DONE) {
		struct report report = {
			.result = result, .elapsed_ms = -1, .payload = out, .bundle = argv[optind]
		};

		if (cli.json)
			code = cli_print_json(report_json(&report));
		else
			printf("%s: %s\n", out, assay_result_type(result));
	}
	assay_result_free(result);
	return code;
}

const struct command bundle_extract_command = {
	.name = "bundle extract",
	.summary = "verify a bundle and write its payload to a file",
	.usage = "  --out FILE       where the payload goes\n",
	.example = "assay bundle extract lake.assay --out lake.jpg",
	.run = run_extract,
};

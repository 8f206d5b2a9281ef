/* assay inspect: a file of CBOR in words. */
#include "buyer-sdk/cli/cli.h"
#include "buyer-sdk/cli/generic.h"
#include "buyer-sdk/cli/readable.h"
#include "proto/cbor/cbor.h"
#include "proto/os/file.h"

#include <unistd.h>

#define FILE_MAX ((size_t)PAYLOAD_MAX + (size_t)MESSAGE_MAX + 1024 * 1024)

union document {
	struct message message;
	struct bundle bundle;
	struct measurement measurement;
	struct claims claims;
};

static const struct {
	const char *name;
	const struct schema *schema;
} documents[] = {
	{ "bundle", &bundle_schema },
	{ "message", &message_schema },
	{ "measurement", &measurement_schema },
	{ "claims", &claims_schema },
};

/* {"what": "bundle", "bundle": {...}} or NULL. */
static json_t *document_json(struct span data)
{
	_cleanup_(freep) union document *room = calloc(1, sizeof(*room));
	json_t *j = NULL;

	for (size_t i = 0; room && !j && i < ARRAY_SIZE(documents); i++)
		if (schema_decode(documents[i].schema, data, room, NULL) == REFUSED_NOT)
			j = json_pack("{s:s,s:o}", "what", documents[i].name, documents[i].name,
				readable_struct(documents[i].schema, room));
	return j;
}

static void add_refusal(json_t *j, const char *member, enum refusal refusal)
{
	json_object_set_new(j, member,
		json_pack("{s:s,s:s}", "name", refusal_name(refusal), "text",
			refusal_sentence(refusal)));
}

/* What it is, as far as it can be told; NULL where it is no CBOR. */
static json_t *describe(struct span data)
{
	enum refusal strict = cbor_check(data);
	enum refusal refusal = REFUSED_NOT;
	json_t *inner = readable_statement(data, &refusal);
	json_t *j;

	if (inner)
		return json_pack("{s:s,s:o}", "what", "statement", "statement", inner);
	if (strict == REFUSED_NOT) {
		j = document_json(data);
		if (j)
			return j;
	}
	inner = generic_json(data);
	if (!inner)
		return NULL;
	j = json_pack("{s:s,s:o}", "what", "cbor", "cbor", inner);
	if (j && strict != REFUSED_NOT)
		add_refusal(j, "not_deterministic", strict);
	else if (j && data.n > 0 && data.p[0] == (0xc0 | CBOR_TAG_SIGN1))
		add_refusal(j, "no_statement", refusal);
	return j;
}

static int run_inspect(int argc, char **argv)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	struct cli cli;
	json_t *j;
	size_t n = 0;
	int option;
	int r;

	cli_begin(&cli, &inspect_command);
	while ((option = cli_option(&cli, argc, argv, NULL)) != -1)
		return option == CLI_HELPED ? EXIT_DONE : EXIT_USAGE;
	if (argc - optind != 1)
		return cli_usage(&cli, "name one FILE", "");
	r = file_read(argv[optind], FILE_MAX, &bytes, &n);
	if (r < 0)
		return cli_usage(&cli, "the file cannot be read: ", strerror(-r));
	j = describe(SPAN(bytes, n));
	if (!j)
		return cli_fail(&cli, (assay_status_t)REFUSED_CBOR_MALFORMED,
			"The file is not one item of CBOR.");
	if (cli.json)
		return cli_print_json(j);
	r = json_dumpf(j, stdout, JSON_INDENT(2) | (isatty(1) ? JSON_ENSURE_ASCII : 0));
	json_decref(j);
	return r < 0 || putchar('\n') == EOF || fflush(stdout) != 0 ? EXIT_FAULT : EXIT_DONE;
}

const struct command inspect_command = {
	.name = "inspect",
	.summary = "show a statement, bundle, message or any CBOR as readable JSON",
	.usage = "  Signatures are not checked here: see 'assay verify'.\n",
	.example = "assay inspect lake.assay",
	.run = run_inspect,
};

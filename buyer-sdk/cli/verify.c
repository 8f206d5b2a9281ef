/* assay verify: whether a bundle proves what it says, and who says it. */
#include "buyer-sdk/cli/verify.h"

#include "buyer-sdk/cli/print.h"
#include "buyer-sdk/cli/report.h"
#include "buyer-sdk/src/bundle.h"
#include "proto/base/text.h"
#include "proto/os/file.h"

#define FILE_MAX ((size_t)PAYLOAD_MAX + (size_t)PAYLOAD_MAX / 64 + BUNDLE_EXTRA_MAX)

int verify_file(const struct cli *cli, const char *path, assay_result_t **ret_result)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	assay_status_t status;
	size_t n = 0;
	int r = file_read(path, FILE_MAX, &bytes, &n);

	if (r == -ENOMEM)
		return cli_fail(cli, ASSAY_NO_MEMORY, NULL);
	if (r == -EFBIG)
		return cli_fail(cli, ASSAY_VERIFY_FAILED,
			"BUNDLE_SHAPE: The file is larger than any bundle.");
	if (r < 0) {
		char text[CLI_PATH_MAX + 128];

		snprintf(text, sizeof(text), "%s cannot be read: %s", path, strerror(-r));
		return cli_fail(cli, ASSAY_USAGE, text);
	}
	status = assay_verify(bytes, n, ret_result);
	return status == ASSAY_OK ? EXIT_DONE : cli_fail(cli, status, assay_error(NULL));
}

/* Who the statements are by. The bundle has been verified, so nothing here can be missing. */
struct parties {
	struct did buyer;
	struct did node;
	struct did broker;
	struct did escrow;
	struct did verifiers[PANEL_MAX];
	size_t n_verifiers;
	char asset[129];
	bool logged;
};

static bool read_parties(const assay_result_t *result, struct parties *p)
{
	_cleanup_(freep) struct statement *s = calloc(1, sizeof(*s));
	struct bundle bundle;
	const uint8_t *bytes;
	size_t n;

	*p = (struct parties){ 0 };
	if (!s || assay_result_bundle(result, &bytes, &n) != ASSAY_OK ||
		bundle_read(SPAN(bytes, n), &bundle) != REFUSED_NOT)
		return false;
	p->logged = bundle.receipt.n > 0;
	for (size_t i = 0; i < bundle.n_statements; i++) {
		if (statement_decode(bundle.statements[i], s, NULL) != REFUSED_NOT)
			return false;
		if (s->kind == STATEMENT_REQUEST) {
			p->buyer = s->issuer;
			p->broker = s->body.request.broker;
			p->escrow = s->body.request.escrow;
			snprintf(p->asset, sizeof(p->asset), "%.*s", (int)s->body.request.asset.n,
				(const char *)s->body.request.asset.p);
		} else if (s->kind == STATEMENT_EVIDENCE) {
			p->node = s->issuer;
		} else if (s->kind == STATEMENT_VERDICT && p->n_verifiers < PANEL_MAX) {
			p->verifiers[p->n_verifiers++] = s->issuer;
		}
	}
	return true;
}

static json_t *parties_json(const struct parties *p)
{
	char buyer[DID_TEXT_MAX], node[DID_TEXT_MAX], broker[DID_TEXT_MAX], escrow[DID_TEXT_MAX];
	json_t *verifiers = json_array();

	for (size_t i = 0; i < p->n_verifiers; i++)
		json_array_append_new(verifiers, json_string(did_text(&p->verifiers[i], buyer)));
	return json_pack("{s:s,s:s,s:s,s:s,s:o}", "buyer", did_text(&p->buyer, buyer), "node",
		did_text(&p->node, node), "broker", did_text(&p->broker, broker), "escrow",
		did_text(&p->escrow, escrow), "verifiers", verifiers);
}

static void print_parties(const struct parties *p)
{
	char did[DID_TEXT_MAX];

	printf("buyer    %s\n", did_text(&p->buyer, did));
	printf("broker   %s%s\n", did_text(&p->broker, did),
		p->logged ? "" : " (evidence came to the escrow's own door, not into the log)");
	printf("escrow   %s\n", did_text(&p->escrow, did));
	for (size_t i = 0; i < p->n_verifiers; i++)
		printf("verifier %s\n", did_text(&p->verifiers[i], did));
}

static int tell(const struct cli *cli, const char *path, const assay_result_t *result)
{
	struct report report = { .result = result, .elapsed_ms = -1, .bundle = path };
	struct parties parties;
	json_t *j;

	if (!read_parties(result, &parties))
		return cli_fail(cli, ASSAY_NO_MEMORY, NULL);
	report.currency = parties.asset;
	if (!cli->json) {
		printf("%s%s: verified%s\n", print_green(cli), path, print_plain(cli));
		report_print(cli, &report);
		print_parties(&parties);
		return EXIT_DONE;
	}
	j = report_json(&report);
	json_object_set_new(j, "verified", json_true());
	json_object_set_new(j, "logged", json_boolean(parties.logged));
	json_object_set_new(j, "parties", parties_json(&parties));
	return cli_print_json(j);
}

static int run_verify(int argc, char **argv)
{
	assay_result_t *result = NULL;
	struct cli cli;
	int option;
	int code;

	cli_begin(&cli, &verify_command);
	while ((option = cli_option(&cli, argc, argv, NULL)) != -1)
		return option == CLI_HELPED ? EXIT_DONE : EXIT_USAGE;
	if (argc - optind != 1)
		return cli_usage(&cli, "name one BUNDLE", "");
	code = verify_file(&cli, argv[optind], &result);
	if (code == EXIT_DONE)
		code = tell(&cli, argv[optind], result);
	assay_result_free(result);
	return code;
}

const struct command verify_command = {
	.name = "verify",
	.summary = "check a bundle offline: signatures, links, log, draw, and the checks again",
	.usage = "",
	.example = "assay verify lake.assay",
	.run = run_verify,
};

#include "buyer-sdk/cli/up.h"

#include "proto/core/rules.h"
#include "proto/os/clock.h"
#include "proto/os/file.h"
#include "proto/seal/digest.h"

#include <unistd.h>

#define DEMO_DEPOSIT_MICROS INT64_C(10000000) /* 10 XTS */
#define DEMO_LAT_E7         473769000
#define DEMO_LON_E7         85417000
#define DEMO_RADIUS_M       500
#define DEMO_PRICE_MICROS   200000
#define WAIT_SLICE_MS       100
#define BALANCES_MAX        32

/* Whose balances are shown. */
enum { PARTY_BUYER, PARTY_NODE, PARTY_VERIFIER, PARTY_ESCROW, PARTIES };

static const char *const party_names[PARTIES] = { "buyer", "node", "verifier", "fee account" };
static const char *const party_keys[PARTIES] = { "buyer/keys", "node/keys", "verifier/keys",
	"escrow/keys" };

struct purchase {
	const char *name; /* "photo" */
	const char *file; /* of the payload */
	assay_buy_options_t options;
	char payload_path[CLI_PATH_MAX];
	char bundle_path[CLI_PATH_MAX];
	char digest[ID_TEXT_MAX];
	int64_t elapsed_ms;
	int64_t before[PARTIES];
	int64_t after[PARTIES];
	assay_result_t *result;
	const char *told; /* the state that was last shown where there is no terminal */
	bool verified;
	bool tampered_refused;
};

struct demo {
	struct cli cli;
	struct up up;
	assay_t *parties[PARTIES];
	struct purchase purchases[2];
};

static void say_step(const char *what)
{
	fprintf(stderr, "* %s\n", what);
}

/* All that a party owns and is not held, in the market's asset. */
static int read_balances(struct demo *d, int64_t ret_micros[PARTIES])
{
	for (size_t i = 0; i < PARTIES; i++) {
		assay_balance_t balances[BALANCES_MAX];
		size_t n = 0;
		assay_status_t status = assay_balances(d->parties[i], balances, BALANCES_MAX, &n);

		if (status != ASSAY_OK)
			return cli_fail(&d->cli, status, assay_error(d->parties[i]));
		ret_micros[i] = 0;
		for (size_t k = 0; k < MIN(n, (size_t)BALANCES_MAX); k++)
			if (strcmp(balances[k].purpose, "held") != 0 &&
				strcmp(balances[k].purpose, "rail_clearing") != 0)
				ret_micros[i] += balances[k].amount_micros;
	}
	return EXIT_DONE;
}

static int open_parties(struct demo *d)
{
	for (size_t i = 0; i < PARTIES; i++) {
		assay_options_t options = ASSAY_OPTIONS_INIT;
		char keys[CLI_PATH_MAX];

		if (snprintf(keys, sizeof(keys), "%s/%s", d->up.dir, party_keys[i]) >=
			(int)sizeof(keys))
			return cli_usage(&d->cli, "the directory's name is too long", "");
		options.dir = d->up.dir;
		options.keys_dir = keys;

		assay_status_t status = assay_open(&options, &d->parties[i]);

		if (status != ASSAY_OK)
			return cli_fail(&d->cli, status, assay_error(NULL));
	}
	return EXIT_DONE;
}

static void show_progress(const struct demo *d, struct purchase *p, int64_t since_ns)
{
	const char *state = p->result ? assay_result_state(p->result) : "POSTED";
	const char *node = p->result ? assay_result_node(p->result) : "";
	double seconds = (double)(clock_mono_ns() - since_ns) / 1e9;

	if (d->cli.progress) {
		fprintf(stderr, "\r  %s: %-10s %5.1f s %s\033[K", p->name, state, seconds, node);
	} else if (!d->cli.json && state != p->told) {
		fprintf(stderr, "  %s: %s %.1f s %s\n", p->name, state, seconds, node);
		p->told = state;
	}
}

/* Waits in slices, so that progress can be shown and Ctrl-C be heard. */
static assay_status_t wait_ended(
	struct demo *d, struct purchase *p, const char *id, int64_t since_ns)
{
	assay_t *buyer = d->parties[PARTY_BUYER];
	assay_status_t status;

	do {
		status = assay_wait(buyer, id, WAIT_SLICE_MS, &p->result);
		show_progress(d, p, since_ns);
		if (status == ASSAY_TIMEOUT) {
			assay_result_free(p->result);
			p->result = NULL;
		}
	} while (status == ASSAY_TIMEOUT && supervisor_wait(&d->up.supervisor, 0));
	if (d->cli.progress)
		fprintf(stderr, "\n");
	return status;
}

static int save(struct demo *d, const char *name, const char *suffix, struct span bytes,
	char path[static CLI_PATH_MAX])
{
	if (snprintf(path, CLI_PATH_MAX, "%s/%s%s", d->up.dir, name, suffix) >= CLI_PATH_MAX)
		return cli_usage(&d->cli, "the directory's name is too long", "");

	int r = file_write_durable(path, bytes, 0600);

	if (r < 0) {
		fprintf(stderr, "assay demo: %s: %s\n", path, strerror(-r));
		return EXIT_FAULT;
	}
	return EXIT_DONE;
}

static int save_all(struct demo *d, struct purchase *p)
{
	struct span payload;
	struct span bundle;

	if (assay_result_payload(p->result, &payload.p, &payload.n) != ASSAY_OK ||
		assay_result_bundle(p->result, &bundle.p, &bundle.n) != ASSAY_OK)
		return cli_fail(&d->cli, ASSAY_UNKNOWN_REQUEST, NULL);

	struct id digest = digest_of(payload);

	id_text(&digest, p->digest);

	int r = save(d, p->file, "", payload, p->payload_path);

	return r == EXIT_DONE ? save(d, p->name, ".assay", bundle, p->bundle_path) : r;
}

/* One byte in the middle of a copy: whatever it is, the copy must not pass. */
static int tamper(struct demo *d, struct purchase *p)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	char path[CLI_PATH_MAX];
	size_t n;
	int r = file_read(p->bundle_path, (size_t)PAYLOAD_MAX * 2, &bytes, &n);

	if (r < 0) {
		fprintf(stderr, "assay demo: %s: %s\n", p->bundle_path, strerror(-r));
		return EXIT_FAULT;
	}
	p->verified = assay_verify(bytes, n, NULL) == ASSAY_OK;
	if (!p->verified)
		fprintf(stderr, "assay demo: %s: %s\n", p->bundle_path, assay_error(NULL));
	bytes[n / 2] ^= 1;
	r = save(d, p->name, "-tampered.assay", SPAN(bytes, n), path);
	p->tampered_refused = assay_verify(bytes, n, NULL) == ASSAY_VERIFY_FAILED;
	if (r == EXIT_DONE && !d->cli.json)
		printf("  offline: %s %s; one byte changed in %s: %s\n", p->bundle_path,
			p->verified ? "verifies" : "DOES NOT VERIFY", path,
			p->tampered_refused ? "refused" : "NOT REFUSED");
	return r;
}

static void show(const struct demo *d, const struct purchase *p)
{
	char money[2][32];
	char time[40];
	const char *a;
	const char *b;
	const char *c;
	int64_t at_ns;

	printf("\n%s %s\n  request  %s\n  node     %s\n  source   %s, trust tier %s\n  price    %s XTS, after %lld ms\n",
		p->name, assay_result_state(p->result), assay_result_request(p->result),
		assay_result_node(p->result), assay_result_source(p->result),
		assay_result_tier(p->result),
		cli_money(assay_result_price_micros(p->result), money[0]),
		(long long)p->elapsed_ms);
	for (size_t i = 0; assay_result_moment(p->result, i, &a, &at_ns); i++)
		printf("  state    %-12s %s\n", a, cli_time(at_ns, time));
	for (size_t i = 0; assay_result_check(p->result, i, &a, &b, &c); i++)
		printf("  check    %-16s %s%s%s%s %s\n", a,
			d->cli.colour ? (strcmp(b, "pass") == 0 ? "\033[32m" : "\033[31m") : "", b,
			d->cli.colour ? "\033[0m" : "", c[0] ? "  " : "", c);
	for (size_t i = 0; i < PARTIES; i++)
		printf("  balance  %-12s %s -> %s XTS\n", party_names[i],
			cli_money(p->before[i], money[0]), cli_money(p->after[i], money[1]));
	printf("  payload  %s\n  sha256   %s\n  bundle   %s\n", p->payload_path, p->digest,
		p->bundle_path);
}

static int buy_one(struct demo *d, struct purchase *p)
{
	assay_t *buyer = d->parties[PARTY_BUYER];
	char id[ASSAY_ID_SIZE];
	int64_t since_ns = clock_mono_ns();
	int r = read_balances(d, p->before);

	if (r != EXIT_DONE)
		return r;

	assay_status_t status = assay_post(buyer, &p->options, id);

	if (status == ASSAY_OK)
		status = wait_ended(d, p, id, since_ns);
	if (status != ASSAY_OK)
		return d->up.supervisor.interrupted ? EXIT_FAULT
						    : cli_fail(&d->cli, status, assay_error(buyer));
	p->elapsed_ms = (clock_mono_ns() - since_ns) / NS_PER_MS;
	r = read_balances(d, p->after);
	if (r == EXIT_DONE)
		r = save_all(d, p);
	if (r == EXIT_DONE && !d->cli.json)
		show(d, p);
	return r == EXIT_DONE ? tamper(d, p) : r;
}

static json_t *balances_json(const int64_t micros[PARTIES])
{
	return json_pack("{s:I,s:I,s:I,s:I}", "buyer", (json_int_t)micros[PARTY_BUYER], "node",
		(json_int_t)micros[PARTY_NODE], "verifier", (json_int_t)micros[PARTY_VERIFIER],
		"fee", (json_int_t)micros[PARTY_ESCROW]);
}

static json_t *purchase_json(const struct purchase *p)
{
	json_t *checks = json_array();
	json_t *states = json_array();
	const char *a;
	const char *b;
	const char *c;
	int64_t at_ns;

	for (size_t i = 0; assay_result_check(p->result, i, &a, &b, &c); i++)
		json_array_append_new(
			checks, json_pack("{s:s,s:s,s:s}", "name", a, "result", b, "detail", c));
	for (size_t i = 0; assay_result_moment(p->result, i, &a, &at_ns); i++)
		json_array_append_new(
			states, json_pack("{s:s,s:I}", "state", a, "at_ns", (json_int_t)at_ns));
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:I,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:b}",
		"request_id", assay_result_request(p->result), "state",
		assay_result_state(p->result), "node", assay_result_node(p->result), "source",
		assay_result_source(p->result), "tier", assay_result_tier(p->result),
		"price_micros", (json_int_t)assay_result_price_micros(p->result), "currency", "XTS",
		"elapsed_ms", (json_int_t)p->elapsed_ms, "bundle", p->bundle_path, "payload",
		p->payload_path, "payload_sha256", p->digest, "checks", checks, "states", states,
		"balances_before", balances_json(p->before), "balances_after",
		balances_json(p->after), "verified_offline", p->verified);
}

static void plan(struct demo *d)
{
	assay_buy_options_t base = ASSAY_BUY_OPTIONS_INIT;

	base.lat_e7 = DEMO_LAT_E7;
	base.lon_e7 = DEMO_LON_E7;
	base.radius_m = DEMO_RADIUS_M;
	base.price_max_micros = DEMO_PRICE_MICROS;
	d->purchases[0] =
		(struct purchase){ .name = "photo", .file = "photo.jpg", .options = base };
	d->purchases[0].options.kind = KIND_CAMERA_STILL;
	d->purchases[0].options.width = 640;
	d->purchases[0].options.height = 480;
	d->purchases[0].options.freshness_ms = 60000;
	d->purchases[1] = (struct purchase){
		.name = "measurement", .file = "measurement.cbor", .options = base
	};
	d->purchases[1].options.kind = KIND_VOLTAGE_DC;
	d->purchases[1].options.unit = "V";
	d->purchases[1].options.low = 0;
	d->purchases[1].options.high = 1000;
	d->purchases[1].options.exponent = -1;
}

static bool all_good(const struct demo *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(d->purchases); i++) {
		const struct purchase *p = &d->purchases[i];

		if (!p->result || strcmp(assay_result_state(p->result), "SETTLED") != 0 ||
			!p->verified || !p->tampered_refused)
			return false;
	}
	return true;
}

static void show_next(const struct demo *d)
{
	/* Programs that are not installed are run by the script that told this one where they are. */
	const char *run = getenv("ASSAY_BIN_DIR") ? "./dev run " : "";
	const char *dir = d->up.dir;

	printf("\nEverything stays in %s. Next:\n"
	       "  %sassay verify %s\n"
	       "  %sassay up --demo --dir %s\n"
	       "and while that runs this market again, in another terminal, buy from it or sell in it:\n"
	       "  %sassay buy measure --dir %s --at 47.3769,8.5417 --radius 500 --unit V --max 0.20\n"
	       "  %sassay-node --dir ./mynode --broker %s/broker/contact.json --escrow %s/escrow/contact.json \\\n"
	       "    --verifier %s --camera v4l2:/dev/video0 --place LAT,LON --price 0.05\n",
		dir, run, d->purchases[0].bundle_path, run, dir, run, dir, run, dir, dir,
		d->up.verifier_did);
}

static int run_purchases(struct demo *d)
{
	assay_status_t status;
	int r = open_parties(d);

	if (r != EXIT_DONE)
		return r;
	if (!d->cli.json)
		say_step("opening a buyer's account with 10 XTS of play money");
	status = assay_deposit(d->parties[PARTY_BUYER], "XTS", DEMO_DEPOSIT_MICROS, NULL);
	if (status != ASSAY_OK)
		return cli_fail(&d->cli, status, assay_error(d->parties[PARTY_BUYER]));
	for (size_t i = 0; i < ARRAY_SIZE(d->purchases); i++) {
		/* Nothing is bought any more after Ctrl-C. */
		r = supervisor_wait(&d->up.supervisor, 0) ? buy_one(d, &d->purchases[i])
							  : EXIT_FAULT;
		if (r != EXIT_DONE)
			return r;
	}
	if (!all_good(d))
		return EXIT_VERIFY_FAILED;
	if (d->cli.json)
		return cli_print_json(json_pack("{s:o,s:o,s:b,s:s}", "photo",
			purchase_json(&d->purchases[0]), "measurement",
			purchase_json(&d->purchases[1]), "tampered_refused", 1, "dir", d->up.dir));
	show_next(d);
	return EXIT_DONE;
}

static int fresh_dir(struct demo *d)
{
	const char *tmp = getenv("TMPDIR");

	if (d->cli.dir)
		return snprintf(d->up.dir, sizeof(d->up.dir), "%s", d->cli.dir) <
				       (int)sizeof(d->up.dir)
			       ? 0
			       : -1;
	if (snprintf(d->up.dir, sizeof(d->up.dir), "%s/assay-demo-XXXXXX",
		    tmp && *tmp ? tmp : "/tmp") >= (int)sizeof(d->up.dir))
		return -1;
	return mkdtemp(d->up.dir) ? 0 : -1;
}

static int run_demo(int argc, char **argv)
{
	static const struct option own[] = { { "camera", required_argument, NULL, 'c' }, { 0 } };
	static struct demo d;
	int option;

	cli_begin(&d.cli, &demo_command);
	d.up.demo = true;
	while ((option = cli_option(&d.cli, argc, argv, own)) != -1) {
		if (option == CLI_HELPED)
			return EXIT_DONE;
		if (option == '?')
			return EXIT_USAGE;
		if (option == 'c')
			d.up.camera = optarg;
	}
	if (optind < argc)
		return cli_usage(&d.cli, "unexpected: ", argv[optind]);
	if (fresh_dir(&d) < 0)
		return cli_usage(&d.cli, "no directory can be made: ", d.up.dir);
	plan(&d);
	supervisor_init(&d.up.supervisor);

	int r = up_start(&d.up, d.cli.json ? NULL : say_step);

	r = r == 0 ? run_purchases(&d) : EXIT_FAULT;
	for (size_t i = 0; i < PARTIES; i++)
		assay_close(d.parties[i]);
	for (size_t i = 0; i < ARRAY_SIZE(d.purchases); i++)
		assay_result_free(d.purchases[i].result);
	up_stop(&d.up);
	return r;
}

const struct command demo_command = {
	.name = "demo",
	.summary = "run a market in a fresh directory, buy a photograph and a voltage",
	.usage =
		"  --camera SRC     the node's camera: v4l2:DEV, rtsp://..., replay:FILE-or-FOLDER, test\n",
	.example = "assay demo --camera v4l2:/dev/video0",
	.run = run_demo,
};

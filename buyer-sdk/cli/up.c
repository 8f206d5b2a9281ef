#include "buyer-sdk/cli/up.h"

#include "proto/base/text.h"
#include "proto/os/file.h"

#include <sys/stat.h>
#include <unistd.h>

#define MARKET_NAME "local"
#define DEMO_PLACE \
	"47.3769,8.5417" /* where the photograph that comes with it says it was taken \
			  */

static int sub_path(const struct up *up, const char *name, char out[static CLI_PATH_MAX])
{
	int n = snprintf(out, CLI_PATH_MAX, "%s/%s", up->dir, name);

	return n < 0 || n >= CLI_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* The last two lines of a log: most often what is wrong, and what to do. Controls are shown as '?'. */
static void print_last_lines(const char *log_path)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t n;
	size_t start;
	int lines = 0;

	if (file_read(log_path, 1 << 20, &bytes, &n) < 0 || n == 0)
		return;
	n -= bytes[n - 1] == '\n';
	for (start = n; start > 0; start--) {
		if (bytes[start - 1] == '\n' && ++lines == 2)
			break;
		if (bytes[start - 1] != '\n' &&
			(bytes[start - 1] < 0x20 || bytes[start - 1] == 0x7f))
			bytes[start - 1] = '?';
	}
	fprintf(stderr, "%.*s\n", (int)MIN(n - start, (size_t)1024), (const char *)bytes + start);
}

static int failed(const char *name, const struct child *child, int error)
{
	if (error == -EINTR)
		return error;
	fprintf(stderr, "assay: %s did not start: %s%s%s\n", name,
		error == -ECHILD ? "it ended" : strerror(-error), child ? "; see " : "",
		child ? child->log_path : "");
	if (child)
		print_last_lines(child->log_path);
	return error;
}

/* Starts a program with `--dir DIR/name` and the pairs that follow, ended by NULL. */
static int start(struct up *up, const char *name, const char *program, const char *const *args,
	size_t n_args, struct child **ret_child)
{
	char log_name[64];
	char log_path[CLI_PATH_MAX];
	int n = snprintf(log_name, sizeof(log_name), "log/%s.log", name);

	if (n < 0 || (size_t)n >= sizeof(log_name) || sub_path(up, log_name, log_path) < 0)
		return failed(name, NULL, -ENAMETOOLONG);

	struct child *child = supervisor_add(&up->supervisor, name, program, log_path);

	if (!child)
		return failed(name, NULL, -ENOENT);
	for (size_t i = 0; i < n_args; i++)
		if (!supervisor_arg(child, args[i]))
			return failed(name, child, -E2BIG);

	int r = supervisor_start(&up->supervisor, child);

	if (r < 0)
		return failed(name, child, r);
	*ret_child = child;
	return 0;
}

/* The did in a daemon's ready line. */
static int did_of(const struct child *child, char out[static DID_TEXT_MAX])
{
	json_error_t error;
	json_t *line = json_loads(child->ready, JSON_REJECT_DUPLICATES, &error);
	const char *did = json_string_value(json_object_get(line, "did"));
	int r = -EBADMSG;

	if (did && strlen(did) < DID_TEXT_MAX) {
		strcpy(out, did);
		r = 0;
	}
	json_decref(line);
	return r;
}

#define START(up, name, program, child, ...) \
	start(up, name, program, (const char *const[]){ __VA_ARGS__ }, \
		sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), child)

static int start_market(struct up *up, void (*say)(const char *what))
{
	char escrow_dir[CLI_PATH_MAX];
	char broker_dir[CLI_PATH_MAX];
	char verifier_dir[CLI_PATH_MAX];
	char escrow[CLI_PATH_MAX];
	char broker[CLI_PATH_MAX];
	struct child *child;
	int r;

	if (sub_path(up, "escrow", escrow_dir) < 0 || sub_path(up, "broker", broker_dir) < 0 ||
		sub_path(up, "verifier", verifier_dir) < 0 ||
		sub_path(up, "escrow/contact.json", escrow) < 0 ||
		sub_path(up, "broker/contact.json", broker) < 0)
		return -ENAMETOOLONG;
	say("starting the escrow");
	r = START(up, "escrow", "assay-escrow", &child, "--dir", escrow_dir, "--market",
		MARKET_NAME, "--play", "--asset", "XTS", "--json");
	if (r == 0)
		r = contact_read(escrow, &up->escrow);
	if (r < 0)
		return r;
	say("starting the broker");
	r = START(up, "broker", "assay-broker", &child, "--dir", broker_dir, "--market",
		MARKET_NAME, "--escrow", escrow, "--json");
	if (r == 0)
		r = contact_read(broker, &up->broker);
	if (r < 0)
		return r;
	say("starting the verifier");
	r = START(up, "verifier", "assay-verifier", &child, "--dir", verifier_dir, "--market",
		MARKET_NAME, "--escrow", escrow, "--broker", broker, "--json");
	return r < 0 ? r : did_of(child, up->verifier_did);
}

/* The photograph that comes with the program: in the source tree, or installed. */
static int demo_photo(char out[static CLI_PATH_MAX])
{
	static const char *const places[] = { ASSAY_SOURCE_DIR "/examples/photo/lake.jpg",
		ASSAY_DATA_DIR "/lake.jpg" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], R_OK) == 0) {
			snprintf(out, CLI_PATH_MAX, "replay:%s", places[i]);
			return 0;
		}
	return -ENOENT;
}

/* The demonstration's instrument is simulated, and its node says so: evidence of it is synthetic. */
static int write_node_config(const struct up *up, char path[static CLI_PATH_MAX])
{
	json_t *config = json_pack("{s:[{s:s,s:b,s:s}]}", "instruments", "address", up->instrument,
		"synthetic", 1, "calibration", "none: simulated");
	char *text = config ? json_dumps(config, JSON_INDENT(2)) : NULL;
	int r = -ENOMEM;

	if (text && sub_path(up, "node.json", path) == 0)
		r = file_write_durable(path, SPAN_STR(text), 0600);
	free(text);
	json_decref(config);
	return r;
}

static int start_demo(struct up *up, void (*say)(const char *what))
{
	char config[CLI_PATH_MAX];
	char node_dir[CLI_PATH_MAX];
	char escrow[CLI_PATH_MAX];
	char broker[CLI_PATH_MAX];
	char photo[CLI_PATH_MAX];
	struct child *child;
	int r;

	if (sub_path(up, "node", node_dir) < 0 || sub_path(up, "escrow/contact.json", escrow) < 0 ||
		sub_path(up, "broker/contact.json", broker) < 0)
		return -ENAMETOOLONG;
	if (!up->camera) {
		if (demo_photo(photo) < 0) {
			fprintf(stderr,
				"assay: the demonstration's photograph is missing; name a camera with --camera\n");
			return -ENOENT;
		}
		up->camera = photo;
	}
	say("starting a small SCPI instrument");
	r = START(up, "instrument", "scpi-instrument", &child, "--port", "0");
	if (r < 0)
		return r;
	if (sscanf(child->ready, "listening %63s", up->instrument) != 1)
		return failed("instrument", child, -EBADMSG);
	r = write_node_config(up, config);
	if (r < 0)
		return failed("node", NULL, r);
	say("starting a node with camera and instrument");
	r = START(up, "node", "assay-node", &child, "--dir", node_dir, "--market", MARKET_NAME,
		"--escrow", escrow, "--broker", broker, "--verifier", up->verifier_did, "--camera",
		up->camera, "--config", config, "--place", DEMO_PLACE, "--price", "0.05", "--json");
	up->camera = NULL;
	return r < 0 ? r : did_of(child, up->node_did);
}

static json_t *contact_json(const struct contact *contact)
{
	char did[DID_TEXT_MAX];
	char curve[65];
	char encryption[65];

	hex_encode(contact->curve_key.b, 32, curve);
	hex_encode(contact->encryption_key, 32, encryption);
	return json_pack("{s:s,s:s,s:s,s:s}", "did", did_text(&contact->did, did), "curve_key",
		curve, "encryption_key", encryption, "endpoint", contact->endpoint);
}

static int write_market(const struct up *up)
{
	char path[CLI_PATH_MAX];
	json_t *market = json_pack("{s:s,s:s,s:o,s:o,s:[s]}", "name", MARKET_NAME, "asset", "XTS",
		"broker", contact_json(&up->broker), "escrow", contact_json(&up->escrow),
		"verifiers", up->verifier_did);
	char *text = market ? json_dumps(market, JSON_INDENT(2)) : NULL;
	int r = -ENOMEM;

	if (text && sub_path(up, "market.json", path) == 0)
		r = file_write_durable(path, SPAN_STR(text), 0644);
	free(text);
	json_decref(market);
	return r;
}

static int make_buyer(const struct up *up)
{
	char path[CLI_PATH_MAX];
	int r = sub_path(up, "buyer", path);

	if (r == 0)
		r = file_make_private_dir(path);
	if (r == 0)
		r = sub_path(up, "buyer/keys", path);
	if (r == 0)
		r = identity_new(path, MARKET_NAME);
	return r == -EEXIST ? 0 : r;
}

static void say_nothing(const char *what)
{
	(void)what; /* ignored: nobody asked to be told */
}

int up_start(struct up *up, void (*say)(const char *what))
{
	char path[CLI_PATH_MAX];
	int r = file_make_private_dir(up->dir);

	if (r == 0)
		r = sub_path(up, "log", path);
	if (r == 0)
		r = file_make_private_dir(path);
	if (r < 0) {
		fprintf(stderr, "assay: %s: %s\n", up->dir, strerror(-r));
		return r;
	}
	if (!say)
		say = say_nothing;
	r = start_market(up, say);
	if (r == 0)
		r = write_market(up);
	if (r == 0)
		r = make_buyer(up);
	if (r == 0 && up->demo)
		r = start_demo(up, say);
	return r;
}

void up_stop(struct up *up)
{
	supervisor_stop(&up->supervisor);
}

json_t *up_json(const struct up *up)
{
	json_t *j = json_pack("{s:b,s:s,s:o,s:o,s:s,s:{s:s,s:s,s:s,s:s},s:s,s:s}", "ready", 1,
		"dir", up->dir, "broker", contact_json(&up->broker), "escrow",
		contact_json(&up->escrow), "verifier", up->verifier_did, "keys", "buyer",
		"buyer/keys", "broker", "broker/keys", "escrow", "escrow/keys", "verifier",
		"verifier/keys", "payloads", "broker/payloads", "log", "broker/broker.db");

	if (j && up->demo) {
		json_object_set_new(j, "node", json_string(up->node_did));
		json_object_set_new(j, "instrument", json_string(up->instrument));
	}
	return j;
}

static void say_step(const char *what)
{
	fprintf(stderr, "%s\n", what);
}

static int run_up(int argc, char **argv)
{
	static const struct option own[] = { { "demo", no_argument, NULL, 'd' },
		{ "camera", required_argument, NULL, 'c' }, { 0 } };
	static struct up up;
	struct cli cli;
	int option;

	cli_begin(&cli, &up_command);
	while ((option = cli_option(&cli, argc, argv, own)) != -1) {
		if (option == CLI_HELPED)
			return EXIT_DONE;
		if (option == '?')
			return EXIT_USAGE;
		if (option == 'd')
			up.demo = true;
		if (option == 'c')
			up.camera = optarg;
	}
	if (optind < argc)
		return cli_usage(&cli, "unexpected: ", argv[optind]);
	if (cli.dir ? snprintf(up.dir, sizeof(up.dir), "%s", cli.dir) >= (int)sizeof(up.dir)
		    : cli_config_dir(up.dir) < 0)
		return cli_usage(&cli, "--dir is too long", "");
	supervisor_init(&up.supervisor);

	int r = up_start(&up, cli.json ? NULL : say_step);

	if (r == 0) {
		if (cli.json) {
			cli_print_json(up_json(&up));
		} else {
			printf("The market runs in %s. Ctrl-C ends it.\nbroker %s\nescrow %s\n",
				up.dir, up.broker.endpoint, up.escrow.endpoint);
			fflush(stdout);
		}
		while (supervisor_wait(&up.supervisor, 1000))
			;
	}
	up_stop(&up);
	return r == 0 || r == -EINTR ? EXIT_DONE : EXIT_FAULT;
}

const struct command up_command = {
	.name = "up",
	.summary = "run a market on this machine: escrow, broker, verifier",
	.usage =
		"  --demo           also a node with a camera and a small instrument\n"
		"  --camera SRC     the node's camera: v4l2:DEV, rtsp://..., replay:FILE-or-FOLDER, test\n",
	.example = "assay up --demo --dir ./market",
	.run = run_up,
};

/* assay-node: options, devices, core, loop. */
#include "node_sql.h"
#include "proto/os/entropy.h"
#include "proto/os/file.h"
#include "proto/os/logline.h"
#include "proto/shell/daemon.h"
#include "sensor-node/offerings.h"
#include "sensor-node/watch.h"

#include <stdio.h>

#define OPTIONS_MAX 128 /* options given, verifiers and instruments among them */

struct given {
	const char *name;
	const char *value;
};

/* Applied after the file, wherever --config stands. */
struct options {
	const char *config_path;
	struct given given[OPTIONS_MAX];
	size_t n_given;
};

/* Everything that lives from daemon_open() to daemon_deinit(). */
struct program {
	struct daemon *daemon;
	struct config config;
	struct node_config node_config;
	struct capture_options capture_options;
	struct core_ops ops;
	struct camera *camera;
	struct node *node;
	struct capture *capture;
	int fault; /* a result that the shell could not take */
};

static int take_option(void *ctx, const char *name, const char *value)
{
	struct options *o = ctx;

	if (strcmp(name, "config") == 0) {
		o->config_path = value;
		return 0;
	}
	if (o->n_given == OPTIONS_MAX) {
		fprintf(stderr, "assay-node: too many options: use --config FILE\n");
		return EXIT_USAGE;
	}
	o->given[o->n_given++] = (struct given){ name, value };
	return 0;
}

static int configure(struct config *config, const struct options *o)
{
	struct config_error error = { "" };
	int r = 0;

	config_init(config);
	if (o->config_path) {
		r = config_read(o->config_path, config, &error);
		if (r < 0) {
			fprintf(stderr, "assay-node: %s: %s\n", o->config_path, error.text);
			return EXIT_USAGE;
		}
	}
	for (size_t i = 0; i < o->n_given && r == 0; i++)
		r = config_option(config, o->given[i].name, o->given[i].value, &error);
	if (r == 0)
		r = config_check(config, &error);
	if (r < 0) {
		fprintf(stderr, "assay-node: %s\n", error.text);
		return EXIT_USAGE;
	}
	return 0;
}

static int open_camera(struct program *p)
{
	const struct config_camera *c = &p->config.camera;
	const struct camera_options options = {
		.width = (uint32_t)c->width,
		.height = (uint32_t)c->height,
		.fps = (uint32_t)c->fps,
	};
	struct camera_error error = { "" };

	if (c->source[0] == '\0')
		return 0;

	int r = camera_open(c->source, &options, &error, &p->camera);

	if (r < 0) {
		fprintf(stderr,
			"assay-node: the camera does not work: %s\n"
			"Check --camera, or try --camera test for a pattern instead of a picture.\n",
			error.text[0] ? error.text : strerror(-r));
		return EXIT_FAULT;
	}
	return 0;
}

/* In the worker's thread. A result that is lost would leave its assignment hanging: the node ends
 * and begins again from its rows. */
static void done(void *ctx, uint64_t ticket, int kind, int status, const void *detail, size_t size)
{
	struct program *p = ctx;
	int r = shell_work_done(p->daemon->shell, ticket, kind, status, REFUSED_NOT, detail, size);

	if (r < 0) {
		logline(LEVEL_ERROR, "result_lost", KV_ERR("error", r));
		__atomic_store_n(&p->fault, r, __ATOMIC_RELAXED);
		shell_stop(p->daemon->shell);
	}
}

/* In the shell's thread, after the commit. */
static int start_work(void *ctx, const struct work *work)
{
	struct program *p = ctx;

	if (work->kind == NODE_WORK_CAPTURE) {
		const struct node_capture *want = work->detail;

		logline(LEVEL_INFO, "assigned", KV_HEX("assignment", SPAN_OF(want->assignment)),
			KV_STR("kind", want->job.kind));
	}
	return capture_start(p->capture, work);
}

static int fault(const char *what, int error)
{
	fprintf(stderr, "assay-node: %s: %s\n", what, strerror(-error));
	return EXIT_FAULT;
}

static int dial(struct daemon *d, const struct config *config)
{
	int r = daemon_dial(d, config->broker);

	return r == 0 ? daemon_dial(d, config->escrow) : r;
}

static int serve(struct program *p)
{
	struct daemon *d = p->daemon;
	int r;

	offerings_build(&p->config, &d->contacts[0].did, &d->contacts[1].did, p->camera,
		&p->node_config, &p->capture_options);
	p->node_config.author = d->identity.author;
	p->node_config.keyring = d->keyring;
	entropy_fill(&p->node_config.secret, sizeof(p->node_config.secret));
	r = node_new(&p->node_config, &p->node);
	if (r < 0)
		return fault("an offering cannot be made of this configuration", r);
	p->ops = watch_ops();
	r = daemon_start(d, &p->ops, p->node, start_work, p);
	if (r >= 0)
		return r;
	p->capture_options.camera = p->camera;
	p->capture_options.blobs = d->blobs;
	p->capture_options.done = done;
	p->capture_options.ctx = p;
	r = capture_new(&p->capture_options, &p->capture);
	if (r < 0)
		return fault("the worker does not start", r);
	r = daemon_run(d);
	return r == EXIT_DONE && __atomic_load_n(&p->fault, __ATOMIC_RELAXED) ? EXIT_FAULT : r;
}

/* The worker reports to the shell, which steps the core: they end in that order. */
static void end(struct program *p)
{
	capture_free(p->capture);
	camera_close(p->camera);
	shell_free(p->daemon->shell);
	p->daemon->shell = NULL;
	node_free(p->node);
}

static int run(struct daemon *d, const struct options *o)
{
	_cleanup_(freep) struct program *p = calloc(1, sizeof(*p));

	if (!p)
		return fault("start", -ENOMEM);
	p->daemon = d;

	int r = configure(&p->config, o);

	if (r == 0)
		r = dial(d, &p->config);
	if (r == 0)
		r = open_camera(p);
	if (r == 0)
		r = serve(p);
	end(p);
	return r;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	const struct daemon_program program = {
		.name = "assay-node",
		.what = "captures what it is paid for, with a camera or an instrument, and signs it",
		.example = "assay-node --dir /var/lib/assay/node --broker broker.json --escrow escrow.json \\\n"
			   "    --verifier did:key:z6Mk... --camera v4l2:/dev/video0 --place 47.3769,8.5417 "
			   "--price 0.05",
		.role = ROLE_NODE,
		.sql = &node_sql,
		.db_name = "node.db",
		.payload_files = true,
		.options = {
			{ "broker", false, "FILE contact.json of the broker" },
			{ "escrow", false, "FILE contact.json of the escrow" },
			{ "config", false, "FILE what to offer, as JSON: see assay-node(1)" },
			{ "camera", false, "SRC v4l2:/dev/videoN, rtsp://..., replay:PATH, test" },
			{ "instrument", false, "HOST:PORT a voltmeter that speaks SCPI" },
			{ "place", false, "LAT,LON where the devices are, in degrees" },
			{ "price", false, "AMOUNT of one capture, such as 0.05" },
			{ "asset", false, "CODE of the money (XTS)" },
			{ "captures", false, "N at once or waiting for the device (8); then it is busy" },
			{ "verifier", false, "DID whose verdicts are accepted; several times" },
		},
		.option = take_option,
		.ctx = &options,
	};
	struct daemon daemon;
	int r = daemon_open(&daemon, &program, argc, argv);

	if (r < 0)
		r = run(&daemon, &options);
	daemon_deinit(&daemon);
	return r;
}

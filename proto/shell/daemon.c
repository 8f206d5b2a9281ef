#include "proto/shell/daemon.h"

#include "proto/base/text.h"
#include "proto/os/entropy.h"
#include "proto/os/file.h"
#include "proto/os/logline.h"
#include "proto/os/signals.h"
#include "proto/shell/control.h"

#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>

#define KEYRING_CAPACITY 65536

enum {
	OPTION_DIR = 256,
	OPTION_LISTEN,
	OPTION_ADMIT,
	OPTION_MARKET,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_OWN
};

static void print_help(const struct daemon_program *p)
{
	printf("%s - %s\n\nUsage:\n", p->name, p->what);
	printf("  %s --dir DIR [OPTIONS]     run until interrupted\n", p->name);
	printf("  %s snapshot DEST --dir DIR copy the running daemon's data, consistent, into DEST\n",
		p->name);
	printf("  %s stats --dir DIR         counters of the running daemon, as JSON\n", p->name);
	printf("  %s stop --dir DIR          end the running daemon\n\nOptions:\n", p->name);
	printf("  --dir DIR        its directory: keys, database, contact file; made when missing\n");
	printf("  --market NAME    name of the market, for new keys (%s)\n", DAEMON_MARKET_DEFAULT);
	if (p->listens) {
		printf("  --listen TCP     tcp://HOST:PORT (a free port on 127.0.0.1, then the same again)\n");
		printf("  --admit FILE     only these CURVE keys may connect, one in hex a line\n");
	}
	for (size_t i = 0; i < DAEMON_OPTIONS_MAX && p->options[i].name; i++)
		printf("  --%-14s %s\n", p->options[i].name, p->options[i].help);
	printf("  --json           say that it is ready as one JSON object\n  --help\n");
	printf("\nExample:\n  %s\n\n", p->example);
	printf("Exit codes: 0 done, 1 a fault (see the log on stderr), 2 usage, 75 disk full.\n");
}

static int usage(const struct daemon_program *p, const char *what, const char *value)
{
	fprintf(stderr, "%s: %s%s\nTry '%s --help'.\n", p->name, what, value, p->name);
	return EXIT_USAGE;
}

static int take_text(char *to, size_t cap, const char *value)
{
	if (strlen(value) >= cap)
		return -ENAMETOOLONG;
	memcpy(to, value, strlen(value) + 1);
	return 0;
}

static int take_option(struct daemon *d, int option, const char *value)
{
	const struct daemon_program *p = d->program;

	switch (option) {
	case OPTION_DIR:
		return take_text(d->dir, sizeof(d->dir), value) < 0
			       ? usage(p, "--dir is too long", "")
			       : 0;
	case OPTION_LISTEN:
		return take_text(d->listen, sizeof(d->listen), value) < 0
			       ? usage(p, "--listen is too long", "")
			       : 0;
	case OPTION_ADMIT:
		return take_text(d->allow_path, sizeof(d->allow_path), value) < 0
			       ? usage(p, "--admit is too long", "")
			       : 0;
	case OPTION_MARKET:
		return take_text(d->market, sizeof(d->market), value) < 0
			       ? usage(p, "--market is too long", "")
			       : 0;
	case OPTION_JSON:
		d->json = true;
		return 0;
	default:
		break;
	}
	if (option >= OPTION_OWN && option < OPTION_OWN + DAEMON_OPTIONS_MAX)
		return p->option(p->ctx, p->options[option - OPTION_OWN].name, value);
	return usage(p, "unknown option", "");
}

static int read_options(struct daemon *d, int argc, char **argv)
{
	const struct daemon_program *p = d->program;
	struct option options[8 + DAEMON_OPTIONS_MAX] = {
		{ "dir", required_argument, NULL, OPTION_DIR },
		{ "market", required_argument, NULL, OPTION_MARKET },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "help", no_argument, NULL, OPTION_HELP },
	};
	size_t n = 4;
	int option;

	if (p->listens) {
		options[n++] = (struct option){ "listen", required_argument, NULL, OPTION_LISTEN };
		options[n++] = (struct option){ "admit", required_argument, NULL, OPTION_ADMIT };
	}
	for (int i = 0; i < DAEMON_OPTIONS_MAX && p->options[i].name; i++)
		options[n++] = (struct option){ p->options[i].name,
			p->options[i].flag ? no_argument : required_argument, NULL,
			OPTION_OWN + i };
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h' || option == OPTION_HELP) {
			print_help(p);
			return EXIT_DONE;
		}
		if (option == '?')
			return usage(p, "that is not how it is called", "");

		int r = take_option(d, option, optarg ? optarg : "");

		if (r != 0)
			return r;
	}
	if (d->dir[0] == '\0')
		return usage(p, "--dir DIR is missing", "");
	return -1;
}

/* snapshot, stats, stop: a word to the daemon that runs in the same directory. */
static int run_command(const struct daemon *d, char **words, int n_words)
{
	char command[SHELL_LINE_MAX];
	char reply[CONTROL_REPLY_MAX];
	int n;

	if (strcmp(words[0], "snapshot") == 0 && n_words == 2) {
		_cleanup_(freep) char *path = realpath(words[1], NULL);

		if (!path && mkdir(words[1], 0700) == 0)
			path = realpath(words[1], NULL);
		if (!path)
			return usage(d->program, "no such directory: ", words[1]);
		n = snprintf(command, sizeof(command), "snapshot %s", path);
	} else if ((strcmp(words[0], "stats") == 0 || strcmp(words[0], "stop") == 0) &&
		   n_words == 1) {
		n = snprintf(command, sizeof(command), "%s", words[0]);
	} else {
		return usage(d->program, "unknown command: ", words[0]);
	}
	if (n < 0 || (size_t)n >= sizeof(command))
		return usage(d->program, "the path is too long", "");

	int r = control_command(d->control_path, command, reply);

	if (r == -ENOENT || r == -ECONNREFUSED) {
		fprintf(stderr, "%s: no daemon runs in %s: start it first\n", d->program->name,
			d->dir);
		return EXIT_UNREACHABLE;
	}
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", d->program->name,
			r == -EREMOTEIO ? reply : strerror(-r));
		return EXIT_FAULT;
	}
	printf("%s\n", reply);
	return EXIT_DONE;
}

static int fault(const struct daemon *d, const char *what, int error)
{
	const char *why = error > 0 ? refusal_sentence((enum refusal)error) : strerror(-error);

	fprintf(stderr, "%s: %s: %s\n", d->program->name, what, why);
	return EXIT_FAULT;
}

static int path_in(const struct daemon *d, const char *name, char *out, size_t cap)
{
	int n = snprintf(out, cap, "%s/%s", d->dir, name);

	return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

static int open_identity(struct daemon *d)
{
	char keys[SHELL_PATH_MAX];
	int r = path_in(d, "keys", keys, sizeof(keys));

	if (r == 0)
		r = file_make_private_dir(d->dir);
	if (r < 0)
		return fault(d, d->dir, r);
	r = identity_load(keys, &d->identity);
	if (r == -ENOENT) {
		r = identity_new(keys, d->market[0] ? d->market : DAEMON_MARKET_DEFAULT);
		if (r == 0)
			r = identity_load(keys, &d->identity);
	}
	return r == 0 ? -1 : fault(d, keys, r);
}

static int open_store(struct daemon *d)
{
	char path[SHELL_PATH_MAX];
	int r;

	d->keyring = keyring_new(KEYRING_CAPACITY);
	if (!d->keyring)
		return fault(d, "keyring", -ENOMEM);
	if (d->program->sql) {
		r = path_in(d, d->program->db_name, path, sizeof(path));
		if (r == 0)
			r = db_open(path, d->program->sql, &d->db);
		if (r == -EBUSY)
			fprintf(stderr, "%s: another one already runs in %s\n", d->program->name,
				d->dir);
		if (r < 0)
			return fault(d, path, r);
	}
	if (!d->program->payload_files)
		return -1;
	r = path_in(d, "payloads", d->blobs_path, sizeof(d->blobs_path));
	if (r == 0)
		r = blob_open(d->blobs_path, &d->blobs);
	return r == 0 ? -1 : fault(d, d->blobs_path, r);
}

/* The port of the last run, so that those who know the contact find it again. */
static void endpoint_of_last_run(struct daemon *d)
{
	char path[SHELL_PATH_MAX];
	struct contact contact;

	if (d->listen[0] == '\0' && path_in(d, "contact.json", path, sizeof(path)) == 0 &&
		contact_read(path, &contact) == 0)
		memcpy(d->listen, contact.endpoint, sizeof(d->listen));
	if (d->listen[0] == '\0')
		strcpy(d->listen, "tcp://127.0.0.1:0");
}

static int open_server(struct daemon *d)
{
	int r = net_new(&d->net);

	if (r < 0)
		return fault(d, "network", r);
	if (!d->program->listens)
		return -1;
	endpoint_of_last_run(d);

	const struct net_server_options options = {
		.endpoint = d->listen,
		.secret_key = d->identity.curve.secret_key,
		.allow_path = d->allow_path[0] ? d->allow_path : NULL,
	};

	r = net_server_new(d->net, &options, &d->server);
	return r == 0 ? -1 : fault(d, d->listen, r);
}

int daemon_open(struct daemon *daemon, const struct daemon_program *program, int argc, char **argv)
{
	*daemon = (struct daemon){ .program = program, .signals = -EBADF };

	int r = read_options(daemon, argc, argv);

	if (r >= 0)
		return r;
	if (path_in(daemon, "control", daemon->control_path, sizeof(daemon->control_path)) < 0)
		return usage(program, "--dir is too long", "");
	if (optind < argc)
		return run_command(daemon, argv + optind, argc - optind);
	r = signals_open(&daemon->signals);
	if (r < 0)
		return fault(daemon, "signals", r);
	r = open_identity(daemon);
	if (r < 0)
		r = open_store(daemon);
	if (r < 0)
		r = open_server(daemon);
	return r;
}

int daemon_dial(struct daemon *daemon, const char *path)
{
	if (daemon->n_contacts == SHELL_CONTACTS_MAX)
		return usage(daemon->program, "too many contacts: ", path);

	int r = contact_read(path, &daemon->contacts[daemon->n_contacts]);

	if (r < 0) {
		fprintf(stderr,
			"%s: %s is no contact file: %s\nTake the contact.json that the server wrote.\n",
			daemon->program->name, path, strerror(-r));
		return EXIT_USAGE;
	}
	daemon->n_contacts++;
	return 0;
}

int daemon_start(struct daemon *daemon, const struct core_ops *ops, void *core,
	int (*start_work)(void *ctx, const struct work *work), void *ctx)
{
	struct shell_options options = {
		.ops = ops,
		.core = core,
		.keyring = daemon->keyring,
		.identity = &daemon->identity,
		.role = daemon->program->role,
		.db = daemon->db,
		.blobs = daemon->blobs,
		.net = daemon->net,
		.server = daemon->server,
		.n_contacts = daemon->n_contacts,
		.start_work = start_work,
		.ctx = ctx,
		.signals = daemon->signals,
		.data_path = daemon->dir,
		.blobs_path = daemon->blobs ? daemon->blobs_path : NULL,
		.control_path = daemon->control_path,
		.memory_payloads = !daemon->blobs,
	};

	memcpy(options.contacts, daemon->contacts, sizeof(options.contacts));

	int r = shell_new(&options, &daemon->shell);

	return r == 0 ? -1 : fault(daemon, "shell", r);
}

static int say_ready(struct daemon *d)
{
	char did[DID_TEXT_MAX];
	const char *endpoint = d->server ? net_server_endpoint(d->server) : "";

	did_text(&d->identity.did, did);
	if (d->server) {
		char path[SHELL_PATH_MAX];
		struct contact contact;
		int r = path_in(d, "contact.json", path, sizeof(path));

		if (r == 0)
			r = contact_of(&d->identity, endpoint, &contact);
		if (r == 0)
			r = contact_write(path, &contact);
		if (r < 0)
			return fault(d, "contact.json", r);
	}
	if (d->json)
		printf("{\"ready\":true,\"program\":\"%s\",\"endpoint\":\"%s\",\"did\":\"%s\"}\n",
			d->program->name, endpoint, did);
	else
		printf("ready %s %s\n", d->server ? endpoint : "-", did);
	fflush(stdout);
	return -1;
}

int daemon_run(struct daemon *daemon)
{
	int r = say_ready(daemon);

	if (r >= 0)
		return r;
	r = shell_run(daemon->shell);
	if (r < 0)
		logline(LEVEL_ERROR, "ended", KV_ERR("error", r));
	return shell_exit_code(r);
}

void daemon_deinit(struct daemon *daemon)
{
	shell_free(daemon->shell);
	net_server_free(daemon->server);
	net_free(daemon->net);
	blob_free(daemon->blobs);
	db_free(daemon->db);
	keyring_free(daemon->keyring);
	identity_deinit(&daemon->identity);
	closep(&daemon->signals);
}

/* assay-broker: options, core, loop. */
#include "broker/core/broker.h"
#include "broker/core/match.h"
#include "broker_sql.h"
#include "proto/shell/daemon.h"

#include <stdio.h>
#include <stdlib.h>

struct options {
	const char *escrows[BROKER_ESCROWS_MAX];
	size_t n_escrows;
	size_t offerings; /* 0: BROKER_OFFERINGS_DEFAULT */
};

/* How many offerings there is room for. */
static int take_offerings(struct options *o, const char *value)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno != 0 || *value < '0' || *value > '9' || *end != '\0' || n == 0 ||
		n > MATCH_CAPACITY_MAX) {
		fprintf(stderr, "assay-broker: --offerings takes a number from 1 to %u\n",
			MATCH_CAPACITY_MAX);
		return EXIT_USAGE;
	}
	o->offerings = n;
	return 0;
}

static int take_option(void *ctx, const char *name, const char *value)
{
	struct options *o = ctx;

	if (strcmp(name, "offerings") == 0)
		return take_offerings(o, value);
	if (o->n_escrows == BROKER_ESCROWS_MAX) {
		fprintf(stderr, "assay-broker: at most %d escrows\n", BROKER_ESCROWS_MAX);
		return EXIT_USAGE;
	}
	o->escrows[o->n_escrows++] = value;
	return 0;
}

static int run(struct daemon *d, const struct options *o)
{
	struct broker_config config = { .author = d->identity.author, .offerings = o->offerings };
	struct broker *broker = NULL;

	if (o->n_escrows == 0) {
		fprintf(stderr,
			"assay-broker: --escrow FILE is missing: the contact.json of an escrow\n");
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < o->n_escrows; i++) {
		int r = daemon_dial(d, o->escrows[i]);

		if (r != 0)
			return r;
		config.escrows[config.n_escrows++] = d->contacts[i].did;
	}

	int r = broker_new(&config, &broker);

	if (r < 0) {
		fprintf(stderr, "assay-broker: %s\n", strerror(-r));
		return EXIT_FAULT;
	}
	r = daemon_start(d, &broker_ops, broker, NULL, NULL);
	if (r < 0)
		r = daemon_run(d);
	shell_free(d->shell);
	d->shell = NULL;
	broker_free(broker);
	return r;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	const struct daemon_program program = {
		.name = "assay-broker",
		.what = "matches requests with sensor nodes and keeps the log of evidence",
		.example =
			"assay-broker --dir /var/lib/assay/broker --escrow /var/lib/assay/escrow/contact.json",
		.role = ROLE_BROKER,
		.sql = &broker_sql,
		.db_name = "broker.db",
		.listens = true,
		.payload_files = true,
		.options = { { "escrow", false,
				     "FILE contact.json of an escrow; may stand several times" },
			{ "offerings", false, "N room for offerings (65536)" } },
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

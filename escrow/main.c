/* assay-escrow: options, core, loop. */
#include "escrow/core/escrow.h"
#include "escrow/defaults.h"
#include "escrow_sql.h"
#include "proto/base/sha256.h"
#include "proto/shell/daemon.h"

#include <sodium.h>
#include <stdio.h>

struct options {
	const char *assets[ESCROW_ASSETS_MAX];
	size_t n_assets;
	bool play;
};

static int take_option(void *ctx, const char *name, const char *value)
{
	struct options *o = ctx;

	if (strcmp(name, "play") == 0) {
		o->play = true;
		return 0;
	}
	if (o->n_assets == ESCROW_ASSETS_MAX) {
		fprintf(stderr, "assay-escrow: at most %d assets\n", ESCROW_ASSETS_MAX);
		return EXIT_USAGE;
	}
	o->assets[o->n_assets++] = value;
	return 0;
}

/* The secret behind all draws follows from a key that is on disk anyway, so nothing more must be
 * kept. */
static void derive_draw_secret(const struct identity *identity, uint8_t out[static 32])
{
	struct id secret = SHA256(
		SPAN_STR("assay draw secret v1"), SPAN_OF(identity->encryption_secret));

	memcpy(out, secret.b, 32);
	sodium_memzero(&secret, sizeof(secret));
}

static int run(struct daemon *d, const struct options *o)
{
	struct escrow_config config = {
		.author = d->identity.author,
		.keyring = d->keyring,
		.play_money = o->play,
	};
	struct escrow *escrow = NULL;
	struct defaults *defaults = NULL;

	if (o->n_assets == 0) {
		fprintf(stderr,
			"assay-escrow: --asset CODE is missing: ISO 4217, or XTS for play money\n");
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < o->n_assets; i++)
		config.assets[config.n_assets++] = SPAN_STR(o->assets[i]);
	memcpy(config.encryption_public, d->identity.encryption_public, 32);
	memcpy(config.encryption_secret, d->identity.encryption_secret, 32);
	derive_draw_secret(&d->identity, config.draw_secret_key);

	int r = escrow_new(&config, &escrow);

	if (r == 0)
		r = defaults_new(&defaults);
	sodium_memzero(config.draw_secret_key, sizeof(config.draw_secret_key));
	if (r < 0) {
		fprintf(stderr, "assay-escrow: %s\n",
			r == -EINVAL ? "an asset is no name of 3 to 128 bytes" : strerror(-r));
		escrow_free(escrow);
		return EXIT_FAULT;
	}
	r = daemon_start(d, &escrow_ops, escrow, defaults_start, defaults);
	if (r < 0) {
		defaults_attach(defaults, d->shell, d->db, d->blobs);
		r = daemon_run(d);
	}
	defaults_free(defaults);
	shell_free(d->shell);
	d->shell = NULL;
	escrow_free(escrow);
	return r;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	const struct daemon_program program = {
		.name = "assay-escrow",
		.what = "holds the money until the evidence is verified",
		.example = "assay-escrow --dir /var/lib/assay/escrow --asset XTS --play",
		.role = ROLE_ESCROW,
		.sql = &escrow_sql,
		.db_name = "escrow.db",
		.listens = true,
		.payload_files = true,
		.options = { { "asset", false,
				     "CODE currency that is served; may stand several times" },
			{ "play", true, "     play money: whoever asks gets a deposit" } },
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

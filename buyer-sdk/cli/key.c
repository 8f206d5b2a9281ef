/* assay key new|show: the identity that buys. */
#include "buyer-sdk/cli/print.h"
#include "buyer-sdk/src/market.h"
#include "proto/base/text.h"
#include "proto/os/file.h"
#include "proto/statement/statement.h"

#define MARKET_DEFAULT "local"

struct key_options {
	char keys[CLI_PATH_MAX];
	char market[IDENTITY_MARKET_MAX + 1];
};

static int options_of(struct cli *cli, const struct command *command, int argc, char **argv,
	struct key_options *o)
{
	static const struct option all[] = { { "keys", required_argument, NULL, 'k' },
		{ "market", required_argument, NULL, 'm' }, { 0 } };
	static const struct option keys_only[] = { { "keys", required_argument, NULL, 'k' },
		{ 0 } };
	const struct option *own = command == &key_new_command ? all : keys_only;
	int option;

	*o = (struct key_options){ 0 };
	cli_begin(cli, command);
	while ((option = cli_option(cli, argc, argv, own)) != -1) {
		char *to = option == 'k' ? o->keys : o->market;
		size_t cap = option == 'k' ? sizeof(o->keys) : sizeof(o->market);

		if (option == CLI_HELPED)
			return EXIT_DONE;
		if (option == '?')
			return EXIT_USAGE;
		if (!*optarg || strlen(optarg) >= cap)
			return cli_usage(cli, "empty or too long: ", optarg);
		strcpy(to, optarg);
	}
	if (optind < argc)
		return cli_usage(cli, "unexpected: ", argv[optind]);
	return -1;
}

/* Where the keys lie, and above them the directory that must be there first. */
static int locate(const struct cli *cli, struct key_options *o, bool make)
{
	char dir[CLI_PATH_MAX];
	char above[CLI_PATH_MAX];
	struct market *market = NULL;
	int n;
	int r = 0;

	if (o->keys[0] != '\0')
		return 0;
	r = cli_dir(cli, dir);
	if (r < 0)
		return r;
	n = snprintf(o->keys, sizeof(o->keys), "%s/buyer/keys", dir);
	if (n < 0 || (size_t)n >= sizeof(o->keys))
		return -ENAMETOOLONG;
	if (!make)
		return 0;
	r = file_make_private_dir(dir);
	n = snprintf(above, sizeof(above), "%s/buyer", dir);
	if (r == 0)
		r = n < 0 || (size_t)n >= sizeof(above) ? -ENAMETOOLONG
							: file_make_private_dir(above);
	if (r < 0 || o->market[0] != '\0')
		return r;
	/* The identity is for the market of that directory, where there is one. */
	market = calloc(1, sizeof(*market));
	n = snprintf(above, sizeof(above), "%s/market.json", dir);
	if (market && n > 0 && (size_t)n < sizeof(above) && market_read(above, market) == 0)
		snprintf(o->market, sizeof(o->market), "%s", market->name);
	free(market);
	return 0;
}

static int fault(const struct cli *cli, const char *path, int error)
{
	char text[PRINT_TEXT_MAX];
	char shown[PRINT_TEXT_MAX];

	snprintf(text, sizeof(text), "%s: %s", print_safe(path, shown), strerror(-error));
	return cli_fail(cli, ASSAY_SYSTEM, text);
}

static int refused(const struct cli *cli, const char *path, int refusal)
{
	char text[PRINT_TEXT_MAX];
	char shown[PRINT_TEXT_MAX];

	snprintf(text, sizeof(text), "%s: %s", print_safe(path, shown),
		refusal_sentence((enum refusal)refusal));
	return cli_fail(cli, (assay_status_t)refusal, text);
}

/* The root key is not needed to show the others, but must be as closed as they are. */
static int check_root(const char *dir, bool *ret_here)
{
	char path[CLI_PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/root.key", dir);
	_cleanup_(closep) int fd = -EBADF;
	int r = n < 0 || (size_t)n >= sizeof(path) ? -ENAMETOOLONG : file_open_private(path, &fd);

	*ret_here = r == 0;
	return r == -ENOENT ? 0 : r;
}

static int show(const struct cli *cli, const struct key_options *o)
{
	struct identity identity = { 0 };
	struct statement *s = NULL;
	char did[DID_TEXT_MAX], working[65], curve[65], encryption[65], until[40];
	bool root_here = false;
	int code = EXIT_DONE;
	int r = identity_load(o->keys, &identity);

	if (r == 0)
		r = check_root(o->keys, &root_here);
	if (r == -ENOENT) {
		identity_deinit(&identity);
		return cli_fail(cli, ASSAY_NO_KEYS, NULL);
	}
	if (r != 0) {
		identity_deinit(&identity);
		return r > 0 ? refused(cli, o->keys, r) : fault(cli, o->keys, r);
	}
	s = calloc(1, sizeof(*s));
	if (!s || statement_decode(identity_keys(&identity), s, NULL) != REFUSED_NOT) {
		code = cli_fail(cli, ASSAY_NO_MEMORY, NULL);
		goto end;
	}
	did_text(&identity.did, did);
	hex_encode(identity.author.signer.public_key, 32, working);
	hex_encode(identity.curve.public_key.b, 32, curve);
	hex_encode(identity.encryption_public, 32, encryption);
	cli_time(s->body.keys.valid_until_ns, until);
	if (cli->json) {
		code = cli_print_json(json_pack("{s:s,s:s,s:s,s:s,s:s%,s:I,s:s,s:b}", "root", did,
			"working_key", working, "curve_key", curve, "encryption_key", encryption,
			"market", (const char *)identity.market, identity.author.market.n,
			"valid_until_ns", (json_int_t)s->body.keys.valid_until_ns, "keys", o->keys,
			"root_key_here", root_here));
		goto end;
	}

	char market[PRINT_TEXT_MAX];
	char name[IDENTITY_MARKET_MAX + 1] = "";

	memcpy(name, identity.market, identity.author.market.n);
	printf("root        %s%s\nworking     %s\ncurve       %s\nencryption  %s\n", did,
		root_here ? "" : " (root.key is kept elsewhere)", working, curve, encryption);
	printf("market      %s\nvalid until %s\nkeys in     %s\n", print_safe(name, market), until,
		o->keys);
end:
	free(s);
	identity_deinit(&identity);
	return code;
}

static int run_new(int argc, char **argv)
{
	struct key_options o;
	struct cli cli;
	int r = options_of(&cli, &key_new_command, argc, argv, &o);

	if (r >= 0)
		return r;
	r = locate(&cli, &o, true);
	if (r == 0)
		r = identity_new(o.keys, o.market[0] ? o.market : MARKET_DEFAULT);
	if (r == -EEXIST) {
		char text[PRINT_TEXT_MAX + 128];

		snprintf(text, sizeof(text),
			"There is an identity in %s: it stays. Name another directory with --keys.",
			o.keys);
		return cli_fail(&cli, (assay_status_t)REFUSED_EXISTS_WITH_DIFFERENT_CONTENT, text);
	}
	if (r == -EPERM)
		return refused(&cli, o.keys, REFUSED_KEY_FILE_OPEN);
	return r < 0 ? fault(&cli, o.keys, r) : show(&cli, &o);
}

static int run_show(int argc, char **argv)
{
	struct key_options o;
	struct cli cli;
	int r = options_of(&cli, &key_show_command, argc, argv, &o);

	if (r >= 0)
		return r;
	r = locate(&cli, &o, false);
	return r < 0 ? fault(&cli, o.keys, r) : show(&cli, &o);
}

const struct command key_new_command = {
	.name = "key new",
	.summary = "make an identity: root, working, CURVE and encryption keys",
	.usage = "  --keys DIR       where the keys go (buyer/keys in the market's directory)\n"
		 "  --market NAME    the market they are for (that of the directory, else local)\n",
	.example = "assay key new",
	.run = run_new,
};

const struct command key_show_command = {
	.name = "key show",
	.summary = "show an identity's did and public keys",
	.usage = "  --keys DIR       where the keys are (buyer/keys in the market's directory)\n",
	.example = "assay key show --json",
	.run = run_show,
};

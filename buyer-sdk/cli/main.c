/* assay: the command line of agents, operators and people. */
#include "buyer-sdk/cli/cli.h"

static const struct command *const commands[] = {
	&demo_command,
	&up_command,
	&buy_photo_command,
	&buy_measure_command,
	&request_post_command,
	&request_show_command,
	&request_list_command,
	&request_cancel_command,
	&bundle_extract_command,
	&verify_command,
	&inspect_command,
	&wallet_balance_command,
	&wallet_deposit_command,
	&wallet_history_command,
	&node_list_command,
	&key_new_command,
	&key_show_command,
	&market_add_command,
	&market_list_command,
};

static void print_commands(FILE *to)
{
	fprintf(to,
		"assay %s - buy facts about the physical world\n\nUsage: assay COMMAND [OPTIONS]\n\n",
		assay_version());
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-16s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(to, "\n'assay COMMAND --help' tells the options and gives an example.\n"
		    "Start here: assay demo\n");
}

/* How many words of argv name the command; 0 where they do not. */
static int words_of(const struct command *command, int argc, char **argv)
{
	const char *space = strchr(command->name, ' ');
	size_t n = space ? (size_t)(space - command->name) : strlen(command->name);

	if (argc < 2 || strlen(argv[1]) != n || strncmp(argv[1], command->name, n) != 0)
		return 0;
	if (!space)
		return 1;
	return argc > 2 && strcmp(argv[2], space + 1) == 0 ? 2 : 0;
}

/* `assay wallet --help`: the commands that begin with that word. */
static bool print_family(const char *word)
{
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t n = strlen(word);

		if (strncmp(commands[i]->name, word, n) == 0 && commands[i]->name[n] == ' ') {
			printf("  assay %-16s %s\n", commands[i]->name, commands[i]->summary);
			any = true;
		}
	}
	return any;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		int words = words_of(commands[i], argc, argv);

		if (words > 0)
			return commands[i]->run(argc - words, argv + words);
	}
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0) {
		print_commands(stdout);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("assay %s\n", assay_version());
		return EXIT_DONE;
	}
	if (print_family(argv[1]))
		return argc > 2 && strcmp(argv[2], "--help") == 0 ? EXIT_DONE : EXIT_USAGE;
	fprintf(stderr, "assay: unknown command: %s\nTry 'assay --help'.\n", argv[1]);
	return EXIT_USAGE;
}

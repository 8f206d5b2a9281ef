#pragma once
/*
 * What the commands of `assay` share: the table of commands, options, where the market is, how to
 * print. A command is one function that gets its own argv and returns an exit code.
 */
#include "proto/base/base.h"
#include "proto/shell/daemon.h"

#include <assay/assay.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

#define CLI_PATH_MAX 512

struct command {
	const char *name; /* "buy photo" */
	const char *summary;
	const char *usage; /* options, a line each */
	const char *example;
	int (*run)(int argc, char **argv);
};

/* Options that every command takes: --dir, --json, --help, --yes. */
struct cli {
	const struct command *command;
	const char *dir; /* NULL: environment, then configuration */
	bool json;
	bool yes;
	bool colour; /* stdout is a terminal that wants it */
	bool progress; /* stderr is a terminal, and not --json */
};

/* Prints help of a command on stdout. */
void cli_help(const struct command *command);
/* "assay: what value", and how to get help; returns EXIT_USAGE. */
int cli_usage(const struct cli *cli, const char *what, const char *value);
/* The sentence for a failed call, on stderr or as {"error":...} on stdout with --json; returns the
 * exit code that belongs to it. */
int cli_fail(const struct cli *cli, assay_status_t status, const char *sentence);
/* What a command returns for a status. */
int cli_exit_code(assay_status_t status);
/* Prints a JSON value on one line and frees it. Returns EXIT_DONE, or EXIT_FAULT where stdout is
 * gone. */
int cli_print_json(json_t *value);

/*
 * getopt_long() with the common options added. own: the command's own options, ended by one of
 * zeros, whose `val` is what is returned. -1 at the end, '?' after an error was printed, CLI_HELPED
 * after help was printed.
 */
#define CLI_HELPED 1000
int cli_option(struct cli *cli, int argc, char **argv, const struct option *own);
void cli_begin(struct cli *cli, const struct command *command);

/* Decimal text such as "0.05" to micros, "47.3769" to 1e-7: no floats. 0 or -EINVAL, -ERANGE. */
_must_check_ int cli_decimal(const char *text, unsigned digits, int64_t *ret_value);
/* micros as "0.050000" without trailing zeros beyond two. */
const char *cli_money(int64_t micros, char out[static 32]);
/* ns UTC as RFC 3339 with milliseconds. */
const char *cli_time(int64_t at_ns, char out[static 40]);

/* The directory of `assay up` or of the configuration, as assay_open() would take it. 0 or -ENOENT.
 */
_must_check_ int cli_dir(const struct cli *cli, char out[static CLI_PATH_MAX]);
/* ~/.config/assay, made where it is missing. */
_must_check_ int cli_config_dir(char out[static CLI_PATH_MAX]);
/* Opens the SDK for --dir. Prints what is wrong; EXIT_DONE or an exit code. */
_must_check_ int cli_open(const struct cli *cli, assay_t **ret_assay);

/* The commands, each in the file of its first word. */
extern const struct command up_command;
extern const struct command demo_command;
extern const struct command key_new_command, key_show_command;
extern const struct command market_add_command, market_list_command;
extern const struct command buy_photo_command, buy_measure_command;
extern const struct command request_post_command, request_show_command, request_list_command,
	request_cancel_command;
extern const struct command bundle_extract_command;
extern const struct command verify_command;
extern const struct command inspect_command;
extern const struct command wallet_balance_command, wallet_deposit_command, wallet_history_command;
extern const struct command node_list_command;

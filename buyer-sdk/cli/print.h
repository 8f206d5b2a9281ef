#pragma once
/*
 * Text on a terminal: words of strangers without their power over it, colours, amounts.
 */
#include "buyer-sdk/cli/cli.h"

#define PRINT_TEXT_MAX    512
#define PRINT_DECIMAL_MAX 64

/*
 * Copies text so that a terminal can do nothing with it but show it: control characters (C0, DEL,
 * C1), marks that change the direction of writing or show nothing, and bytes that are not UTF-8
 * become \xNN. Cut where out ends. Returns out.
 */
const char *print_safe(const char *text, char out[static PRINT_TEXT_MAX]);

/* Escape sequences, empty where cli->colour is not set. */
const char *print_green(const struct cli *cli);
const char *print_red(const struct cli *cli);
const char *print_yellow(const struct cli *cli);
const char *print_bold(const struct cli *cli);
const char *print_plain(const struct cli *cli);

/* value = mantissa * 10^exponent as decimal text, exactly; with an exponent far out, "5e30". */
const char *print_decimal(int64_t mantissa, int64_t exponent, char out[static PRINT_DECIMAL_MAX]);

/* 1e-7 degrees as "47.3769". */
const char *print_degrees(int64_t e7, char out[static PRINT_DECIMAL_MAX]);

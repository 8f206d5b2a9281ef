#pragma once
/*
 * A bundle file, checked offline: what `verify` and `bundle extract` share.
 */
#include "buyer-sdk/cli/cli.h"

/*
 * Reads and verifies the file. EXIT_DONE and *ret_result, which the caller frees; or an exit code
 * after printing what is wrong: EXIT_USAGE where the file cannot be read, EXIT_VERIFY_FAILED with
 * the name of the link that broke, EXIT_FAULT where the checks could not run.
 */
_must_check_ int verify_file(const struct cli *cli, const char *path, assay_result_t **ret_result);

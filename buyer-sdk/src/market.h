#pragma once
/*
 * Which market to use: a market.json (`assay up` writes one, `assay market add` copies one) and the
 * identity that buys there.
 *
 *	{"name": "local", "asset": "XTS", "broker": CONTACT, "escrow": CONTACT, "verifiers":
 *["did:key:..."]}
 */
#include "proto/shell/contact.h"

#include <assay/assay.h>

#define MARKET_PATH_MAX 512
#define MARKET_FILE_MAX 16384

struct market {
	char name[IDENTITY_MARKET_MAX];
	char asset[32];
	struct contact broker;
	struct contact escrow;
	struct did verifiers[POOL_MAX];
	size_t n_verifiers;
};

/* Strict: exactly these members. 0, -ENOENT, -EBADMSG, -EFBIG or another negative errno. */
_must_check_ int market_read(const char *path, struct market *ret_market);

struct market_paths {
	char market[MARKET_PATH_MAX];
	char keys[MARKET_PATH_MAX];
};

/* Where market and keys lie for the options: dir, else $ASSAY_DIR, else the user's configuration. 0
 * or -ENAMETOOLONG. */
_must_check_ int market_locate(const assay_options_t *options, struct market_paths *ret_paths);

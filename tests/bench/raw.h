#pragma once
/*
 * The raw limits of the path of one request, each alone: what a hop, a commit, a signature, a
 * verification, a wrap and a reading cost where nothing else is done. All in microseconds, each the
 * median of its repetitions.
 */
#include "proto/base/base.h"

#define RAW_HOP_BYTES    2048 /* about what the messages of the path weigh */
#define RAW_COMMIT_BYTES 4096

/* The budget of one request. */
#define BUDGET_HOPS     10
#define BUDGET_COMMITS  8
#define BUDGET_SIGNS    10
#define BUDGET_VERIFIES 28
#define BUDGET_WRAPS    3

struct raw_costs {
	double hop; /* one way, CURVE over TCP through proto/net, between two processes */
	double commit; /* 4 KiB into a preallocated file, fdatasync */
	double sign; /* Ed25519, 256 bytes */
	double verify;
	double wrap; /* X25519, HKDF and AES-KW, as seal_wrap() */
	double reading; /* one SCPI measurement, the device's time included */
};

/* Starts the other end of the hops: before any thread. */
void raw_begin(void);
/* After raw_begin() and the fork of whatever else must not have threads. dir: where the file is
 * made. */
void raw_open(const char *dir, const char *instrument);
struct raw_costs raw_measure(void);
/* Requests a second that the budget's signatures, verifications and wraps allow on all cores. */
double raw_crypto_rate(void);
/* What the budget costs, one after another, with one reading. */
double raw_budget(const struct raw_costs *c);
void raw_end(void);

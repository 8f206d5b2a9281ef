#pragma once
/*
 * The CBOR documents that are not statements: the private claims and the measurement inside a
 * sealed payload, and the bundle file that a third party checks. Coded by schema.h.
 */
#include "proto/statement/message.h"

#define MEASUREMENT_TYPE "application/assay-measurement+cbor"
#define JPEG_TYPE        "image/jpeg"
#define BUNDLE_VERSION   1

/* Sealed in evidence.claims: for the verifiers and the buyer only. */
struct claims {
	bool present;
	struct span
		plain_salt; /* 16 bytes; payload.plain_digest = SHA-256(plain_salt || plaintext) */
	struct place place; /* the exact place */
	int64_t accuracy_m;
	int64_t at_ns; /* when the device says that it happened */
};

/* The payload of a measurement. */
struct measurement {
	bool present;
	struct span quantity;
	struct span channel;
	struct span unit; /* UCUM */
	int64_t mantissa; /* value = mantissa * 10^exponent */
	int64_t exponent;
	struct span raw; /* the instrument's own words */
	struct span identity; /* reply to *IDN? */
	struct span error_queue; /* reply to SYST:ERR? */
	int64_t at_ns;
};

/* A bundle file (.assay): everything that a check needs, offline. */
struct bundle {
	bool present;
	int64_t version;
	struct span
		statements[MESSAGE_STATEMENTS_MAX]; /* keys first, then in the order of the flow */
	size_t n_statements;
	struct span receipt; /* COSE Receipt for the evidence */
	struct span note; /* the checkpoint it leads to */
	struct span content_key; /* 32 bytes: opens payload and claims */
	struct span ciphertext;
};

extern const struct schema claims_schema;
extern const struct schema measurement_schema;
extern const struct schema bundle_schema;

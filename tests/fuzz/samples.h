#pragma once
/*
 * Genuine things that fuzz targets know, the same bytes in every run: a target promises that nothing
 * else is believed, and the seeds are made of them. All are built at the first call, live until the
 * process ends, and abort where they cannot be built.
 */
#include "proto/seal/seal.h"
#include "proto/statement/payload.h"
#include "proto/tlog/proof.h"

/* A settled purchase as a bundle; its spans live as long. */
const struct bundle *samples_bundle(void);
/* The same as a file. */
struct span samples_bundle_file(void);

#define SAMPLES_LOG_NAME "assay/samples"

/* A log of two entries with its checkpoint, signed by the log and by a witness. */
struct samples_log {
	struct signer log;
	struct note_key keys[2]; /* log, witness */
	struct entry entry; /* the first one */
	struct checkpoint checkpoint;
	struct span text; /* of the checkpoint */
	struct span note;
	struct span receipt; /* of entry */
};

const struct samples_log *samples_log(void);

#define SAMPLES_SEALED 4

/* What one content key sealed. */
struct samples_sealed {
	uint8_t key[SEAL_KEY];
	struct seal_bound bound;
	uint8_t secret[32]; /* the recipient's */
	struct seal_context context;
	struct span plain[SAMPLES_SEALED]; /* empty, short, one full record, two records */
	struct span content[SAMPLES_SEALED];
	struct span small[2]; /* of plain[1], by enum seal_purpose */
	struct span wrapped; /* key */
};

const struct samples_sealed *samples_sealed(void);

#include "proto/statement/payload.h"
#include "proto/statement/tables.h"

static const struct field claims_fields[] = {
	TIME(claims, at_ns, true),
	BYTES(claims, plain_salt, true, 16, 16),
	INT(claims, accuracy_m, false, 0, 20004000),
	MAP(claims, place, true, place_schema),
};
const struct schema claims_schema = SCHEMA(claims, claims_fields);

static const struct field measurement_fields[] = {
	TIME(measurement, at_ns, true),
	TEXT(measurement, unit, true, 1, 32),
	INT(measurement, exponent, false, -30, 30),
	TEXT(measurement, quantity, true, 1, 64),
	TEXT(measurement, channel, false, 1, 64),
	INT(measurement, mantissa, true, -MICROS_MAX, MICROS_MAX),
	TEXT(measurement, raw, true, 1, 512),
	TEXT(measurement, identity, true, 1, 256),
	TEXT(measurement, error_queue, false, 1, 256),
};
const struct schema measurement_schema = SCHEMA(measurement, measurement_fields);

static const struct field bundle_fields[] = {
	INT(bundle, version, true, BUNDLE_VERSION, BUNDLE_VERSION),
	LINES(bundle, note, false, 1, 1024),
	BYTES(bundle, receipt, false, 1, 4096),
	MANY(bundle, statements, FIELD_BYTES, true, 1, COSE_MAX),
	BYTES(bundle, content_key, true, 32, 32),
	BYTES(bundle, ciphertext, true, 1, PAYLOAD_MAX + (1 << 20)),
};
const struct schema bundle_schema = SCHEMA(bundle, bundle_fields);

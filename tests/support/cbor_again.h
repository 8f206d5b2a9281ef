#pragma once
/*
 * Reads CBOR that cbor_check() accepted head by head and writes it again: what comes out must be
 * the same bytes, since the profile has one encoding for each value. For the unit and the fuzz
 * tests.
 */
#include "proto/cbor/cbor.h"

/* Appends to out. False where a head is refused on the way, or where out is too small. */
_must_check_ bool cbor_again(struct span data, struct buf *out);

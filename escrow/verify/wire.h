#pragma once
/*
 * The bytes between the sandbox and its worker: one hello, then requests and replies in turn over a
 * stream socket. All integers are big-endian. The worker may be in an attacker's hands, so its
 * side is parsed as hostile.
 */
#include "escrow/verify/jpeg.h"

#define WIRE_HELLO   8
#define WIRE_REQUEST 8 /* before the picture's bytes */
#define WIRE_REPLY   160
#define WIRE_FD      0 /* the worker's end */

/* First bytes of a worker: which defences are up (lockdown.h), or an errno for why it cannot serve.
 */
struct wire_hello {
	uint16_t defences;
	uint16_t error;
};

struct wire_request {
	uint32_t sequence;
	uint32_t length; /* at most JPEG_BYTES_MAX */
};

void wire_put_hello(const struct wire_hello *hello, uint8_t out[static WIRE_HELLO]);
_must_check_ bool wire_get_hello(const uint8_t in[static WIRE_HELLO], struct wire_hello *ret_hello);

void wire_put_request(const struct wire_request *request, uint8_t out[static WIRE_REQUEST]);
_must_check_ bool wire_get_request(
	const uint8_t in[static WIRE_REQUEST], struct wire_request *ret_request);

void wire_put_reply(
	uint32_t sequence, const struct jpeg_facts *facts, uint8_t out[static WIRE_REPLY]);
/* False where the reply is not to that sequence, not possible, or contradicts itself. */
_must_check_ bool wire_get_reply(
	const uint8_t in[static WIRE_REPLY], uint32_t sequence, struct jpeg_facts *ret_facts);

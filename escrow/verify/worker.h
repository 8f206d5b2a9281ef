#pragma once
/*
 * The worker's side of the sandbox: lock down, say hello, then answer requests until the other end
 * closes. What is done with a picture is the caller's function, so that the tests can run a hostile
 * one.
 */
#include "escrow/verify/wire.h"

/* Looks at one picture. */
typedef void worker_decode(uint32_t sequence, struct span bytes, struct jpeg_facts *ret_facts);

/* All of the worker's main(): argv[1] is the parent's process id. layers: see lockdown.h. Does not
 * return. */
_Noreturn void worker_main(int argc, char **argv, unsigned layers, worker_decode *decode);
/* Writes everything to the sandbox, or ends the process. */
void worker_send(const void *bytes, size_t n);

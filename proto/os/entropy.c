#include "proto/os/entropy.h"

#include <sodium.h>
#include <stdlib.h>

void entropy_fill(void *p, size_t n)
{
	/* Idempotent and thread-safe; after the first call it is one atomic load. */
	if (sodium_init() < 0)
		abort();
	randombytes_buf(p, n);
}

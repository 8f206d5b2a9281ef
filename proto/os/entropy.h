#pragma once
/*
 * Random bytes from the kernel, through libsodium. Only shells call this; cores get randomness in
 * their events.
 */
#include "proto/base/base.h"

/*
 * Fills p[0..n) with unpredictable bytes. Cannot fail: a system without a random device aborts the
 * process, since nothing signed there could be trusted. Safe from any thread.
 */
void entropy_fill(void *p, size_t n);

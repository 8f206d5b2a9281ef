#pragma once
/*
 * The two clocks. Only shells call these; cores get the time in their events.
 */
#include "proto/base/base.h"

/* Nanoseconds UTC since 1970 (CLOCK_REALTIME). May jump when the clock is set. */
int64_t clock_now_ns(void);
/* Nanoseconds since some point in the past, never going back (CLOCK_MONOTONIC). */
int64_t clock_mono_ns(void);

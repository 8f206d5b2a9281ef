#pragma once
/*
 * What every NAME_fuzz.c defines: one input, any bytes. Run by libFuzzer (./dev fuzz NAME), and by
 * replay_main.c over the corpus in every test run. A broken promise is an abort.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Always 0, as libFuzzer wants it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* assert() that no build option turns off. */
#define FUZZ_PROMISE(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, \
				#condition); \
			abort(); \
		} \
	} while (0)

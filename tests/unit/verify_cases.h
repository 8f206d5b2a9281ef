#pragma once
/*
 * What the tests of gates and of checks share: one case at a time, made by verify_fixture.h, run
 * with the real decoder, and what is expected of it.
 */
#include "verify_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct cases {
	struct sandbox *sandbox;
	struct span photo; /* 64 x 48 */
	struct span small_photo; /* 63 x 48 */
	struct fixture fixture; /* the case at hand */
	struct verify_output output;
};

extern struct cases cases;

/* For cmocka's group. */
int cases_setup(void **state);
int cases_teardown(void **state);

/* Makes a case and runs it; fixture and output are there until cases_done(). */
void cases_run(struct span plain, fixture_tamper *tamper);
void cases_done(void);

const struct check_result *cases_result(const char *id);
void cases_expect(const char *id, int64_t value, enum refusal code);

/* Whole cases. All results are passes, and so is the outcome: */
void cases_pass(fixture_tamper *tamper);
/* That gate refuses with that code, it is the last result, and those before it passed: */
void cases_refused_by(const char *gate, enum refusal code, fixture_tamper *tamper);
/* The gates pass, and that check fails with that code, and the outcome with it: */
void cases_check_fails(
	struct span plain, fixture_tamper *tamper, const char *id, enum refusal code);

/* A tamper function that does something at one stage. */
#define TAMPER(name, at, ...) \
	static void name(struct fixture *f, int stage) \
	{ \
		if (stage == (at)) { \
			__VA_ARGS__; \
		} \
	}

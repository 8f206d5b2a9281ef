#pragma once
/*
 * The event log: one event a line, key=value pairs, written with one write(2). Only shells log, and
 * never secrets or media. Values with spaces, quotes, '=', control characters or bytes that are not
 * UTF-8 are quoted and escaped, so a peer's text cannot make a second line or a second key.
 *
 *	logline(LEVEL_INFO, "started", KV_STR("endpoint", endpoint), KV_INT("peers_max", 2000));
 *	-> time=2026-01-02T03:04:05.678Z level=info event=started endpoint=tcp://... peers_max=2000
 */
#include "proto/base/base.h"

#define LOGLINE_MAX 2048 /* bytes of a line; a longer one is cut and ends in truncated=1 */

enum logline_level {
	LEVEL_ERROR = 0,
	LEVEL_WARNING = 1,
	LEVEL_INFO = 2,
	LEVEL_DEBUG = 3,
};

enum logline_kind {
	LOGLINE_TEXT,
	LOGLINE_NUMBER,
	LOGLINE_HEX,
};

struct logline_pair {
	const char *key; /* a literal of [a-z0-9_] */
	enum logline_kind kind;
	struct span text;
	int64_t number;
};

#define KV_STR(k, s) \
	{ \
		.key = (k), .kind = LOGLINE_TEXT, .text = SPAN_STR(s) \
	}
#define KV_TEXT(k, sp) \
	{ \
		.key = (k), .kind = LOGLINE_TEXT, .text = (sp) \
	}
#define KV_INT(k, n) \
	{ \
		.key = (k), .kind = LOGLINE_NUMBER, .number = (int64_t)(n) \
	}
#define KV_HEX(k, sp) \
	{ \
		.key = (k), .kind = LOGLINE_HEX, .text = (sp) \
	}
/* The name of a negative errno: error=ENOSPC */
#define KV_ERR(k, r) \
	{ \
		.key = (k), .kind = LOGLINE_TEXT, .text = SPAN_STR(logline_errno(r)) \
	}

/* Logs an event with any number of KV_ pairs. Safe from any thread. */
#define logline(level, event, ...) \
	logline_write((level), (event), \
		(const struct logline_pair[]){ { .key = NULL }, ##__VA_ARGS__ }, \
		sizeof((const struct logline_pair[]){ { .key = NULL }, ##__VA_ARGS__ }) / \
			sizeof(struct logline_pair))

/* What the macro calls; pairs without a key are passed over. A log that cannot be written is lost.
 */
void logline_write(
	enum logline_level level, const char *event, const struct logline_pair *pairs, size_t n);

/* Lines above this level are not written. Starts as $ASSAY_LOG (error, warning, info, debug), or
 * info. */
void logline_set_level(enum logline_level level);
/* Where lines go, 2 at the start. The descriptor stays the caller's. */
void logline_set_fd(int fd);
/* The name of a (negative) errno, "E0" where it has none. Static text. */
const char *logline_errno(int error);

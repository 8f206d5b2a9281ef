#include "proto/os/logline.h"
#include "proto/base/buf.h"
#include "proto/base/text.h"
#include "proto/os/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LEVEL_UNSET (-1)

static atomic_int level_max = LEVEL_UNSET;
static atomic_int log_fd = STDERR_FILENO;

static const char *const level_names[] = {
	[LEVEL_ERROR] = "error",
	[LEVEL_WARNING] = "warning",
	[LEVEL_INFO] = "info",
	[LEVEL_DEBUG] = "debug",
};

static int level_current(void)
{
	int level = atomic_load(&level_max);
	const char *wanted;

	if (level != LEVEL_UNSET)
		return level;
	level = LEVEL_INFO;
	wanted = getenv("ASSAY_LOG");
	for (size_t i = 0; wanted && i < ARRAY_SIZE(level_names); i++)
		if (strcmp(wanted, level_names[i]) == 0)
			level = (int)i;
	atomic_store(&level_max, level);
	return level;
}

void logline_set_level(enum logline_level level)
{
	atomic_store(&level_max, (int)level);
}

void logline_set_fd(int fd)
{
	atomic_store(&log_fd, fd);
}

const char *logline_errno(int error)
{
	const char *name = strerrorname_np(error < 0 ? -error : error);

	return name && error != 0 ? name : "E0";
}

/* What may stand without quotes: printable ASCII that means nothing to a reader of key=value. */
static bool plain(struct span text)
{
	if (text.n == 0)
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= ' ' || text.p[i] >= 0x7f || strchr("\"'\\=", text.p[i]))
			return false;
	return true;
}

static void put_text(struct buf *b, struct span text)
{
	/* C1 controls and bidirectional marks are valid UTF-8 and still move a terminal: ASCII
	 * only. */
	if (plain(text)) {
		buf_put(b, text.p, text.n);
		return;
	}
	buf_byte(b, '"');
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];

		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c == '\n')
			buf_str(b, "\\n");
		else if (c < ' ' || c >= 0x7f)
			buf_printf(b, "\\x%02x", c);
		else
			buf_byte(b, c);
	}
	buf_byte(b, '"');
}

static void put_pair(struct buf *b, const struct logline_pair *pair)
{
	buf_printf(b, " %s=", pair->key);
	switch (pair->kind) {
	case LOGLINE_TEXT:
		put_text(b, pair->text);
		break;
	case LOGLINE_NUMBER:
		buf_printf(b, "%lld", (long long)pair->number);
		break;
	case LOGLINE_HEX:
		for (size_t i = 0; i < pair->text.n; i++)
			buf_printf(b, "%02x", pair->text.p[i]);
		break;
	}
}

static void put_time(struct buf *b, int64_t now_ns)
{
	time_t seconds = (time_t)(now_ns / NS_PER_S);
	char text[32];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		return;
	buf_printf(b, "time=%s.%03dZ ", text, (int)(now_ns / NS_PER_MS % 1000));
}

void logline_write(
	enum logline_level level, const char *event, const struct logline_pair *pairs, size_t n)
{
	static const char cut[] = " truncated=1";
	uint8_t line[LOGLINE_MAX];
	struct buf b = buf_over(line, sizeof(line) - sizeof(cut));
	int saved = errno;
	ssize_t done;

	if ((int)level > level_current())
		return;
	put_time(&b, clock_now_ns());
	buf_printf(&b, "level=%s event=", level_names[level]);
	put_text(&b, SPAN_STR(event));
	for (size_t i = 0; i < n; i++) {
		struct buf before = b;

		if (!pairs[i].key)
			continue;
		put_pair(&b, &pairs[i]);
		if (buf_ok(&b))
			continue;
		/* Whole pairs only: a value cut in half would read as another value. */
		b = before;
		b.cap = sizeof(line) - 1;
		buf_str(&b, cut);
		break;
	}
	b.cap = sizeof(line);
	buf_byte(&b, '\n');
	done = write(atomic_load(&log_fd), line, b.n);
	(void)done; /* ignored: there is nowhere left to say that the log is gone */
	errno = saved;
}

#pragma once
/* Lines to and from an instrument over TCP, all under one deadline. Knows nothing of their meaning.
 */
#include "sensor-node/drivers/scpi.h"

struct scpi_link {
	int fd; /* -1: closed */
	int64_t deadline_ns; /* CLOCK_MONOTONIC */
	uint8_t in[SCPI_LINE_MAX + 2]; /* a line and its CR LF */
	size_t in_n;
};

/* A closed link; scpi_link_close may be called on it. */
#define SCPI_LINK_CLOSED ((struct scpi_link){ .fd = -1 })

/* Connects to the first address of host that answers. Returns 0 or a negative errno, with a
 * sentence. */
_must_check_ int scpi_link_open(struct scpi_link *link, const char *host, uint16_t port,
	uint32_t timeout_ms, struct scpi_error *ret_error);

/* Sends a line and LF. Returns 0 or a negative errno. */
_must_check_ int scpi_link_send(
	struct scpi_link *link, const char *line, struct scpi_error *ret_error);

/*
 * Sends a query and reads the one line that answers it, without its end, into reply. Returns 0,
 * -EPROTO (too long, not printable ASCII, or more than one line), -ECONNRESET, -ETIMEDOUT, ...
 */
_must_check_ int scpi_link_ask(struct scpi_link *link, const char *query,
	struct scpi_error *ret_error, char reply[static SCPI_TEXT_MAX]);

void scpi_link_close(struct scpi_link *link);

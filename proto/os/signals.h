#pragma once
/*
 * Signals as something to poll for: a daemon ends on SIGINT and SIGTERM and reloads on SIGHUP, in
 * its loop and not in a handler.
 */
#include "proto/base/base.h"

/*
 * Blocks SIGINT, SIGTERM, SIGHUP and SIGUSR1 in the calling thread and those that it starts later,
 * ignores SIGPIPE, and gives a non-blocking signalfd. Call it before any thread starts. The caller
 * closes the descriptor. Returns 0 or a negative errno.
 */
_must_check_ int signals_open(int *ret_fd);

/* Takes one signal. Returns 0 and its number, -EAGAIN where none waits, or a negative errno. */
_must_check_ int signals_read(int fd, int *ret_signal);

/* Undoes signals_open() for this thread: what a child does before exec. 0 or a negative errno. */
_must_check_ int signals_unblock(void);

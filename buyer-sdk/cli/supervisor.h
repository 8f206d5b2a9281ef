#pragma once
/*
 * Starts the programs of a market as children of this process, waits until each says that it is
 * ready, starts one again that dies, and ends them all. Whatever ends this process ends them too.
 */
#include "proto/base/base.h"

#include <sys/types.h>

#define SUPERVISOR_CHILDREN_MAX 16
#define SUPERVISOR_ARGS_MAX     40
#define SUPERVISOR_ARG_MAX      512
#define SUPERVISOR_READY_MS     30000
#define SUPERVISOR_STOP_MS      5000
#define SUPERVISOR_LINE_MAX     1024

struct child {
	char name[32];
	char args[SUPERVISOR_ARGS_MAX][SUPERVISOR_ARG_MAX];
	size_t n_args;
	char log_path[SUPERVISOR_ARG_MAX];
	char ready[SUPERVISOR_LINE_MAX]; /* its first line on stdout */
	pid_t pid; /* 0: not running */
	int64_t started_ns;
	unsigned restarts;
};

struct supervisor {
	struct child children[SUPERVISOR_CHILDREN_MAX];
	size_t n;
	bool interrupted; /* SIGINT or SIGTERM came */
};

/* Blocks the signals that it waits for. Call before any thread starts. */
void supervisor_init(struct supervisor *s);
/* A child to be filled with arguments; its program is found by name. NULL where there are too many.
 */
struct child *supervisor_add(
	struct supervisor *s, const char *name, const char *program, const char *log_path);
/* False where the argument does not fit. */
_must_check_ bool supervisor_arg(struct child *child, const char *arg);
/*
 * Starts it and waits for its first line. 0; -EINTR when interrupted; -ECHILD when it ended;
 * -ETIMEDOUT; another errno.
 */
_must_check_ int supervisor_start(struct supervisor *s, struct child *child);
/* Waits for something: a signal to end (returns false), or a child that died and was started again
 * (true). */
bool supervisor_wait(struct supervisor *s, int timeout_ms);
/* Ends all children, the last one started first, and waits for them. */
void supervisor_stop(struct supervisor *s);
/* Where a program of ours is: $ASSAY_BIN_DIR (a list with colons), beside this one, $PATH. 0 or
 * -ENOENT. */
_must_check_ int supervisor_find(const char *program, char *out, size_t cap);

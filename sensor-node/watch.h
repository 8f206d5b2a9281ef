#pragma once
/*
 * The node's core with a log of what it decides: declined, committed, ended. The core itself does
 * not log. Lines are written while the core steps, just before its rows are committed: a commit
 * that fails ends the daemon, with a line of its own, and then nothing of that batch was sent.
 */
#include "sensor-node/core/node.h"

/* node_ops, with a step() that logs. */
struct core_ops watch_ops(void);

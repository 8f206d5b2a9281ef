#pragma once
/*
 * A running daemon's control socket: a unix stream socket of mode 0600, one command line in, one
 * line out. Commands:
 *
 *	snapshot DIR	copies database and payloads, as they are at one commit, into DIR, an
 *			existing directory (absolute path), while the daemon goes on -> "ok"
 *	stats		-> one line of JSON
 *	stop		-> "ok", then the daemon ends
 *
 * What fails answers "error SENTENCE".
 */
#include "proto/base/base.h"

#define SHELL_LINE_MAX     1024 /* bytes of a command with its line feed */
#define CONTROL_REPLY_MAX  4096
#define CONTROL_TIMEOUT_MS 600000 /* a snapshot may take long */

/*
 * Sends a command and waits for its line, which is written to reply with a NUL. 0; -EREMOTEIO where
 * it begins with "error"; -ENOENT or -ECONNREFUSED where no daemon is there; -EINVAL for a command
 * with a line feed or too long; another negative errno.
 */
_must_check_ int control_command(
	const char *socket_path, const char *command, char reply[static CONTROL_REPLY_MAX]);

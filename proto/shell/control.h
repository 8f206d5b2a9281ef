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

struct sockaddr_un;

#define SHELL_LINE_MAX     1024 /* bytes of a command with its line feed */
#define CONTROL_REPLY_MAX  4096
#define CONTROL_TIMEOUT_MS 600000 /* a snapshot may take long */

/*
 * The address of a socket at path, which may be longer than an address has room for: such a one
 * leads through a descriptor of its directory (Linux), which the caller closes after bind() or
 * connect(); -EBADF where none is needed. 0 or a negative errno.
 */
_must_check_ int control_address(
	const char *path, struct sockaddr_un *ret_address, int *ret_dir_fd);

/*
 * Sends a command and waits for its line, which is written to reply with a NUL. 0; -EREMOTEIO where
 * it begins with "error"; -ENOENT or -ECONNREFUSED where no daemon is there; -EINVAL for a command
 * with a line feed or too long; another negative errno.
 */
_must_check_ int control_command(
	const char *socket_path, const char *command, char reply[static CONTROL_REPLY_MAX]);

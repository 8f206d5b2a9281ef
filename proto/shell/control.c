#include "proto/shell/control.h"

#include "proto/os/clock.h"
#include "proto/os/file.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

int control_address(const char *path, struct sockaddr_un *ret_address, int *ret_dir_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *slash = strrchr(path, '/');
	char dir[FILE_PATH_MAX];
	int n;

	*ret_dir_fd = -EBADF;
	if (strlen(path) < sizeof(address.sun_path)) {
		memcpy(address.sun_path, path, strlen(path) + 1);
		*ret_address = address;
		return 0;
	}
	if (!slash || (size_t)(slash - path) >= sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';

	_cleanup_(closep) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	n = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d%s", fd, slash);
	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	*ret_address = address;
	*ret_dir_fd = take_fd(&fd);
	return 0;
}

static int dial(const char *path, int *ret_fd)
{
	_cleanup_(closep) int fd = -EBADF, dir = -EBADF;
	struct sockaddr_un address;
	int r = control_address(path, &address, &dir);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* A whole line, without its line feed. */
static int read_line(int fd, char *line, size_t cap)
{
	int64_t end_ns = clock_mono_ns() + CONTROL_TIMEOUT_MS * NS_PER_MS;
	size_t n = 0;

	while (n < cap) {
		struct pollfd item = { .fd = fd, .events = POLLIN };
		int64_t left_ms = (end_ns - clock_mono_ns()) / NS_PER_MS;
		ssize_t got;

		if (left_ms <= 0)
			return -ETIMEDOUT;
		if (poll(&item, 1, (int)left_ms) < 0 && errno != EINTR)
			return -errno;
		if (!item.revents)
			continue;
		got = recv(fd, line + n, cap - n, 0);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			return -ECONNRESET;
		n += got > 0 ? (size_t)got : 0;
		if (n > 0 && line[n - 1] == '\n') {
			line[n - 1] = '\0';
			return 0;
		}
	}
	return -EMSGSIZE;
}

int control_command(
	const char *socket_path, const char *command, char reply[static CONTROL_REPLY_MAX])
{
	_cleanup_(closep) int fd = -EBADF;
	char line[SHELL_LINE_MAX];
	size_t n = strlen(command);
	int r;

	if (n + 1 > sizeof(line) || strchr(command, '\n'))
		return -EINVAL;
	memcpy(line, command, n);
	line[n] = '\n';
	r = dial(socket_path, &fd);
	if (r < 0)
		return r;
	if (send(fd, line, n + 1, MSG_NOSIGNAL) != (ssize_t)(n + 1))
		return -errno;
	r = read_line(fd, reply, CONTROL_REPLY_MAX);
	if (r < 0)
		return r;
	return strncmp(reply, "error", 5) == 0 ? -EREMOTEIO : 0;
}

#include "sensor-node/drivers/scpi_link.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t scpi_link_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Waits for events on the socket. Returns 0, -ETIMEDOUT or another errno of poll(2). */
static int scpi_link_wait(const struct scpi_link *link, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int64_t left_ns = link->deadline_ns - scpi_link_now_ns();

		if (left_ns <= 0)
			return -ETIMEDOUT;
		/* rounded up, so that the last millisecond is not spent spinning */
		int r = poll(&p, 1, (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS));

		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

static int scpi_link_try(const struct scpi_link *link, const struct addrinfo *address, int *ret_fd)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int failure = 0;
	socklen_t size = sizeof(failure);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0)
		r = -errno;
	if (r == -EINPROGRESS) {
		r = scpi_link_wait(link, fd, POLLOUT);
		if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
			r = -errno;
		if (r == 0)
			r = -failure;
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int scpi_link_open(struct scpi_link *link, const char *host, uint16_t port, uint32_t timeout_ms,
	struct scpi_error *ret_error)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	struct addrinfo *addresses = NULL;
	char service[8];
	int r = -EHOSTUNREACH;

	snprintf(service, sizeof(service), "%u", port);

	int failure = getaddrinfo(host, service, &hints, &addresses);

	if (failure != 0) {
		scpi_error_set(ret_error, "The instrument %s is not found: %s.", host,
			gai_strerror(failure));
		return -EHOSTUNREACH;
	}
	*link = SCPI_LINK_CLOSED;
	link->deadline_ns = scpi_link_now_ns() + (int64_t)timeout_ms * NS_PER_MS;
	for (const struct addrinfo *a = addresses; a && r < 0 && r != -ETIMEDOUT; a = a->ai_next)
		r = scpi_link_try(link, a, &link->fd);
	freeaddrinfo(addresses);
	if (r < 0)
		scpi_error_set(ret_error, "The instrument at %s port %u cannot be reached: %s.",
			host, port, strerror(-r));
	return r;
}

int scpi_link_send(struct scpi_link *link, const char *line, struct scpi_error *ret_error)
{
	char out[SCPI_LINE_MAX + 2];
	int n = snprintf(out, sizeof(out), "%s\n", line);
	size_t sent = 0;
	int r = 0;

	if (n < 0 || (size_t)n >= sizeof(out))
		return -EINVAL;
	while (r == 0 && sent < (size_t)n) {
		ssize_t w = send(link->fd, out + sent, (size_t)n - sent, MSG_NOSIGNAL);

		if (w >= 0)
			sent += (size_t)w;
		else if (errno == EAGAIN)
			r = scpi_link_wait(link, link->fd, POLLOUT);
		else if (errno != EINTR)
			r = errno == EPIPE ? -ECONNRESET : -errno;
	}
	if (r < 0)
		scpi_error_set(
			ret_error, "The instrument did not take %s: %s.", line, strerror(-r));
	return r;
}

/* Reads until there is an LF in link->in. Returns 0, -EPROTO where it is full without one, or an
 * errno. */
static int scpi_link_fill(struct scpi_link *link)
{
	while (!memchr(link->in, '\n', link->in_n)) {
		if (link->in_n == sizeof(link->in))
			return -EPROTO;
		ssize_t n = recv(link->fd, link->in + link->in_n, sizeof(link->in) - link->in_n, 0);

		if (n == 0)
			return -ECONNRESET;
		if (n > 0) {
			link->in_n += (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		int r = scpi_link_wait(link, link->fd, POLLIN);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Takes the line out of link->in. Returns 0 or -EPROTO. */
static int scpi_link_line(struct scpi_link *link, char reply[static SCPI_TEXT_MAX])
{
	const uint8_t *end = memchr(link->in, '\n', link->in_n);
	size_t n = (size_t)(end - link->in);

	/* a second line would be taken for the answer to the next query */
	if (n + 1 != link->in_n)
		return -EPROTO;
	if (n > 0 && link->in[n - 1] == '\r')
		n--;
	if (n > SCPI_LINE_MAX)
		return -EPROTO;
	for (size_t i = 0; i < n; i++)
		if (link->in[i] < 0x20 || link->in[i] > 0x7e)
			return -EPROTO;
	memcpy(reply, link->in, n);
	reply[n] = '\0';
	link->in_n = 0;
	return 0;
}

int scpi_link_ask(struct scpi_link *link, const char *query, struct scpi_error *ret_error,
	char reply[static SCPI_TEXT_MAX])
{
	int r = scpi_link_send(link, query, ret_error);

	if (r < 0)
		return r;
	r = scpi_link_fill(link);
	if (r == 0)
		r = scpi_link_line(link, reply);
	if (r == -EPROTO)
		scpi_error_set(ret_error,
			"The answer to %s is not one line of at most %u ASCII characters.", query,
			SCPI_LINE_MAX);
	else if (r < 0)
		scpi_error_set(
			ret_error, "The instrument did not answer %s: %s.", query, strerror(-r));
	return r;
}

void scpi_link_close(struct scpi_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	*link = SCPI_LINK_CLOSED;
}

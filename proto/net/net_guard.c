#include "proto/net/net_internal.h"
#include "proto/os/clock.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/*
 * CurveZMQ MESSAGE on the wire (RFC 26): frame header, then "\x07MESSAGE", short nonce, and the box
 * of one flags byte and the content.
 */
#define CURVE_OVERHEAD (8 + 8 + 16 + 1)
#define SHORT_FRAME    255

static uint64_t wire_size(size_t n)
{
	size_t body = n + CURVE_OVERHEAD;

	return body + (body > SHORT_FRAME ? 9 : 2);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0 ? 0 : cookie;
}

/* Bytes that libzmq read from the connection. */
static int bytes_read(int fd, uint64_t *ret_bytes)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof(info);
	int queued = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
		return -errno;
	if (n < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received))
		return -ENOTSUP;
	/* What the kernel still holds back is bounded by its own buffer. */
	if (info.tcpi_bytes_received > NET_UNREAD_MAX && ioctl(fd, FIONREAD, &queued) < 0)
		return -errno;
	*ret_bytes = info.tcpi_bytes_received - MIN((uint64_t)queued, info.tcpi_bytes_received);
	return 0;
}

void net_guard_open(struct net *net, int fd, size_t slot)
{
	struct net_carrier *carrier;
	uint64_t cookie, already = 0;

	if (fd < 0)
		return;
	if (fd >= NET_CONNECTIONS_MAX) {
		shutdown(fd, SHUT_RDWR);
		return;
	}
	cookie = cookie_of(fd);
	/* It ended before its event was read. */
	if (cookie == 0 || bytes_read(fd, &already) < 0)
		return;
	carrier = &net->carriers[fd];
	/* Messages may have been taken out before this event was read: what came until now is
	 * forgiven. */
	atomic_store(&carrier->taken, already);
	atomic_store(&carrier->owner, (uint32_t)slot);
	carrier->unread = 0;
	carrier->opened_at_ns = clock_mono_ns();
	if (atomic_exchange(&carrier->cookie, cookie) == 0)
		atomic_fetch_add(&net->n_open, 1);
	if (fd >= atomic_load(&net->fd_top))
		atomic_store(&net->fd_top, fd + 1);
}

void net_guard_close(struct net *net, int fd, size_t slot)
{
	struct net_carrier *carrier;

	if (fd < 0 || fd >= NET_CONNECTIONS_MAX)
		return;
	carrier = &net->carriers[fd];
	/* Events of two sockets have no order: the descriptor may be another's already. */
	if (atomic_load(&carrier->owner) != slot)
		return;
	if (atomic_exchange(&carrier->cookie, 0) != 0)
		atomic_fetch_sub(&net->n_open, 1);
}

void net_guard_taken(struct net *net, int fd, size_t n)
{
	if (fd >= 0 && fd < NET_CONNECTIONS_MAX)
		atomic_fetch_add_explicit(
			&net->carriers[fd].taken, wire_size(n), memory_order_relaxed);
}

void net_guard_drop(struct net *net, int fd)
{
	uint64_t cookie;

	if (fd < 0 || fd >= NET_CONNECTIONS_MAX)
		return;
	/*
	 * The descriptor is libzmq's, which sees the end of the stream and cleans up. Should it
	 * have been closed and taken over by another connection just now, that one has to connect
	 * again.
	 */
	cookie = atomic_load(&net->carriers[fd].cookie);
	if (cookie != 0 && cookie_of(fd) == cookie)
		shutdown(fd, SHUT_RDWR);
}

static void look(struct net *net, int fd, struct net_carrier *carrier)
{
	uint64_t taken, bytes;

	if (bytes_read(fd, &bytes) < 0) {
		net_guard_close(net, fd, atomic_load(&carrier->owner));
		carrier->unread = 0;
		return;
	}
	taken = atomic_load(&carrier->taken);
	if (taken > bytes) {
		/* Forgiven bytes that were taken out later must not become credit. */
		atomic_fetch_sub(&carrier->taken, taken - bytes);
		taken = bytes;
	}
	carrier->unread = bytes - taken;
}

void net_guard_sweep(struct net *net, int64_t now_ns)
{
	size_t settled[NET_SLOTS_MAX] = { 0 };
	int top = atomic_load(&net->fd_top);
	uint64_t total = 0, share;
	int64_t open;

	for (int fd = 0; fd < top; fd++) {
		struct net_carrier *carrier = &net->carriers[fd];

		if (atomic_load(&carrier->cookie) == 0)
			continue;
		look(net, fd, carrier);
		if (atomic_load(&carrier->cookie) == 0)
			continue;
		total += carrier->unread;
		if (now_ns - carrier->opened_at_ns > NET_HANDSHAKE_MS * NS_PER_MS)
			settled[atomic_load(&carrier->owner)]++;
	}

	open = MAX(atomic_load(&net->n_open), (int64_t)1);
	share = total > NET_UNREAD_TOTAL_MAX ? NET_UNREAD_TOTAL_MAX / (uint64_t)open
					     : NET_UNREAD_MAX;
	for (int fd = 0; fd < top; fd++) {
		struct net_carrier *carrier = &net->carriers[fd];

		if (atomic_load(&carrier->cookie) == 0 ||
			carrier->unread <= MIN(share, (uint64_t)NET_UNREAD_MAX))
			continue;
		atomic_fetch_add(&net->unread_dropped, 1);
		net_guard_drop(net, fd);
		net_guard_close(net, fd, atomic_load(&carrier->owner));
	}

	pthread_mutex_lock(&net->lock);
	for (size_t i = 0; i < NET_SLOTS_MAX; i++)
		net->slots[i].policy.settled = settled[i];
	pthread_mutex_unlock(&net->lock);
}

#include "proto/net/net_internal.h"
#include "proto/os/clock.h"
#include "proto/os/file.h"

#include <fcntl.h>
#include <stdio.h>

#define SWEEP_GROWTH \
	(4 << 20) /* bytes by which the process grows before the guard looks at once \
		   */
/* TCP_INFO of 2,000 connections costs 3 ms: without growth, once in a while is enough. */
#define SWEEP_EVERY_NS (NET_GUARD_SWEEP_MS * NS_PER_MS)
#define ZAP_BATCH      64

struct door {
	struct net *net;
	void *control;
	void *zap;
	int statm;
	int64_t swept_at_ns;
	int64_t resident; /* bytes, at the last sweep */
	int64_t resident_seen; /* bytes, at the last look */
	bool growing;
	bool stop;
};

/* Bytes that the process holds in memory; 0 where /proc is missing: then time alone drives the
 * guard. */
static int64_t resident(const struct door *d)
{
	char text[128];
	long long size, pages;
	ssize_t n = d->statm < 0 ? -1 : pread(d->statm, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%lld %lld", &size, &pages) != 2)
		return 0;
	return pages * sysconf(_SC_PAGESIZE);
}

static void guard(struct door *d)
{
	int64_t now_ns = clock_mono_ns(), size = resident(d);

	d->growing = size > d->resident_seen;
	d->resident_seen = size;
	if (now_ns - d->swept_at_ns < SWEEP_EVERY_NS && size - d->resident < SWEEP_GROWTH)
		return;
	net_guard_sweep(d->net, now_ns);
	d->swept_at_ns = now_ns;
	d->resident = size;
}

/* An event: a frame of u16 event and u32 value in native order, then the endpoint, which says
 * nothing new. */
static int read_monitor(struct door *d, size_t slot)
{
	struct net_slot *s = &d->net->slots[slot];
	uint8_t frame[6], endpoint[NET_ENDPOINT_MAX];
	uint16_t event;
	uint32_t value;
	int n;

	n = zmq_recv(d->net->monitors[slot], frame, sizeof(frame), ZMQ_DONTWAIT);
	if (n < 0)
		return -errno;
	if (zmq_recv(d->net->monitors[slot], endpoint, sizeof(endpoint), 0) < 0)
		return -errno;
	if (n != (int)sizeof(frame))
		return -EPROTO;
	memcpy(&event, frame, 2);
	memcpy(&value, frame + 2, 4);

	if (event == ZMQ_EVENT_ACCEPTED || event == ZMQ_EVENT_CONNECTED)
		net_guard_open(d->net, (int)value, slot);
	else if (event == ZMQ_EVENT_DISCONNECTED)
		net_guard_close(d->net, (int)value, slot);
	if (s->client) {
		pthread_mutex_lock(&d->net->lock);
		net_link_event(&s->link, event, clock_mono_ns());
		pthread_mutex_unlock(&d->net->lock);
	}
	return 0;
}

static int watch(struct door *d, size_t slot)
{
	char name[NET_ENDPOINT_MAX];
	void *monitor = zmq_socket(d->net->context, ZMQ_PAIR);
	int r;

	if (!monitor)
		return -errno;
	net_monitor_name(d->net, slot, name);
	r = net_set_int(monitor, ZMQ_LINGER, 0);
	if (r == 0 && zmq_connect(monitor, name) < 0)
		r = -errno;
	if (r < 0)
		zmq_close(monitor);
	else
		d->net->monitors[slot] = monitor;
	return r;
}

static void close_zap(struct door *d)
{
	if (d->zap)
		zmq_close(d->zap);
	d->zap = NULL;
}

static int obey(struct door *d)
{
	struct {
		enum net_order order;
		size_t slot;
	} message;
	int answer = 0, n = zmq_recv(d->control, &message, sizeof(message), ZMQ_DONTWAIT);

	if (n < 0)
		return -errno;
	switch (message.order) {
	case NET_ORDER_WATCH:
		answer = watch(d, message.slot);
		break;
	case NET_ORDER_FORGET:
		while (read_monitor(d, message.slot) == 0)
			;
		zmq_close(take(&d->net->monitors[message.slot]));
		break;
	case NET_ORDER_CLOSE_ZAP:
		close_zap(d);
		break;
	case NET_ORDER_SWEEP:
		net_guard_sweep(d->net, clock_mono_ns());
		break;
	case NET_ORDER_STOP:
		d->stop = true;
		break;
	}
	return zmq_send(d->control, &answer, sizeof(answer), 0) < 0 ? -errno : 0;
}

/*
 * A fault ends admission, not the thread: monitors must be read on, or libzmq's I/O thread would
 * wait for their reader.
 */
static void check(struct door *d, int r)
{
	if (r == 0 || r == -EAGAIN || r == -EINTR)
		return;
	atomic_store(&d->net->broken, true);
	close_zap(d);
}

static long wait_ms(const struct door *d)
{
	if (atomic_load(&d->net->n_open) == 0)
		return -1;
	return d->growing ? NET_GUARD_BUSY_MS : NET_GUARD_QUIET_MS;
}

static void round_trip(struct door *d)
{
	zmq_pollitem_t items[NET_SLOTS_MAX + 2];
	size_t slots[NET_SLOTS_MAX + 2];
	int n = 0, n_monitors, r = 0;

	for (size_t i = 0; i < NET_SLOTS_MAX; i++) {
		if (!d->net->monitors[i])
			continue;
		slots[n] = i;
		items[n++] = (zmq_pollitem_t){ .socket = d->net->monitors[i],
			.events = ZMQ_POLLIN };
	}
	n_monitors = n;
	items[n++] = (zmq_pollitem_t){ .socket = d->control, .events = ZMQ_POLLIN };
	if (d->zap)
		items[n++] = (zmq_pollitem_t){ .socket = d->zap, .events = ZMQ_POLLIN };

	if (zmq_poll(items, n, wait_ms(d)) < 0) {
		check(d, -errno);
		return;
	}
	for (int i = 0; i < n_monitors; i++) {
		if (!(items[i].revents & ZMQ_POLLIN))
			continue;
		while ((r = read_monitor(d, slots[i])) == 0)
			;
		check(d, r);
	}
	for (int i = 0; d->zap && i < ZAP_BATCH && r != -EINTR; i++) {
		r = net_zap_answer(d->net, d->zap, clock_mono_ns());
		check(d, r);
		if (r < 0)
			break;
	}
	if (items[n_monitors].revents & ZMQ_POLLIN)
		check(d, obey(d));
	guard(d);
}

void *net_door_run(void *start)
{
	struct net_door_start *given = start;
	struct door d = { .net = given->net, .control = given->control, .zap = given->zap };

	d.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	free(given);
	while (!d.stop)
		round_trip(&d);
	close_zap(&d);
	zmq_close(d.control);
	closep(&d.statm);
	return NULL;
}

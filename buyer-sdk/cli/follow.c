#include "buyer-sdk/cli/follow.h"

#include "buyer-sdk/cli/print.h"
#include "buyer-sdk/src/handle.h"
#include "proto/os/clock.h"

#include <poll.h>

#define TICK_MS 200

struct follow {
	const struct cli *cli;
	assay_t *assay;
	struct id id;
	int64_t since_ns;
	int64_t lost_ns; /* since when the broker is away; 0: it is there */
	bool drawn;
};

struct look {
	bool connected;
	bool ended;
	int64_t state;
	struct did node;
};

/* What the handle knows, without taking it. */
static struct look look(const struct follow *f)
{
	struct look l = { 0 };

	pthread_mutex_lock(&f->assay->lock);

	const struct ticket *ticket = handle_find(f->assay, &f->id);

	l.connected = f->assay->broker_connected && f->assay->thread_result == 0;
	if (ticket && ticket->have) {
		l.ended = ticket->latest.ended;
		l.state = ticket->latest.state;
		l.node = ticket->latest.node;
	}
	pthread_mutex_unlock(&f->assay->lock);
	return l;
}

static void draw(struct follow *f, const struct look *l, int64_t now_ns)
{
	int64_t ms = (now_ns - f->since_ns) / NS_PER_MS;
	char node[DID_TEXT_MAX] = "";

	if (!f->cli->progress)
		return;
	if (!did_is_zero(&l->node))
		did_text(&l->node, node);
	fprintf(stderr, "\r\033[K%-11s %lld.%lld s  %s%s",
		l->state ? slot_state_name(l->state) : "", (long long)(ms / 1000),
		(long long)(ms % 1000 / 100), node,
		l->connected ? "" : "  (the broker does not answer)");
	f->drawn = true;
}

static void wipe(const struct follow *f)
{
	if (f->drawn)
		fprintf(stderr, "\r\033[K");
}

assay_status_t follow_request(
	const struct cli *cli, assay_t *assay, const char *id, assay_result_t **ret_result)
{
	struct follow f = { .cli = cli, .assay = assay, .since_ns = clock_mono_ns() };
	assay_status_t status = ASSAY_OK;

	*ret_result = NULL;
	if (id_parse(SPAN_STR(id), &f.id) < 0)
		return handle_fail(assay, ASSAY_USAGE, "A request's id has 64 hex digits.");
	for (;;) {
		struct pollfd fd = { .fd = assay_fd(assay), .events = POLLIN };
		struct look l = look(&f);
		int64_t now_ns = clock_mono_ns();

		if (l.ended)
			break;
		draw(&f, &l, now_ns);
		if (l.connected)
			f.lost_ns = 0;
		else if (f.lost_ns == 0)
			f.lost_ns = now_ns;
		else if (now_ns - f.lost_ns > FOLLOW_LOST_MS * NS_PER_MS)
			status = handle_fail(assay, ASSAY_UNREACHABLE,
				"The broker is away; the request goes on: ask for it later with 'assay request show'.");
		if (status == ASSAY_OK && poll(&fd, 1, TICK_MS) < 0 && errno != EINTR)
			status = handle_status(assay, ASSAY_SYSTEM);
		if (status == ASSAY_OK)
			status = assay_dispatch(assay);
		if (status != ASSAY_OK) {
			wipe(&f);
			return status;
		}
	}
	wipe(&f);
	return assay_wait(assay, id, 0, ret_result);
}

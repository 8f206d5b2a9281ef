#include "proto/shell/shell_internal.h"

#include "proto/os/clock.h"
#include "proto/os/entropy.h"
#include "proto/os/file.h"
#include "proto/os/logline.h"
#include "proto/os/signals.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/* Rows first, so that what is sent finds them; then messages; works wait for the commit, but early
 * ones. */
static int carry_out(struct shell *shell)
{
	struct effects *fx = &shell->fx;
	int r = 0;

	if (fx->overflow) {
		logline(LEVEL_ERROR, "effects_overflow", KV_INT("n", fx->n),
			KV_INT("arena", fx->arena.n));
		return -ENOBUFS;
	}
	for (size_t i = 0; i < fx->n && r == 0; i++)
		if (fx->v[i].type == EFFECT_PUT)
			r = store_put(shell, &fx->v[i].row);
	for (size_t i = 0; i < fx->n && r == 0; i++)
		if (fx->v[i].type == EFFECT_SEND)
			r = send_effect(shell, fx->v[i].send);
	for (size_t i = 0; i < fx->n && r == 0; i++)
		if (fx->v[i].type == EFFECT_WORK && !fx->v[i].work.early)
			r = work_queue_add(&shell->started, &fx->v[i].work);
		else if (fx->v[i].type == EFFECT_WORK)
			r = shell->o.start_work(shell->o.ctx, &fx->v[i].work);
	cache_trim(&shell->cache);
	return r;
}

int shell_step(struct shell *shell, struct event *event)
{
	event->now_ns = clock_now_ns();
	entropy_fill(event->entropy, sizeof(event->entropy));
	effects_init(&shell->fx);
	shell->o.ops->step(shell->o.core, event, &shell->fx);
	shell->batch_events++;
	shell->counts.events++;
	return carry_out(shell);
}

int shell_step_peer(struct shell *shell, enum event_type type, const struct did *did, int64_t role)
{
	struct event event = { .type = type, .from = *did, .role = role };

	return shell_step(shell, &event);
}

static int take_server(struct shell *shell, bool *ret_dry)
{
	struct net_in in = { 0 };
	struct route route = { .contact = -1 };
	int r = net_server_recv(shell->o.server, &in);

	*ret_dry = r == -EAGAIN;
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	memcpy(route.routing, in.routing, in.n_routing);
	route.n_routing = in.n_routing;
	route.peer = in.peer;
	r = receive_message(shell, &route, in.bytes);
	net_in_deinit(&in);
	return r;
}

static int take_client(struct shell *shell, size_t contact, bool *ret_dry)
{
	struct net_in in = { 0 };
	struct route route = { .contact = (int)contact };
	int r;

	r = net_client_recv(shell->dialled[contact].client, &in);
	*ret_dry = r == -EAGAIN;
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	route.peer = shell->dialled[contact].contact.curve_key;
	r = receive_message(shell, &route, in.bytes);
	net_in_deinit(&in);
	return r;
}

/* One message from each socket in turn, so that a busy one does not starve the others. */
static int gather(struct shell *shell)
{
	bool dry[SHELL_CONTACTS_MAX + 1] = { false };
	size_t n_wet = shell->o.n_contacts + 1;
	int r = 0;

	dry[shell->o.n_contacts] = !shell->o.server;
	n_wet -= dry[shell->o.n_contacts];
	while (n_wet > 0)
		for (size_t i = 0; i <= shell->o.n_contacts; i++) {
			if (dry[i])
				continue;
			if (shell->batch_messages >= SHELL_BATCH_MAX ||
				shell->n_out_bytes >= SHELL_OUT_MAX)
				return 0;
			r = i < shell->o.n_contacts ? take_client(shell, i, &dry[i])
						    : take_server(shell, &dry[i]);
			if (r < 0)
				return r;
			n_wet -= dry[i];
		}
	return 0;
}

static int tick(struct shell *shell)
{
	struct event event = { .type = EVENT_TICK };

	if (shell->o.ops->wake_at(shell->o.core) > clock_now_ns())
		return 0;
	return shell_step(shell, &event);
}

/* Durable first; only then does anything leave. */
static int close_batch(struct shell *shell)
{
	struct event seal = { .type = EVENT_SEAL };
	int r = shell->batch_events > 0 ? shell_step(shell, &seal) : 0;

	if (shell->o.db && db_in_transaction(shell->o.db) &&
		(shell->n_outs > 0 || shell->started.n > 0))
		shell->counts.commits_awaited++;
	if (r == 0)
		r = store_commit(shell);
	if (r < 0)
		return r;
	send_flush(shell);
	r = work_start(shell);
	if (r < 0)
		return r;
	/* The first FETCHes of a pull that just began. */
	send_flush(shell);
	if (shell->batch_events > 0) {
		shell->counts.batches++;
		shell->counts.batch_largest = MAX(
			shell->counts.batch_largest, (uint64_t)shell->batch_messages);
	}
	if (shell->o.on_batch)
		shell->o.on_batch(shell->o.ctx);
	return 0;
}

static int batch(struct shell *shell)
{
	int64_t now = clock_mono_ns();
	int r = 0;

	shell->batch_events = 0;
	shell->batch_messages = 0;
	shell->disk_low = -1;
	for (size_t i = 0; i < shell->o.n_contacts && r == 0; i++)
		r = greet_client_events(shell, &shell->dialled[i]);
	if (r == 0)
		r = gather(shell);
	if (r == 0)
		r = greet_beat(shell, now);
	if (r == 0)
		r = pull_beat(shell, now);
	if (r == 0)
		r = work_results(shell);
	if (r == 0)
		r = tick(shell);
	return r < 0 ? r : close_batch(shell);
}

static int64_t wait_ms(const struct shell *shell)
{
	int64_t wait_ns = SHELL_WAIT_MAX_NS, wake_at = shell->o.ops->wake_at(shell->o.core);
	int64_t beat = MIN(greet_next(shell), pull_next(shell)) - clock_mono_ns();

	if (wake_at != INT64_MAX)
		wait_ns = MIN(wait_ns, wake_at - clock_now_ns());
	wait_ns = MIN(wait_ns, beat);
	if (shell->held.n > 0)
		wait_ns = MIN(wait_ns, SHELL_HELD_RETRY_NS);
	if (shell->control && shell_control_busy(shell->control))
		wait_ns = 0;
	return wait_ns <= 0 ? 0 : (wait_ns + NS_PER_MS - 1) / NS_PER_MS;
}

static int handle_signals(struct shell *shell)
{
	int signal, r;

	while ((r = signals_read(shell->o.signals, &signal)) == 0)
		switch (signal) {
		case SIGHUP:
			r = shell->o.server ? net_server_reload(shell->o.server) : 0;
			if (r < 0)
				logline(LEVEL_WARNING, "reload_failed", KV_ERR("error", r));
			break;
		case SIGINT:
		case SIGTERM:
			atomic_store(&shell->stop, true);
			break;
		default: /* SIGUSR1 means nothing here */
			break;
		}
	return r == -EAGAIN ? 0 : r;
}

/* The counter back to zero: work_post() writes again for the next result. */
static void drain_wake(struct shell *shell)
{
	uint64_t n;

	if (read(shell->wake, &n, sizeof(n)) < 0)
		return; /* it was zero */
}

static int wait_for_something(struct shell *shell)
{
	struct net_item items[SHELL_CONTACTS_MAX + 5] = { 0 };
	size_t n = 0;
	int r;

	items[n++].fd = shell->wake;
	if (shell->o.signals >= 0)
		items[n++].fd = shell->o.signals;
	if (shell->o.server)
		items[n++].server = shell->o.server;
	for (size_t i = 0; i < shell->o.n_contacts; i++)
		items[n++].client = shell->dialled[i].client;
	if (shell->control)
		n += shell_control_items(shell->control, &items[n]);
	r = net_poll(items, n, wait_ms(shell));
	if (r == -EINTR)
		return 0;
	if (r < 0)
		return r;
	if (items[0].readable)
		drain_wake(shell);
	if (shell->o.signals >= 0 && items[1].readable)
		return handle_signals(shell);
	return 0;
}

int shell_run(struct shell *shell)
{
	struct event start = { .type = EVENT_START };
	int r = store_load(shell);

	if (r == 0)
		r = shell_step(shell, &start);
	if (r == 0)
		r = close_batch(shell);
	while (r == 0 && !atomic_load(&shell->stop)) {
		r = wait_for_something(shell);
		if (r == 0)
			r = batch(shell);
		if (r == 0 && shell->control)
			r = shell_control_work(shell, shell->control);
	}
	if (r < 0) {
		/* What was not committed never happened, and nothing of it was sent. */
		int rollback = shell->o.db ? db_rollback(shell->o.db) : 0;

		logline(LEVEL_ERROR, "shell_failed", KV_ERR("error", r),
			KV_INT("rollback", rollback));
	}
	return r;
}

void shell_stop(struct shell *shell)
{
	static const uint64_t one = 1;

	atomic_store(&shell->stop, true);
	if (write(shell->wake, &one, sizeof(one)) < 0)
		return; /* the counter is full, and so the loop wakes anyway */
}

int shell_exit_code(int error)
{
	return error == 0 ? 0 : error == -ENOSPC ? SHELL_EXIT_DISK_FULL : 1;
}

struct shell_counts shell_counts(const struct shell *shell)
{
	return shell->counts;
}

static int dial(struct shell *shell)
{
	for (size_t i = 0; i < shell->o.n_contacts; i++) {
		struct dialled *d = &shell->dialled[i];
		const struct net_client_options options = {
			.endpoint = shell->o.contacts[i].endpoint,
			.server_key = shell->o.contacts[i].curve_key,
			.keys = shell->o.identity->curve,
			.ipv6 = true,
		};
		int r;

		d->contact = shell->o.contacts[i];
		if (shell->o.role != ROLE_BUYER && did_eq(&d->contact.did, &shell->o.identity->did))
			return -ELOOP;
		r = net_client_new(shell->o.net, &options, &d->client);
		if (r < 0)
			return r;
	}
	return 0;
}

static int init(struct shell *shell)
{
	uint64_t secret;
	int r;

	work_queue_init(&shell->done);
	work_queue_init(&shell->started);
	work_queue_init(&shell->pull_queue);
	pthread_mutex_init(&shell->lock, NULL);
	shell->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (shell->wake < 0)
		return -errno;
	/* Numbers go on rising over restarts. */
	shell->number = clock_now_ns() / NS_PER_MS;
	shell->chunk = malloc(PAYLOAD_CHUNK);
	if (!shell->chunk)
		return -ENOMEM;
	entropy_fill(&secret, sizeof(secret));
	r = cache_init(&shell->cache, secret);
	if (r == 0)
		r = sessions_init(
			&shell->sessions, shell->o.server ? shell->o.peers_max : 1, secret);
	if (r == 0)
		r = store_prepare(shell);
	if (r == 0)
		r = dial(shell);
	if (r == 0 && shell->o.control_path)
		r = shell_control_new(shell, &shell->control);
	return r;
}

int shell_new(const struct shell_options *options, struct shell **ret_shell)
{
	_cleanup_(shell_freep) struct shell *shell = NULL;
	int r;

	if (options->n_contacts > SHELL_CONTACTS_MAX || options->peers_max > SHELL_PEERS_MAX)
		return -EINVAL;
	shell = calloc(1, sizeof(*shell));
	if (!shell)
		return -ENOMEM;
	shell->o = *options;
	/* A broker hands on what the escrow says; the buyer verifies it. */
	shell->opened.courier = options->role == ROLE_BROKER;
	shell->wake = -EBADF;
	if (shell->o.peers_max == 0)
		shell->o.peers_max = SHELL_PEERS_MAX;
	if (shell->o.disk_reserve == 0)
		shell->o.disk_reserve = SHELL_DISK_RESERVE;
	r = init(shell);
	if (r < 0)
		return r;
	*ret_shell = take(&shell);
	return 0;
}

void shell_free(struct shell *shell)
{
	if (!shell)
		return;
	shell_control_free(shell->control);
	for (size_t i = 0; i < shell->o.n_contacts; i++)
		net_client_free(shell->dialled[i].client);
	pull_deinit(shell);
	work_queue_free(&shell->started);
	work_queue_free(&shell->done);
	cache_deinit(&shell->cache);
	sessions_deinit(&shell->sessions);
	closep(&shell->wake);
	pthread_mutex_destroy(&shell->lock);
	free(shell->doomed);
	held_deinit(&shell->held);
	free(shell->outs);
	free(shell->out_bytes);
	free(shell->chunk);
	free(shell);
}

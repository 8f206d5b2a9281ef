#include "buyer-sdk/src/handle.h"

#include "proto/os/clock.h"
#include "proto/os/entropy.h"
#include "proto/os/logline.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define KEYRING_CAPACITY 4096

static _Thread_local char thread_error[HANDLE_ERROR_MAX];

assay_status_t handle_fail(assay_t *a, assay_status_t status, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(a ? a->error : thread_error, HANDLE_ERROR_MAX, format, ap);
	va_end(ap);
	return status;
}

assay_status_t handle_null(assay_t *a)
{
	return handle_fail(a, ASSAY_USAGE, "An argument is NULL that has to be there.");
}

assay_status_t handle_status(assay_t *a, assay_status_t status)
{
	return handle_fail(a, status, "%s", assay_status_text(status));
}

const char *assay_error(const assay_t *assay)
{
	return assay ? assay->error : thread_error;
}

const char *assay_identity(const assay_t *assay)
{
	return assay ? assay->identity_text : "";
}

struct ticket *handle_ticket(assay_t *a, uint64_t number)
{
	for (size_t i = 0; number != 0 && i < HANDLE_TICKETS_MAX; i++)
		if (a->tickets[i].number == number)
			return &a->tickets[i];
	return NULL;
}

struct ticket *handle_find(assay_t *a, const struct id *request)
{
	for (size_t i = 0; i < HANDLE_TICKETS_MAX; i++)
		if (a->tickets[i].number != 0 && a->tickets[i].is_request &&
			id_eq(&a->tickets[i].request, request))
			return &a->tickets[i];
	return NULL;
}

void handle_release(struct ticket *ticket)
{
	buyer_result_deinit(&ticket->latest);
	*ticket = (struct ticket){ 0 };
}

/* Takes over what the core has to say; the newest word replaces the one before. */
static void take_results(assay_t *a)
{
	struct buyer_result result;
	bool any = false;

	while (buyer_next_result(a->buyer, &result)) {
		pthread_mutex_lock(&a->lock);

		struct ticket *ticket = handle_ticket(a, result.ticket);

		if (ticket) {
			buyer_result_deinit(&ticket->latest);
			ticket->latest = result;
			ticket->have = true;
			ticket->fresh = true;
			any = true;
		}
		pthread_mutex_unlock(&a->lock);
		if (!ticket)
			buyer_result_deinit(&result);
	}
	if (!any)
		return;
	pthread_cond_broadcast(&a->changed);
	if (eventfd_write(a->event_fd, 1) < 0)
		return; /* the counter is full: it is readable already */
}

static void note_connection(assay_t *a, const struct did *who, bool connected)
{
	pthread_mutex_lock(&a->lock);
	if (did_eq(who, &a->market.broker.did))
		a->broker_connected = connected;
	if (did_eq(who, &a->market.escrow.did))
		a->escrow_connected = connected;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

/* The buyer's core as the shell sees it, with an ear on connections and results. */
static void step(void *core, const struct event *event, struct effects *fx)
{
	assay_t *a = core;

	buyer_ops.step(a->buyer, event, fx);
	if (event->type == EVENT_CONNECTED || event->type == EVENT_LOST)
		note_connection(a, &event->from, event->type == EVENT_CONNECTED);
	take_results(a);
}

static int load(void *core, const struct row *row)
{
	return buyer_ops.load(((assay_t *)core)->buyer, row);
}

static int64_t wake_at(const void *core)
{
	return buyer_ops.wake_at(((const assay_t *)core)->buyer);
}

static void check(const void *core)
{
	buyer_ops.check(((const assay_t *)core)->buyer);
}

static bool may_fetch(const void *core, const struct did *who, const struct id *digest)
{
	return buyer_ops.may_fetch &&
	       buyer_ops.may_fetch(((const assay_t *)core)->buyer, who, digest);
}

static int run_shell(assay_t *a, const struct core_ops *ops)
{
	struct shell_options options = {
		.ops = ops,
		.core = a,
		.keyring = a->keyring,
		.identity = &a->identity,
		.role = ROLE_BUYER,
		.n_contacts = 2,
		.memory_payloads = true,
		.signals = -1,
	};
	int r = net_new(&a->net);

	if (r < 0)
		return r;
	options.net = a->net;
	options.contacts[0] = a->market.broker;
	options.contacts[1] = a->market.escrow;

	struct shell *shell = NULL;

	r = shell_new(&options, &shell);
	if (r < 0)
		return r;
	pthread_mutex_lock(&a->lock);
	a->shell = shell;
	a->started = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	return shell_run(shell);
}

static void *thread_main(void *context)
{
	assay_t *a = context;
	struct core_ops ops = buyer_ops;

	ops.load = load;
	ops.step = step;
	ops.wake_at = wake_at;
	ops.check = check;
	ops.may_fetch = may_fetch;

	int r = run_shell(a, &ops);

	pthread_mutex_lock(&a->lock);
	a->thread_result = r;
	a->broker_connected = false;
	a->escrow_connected = false;

	struct shell *shell = a->shell;

	a->shell = NULL;
	a->started = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	shell_free(shell);
	net_free(a->net);
	a->net = NULL;
	return NULL;
}

static int start_thread(assay_t *a)
{
	sigset_t all;
	sigset_t before;
	int r;

	/* The program's signals stay the program's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	r = pthread_create(&a->thread, NULL, thread_main, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	a->thread_runs = r == 0;
	return -r;
}

static void deadline_after(struct timespec *ts, int64_t ms)
{
	int64_t at = clock_mono_ns() + ms * NS_PER_MS;

	ts->tv_sec = (time_t)(at / NS_PER_S);
	ts->tv_nsec = (long)(at % NS_PER_S);
}

/* Until broker and escrow have greeted back. */
static assay_status_t wait_connected(assay_t *a, int64_t ms)
{
	struct timespec until;
	int r = 0;

	deadline_after(&until, ms);
	pthread_mutex_lock(&a->lock);
	while (r == 0 && a->thread_result == 0 && !(a->broker_connected && a->escrow_connected))
		r = pthread_cond_timedwait(&a->changed, &a->lock, &until);

	bool broker = a->broker_connected;
	bool both = broker && a->escrow_connected;
	int failed = a->thread_result;

	pthread_mutex_unlock(&a->lock);
	if (both)
		return ASSAY_OK;
	if (failed < 0)
		return handle_fail(NULL, ASSAY_SYSTEM, "The network could not be used: %s.",
			strerror(-failed));
	return handle_fail(NULL, ASSAY_UNREACHABLE,
		"The %s at %s does not answer: is the market running? (assay up --dir DIR)",
		broker ? "escrow" : "broker",
		broker ? a->market.escrow.endpoint : a->market.broker.endpoint);
}

static assay_status_t load_files(assay_t *a, const assay_options_t *options)
{
	struct market_paths paths;

	if (market_locate(options, &paths) < 0)
		return handle_fail(NULL, ASSAY_USAGE, "A path is too long.");

	int r = market_read(paths.market, &a->market);

	if (r == -ENOENT)
		return handle_fail(NULL, ASSAY_NO_MARKET,
			"There is no market in %s: run 'assay up --demo --dir DIR', or 'assay market add FILE'.",
			paths.market);
	if (r < 0)
		return handle_fail(NULL, ASSAY_SYSTEM, "%s is no market file: %s.", paths.market,
			strerror(-r));
	r = identity_load(paths.keys, &a->identity);
	if (r == -ENOENT)
		return handle_fail(NULL, ASSAY_NO_KEYS,
			"There is no identity in %s: run 'assay key new'.", paths.keys);
	if (r != 0)
		return handle_fail(NULL, r > 0 ? (assay_status_t)r : ASSAY_SYSTEM, "%s: %s",
			paths.keys, r > 0 ? refusal_sentence((enum refusal)r) : strerror(-r));
	did_text(&a->identity.did, a->identity_text);
	return ASSAY_OK;
}

static assay_status_t make_core(assay_t *a)
{
	a->keyring = keyring_new(KEYRING_CAPACITY);
	if (!a->keyring)
		return handle_status(NULL, ASSAY_NO_MEMORY);
	a->config = (struct buyer_config){
		.author = a->identity.author,
		.n_encryption_secrets = 1,
		.keyring = a->keyring,
		.broker = a->market.broker.did,
		.escrow = a->market.escrow.did,
	};
	/* Requests are for this market, whatever the identity was made for. */
	a->config.author.market = SPAN_STR(a->market.name);
	memcpy(a->config.encryption_secrets[0], a->identity.encryption_secret, 32);
	entropy_fill(&a->config.secret, sizeof(a->config.secret));
	return buyer_new(&a->config, &a->buyer) == 0 ? ASSAY_OK
						     : handle_status(NULL, ASSAY_NO_MEMORY);
}

assay_status_t assay_open(const assay_options_t *options, assay_t **ret_assay)
{
	const assay_options_t defaults = ASSAY_OPTIONS_INIT;
	pthread_condattr_t attributes;

	if (!options)
		options = &defaults;
	if (!ret_assay)
		return handle_null(NULL);
	if (options->size < sizeof(size_t) || options->size > sizeof(*options))
		return handle_fail(
			NULL, ASSAY_USAGE, "options.size is not sizeof(assay_options_t).");

	/* A library prints nothing, unless somebody who looks for a fault asks for it. */
	if (!getenv("ASSAY_LOG"))
		logline_set_fd(-1);

	/* An older caller's struct is shorter: what it lacks is zero. */
	assay_options_t whole = { 0 };

	memcpy(&whole, options, options->size);

	assay_t *a = calloc(1, sizeof(*a));

	if (!a)
		return handle_status(NULL, ASSAY_NO_MEMORY);
	a->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&a->changed, &attributes);
	pthread_condattr_destroy(&attributes);

	assay_status_t status = load_files(a, &whole);

	if (status == ASSAY_OK)
		status = make_core(a);
	if (status == ASSAY_OK && (a->event_fd < 0 || start_thread(a) < 0))
		status = handle_fail(NULL, ASSAY_SYSTEM, "No thread or descriptor is left.");
	if (status == ASSAY_OK)
		status = wait_connected(a, whole.connect_timeout_ms
						   ? (int64_t)whole.connect_timeout_ms
						   : HANDLE_CONNECT_MS);
	if (status != ASSAY_OK) {
		assay_close(a);
		return status;
	}
	*ret_assay = a;
	return ASSAY_OK;
}

void assay_close(assay_t *assay)
{
	if (!assay)
		return;
	if (assay->thread_runs) {
		pthread_mutex_lock(&assay->lock);
		while (!assay->started)
			pthread_cond_wait(&assay->changed, &assay->lock);
		if (assay->shell)
			shell_stop(assay->shell);
		pthread_mutex_unlock(&assay->lock);
		pthread_join(assay->thread, NULL);
	}
	for (size_t i = 0; i < HANDLE_TICKETS_MAX; i++)
		handle_release(&assay->tickets[i]);
	buyer_free(assay->buyer);
	keyring_free(assay->keyring);
	identity_deinit(&assay->identity);
	if (assay->event_fd >= 0)
		close(assay->event_fd);
	pthread_cond_destroy(&assay->changed);
	pthread_mutex_destroy(&assay->lock);
	free(assay);
}

uint64_t handle_call(
	assay_t *a, enum buyer_call_kind kind, struct buyer_call *call, const struct id *request)
{
	uint64_t number = 0;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < HANDLE_TICKETS_MAX && number == 0; i++) {
		if (a->tickets[i].number != 0)
			continue;
		number = ++a->last_number;
		a->tickets[i] = (struct ticket){ .number = number, .is_request = request != NULL };
		if (request)
			a->tickets[i].request = *request;
		if (!a->shell || shell_work_done(a->shell, number, (int)kind, 0, REFUSED_NOT, call,
					 sizeof(*call)) < 0) {
			a->tickets[i] = (struct ticket){ 0 };
			break;
		}
	}
	if (!handle_ticket(a, number))
		number = 0;
	pthread_mutex_unlock(&a->lock);
	return number;
}

bool handle_wait(assay_t *a, uint64_t number, int64_t timeout_ms,
	bool (*enough)(const struct buyer_result *result), struct buyer_result *ret_result)
{
	struct timespec until;
	struct ticket *ticket;
	bool found = false;
	int r = 0;

	deadline_after(&until, timeout_ms < 0 ? 0 : timeout_ms);
	pthread_mutex_lock(&a->lock);
	while ((ticket = handle_ticket(a, number)) != NULL) {
		found = ticket->have && enough(&ticket->latest);
		if (found || r != 0 || a->thread_result < 0)
			break;
		r = timeout_ms < 0 ? pthread_cond_wait(&a->changed, &a->lock)
				   : pthread_cond_timedwait(&a->changed, &a->lock, &until);
	}
	if (found) {
		*ret_result = ticket->latest;
		ticket->latest = (struct buyer_result){ 0 };
		ticket->have = false;
		ticket->fresh = false;
	}
	pthread_mutex_unlock(&a->lock);
	return found;
}

#pragma once
/*
 * The SDK's handle: a thread that runs the shell around the buyer's core, and what the calling
 * threads share with it. Calls go in as work of the shell; results come back per ticket, newest
 * only.
 *
 * Invariants, under `lock`: a ticket in use has a number; `latest` is owned by the ticket.
 */
#include "buyer-sdk/src/buyer.h"
#include "buyer-sdk/src/market.h"
#include "proto/base/text.h"
#include "proto/shell/shell.h"

#include <pthread.h>
#include <stdlib.h>

#define HANDLE_TICKETS_MAX (BUYER_REQUESTS_MAX + BUYER_WALLET_MAX)
#define HANDLE_ERROR_MAX   512
#define HANDLE_CONNECT_MS  5000
#define HANDLE_CALL_MS     10000

struct ticket {
	uint64_t number; /* 0: free */
	bool is_request;
	struct id request;
	struct buyer_result latest;
	bool have; /* latest is set */
	bool fresh; /* and assay_dispatch() has not told of it */
	bool waiting; /* somebody waits for it: it is not freed */
};

struct assay {
	pthread_t thread;
	bool thread_runs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct identity identity;
	char identity_text[DID_TEXT_MAX];
	struct market market;
	struct buyer_config config;
	struct keyring *keyring;
	struct net *net; /* of the thread */
	struct shell *shell; /* of the thread; calls from others by shell_work_done() */
	struct buyer *buyer; /* of the thread */
	bool broker_connected; /* under lock, as all below */
	bool escrow_connected;
	bool started;
	int thread_result;
	struct ticket tickets[HANDLE_TICKETS_MAX];
	uint64_t last_number;
	int event_fd;
	assay_callback_t callback;
	void *callback_context;
	char error[HANDLE_ERROR_MAX];
};

/* Sets the sentence of the last failure and returns status. a NULL: of this thread. */
_printf_(3, 4) assay_status_t
	handle_fail(assay_t *a, assay_status_t status, const char *format, ...);
/* ASSAY_USAGE: a pointer that has to be there is NULL. */
assay_status_t handle_null(assay_t *a);
/* The status with its own sentence. */
assay_status_t handle_status(assay_t *a, assay_status_t status);

/* Takes a ticket and gives the call to the core. 0: too many are open. */
uint64_t handle_call(
	assay_t *a, enum buyer_call_kind kind, struct buyer_call *call, const struct id *request);
/* The ticket of a request, or NULL. Under lock. */
struct ticket *handle_find(assay_t *a, const struct id *request);
struct ticket *handle_ticket(assay_t *a, uint64_t number);
/* Gives a ticket back. Under lock. */
void handle_release(struct ticket *ticket);
/*
 * Waits until the ticket has a result that `enough` accepts, or timeout_ms is over (negative:
 * without limit). Takes the result out into ret_result, which the caller frees. False at the
 * timeout.
 */
_must_check_ bool handle_wait(assay_t *a, uint64_t number, int64_t timeout_ms,
	bool (*enough)(const struct buyer_result *result), struct buyer_result *ret_result);

/* result.c: what the caller gets. Takes over bundle and payload. NULL without memory. */
assay_result_t *result_of(struct buyer_result *from);

/*
 * wallet.c: balances, transfers and offerings as the core gives them, for the command line, which
 * shows more than the public calls do. The caller deinits the result.
 */
assay_status_t wallet_ask(
	assay_t *a, enum buyer_call_kind kind, int64_t cursor, struct buyer_result *ret_result);
const char *wallet_purpose(int64_t purpose);

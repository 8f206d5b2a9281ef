/*
 * assay-verifier: takes tickets from one escrow, pulls what they name from the brokers it knows,
 * checks in a sandbox, and answers with signed verdicts. It keeps nothing but its keys.
 */
#include "escrow/verify/verifier.h"
#include "escrow/verify/verifier_worker.h"
#include "proto/os/logline.h"
#include "proto/shell/daemon.h"

#include <stdio.h>
#include <stdlib.h>

struct program {
	const char *escrow; /* path of the contact */
	const char *brokers[SHELL_CONTACTS_MAX - 1];
	size_t n_brokers;
	struct daemon daemon;
	struct verifier *verifier;
	struct verifier_worker *worker;
};

static int take_option(void *ctx, const char *name, const char *value)
{
	struct program *p = ctx;

	if (strcmp(name, "escrow") == 0) {
		p->escrow = value;
		return 0;
	}
	if (p->n_brokers == ARRAY_SIZE(p->brokers)) {
		fprintf(stderr, "assay-verifier: --broker can be given %zu times at most\n",
			ARRAY_SIZE(p->brokers));
		return EXIT_USAGE;
	}
	p->brokers[p->n_brokers++] = value;
	return 0;
}

/* In the worker's thread. */
static void checked(void *ctx, struct verifier_job *job, int status)
{
	struct program *p = ctx;
	struct verifier_task task = { .job = job };
	int r;

	if (status < 0)
		logline(LEVEL_ERROR, "check_not_run", KV_ERR("error", status));
	r = shell_work_done(p->daemon.shell, job->ticket, VERIFIER_WORK_CHECK, status, REFUSED_NOT,
		&task, sizeof(task));
	if (r == 0)
		return;
	/* A result that is lost would keep its ticket for ever: end, and start anew. */
	logline(LEVEL_ERROR, "result_lost", KV_ERR("error", r));
	verifier_job_free(job);
	shell_stop(p->daemon.shell);
}

static int start_work(void *ctx, const struct work *work)
{
	struct program *p = ctx;
	const struct verifier_task *task = work->detail;

	assert(work->kind == VERIFIER_WORK_CHECK && work->size == sizeof(*task));
	verifier_worker_add(p->worker, task->job);
	return 0;
}

static int fault(const char *what, int error)
{
	fprintf(stderr, "assay-verifier: %s: %s\n", what, strerror(-error));
	return EXIT_FAULT;
}

static int dial(struct program *p)
{
	int r;

	if (!p->escrow) {
		fprintf(stderr,
			"assay-verifier: --escrow FILE is missing: take the escrow's contact.json\n");
		return EXIT_USAGE;
	}
	r = daemon_dial(&p->daemon, p->escrow);
	for (size_t i = 0; r == 0 && i < p->n_brokers; i++)
		r = daemon_dial(&p->daemon, p->brokers[i]);
	return r;
}

static int run(struct program *p)
{
	const struct sandbox_options options = { 0 };
	struct verifier_config config;
	int r = dial(p);

	if (r != 0)
		return r;
	config = (struct verifier_config){
		.author = p->daemon.identity.author,
		.escrow = p->daemon.contacts[0].did,
		.keyring = p->daemon.keyring,
	};
	memcpy(config.encryption_secret, p->daemon.identity.encryption_secret,
		sizeof(config.encryption_secret));
	r = verifier_new(&config, &p->verifier);
	explicit_bzero(&config, sizeof(config));
	if (r < 0)
		return fault("memory", r);
	r = daemon_start(&p->daemon, &verifier_ops, p->verifier, start_work, p);
	if (r >= 0)
		return r;
	r = verifier_worker_new(&options, checked, p, &p->worker);
	if (r < 0)
		return fault(
			"the decoder's sandbox (set ASSAY_DECODER to assay-decoder's path)", r);
	return daemon_run(&p->daemon);
}

int main(int argc, char **argv)
{
	static struct program p;
	const struct daemon_program program = {
		.name = "assay-verifier",
		.what = "checks evidence for an escrow and signs verdicts",
		.example = "assay-verifier --dir verifier --escrow escrow/contact.json "
			   "--broker broker/contact.json",
		.role = ROLE_VERIFIER,
		.options = { { "escrow", false, "FILE  contact of the escrow that gives tickets" },
			{ "broker", false,
				"FILE  contact of a broker to pull payloads from; may be repeated" } },
		.option = take_option,
		.ctx = &p,
	};
	int r = daemon_open(&p.daemon, &program, argc, argv);

	if (r < 0)
		r = run(&p);
	/* The thread gives its results to the shell, so it goes first. */
	verifier_worker_free(p.worker);
	daemon_deinit(&p.daemon);
	verifier_free(p.verifier);
	return r;
}

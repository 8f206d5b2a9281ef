#include "escrow/verify/verifier_worker.h"

#include <pthread.h>
#include <stdlib.h>

/* Keys statements of brokers; a verifier serves few. */
#define KEYRING_CAPACITY 256

struct verifier_worker {
	struct sandbox_options options;
	verifier_worker_done *done;
	void *ctx;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock. */
	bool started; /* the thread knows `error` */
	int error; /* of its start */
	bool stop;
	struct verifier_job *first;
	struct verifier_job **last;
};

/* Tells how the start went, for verifier_worker_new(). */
static void say_started(struct verifier_worker *w, int error)
{
	pthread_mutex_lock(&w->lock);
	w->started = true;
	w->error = error;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* The next job, or NULL when the thread is to end. */
static struct verifier_job *next_job(struct verifier_worker *w)
{
	struct verifier_job *job = NULL;

	pthread_mutex_lock(&w->lock);
	while (!w->stop && !w->first)
		pthread_cond_wait(&w->changed, &w->lock);
	if (!w->stop) {
		job = w->first;
		w->first = job->next;
		if (!w->first)
			w->last = &w->first;
	}
	pthread_mutex_unlock(&w->lock);
	return job;
}

static void *run(void *arg)
{
	struct verifier_worker *w = arg;
	struct sandbox *sandbox = NULL;
	struct keyring *keyring = keyring_new(KEYRING_CAPACITY);
	int r = keyring ? sandbox_new(&w->options, &sandbox) : -ENOMEM;
	struct verifier_job *job;

	say_started(w, r);
	while (r == 0 && (job = next_job(w)))
		w->done(w->ctx, job, verifier_job_run(job, keyring, sandbox));
	sandbox_free(sandbox);
	keyring_free(keyring);
	return NULL;
}

int verifier_worker_new(const struct sandbox_options *options, verifier_worker_done *done,
	void *ctx, struct verifier_worker **ret_worker)
{
	struct verifier_worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->options = *options;
	w->done = done;
	w->ctx = ctx;
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	r = -pthread_create(&w->thread, NULL, run, w);
	if (r < 0) {
		pthread_cond_destroy(&w->changed);
		pthread_mutex_destroy(&w->lock);
		free(w);
		return r;
	}
	pthread_mutex_lock(&w->lock);
	while (!w->started)
		pthread_cond_wait(&w->changed, &w->lock);
	r = w->error;
	pthread_mutex_unlock(&w->lock);
	if (r < 0) {
		verifier_worker_free(w);
		return r;
	}
	*ret_worker = w;
	return 0;
}

void verifier_worker_add(struct verifier_worker *worker, struct verifier_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&worker->lock);
	*worker->last = job;
	worker->last = &job->next;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}

void verifier_worker_free(struct verifier_worker *worker)
{
	struct verifier_job *job;

	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->stop = true;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
	pthread_join(worker->thread, NULL);
	while ((job = worker->first)) {
		worker->first = job->next;
		verifier_job_free(job);
	}
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

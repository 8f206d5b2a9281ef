#include "proto/shell/shell_internal.h"

#include <stdlib.h>
#include <unistd.h>

void work_queue_init(struct jobs *jobs)
{
	*jobs = (struct jobs){ 0 };
	jobs->last = &jobs->first;
}

static void append(struct jobs *jobs, struct job *job)
{
	job->next = NULL;
	*jobs->last = job;
	jobs->last = &job->next;
	jobs->n++;
}

struct job *work_queue_take(struct jobs *jobs)
{
	struct job *job = jobs->first;

	if (!job)
		return NULL;
	jobs->first = job->next;
	if (!jobs->first)
		jobs->last = &jobs->first;
	jobs->n--;
	return job;
}

void work_job_free(struct job *job)
{
	free((void *)(uintptr_t)job->memory.p);
	free(job);
}

void work_queue_free(struct jobs *jobs)
{
	struct job *job;

	if (!jobs->last)
		return;
	while ((job = work_queue_take(jobs)))
		work_job_free(job);
}

static struct job *job_new(const struct work_result *result, const void *detail, size_t size)
{
	struct job *job = malloc(sizeof(*job) + size);

	if (!job)
		return NULL;
	*job = (struct job){ .result = *result, .size = size };
	if (size > 0)
		memcpy(job->detail, detail, size);
	job->result.detail = size > 0 ? job->detail : NULL;
	return job;
}

int work_queue_add(struct jobs *jobs, const struct work *work)
{
	const struct work_result as_result = { .ticket = work->ticket, .kind = work->kind };
	struct job *job = job_new(&as_result, work->detail, work->size);

	if (!job)
		return -ENOMEM;
	append(jobs, job);
	return 0;
}

static int start_one(struct shell *shell, const struct job *job)
{
	const struct work work = { .ticket = job->result.ticket,
		.kind = job->result.kind,
		.size = job->size,
		.detail = job->result.detail };

	if (work.kind == WORK_PULL) {
		assert(work.size == sizeof(struct work_pull));
		return pull_start(shell, work.ticket, work.detail);
	}
	assert(work.kind >= WORK_OWN && shell->o.start_work);
	return shell->o.start_work(shell->o.ctx, &work);
}

int work_start(struct shell *shell)
{
	struct job *job;
	int r = 0;

	while (r == 0 && (job = work_queue_take(&shell->started))) {
		r = start_one(shell, job);
		work_job_free(job);
	}
	return r;
}

/* Only a counter that is full, and then readable anyway, refuses to be written. */
static int wake(const struct shell *shell)
{
	static const uint64_t one = 1;

	return write(shell->wake, &one, sizeof(one)) < 0 && errno != EAGAIN ? -errno : 0;
}

int work_post(
	struct shell *shell, const struct work_result *result, size_t size, struct span memory)
{
	struct job *job = job_new(result, result->detail, size);
	bool first;

	if (!job)
		return -ENOMEM;
	job->memory = memory;
	if (memory.p)
		job->result.detail = &job->memory;
	pthread_mutex_lock(&shell->lock);
	/* The shell's own results come from a bounded number of pulls. */
	if (shell->done.n >= SHELL_WORK_MAX && result->kind >= WORK_OWN) {
		pthread_mutex_unlock(&shell->lock);
		work_job_free(job);
		return -EAGAIN;
	}
	first = shell->done.n == 0;
	append(&shell->done, job);
	pthread_mutex_unlock(&shell->lock);
	return first ? wake(shell) : 0;
}

int shell_work_done(struct shell *shell, uint64_t ticket, int kind, int status,
	enum refusal refusal, const void *detail, size_t size)
{
	const struct work_result result = { .ticket = ticket,
		.kind = kind,
		.status = status,
		.refusal = refusal,
		.detail = detail };

	if (kind < WORK_OWN)
		return -EINVAL;
	return work_post(shell, &result, size, SPAN(NULL, 0));
}

int work_results(struct shell *shell)
{
	struct job *job;
	size_t left = 0;
	int r = 0;

	for (size_t i = 0; i < SHELL_BATCH_MAX && r == 0; i++) {
		pthread_mutex_lock(&shell->lock);
		job = work_queue_take(&shell->done);
		left = shell->done.n;
		pthread_mutex_unlock(&shell->lock);
		if (!job)
			break;

		struct event event = { .type = EVENT_WORK, .work = &job->result };

		r = shell_step(shell, &event);
		work_job_free(job);
	}
	/* Who posts to a queue that is not empty relies on us. */
	return r == 0 && left > 0 ? wake(shell) : r;
}

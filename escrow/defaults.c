#include "escrow/defaults.h"

#include "escrow/verify/verify.h"
#include "proto/os/file.h"
#include "proto/os/logline.h"

#include <pthread.h>

#define KEYRING_CAPACITY 4096

enum { JOB_REQUEST, JOB_HOLD, JOB_EARMARK, JOB_ASSIGNMENT, JOB_EVIDENCE, JOB_DRAW, JOB_STATEMENTS };

struct job {
	uint64_t ticket;
	struct escrow_verify_job detail;
	uint8_t *bytes[JOB_STATEMENTS]; /* malloc'd; NULL where there is none */
	size_t n[JOB_STATEMENTS];
	uint8_t *ciphertext;
	size_t n_ciphertext;
	uint8_t *receipt; /* both NULL at the direct door */
	size_t n_receipt;
	uint8_t *note;
	size_t n_note;
	struct keyring *keyring; /* whose keys the store knows */
};

struct defaults {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;
	struct job *queue[DEFAULTS_QUEUE_MAX];
	size_t n_queue;
	struct shell *shell;
	struct db *db;
	struct blob_store *blobs;
};

static void job_free(struct job *job)
{
	if (!job)
		return;
	for (size_t i = 0; i < JOB_STATEMENTS; i++)
		free(job->bytes[i]);
	free(job->ciphertext);
	free(job->receipt);
	free(job->note);
	keyring_free(job->keyring);
	free(job);
}

static int copy_cell(const struct cell *cell, uint8_t **ret_bytes, size_t *ret_n)
{
	if (cell->type != CELL_BLOB)
		return -ENOENT;
	*ret_bytes = malloc(cell->b.n + 1);
	if (!*ret_bytes)
		return -ENOMEM;
	if (cell->b.n > 0)
		memcpy(*ret_bytes, cell->b.p, cell->b.n);
	*ret_n = cell->b.n;
	return 0;
}

/* The first columns of the row that a named query gives for a key. 0, or -ENOENT. */
static int find(struct db *db, const char *query, const struct id *key, uint8_t **ret_a,
	size_t *ret_na, uint8_t **ret_b, size_t *ret_nb)
{
	const struct cell cell = cell_blob(SPAN_OF(*key));
	struct db_rows rows = { 0 };
	int index = db_find(db, SPAN_STR(query));

	if (index < 0)
		return index;

	int r = db_query(db, (size_t)index, &cell, 1, &rows);

	if (r == 0)
		r = db_rows_next(&rows);
	if (r > 0) {
		r = copy_cell(&rows.columns[0], ret_a, ret_na);
		if (r == 0 && ret_b)
			r = copy_cell(&rows.columns[1], ret_b, ret_nb);
	} else if (r == 0) {
		r = -ENOENT;
	}
	db_rows_deinit(&rows);
	return r;
}

static int read_payload(struct defaults *d, struct job *job)
{
	const struct id *digest = &job->detail.cipher_digest;
	_cleanup_(closep) int fd = -EBADF;
	uint64_t size;
	int r = find(d->db, "shell_get_payload", digest, &job->ciphertext, &job->n_ciphertext, NULL,
		NULL);

	if (r != -ENOENT || !d->blobs)
		return r;
	r = blob_open_read(d->blobs, digest, &fd, &size);
	if (r != 0)
		return r > 0 ? -ENOENT : r;
	job->ciphertext = malloc(size + 1);
	return job->ciphertext ? blob_pread(fd, job->ciphertext, size, 0, &job->n_ciphertext)
			       : -ENOMEM;
}

/* Statements in the store were verified when they came; keys for receipt and note come from the
 * store as well. */
static int learn_keys(struct defaults *d, struct job *job)
{
	struct statement *room = calloc(1, sizeof(*room));

	int index = db_find(d->db, SPAN_STR("shell_load_keys"));
	struct db_rows rows = { 0 };
	int r;

	job->keyring = keyring_new(KEYRING_CAPACITY);
	if (!room || !job->keyring)
		r = -ENOMEM;
	else
		r = index < 0 ? index : db_query(d->db, (size_t)index, NULL, 0, &rows);
	while (r == 0 && (r = db_rows_next(&rows)) > 0) {
		bool is_new;

		/* ignored: a damaged keys statement only means that nothing of its owner verifies
		 */
		if (statement_decode(rows.columns[0].b, room, NULL) == REFUSED_NOT &&
			room->kind == STATEMENT_KEYS_OF)
			(void)!keyring_learn(job->keyring, room, &is_new);
		r = 0;
	}
	db_rows_deinit(&rows);
	free(room);
	return r;
}

static int read_job(struct defaults *d, struct job *job)
{
	const struct escrow_verify_job *v = &job->detail;
	const struct id *ids[JOB_STATEMENTS] = {
		[JOB_REQUEST] = &v->request,
		[JOB_HOLD] = &v->hold,
		[JOB_EARMARK] = &v->earmark,
		[JOB_ASSIGNMENT] = &v->assignment,
		[JOB_EVIDENCE] = &v->evidence,
		[JOB_DRAW] = &v->draw,
	};
	int r = 0;

	for (size_t i = 0; i < JOB_STATEMENTS && r == 0; i++)
		if (!id_is_zero(ids[i]) && !(i == JOB_EARMARK && id_eq(ids[i], &v->hold)))
			r = find(d->db, "shell_get_statement", ids[i], &job->bytes[i], &job->n[i],
				NULL, NULL);
	if (r == 0)
		r = read_payload(d, job);
	if (r == 0) {
		r = find(d->db, "find_proof", &v->request, &job->receipt, &job->n_receipt,
			&job->note, &job->n_note);
		r = r == -ENOENT ? 0 : r;
	}
	return r == 0 ? learn_keys(d, job) : r;
}

int defaults_start(void *defaults, const struct work *work)
{
	struct defaults *d = defaults;
	struct job *job;
	int r;

	if (work->kind != ESCROW_WORK_VERIFY || work->size != sizeof(job->detail))
		return -EINVAL;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->ticket = work->ticket;
	memcpy(&job->detail, work->detail, sizeof(job->detail));
	r = read_job(d, job);
	pthread_mutex_lock(&d->lock);
	if (r == 0 && d->n_queue == DEFAULTS_QUEUE_MAX)
		r = -EAGAIN;
	if (r == 0) {
		d->queue[d->n_queue++] = job;
		pthread_cond_signal(&d->changed);
	}
	pthread_mutex_unlock(&d->lock);
	if (r == 0)
		return 0;
	logline(LEVEL_WARNING, "default_not_run", KV_ERR("error", r),
		KV_HEX("request", SPAN_OF(job->detail.request)));
	job_free(job);
	/* The core tries again. */
	return shell_work_done(d->shell, work->ticket, work->kind, r, REFUSED_NOT, NULL, 0);
}

static int run_job(
	struct job *job, struct sandbox *sandbox, struct escrow_verify_result *ret_result)
{
	struct statement *s = calloc(JOB_STATEMENTS, sizeof(*s));
	struct verify_output *out = calloc(1, sizeof(*out));
	const struct statement *have[JOB_STATEMENTS] = { NULL };
	int r = s && out ? 0 : -ENOMEM;

	for (size_t i = 0; i < JOB_STATEMENTS && r == 0; i++) {
		if (!job->bytes[i])
			continue;
		if (statement_decode(SPAN(job->bytes[i], job->n[i]), &s[i], NULL) != REFUSED_NOT)
			r = -EBADMSG;
		have[i] = &s[i];
	}
	if (r == 0) {
		struct verify_input input = {
			.request = have[JOB_REQUEST],
			.hold = have[JOB_HOLD],
			.earmark = have[JOB_EARMARK],
			.assignment = have[JOB_ASSIGNMENT],
			.evidence = have[JOB_EVIDENCE],
			.draw = have[JOB_DRAW],
			.verified = true,
			.receipt = SPAN(job->receipt, job->n_receipt),
			.note = SPAN(job->note, job->n_note),
			.ciphertext = SPAN(job->ciphertext, job->n_ciphertext),
			.keyring = job->keyring,
			.sandbox = sandbox,
		};

		memcpy(input.content_key, job->detail.content_key, sizeof(input.content_key));
		r = verify_run(&input, out);
	}
	if (r == 0) {
		*ret_result = (struct escrow_verify_result){
			.outcome = out->outcome,
			.has_digest = out->opened,
			.plain_digest = out->plain_digest,
		};
		r = out->sandbox_error;
		verify_output_deinit(out);
	}
	free(out);
	free(s);
	return r;
}

static struct job *next_job(struct defaults *d)
{
	struct job *job = NULL;

	pthread_mutex_lock(&d->lock);
	while (!d->stop && d->n_queue == 0)
		pthread_cond_wait(&d->changed, &d->lock);
	if (!d->stop) {
		job = d->queue[0];
		memmove(d->queue, d->queue + 1, --d->n_queue * sizeof(d->queue[0]));
	}
	pthread_mutex_unlock(&d->lock);
	return job;
}

static void *thread_main(void *context)
{
	struct defaults *d = context;
	const struct sandbox_options options = { 0 };
	struct sandbox *sandbox = NULL;
	struct job *job;

	if (sandbox_new(&options, &sandbox) < 0)
		logline(LEVEL_ERROR,
			"no_sandbox"); /* pictures are then inconclusive, measurements are not */
	while ((job = next_job(d)) != NULL) {
		struct escrow_verify_result result;
		int r = run_job(job, sandbox, &result);

		r = shell_work_done(d->shell, job->ticket, ESCROW_WORK_VERIFY, r, REFUSED_NOT,
			r == 0 ? &result : NULL, r == 0 ? sizeof(result) : 0);
		if (r < 0)
			logline(LEVEL_ERROR, "default_result_lost", KV_ERR("error", r));
		job_free(job);
	}
	sandbox_free(sandbox);
	return NULL;
}

int defaults_new(struct defaults **ret_defaults)
{
	struct defaults *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);

	int r = pthread_create(&d->thread, NULL, thread_main, d);

	if (r != 0) {
		free(d);
		return -r;
	}
	*ret_defaults = d;
	return 0;
}

void defaults_attach(
	struct defaults *defaults, struct shell *shell, struct db *db, struct blob_store *blobs)
{
	defaults->shell = shell;
	defaults->db = db;
	defaults->blobs = blobs;
}

void defaults_free(struct defaults *defaults)
{
	if (!defaults)
		return;
	pthread_mutex_lock(&defaults->lock);
	defaults->stop = true;
	pthread_cond_signal(&defaults->changed);
	pthread_mutex_unlock(&defaults->lock);
	pthread_join(defaults->thread, NULL);
	for (size_t i = 0; i < defaults->n_queue; i++)
		job_free(defaults->queue[i]);
	pthread_cond_destroy(&defaults->changed);
	pthread_mutex_destroy(&defaults->lock);
	free(defaults);
}

/* The log's tree against a naive one, and against another implementation's checkpoints. */
#include "broker/log/log.h"
#include "proto/tlog/checkpoint.h"
#include "proto/tlog/merkle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define LEAVES 1100

/* RFC 9162, 2.1.1, as it is written there. */
static struct id naive_root(const struct id *leaves, size_t n)
{
	struct id left;
	struct id right;
	size_t k = 1;

	if (n == 0)
		return merkle_empty();
	if (n == 1)
		return leaves[0];
	while (2 * k < n)
		k *= 2;
	left = naive_root(leaves, k);
	right = naive_root(leaves + k, n - k);
	return merkle_node(&left, &right);
}

/* RFC 9162, 2.1.3.1. */
static size_t naive_path(const struct id *leaves, size_t n, size_t m, struct id *path)
{
	size_t k = 1;
	size_t at;

	if (n == 1)
		return 0;
	while (2 * k < n)
		k *= 2;
	if (m < k) {
		at = naive_path(leaves, k, m, path);
		path[at] = naive_root(leaves + k, n - k);
	} else {
		at = naive_path(leaves + k, n - k, m - k, path);
		path[at] = naive_root(leaves, k);
	}
	return at + 1;
}

static struct id *leaves_make(void)
{
	static struct id leaves[LEAVES];

	for (size_t i = 0; i < LEAVES; i++)
		leaves[i] = merkle_leaf(SPAN_OF(i));
	return leaves;
}

/* Seals what is in the batch and compares everything; the log goes on through a saved state. */
static void seal_and_compare(struct log *log, const struct id *leaves)
{
	uint8_t bytes[LOG_STATE_MAX];
	struct buf state = BUF(bytes);
	uint64_t size = log_size(log);
	struct id expected = naive_root(leaves, size);
	struct id root;
	struct log loaded;

	log_seal(log);
	log_check(log);
	root = log_root(log);
	assert_true(id_eq(&root, &expected));
	for (size_t i = 0; i < log->n_batch; i++) {
		struct id path[MERKLE_PROOF_MAX];
		struct id naive[MERKLE_PROOF_MAX];
		uint64_t index = log->size + i;
		size_t n = log_proof(log, i, path);

		assert_int_equal(n, naive_path(leaves, size, index, naive));
		assert_memory_equal(path, naive, n * sizeof(path[0]));
		assert_int_equal(
			merkle_verify_inclusion(&leaves[index], index, size, path, n, &root),
			REFUSED_NOT);
	}
	for (unsigned h = 0; h < 10; h++) {
		uint64_t first;
		size_t n;
		const struct id *nodes = log_nodes(log, h, &first, &n);

		for (size_t i = 0; i < n; i++) {
			struct id node = naive_root(leaves + ((first + i) << h), (size_t)1 << h);

			assert_true(id_eq(&nodes[i], &node));
		}
	}
	log_save(log, &state);
	assert_true(buf_ok(&state));
	log_next(log);
	log_check(log);
	assert_int_equal(log_load(&loaded, buf_span(&state)), 0);
	log_check(&loaded);
	assert_int_equal(loaded.size, size);
	assert_memory_equal(loaded.frontier, log->frontier, sizeof(log->frontier));
	*log = loaded;
	log_seal(&loaded);
	root = log_root(&loaded);
	assert_true(id_eq(&root, &expected));
}

static void append(struct log *log, const struct id *leaves, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t want = log_size(log);
		uint64_t index;

		assert_int_equal(log_append(log, &leaves[want], &index), 0);
		assert_int_equal(index, want);
	}
}

static void test_one_by_one(void **state)
{
	const struct id *leaves = leaves_make();
	struct log log;

	(void)state; /* ignored: no fixture */
	log_init(&log);
	seal_and_compare(&log, leaves);
	for (size_t n = 1; n <= 300; n++) {
		append(&log, leaves, 1);
		seal_and_compare(&log, leaves);
	}
}

/* From each size, a batch of each of several lengths. */
static void test_batches(void **state)
{
	static const size_t lengths[] = { 0, 2, 3, 7, 8, 31, 64, 100, 255, 256 };
	const struct id *leaves = leaves_make();

	(void)state; /* ignored: no fixture */
	for (size_t start = 0; start <= 300; start += 7) {
		for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
			struct log log;

			log_init(&log);
			for (size_t left = start; left > 0;) {
				size_t n = MIN(left, (size_t)LOG_BATCH_MAX);

				append(&log, leaves, n);
				log_seal(&log);
				log_next(&log);
				left -= n;
			}
			append(&log, leaves, lengths[l]);
			seal_and_compare(&log, leaves);
		}
	}
}

static void test_random_batches(void **state)
{
	const struct id *leaves = leaves_make();
	uint32_t random = 1;

	(void)state; /* ignored: no fixture */
	for (unsigned round = 0; round < 20; round++) {
		struct log log;

		log_init(&log);
		for (;;) {
			size_t n;

			random = random * 1664525u + 1013904223u;
			n = (random >> 16) % (LOG_BATCH_MAX + 1);
			if (log.size + n > LEAVES)
				break;
			append(&log, leaves, n);
			seal_and_compare(&log, leaves);
		}
	}
}

static void test_limits(void **state)
{
	const struct id *leaves = leaves_make();
	uint8_t bytes[LOG_STATE_MAX + 32] = { 0 };
	struct buf saved = BUF(bytes);
	struct log log;
	uint64_t index = 77;

	(void)state; /* ignored: no fixture */
	log_init(&log);
	append(&log, leaves, LOG_BATCH_MAX);
	assert_int_equal(log_append(&log, &leaves[0], &index), -ENOBUFS);
	assert_int_equal(index, 77);
	log_seal(&log);
	log_next(&log);
	log_seal(&log);
	assert_int_equal(log_append(&log, &leaves[0], &index), -ENOBUFS);
	log_save(&log, &saved);
	assert_int_equal(saved.n, 8 + 32);
	for (size_t n = 0; n < sizeof(bytes); n++)
		assert_int_equal(log_load(&log, SPAN(bytes, n)), n == saved.n ? 0 : -EINVAL);
	/* A log at its end takes nothing more; one beyond it is not loaded. */
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(log_load(&log, SPAN(bytes, 8 + 64 * 32)), -EINVAL);
	bytes[0] = 0x7f;
	assert_int_equal(log_load(&log, SPAN(bytes, LOG_STATE_MAX)), 0);
	assert_int_equal(log_append(&log, &leaves[0], &index), -EOVERFLOW);
	/* The last leaf of all still gets its proof. */
	bytes[7] = 0xfe;
	assert_int_equal(log_load(&log, SPAN(bytes, LOG_STATE_MAX - 32)), 0);
	assert_int_equal(log_append(&log, &leaves[0], &index), 0);
	log_seal(&log);
	log_check(&log);
	{
		struct id path[MERKLE_PROOF_MAX];
		struct id root = log_root(&log);
		size_t n = log_proof(&log, 0, path);

		assert_int_equal(
			merkle_verify_inclusion(&leaves[0], index, log_size(&log), path, n, &root),
			REFUSED_NOT);
	}
}

static size_t file_read(const char *path, uint8_t *bytes, size_t cap)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL)
		return 0;
	n = fread(bytes, 1, cap, f);
	fclose(f);
	return n;
}

/* The leaves of another implementation's tiles give that implementation's checkpoints. */
static void test_tessera(void **state)
{
	const char *dir = getenv("ASSAY_VECTORS");
	struct id leaves[15];
	struct log log;
	char path[512];

	(void)state; /* ignored: no fixture */
	if (dir == NULL)
		dir = "../shared/vectors";
	snprintf(path, sizeof(path), "%s/tlog/log/tile/0/000.p/15", dir);
	if (file_read(path, leaves[0].b, sizeof(leaves)) != sizeof(leaves)) {
		print_message("SKIPPED: no vectors at %s\n", path);
		skip();
	}
	log_init(&log);
	for (unsigned size = 0; size <= 15; size++) {
		uint8_t note[NOTE_MAX];
		const uint8_t *blank;
		struct checkpoint checkpoint;
		struct id root;
		size_t n;

		snprintf(path, sizeof(path), "%s/tlog/log/checkpoint.%u", dir, size);
		n = file_read(path, note, sizeof(note));
		blank = memmem(note, n, "\n\n", 2);
		assert_non_null(blank);
		assert_int_equal(
			checkpoint_parse(SPAN(note, (size_t)(blank + 1 - note)), &checkpoint),
			REFUSED_NOT);
		log_seal(&log);
		root = log_root(&log);
		assert_int_equal(log_size(&log), checkpoint.size);
		assert_true(id_eq(&root, &checkpoint.root));
		log_next(&log);
		if (size < 15)
			append(&log, leaves, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_by_one),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_random_batches),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_tessera),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Real photographs, sold one by one from a folder: each arrives as the very bytes of its file, once. */
#include "tests/integration/purchase.h"

#include <dirent.h>

#define PHOTOS_MAX 64
#define SKIPPED    77

static struct market market;
static struct photo {
	char name[256];
	char digest[ID_TEXT_MAX];
	bool sold;
} photos[PHOTOS_MAX];
static size_t n_photos;

static void list_photos(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[MARKET_PATH_MAX];
		struct photo *photo = &photos[n_photos];

		if (!strstr(entry->d_name, ".jpg"))
			continue;
		assert_true(n_photos < PHOTOS_MAX);
		assert_true(snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) <
			    (int)sizeof(path));
		snprintf(photo->name, sizeof(photo->name), "%s", entry->d_name);
		purchase_file_digest(path, photo->digest);
		n_photos++;
	}
	closedir(dir);
}

static struct photo *find_photo(const char *digest)
{
	for (size_t i = 0; i < n_photos; i++)
		if (strcmp(photos[i].digest, digest) == 0)
			return &photos[i];
	return NULL;
}

static int start_all(void **state)
{
	char source[MARKET_PATH_MAX];

	(void)state; /* ignored: one market */
	list_photos(market_vectors("photos"));
	assert_true(n_photos > 1);
	snprintf(source, sizeof(source), "replay:%s", market_vectors("photos"));
	market_init(&market);
	market_start(&market, 1, NULL, NULL);
	MARKET_NODE(&market, "node", "--camera", source);
	return 0;
}

static int stop_all(void **state)
{
	(void)state; /* ignored: one market */
	return market_stop(&market);
}

static void test_each_once(void **state)
{
	assay_buy_options_t want = purchase_photo();
	char digest[ID_TEXT_MAX];
	assay_t *buyer;

	(void)state; /* ignored: one market */
	market_begin(&market);
	buyer = purchase_open(&market, "buyer");
	purchase_deposit(buyer, 10 * PURCHASE_TOTAL * (int64_t)n_photos);
	want.attempts = 1;
	for (size_t i = 0; i < n_photos; i++) {
		assay_result_t *result = purchase_buy(buyer, &want, ASSAY_OK);
		struct photo *photo;

		assert_string_equal(assay_result_source(result), "replay");
		assert_string_equal(assay_result_type(result), "image/jpeg");
		purchase_digest(result, digest);
		photo = find_photo(digest);
		if (!photo)
			fail_msg("what was sold, %s, is none of the files", digest);
		if (photo->sold)
			fail_msg("%s was sold twice", photo->name);
		photo->sold = true;
		purchase_check_bundle(result, 2);
		assay_result_free(result);
	}

	/* The folder begins anew, and nothing of it is sold again. */
	assay_result_t *again = purchase_buy(buyer, &want, ASSAY_REFUNDED);

	assert_string_equal(assay_status_name(assay_result_reason(again)), "SEEN_BEFORE");
	assay_result_free(again);
	assay_close(buyer);
	market_end(&market);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once),
	};

	if (market_vectors("photos")[0] == '\0') {
		printf("skipped: no photographs: set ASSAY_VECTORS to a folder with photos/*.jpg\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, start_all, stop_all);
}

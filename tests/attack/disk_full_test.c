/*
 * Disks that are full, for real: broker and escrow each live on a small file system of their own.
 * What they are asked is refused as DISK_FULL, nothing is accepted, and with some space again they
 * go on. Needs the right to mount (root, or user namespaces); skipped visibly without.
 */
#include "tests/integration/purchase.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SKIPPED     77
#define DISK_FULL   180 /* the numbers on the wire, which are kept */
#define DEPOSIT     10000000
#define LEFT        (UINT64_C(2) << 20) /* bytes: below what the daemons keep free */
#define FILE_SYSTEM "size=96m,mode=0700"

static struct market market;
static assay_t *buyer;

/* A mount namespace that ends with this process. */
static bool can_mount(void)
{
	uid_t uid = geteuid();

	if (uid != 0 && unshare(CLONE_NEWUSER) < 0)
		return false;
	if (uid != 0) {
		char map[64];
		int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
		int n = snprintf(map, sizeof(map), "%d %d 1\n", (int)uid, (int)uid);

		if (fd < 0 || write(fd, map, (size_t)n) != n)
			return false;
		close(fd);
	}
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool mount_small(const char *name)
{
	const char *path = market_path(&market, name);

	return mkdir(path, 0700) == 0 && mount("tmpfs", path, "tmpfs", 0, FILE_SYSTEM) == 0;
}

static int start_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	market_start(&market, 1, NULL, NULL);
	market_start_instrument(&market);
	MARKET_NODE(&market, "node", "--instrument", market.instrument_address);
	buyer = purchase_open(&market, "buyer");
	purchase_deposit(buyer, DEPOSIT);
	return 0;
}

static int stop_all(void **state)
{
	int r;

	(void)state; /* ignored: one market for all tests */
	assay_close(buyer);
	/* They keep what they have open; the directory can then be removed. */
	r = umount2(market_path(&market, "broker"), MNT_DETACH);
	r |= umount2(market_path(&market, "escrow"), MNT_DETACH);
	return market_stop(&market) | r;
}

static void fill(const char *name)
{
	char path[MARKET_PATH_MAX];
	struct statvfs fs;
	int fd;

	snprintf(path, sizeof(path), "%s/filler", market_path(&market, name));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fstatvfs(fd, &fs), 0);

	uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;

	assert_true(available > LEFT);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)(available - LEFT)), 0);
	close(fd);
}

static void empty(const char *name)
{
	char path[MARKET_PATH_MAX];

	snprintf(path, sizeof(path), "%s/filler", market_path(&market, name));
	assert_int_equal(unlink(path), 0);
}

static void check_works_again(int64_t before)
{
	assay_buy_options_t want = purchase_measurement();
	assay_result_t *result = purchase_buy(buyer, &want, ASSAY_OK);

	assay_result_free(result);
	assert_int_equal(purchase_balance(buyer, "available"), before - PURCHASE_TOTAL);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
}

static void test_broker(void **state)
{
	assay_buy_options_t want = purchase_measurement();
	char id[ASSAY_ID_SIZE];
	int64_t before;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	before = purchase_balance(buyer, "available");
	fill("broker");
	assert_int_equal(assay_post(buyer, &want, id), DISK_FULL);
	assert_non_null(strstr(assay_error(buyer), "free some space"));
	assert_int_equal(purchase_balance(buyer, "available"), before);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
	market_check_alive(&market);
	empty("broker");
	check_works_again(before);
	market_end(&market);
}

static void test_escrow(void **state)
{
	assay_buy_options_t want = purchase_measurement();
	int64_t before;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	before = purchase_balance(buyer, "available");
	fill("escrow");
	assert_int_equal(assay_deposit(buyer, "XTS", 1000, NULL), DISK_FULL);

	assay_result_t *result = purchase_buy(buyer, &want, DISK_FULL);

	assert_string_equal(assay_result_state(result), "LAPSED");
	assay_result_free(result);
	assert_int_equal(purchase_balance(buyer, "available"), before);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
	market_check_alive(&market);
	empty("escrow");
	check_works_again(before);
	market_end(&market);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broker),
		cmocka_unit_test(test_escrow),
	};

	if (!can_mount()) {
		printf("skipped: no right to mount a small file system here\n");
		return SKIPPED;
	}
	market_init(&market);
	if (!mount_small("broker") || !mount_small("escrow")) {
		printf("skipped: no small file system can be mounted here\n");
		return market_stop(&market) == 0 ? SKIPPED : 1;
	}
	return cmocka_run_group_tests(tests, start_all, stop_all);
}

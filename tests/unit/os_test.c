#include "proto/os/clock.h"
#include "proto/os/entropy.h"
#include "proto/os/file.h"
#include "proto/os/logline.h"
#include "proto/os/signals.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/assay-os-XXXXXX";
static char path[128];

static const char *in_dir(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "key", "link", "hard", "text", "fifo", "open/key" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlink(in_dir(names[i]));
	rmdir(in_dir("open"));
	rmdir(in_dir("private"));
	/* Fails where a temporary file was left behind. */
	return rmdir(dir);
}

static void test_clock_and_entropy(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };
	int64_t first = clock_mono_ns();

	(void)state;
	assert_true(clock_mono_ns() >= first);
	assert_true(clock_now_ns() > INT64_C(1700000000) * NS_PER_S);
	entropy_fill(a, sizeof(a));
	entropy_fill(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

static void test_write_and_read(void **state)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	uint8_t *untouched = NULL;
	struct stat st;
	size_t n = 0;

	(void)state;
	assert_int_equal(file_write_durable(in_dir("text"), SPAN_STR("first"), 0644), 0);
	assert_int_equal(file_write_durable(in_dir("text"), SPAN_STR("second"), 0640), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(file_read(path, 6, &bytes, &n), 0);
	assert_int_equal(n, 6);
	assert_string_equal((char *)bytes, "second");

	assert_int_equal(file_read(path, 5, &untouched, &n), -EFBIG);
	assert_int_equal(file_read(dir, 100, &untouched, &n), -EINVAL);
	assert_int_equal(file_read(in_dir("none"), 100, &untouched, &n), -ENOENT);
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	assert_int_equal(file_read(path, 100, &untouched, &n), -EINVAL);
	assert_int_equal(file_write_durable(in_dir("none/x"), SPAN_STR("x"), 0600), -ENOENT);
	assert_null(untouched);
	assert_int_equal(file_read("/proc/self/stat", 65536, &untouched, &n), 0);
	assert_true(n > 0);
	free(untouched);
}

static void test_full_disk_is_named(void **state)
{
	int fd = open("/dev/full", O_WRONLY);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, "x", 1), -ENOSPC);
	close(fd);
}

static void test_private_dir(void **state)
{
	(void)state;
	assert_int_equal(file_make_private_dir(in_dir("private")), 0);
	assert_int_equal(file_make_private_dir(path), 0);
	assert_int_equal(chmod(path, 0750), 0);
	assert_int_equal(file_make_private_dir(path), -EPERM);
	assert_int_equal(file_make_private_dir(in_dir("text")), -ENOTDIR);
	assert_int_equal(symlink("private", in_dir("link")), 0);
	assert_int_equal(file_make_private_dir(path), -ENOTDIR);
	unlink(path);
}

static int try_key(const char *name)
{
	int fd = -EBADF, r = file_open_private(in_dir(name), &fd);

	if (fd >= 0)
		close(fd);
	assert_true((r == 0) == (fd >= 0));
	return r;
}

static void test_key_file(void **state)
{
	char buf[6];
	size_t n = 0;

	(void)state;
	assert_int_equal(file_write_durable(in_dir("key"), SPAN_STR("secret"), 0600), 0);
	assert_int_equal(file_read_private(path, buf, sizeof(buf), &n), 0);
	assert_int_equal(n, 6);
	assert_int_equal(file_read_private(path, buf, 5, &n), -EFBIG);
	assert_int_equal(try_key("none"), -ENOENT);
	assert_int_equal(try_key("fifo"), REFUSED_KEY_FILE_OPEN);

	for (mode_t bit = 1; bit < 04000; bit <<= 1) {
		if ((0600 & bit) != 0)
			continue;
		assert_int_equal(chmod(in_dir("key"), 0600 | bit), 0);
		assert_int_equal(try_key("key"), REFUSED_KEY_FILE_OPEN);
	}
	assert_int_equal(chmod(in_dir("key"), 0400), 0);
	assert_int_equal(try_key("key"), 0);

	assert_int_equal(symlink("key", in_dir("link")), 0);
	assert_int_equal(try_key("link"), REFUSED_KEY_FILE_OPEN);
}

static void test_key_file_of_two_names(void **state)
{
	char key[128];

	(void)state;
	snprintf(key, sizeof(key), "%s", in_dir("key"));
	assert_int_equal(link(key, in_dir("hard")), 0);
	assert_int_equal(try_key("key"), REFUSED_KEY_FILE_OPEN);
	assert_int_equal(unlink(in_dir("hard")), 0);
	assert_int_equal(try_key("key"), 0);
}

static void test_key_file_in_an_open_directory(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_dir("open"), 0700), 0);
	assert_int_equal(file_write_durable(in_dir("open/key"), SPAN_STR("k"), 0600), 0);
	assert_int_equal(try_key("open/key"), 0);
	assert_int_equal(chmod(in_dir("open"), 0720), 0);
	assert_int_equal(try_key("open/key"), REFUSED_KEY_FILE_OPEN);
	assert_int_equal(chmod(in_dir("open"), 01702), 0);
	assert_int_equal(try_key("open/key"), REFUSED_KEY_FILE_OPEN);
}

static void test_key_file_of_somebody_else(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(in_dir("key"), 65534, 65534), 0);
	assert_int_equal(try_key("key"), REFUSED_KEY_FILE_OPEN);
	assert_int_equal(chown(in_dir("key"), 0, 0), 0);
}

/* Logs into a pipe and gives back the line without its time. */
static char *logged(int pipe_fd)
{
	static char line[2 * LOGLINE_MAX];
	ssize_t n = read(pipe_fd, line, sizeof(line) - 1);
	char *level;

	assert_true(n > 0);
	line[n] = '\0';
	assert_memory_equal(line, "time=20", 7);
	level = strstr(line, " level=");
	assert_non_null(level);
	return level + 1;
}

static void test_logline(void **state)
{
	char large[LOGLINE_MAX];
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	logline_set_fd(fds[1]);
	logline_set_level(LEVEL_INFO);

	logline(LEVEL_INFO, "started");
	assert_string_equal(logged(fds[0]), "level=info event=started\n");
	logline(LEVEL_ERROR, "broke", KV_ERR("error", -ENOSPC), KV_INT("n", -5),
		KV_STR("empty", ""), KV_HEX("id", SPAN("\x00\xff", 2)));
	assert_string_equal(
		logged(fds[0]), "level=error event=broke error=ENOSPC n=-5 empty=\"\" id=00ff\n");
	logline(LEVEL_WARNING, "peer", KV_STR("name", "a b\nlevel=info \"x\\\x1b\xc2\x9b"));
	assert_string_equal(logged(fds[0]),
		"level=warning event=peer name=\"a b\\nlevel=info \\\"x\\\\\\x1b\\xc2\\x9b\"\n");

	logline(LEVEL_DEBUG, "quiet");
	assert_int_equal(read(fds[0], large, 1), -1);
	logline_set_level(LEVEL_DEBUG);
	logline(LEVEL_DEBUG, "loud");
	assert_string_equal(logged(fds[0]), "level=debug event=loud\n");

	memset(large, 'x', sizeof(large));
	logline(LEVEL_INFO, "cut", KV_INT("first", 1), KV_TEXT("big", SPAN(large, sizeof(large))),
		KV_INT("last", 2));
	assert_string_equal(logged(fds[0]), "level=info event=cut first=1 truncated=1\n");
	logline_set_fd(STDERR_FILENO);
	close(fds[0]);
	close(fds[1]);
}

static void test_signals(void **state)
{
	_cleanup_(closep) int fd = -EBADF;
	int number = 0;

	(void)state;
	assert_int_equal(signals_open(&fd), 0);
	assert_int_equal(signals_read(fd, &number), -EAGAIN);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(signals_read(fd, &number), 0);
	assert_int_equal(number, SIGTERM);
	assert_int_equal(raise(SIGPIPE), 0);
	assert_int_equal(signals_read(fd, &number), -EAGAIN);
	assert_int_equal(signals_unblock(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_and_entropy),
		cmocka_unit_test(test_write_and_read),
		cmocka_unit_test(test_full_disk_is_named),
		cmocka_unit_test(test_private_dir),
		cmocka_unit_test(test_key_file),
		cmocka_unit_test(test_key_file_of_two_names),
		cmocka_unit_test(test_key_file_in_an_open_directory),
		cmocka_unit_test(test_key_file_of_somebody_else),
		cmocka_unit_test(test_logline),
		cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

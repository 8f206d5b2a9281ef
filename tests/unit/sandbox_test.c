#include "escrow/verify/sandbox.h"

#include "escrow/verify/lockdown.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <turbojpeg.h>

#define DEADLINE_MS 10000

static struct sandbox *new_sandbox(const char *helper, unsigned n_per_worker, unsigned may_lack)
{
	struct sandbox *s = NULL;

	assert_int_equal(sandbox_new(&(struct sandbox_options){ .helper = helper,
					     .n_per_worker = n_per_worker,
					     .may_lack = may_lack },
				 &s),
		0);
	return s;
}

static struct jpeg_facts decode(struct sandbox *s, struct span jpeg)
{
	struct jpeg_facts facts;

	assert_int_equal(sandbox_decode_jpeg(s, jpeg, DEADLINE_MS, &facts), 0);
	assert_int_equal(facts.decodes, facts.outcome == JPEG_DECODED);
	assert_true(facts.decodes == (facts.error[0] == 0));
	return facts;
}

static struct jpeg_facts decode_text(struct sandbox *s, const char *text)
{
	return decode(s, SPAN_STR(text));
}

/* The left half has one grey value, the right half another. The bytes are tjFree()d. */
static struct span picture(
	int width, int height, uint8_t left, uint8_t right, int subsampling, int flags)
{
	uint8_t *pixels = malloc((size_t)width * (size_t)height * 3);
	tjhandle tj = tjInitCompress();
	unsigned char *bytes = NULL;
	unsigned long n = 0;

	assert_true(pixels && tj);
	for (int y = 0; y < height; y++) {
		memset(pixels + (size_t)y * (size_t)width * 3, left, (size_t)width / 2 * 3);
		memset(pixels + ((size_t)y * (size_t)width + (size_t)width / 2) * 3, right,
			(size_t)(width - width / 2) * 3);
	}
	assert_int_equal(tjCompress2(tj, pixels, width, 0, height, TJPF_RGB, &bytes, &n,
				 subsampling, 90, flags),
		0);
	tjDestroy(tj);
	free(pixels);
	return SPAN(bytes, n);
}

static void picture_free(struct span bytes)
{
	tjFree((unsigned char *)(uintptr_t)bytes.p);
}

/* A copy to spoil. */
static uint8_t *copy_of(struct span bytes)
{
	uint8_t *p = malloc(bytes.n);

	assert_non_null(p);
	memcpy(p, bytes.p, bytes.n);
	return p;
}

static void good_pictures_decode(void **state)
{
	static const struct {
		int width, height, subsampling, flags;
		uint8_t left, right, n_components;
		uint32_t mean_milli, deviation_milli;
	} cases[] = {
		{ 64, 48, TJSAMP_420, 0, 128, 128, 3, 128000, 0 },
		{ 64, 48, TJSAMP_444, TJFLAG_PROGRESSIVE, 0, 255, 3, 127500, 127500 },
		{ 640, 481, TJSAMP_GRAY, 0, 10, 30, 1, 20000, 10000 },
		{ 16, 1, TJSAMP_422, TJFLAG_PROGRESSIVE, 255, 255, 3, 255000, 0 },
		{ 1, 1, TJSAMP_444, 0, 7, 7, 3, 7000, 0 },
	};
	struct sandbox *s = new_sandbox(DECODER, 100, 0);

	(void)state; /* ignored: cmocka's shape */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span jpeg = picture(cases[i].width, cases[i].height, cases[i].left,
			cases[i].right, cases[i].subsampling, cases[i].flags);
		struct jpeg_facts facts = decode(s, jpeg);

		assert_int_equal(facts.outcome, JPEG_DECODED);
		assert_int_equal(facts.width, cases[i].width);
		assert_int_equal(facts.height, cases[i].height);
		assert_int_equal(facts.n_components, cases[i].n_components);
		assert_in_range(facts.mean_luma_milli + 1000, cases[i].mean_milli,
			cases[i].mean_milli + 2000);
		assert_in_range(facts.luma_deviation_milli + 1000, cases[i].deviation_milli,
			cases[i].deviation_milli + 2000);
		assert_false(facts.has_position || facts.has_taken_at || facts.has_gps_time);
		picture_free(jpeg);
	}
	assert_int_equal(sandbox_starts(s), 1);
	print_message("defences: %#x of %#x\n", sandbox_defences(s), LOCKDOWN_ALL);
	sandbox_free(s);
}

static void broken_pictures_do_not(void **state)
{
	static const uint8_t png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13,
		'I', 'H', 'D', 'R' };
	struct sandbox *s = new_sandbox(DECODER, 1000, 0);
	struct span jpeg = picture(320, 240, 20, 200, TJSAMP_420, 0);
	uint8_t *bad = copy_of(jpeg);

	(void)state; /* ignored: cmocka's shape */
	assert_int_equal(decode(s, SPAN_OF(png)).outcome, JPEG_NOT_JPEG);
	assert_int_equal(decode(s, SPAN(NULL, 0)).outcome, JPEG_NOT_JPEG);
	assert_int_equal(decode_text(s, "not a picture").outcome, JPEG_NOT_JPEG);
	assert_int_equal(decode(s, jpeg).outcome, JPEG_DECODED);
	for (size_t n = 1; n < jpeg.n; n += n < 700 ? 7 : 97)
		assert_false(decode(s, SPAN(jpeg.p, n)).decodes);
	assert_int_equal(decode(s, SPAN(jpeg.p, jpeg.n - 100)).outcome, JPEG_CORRUPT);

	/* A flipped bit of a coefficient may still be a picture; it must be a proper answer. */
	for (size_t at = 0; at < jpeg.n; at += 41) {
		bad[at] ^= 0x10;
		struct jpeg_facts facts = decode(s, SPAN(bad, jpeg.n));
		assert_in_range(facts.outcome, JPEG_DECODED, JPEG_UNSERVED);
		bad[at] ^= 0x10;
	}
	/* In the middle of the coded data, 64 zero bytes are no code words of this picture. */
	memset(bad + jpeg.n / 2, 0xff, 64);
	struct jpeg_facts facts = decode(s, SPAN(bad, jpeg.n));
	assert_int_equal(facts.outcome, JPEG_CORRUPT);
	assert_true(facts.n_warnings > 0 || facts.error[0]);
	assert_int_equal(facts.mean_luma_milli, 0);
	assert_int_equal(sandbox_starts(s), 1);
	free(bad);
	picture_free(jpeg);
	sandbox_free(s);
}

static void limits_hold(void **state)
{
	struct sandbox *s = new_sandbox(DECODER, 0, 0);
	struct span jpeg = picture(64, 64, 0, 255, TJSAMP_420, 0);
	uint8_t *bad = copy_of(jpeg);
	uint8_t *sof = memmem(bad, jpeg.n, "\xff\xc0", 2);
	uint8_t *large = calloc(1, JPEG_BYTES_MAX + 1);
	struct jpeg_facts facts;

	(void)state; /* ignored: cmocka's shape */
	assert_true(sof && large);
	memset(sof + 5, 0xff, 4); /* height and width: more than libjpeg takes */
	assert_int_equal(decode(s, SPAN(bad, jpeg.n)).outcome, JPEG_TOO_LARGE);
	memcpy(sof + 5, "\x27\x10\x27\x11", 4); /* 10,000 x 10,001: more than we take */
	facts = decode(s, SPAN(bad, jpeg.n));
	assert_int_equal(facts.outcome, JPEG_TOO_LARGE);
	assert_string_equal(facts.error, "more pixels than the limit");
	assert_int_equal(facts.width, 10001);
	assert_int_equal(facts.height, 10000);
	memcpy(sof + 5, "\x27\x10\x27\x10", 4); /* as many as we take, but the data is not there */
	assert_int_equal(decode(s, SPAN(bad, jpeg.n)).outcome, JPEG_CORRUPT);
	assert_int_equal(decode(s, SPAN(large, JPEG_BYTES_MAX + 1)).outcome, JPEG_TOO_LARGE);
	memcpy(large, jpeg.p, jpeg.n);
	assert_int_equal(decode(s, SPAN(large, JPEG_BYTES_MAX)).outcome, JPEG_DECODED);
	assert_int_equal(sandbox_decode_jpeg(s, jpeg, 0, &facts), -EINVAL);
	assert_int_equal(
		sandbox_decode_jpeg(s, jpeg, SANDBOX_DEADLINE_MAX_MS + 1, &facts), -EINVAL);
	free(large);
	free(bad);
	picture_free(jpeg);
	sandbox_free(s);
}

static void camera_metadata_is_read(void **state)
{
	const char *vectors = getenv("ASSAY_VECTORS");
	char path[4096];
	size_t room = JPEG_BYTES_MAX;

	(void)state; /* ignored: cmocka's shape */
	snprintf(path, sizeof(path), "%s/photos/DSCN0010.jpg",
		vectors ? vectors : "../shared/vectors");
	FILE *file = fopen(path, "rb");

	if (!file) {
		print_message("SKIPPED: no photographs in %s\n", path);
		skip();
	}
	uint8_t *bytes = malloc(room);
	assert_non_null(bytes);
	size_t n = fread(bytes, 1, room, file);
	fclose(file);

	struct sandbox *s = new_sandbox(DECODER, 10, 0);
	struct jpeg_facts facts = decode(s, SPAN(bytes, n));

	assert_int_equal(facts.outcome, JPEG_DECODED);
	assert_true(facts.has_position);
	assert_int_equal(facts.lat_e7, 434674483); /* 43 deg 28' 2.814" N */
	assert_int_equal(facts.lon_e7, 118851267); /* 11 deg 53' 6.45599999" E */
	assert_true(facts.has_taken_at);
	assert_int_equal(facts.taken_at_s, 1224692919); /* 2008-10-22 16:28:39 */
	assert_true(facts.has_gps_time);
	assert_int_equal(facts.gps_time_s, 1224772027); /* 2008-10-23 14:27:07 UTC */

	/* Spoiled EXIF is absent, not wrong, and does not spoil the picture. */
	uint8_t *exif = memmem(bytes, n, "Exif\0\0", 6);
	assert_non_null(exif);
	memset(exif + 6, 0xff, 200);
	facts = decode(s, SPAN(bytes, n));
	assert_int_equal(facts.outcome, JPEG_DECODED);
	assert_false(facts.has_position || facts.has_taken_at || facts.has_gps_time);
	sandbox_free(s);
	free(bytes);
}

static void a_worker_serves_as_many_as_told(void **state)
{
	struct span jpeg = picture(16, 16, 1, 2, TJSAMP_420, 0);
	struct sandbox *s = new_sandbox(DECODER, 3, 0);

	(void)state; /* ignored: cmocka's shape */
	for (unsigned i = 0; i < 7; i++) {
		assert_true(decode(s, jpeg).decodes);
		assert_int_equal(sandbox_starts(s), 1 + i / 3);
	}
	/* Killed between two pictures: the next call does not notice. */
	assert_int_equal(kill(sandbox_pid(s), SIGKILL), 0);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)sandbox_pid(s), &info, WEXITED | WNOWAIT), 0);
	assert_true(decode(s, jpeg).decodes);
	sandbox_free(s);
	sandbox_free(NULL);
	picture_free(jpeg);
}

static void missing_or_unlocked_workers_are_refused(void **state)
{
	struct sandbox *s = NULL;

	(void)state; /* ignored: cmocka's shape */
	assert_int_equal(
		sandbox_new(&(struct sandbox_options){ .helper = "/nonexistent" }, &s), -ENOENT);
	assert_int_equal(
		sandbox_new(&(struct sandbox_options){ .helper = "/bin/true" }, &s), -EPROTO);
	assert_int_equal(
		sandbox_new(&(struct sandbox_options){ .helper = HOSTILE_NONE }, &s), -EPERM);
	assert_int_equal(
		sandbox_new(&(struct sandbox_options){ .helper = HOSTILE_NO_SECCOMP }, &s), -EPERM);
	assert_null(s);
}

/* After an attack the same sandbox must serve the next picture. */
static void still_works(struct sandbox *s)
{
	struct jpeg_facts facts = decode_text(s, "honest");

	assert_int_equal(facts.outcome, JPEG_DECODED);
	assert_int_equal(facts.width, 8);
}

static const char *const forbidden[] = { "open", "mkdir", "socket", "fork", "kill", "code",
	"unlimit" };

static void attacks_die_in_the_sandbox(void **state)
{
	struct sandbox *s = new_sandbox(HOSTILE_ALL, 100, 0);

	(void)state; /* ignored: cmocka's shape */
	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		struct jpeg_facts facts = decode_text(s, forbidden[i]);

		if (facts.outcome != JPEG_KILLED || facts.worker_signal != SIGSYS)
			fail_msg("%s: %s, %s", forbidden[i], sandbox_outcome_name(facts.outcome),
				facts.error);
		assert_string_equal(facts.error, "the decoder died of signal 31");
		still_works(s);
	}
	assert_int_equal(decode_text(s, "exec").worker_signal, SIGSYS);
	still_works(s);
	sandbox_free(s);
}

/* The same attacks where nothing is locked: they must work, or the test above would prove nothing.
 */
static void attacks_work_without_it(void **state)
{
	struct sandbox *s = new_sandbox(HOSTILE_NONE, 100, LOCKDOWN_ALL);

	(void)state; /* ignored: cmocka's shape */
	assert_int_equal(sandbox_defences(s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		struct jpeg_facts facts = decode_text(s, forbidden[i]);

		if (strcmp(facts.error, "it worked") != 0)
			fail_msg("%s: %s, %s", forbidden[i], sandbox_outcome_name(facts.outcome),
				facts.error);
	}
	assert_string_equal(decode_text(s, "memory").error, "it worked");
	still_works(s);
	sandbox_free(s);
}

static void each_layer_bites_by_itself(void **state)
{
	struct sandbox *s = new_sandbox(HOSTILE_NO_SECCOMP, 100, LOCKDOWN_SECCOMP);

	(void)state; /* ignored: cmocka's shape */
	assert_false(sandbox_defences(s) & LOCKDOWN_SECCOMP);
	/* One descriptor is the limit, and it is in use. */
	assert_string_equal(decode_text(s, "open").error, "failed: EMFILE");
	assert_string_equal(decode_text(s, "socket").error, "failed: EMFILE");
	if (sandbox_defences(s) & LOCKDOWN_LANDLOCK)
		assert_string_equal(decode_text(s, "mkdir").error, "failed: EACCES");
	else
		print_message("SKIPPED: this kernel has no Landlock\n");
	if (sandbox_defences(s) & LOCKDOWN_MEMORY)
		assert_string_equal(decode_text(s, "memory").error, "failed: ENOMEM");
	else
		print_message("SKIPPED: no memory limit under sanitizers\n");
	still_works(s);
	sandbox_free(s);
}

static void floods_and_crashes(void **state)
{
	struct sandbox *s = new_sandbox(HOSTILE_ALL, 100, 0);
	struct jpeg_facts facts;

	(void)state; /* ignored: cmocka's shape */
	if (sandbox_defences(s) & LOCKDOWN_MEMORY)
		assert_string_equal(decode_text(s, "memory").error, "failed: ENOMEM");
	else
		print_message("SKIPPED: no memory limit under sanitizers\n");
	still_works(s);
	assert_int_equal(sandbox_decode_jpeg(s, SPAN_STR("loop"), 100, &facts), 0);
	assert_int_equal(facts.outcome, JPEG_TIMEOUT);
	assert_string_equal(facts.error, "not decoded within 100 ms");
	still_works(s);
	assert_int_equal(decode_text(s, "crash").outcome, JPEG_KILLED);
	still_works(s);
	facts = decode_text(s, "exit");
	assert_int_equal(facts.outcome, JPEG_KILLED);
	assert_int_equal(facts.worker_signal, 0);
	still_works(s);
	assert_int_equal(decode_text(s, "half").outcome, JPEG_KILLED);
	still_works(s);
	sandbox_free(s);
}

static void lies_are_noticed(void **state)
{
	static const char *const lies[] = { "garbage", "lie-pixels", "lie-warnings", "lie-place",
		"lie-text", "lie-timeout" };
	struct sandbox *s = new_sandbox(HOSTILE_ALL, 100, 0);

	(void)state; /* ignored: cmocka's shape */
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct jpeg_facts facts = decode_text(s, lies[i]);

		if (facts.outcome != JPEG_LIED)
			fail_msg("%s: %s", lies[i], sandbox_outcome_name(facts.outcome));
		still_works(s);
	}
	sandbox_free(s);

	/* An answer to a picture that was not shown yet is thrown away, with its worker. */
	s = new_sandbox(HOSTILE_ALL, 100, 0);
	assert_string_equal(decode_text(s, "early").error, "it worked");
	still_works(s);
	assert_int_equal(sandbox_starts(s), 2);
	sandbox_free(s);
}

/* kill -9 of the parent while the worker spins: nobody is left to close anything but the kernel. */
static void the_worker_dies_with_its_parent(void **state)
{
	int fds[2];
	pid_t worker = 0;

	(void)state; /* ignored: cmocka's shape */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	pid_t parent = fork();

	if (parent == 0) {
		struct sandbox *s = NULL;
		struct jpeg_facts facts;

		if (sandbox_new(&(struct sandbox_options){ .helper = HOSTILE_ALL }, &s) < 0)
			_exit(1);
		worker = sandbox_pid(s);
		if (write(fds[1], &worker, sizeof(worker)) != sizeof(worker))
			_exit(1);
		_exit(sandbox_decode_jpeg(s, SPAN_STR("loop"), SANDBOX_DEADLINE_MAX_MS, &facts) <
			0);
	}
	assert_true(parent > 0);
	assert_int_equal(read(fds[0], &worker, sizeof(worker)), sizeof(worker));
	int fd = pidfd_open(worker, 0);

	assert_true(fd >= 0);
	assert_int_equal(kill(parent, SIGKILL), 0);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, DEADLINE_MS), 1);
	close(fd);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_pictures_decode),
		cmocka_unit_test(broken_pictures_do_not),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(camera_metadata_is_read),
		cmocka_unit_test(a_worker_serves_as_many_as_told),
		cmocka_unit_test(missing_or_unlocked_workers_are_refused),
		cmocka_unit_test(attacks_die_in_the_sandbox),
		cmocka_unit_test(attacks_work_without_it),
		cmocka_unit_test(each_layer_bites_by_itself),
		cmocka_unit_test(floods_and_crashes),
		cmocka_unit_test(lies_are_noticed),
		cmocka_unit_test(the_worker_dies_with_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

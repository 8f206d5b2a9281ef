/*
 * The programs as somebody meets them at a shell: help, mistakes, subcommands without a daemon, the
 * control socket's mode, and key files that others may read.
 */
#include "proto/base/refusal.h"
#include "proto/shell/daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 12
#define TEXT_MAX 16384
#define WAIT_MS  20000 /* only a test that fails waits as long */

extern char **environ;

static const struct program {
	const char *name;
	const char *path;
	const char *missing; /* the option that it says it wants, started with --dir alone */
} programs[] = {
	{ "assay-broker", BROKER, "--escrow" },
	{ "assay-escrow", ESCROW, "--asset" },
	{ "assay-verifier", VERIFIER, "--escrow" },
	{ "assay-node", NODE, "--broker" },
};

static char root[] = "/tmp/assay-programs-XXXXXX";

struct said {
	int code; /* exit status; -1 where a signal ended it */
	char out[TEXT_MAX];
	char err[TEXT_MAX];
};

static pid_t start(const char *path, const char *const *args, int out, int err)
{
	char *argv[ARGS_MAX + 2] = { (char *)path };
	posix_spawn_file_actions_t actions;
	pid_t pid;

	for (size_t i = 0; i < ARGS_MAX && args[i]; i++)
		argv[i + 1] = (char *)args[i];
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	assert_int_equal(
		posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out, 1), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, err, 2), 0);
	assert_int_equal(posix_spawn(&pid, path, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What a program wrote into a file; its words are few. */
static void text_of(FILE *file, char out[static TEXT_MAX])
{
	rewind(file);
	out[fread(out, 1, TEXT_MAX - 1, file)] = '\0';
	fclose(file);
}

static const struct said *run(const char *path, const char *const *args)
{
	static struct said said;
	FILE *out = tmpfile();
	FILE *err = tmpfile();

	assert_true(out && err);
	said.code = end_of(start(path, args, fileno(out), fileno(err)));
	text_of(out, said.out);
	text_of(err, said.err);
	return &said;
}

#define RUN(path, ...) run((path), (const char *const[]){ __VA_ARGS__, NULL })

static const char *in_root(const char *name, const char *file)
{
	static char paths[16][256]; /* by turns: no test needs more at one time */
	static size_t next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	assert_in_range(snprintf(path, sizeof(paths[0]), "%s/%s%s", root, name, file), 1, 255);
	return path;
}

static void asserts_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

static void help_goes_to_stdout(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		const struct program *p = &programs[i];
		const char *const spellings[] = { "--help", "-h" };

		for (size_t k = 0; k < ARRAY_SIZE(spellings); k++) {
			const struct said *said = RUN(p->path, spellings[k]);

			assert_int_equal(said->code, EXIT_DONE);
			assert_string_equal(said->err, "");
			asserts_contains(said->out, p->name);
			asserts_contains(said->out, "Usage:");
			asserts_contains(said->out, "--dir DIR");
			asserts_contains(said->out, p->missing);
			asserts_contains(said->out, "Exit codes:");
		}
	}
}

/* Each is exit code 2 with a sentence on stderr, nothing on stdout, and no directory is made. */
static void mistakes_are_usage(void **state)
{
	char long_dir[400];
	const char *dir = in_root("mistakes", "");

	(void)state;
	memset(long_dir, 'x', sizeof(long_dir) - 1);
	long_dir[0] = '/';
	long_dir[sizeof(long_dir) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		const char *const calls[][6] = {
			{ NULL },
			{ "--dir" },
			{ "--no-such-option", "--dir", dir },
			{ "--dir", dir, "--json=yes" },
			{ "--dir", long_dir },
			{ "no-such-command", "--dir", dir },
			{ "stats", "more", "--dir", dir },
			{ "stop", "more", "--dir", dir },
			{ "snapshot", "--dir", dir },
			{ "snapshot", "/no/such/parent/dir", "--dir", dir },
			{ "stats" },
		};

		for (size_t k = 0; k < ARRAY_SIZE(calls); k++) {
			const struct said *said = run(programs[i].path, calls[k]);

			if (said->code != EXIT_USAGE)
				fail_msg("%s, call %zu: exit code %d: %s", programs[i].name, k,
					said->code, said->err);
			assert_string_equal(said->out, "");
			asserts_contains(said->err, programs[i].name);
			asserts_contains(said->err, "--help");
			assert_int_equal(access(dir, F_OK), -1);
		}
	}
}

/* Words to a daemon that does not run: 6, and what to do. */
static void no_daemon_is_unreachable(void **state)
{
	const char *dest = in_root("copy", "");
	const char *dir = in_root("nobody", "");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		const char *const calls[][5] = {
			{ "stats", "--dir", dir },
			{ "stop", "--dir", dir },
			{ "snapshot", dest, "--dir", dir },
		};

		for (size_t k = 0; k < ARRAY_SIZE(calls); k++) {
			const struct said *said = run(programs[i].path, calls[k]);

			assert_int_equal(said->code, EXIT_UNREACHABLE);
			assert_string_equal(said->out, "");
			asserts_contains(said->err, "no daemon runs in");
			assert_int_equal(access(dir, F_OK), -1);
		}
	}
}

/* Keys that others may read are refused by all programs, with the sentence that says what to do. */
static void open_keys_are_refused(void **state)
{
	static const char *const files[] = { "/keys/working.key", "/keys/curve.key",
		"/keys/encryption.key" };
	const char *sentence = refusal_sentence(REFUSED_KEY_FILE_OPEN);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		const struct program *p = &programs[i];
		const char *dir = in_root(p->name, "");
		const struct said *said = RUN(p->path, "--dir", dir);
		struct stat st;

		/* The first start makes the keys, and then misses an option. */
		assert_int_equal(said->code, EXIT_USAGE);
		asserts_contains(said->err, p->missing);
		assert_int_equal(stat(in_root(p->name, "/keys"), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
		for (size_t k = 0; k < ARRAY_SIZE(files); k++) {
			const char *file = in_root(p->name, files[k]);

			assert_int_equal(stat(file, &st), 0);
			assert_int_equal(st.st_mode & 07777, 0600);
			assert_int_equal(chmod(file, 0644), 0);
			said = RUN(p->path, "--dir", dir);
			assert_int_equal(said->code, EXIT_FAULT);
			asserts_contains(said->err, sentence);
			assert_string_equal(said->out, "");
			assert_int_equal(chmod(file, 0600), 0);
			assert_int_equal(RUN(p->path, "--dir", dir)->code, EXIT_USAGE);
		}
		/* A folder where others may put files in place of these. */
		assert_int_equal(chmod(in_root(p->name, "/keys"), 0770), 0);
		said = RUN(p->path, "--dir", dir);
		assert_int_equal(said->code, EXIT_FAULT);
		asserts_contains(said->err, sentence);
	}
}

/* The buyer's command line holds to the same. */
static void open_keys_are_refused_by_the_buyer(void **state)
{
	const char *dir = in_root("buyer", "");
	const struct said *said = RUN(ASSAY, "key", "new", "--dir", dir);
	const char *file = in_root("buyer", "/buyer/keys/working.key");

	(void)state;
	assert_int_equal(said->code, EXIT_DONE);
	assert_int_equal(RUN(ASSAY, "key", "show", "--dir", dir)->code, EXIT_DONE);
	assert_int_equal(chmod(file, 0644), 0);
	said = RUN(ASSAY, "key", "show", "--dir", dir);
	assert_int_not_equal(said->code, EXIT_DONE);
	asserts_contains(said->err, refusal_sentence(REFUSED_KEY_FILE_OPEN));
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(RUN(ASSAY, "key", "show", "--dir", dir)->code, EXIT_DONE);
}

/* Waits for the line that says that it is ready. */
static void wait_ready(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char line[512];

	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);

	ssize_t n = read(fd, line, sizeof(line) - 1);

	assert_true(n > 0);
	line[n] = '\0';
	asserts_contains(line, "ready tcp://127.0.0.1:");
}

/* Under a mask that would leave everything open. */
static void running_daemon_is_private(void **state)
{
	const char *dir = in_root("running", "");
	const char *copy = in_root("snapshot", "");
	const char *const args[] = { "--dir", dir, "--asset", "XTS", "--play", NULL };
	FILE *err = tmpfile();
	int out[2];
	mode_t mask = umask(0);
	struct stat st;

	(void)state;
	assert_non_null(err);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);

	pid_t pid = start(ESCROW, args, out[1], fileno(err));

	umask(mask);
	close(out[1]);
	wait_ready(out[0]);
	assert_int_equal(stat(in_root("running", "/control"), &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(in_root("running", "/keys/root.key"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);

	const struct said *said = RUN(ESCROW, "stats", "--dir", dir);

	assert_int_equal(said->code, EXIT_DONE);
	assert_int_equal(said->out[0], '{');
	assert_int_equal(RUN(ESCROW, "snapshot", copy, "--dir", dir)->code, EXIT_DONE);
	assert_int_equal(access(in_root("snapshot", "/escrow.db"), R_OK), 0);
	/* A second one in the same directory leaves the first alone. */
	assert_int_equal(RUN(ESCROW, "--dir", dir, "--asset", "XTS")->code, EXIT_FAULT);
	assert_int_equal(RUN(ESCROW, "stop", "--dir", dir)->code, EXIT_DONE);
	assert_int_equal(end_of(pid), EXIT_DONE);
	assert_int_equal(RUN(ESCROW, "stats", "--dir", dir)->code, EXIT_UNREACHABLE);
	close(out[0]);
	fclose(err);
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where; /* ignored: nftw's shape */
	return remove(path);
}

static int remove_root(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_goes_to_stdout),
		cmocka_unit_test(mistakes_are_usage),
		cmocka_unit_test(no_daemon_is_unreachable),
		cmocka_unit_test(open_keys_are_refused),
		cmocka_unit_test(open_keys_are_refused_by_the_buyer),
		cmocka_unit_test(running_daemon_is_private),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}

#include "tests/integration/market.h"

#include "proto/os/clock.h"
#include "proto/os/file.h"
#include "proto/shell/control.h"

#include <jansson.h>

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATHS           16 /* static buffers of market_path() */
#define MARKET_SLICE_MS 5 /* between two looks at a daemon's figures */

void market_init(struct market *m)
{
	const char *tmp = getenv("TMPDIR");

	*m = (struct market){ 0 };
	snprintf(m->dir, sizeof(m->dir), "%s/assay-market-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(m->dir));
	supervisor_init(&m->supervisor);
	assert_int_equal(mkdir(market_path(m, "log"), 0700), 0);
}

const char *market_path(const struct market *m, const char *name)
{
	static char paths[PATHS][MARKET_PATH_MAX];
	static size_t next;
	char *path = paths[next++ % PATHS];

	assert_true(snprintf(path, MARKET_PATH_MAX, "%s/%s", m->dir, name) < MARKET_PATH_MAX);
	return path;
}

static void print_tail(const char *path)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t n;

	if (file_read(path, (size_t)MARKET_FILE_MAX, &bytes, &n) < 0)
		return;
	fprintf(stderr, "--- %s\n%s\n", path, (const char *)bytes + (n > 2000 ? n - 2000 : 0));
}

static void add_args(struct child *child, const char *const *args)
{
	for (size_t i = 0; args && args[i]; i++)
		assert_true(supervisor_arg(child, args[i]));
}

static struct child *start(struct market *m, const char *name, const char *program,
	const char *const *first, const char *const *second)
{
	char log[64];

	snprintf(log, sizeof(log), "log/%s.log", name);

	struct child *child = supervisor_add(&m->supervisor, name, program, market_path(m, log));

	if (!child)
		fail_msg("%s is not in ASSAY_BIN_DIR", program);
	add_args(child, first);
	add_args(child, second);

	int r = supervisor_start(&m->supervisor, child);

	if (r < 0) {
		print_tail(child->log_path);
		fail_msg("%s did not start: %s", name, strerror(-r));
	}
	return child;
}

struct child *market_start_program(
	struct market *m, const char *name, const char *program, const char *const *args)
{
	return start(m, name, program, args, NULL);
}

static struct child *start_daemon(struct market *m, const char *name, const char *program,
	const char *const *own, const char *const *more)
{
	const char *args[SUPERVISOR_ARGS_MAX] = { "--dir", market_path(m, name), "--market",
		MARKET_NAME, "--json" };
	size_t n = 5;

	for (; *own; own++) {
		assert_true(n < ARRAY_SIZE(args) - 1);
		args[n++] = *own;
	}
	return start(m, name, program, args, more);
}

#define OWN(...) ((const char *const[]){ __VA_ARGS__, NULL })

void market_did(const struct child *child, char out[static DID_TEXT_MAX])
{
	json_t *line = json_loads(child->ready, JSON_REJECT_DUPLICATES, NULL);
	const char *did = json_string_value(json_object_get(line, "did"));

	assert_non_null(did);
	assert_true(strlen(did) < DID_TEXT_MAX);
	strcpy(out, did);
	json_decref(line);
}

void market_make_keys(const struct market *m, const char *party)
{
	char keys[MARKET_PATH_MAX];

	snprintf(keys, sizeof(keys), "%s/keys", market_path(m, party));
	assert_int_equal(file_make_private_dir(market_path(m, party)), 0);

	int r = identity_new(keys, MARKET_NAME);

	assert_true(r == 0 || r == -EEXIST);
}

static json_t *load(const char *path)
{
	json_t *j = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(j);
	return j;
}

static void write_market(struct market *m)
{
	json_t *verifiers = json_array();

	for (size_t i = 0; i < m->n_verifiers; i++)
		json_array_append_new(verifiers, json_string(m->verifier_dids[i]));

	json_t *market = json_pack("{s:s,s:s,s:o,s:o,s:o}", "name", MARKET_NAME, "asset", "XTS",
		"broker", load(market_path(m, "broker/contact.json")), "escrow",
		load(market_path(m, "escrow/contact.json")), "verifiers", verifiers);

	assert_non_null(market);
	assert_int_equal(json_dump_file(market, market_path(m, "market.json"), 0), 0);
	json_decref(market);
}

void market_start(struct market *m, size_t n_verifiers, const char *const *escrow_args,
	const char *const *broker_args)
{
	const char *escrow = market_path(m, "escrow/contact.json");
	const char *broker = market_path(m, "broker/contact.json");

	m->escrow = start_daemon(
		m, "escrow", "assay-escrow", OWN("--play", "--asset", "XTS"), escrow_args);
	m->broker = start_daemon(m, "broker", "assay-broker", OWN("--escrow", escrow), broker_args);
	assert_int_equal(contact_read(escrow, &m->escrow_contact), 0);
	assert_int_equal(contact_read(broker, &m->broker_contact), 0);
	for (size_t i = 0; i < n_verifiers; i++) {
		char name[32];

		snprintf(name, sizeof(name), "verifier-%zu", i);
		m->verifiers[i] = start_daemon(m, name, "assay-verifier",
			OWN("--escrow", escrow, "--broker", broker), NULL);
		market_did(m->verifiers[i], m->verifier_dids[m->n_verifiers++]);
	}
	write_market(m);
	market_make_keys(m, "buyer");
}

void market_start_instrument(struct market *m)
{
	m->instrument = market_start_program(
		m, "instrument", "scpi-instrument", OWN("--port", "0"));
	assert_int_equal(sscanf(m->instrument->ready, "listening %63s", m->instrument_address), 1);
}

struct child *market_start_node(struct market *m, const char *name, const char *const *args)
{
	const char *own[SUPERVISOR_ARGS_MAX] = { "--escrow", market_path(m, "escrow/contact.json"),
		"--broker", market_path(m, "broker/contact.json"), "--place", MARKET_PLACE,
		"--price", "0.05" };
	size_t n = 8;

	for (size_t i = 0; i < m->n_verifiers; i++) {
		own[n++] = "--verifier";
		own[n++] = m->verifier_dids[i];
	}
	return start_daemon(m, name, "assay-node", own, args);
}

/* Waits until the process has ended. */
static int await(pid_t pid, int timeout_ms, int *ret_status)
{
	_cleanup_(closep) int fd = pidfd_open(pid, 0);
	struct pollfd item = { .fd = fd, .events = POLLIN };

	if (fd >= 0 && poll(&item, 1, timeout_ms) != 1)
		return -ETIMEDOUT;
	return waitpid(pid, ret_status, 0) == pid ? 0 : -errno;
}

int market_kill(struct market *m, struct child *child, int signal_number)
{
	int status = 0;

	(void)m; /* ignored: the child knows its own id */
	assert_true(child->pid > 0);
	assert_int_equal(kill(child->pid, signal_number), 0);
	if (await(child->pid, MARKET_CALL_MS, &status) < 0)
		fail_msg("%s does not end", child->name);
	child->pid = 0;
	return status;
}

void market_restart(struct market *m, struct child *child)
{
	int r;

	assert_int_equal(child->pid, 0);
	r = supervisor_start(&m->supervisor, child);
	if (r < 0) {
		print_tail(child->log_path);
		fail_msg("%s did not start again: %s", child->name, strerror(-r));
	}
}

static int64_t received(const struct market *m, const struct child *child, const char *type)
{
	char path[MARKET_PATH_MAX];
	char reply[CONTROL_REPLY_MAX];

	snprintf(path, sizeof(path), "%s/control", market_path(m, child->name));
	assert_int_equal(control_command(path, "stats", reply), 0);

	json_t *stats = json_loads(reply, 0, NULL);
	int64_t n = json_integer_value(
		json_object_get(json_object_get(stats, "received_types"), type));

	assert_non_null(stats);
	json_decref(stats);
	return n;
}

void market_wait_received(struct market *m, const struct child *child, const char *type, int64_t n)
{
	int64_t deadline = clock_mono_ns() + MARKET_CALL_MS * NS_PER_MS;

	while (received(m, child, type) < n) {
		if (clock_mono_ns() > deadline)
			fail_msg("%s did not receive %s", child->name, type);
		poll(NULL, 0, MARKET_SLICE_MS);
	}
}

void market_check_alive(struct market *m)
{
	for (size_t i = 0; i < m->supervisor.n; i++) {
		struct child *child = &m->supervisor.children[i];
		int status;

		if (child->pid > 0 && waitpid(child->pid, &status, WNOHANG) == child->pid) {
			child->pid = 0;
			print_tail(child->log_path);
			fail_msg("%s has ended by itself, with status %x", child->name,
				(unsigned int)status);
		}
	}
}

void market_begin(struct market *m)
{
	m->begun++;
	market_check_alive(m);
}

void market_end(struct market *m)
{
	market_check_alive(m);
	m->passed++;
}

static int remove_one(const char *name, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st; /* ignored: everything goes */
	(void)kind;
	(void)ftw;
	return remove(name);
}

int market_stop(struct market *m)
{
	int r = 0;

	for (size_t i = m->supervisor.n; i-- > 0;) {
		struct child *child = &m->supervisor.children[i];
		int status = 0;

		if (child->pid <= 0)
			continue;
		kill(child->pid, SIGCONT); /* one that a test stopped would not hear the other */
		kill(child->pid, SIGTERM);
		if (await(child->pid, MARKET_CALL_MS, &status) < 0) {
			kill(child->pid, SIGKILL);
			(void)waitpid(child->pid, &status, 0); /* ignored: the status says it */
		}
		child->pid = 0;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			fprintf(stderr, "%s ended with status %x\n", child->name,
				(unsigned int)status);
			print_tail(child->log_path);
			r = -1;
		}
	}
	if (r == 0 && m->passed == m->begun && !getenv("ASSAY_KEEP"))
		return nftw(m->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	fprintf(stderr, "The market's directory stays: %s\n", m->dir);
	return r;
}

int market_run(struct market *m, const char *const *argv)
{
	const char *log = market_path(m, "log/run.log");
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);

		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		if (fd >= 0 && dup2(fd, 1) >= 0 && dup2(fd, 2) >= 0)
			execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (await(pid, MARKET_CALL_MS, &status) < 0) {
		kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0); /* ignored: the test fails now */
		fail_msg("%s does not end", argv[0]);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void market_snapshot(
	struct market *m, const struct child *child, char ret_dir[static MARKET_PATH_MAX])
{
	static unsigned count;
	char name[64];

	snprintf(name, sizeof(name), "snapshot-%u-%s", count++, child->name);
	snprintf(ret_dir, MARKET_PATH_MAX, "%s", market_path(m, name));
	if (market_run(m, OWN(child->args[0], "snapshot", ret_dir, "--dir",
				  market_path(m, child->name))) != 0) {
		print_tail(market_path(m, "log/run.log"));
		print_tail(child->log_path);
		fail_msg("no snapshot of %s", child->name);
	}
}

bool market_logged(const struct child *child, const char *text)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t n;

	assert_int_equal(file_read(child->log_path, (size_t)MARKET_FILE_MAX, &bytes, &n), 0);
	return strstr((const char *)bytes, text) != NULL;
}

const char *market_vectors(const char *sub)
{
	static char path[MARKET_PATH_MAX];
	const char *root = getenv("ASSAY_VECTORS");

	snprintf(path, sizeof(path), "%s/%s", root ? root : "../shared/vectors", sub);
	return access(path, R_OK) == 0 ? path : "";
}

#include "escrow/verify/sandbox.h"

#include "escrow/verify/lockdown.h"
#include "escrow/verify/wire.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct sandbox {
	char helper[PATH_MAX];
	unsigned n_per_worker;
	unsigned required; /* layers */
	pid_t pid; /* 0: no worker */
	int fd;
	unsigned n_served;
	int64_t busy_ms; /* time this worker had pictures for */
	uint32_t sequence;
	unsigned defences;
	uint64_t n_starts;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Ends the worker. Returns the signal that it died of by itself, or 0. */
static int stop(struct sandbox *s)
{
	int status = 0;

	if (s->pid == 0)
		return 0;
	/* A process that is dying already keeps its own cause. */
	kill(s->pid, SIGKILL);
	pid_t got;
	do {
		got = waitpid(s->pid, &status, 0);
	} while (got < 0 && errno == EINTR);
	close(s->fd);
	s->pid = 0;
	s->fd = -1;
	return got > 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Waits for events. Returns 1, 0 at the deadline, or a negative errno. */
static int wait_for(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		int64_t left = deadline_ms - now_ms();
		int r = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (r >= 0)
			return r;
		if (errno != EINTR)
			return -errno;
	}
}

/* The two below: 0, -ETIME at the deadline, -EPIPE where the worker is gone, or another errno. */
static int send_all(int fd, struct span bytes, int64_t deadline_ms)
{
	while (bytes.n > 0) {
		int r = wait_for(fd, POLLOUT, deadline_ms);

		if (r <= 0)
			return r ? r : -ETIME;
		ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (n > 0)
			bytes = SPAN(bytes.p + n, bytes.n - (size_t)n);
	}
	return 0;
}

static int receive_all(int fd, uint8_t *bytes, size_t size, int64_t deadline_ms)
{
	while (size > 0) {
		int r = wait_for(fd, POLLIN, deadline_ms);

		if (r <= 0)
			return r ? r : -ETIME;
		ssize_t n = recv(fd, bytes, size, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return -EPIPE;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

/* Starts the program with nothing but the socket: no environment, no other descriptor, no signal
 * mask. */
static int spawn(const char *helper, int fd, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	char parent[16];
	char name[] = "assay-decoder";
	char *const argv[] = { name, parent, NULL };
	char *const environment[] = { NULL };

	snprintf(parent, sizeof(parent), "%d", getpid());
	sigemptyset(&none);
	sigfillset(&all);
	int r = posix_spawn_file_actions_init(&actions);

	if (r != 0)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -r;
	}
	r = posix_spawn_file_actions_adddup2(&actions, fd, WIRE_FD);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, WIRE_FD + 1);
	if (r == 0)
		r = posix_spawnattr_setsigmask(&attributes, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(&attributes, &all);
	if (r == 0)
		r = posix_spawnattr_setflags(
			&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (r == 0)
		r = posix_spawn(ret_pid, helper, &actions, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int hear_hello(struct sandbox *s)
{
	uint8_t bytes[WIRE_HELLO];
	struct wire_hello hello;
	int r = receive_all(s->fd, bytes, sizeof(bytes), now_ms() + SANDBOX_START_MS);

	if (r < 0)
		return r == -EPIPE ? -EPROTO : r;
	if (!wire_get_hello(bytes, &hello))
		return -EPROTO;
	if (hello.error || (hello.defences & s->required) != s->required)
		return -EPERM;
	s->defences = hello.defences;
	return 0;
}

static int start(struct sandbox *s)
{
	int fds[2];

	if (s->pid != 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	int r = spawn(s->helper, fds[1], &s->pid);

	close(fds[1]);
	if (r < 0) {
		s->pid = 0;
		close(fds[0]);
		return r;
	}
	s->fd = fds[0];
	s->n_served = 0;
	s->busy_ms = 0;
	s->n_starts++;
	r = hear_hello(s);
	if (r < 0)
		stop(s);
	return r;
}

/* A worker that died or spoke between two pictures is replaced before the next one. */
static void drop_unfit(struct sandbox *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	if (s->pid != 0 && poll(&p, 1, 0) != 0)
		stop(s);
}

static int exchange(
	struct sandbox *s, struct span jpeg, int64_t deadline_ms, uint8_t reply[static WIRE_REPLY])
{
	uint8_t header[WIRE_REQUEST];

	wire_put_request(
		&(struct wire_request){ .sequence = ++s->sequence, .length = (uint32_t)jpeg.n },
		header);
	int r = send_all(s->fd, SPAN_OF(header), deadline_ms);

	if (r == 0)
		r = send_all(s->fd, jpeg, deadline_ms);
	if (r == 0)
		r = receive_all(s->fd, reply, WIRE_REPLY, deadline_ms);
	return r;
}

__attribute__((format(printf, 3, 4))) static void ended(
	struct jpeg_facts *facts, enum jpeg_outcome outcome, const char *format, ...)
{
	va_list ap;

	*facts = (struct jpeg_facts){ .outcome = outcome };
	va_start(ap, format);
	vsnprintf(facts->error, sizeof(facts->error), format, ap);
	va_end(ap);
}

static int judge(struct sandbox *s, int r, const uint8_t reply[static WIRE_REPLY],
	uint32_t deadline_ms, struct jpeg_facts *ret_facts)
{
	if (r == 0 && !wire_get_reply(reply, s->sequence, ret_facts)) {
		stop(s);
		ended(ret_facts, JPEG_LIED, "the decoder gave an impossible answer");
	} else if (r == -ETIME) {
		stop(s);
		ended(ret_facts, JPEG_TIMEOUT, "not decoded within %u ms", deadline_ms);
	} else if (r == -EPIPE) {
		int signal = stop(s);

		ended(ret_facts, JPEG_KILLED, "the decoder died of signal %d", signal);
		ret_facts->worker_signal = signal;
	} else if (r < 0) {
		stop(s);
		return r;
	}
	return 0;
}

int sandbox_decode_jpeg(
	struct sandbox *s, struct span jpeg, uint32_t deadline_ms, struct jpeg_facts *ret_facts)
{
	uint8_t reply[WIRE_REPLY];

	if (deadline_ms < 1 || deadline_ms > SANDBOX_DEADLINE_MAX_MS)
		return -EINVAL;
	if (jpeg.n > JPEG_BYTES_MAX) {
		ended(ret_facts, JPEG_TOO_LARGE, "more bytes than the limit");
		return 0;
	}
	drop_unfit(s);
	int r = start(s);

	if (r < 0)
		return r;
	int64_t began_ms = now_ms();

	r = judge(
		s, exchange(s, jpeg, began_ms + deadline_ms, reply), reply, deadline_ms, ret_facts);
	s->busy_ms += now_ms() - began_ms + 1;
	if (++s->n_served >= s->n_per_worker || s->busy_ms >= SANDBOX_WORKER_MS)
		stop(s);
	return r;
}

/* Takes the path where a program lies there. */
static bool try_helper(struct sandbox *s, const char *directory, const char *name)
{
	int n = snprintf(s->helper, sizeof(s->helper), "%s%s", directory, name);
	struct stat st;

	return n > 0 && (size_t)n < sizeof(s->helper) && stat(s->helper, &st) == 0 &&
	       S_ISREG(st.st_mode) && access(s->helper, X_OK) == 0;
}

/* In each directory of a list with colons: how a build tree says where its programs are. */
static bool try_list(struct sandbox *s, const char *list)
{
	while (list && *list) {
		char directory[PATH_MAX];
		size_t n = strcspn(list, ":");

		if (n > 0 && n + 2 < sizeof(directory)) {
			memcpy(directory, list, n);
			strcpy(directory + n, "/");
			if (try_helper(s, directory, "assay-decoder"))
				return true;
		}
		list += n + (list[n] == ':');
	}
	return false;
}

static bool find_helper(struct sandbox *s, const char *chosen)
{
	char self[PATH_MAX];
	const char *override = secure_getenv("ASSAY_DECODER");

	if (chosen)
		return try_helper(s, chosen, "");
	if (override && *override)
		return try_helper(s, override, "");
	if (try_list(s, secure_getenv("ASSAY_BIN_DIR")))
		return true;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = 0;
		char *slash = strrchr(self, '/');
		if (slash)
			slash[1] = 0;
		if (slash && (try_helper(s, self, "assay-decoder") ||
				     try_helper(s, self, "verify/assay-decoder") ||
				     try_helper(s, self, "../libexec/assay/assay-decoder")))
			return true;
	}
	return try_helper(s, SANDBOX_LIBEXECDIR "/", "assay-decoder");
}

int sandbox_new(const struct sandbox_options *options, struct sandbox **ret_sandbox)
{
	struct sandbox *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->n_per_worker = options->n_per_worker
				  ? MIN(options->n_per_worker, (unsigned)SANDBOX_PER_WORKER_MAX)
				  : SANDBOX_PER_WORKER;
	s->required = (LOCKDOWN_SECCOMP | LOCKDOWN_LIMITS) & ~options->may_lack;
	int r = find_helper(s, options->helper) ? start(s) : -ENOENT;

	if (r < 0) {
		sandbox_free(s);
		return r;
	}
	*ret_sandbox = s;
	return 0;
}

unsigned sandbox_defences(const struct sandbox *s)
{
	return s->defences;
}

uint64_t sandbox_starts(const struct sandbox *s)
{
	return s->n_starts;
}

int sandbox_pid(const struct sandbox *s)
{
	return s->pid;
}

void sandbox_free(struct sandbox *s)
{
	if (!s)
		return;
	stop(s);
	free(s);
}

const char *sandbox_outcome_name(enum jpeg_outcome outcome)
{
	switch (outcome) {
	case JPEG_DECODED:
		return "DECODED";
	case JPEG_NOT_JPEG:
		return "NOT_JPEG";
	case JPEG_CORRUPT:
		return "CORRUPT";
	case JPEG_TOO_LARGE:
		return "TOO_LARGE";
	case JPEG_UNSERVED:
		return "UNSERVED";
	case JPEG_TIMEOUT:
		return "TIMEOUT";
	case JPEG_KILLED:
		return "KILLED";
	case JPEG_LIED:
		return "LIED";
	}
	return "UNKNOWN";
}

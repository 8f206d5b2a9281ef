#include "buyer-sdk/cli/supervisor.h"

#include "proto/os/clock.h"
#include "proto/os/file.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESTART_PAUSE_NS NS_PER_S
#define RESTARTS_MAX     100

static void ended_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGCHLD);
}

void supervisor_init(struct supervisor *s)
{
	sigset_t set;

	*s = (struct supervisor){ 0 };
	ended_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int try_in(const char *dir, size_t n, const char *program, char *out, size_t cap)
{
	int length = snprintf(out, cap, "%.*s/%s", (int)n, dir, program);
	struct stat st;

	if (length < 0 || (size_t)length >= cap)
		return -ENAMETOOLONG;
	/* A folder of that name can be entered, but not run. */
	return stat(out, &st) == 0 && S_ISREG(st.st_mode) && access(out, X_OK) == 0 ? 0 : -ENOENT;
}

static int try_list(const char *list, const char *program, char *out, size_t cap)
{
	while (list && *list) {
		size_t n = strcspn(list, ":");

		if (n > 0 && try_in(list, n, program, out, cap) == 0)
			return 0;
		list += n + (list[n] == ':');
	}
	return -ENOENT;
}

int supervisor_find(const char *program, char *out, size_t cap)
{
	char self[SUPERVISOR_ARG_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (try_list(getenv("ASSAY_BIN_DIR"), program, out, cap) == 0)
		return 0;
	if (n > 0) {
		self[n] = '\0';

		char *slash = strrchr(self, '/');

		if (slash && try_in(self, (size_t)(slash - self), program, out, cap) == 0)
			return 0;
	}
	return try_list(getenv("PATH"), program, out, cap);
}

bool supervisor_arg(struct child *child, const char *arg)
{
	if (child->n_args >= SUPERVISOR_ARGS_MAX - 1 || strlen(arg) >= SUPERVISOR_ARG_MAX)
		return false;
	strcpy(child->args[child->n_args++], arg);
	return true;
}

struct child *supervisor_add(
	struct supervisor *s, const char *name, const char *program, const char *log_path)
{
	char path[SUPERVISOR_ARG_MAX];

	if (s->n == SUPERVISOR_CHILDREN_MAX || strlen(name) >= sizeof(s->children[0].name) ||
		strlen(log_path) >= SUPERVISOR_ARG_MAX ||
		supervisor_find(program, path, sizeof(path)) < 0)
		return NULL;

	struct child *child = &s->children[s->n++];

	*child = (struct child){ 0 };
	strcpy(child->name, name);
	strcpy(child->log_path, log_path);
	return supervisor_arg(child, path) ? child : NULL;
}

/* In the child: signals as they were, standard output into the pipe, standard error into the log.
 */
static void become(struct child *child, int out, pid_t parent)
{
	char *argv[SUPERVISOR_ARGS_MAX] = { NULL };
	sigset_t none;
	int log = open(child->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < child->n_args; i++)
		argv[i] = child->args[i];
	/* A parent that is killed takes its children along; one that died before this line is
	 * noticed. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent || log < 0 || null < 0 ||
		dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(log, 2) < 0)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Its own group: Ctrl-C reaches the supervisor alone, which then ends the children in
	 * order. */
	setpgid(0, 0);
	execv(argv[0], argv);
	_exit(127);
}

/* Reaps what has died; its pid becomes 0. */
static void reap(struct supervisor *s)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < s->n; i++)
			if (s->children[i].pid == pid)
				s->children[i].pid = 0;
}

/* Takes a pending signal, waiting at most ms. */
static void take_signal(struct supervisor *s, int ms)
{
	sigset_t set;
	struct timespec timeout = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS };

	ended_signals(&set);

	int signal_number = sigtimedwait(&set, NULL, &timeout);

	if (signal_number == SIGINT || signal_number == SIGTERM || signal_number == SIGHUP)
		s->interrupted = true;
	reap(s);
}

static int read_ready(struct supervisor *s, struct child *child, int fd)
{
	int64_t deadline = clock_mono_ns() + SUPERVISOR_READY_MS * NS_PER_MS;
	size_t n = 0;

	while (clock_mono_ns() < deadline && n < sizeof(child->ready) - 1) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		/* Short waits, since a signal that is blocked does not end poll(). */
		if (poll(&p, 1, 50) > 0) {
			ssize_t got = read(fd, child->ready + n, sizeof(child->ready) - 1 - n);

			if (got <= 0)
				return -ECHILD;
			n += (size_t)got;
			child->ready[n] = '\0';

			char *end = strchr(child->ready, '\n');

			if (end) {
				*end = '\0';
				return 0;
			}
		}
		take_signal(s, 0);
		if (s->interrupted)
			return -EINTR;
	}
	return -ETIMEDOUT;
}

int supervisor_start(struct supervisor *s, struct child *child)
{
	_cleanup_(closep) int in = -EBADF;
	_cleanup_(closep) int out = -EBADF;
	int fds[2];
	pid_t parent = getpid();

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	out = fds[1];
	child->ready[0] = '\0';
	child->pid = fork();
	if (child->pid < 0) {
		child->pid = 0;
		return -errno;
	}
	if (child->pid == 0)
		become(child, out, parent);
	child->started_ns = clock_mono_ns();
	closep(&out);
	out = -EBADF;
	return read_ready(s, child, in);
}

bool supervisor_wait(struct supervisor *s, int timeout_ms)
{
	take_signal(s, timeout_ms);
	if (s->interrupted)
		return false;
	for (size_t i = 0; i < s->n; i++) {
		struct child *child = &s->children[i];

		if (child->pid != 0 || clock_mono_ns() < child->started_ns + RESTART_PAUSE_NS)
			continue;
		if (child->restarts++ == RESTARTS_MAX) {
			fprintf(stderr, "assay: %s died %d times; see %s\n", child->name,
				RESTARTS_MAX, child->log_path);
			return false;
		}
		fprintf(stderr, "assay: %s died and is started again; see %s\n", child->name,
			child->log_path);
		if (supervisor_start(s, child) == -EINTR)
			return false;
	}
	return true;
}

void supervisor_stop(struct supervisor *s)
{
	for (size_t i = s->n; i-- > 0;) {
		struct child *child = &s->children[i];
		int64_t deadline = clock_mono_ns() + SUPERVISOR_STOP_MS * NS_PER_MS;

		if (child->pid == 0)
			continue;
		kill(child->pid, SIGTERM);
		while (child->pid != 0 && clock_mono_ns() < deadline)
			take_signal(s, 20);
		if (child->pid != 0) {
			kill(child->pid, SIGKILL);
			(void)waitpid(child->pid, NULL, 0); /* ignored: it is gone either way */
			child->pid = 0;
		}
	}
}

/*
 * A worker that has been taken over by its input: it does what the "picture" says. Built three
 * times: with every defence, with all but seccomp, and with none, so that the test can see what
 * each is for.
 */
#include "escrow/verify/lockdown.h"
#include "escrow/verify/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIB (1024ul * 1024 * 1024)

static struct jpeg_facts *answer;

/* What came of the attack, as an error text. */
static void say(bool worked)
{
	answer->outcome = JPEG_CORRUPT;
	if (worked)
		snprintf(answer->error, sizeof(answer->error), "it worked");
	else
		snprintf(
			answer->error, sizeof(answer->error), "failed: %s", strerrorname_np(errno));
}

static void attack_open(void)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	say(fd >= 0);
	if (fd >= 0)
		close(fd);
}

static void attack_mkdir(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/assay-hostile-%d", getpid());
	say(mkdir(path, 0700) == 0);
	rmdir(path);
}

static void attack_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	say(fd >= 0);
	if (fd >= 0)
		close(fd);
}

static void attack_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	say(pid > 0);
}

static void attack_exec(void)
{
	char *const argv[] = { NULL };

	execve("/bin/true", argv, argv);
	say(false);
}

static void attack_kill(void)
{
	say(kill(getppid(), 0) == 0);
}

static void attack_code(void)
{
	void *p = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	say(p != MAP_FAILED);
}

static void attack_unlimit(void)
{
	say(setrlimit(RLIMIT_AS, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }) == 0);
}

static void attack_memory(void)
{
	void *volatile p = malloc(2 * GIB);

	say(p != NULL);
	free(p);
}

static void attack_loop(void)
{
	for (volatile unsigned i = 0;; i++)
		;
}

static void attack_crash(void)
{
	__builtin_trap();
}

static void attack_exit(void)
{
	_exit(0);
}

static void attack_garbage(void)
{
	uint8_t bytes[WIRE_REPLY];

	memset(bytes, 0xff, sizeof(bytes));
	worker_send(bytes, sizeof(bytes));
	attack_exit();
}

static void attack_half(void)
{
	worker_send("half", 4);
	attack_exit();
}

/* A proper answer, and in the same breath one to the next picture. */
static void attack_early(void)
{
	uint8_t bytes[2 * WIRE_REPLY];
	struct jpeg_facts lie = {
		.outcome = JPEG_DECODED, .decodes = true, .width = 1, .height = 1, .n_components = 1
	};

	say(true);
	wire_put_reply(1, answer, bytes);
	wire_put_reply(2, &lie, bytes + WIRE_REPLY);
	worker_send(bytes, sizeof(bytes));
	attack_loop();
}

static void attack_lie_pixels(void)
{
	*answer = (struct jpeg_facts){ .outcome = JPEG_DECODED,
		.decodes = true,
		.width = 65535,
		.height = 65535,
		.n_components = 3 };
}

static void attack_lie_warnings(void)
{
	*answer = (struct jpeg_facts){ .outcome = JPEG_DECODED,
		.decodes = true,
		.width = 8,
		.height = 8,
		.n_components = 3,
		.n_warnings = 1 };
}

static void attack_lie_place(void)
{
	*answer = (struct jpeg_facts){ .outcome = JPEG_DECODED,
		.decodes = true,
		.width = 8,
		.height = 8,
		.n_components = 3,
		.has_position = true,
		.lat_e7 = 900000001 };
}

static void attack_lie_text(void)
{
	*answer = (struct jpeg_facts){ .outcome = JPEG_CORRUPT };
	snprintf(answer->error, sizeof(answer->error), "\033[2J spoofed\nlog=line");
}

static void attack_lie_timeout(void)
{
	*answer = (struct jpeg_facts){ .outcome = JPEG_TIMEOUT };
	snprintf(answer->error, sizeof(answer->error), "not mine to say");
}

static void attack_honest(void)
{
	*answer = (struct jpeg_facts){
		.outcome = JPEG_DECODED, .decodes = true, .width = 8, .height = 8, .n_components = 3
	};
}

static const struct {
	const char *name;
	void (*run)(void);
} attacks[] = {
	{ "open", attack_open },
	{ "mkdir", attack_mkdir },
	{ "socket", attack_socket },
	{ "fork", attack_fork },
	{ "exec", attack_exec },
	{ "kill", attack_kill },
	{ "code", attack_code },
	{ "unlimit", attack_unlimit },
	{ "memory", attack_memory },
	{ "loop", attack_loop },
	{ "crash", attack_crash },
	{ "exit", attack_exit },
	{ "garbage", attack_garbage },
	{ "half", attack_half },
	{ "early", attack_early },
	{ "lie-pixels", attack_lie_pixels },
	{ "lie-warnings", attack_lie_warnings },
	{ "lie-place", attack_lie_place },
	{ "lie-text", attack_lie_text },
	{ "lie-timeout", attack_lie_timeout },
	{ "honest", attack_honest },
};

static void obey(uint32_t sequence, struct span bytes, struct jpeg_facts *ret_facts)
{
	(void)sequence; /* ignored: worker_main() sends it */
	*ret_facts = (struct jpeg_facts){ .outcome = JPEG_CORRUPT };
	snprintf(ret_facts->error, sizeof(ret_facts->error), "no such attack");
	answer = ret_facts;
	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		if (span_is(bytes, attacks[i].name))
			attacks[i].run();
	}
}

int main(int argc, char **argv)
{
	worker_main(argc, argv, HOSTILE_LAYERS, obey);
}

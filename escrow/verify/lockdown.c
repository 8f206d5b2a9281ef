#include "escrow/verify/lockdown.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Landlock's constants (linux/landlock.h), since the headers of an older distribution lack the
 * newer ones while the kernel may have them.
 */
#define LANDLOCK_VERSION_FLAG 1u
#define LANDLOCK_FS_ABI1      ((UINT64_C(1) << 13) - 1) /* execute to make_sym */
#define LANDLOCK_FS_REFER     (UINT64_C(1) << 13) /* ABI 2 */
#define LANDLOCK_FS_TRUNCATE  (UINT64_C(1) << 14) /* ABI 3 */
#define LANDLOCK_FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define LANDLOCK_NET_TCP      UINT64_C(3) /* ABI 4: bind, connect */
#define LANDLOCK_SCOPES       UINT64_C(3) /* ABI 6: abstract sockets, signals */

struct landlock_attr {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

static bool landlock(void)
{
	struct landlock_attr attr = { .fs = LANDLOCK_FS_ABI1 };
	size_t size = sizeof(attr.fs);
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);

	if (abi < 1)
		return false;
	if (abi >= 2)
		attr.fs |= LANDLOCK_FS_REFER;
	if (abi >= 3)
		attr.fs |= LANDLOCK_FS_TRUNCATE;
	if (abi >= 4) {
		attr.net = LANDLOCK_NET_TCP;
		size = offsetof(struct landlock_attr, scoped);
	}
	if (abi >= 5)
		attr.fs |= LANDLOCK_FS_IOCTL_DEV;
	if (abi >= 6) {
		attr.scoped = LANDLOCK_SCOPES;
		size = sizeof(attr);
	}
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);

	if (fd < 0)
		return false;
	/* No rule is added: everything that is handled is denied. */
	bool up = syscall(SYS_landlock_restrict_self, fd, 0) == 0;

	close(fd);
	return up;
}

static int limit(__rlimit_resource_t what, rlim_t value)
{
	return setrlimit(what, &(struct rlimit){ value, value }) < 0 ? -errno : 0;
}

static int limits(void)
{
	static const struct {
		__rlimit_resource_t what;
		rlim_t value;
	} values[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_CPU, LOCKDOWN_CPU_S },
		{ RLIMIT_FSIZE, 0 },
		{ RLIMIT_MSGQUEUE, 0 },
		{ RLIMIT_NOFILE, 1 }, /* the socket that is open already */
		{ RLIMIT_NPROC, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		int r = limit(values[i].what, values[i].value);

		if (r < 0)
			return r;
	}
	return 0;
}

static int allow(scmp_filter_ctx filter, int keep_fd)
{
	static const int plain[] = {
		SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(munmap), SCMP_SYS(brk),
		SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(rt_sigreturn),
		SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime), SCMP_SYS(close),
#ifdef ASSAY_SANITIZED
		SCMP_SYS(sigaltstack), /* asked before each longjmp() */
#endif
	};
	static const int on_fd[] = { SCMP_SYS(read), SCMP_SYS(write) };
	static const int without_exec[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(plain) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, plain[i], 0);
	for (size_t i = 0; i < ARRAY_SIZE(on_fd) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, on_fd[i], 1,
			SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)keep_fd, 0));
	for (size_t i = 0; i < ARRAY_SIZE(without_exec) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, without_exec[i], 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return r;
}

static int filter_calls(int keep_fd)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!filter)
		return -ENOMEM;
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = allow(filter, keep_fd);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

int lockdown(pid_t parent, int keep_fd, unsigned layers, unsigned *ret_active)
{
	unsigned active = 0;
	int r;

	if (keep_fd != 0)
		return -EINVAL;
	if (close_range(1, ~0u, 0) < 0 || chdir("/") < 0)
		return -errno;
	/* As root without user namespaces, a network namespace alone is possible. */
	if ((layers & LOCKDOWN_NETWORK) &&
		(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 || unshare(CLONE_NEWNET) == 0))
		active |= LOCKDOWN_NETWORK;
	/* After unshare(), since a change of credentials clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (getppid() != parent)
		return -ESRCH;
	if ((layers & LOCKDOWN_LANDLOCK) && landlock())
		active |= LOCKDOWN_LANDLOCK;
	if (layers & LOCKDOWN_LIMITS) {
		r = limits();
		if (r < 0)
			return r;
		active |= LOCKDOWN_LIMITS;
	}
#ifndef ASSAY_SANITIZED
	if (layers & LOCKDOWN_MEMORY) {
		r = limit(RLIMIT_AS, LOCKDOWN_MEMORY_MAX);
		if (r < 0)
			return r;
		active |= LOCKDOWN_MEMORY;
	}
#endif
	if (layers & LOCKDOWN_SECCOMP) {
		r = filter_calls(keep_fd);
		if (r < 0)
			return r;
		active |= LOCKDOWN_SECCOMP;
	}
	*ret_active = active;
	return 0;
}

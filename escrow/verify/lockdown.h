#pragma once
/*
 * Takes away from a process everything that decoding does not need. Each layer is enough against
 * most attacks; seccomp is the one that must be there, the others depend on the kernel and are
 * reported.
 */
#include "proto/base/base.h"

#include <sys/types.h>

#define LOCKDOWN_MEMORY_MAX (512ul * 1024 * 1024) /* bytes of address space (RLIMIT_AS) */
#define LOCKDOWN_CPU_S      120 /* seconds of CPU in a worker's whole life */

enum lockdown_layer {
	LOCKDOWN_SECCOMP =
		1 << 0, /* an allow-list of system calls; anything else kills the process */
	LOCKDOWN_LANDLOCK = 1 << 1, /* no file, and with newer kernels no TCP, can be reached */
	LOCKDOWN_NETWORK = 1 << 2, /* a network namespace of its own, without any device up */
	LOCKDOWN_LIMITS = 1 << 3, /* memory, CPU, files, processes */
	LOCKDOWN_MEMORY = 1 << 4, /* RLIMIT_AS; not under sanitizers, which reserve terabytes */
	LOCKDOWN_ALL = (1 << 5) - 1,
};

/*
 * Closes every descriptor but keep_fd, which must be 0, and puts up the layers asked for. The
 * process gets SIGKILL when the thread that started it ends. ret_active: the layers that are up.
 * Returns 0 or a negative errno: then at least one of seccomp or the limits could not be put up, or
 * the parent is gone, and the process must end.
 */
_must_check_ int lockdown(pid_t parent, int keep_fd, unsigned layers, unsigned *ret_active);

#include "proto/os/signals.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void wanted(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
}

int signals_open(int *ret_fd)
{
	sigset_t set;
	int r, fd;

	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	wanted(&set);
	r = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (r != 0)
		return -r;
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int signals_read(int fd, int *ret_signal)
{
	struct signalfd_siginfo info;
	ssize_t n;

	do {
		n = read(fd, &info, sizeof(info));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n != sizeof(info))
		return -EIO;
	*ret_signal = (int)info.ssi_signo;
	return 0;
}

int signals_unblock(void)
{
	sigset_t set;

	wanted(&set);
	if (signal(SIGPIPE, SIG_DFL) == SIG_ERR)
		return -errno;
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

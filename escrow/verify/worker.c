#include "escrow/verify/worker.h"

#include "escrow/verify/lockdown.h"

#include <stdlib.h>
#include <unistd.h>

/* False where the other end closed before the first byte. In the middle that ends the process. */
static bool receive(uint8_t *bytes, size_t n)
{
	size_t at = 0;

	while (at < n) {
		ssize_t got = read(WIRE_FD, bytes + at, n - at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 && at == 0)
			return false;
		if (got <= 0)
			_exit(EXIT_FAILURE);
		at += (size_t)got;
	}
	return true;
}

void worker_send(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n > 0) {
		ssize_t put = write(WIRE_FD, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			_exit(EXIT_FAILURE);
		p += put;
		n -= (size_t)put;
	}
}

static void send_hello(unsigned defences, int error)
{
	uint8_t hello[WIRE_HELLO];

	wire_put_hello(
		&(struct wire_hello){ .defences = (uint16_t)defences, .error = (uint16_t)error },
		hello);
	worker_send(hello, sizeof(hello));
}

static void serve_one(const struct wire_request *request, uint8_t *picture, worker_decode *decode)
{
	uint8_t reply[WIRE_REPLY];
	struct jpeg_facts facts;

	if (request->length > 0 && !receive(picture, request->length))
		_exit(EXIT_FAILURE);
	decode(request->sequence, SPAN(picture, request->length), &facts);
	wire_put_reply(request->sequence, &facts, reply);
	worker_send(reply, sizeof(reply));
}

_Noreturn void worker_main(int argc, char **argv, unsigned layers, worker_decode *decode)
{
	uint8_t *picture = malloc(JPEG_BYTES_MAX);
	uint8_t header[WIRE_REQUEST];
	struct wire_request request;
	unsigned defences = 0;
	char *end = NULL;
	long parent = argc == 2 ? strtol(argv[1], &end, 10) : 0;

	if (parent <= 0 || *end != 0)
		_exit(EXIT_FAILURE);
	if (!picture || !jpeg_warm_up()) {
		send_hello(0, ENOMEM);
		_exit(EXIT_FAILURE);
	}
	int r = lockdown((pid_t)parent, WIRE_FD, layers, &defences);

	if (r < 0) {
		send_hello(0, -r);
		_exit(EXIT_FAILURE);
	}
	send_hello(defences, 0);
	while (receive(header, sizeof(header))) {
		if (!wire_get_request(header, &request))
			_exit(EXIT_FAILURE);
		serve_one(&request, picture, decode);
	}
	/* _exit(), since handlers at exit would make system calls that are not allowed any more. */
	_exit(EXIT_SUCCESS);
}

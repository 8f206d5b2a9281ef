/* assay-decoder: the worker that sandbox.h starts; of no use by hand. */
#include "escrow/verify/lockdown.h"
#include "escrow/verify/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void decode(uint32_t sequence, struct span bytes, struct jpeg_facts *ret_facts)
{
	(void)sequence; /* ignored: the reply carries it */
	jpeg_decode(bytes, ret_facts);
}

int main(int argc, char **argv)
{
	int type;

	if (getsockopt(WIRE_FD, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){ sizeof(type) }) < 0) {
		fputs("assay-decoder is started by the verifier and does nothing by itself.\n",
			stderr);
		return EXIT_FAILURE;
	}
	worker_main(argc, argv, LOCKDOWN_ALL, decode);
}

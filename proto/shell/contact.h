#pragma once
/*
 * What one must know of a server to dial it, as a small JSON file that may be public:
 *
 *	{"did": "did:key:z6Mk...", "curve_key": "HEX", "encryption_key": "HEX",
 *	 "endpoint": "tcp://192.0.2.1:7411"}
 */
#include "proto/shell/identity.h"

#define CONTACT_FILE_MAX 4096 /* bytes */

struct contact {
	struct did did;
	struct net_key curve_key;
	uint8_t encryption_key[32];
	char endpoint[NET_ENDPOINT_MAX];
};

/* The contact of a server of our own. -EINVAL where the endpoint is empty or too long. */
_must_check_ int contact_of(
	const struct identity *identity, const char *endpoint, struct contact *ret_contact);
/* Writes the file durably, mode 0644. 0 or a negative errno. */
_must_check_ int contact_write(const char *path, const struct contact *contact);
/*
 * Reads one: exactly the four keys, each once, and "tcp://" in front of the endpoint. -EBADMSG for
 * anything else, -EFBIG, or another negative errno.
 */
_must_check_ int contact_read(const char *path, struct contact *ret_contact);
/* The same from memory. 0 or -EBADMSG. */
_must_check_ int contact_parse(struct span json, struct contact *ret_contact);

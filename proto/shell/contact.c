#include "proto/shell/contact.h"

#include "proto/base/text.h"
#include "proto/os/file.h"

#include <jansson.h>

#define SCHEME "tcp://"

static void json_freep(json_t **json)
{
	json_decref(*json);
}

static bool endpoint_valid(const char *endpoint)
{
	size_t n = strlen(endpoint);

	return n > strlen(SCHEME) && n < NET_ENDPOINT_MAX &&
	       strncmp(endpoint, SCHEME, strlen(SCHEME)) == 0;
}

int contact_of(const struct identity *identity, const char *endpoint, struct contact *ret_contact)
{
	struct contact contact = { .did = identity->did, .curve_key = identity->curve.public_key };

	if (!endpoint_valid(endpoint))
		return -EINVAL;
	memcpy(contact.encryption_key, identity->encryption_public, sizeof(contact.encryption_key));
	memcpy(contact.endpoint, endpoint, strlen(endpoint) + 1);
	*ret_contact = contact;
	return 0;
}

int contact_write(const char *path, const struct contact *contact)
{
	char did[DID_TEXT_MAX], curve[65], encryption[65];
	_cleanup_(json_freep) json_t *json = NULL;
	_cleanup_(freep) char *text = NULL;

	hex_encode(contact->curve_key.b, 32, curve);
	hex_encode(contact->encryption_key, 32, encryption);
	json = json_pack("{s:s, s:s, s:s, s:s}", "did", did_text(&contact->did, did), "curve_key",
		curve, "encryption_key", encryption, "endpoint", contact->endpoint);
	if (!json)
		return -ENOMEM;
	text = json_dumps(json, JSON_INDENT(2));
	if (!text)
		return -ENOMEM;

	/* A file of lines: the closing NUL becomes its line feed. */
	size_t n = strlen(text);

	text[n] = '\n';
	return file_write_durable(path, SPAN(text, n + 1), 0644);
}

int contact_parse(struct span bytes, struct contact *ret_contact)
{
	const char *did, *curve, *encryption, *endpoint;
	_cleanup_(json_freep) json_t *json = NULL;
	struct contact contact = { 0 };

	json = json_loadb((const char *)bytes.p, bytes.n, JSON_REJECT_DUPLICATES, NULL);
	if (!json || json_unpack(json, "{s:s, s:s, s:s, s:s !}", "did", &did, "curve_key", &curve,
			     "encryption_key", &encryption, "endpoint", &endpoint) < 0)
		return -EBADMSG;
	if (did_parse(SPAN_STR(did), &contact.did) < 0 ||
		hex_decode(SPAN_STR(curve), contact.curve_key.b, 32) < 0 ||
		hex_decode(SPAN_STR(encryption), contact.encryption_key, 32) < 0 ||
		!endpoint_valid(endpoint))
		return -EBADMSG;
	memcpy(contact.endpoint, endpoint, strlen(endpoint) + 1);
	*ret_contact = contact;
	return 0;
}

int contact_read(const char *path, struct contact *ret_contact)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t n;
	int r = file_read(path, CONTACT_FILE_MAX, &bytes, &n);

	return r < 0 ? r : contact_parse(SPAN(bytes, n), ret_contact);
}

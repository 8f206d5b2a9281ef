#include "tests/fuzz/fuzz.h"

#include "buyer-sdk/src/market.h"
#include "proto/base/text.h"

#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

static void promise_contact(const struct contact *contact)
{
	char did[DID_TEXT_MAX], curve[65], encryption[65];
	struct contact again;

	FUZZ_PROMISE(strnlen(contact->endpoint, NET_ENDPOINT_MAX) < NET_ENDPOINT_MAX);
	FUZZ_PROMISE(strncmp(contact->endpoint, "tcp://", 6) == 0 && contact->endpoint[6]);
	hex_encode(contact->curve_key.b, 32, curve);
	hex_encode(contact->encryption_key, 32, encryption);

	json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "endpoint", contact->endpoint,
		"encryption_key", encryption, "curve_key", curve, "did",
		did_text(&contact->did, did));
	char *text = json ? json_dumps(json, 0) : NULL;

	FUZZ_PROMISE(text && contact_parse(SPAN_STR(text), &again) == 0);
	FUZZ_PROMISE(did_eq(&again.did, &contact->did));
	FUZZ_PROMISE(memcmp(&again.curve_key, &contact->curve_key, sizeof(again.curve_key)) == 0);
	FUZZ_PROMISE(memcmp(again.encryption_key, contact->encryption_key, 32) == 0);
	FUZZ_PROMISE(strcmp(again.endpoint, contact->endpoint) == 0);
	free(text);
	json_decref(json);
}

/* market_read() takes a path: a file in memory has one. */
static int read_market(struct span input, struct market *ret_market)
{
	static int fd = -1;
	char path[64];

	if (fd < 0)
		fd = memfd_create("market", MFD_CLOEXEC);
	FUZZ_PROMISE(fd >= 0 && ftruncate(fd, 0) == 0);
	FUZZ_PROMISE(pwrite(fd, input.p, input.n, 0) == (ssize_t)input.n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return market_read(path, ret_market);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct market market;
	struct contact contact;
	int r = contact_parse(SPAN(data, n), &contact);

	FUZZ_PROMISE(r == 0 || r == -EBADMSG);
	if (r == 0)
		promise_contact(&contact);

	int m = read_market(SPAN(data, n), &market);

	/* An empty file of a kind that /proc has is read as far as it goes: nothing. */
	FUZZ_PROMISE(m == 0 || m == -EBADMSG || (m == -EFBIG && n > MARKET_FILE_MAX));
	if (m < 0)
		return 0;
	FUZZ_PROMISE(r < 0); /* nothing is both */
	FUZZ_PROMISE(
		*market.name && strnlen(market.name, sizeof(market.name)) < sizeof(market.name));
	FUZZ_PROMISE(*market.asset &&
		     strnlen(market.asset, sizeof(market.asset)) < sizeof(market.asset));
	FUZZ_PROMISE(market.n_verifiers >= 1 && market.n_verifiers <= POOL_MAX);
	promise_contact(&market.broker);
	promise_contact(&market.escrow);
	return 0;
}

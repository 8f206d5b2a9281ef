#include "proto/base/text.h"
#include "proto/net/net_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* A request's frames (RFC 27): version, request id, domain, address, identity, mechanism,
 * credentials. */
#define ZAP_FRAMES    7
#define ZAP_FRAME_MAX 255

struct request {
	uint8_t frames[ZAP_FRAMES][ZAP_FRAME_MAX];
	size_t sizes[ZAP_FRAMES];
	bool malformed;
};

enum zap_frame {
	ZAP_VERSION,
	ZAP_REQUEST_ID,
	ZAP_DOMAIN,
	ZAP_ADDRESS,
	ZAP_IDENTITY,
	ZAP_MECHANISM,
	ZAP_KEY,
};

static struct span frame(const struct request *q, enum zap_frame i)
{
	return SPAN(q->frames[i], q->sizes[i]);
}

/* Reads all frames of one request; what is too much or too long is passed over and noted. */
static int receive(void *zap, struct request *q)
{
	for (size_t i = 0;; i++) {
		uint8_t scratch[ZAP_FRAME_MAX];
		int more = 0, n = zmq_recv(zap, i < ZAP_FRAMES ? q->frames[i] : scratch,
				      ZAP_FRAME_MAX, ZMQ_DONTWAIT);
		size_t size = sizeof(more);

		if (n < 0)
			return -errno;
		if (n > ZAP_FRAME_MAX || i >= ZAP_FRAMES)
			q->malformed = true;
		else
			q->sizes[i] = (size_t)n;
		if (zmq_getsockopt(zap, ZMQ_RCVMORE, &more, &size) < 0)
			return -errno;
		if (!more) {
			q->malformed |= i + 1 != ZAP_FRAMES;
			return 0;
		}
	}
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct net_key));
}

/* How many peers there can be at most. */
static size_t estimate(struct net_policy *policy, int64_t now_ns)
{
	while (now_ns - policy->period_at_ns > NET_HANDSHAKE_MS * NS_PER_MS) {
		policy->recent[1] = policy->recent[0];
		policy->recent[0] = 0;
		if (now_ns - policy->period_at_ns > 4 * NET_HANDSHAKE_MS * NS_PER_MS)
			policy->period_at_ns = now_ns;
		else
			policy->period_at_ns += NET_HANDSHAKE_MS * NS_PER_MS;
	}
	return policy->settled + policy->recent[0] + policy->recent[1];
}

/* The status for a well-formed request, under the lock. */
static const char *decide(struct net *net, const struct request *q, int64_t now_ns)
{
	struct span domain = frame(q, ZAP_DOMAIN);
	struct net_policy *policy = NULL;

	for (size_t i = 0; i < NET_SLOTS_MAX; i++) {
		char name[32];

		snprintf(name, sizeof(name), NET_DOMAIN "%zu", i);
		if (net->slots[i].used && !net->slots[i].client && span_is(domain, name))
			policy = &net->slots[i].policy;
	}
	if (!policy)
		return "400";
	if (policy->listed && !bsearch(q->frames[ZAP_KEY], policy->keys, policy->n_keys,
				      sizeof(struct net_key), compare_keys))
		return "400";
	if (estimate(policy, now_ns) >= policy->peers_max)
		return "400";
	policy->recent[0]++;
	return "200";
}

static int reply(void *zap, const struct request *q, const char *status, const char *user)
{
	const struct span parts[] = {
		SPAN_STR("1.0"),
		frame(q, ZAP_REQUEST_ID),
		SPAN_STR(status),
		SPAN_STR(strcmp(status, "200") == 0 ? "OK" : "refused"),
		SPAN_STR(user),
		SPAN("", 0),
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (zmq_send(zap, parts[i].p, parts[i].n,
			    ZMQ_DONTWAIT | (i + 1 < ARRAY_SIZE(parts) ? ZMQ_SNDMORE : 0)) < 0)
			return -errno;
	return 0;
}

int net_zap_answer(struct net *net, void *zap, int64_t now_ns)
{
	char user[2 * sizeof(struct net_key) + 1] = "";
	struct request q = { .malformed = false };
	const char *status = "500";
	int r;

	r = receive(zap, &q);
	if (r < 0)
		return r;
	if (!q.malformed && span_is(frame(&q, ZAP_VERSION), "1.0") &&
		span_is(frame(&q, ZAP_MECHANISM), "CURVE") &&
		q.sizes[ZAP_KEY] == sizeof(struct net_key)) {
		pthread_mutex_lock(&net->lock);
		status = decide(net, &q, now_ns);
		pthread_mutex_unlock(&net->lock);
	}
	if (strcmp(status, "200") == 0) {
		hex_encode(q.frames[ZAP_KEY], sizeof(struct net_key), user);
		atomic_fetch_add(&net->admitted, 1);
	} else {
		atomic_fetch_add(&net->refused, 1);
	}
	return reply(zap, &q, status, user);
}

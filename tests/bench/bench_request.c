/*
 * Whole requests, from posting to a settled and opened bundle: a small measurement, bought through
 * the SDK's core from one node, with broker, escrow and one verifier as processes of their own. One
 * at a time, with 32 and with 128 in flight, alternating with the raw limits of the same path; and
 * what a request really costs in messages, commits, signatures, verifications and wraps, beside the
 * budget.
 *
 *	./dev bench request [--json]
 */
#include "buyer-sdk/src/handle.h"
#include "proto/cose/cose.h"
#include "proto/os/clock.h"
#include "proto/os/entropy.h"
#include "proto/seal/seal.h"
#include "tests/bench/figures.h"
#include "tests/bench/market.h"
#include "tests/bench/raw.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ROUNDS        5
#define WARM_UP       64
#define ONE_AT_A_TIME 60
#define AT_32         480
#define AT_128        1024
#define FLIGHT_MAX    128
#define DEPOSIT       INT64_C(100000000000) /* micros */
#define PRICE         20000
#define T_MS          30000 /* for each step */
#define STALLED_MS    30000 /* without any news the bench gives up */

/* A request on its way. */
struct flight {
	struct ticket *ticket; /* NULL: none */
	double began;
};

/* Counters of all processes together, those of the path apart. */
struct counts {
	double path; /* messages of the path that arrived */
	double messages;
	double awaited; /* commits for which something waited */
	double commits;
	double signatures;
	double verifications;
	double wraps;
	double bytes;
	double batches;
	/* The last is the buyer's. */
	double cpu[MARKET_DAEMONS + 1]; /* microseconds */
	double verified[MARKET_DAEMONS + 1];
};

static struct market_bench market;
static assay_t *buyer;

static const struct {
	enum market_daemon at;
	enum message_type type;
} path[] = {
	{ MARKET_BROKER, MESSAGE_REQUEST }, { MARKET_ESCROW, MESSAGE_FUND },
	{ MARKET_BROKER, MESSAGE_FUNDED }, { MARKET_NODE, MESSAGE_ASSIGN },
	{ MARKET_BROKER, MESSAGE_EVIDENCE }, { MARKET_ESCROW, MESSAGE_SUBMISSION },
	{ MARKET_VERIFIER, MESSAGE_DRAW }, { MARKET_ESCROW, MESSAGE_VERDICT },
	{ MARKET_BROKER, MESSAGE_OUTCOME }, { MARKET_DAEMONS, MESSAGE_BUNDLE }, /* at the buyer */
};

static void fill_request(struct request *r, int64_t now_ns)
{
	*r = (struct request){
		.kind = SPAN_STR(KIND_VOLTAGE_DC),
		.parameters = { .present = true,
			.unit = SPAN_STR("V"),
			.high = 1000,
			.exponent = -1 },
		.area = { .present = true,
			.lat_e7 = MARKET_LAT_E7,
			.lon_e7 = MARKET_LON_E7,
			.radius_m = 500 },
		.sources = SOURCE_LIVE | SOURCE_REPLAY | SOURCE_SYNTHETIC,
		.slots = 1,
		.asset = SPAN_STR("XTS"),
		.price_micros = PRICE,
		.fee_ppm = 20000,
		.verifier_ppm = 30000,
		.attempts = 1,
		.n_pool = buyer->market.n_verifiers,
		.panel_n = 1,
		.panel_k = 1,
		.t_fund_ms = T_MS,
		.t_open_ms = T_MS,
		.t_commit_ms = T_MS,
		.t_deliver_ms = T_MS,
		.t_verify_ms = T_MS,
		.t_arbitrate_ms = T_MS,
		.on_silence = SILENCE_REFUND,
		.encryption_key = SPAN_OF(buyer->identity.encryption_public),
	};
	memcpy(r->pool, buyer->market.verifiers, sizeof(r->pool));
	r->max_total_micros = 2 * PRICE;
	r->c.expires_ns = now_ns + 10 * T_MS * NS_PER_MS;

	static const char *const checks[] = { CHECK_DECODES, CHECK_PLACE, CHECK_UNIT_RANGE };

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		r->checks[r->n_checks++] = (struct check){ .present = true,
			.id = SPAN_STR(checks[i]),
			.check_version = 1,
			.binding = true };
	r->checks[r->n_checks - 1].parameters = r->parameters;
}

static void post(struct flight *flight)
{
	static struct buyer_call call;
	static struct request request;
	struct buf out = buf_over(call.statement, sizeof(call.statement));
	const char *field = NULL;
	uint8_t random[16];
	int64_t now_ns = clock_now_ns();

	flight->began = figures_clock_s();
	fill_request(&request, now_ns);
	entropy_fill(random, sizeof(random));

	enum refusal refusal = buyer_sign_request(
		&buyer->config, random, now_ns, &request, &out, &call.request, &field);

	if (refusal != REFUSED_NOT)
		market_die("the request is not right: %s %s", refusal_name(refusal),
			field ? field : "");
	call.n_statement = out.n;

	uint64_t number = handle_call(buyer, BUYER_CALL_POST, &call, &call.request);

	pthread_mutex_lock(&buyer->lock);
	flight->ticket = handle_ticket(buyer, number);
	pthread_mutex_unlock(&buyer->lock);
	if (!flight->ticket)
		market_die("the SDK takes no more requests");
}

/* Whether it has ended; it must have been served. */
static bool ended(struct flight *flight, double *ret_us)
{
	struct buyer_result *latest = &flight->ticket->latest;
	bool done;

	pthread_mutex_lock(&buyer->lock);
	done = flight->ticket->have && latest->ended;
	if (done && (latest->kind != BUYER_BUNDLE || latest->state != SLOT_SETTLED))
		market_die("a request was not served: %s, %s %s", slot_state_name(latest->state),
			refusal_name(latest->code), latest->field);
	if (done)
		handle_release(flight->ticket);
	pthread_mutex_unlock(&buyer->lock);
	if (!done)
		return false;
	*ret_us = (figures_clock_s() - flight->began) * 1e6;
	flight->ticket = NULL;
	return true;
}

static void wait_for_news(void)
{
	struct pollfd p = { .fd = buyer->event_fd, .events = POLLIN };
	eventfd_t unused;

	if (poll(&p, 1, STALLED_MS) <= 0)
		market_die("nothing happened for %d s", STALLED_MS / 1000);
	if (eventfd_read(buyer->event_fd, &unused) < 0 && errno != EAGAIN)
		market_die("eventfd: %s", strerror(errno));
	if (!supervisor_wait(&market.supervisor, 0))
		market_die("interrupted");
}

/* n requests, at most in_flight at a time. Returns how many a second. */
static double run(size_t n, size_t in_flight, double *ret_us)
{
	struct flight flights[FLIGHT_MAX] = { 0 };
	double began = figures_clock_s();
	size_t posted = 0;
	size_t done = 0;

	for (;;) {
		for (size_t i = 0; i < in_flight; i++) {
			if (flights[i].ticket && ended(&flights[i], &ret_us[done]))
				done++;
			if (!flights[i].ticket && posted < n) {
				post(&flights[i]);
				posted++;
			}
		}
		if (done == n)
			return (double)n / (figures_clock_s() - began);
		wait_for_news();
	}
}

/* User and system time of a process in microseconds. */
static double cpu_us(pid_t pid)
{
	char name[64];
	unsigned long long user = 0;
	unsigned long long system = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	f = fopen(name, "re");
	if (!f || fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
			  &user, &system) != 2)
		market_die("%s cannot be read", name);
	fclose(f);
	return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static void count_path(struct counts *c, enum market_daemon at, const uint64_t *received)
{
	for (size_t i = 0; i < ARRAY_SIZE(path); i++)
		if (path[i].at == at)
			c->path += (double)received[path[i].type];
	/* A payload that does not travel along is fetched, which takes messages of its own. */
	c->path += (double)(received[MESSAGE_FETCH] + received[MESSAGE_CHUNK]);
}

static struct counts count(void)
{
	struct counts c = { 0 };
	struct shell_counts shell = shell_counts(buyer->shell);
	struct cose_counts cose = cose_counts();

	for (int i = 0; i < MARKET_DAEMONS; i++) {
		struct market_stats s = market_stats(&market, (enum market_daemon)i);

		count_path(&c, (enum market_daemon)i, s.received_types);
		c.messages += (double)s.sent;
		c.awaited += (double)s.commits_awaited;
		c.commits += (double)s.commits;
		c.signatures += (double)s.signatures;
		c.verified[i] = (double)s.verifications;
		c.verifications += (double)s.verifications;
		c.wraps += (double)s.wraps;
		c.bytes += (double)s.sent_bytes;
		c.batches += (double)s.batches;
		c.cpu[i] = cpu_us(market.pids[i]);
	}
	count_path(&c, MARKET_DAEMONS, shell.received_types);
	c.messages += (double)shell.sent;
	c.signatures += (double)cose.signatures;
	c.verified[MARKET_DAEMONS] = (double)cose.verifications;
	c.verifications += (double)cose.verifications;
	c.wraps += (double)seal_counts().wraps;
	c.bytes += (double)net_counts(buyer->net).sent_bytes;
	c.cpu[MARKET_DAEMONS] = cpu_us(getpid());
	return c;
}

/* What one of n requests took of each. */
static struct counts per_request(const struct counts *before, size_t n)
{
	struct counts c = count();
	double *now = (double *)&c;
	const double *then = (const double *)before;

	for (size_t i = 0; i < sizeof(c) / sizeof(double); i++)
		now[i] = (now[i] - then[i]) / (double)n;
	return c;
}

/* One sample of everything for each round. */
struct rounds {
	double hop[ROUNDS], commit[ROUNDS], sign[ROUNDS], verify[ROUNDS], wrap[ROUNDS];
	double reading[ROUNDS];
	double budget[ROUNDS];
	double crypto[ROUNDS];
	double p50[ROUNDS], p99[ROUNDS];
	double rate32[ROUNDS], rate128[ROUNDS];
	double p50_128[ROUNDS];
	struct counts one[ROUNDS]; /* one at a time */
	struct counts many[ROUNDS]; /* with 128 in flight */
};

static int order(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double quantile(double *values, size_t n, double q)
{
	qsort(values, n, sizeof(*values), order);
	return values[MIN((size_t)((double)n * q), n - 1)];
}

static void round_of(struct rounds *r, size_t i)
{
	static double took[AT_128];
	struct raw_costs raw = raw_measure();
	struct counts before;

	r->hop[i] = raw.hop;
	r->commit[i] = raw.commit;
	r->sign[i] = raw.sign;
	r->verify[i] = raw.verify;
	r->wrap[i] = raw.wrap;
	r->reading[i] = raw.reading;
	r->budget[i] = raw_budget(&raw);
	before = count();
	run(ONE_AT_A_TIME, 1, took);
	r->one[i] = per_request(&before, ONE_AT_A_TIME);
	r->p50[i] = quantile(took, ONE_AT_A_TIME, 0.5);
	r->p99[i] = quantile(took, ONE_AT_A_TIME, 0.99);
	r->rate32[i] = run(AT_32, 32, took);
	r->crypto[i] = raw_crypto_rate();
	before = count();
	r->rate128[i] = run(AT_128, FLIGHT_MAX, took);
	r->many[i] = per_request(&before, AT_128);
	r->p50_128[i] = quantile(took, AT_128, 0.5);
}

/* One member of each round's counts, by its offset. */
static void add_count(struct figures *f, const char *name, const char *unit,
	const struct counts rounds[ROUNDS], size_t offset, double target)
{
	double samples[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		/* To a hundredth: heartbeats fall into some rounds and not into others. */
		memcpy(&samples[i], (const char *)&rounds[i] + offset, sizeof(double));
		samples[i] = round(samples[i] * 100) / 100;
	}
	figures_add(f, name, unit, FIGURES_LOWER, samples, ROUNDS, target);
}

static void add_counts(struct figures *f, const struct rounds *r)
{
	static const char *const cpu[MARKET_DAEMONS + 1] = { "CPU of the escrow, 128 in flight",
		"CPU of the broker", "CPU of the verifier", "CPU of the node", "CPU of the buyer" };
	static const char *const verified[MARKET_DAEMONS + 1] = { "verifications by the escrow",
		"verifications by the broker", "verifications by the verifier",
		"verifications by the node", "verifications by the buyer" };
	/* A heartbeat or two in a round are no messages of a request's. */
	const double slack = 0.05;
	const struct {
		const char *name;
		size_t offset;
		double target;
	} all[] = {
		{ "hops on the path", offsetof(struct counts, path), BUDGET_HOPS },
		{ "messages in all", offsetof(struct counts, messages), NAN },
		{ "commits that something waits for", offsetof(struct counts, awaited),
			BUDGET_COMMITS },
		{ "commits in all", offsetof(struct counts, commits), NAN },
		{ "signatures", offsetof(struct counts, signatures), BUDGET_SIGNS },
		{ "verifications", offsetof(struct counts, verifications), BUDGET_VERIFIES },
		{ "key wraps", offsetof(struct counts, wraps), BUDGET_WRAPS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		add_count(
			f, all[i].name, "a request", r->one, all[i].offset, all[i].target + slack);
	for (size_t i = 0; i <= MARKET_DAEMONS; i++)
		add_count(f, verified[i], "a request", r->one,
			offsetof(struct counts, verified) + i * sizeof(double), NAN);
	add_count(f, "bytes sent", "bytes", r->one, offsetof(struct counts, bytes), NAN);
	add_count(f, "commits in all, 128 in flight", "a request", r->many,
		offsetof(struct counts, commits), NAN);
	for (size_t i = 0; i <= MARKET_DAEMONS; i++)
		add_count(f, cpu[i], "us a request", r->many,
			offsetof(struct counts, cpu) + i * sizeof(double), NAN);
}

static void print(const struct rounds *r, bool json)
{
	struct figures *f = figures_new("request");
	const struct {
		const char *name;
		const double *samples;
	} raws[] = {
		{ "raw: one CURVE hop", r->hop },
		{ "raw: write+fdatasync", r->commit },
		{ "raw: sign", r->sign },
		{ "raw: verify", r->verify },
		{ "raw: wrap", r->wrap },
		{ "raw: one SCPI reading (the device)", r->reading },
	};

	figures_add(f, "one at a time, p50", "us", FIGURES_LOWER, r->p50, ROUNDS, 1 / 1.5);
	figures_beside(f, "raw cost of the budget and a reading", r->budget, ROUNDS);
	figures_add(f, "one at a time, p99", "us", FIGURES_LOWER, r->p99, ROUNDS, NAN);
	figures_add(f, "32 in flight", "requests/s", FIGURES_HIGHER, r->rate32, ROUNDS, NAN);
	figures_beside(f, "the budget's crypto on all cores", r->crypto, ROUNDS);
	figures_add(f, "128 in flight", "requests/s", FIGURES_HIGHER, r->rate128, ROUNDS, 0.35);
	figures_beside(f, "the budget's crypto on all cores", r->crypto, ROUNDS);
	figures_add(f, "128 in flight, p50", "us", FIGURES_LOWER, r->p50_128, ROUNDS, NAN);
	add_counts(f, r);
	for (size_t i = 0; i < ARRAY_SIZE(raws); i++)
		figures_add(f, raws[i].name, "us", FIGURES_LOWER, raws[i].samples, ROUNDS, NAN);
	figures_print(f, json);
	f = figures_free(f);
}

static void open_buyer(void)
{
	assay_options_t options = ASSAY_OPTIONS_INIT;
	char keys[MARKET_FILE_LEN];

	snprintf(keys, sizeof(keys), "%s/buyer/keys", market.dir);
	options.dir = market.dir;
	options.keys_dir = keys;
	if (assay_open(&options, &buyer) != ASSAY_OK)
		market_die("%s", assay_error(NULL));
	if (assay_deposit(buyer, "XTS", DEPOSIT, NULL) != ASSAY_OK)
		market_die("%s", assay_error(buyer));
}

/* Requests until one is served: the node's offering is on its way. */
static void warm_up(void)
{
	static double took[WARM_UP];

	run(1, 1, took);
	run(WARM_UP, 8, took);
}

int main(int argc, char **argv)
{
	static struct rounds rounds;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		puts("bench-request [--json]: whole requests beside the raw limits of their path.\n"
		     "Repeat with: ./dev bench request [--json]");
		return 0;
	}
	market_begin(&market);
	raw_begin();
	market_start(&market);
	market_start_node(&market);
	raw_open(market.dir, market.instrument);
	open_buyer();
	warm_up();
	for (size_t i = 0; i < ROUNDS; i++)
		round_of(&rounds, i);
	assay_close(buyer);
	raw_end();
	market_end(&market);
	print(&rounds, figures_json(argc, argv));
	return 0;
}

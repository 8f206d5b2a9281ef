#include "sensor-node/capture.h"
#include "sensor-node/sealing.h"

#include "proto/base/sha256.h"
#include "proto/os/clock.h"
#include "proto/os/logline.h"
#include "sensor-node/media/jpeg.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define HOUR_NS (3600 * NS_PER_S)

static char folder[] = "/tmp/assay-capture-XXXXXX";
static struct blob_store *blobs;

/* Results, in the order in which they came. */
struct results {
	pthread_mutex_t lock;
	pthread_cond_t more;
	size_t n;
	struct {
		uint64_t ticket;
		int kind;
		int status;
		bool full;
		struct capture_result result;
	} v[CAPTURE_QUEUE_MAX + 4];
};

static struct results got;

static void done(void *ctx, uint64_t ticket, int kind, int status, const void *detail, size_t size)
{
	struct results *r = ctx;

	pthread_mutex_lock(&r->lock);
	assert_true(r->n < ARRAY_SIZE(r->v));
	r->v[r->n].ticket = ticket;
	r->v[r->n].kind = kind;
	r->v[r->n].status = status;
	r->v[r->n].full = detail != NULL;
	if (detail) {
		assert_int_equal(size, sizeof(struct capture_result));
		memcpy(&r->v[r->n].result, detail, size);
	}
	r->n++;
	pthread_cond_signal(&r->more);
	pthread_mutex_unlock(&r->lock);
}

static void wait_for(size_t n)
{
	pthread_mutex_lock(&got.lock);
	while (got.n < n)
		pthread_cond_wait(&got.more, &got.lock);
	pthread_mutex_unlock(&got.lock);
}

/* A voltmeter that serves one client after another until its listener is shut down. */
struct meter {
	int listener;
	uint16_t port;
	const char *idn;
	const char *reply; /* NULL: none, the connection stays open */
	pthread_t thread;
};

static void meter_say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return; /* the client left, which its own result tells */
}

static void *meter_run(void *user)
{
	struct meter *m = user;
	int client;

	while ((client = accept(m->listener, NULL, NULL)) >= 0) {
		FILE *in = fdopen(client, "r");
		char line[128];

		while (fgets(line, sizeof(line), in)) {
			if (strncmp(line, "*IDN?", 5) == 0)
				meter_say(client, m->idn);
			else if (strncmp(line, "SYST:ERR?", 9) == 0)
				meter_say(client, "0,\"No error\"\n");
			else if (strncmp(line, "MEAS", 4) == 0 && m->reply)
				meter_say(client, m->reply);
		}
		fclose(in);
	}
	return NULL;
}

static void meter_start(struct meter *m)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	m->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(m->listener >= 0);
	assert_int_equal(bind(m->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(m->listener, 4), 0);
	assert_int_equal(getsockname(m->listener, (struct sockaddr *)&address, &size), 0);
	m->port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&m->thread, NULL, meter_run, m), 0);
}

static void meter_stop(struct meter *m)
{
	shutdown(m->listener, SHUT_RDWR);
	pthread_join(m->thread, NULL);
	close(m->listener);
}

static struct capture_options options_of(struct camera *camera, const struct meter *meter)
{
	struct capture_options o = { .camera = camera, .blobs = blobs, .done = done, .ctx = &got };

	o.devices[o.n_devices++] = (struct capture_device){ .kind = CAPTURE_PHOTO,
		.redactions = "none" };
	if (meter)
		o.devices[o.n_devices++] = (struct capture_device){
			.kind = CAPTURE_MEASUREMENT,
			.host = "127.0.0.1",
			.port = meter->port,
			.timeout_ms = 10000,
			.query = "MEAS:VOLT:DC?",
			.quantity = "voltage-dc",
			.unit = "V",
			.calibration = "cal 7",
			.source = SOURCE_LIVE,
		};
	got.n = 0;
	return o;
}

static struct node_capture want(uint32_t offering)
{
	return (struct node_capture){
		.assignment = { .b = { 0xa5, 1 } },
		.request = { .b = { 0x4e, 2 } },
		.offering = offering,
		.job = { .kind = "kind", .sources = 7 },
		.deadline_ns = clock_now_ns() + HOUR_NS,
		.place = { .present = true,
			.lat_e7 = 473769000,
			.lon_e7 = 85417000,
			.radius_m = 12 },
	};
}

static void start(struct capture *c, uint64_t ticket, const struct node_capture *w)
{
	const struct work work = {
		.ticket = ticket, .kind = NODE_WORK_CAPTURE, .size = sizeof(*w), .detail = w
	};

	assert_int_equal(capture_start(c, &work), 0);
}

/* The sealed bytes, from the result or from the store. The caller frees. */
static uint8_t *ciphertext_of(const struct capture_result *r)
{
	uint8_t *bytes = malloc((size_t)r->cipher_size);
	size_t n = 0;

	assert_non_null(bytes);
	if (r->cipher_size <= PAYLOAD_INLINE_MAX) {
		assert_int_equal(r->n_ciphertext, r->cipher_size);
		memcpy(bytes, r->ciphertext, r->n_ciphertext);
		return bytes;
	}

	uint64_t size = 0;
	int fd = -1;

	assert_int_equal(r->n_ciphertext, 0);
	assert_int_equal(blob_open_read(blobs, &r->cipher_digest, &fd, &size), 0);
	assert_int_equal(size, r->cipher_size);
	assert_int_equal(blob_pread(fd, bytes, (size_t)size, 0, &n), 0);
	assert_int_equal(n, size);
	close(fd);
	return bytes;
}

/* Opens payload and claims as a verifier does, and refuses any other binding. The caller frees. */
static uint8_t *open_payload(const struct capture_result *r, struct claims *ret_claims)
{
	static uint8_t claims_room[NODE_CLAIMS_MAX];
	const struct node_capture w = want(0);
	const struct seal_bound bound = { .request = w.request, .subject = w.assignment };
	const struct seal_bound other = { .request = w.assignment, .subject = w.assignment };
	uint8_t *sealed = ciphertext_of(r);
	uint8_t *plain = malloc((size_t)r->size + 1);
	struct buf out = buf_over(plain, (size_t)r->size);
	struct buf claims = BUF(claims_room);
	struct span bytes = SPAN(sealed, (size_t)r->cipher_size);
	struct id digest = SHA256(bytes);

	assert_true(id_eq(&digest, &r->cipher_digest));
	assert_int_equal(seal_open(r->content_key, &other, bytes, &out), REFUSED_PAYLOAD_KEY);
	out = buf_over(plain, (size_t)r->size);
	assert_int_equal(seal_open(r->content_key, &bound, bytes, &out), REFUSED_NOT);
	assert_int_equal(out.n, r->size);
	assert_int_equal(seal_open_small(SEAL_CLAIMS, r->content_key, &bound,
				 SPAN(r->claims, r->n_claims), &claims),
		REFUSED_NOT);
	assert_int_equal(
		schema_decode(&claims_schema, buf_span(&claims), ret_claims, NULL), REFUSED_NOT);
	digest = SHA256(ret_claims->plain_salt, buf_span(&out));
	assert_true(id_eq(&digest, &r->plain_digest));
	assert_int_equal(ret_claims->place.lat_e7, w.place.lat_e7);
	assert_int_equal(ret_claims->place.lon_e7, w.place.lon_e7);
	assert_int_equal(ret_claims->accuracy_m, 12);
	free(sealed);
	return plain;
}

static void test_photograph(void **state)
{
	struct camera *camera = NULL;
	struct capture *c = NULL;
	struct claims claims;
	struct jpeg_shape shape;
	struct node_capture w = want(0);
	int64_t before = clock_now_ns();

	(void)state; /* ignored: cmocka's */
	assert_int_equal(camera_open("test", NULL, NULL, &camera), 0);

	const struct capture_options o = options_of(camera, NULL);

	assert_int_equal(capture_new(&o, &c), 0);
	w.job.width = 640;
	w.job.height = 480;
	start(c, 7, &w);
	w.job.width = 4000; /* more than the camera has */
	start(c, 8, &w);
	wait_for(2);
	assert_int_equal(got.v[0].ticket, 7);
	assert_int_equal(got.v[0].kind, NODE_WORK_CAPTURE);
	assert_int_equal(got.v[0].status, 0);

	const struct capture_result *r = &got.v[0].result;

	assert_true(r->cipher_size > PAYLOAD_INLINE_MAX); /* so it went to the store */
	assert_string_equal(r->type, JPEG_TYPE);
	assert_string_equal(r->redactions, "none");
	assert_int_equal(r->source, SOURCE_SYNTHETIC);
	assert_true(r->start_ns >= before && r->end_ns >= r->start_ns);
	assert_true(r->end_ns <= clock_now_ns());
	assert_true(r->uncertainty_ns >= NS_PER_S / 10); /* a frame of the pattern */
	assert_true(strlen(r->device) > 0 && strlen(r->pipeline) > 0);

	uint8_t *plain = open_payload(r, &claims);

	assert_int_equal(claims.at_ns, r->end_ns);
	assert_int_equal(jpeg_measure(SPAN(plain, (size_t)r->size), &shape), 0);
	assert_int_equal(shape.width, 1280);
	free(plain);
	assert_int_equal(got.v[1].ticket, 8);
	assert_int_equal(got.v[1].status, -ERANGE);
	assert_false(got.v[1].full);

	/* Nobody may ask for it any more; a second time it is gone already. */
	const struct node_forget gone = { .digest = r->cipher_digest };
	const struct work forget = {
		.ticket = 9, .kind = NODE_WORK_FORGET, .size = sizeof(gone), .detail = &gone
	};

	for (size_t i = 2; i < 4; i++) {
		assert_int_equal(capture_start(c, &forget), 0);
		assert_int_equal(got.n, i + 1);
		assert_int_equal(got.v[i].kind, NODE_WORK_FORGET);
		assert_int_equal(got.v[i].status, 0);
		assert_int_equal(blob_exists(blobs, &gone.digest), 0);
	}
	capture_free(c);
	camera_close(camera);
}

static void test_measurement(void **state)
{
	struct meter meter = { .idn = "ASSAY,METER,1,1.0\n", .reply = "+4.99873E+00\n" };
	struct capture *c = NULL;
	struct claims claims;
	struct measurement m;
	struct node_capture w = want(1);

	(void)state; /* ignored: cmocka's */
	meter_start(&meter);

	const struct capture_options o = options_of(NULL, &meter);

	assert_int_equal(capture_new(&o, &c), 0);
	start(c, 1, &w);
	start(c, 2, &w);
	wait_for(2);

	const struct capture_result *r = &got.v[0].result;
	uint8_t *plain = open_payload(r, &claims);

	assert_int_equal(got.v[0].status, 0);
	assert_string_equal(r->type, MEASUREMENT_TYPE);
	assert_string_equal(r->device, "ASSAY,METER,1,1.0");
	assert_string_equal(r->calibration, "cal 7");
	assert_string_equal(r->pipeline, "scpi MEAS:VOLT:DC?");
	assert_int_equal(r->source, SOURCE_LIVE);
	assert_true(r->uncertainty_ns <= CAPTURE_CLOCK_ERROR_MAX_NS);
	assert_int_equal(schema_decode(&measurement_schema, SPAN(plain, (size_t)r->size), &m, NULL),
		REFUSED_NOT);
	assert_int_equal(m.mantissa, 499873);
	assert_int_equal(m.exponent, -5);
	assert_true(span_is(m.unit, "V"));
	assert_true(span_is(m.quantity, "voltage-dc"));
	assert_true(span_is(m.raw, "+4.99873E+00"));
	assert_int_equal(m.at_ns, r->end_ns);
	free(plain);
	/* The same value again shares nothing with it. */
	assert_int_not_equal(
		memcmp(r->content_key, got.v[1].result.content_key, sizeof(r->content_key)), 0);
	assert_false(id_eq(&r->cipher_digest, &got.v[1].result.cipher_digest));
	assert_false(id_eq(&r->plain_digest, &got.v[1].result.plain_digest));
	capture_free(c);
	meter_stop(&meter);
}

static void test_instrument_fails(void **state)
{
	/* An overload, words that are no number, and more than a field holds. */
	static const char *const replies[] = { "9.9E37\n", "hello\n", "1E-31\n" };

	(void)state; /* ignored: cmocka's */
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		struct meter meter = { .idn = "A,B,C,D\n", .reply = replies[i] };
		struct capture *c = NULL;
		const struct node_capture w = want(1);

		meter_start(&meter);

		const struct capture_options o = options_of(NULL, &meter);

		assert_int_equal(capture_new(&o, &c), 0);
		start(c, 1, &w);
		wait_for(1);
		assert_true(got.v[0].status < 0);
		assert_false(got.v[0].full);
		capture_free(c);
		meter_stop(&meter);
	}
}

/* What waits for its window holds up nothing; what is too late is not even tried. */
static void test_windows(void **state)
{
	struct meter meter = { .idn = "A,B,C,D\n", .reply = "1\n" };
	struct capture *c = NULL;
	struct node_capture later = want(1);
	struct node_capture late = want(1);
	struct node_capture over = want(1);
	struct node_capture now = want(1);

	(void)state; /* ignored: cmocka's */
	meter_start(&meter);

	const struct capture_options o = options_of(NULL, &meter);

	assert_int_equal(capture_new(&o, &c), 0);
	later.job.from_ns = clock_now_ns() + HOUR_NS;
	late.deadline_ns = clock_now_ns() - 1;
	over.job.to_ns = clock_now_ns() - 1;
	start(c, 1, &later);
	start(c, 2, &late);
	start(c, 3, &over);
	start(c, 4, &now);
	wait_for(3);
	assert_int_equal(got.v[0].ticket, 2);
	assert_int_equal(got.v[0].status, -ETIMEDOUT);
	assert_int_equal(got.v[1].ticket, 3);
	assert_int_equal(got.v[1].status, -ETIMEDOUT);
	assert_int_equal(got.v[2].ticket, 4);
	assert_int_equal(got.v[2].status, 0);
	capture_free(c);
	assert_int_equal(got.n, 3); /* the first one is dropped without a result */
	meter_stop(&meter);
}

static void test_bounds(void **state)
{
	struct capture *c = NULL;
	struct node_capture w = want(0);
	const struct capture_options o = options_of(NULL, NULL);

	(void)state; /* ignored: cmocka's */
	assert_int_equal(capture_new(&o, &c), 0);
	w.job.from_ns = clock_now_ns() + HOUR_NS;
	for (uint64_t i = 0; i < CAPTURE_QUEUE_MAX; i++)
		start(c, i, &w);
	assert_int_equal(got.n, 0);
	start(c, 100, &w);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.v[0].ticket, 100);
	assert_int_equal(got.v[0].status, -EBUSY);
	w.offering = 1; /* there is one device */
	start(c, 101, &w);
	assert_int_equal(got.v[1].status, -EINVAL);

	const struct work unknown = { .ticket = 102, .kind = NODE_WORK_FORGET + 1 };
	const struct work cut = {
		.ticket = 103, .kind = NODE_WORK_CAPTURE, .size = 1, .detail = &w
	};

	assert_int_equal(capture_start(c, &unknown), 0);
	assert_int_equal(got.v[2].status, -EINVAL);
	assert_int_equal(capture_start(c, &cut), 0);
	assert_int_equal(got.v[3].status, -EINVAL);
	capture_free(c);
}

/* A camera that is away keeps nobody from leaving. */
static void test_ends_at_once(void **state)
{
	struct camera *camera = NULL;
	struct capture *c = NULL;
	const struct node_capture w = want(0);
	int64_t before = clock_mono_ns();

	(void)state; /* ignored: cmocka's */
	assert_int_equal(camera_open("rtsp://127.0.0.1:1/none", NULL, NULL, &camera), 0);

	const struct capture_options o = options_of(camera, NULL);

	assert_int_equal(capture_new(&o, &c), 0);
	start(c, 1, &w);
	start(c, 2, &w);
	capture_free(c);
	camera_close(camera);
	assert_true(got.n <= 1);
	if (got.n == 1)
		assert_int_equal(got.v[0].status, -ECANCELED);
	assert_true(clock_mono_ns() - before < CAPTURE_CAMERA_WAIT_MS * NS_PER_MS / 2);
}

static void test_sealing_is_repeatable(void **state)
{
	static struct capture_result a;
	static struct capture_result b;
	const struct sealing_secrets secrets = {
		.content_key = { 1 }, .nonce = { 2 }, .claims_nonce = { 3 }, .salt = { 4 }
	};
	struct sealing_input input = {
		.plain = SPAN_STR("water"), .place = { .present = true }, .at_ns = 5
	};
	static uint8_t large[PAYLOAD_INLINE_MAX];

	(void)state; /* ignored: cmocka's */
	assert_int_equal(sealing_make(&input, &secrets, blobs, &a), 0);
	assert_int_equal(sealing_make(&input, &secrets, blobs, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	/* The largest that is a row, and the smallest that is a file. */
	input.plain = SPAN(large, PAYLOAD_INLINE_MAX - SEAL_NONCE - SEAL_TAG);
	assert_int_equal(sealing_make(&input, &secrets, blobs, &a), 0);
	assert_int_equal(a.n_ciphertext, PAYLOAD_INLINE_MAX);
	assert_int_equal(blob_exists(blobs, &a.cipher_digest), 0);
	input.plain.n++;
	assert_int_equal(sealing_make(&input, &secrets, blobs, &a), 0);
	assert_int_equal(a.n_ciphertext, 0);
	assert_int_equal(blob_exists(blobs, &a.cipher_digest), 1);
	/* What cannot be claimed, and what is too large. */
	input.place.lat_e7 = 900000001;
	assert_int_equal(sealing_make(&input, &secrets, blobs, &a), -EINVAL);
	input.place.lat_e7 = 0;
	input.plain.n = SEAL_PAYLOAD_MAX + 1;
	assert_int_equal(sealing_make(&input, &secrets, blobs, &a), -EFBIG);
}

static int setup(void **state)
{
	char path[64];

	(void)state; /* ignored: cmocka's */
	logline_set_level(LEVEL_ERROR);
	pthread_mutex_init(&got.lock, NULL);
	pthread_cond_init(&got.more, NULL);
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/payloads", folder);
	return blob_open(path, &blobs);
}

static int teardown(void **state)
{
	char command[64];

	(void)state; /* ignored: cmocka's */
	blob_free(blobs);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_photograph),
		cmocka_unit_test(test_measurement),
		cmocka_unit_test(test_instrument_fails),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_ends_at_once),
		cmocka_unit_test(test_sealing_is_repeatable),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

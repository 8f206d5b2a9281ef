#include "tests/bench/market.h"

#include "proto/os/file.h"
#include "proto/shell/control.h"
#include "proto/shell/identity.h"

#include <jansson.h>

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CAPTURES "256"

static struct market_bench *running;

static const char *const names[MARKET_DAEMONS] = { "escrow", "broker", "verifier", "node" };

const char *market_name(enum market_daemon which)
{
	return names[which];
}

void market_die(const char *format, ...)
{
	va_list ap;

	fputs("bench: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (running) {
		/* The directory stays: its logs say why. */
		fprintf(stderr, "bench: see %s/*.log\n", running->dir);
		supervisor_stop(&running->supervisor);
	}
	exit(1);
}

static void path_in(
	const struct market_bench *m, const char *name, char out[static MARKET_FILE_LEN])
{
	if (snprintf(out, MARKET_FILE_LEN, "%s/%s", m->dir, name) >= MARKET_FILE_LEN)
		market_die("the name of the directory is too long");
}

void market_begin(struct market_bench *m)
{
	const char *tmp = getenv("TMPDIR");

	memset(m, 0, sizeof(*m));
	if (snprintf(m->dir, sizeof(m->dir), "%s/assay-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp") >=
			(int)sizeof(m->dir) ||
		!mkdtemp(m->dir))
		market_die("no directory can be made in TMPDIR: %s", strerror(errno));
	supervisor_init(&m->supervisor);
	running = m;
}

/* Starts a program with `--dir DIR/name --market NAME` and arguments that end in NULL. */
static struct child *start(
	struct market_bench *m, const char *name, const char *program, const char *const *args)
{
	char dir[MARKET_FILE_LEN];
	char log[MARKET_FILE_LEN];
	char log_name[32];

	snprintf(log_name, sizeof(log_name), "%s.log", name);
	path_in(m, name, dir);
	path_in(m, log_name, log);

	struct child *child = supervisor_add(&m->supervisor, name, program, log);

	if (!child)
		market_die("%s is not found: build it, and set ASSAY_BIN_DIR (./dev bench does)",
			program);

	bool ours = strncmp(program, "assay-", 6) == 0;
	bool ok = !ours ||
		  (supervisor_arg(child, "--dir") && supervisor_arg(child, dir) &&
			  supervisor_arg(child, "--market") && supervisor_arg(child, MARKET_NAME) &&
			  supervisor_arg(child, "--json"));

	for (size_t i = 0; ok && args[i]; i++)
		ok = supervisor_arg(child, args[i]);
	if (!ok || supervisor_start(&m->supervisor, child) < 0)
		market_die("%s does not start", program);
	return child;
}

#define START(m, name, program, ...) \
	start(m, name, program, (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static void did_of(const struct child *child, char out[static DID_TEXT_MAX])
{
	json_t *line = json_loads(child->ready, 0, NULL);
	const char *did = json_string_value(json_object_get(line, "did"));

	if (!did || strlen(did) >= DID_TEXT_MAX)
		market_die("%s does not say who it is", child->name);
	strcpy(out, did);
	json_decref(line);
}

static json_t *contact_json(const struct contact *c)
{
	char did[DID_TEXT_MAX];
	char curve[65];
	char encryption[65];

	hex_encode(c->curve_key.b, 32, curve);
	hex_encode(c->encryption_key, 32, encryption);
	return json_pack("{s:s,s:s,s:s,s:s}", "did", did_text(&c->did, did), "curve_key", curve,
		"encryption_key", encryption, "endpoint", c->endpoint);
}

/* What assay_open() wants in a directory. */
static void write_buyer(const struct market_bench *m)
{
	char path[MARKET_FILE_LEN];
	json_t *market = json_pack("{s:s,s:s,s:o,s:o,s:[s]}", "name", MARKET_NAME, "asset", "XTS",
		"broker", contact_json(&m->broker), "escrow", contact_json(&m->escrow), "verifiers",
		m->verifier);

	path_in(m, "market.json", path);
	if (!market || json_dump_file(market, path, 0) < 0)
		market_die("%s cannot be written", path);
	json_decref(market);
	path_in(m, "buyer", path);

	int r = file_make_private_dir(path);

	path_in(m, "buyer/keys", path);
	if (r == 0)
		r = identity_new(path, MARKET_NAME);
	if (r < 0)
		market_die("%s cannot be made: %s", path, strerror(-r));
}

void market_start(struct market_bench *m)
{
	char escrow[MARKET_FILE_LEN];
	char broker[MARKET_FILE_LEN];

	path_in(m, "escrow/contact.json", escrow);
	path_in(m, "broker/contact.json", broker);
	m->pids[MARKET_ESCROW] =
		START(m, "escrow", "assay-escrow", "--play", "--asset", "XTS")->pid;
	m->pids[MARKET_BROKER] = START(m, "broker", "assay-broker", "--escrow", escrow)->pid;

	struct child *verifier = START(
		m, "verifier", "assay-verifier", "--escrow", escrow, "--broker", broker);

	m->pids[MARKET_VERIFIER] = verifier->pid;
	did_of(verifier, m->verifier);
	if (contact_read(escrow, &m->escrow) < 0 || contact_read(broker, &m->broker) < 0)
		market_die("broker or escrow wrote no contact file");
	write_buyer(m);
}

void market_start_node(struct market_bench *m)
{
	char escrow[MARKET_FILE_LEN];
	char broker[MARKET_FILE_LEN];
	struct child *instrument = START(m, "instrument", "scpi-instrument", "--port", "0");

	path_in(m, "escrow/contact.json", escrow);
	path_in(m, "broker/contact.json", broker);
	if (sscanf(instrument->ready, "listening %63s", m->instrument) != 1)
		market_die("the instrument does not say where it listens");
	m->pids[MARKET_NODE] = START(m, "node", "assay-node", "--escrow", escrow, "--broker",
		broker, "--verifier", m->verifier, "--instrument", m->instrument, "--place",
		MARKET_LAT "," MARKET_LON, "--price", "0.01", "--captures", CAPTURES)
				       ->pid;
}

static void read_types(const json_t *stats, const char *name, uint64_t out[SHELL_TYPES_MAX])
{
	const json_t *types = json_object_get(stats, name);

	for (int64_t i = 0; i < SHELL_TYPES_MAX; i++)
		if (strcmp(message_type_name(i), "UNKNOWN") != 0)
			out[i] = (uint64_t)json_integer_value(
				json_object_get(types, message_type_name(i)));
}

struct market_stats market_stats(const struct market_bench *m, enum market_daemon which)
{
	struct market_stats s;
	char path[MARKET_FILE_LEN];
	char name[32];
	char reply[CONTROL_REPLY_MAX];
	const struct {
		const char *name;
		uint64_t *value;
	} figures[] = {
		{ "commits", &s.commits },
		{ "commits_awaited", &s.commits_awaited },
		{ "sent", &s.sent },
		{ "net_sent_bytes", &s.sent_bytes },
		{ "signatures", &s.signatures },
		{ "verifications", &s.verifications },
		{ "wraps", &s.wraps },
		{ "batches", &s.batches },
		{ "resident_bytes", &s.resident_bytes },
		{ "peers", &s.peers },
	};

	memset(&s, 0, sizeof(s));
	snprintf(name, sizeof(name), "%s/control", names[which]);
	path_in(m, name, path);

	int r = control_command(path, "stats", reply);

	if (r < 0)
		market_die("%s does not answer: %s", names[which], strerror(-r));

	json_t *stats = json_loads(reply, 0, NULL);

	if (!stats)
		market_die("%s answers what is no JSON: %s", names[which], reply);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		*figures[i].value = (uint64_t)json_integer_value(
			json_object_get(stats, figures[i].name));
	read_types(stats, "received_types", s.received_types);
	read_types(stats, "sent_types", s.sent_types);
	json_decref(stats);
	return s;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where; /* ignored: all of it goes */
	return remove(path);
}

void market_end(struct market_bench *m)
{
	supervisor_stop(&m->supervisor);
	running = NULL;
	if (nftw(m->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		fprintf(stderr, "bench: %s is left: %s\n", m->dir, strerror(errno));
}

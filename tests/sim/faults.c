/* What goes wrong: the network, crashes, and shells of nodes and verifiers that are not honest. */
#include "tests/sim/sim.h"

#include <stdlib.h>

static bool heavy(const struct world *w)
{
	return w->o.faults == FAULTS_HEAVY;
}

static bool off(const struct world *w)
{
	return w->calm || w->o.faults == FAULTS_OFF;
}

const char *faults_name(enum sim_fault fault)
{
	static const char *const names[FAULTS] = {
		[FAULT_LOST] = "messages lost",
		[FAULT_REPEATED] = "messages repeated",
		[FAULT_LATE] = "messages late",
		[FAULT_PARTITION] = "partitions",
		[FAULT_DISCONNECT] = "disconnects",
		[FAULT_CRASH_BEFORE_COMMIT] = "crashes before the commit",
		[FAULT_CRASH_AFTER_COMMIT] = "crashes after the commit",
		[FAULT_CRASH_AMID_SENDS] = "crashes amid the sends",
		[FAULT_CRASH_IDLE] = "crashes between batches",
		[FAULT_AWAY] = "long absences",
		[FAULT_NODE_CAPTURE_FAILS] = "captures that failed",
		[FAULT_NODE_VANISHES] = "node: vanished",
		[FAULT_NODE_LATE] = "node: late",
		[FAULT_NODE_TWICE] = "node: evidence twice",
		[FAULT_NODE_CHALLENGE] = "node: wrong challenge",
		[FAULT_NODE_OTHERS_EVIDENCE] = "node: another's evidence",
		[FAULT_NODE_PAYLOAD] = "node: payload altered",
		[FAULT_NODE_JUNK] = "node: junk captured",
		[FAULT_VERIFIER_SILENT] = "verifier: silent",
		[FAULT_VERIFIER_LATE] = "verifier: late",
		[FAULT_VERIFIER_TWICE] = "verifier: signed twice",
		[FAULT_VERIFIER_LIES] = "verifier: failed what was good",
		[FAULT_VERIFIER_UNSURE] = "verifier: inconclusive",
		[FAULT_CANCEL] = "cancels",
	};

	return names[fault];
}

int64_t faults_away(struct world *w)
{
	if (rng_chance(&w->chance, heavy(w) ? 100000 : 40000)) {
		w->faults[FAULT_AWAY]++;
		return rng_between(&w->chance, 20 * NS_PER_S, 900 * NS_PER_S);
	}
	return rng_between(&w->chance, 50 * NS_PER_MS, 8 * NS_PER_S);
}

int faults_crash(struct world *w, const struct sim_party *p)
{
	static const int kinds[] = { CRASH_BEFORE, CRASH_AFTER, CRASH_AMID };

	if (off(w) || w->now_ns - p->started_ns < NS_PER_S ||
		!rng_chance(&w->chance, heavy(w) ? 10000 : 2000))
		return CRASH_NOT;
	return kinds[rng_below(&w->chance, ARRAY_SIZE(kinds))];
}

void faults_begin(struct world *w)
{
	if (w->o.faults != FAULTS_OFF)
		world_at(w, w->now_ns + 5 * NS_PER_S, W_FAULT, 0, 0, NULL);
}

static void cut(struct world *w, uint8_t a, uint8_t b)
{
	struct sim_link *link = network_link(w, a, b);

	if (!network_joined(w, a, b) || !link->up)
		return;
	if (rng_chance(&w->chance, 500000)) {
		w->faults[FAULT_DISCONNECT]++;
		network_disconnect(w, a, b, rng_between(&w->chance, NS_PER_MS, 30 * NS_PER_S));
		return;
	}
	w->faults[FAULT_PARTITION]++;
	link->blocked_until_ns = w->now_ns + rng_between(&w->chance, NS_PER_S, 60 * NS_PER_S);
	/* Long silence is noticed. */
	if (link->blocked_until_ns > w->now_ns + 20 * NS_PER_S)
		network_disconnect(w, a, b, link->blocked_until_ns - w->now_ns + NS_PER_MS);
}

void faults_next(struct world *w)
{
	int64_t pause = heavy(w) ? 8 * NS_PER_S : 30 * NS_PER_S;
	uint8_t a = (uint8_t)rng_below(&w->chance, w->n_parties);
	uint8_t b = (uint8_t)rng_below(&w->chance, w->n_parties);

	if (off(w))
		return;
	if (rng_chance(&w->chance, 400000)) {
		w->faults[FAULT_CRASH_IDLE]++;
		party_crash(w, &w->parties[a], faults_away(w));
	} else {
		cut(w, a, b);
	}
	world_at(w, w->now_ns + rng_between(&w->chance, 0, 2 * pause), W_FAULT, 0, 0, NULL);
}

void faults_stop(struct world *w)
{
	w->calm = true;
	world_say(w, "the faults stop");
	for (uint8_t a = 0; a < w->n_parties; a++)
		for (uint8_t b = 0; b < w->n_parties; b++)
			w->links[a][b].blocked_until_ns = 0;
	for (uint8_t a = 0; a < w->n_parties; a++) {
		if (!w->parties[a].core)
			party_start(w, &w->parties[a]);
		network_party_up(w, a);
	}
}

static int pick(struct world *w, const char *tag, const struct id *id, uint32_t light_ppm,
	uint32_t heavy_ppm, const int *kinds, size_t n)
{
	uint64_t h = rng_hash(w->o.seed, tag, id->b, sizeof(id->b));

	if (off(w) || h % 1000000 >= (heavy(w) ? heavy_ppm : light_ppm))
		return 0;
	return kinds[(h >> 32) % n];
}

int faults_capture(struct world *w, const struct sim_party *p, const struct id *assignment)
{
	static const int kinds[] = { FAULT_NODE_CAPTURE_FAILS, FAULT_NODE_JUNK };
	int fault = pick(w, "capture", assignment, 80000, 150000, kinds, ARRAY_SIZE(kinds));

	(void)p; /* ignored: all nodes are alike */
	if (fault)
		w->faults[fault]++;
	return fault;
}

int faults_verifier(struct world *w, const struct sim_party *p, const struct id *draw)
{
	static const int kinds[] = { FAULT_VERIFIER_SILENT, FAULT_VERIFIER_SILENT,
		FAULT_VERIFIER_LATE, FAULT_VERIFIER_TWICE, FAULT_VERIFIER_LIES,
		FAULT_VERIFIER_UNSURE };
	struct id mixed = *draw;
	int fault;

	mixed.b[0] ^= p->index;
	fault = pick(w, "verifier", &mixed, 80000, 250000, kinds, ARRAY_SIZE(kinds));
	if (fault)
		w->faults[fault]++;
	return fault;
}

bool faults_lies(struct world *w, const struct sim_party *p, const struct id *digest)
{
	static const int kinds[] = { FAULT_NODE_PAYLOAD };
	int fault = pick(w, "lie", digest, 50000, 100000, kinds, 1);

	(void)p; /* ignored: all nodes are alike */
	if (fault)
		w->faults[fault]++;
	return fault != 0;
}

/* The evidence once more, changed and signed with the node's own key. */
static struct span resign(const struct sim_party *p, struct evidence *body, struct buf *room)
{
	size_t at = room->n;
	struct id id;

	if (statement_sign(STATEMENT_EVIDENCE, body, &p->author.signer, room, &id, NULL) !=
		REFUSED_NOT)
		abort();
	return SPAN(room->p + at, room->n - at);
}

/* Any other evidence in the node's store: of another request, truly signed. */
static struct span others(const struct sim_party *p, struct span mine)
{
	const struct store_table *t = &p->store.tables[TABLE_STATEMENT];

	for (size_t i = 0; i < t->n_slots; i++)
		if (t->slots[i] && t->slots[i]->cells[1].i == STATEMENT_EVIDENCE &&
			!span_eq(t->slots[i]->cells[3].b, mine))
			return t->slots[i]->cells[3].b;
	return SPAN(NULL, 0);
}

static enum harm alter(struct world *w, const struct sim_party *p, struct send *send, int fault,
	const struct statement *s, struct buf *room)
{
	struct message *m = &send->message;
	struct span *mine = &m->statements[m->n_statements - 1];
	struct evidence body = s->body.evidence;
	struct span other;
	uint8_t *copy;

	switch (fault) {
	case FAULT_NODE_CHALLENGE:
		body.challenge.b[5] ^= 1;
		*mine = resign(p, &body, room);
		return HARM_ALTER;
	case FAULT_NODE_TWICE:
		body.end_ns++;
		m->statements[MESSAGE_STATEMENTS_MAX - 1] = resign(p, &body, room);
		return HARM_TWICE;
	case FAULT_NODE_OTHERS_EVIDENCE:
		other = others(p, *mine);
		if (other.n == 0)
			return HARM_NOT;
		*mine = other;
		return HARM_ALTER;
	case FAULT_NODE_PAYLOAD:
		if (m->blob.n == 0)
			return HARM_NOT;
		copy = buf_alloc(room, m->blob.n);
		if (!copy)
			abort();
		memcpy(copy, m->blob.p, m->blob.n);
		copy[m->blob.n / 2] ^= 1;
		m->blob = SPAN(copy, m->blob.n);
		return HARM_ALTER;
	default:
		(void)w; /* ignored: nothing else is altered */
		return HARM_NOT;
	}
}

enum harm faults_node(struct world *w, struct sim_party *p, struct send *send, struct buf *room,
	int64_t *ret_delay_ns)
{
	static const int kinds[] = { FAULT_NODE_VANISHES, FAULT_NODE_LATE, FAULT_NODE_TWICE,
		FAULT_NODE_CHALLENGE, FAULT_NODE_OTHERS_EVIDENCE, FAULT_NODE_PAYLOAD };
	static struct statement s; /* large */
	const struct message *m = &send->message;
	const struct id *assignment;
	enum harm harm;
	int fault;

	if ((m->message != MESSAGE_EVIDENCE && m->message != MESSAGE_DECLINE) ||
		statement_decode(m->statements[m->n_statements - 1], &s, NULL) != REFUSED_NOT)
		return HARM_NOT;
	assignment = m->message == MESSAGE_EVIDENCE ? &s.body.evidence.assignment
						    : &s.body.answer.assignment;
	fault = pick(w, "node", assignment, 100000, 300000, kinds, ARRAY_SIZE(kinds));
	if (!fault)
		return HARM_NOT;
	if (fault == FAULT_NODE_VANISHES) {
		harm = HARM_DROP;
	} else if (fault == FAULT_NODE_LATE) {
		harm = HARM_DELAY;
		*ret_delay_ns = rng_between(&w->chance, 10 * NS_PER_S, 90 * NS_PER_S);
	} else if (m->message == MESSAGE_EVIDENCE) {
		harm = alter(w, p, send, fault, &s, room);
	} else {
		harm = HARM_NOT;
	}
	if (harm != HARM_NOT)
		w->faults[fault]++;
	return harm;
}

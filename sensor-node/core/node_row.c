#include "sensor-node/core/node_internal.h"

#include "proto/statement/tables.h"

#define JOB_MAX 1024

/* A job as it lies in its row. */
struct job {
	bool present;
	struct span kind;
	struct id challenge;
	int64_t sources;
	int64_t from_ns;
	int64_t to_ns;
	int64_t width;
	int64_t height;
	struct span unit;
	int64_t low;
	int64_t high;
	int64_t exponent;
	struct span quantity;
	struct span channel;
	bool persons_in_view;
};

static const struct field job_fields[] = {
	TEXT(job, kind, true, 1, 64),
	ID(job, challenge, true),
	INT(job, sources, true, 1, 7),
	TIME(job, from_ns, false),
	TIME(job, to_ns, false),
	BOOLEAN(job, persons_in_view),
	INT(job, width, false, 1, 65535),
	INT(job, height, false, 1, 65535),
	TEXT(job, unit, false, 1, 32),
	INT(job, low, false, -MICROS_MAX, MICROS_MAX),
	INT(job, high, false, -MICROS_MAX, MICROS_MAX),
	INT(job, exponent, false, -30, 30),
	TEXT(job, quantity, false, 1, 64),
	TEXT(job, channel, false, 1, 64),
};
static const struct schema job_schema = SCHEMA(job, job_fields);

static struct span job_encode(struct effects *fx, const struct node_job *j)
{
	uint8_t bytes[JOB_MAX];
	struct buf out = BUF(bytes);
	struct job doc = {
		.present = true,
		.kind = SPAN_STR(j->kind),
		.challenge = j->challenge,
		.sources = j->sources,
		.from_ns = j->from_ns,
		.to_ns = j->to_ns,
		.width = j->width,
		.height = j->height,
		.unit = SPAN_STR(j->unit),
		.low = j->low,
		.high = j->high,
		.exponent = j->exponent,
		.quantity = SPAN_STR(j->quantity),
		.channel = SPAN_STR(j->channel),
		.persons_in_view = j->persons_in_view,
	};

	/* Every field came out of a request that its own, equal table had let through. */
	if (schema_encode(&job_schema, &doc, &out, NULL) != REFUSED_NOT)
		fx->overflow = true;
	return buf_copy(&fx->arena, buf_span(&out));
}

static void text(char *out, size_t cap, struct span from)
{
	size_t n = MIN(from.n, cap - 1);

	if (n > 0)
		memcpy(out, from.p, n);
	out[n] = '\0';
}

static int job_decode(struct span bytes, struct node_job *j)
{
	struct job doc;

	if (cbor_check(bytes) != REFUSED_NOT ||
		schema_decode(&job_schema, bytes, &doc, NULL) != REFUSED_NOT)
		return -EBADMSG;
	*j = (struct node_job){
		.challenge = doc.challenge,
		.sources = doc.sources,
		.from_ns = doc.from_ns,
		.to_ns = doc.to_ns,
		.width = doc.width,
		.height = doc.height,
		.low = doc.low,
		.high = doc.high,
		.exponent = doc.exponent,
		.persons_in_view = doc.persons_in_view,
	};
	text(j->kind, sizeof(j->kind), doc.kind);
	text(j->unit, sizeof(j->unit), doc.unit);
	text(j->quantity, sizeof(j->quantity), doc.quantity);
	text(j->channel, sizeof(j->channel), doc.channel);
	return 0;
}

static uint32_t index_of(const struct node *node, const struct node_row *row)
{
	return (uint32_t)(row - node->rows);
}

struct node_row *node_row_new(struct node *node, const struct id *assignment)
{
	if (node->n_spare == 0)
		return NULL;

	uint32_t index = node->spare[node->n_spare - 1];
	struct node_row *row = &node->rows[index];

	if (!idmap_put(&node->by_assignment, assignment->b, index))
		return NULL;
	node->n_spare--;
	*row = (struct node_row){ .used = true, .assignment = *assignment };
	node_repeat_stop(&row->broker);
	node_repeat_stop(&row->escrow);
	return row;
}

struct node_row *node_row_by(struct node *node, const struct idmap *map, const struct id *id)
{
	uint32_t index = idmap_get(map, id->b);

	return index == IDMAP_NONE ? NULL : &node->rows[index];
}

static bool has_evidence(const struct node_row *row)
{
	return row->state == NODE_COMMITTED || row->state == NODE_RECEIPTED;
}

/* The maps have room for every row, so putting cannot fail. */
static void put(struct idmap *map, const struct id *id, uint32_t index)
{
	bool fits = idmap_put(map, id->b, index);

	assert(fits);
}

static void unlink_one(struct idmap *map, const struct id *id, uint32_t index)
{
	if (idmap_get(map, id->b) == index)
		idmap_remove(map, id->b);
}

void node_row_link(struct node *node, struct node_row *row)
{
	uint32_t index = index_of(node, row);

	if (!id_is_zero(&row->earmark) && row->state != NODE_DECLINED)
		put(&node->by_earmark, &row->earmark, index);
	if (has_evidence(row)) {
		put(&node->by_answer, &row->answer, index);
		put(&node->by_digest, &row->digest, index);
	} else if (row->state == NODE_DONE) {
		unlink_one(&node->by_answer, &row->answer, index);
		unlink_one(&node->by_digest, &row->digest, index);
	}
}

void node_row_schedule(struct node *node, struct node_row *row)
{
	int64_t at_ns = row->keep_until_ns;

	if (row->state == NODE_ASSIGNED)
		at_ns = MIN(at_ns, row->commit_by_ns);
	at_ns = MIN(at_ns, row->broker.next_ns);
	at_ns = MIN(at_ns, row->escrow.next_ns);
	heap_set(&node->deadlines, index_of(node, row), at_ns);
}

static void cell_id(struct effects *fx, struct row *out, const struct id *id)
{
	if (id_is_zero(id))
		row_null(out);
	else
		row_copy(fx, out, SPAN_OF(*id));
}

void node_row_put(struct node_step *s, struct node_row *row)
{
	struct row *out = effects_put(s->fx, NODE_TABLE_ASSIGNMENT, PUT_REPLACE);

	row_copy(s->fx, out, SPAN_OF(row->assignment));
	row_copy(s->fx, out, SPAN_OF(row->request));
	cell_id(s->fx, out, &row->hold);
	cell_id(s->fx, out, &row->earmark);
	row_int(out, row->state);
	row_int(out, row->doors);
	row_int(out, row->commit_by_ns);
	row_int(out, row->deliver_by_ns);
	row_int(out, row->price_micros);
	cell_id(s->fx, out, &row->answer);
	cell_id(s->fx, out, &row->digest);
	row_int(out, row->size);
	row_int(out, row->committed_at_ns);
	row_int(out, row->keep_until_ns);
	row_int(out, row->until_ns);
	if (row->job.kind[0] != '\0')
		row_blob(out, job_encode(s->fx, &row->job));
	else
		row_null(out);
	node_row_link(s->node, row);
	node_row_schedule(s->node, row);
}

void node_row_drop(struct node_step *s, struct node_row *row)
{
	struct node *node = s->node;
	uint32_t index = index_of(node, row);
	struct row *out = effects_put(s->fx, NODE_TABLE_ASSIGNMENT, PUT_DELETE);

	row_copy(s->fx, out, SPAN_OF(row->assignment));
	unlink_one(&node->by_assignment, &row->assignment, index);
	unlink_one(&node->by_earmark, &row->earmark, index);
	unlink_one(&node->by_answer, &row->answer, index);
	unlink_one(&node->by_digest, &row->digest, index);
	heap_set(&node->deadlines, index, INT64_MAX);
	row->used = false;
	node->spare[node->n_spare++] = index;
}

/* A blob of 32 bytes, or zero for null where that is allowed. */
static bool read_id(const struct cell *cell, bool null_ok, struct id *ret_id)
{
	if (cell->type == CELL_NULL && null_ok) {
		*ret_id = (struct id){ 0 };
		return true;
	}
	if (cell->type != CELL_BLOB || cell->b.n != sizeof(ret_id->b))
		return false;
	memcpy(ret_id->b, cell->b.p, sizeof(ret_id->b));
	return true;
}

static bool read_cells(const struct cell *c, struct node_row *row)
{
	if (!read_id(&c[0], false, &row->assignment) || !read_id(&c[1], false, &row->request) ||
		!read_id(&c[2], true, &row->hold) || !read_id(&c[3], true, &row->earmark) ||
		!read_id(&c[9], true, &row->answer) || !read_id(&c[10], true, &row->digest))
		return false;
	for (size_t i = 4; i <= 14; i++)
		if (i != 9 && i != 10 && c[i].type != CELL_INT)
			return false;
	if (c[4].i < NODE_ASSIGNED || c[4].i > NODE_DONE)
		return false;
	row->state = (enum node_state)c[4].i;
	row->doors = c[5].i;
	row->commit_by_ns = c[6].i;
	row->deliver_by_ns = c[7].i;
	row->price_micros = c[8].i;
	row->size = c[11].i;
	row->committed_at_ns = c[12].i;
	row->keep_until_ns = c[13].i;
	row->until_ns = c[14].i;
	if (c[15].type == CELL_BLOB)
		return job_decode(c[15].b, &row->job) == 0;
	return c[15].type == CELL_NULL && row->state != NODE_ASSIGNED;
}

int node_row_load(struct node *node, const struct row *row)
{
	struct node_row read = { 0 };

	if (row->n != 16 || !read_cells(row->cells, &read) ||
		idmap_get(&node->by_assignment, read.assignment.b) != IDMAP_NONE ||
		(has_evidence(&read) && (id_is_zero(&read.answer) || id_is_zero(&read.digest))))
		return -EBADMSG;

	struct node_row *mine = node_row_new(node, &read.assignment);

	if (!mine)
		return -EBADMSG;
	read.used = true;
	read.broker = mine->broker;
	read.escrow = mine->escrow;
	*mine = read;
	node_row_link(node, mine);
	node_row_schedule(node, mine);
	return 0;
}

void node_row_check(const struct node *node)
{
	size_t n_capturing = 0;
	size_t n_used = 0;

	for (uint32_t i = 0; i < node->capacity; i++) {
		const struct node_row *row = &node->rows[i];

		if (!row->used)
			continue;
		n_used++;
		n_capturing += row->ticket != 0;
		assert(row->state >= NODE_ASSIGNED && row->state <= NODE_DONE);
		assert(idmap_get(&node->by_assignment, row->assignment.b) == i);
		if (row->state == NODE_ASSIGNED || has_evidence(row))
			assert(idmap_get(&node->by_earmark, row->earmark.b) == i);
		if (has_evidence(row)) {
			assert(idmap_get(&node->by_answer, row->answer.b) == i);
			assert(idmap_get(&node->by_digest, row->digest.b) == i);
			assert(row->ticket == 0);
		}
	}
	assert(n_used + node->n_spare == node->capacity);
	assert(n_capturing <= node->n_capturing);
	assert(node->n_capturing <= node->config.max_captures);
}

#include "proto/core/core.h"

#include "proto/base/sha256.h"

#include <stdlib.h>

const struct table_info core_statement_table = { .name = "statement", .n_key = 1, .n_cells = 4 };
const struct table_info core_payload_table = { .name = "payload", .n_key = 1, .n_cells = 3 };

static_assert(EFFECTS_ARENA >= EFFECTS_MAX * (sizeof(struct send) + 16) + 512 * 1024,
	"a step may send as often as it may have effects");

void effects_init(struct effects *fx)
{
	fx->n = 0;
	fx->overflow = false;
	fx->arena = BUF(fx->arena_room);
}

static struct effect *add(struct effects *fx, enum effect_type type)
{
	if (fx->n == EFFECTS_MAX) {
		fx->overflow = true;
		fx->n--; /* the last one is overwritten: nothing of this batch will leave */
	}

	struct effect *effect = &fx->v[fx->n++];

	memset(effect, 0, sizeof(*effect));
	effect->type = type;
	return effect;
}

static void *arena(struct effects *fx, size_t n)
{
	void *p = buf_alloc(&fx->arena, n);

	if (!p) {
		/* Start over in the same room: the batch is lost, and the shell is told so. */
		fx->overflow = true;
		fx->arena = BUF(fx->arena_room);
		p = buf_alloc(&fx->arena, n);
	}
	if (!p)
		abort(); /* one object larger than the whole arena: a mistake in the program */
	memset(p, 0, n);
	return p;
}

struct send *effects_send(struct effects *fx, const struct did *to, enum message_type type)
{
	struct effect *effect = add(fx, EFFECT_SEND);

	effect->send = arena(fx, sizeof(*effect->send));
	effect->send->to = *to;
	effect->send->message.message = type;
	return effect->send;
}

void send_attach(struct send *send, const struct id *statement)
{
	if (id_is_zero(statement))
		return;
	assert(send->n_statements < SEND_STATEMENTS_MAX);
	send->statements[send->n_statements++] = *statement;
}

struct row *effects_put(struct effects *fx, uint16_t table, enum put_op op)
{
	struct row *row = &add(fx, EFFECT_PUT)->row;

	row->table = table;
	row->op = (uint8_t)op;
	return row;
}

static struct cell *cell(struct row *row)
{
	assert(row->n < ROW_CELLS_MAX);
	return &row->cells[row->n++];
}

void row_int(struct row *row, int64_t value)
{
	*cell(row) = (struct cell){ .type = CELL_INT, .i = value };
}

void row_null(struct row *row)
{
	*cell(row) = (struct cell){ .type = CELL_NULL };
}

void row_blob(struct row *row, struct span bytes)
{
	*cell(row) = (struct cell){ .type = CELL_BLOB, .b = bytes };
}

void row_copy(struct effects *fx, struct row *row, struct span bytes)
{
	uint8_t *p = arena(fx, bytes.n);

	if (bytes.n > 0)
		memcpy(p, bytes.p, bytes.n);
	row_blob(row, SPAN(p, bytes.n));
}

void *effects_work(struct effects *fx, int kind, uint64_t ticket, size_t n)
{
	void *detail = n > 0 ? arena(fx, n) : NULL;

	add(fx, EFFECT_WORK)->work =
		(struct work){ .ticket = ticket, .kind = kind, .size = n, .detail = detail };
	return detail;
}

void *effects_work_early(struct effects *fx, int kind, uint64_t ticket, size_t n)
{
	size_t at = fx->n;
	void *detail = effects_work(fx, kind, ticket, n);

	if (!fx->overflow)
		fx->v[at].work.early = true;
	return detail;
}

static void put_statement(struct effects *fx, const struct id *id, enum statement_kind kind,
	const struct id *request, struct span bytes)
{
	struct row *row = effects_put(fx, TABLE_STATEMENT, PUT_REPLACE);

	row_copy(fx, row, SPAN_OF(*id));
	row_int(row, kind);
	if (request)
		row_copy(fx, row, SPAN_OF(*request));
	else
		row_null(row);
	row_blob(row, bytes);
}

void effects_keep(struct effects *fx, const struct statement *s, const struct id *request)
{
	put_statement(fx, &s->id, s->kind, request, s->bytes);
}

struct id event_random(const struct event *event, const char *tag, uint32_t counter)
{
	uint8_t n[4] = { (uint8_t)(counter >> 24), (uint8_t)(counter >> 16),
		(uint8_t)(counter >> 8), (uint8_t)counter };

	return SHA256(SPAN_OF(event->entropy), SPAN_OF(n), SPAN_STR(tag));
}

void author_common(const struct author *author, const struct event *event, uint32_t *counter,
	struct effects *fx, struct common *c)
{
	struct id random = event_random(event, "salt", (*counter)++);
	uint8_t *salt = arena(fx, 16);

	memcpy(salt, random.b, 16);
	*c = (struct common){
		.market = author->market,
		.salt = SPAN(salt, 16),
		.at_ns = event->now_ns,
	};
}

struct id effects_sign(struct effects *fx, const struct author *author, enum statement_kind kind,
	void *body, const struct id *request, struct span *ret_bytes)
{
	uint8_t bytes[COSE_MAX];
	struct buf out = BUF(bytes);
	struct id id = { 0 };

	if (statement_sign(kind, body, &author->signer, &out, &id, NULL) != REFUSED_NOT) {
		fx->overflow = true;
		return id;
	}

	uint8_t *copy = arena(fx, out.n);

	memcpy(copy, out.p, out.n);
	put_statement(fx, &id, kind, request, SPAN(copy, out.n));
	if (ret_bytes)
		*ret_bytes = SPAN(copy, out.n);
	return id;
}

void effects_refuse(
	struct effects *fx, const struct event *event, enum refusal code, const char *field)
{
	struct send *send = effects_send(fx, &event->from, MESSAGE_REFUSED);
	const struct message *m = &event->opened->message;

	send->message.reply_to = m->number;
	send->message.code = code;
	send->message.request = m->request;
	send->message.target = m->target;
	send->message.text = SPAN_STR(refusal_sentence(code));
	/* A field's name says more than the general sentence does. */
	if (field)
		send->message.text = SPAN_STR(field);
}

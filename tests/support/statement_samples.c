/*
 * Prints one signed statement of each kind, for readers that share no code with this project:
 * "KIND HEX ID" a line. With --corpus DIR it writes seeds for the fuzz targets instead, to
 * DIR/statement and DIR/message, which must exist. Always the same bytes.
 */
#include "proto/base/text.h"
#include "tests/support/fill.h"

#include <stdio.h>
#include <stdlib.h>

static uint8_t arena_room[FILL_ARENA];
static union statement_body body;

/* Root and working key are the same. */
static void sign(enum statement_kind kind, enum fill_how how, uint8_t key, struct buf *out,
	struct id *ret_id)
{
	struct signer signer = fill_signer(key);
	struct buf arena = BUF(arena_room);
	const char *field;

	fill_struct(statement_schema(kind), &body, how, (uint64_t)kind, &arena);
	if (kind == STATEMENT_KEYS_OF)
		body.keys.working_key = SPAN_OF(signer.public_key);
	if (statement_sign(kind, &body, &signer, out, ret_id, &field) != REFUSED_NOT) {
		fprintf(stderr, "%s: field %s\n", statement_kind_name(kind), field ? field : "-");
		exit(1);
	}
}

static void write_seed(const char *dir, const char *target, const char *name, struct span bytes)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/%s/%s", dir, target, name);
	FILE *file = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "wb") : NULL;

	if (!file || fwrite(bytes.p, 1, bytes.n, file) != bytes.n || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

/* A payload alone, after a byte that names its kind: fuzzing gets deeper without the envelope. */
static void write_body(const char *dir, enum statement_kind kind)
{
	static uint8_t bytes[COSE_MAX];
	struct buf arena = BUF(arena_room);
	struct buf out = BUF(bytes);
	char name[64];

	fill_struct(statement_schema(kind), &body, FILL_SOME, (uint64_t)kind, &arena);
	buf_byte(&out, (uint8_t)kind);
	if (schema_encode(statement_schema(kind), &body, &out, NULL) != REFUSED_NOT)
		exit(1);
	snprintf(name, sizeof(name), "body-%s", statement_kind_name(kind));
	write_seed(dir, "statement", name, buf_span(&out));
}

static void write_messages(const char *dir)
{
	static struct message message;
	static uint8_t bytes[MESSAGE_MAX];
	static uint8_t statements[4][COSE_MAX];
	static const enum statement_kind kinds[] = { STATEMENT_KEYS_OF, STATEMENT_GREETING,
		STATEMENT_REQUEST, STATEMENT_HOLD };
	struct buf arena = BUF(arena_room);
	struct id id;

	for (int how = FILL_LEAST; how <= FILL_MOST; how++) {
		struct buf out = BUF(bytes);
		char name[32];

		/* Payloads are left out: seeds stay small. */
		arena = BUF(arena_room);
		fill_struct(&message_schema, &message, (enum fill_how)how, 1, &arena);
		message.n_statements = 0;
		message.blob = SPAN(message.blob.p, MIN(message.blob.n, (size_t)64));
		for (size_t i = 0; i < ARRAY_SIZE(kinds) && how == FILL_SOME; i++) {
			struct buf one = BUF(statements[i]);

			sign(kinds[i], FILL_LEAST, 1, &one, &id);
			message.statements[message.n_statements++] = buf_span(&one);
		}
		/* sign() fills the arena again, so the strings of the message are made anew. */
		if (how == FILL_SOME) {
			message.receipt = message.note = message.text = SPAN(NULL, 0);
			message.asset = SPAN_STR("XTS");
			message.operation = message.wrapped = message.blob = SPAN(NULL, 0);
			message.n_balances = message.n_lines = 0;
		}
		snprintf(name, sizeof(name), "message-%d", how);
		if (!message_encode(&message, &out))
			exit(1);
		write_seed(dir, "message", name, buf_span(&out));
	}
}

int main(int argc, char **argv)
{
	static uint8_t bytes[COSE_MAX];
	static char hex[2 * COSE_MAX + 1];
	const char *dir = argc == 3 && strcmp(argv[1], "--corpus") == 0 ? argv[2] : NULL;
	char id_hex[ID_TEXT_MAX];
	struct id id;

	if (argc != 1 && !dir) {
		fprintf(stderr, "Usage: %s [--corpus DIR]\n", argv[0]);
		return 2;
	}
	for (int k = STATEMENT_NONE + 1; k < STATEMENT_KINDS; k++) {
		enum statement_kind kind = (enum statement_kind)k;
		struct buf out = BUF(bytes);

		sign(kind, dir ? FILL_LEAST : FILL_MOST, (uint8_t)kind, &out, &id);
		if (dir) {
			write_seed(dir, "statement", statement_kind_name(kind), buf_span(&out));
			write_body(dir, kind);
			continue;
		}
		hex_encode(out.p, out.n, hex);
		printf("%s %s %s\n", statement_kind_name(kind), hex, id_text(&id, id_hex));
	}
	if (dir)
		write_messages(dir);
	return 0;
}

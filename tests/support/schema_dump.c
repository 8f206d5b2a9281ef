/*
 * Prints the CDDL (RFC 8610) of everything that has a table. `schema-dump --check FILE` compares it
 * with the part of FILE after its mark, `--write FILE` puts it there; what stands before the mark
 * is written by hand.
 */
#include "tests/support/fill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MARK \
	"; ---- From here on printed from the tables: ninja, then schema-dump --write FILE. ----\n"
#define FILE_MAX (256 * 1024)

static const struct {
	const char *name;
	const char *words;
} comments[] = {
	{ "place", "a position in 1e-7 degrees of WGS 84, and how far around it" },
	{ "price", "one line of a price list" },
	{ "revoked", "a working key, and since when it signs no more" },
	{ "parameters", "of a request or a check; what applies to the kind is set" },
	{ "check", "a check that the request asks for: binding, or advice" },
	{ "figure", "a measured value = value * 10^exponent" },
	{ "check_result", "result 1 pass, 2 fail, 3 inconclusive; code: a refusal's number" },
	{ "amount", "a part of a hold" },
	{ "line", "a line of a settlement: who gets how much" },
	{ "quorum", "reserved: agreement of several nodes" },
	{ "decay", "reserved: a price that falls after a soft deadline" },
	{ "window", "when the capture must happen" },
	{ "payload", "the sealed payload of evidence" },
	{ "earmarked", "what a hold or an earmark reserves for one node" },
	{ "keys", "root key: the working, CURVE and encryption keys of an identity" },
	{ "greeting", "working key: binds a connection's CURVE key to the identity" },
	{ "offering", "node: what it will capture, for what price, for whom" },
	{ "request", "buyer: what, where, when, price, checks, parties, every deadline" },
	{ "hold", "escrow: the money is there" },
	{ "earmark", "escrow: and it is there for this node" },
	{ "assignment", "broker: this node, with a challenge and deadlines" },
	{ "bid", "node: a price for a request" },
	{ "accept", "node: takes an assignment" },
	{ "decline", "node: does not take an assignment" },
	{ "evidence", "node: what was captured, its digests and wrapped keys" },
	{ "verdict", "verifier: each check's result" },
	{ "draw", "escrow: the panel, and the verifiers' ticket" },
	{ "release", "escrow: the content key wrapped for the buyer" },
	{ "settlement", "escrow: who got what, and why" },
	{ "cancel", "buyer: ends a request" },
	{ "dispute", "a party: against an outcome" },
	{ "ruling", "escrow: the second panel's word" },
	{ "bond", "escrow: a bond that was put up" },
	{ "fault", "a party: proof that another broke its word" },
	{ "report", "anybody: a payload that must go" },
	{ "feed", "node: reserved" },
	{ "interval", "node: reserved" },
	{ "moment", "a state and when it began" },
	{ "balance", "of one account and asset" },
	{ "transfer", "one line of the ledger" },
	{ "summary", "one of the asker's requests" },
	{ "message", "what programs say to each other: one frame" },
	{ "claims", "sealed in evidence.claims, for verifiers and buyer" },
	{ "measurement", "the payload of a measurement = mantissa * 10^exponent" },
	{ "bundle", "a bundle file: everything that a check needs, offline" },
};

static const char *words_for(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(comments); i++)
		if (strcmp(comments[i].name, name) == 0)
			return comments[i].words;
	fprintf(stderr, "%s has no comment: add one in schema_dump.c\n", name);
	exit(1);
}

static void put_size(struct buf *out, const char *type, const struct field *f)
{
	if (f->min == f->max)
		buf_printf(out, "%s .size %" PRId64, type, f->max);
	else
		buf_printf(out, "%s .size (%" PRId64 "..%" PRId64 ")", type, f->min, f->max);
}

static void put_type(struct buf *out, const struct field *f)
{
	switch ((enum field_type)f->type) {
	case FIELD_INT:
		buf_printf(out, "%" PRId64 "..%" PRId64, f->min, f->max);
		break;
	case FIELD_BOOL:
		/* false is absent. */
		buf_str(out, f->required ? "bool" : "true");
		break;
	case FIELD_ID:
		buf_str(out, "id");
		break;
	case FIELD_DID:
		buf_str(out, "did");
		break;
	case FIELD_BYTES:
		put_size(out, "bstr", f);
		break;
	case FIELD_TEXT:
		put_size(out, "tstr", f);
		break;
	case FIELD_LINES:
		put_size(out, "tstr", f);
		break;
	case FIELD_MAP:
		buf_str(out, f->map->name);
		break;
	}
}

static void put_field(struct buf *out, const struct field *f)
{
	buf_printf(out, "\t%s%d: ", f->required ? "" : "? ", f->key);
	if (f->most > 0)
		buf_printf(out, "[1*%u ", f->most);
	put_type(out, f);
	if (f->most > 0)
		buf_str(out, "]");
	buf_printf(
		out, ", ; %s%s\n", f->name, f->type == FIELD_LINES ? ", may hold line feeds" : "");
}

static void put_schema(struct buf *out, const struct schema *const *all, size_t at)
{
	const struct schema *schema = all[at];

	buf_printf(out, "\n; %s - %s\n", schema->name, words_for(schema->name));
	for (size_t i = 0; i < at; i++) {
		if (all[i]->fields == schema->fields) {
			buf_printf(out, "%s = %s\n", schema->name, all[i]->name);
			return;
		}
	}
	buf_printf(out, "%s = {\n", schema->name);
	for (size_t i = 0; i < schema->n_fields; i++)
		put_field(out, &schema->fields[i]);
	buf_str(out, "\t* newer,\n}\n");
}

static void print(struct buf *out)
{
	const struct schema *all[FILL_SCHEMAS_MAX];
	size_t n = fill_schemas(all);

	buf_str(out, MARK "\nstatement =");
	for (int kind = STATEMENT_NONE + 1; kind < STATEMENT_KINDS; kind++) {
		const char *name = statement_kind_name((enum statement_kind)kind);

		buf_printf(out, "%s\n\tsign1<\"%s\", %s>", kind > 1 ? " /" : "",
			statement_content_type((enum statement_kind)kind), name);
	}
	buf_str(out, "\n");
	for (size_t i = 0; i < n; i++)
		put_schema(out, all, i);
}

static size_t read_file(const char *path, char *text, size_t cap)
{
	FILE *file = fopen(path, "rb");
	size_t n = file ? fread(text, 1, cap - 1, file) : 0;

	if (!file || !feof(file) || fclose(file) != 0) {
		fprintf(stderr, "%s cannot be read\n", path);
		exit(1);
	}
	text[n] = '\0';
	return n;
}

static int check(const char *path, const char *from_mark, const struct buf *out)
{
	size_t line = 1;
	size_t i = 0;

	for (; i < out->n && from_mark[i] && (uint8_t)from_mark[i] == out->p[i]; i++)
		line += from_mark[i] == '\n';
	if (i == out->n && !from_mark[i])
		return 0;
	fprintf(stderr,
		"%s differs from the tables, %zu lines after its mark: run schema-dump --write\n",
		path, line - 1);
	return 1;
}

static int write_back(const char *path, struct span head, const struct buf *out)
{
	FILE *file = fopen(path, "wb");

	if (!file || fwrite(head.p, 1, head.n, file) != head.n ||
		fwrite(out->p, 1, out->n, file) != out->n || fclose(file) != 0) {
		perror(path);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static uint8_t bytes[FILE_MAX];
	static char text[FILE_MAX];
	struct buf out = BUF(bytes);

	print(&out);
	if (!buf_ok(&out))
		return 1;
	if (argc == 1)
		return fwrite(out.p, 1, out.n, stdout) == out.n ? 0 : 1;
	if (argc != 3 || (strcmp(argv[1], "--check") != 0 && strcmp(argv[1], "--write") != 0)) {
		fprintf(stderr, "Usage: %s [--check FILE | --write FILE]\n", argv[0]);
		return 2;
	}
	read_file(argv[2], text, sizeof(text));

	char *mark = strstr(text, MARK);

	if (!mark) {
		fprintf(stderr, "%s has no line: %s", argv[2], MARK);
		return 1;
	}
	if (strcmp(argv[1], "--check") == 0)
		return check(argv[2], mark, &out);
	return write_back(argv[2], SPAN(text, (size_t)(mark - text)), &out);
}

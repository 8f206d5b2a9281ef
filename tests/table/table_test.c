/* Runs every .table of a folder: table_test [DIR]. One test a table; each wrong line is printed. */
#include "tests/table/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <dirent.h>

#define TABLES_MAX 32
#define LINE_MAX   512

static const char *dir = TABLES;

bool table_int(const char *word, int64_t *ret_value)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(word, &end, 10);
	if (errno != 0 || end == word || *end != '\0')
		return false;
	*ret_value = value;
	return true;
}

/* Splits text at blanks, in place. More words than fit make it TABLE_WORDS_MAX + 1. */
static size_t split(char *text, char *words[static TABLE_WORDS_MAX])
{
	char *rest = NULL;
	size_t n = 0;

	for (char *word = strtok_r(text, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
		if (n == TABLE_WORDS_MAX)
			return n + 1;
		words[n++] = word;
	}
	return n;
}

/* Whether the line holds; where not, prints why. */
static bool line_holds(const struct table *table, char *line, unsigned int number)
{
	char *arrow = strstr(line, " -> ");
	char *words[TABLE_WORDS_MAX];
	uint8_t bytes[LINE_MAX];
	struct buf out = BUF(bytes);

	if (!arrow) {
		print_error(
			"%s.table:%u: no arrow: write \"given -> then\"\n", table->name, number);
		return false;
	}
	*arrow = '\0';

	const char *expected = arrow + strlen(" -> ");
	size_t n = split(line, words);

	if (n > TABLE_WORDS_MAX || !table->then(words, n, &out)) {
		print_error("%s.table:%u: not a line of this table, or a second one\n", table->name,
			number);
		return false;
	}
	if (buf_ok(&out) && span_is(buf_span(&out), expected))
		return true;
	print_error("%s.table:%u: expected \"%s\", but it is \"%.*s\"\n", table->name, number,
		expected, (int)out.n, (const char *)out.p);
	return false;
}

static void run(void **state)
{
	const struct table *table = *state;
	unsigned int number = 0, n_lines = 0, n_wrong = 0;
	char path[4096];
	char line[LINE_MAX];

	assert_in_range(
		snprintf(path, sizeof(path), "%s/%s.table", dir, table->name), 1, sizeof(path) - 1);

	FILE *file = fopen(path, "r");

	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		char *end = strchr(line, '\n');

		number++;
		if (!end) {
			print_error("%s.table:%u: a line too long or without its end\n",
				table->name, number);
			n_wrong++;
			break;
		}
		*end = '\0';
		if (line[0] == '\0' || line[0] == '#')
			continue;
		n_lines++;
		n_wrong += !line_holds(table, line, number);
	}
	fclose(file);
	assert_int_not_equal(n_lines, 0);

	const char *missing = table->missing ? table->missing() : NULL;

	if (missing) {
		print_error("%s.table: %s\n", table->name, missing);
		n_wrong++;
	}
	if (n_wrong > 0)
		fail_msg("%u of %u lines of %s are wrong: see above", n_wrong, n_lines, path);
	print_message("%u lines\n", n_lines);
}

static const struct table *tables[TABLES_MAX];
static size_t n_tables;

static void add(const struct table *more, size_t n)
{
	for (size_t i = 0; i < n && n_tables < TABLES_MAX; i++)
		tables[n_tables++] = &more[i];
}

/* A table that nobody runs would be no test. */
static void every_file_is_run(void **state)
{
	DIR *folder = opendir(dir);
	struct dirent *entry;

	(void)state;
	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		size_t n = strlen(entry->d_name);
		bool known = false;

		if (n < 6 || strcmp(entry->d_name + n - 6, ".table") != 0)
			continue;
		for (size_t i = 0; i < n_tables; i++)
			known = known ||
				(strlen(tables[i]->name) == n - 6 &&
					strncmp(tables[i]->name, entry->d_name, n - 6) == 0);
		if (!known)
			fail_msg("%s/%s has no function that runs it", dir, entry->d_name);
	}
	closedir(folder);
}

static bool says_yes(char *const *words, size_t n, struct buf *out)
{
	buf_str(out, "yes");
	return n == 1 && strcmp(words[0], "this") == 0;
}

/* The runner's own guard: it does say no. */
static void wrong_lines_are_wrong(void **state)
{
	static const struct table table = { .name = "planted", .then = says_yes };
	char right[] = "this -> yes";
	char wrong[] = "this -> no";
	char longer[] = "this -> yes, and more";
	char armless[] = "this yes";
	char other[] = "that -> yes";
	char many[] = "1 2 3 4 5 6 7 8 9 10 11 12 13 -> yes";

	(void)state;
	assert_true(line_holds(&table, right, 1));
	assert_false(line_holds(&table, wrong, 2));
	assert_false(line_holds(&table, longer, 3));
	assert_false(line_holds(&table, armless, 4));
	assert_false(line_holds(&table, other, 5));
	assert_false(line_holds(&table, many, 6));
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[TABLES_MAX + 2] = {
		cmocka_unit_test(every_file_is_run),
		cmocka_unit_test(wrong_lines_are_wrong),
	};

	if (argc > 1)
		dir = argv[1];
	add(&slot_table, 1);
	add(numbers_tables, numbers_n_tables);
	add(amounts_tables, amounts_n_tables);
	add(evidence_tables, evidence_n_tables);
	for (size_t i = 0; i < n_tables; i++)
		tests[i + 2] = (struct CMUnitTest){ .name = tables[i]->name,
			.test_func = run,
			.initial_state = (void *)tables[i] };
	return _cmocka_run_group_tests("table", tests, n_tables + 2, NULL, NULL);
}

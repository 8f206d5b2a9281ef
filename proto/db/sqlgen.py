#!/usr/bin/env python3
"""Compiles a .sql file into a C header (an enum of statements) and a source (struct db_sql).

    sqlgen.py INPUT.sql OUTPUT.h OUTPUT.c [DEPFILE]

The file consists of sections:

    -- application: 0x41534201      once, the database's application_id (not zero)
    -- migration: 1                 schema changes, numbered from 1 without gaps, never edited again
    -- name: insert_statement       one statement each, in lower case with underscores
    -- include: FILE.sql            its lines stand here; a path from this file's folder, no deeper includes

Names are taken from OUTPUT.h: broker_sql.h gives enum BROKER_SQL_INSERT_STATEMENT and
extern const struct db_sql broker_sql. Comment lines inside of sections are dropped.
"""
import os
import re
import sys

MARK = re.compile(r"^--\s*(application|migration|name):\s*(.*?)\s*$")
INCLUDE = re.compile(r"^--\s*include:\s*(\S+)\s*$")
TRANSACTION = re.compile(r"^\s*(BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|VACUUM|ATTACH)\b", re.I | re.M)


def fail(path, number, text):
    sys.exit(f"{path}:{number}: {text}")


def lines_of(path, files):
    """(path, number, line) of the file and of what it includes; files gets every path read."""
    files.append(path)
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            include = INCLUDE.match(line)
            if not include:
                yield path, number, line
            elif path != files[0]:
                fail(path, number, "an included file includes another")
            else:
                yield from lines_of(os.path.normpath(os.path.join(os.path.dirname(path), include.group(1))), files)


def parse(source, files):
    application, migrations, statements = None, [], {}
    sink = None
    for path, number, line in lines_of(source, files):
        mark = MARK.match(line)
        if mark:
            kind, value = mark.groups()
            if kind == "application":
                if application is not None:
                    fail(path, number, "application stands twice")
                application = int(value, 0)
                if not 0 < application < 2**31:
                    fail(path, number, "application must be 1 to 2^31-1")
                sink = None
            elif kind == "migration":
                if value != str(len(migrations) + 1):
                    fail(path, number, f"migration {len(migrations) + 1} was expected")
                sink = []
                migrations.append((number, sink))
            else:
                if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
                    fail(path, number, f"'{value}' is no name")
                if value in statements:
                    fail(path, number, f"{value} stands twice")
                sink = []
                statements[value] = (number, sink)
        elif line.lstrip().startswith("--") or not line.strip():
            continue
        elif sink is None:
            fail(path, number, "SQL outside of a section")
        else:
            sink.append(line.rstrip())
    if application is None:
        fail(source, 1, "-- application: is missing")
    if not migrations:
        fail(source, 1, "-- migration: 1 is missing")
    for number, lines in [*migrations, *statements.values()]:
        if not lines:
            fail(source, number, "the section is empty")
    for number, lines in migrations:
        # Triggers have BEGIN and END of their own, indented or not: only bare transactions are meant.
        if TRANSACTION.search("\n".join(lines)) and not re.search(r"CREATE\s+TRIGGER", "\n".join(lines), re.I):
            fail(source, number, "a migration is one transaction already")
    return application, migrations, statements


def literal(lines, indent):
    out = []
    for line in lines:
        text = line.strip() if line.lstrip() == line else " " + line.strip()
        text = text.replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\\?")
        out.append(f'{indent}"{text}\\n"')
    return "\n".join(out)


def main():
    source, header, code, *depfile = sys.argv[1:]
    files = []
    application, migrations, statements = parse(source, files)
    symbol = os.path.splitext(os.path.basename(header))[0]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", symbol):
        sys.exit(f"{header}: the name is no C identifier")

    for name in depfile:
        with open(name, "w", encoding="utf-8") as f:
            f.write(f"{header} {code}: {' '.join(files)}\n")

    with open(header, "w", encoding="utf-8") as f:
        f.write(f"#pragma once\n/* Made by sqlgen.py from {os.path.basename(source)}. */\n")
        f.write('#include "proto/db/db.h"\n\n')
        f.write(f"enum {symbol} {{\n")
        for i, name in enumerate(statements):
            f.write(f"\t{symbol.upper()}_{name.upper()} = {i},\n")
        f.write(f"\t{symbol.upper()}_N = {len(statements)},\n}};\n\n")
        f.write(f"extern const struct db_sql {symbol};\n")

    with open(code, "w", encoding="utf-8") as f:
        f.write(f'#include "{os.path.basename(header)}"\n\n')
        f.write("static const char *const migrations[] = {\n")
        for _, lines in migrations:
            f.write(literal(lines, "\t") + ",\n")
        f.write("};\n\n")
        if statements:
            f.write("static const struct db_statement statements[] = {\n")
            for name, (_, lines) in statements.items():
                f.write(f'\t{{ "{name}",\n{literal(lines, chr(9) * 2)} }},\n')
            f.write("};\n\n")
        f.write(f"const struct db_sql {symbol} = {{\n\t.application_id = {application},\n")
        if statements:
            f.write("\t.statements = statements,\n\t.n_statements = ARRAY_SIZE(statements),\n")
        f.write("\t.migrations = migrations,\n\t.n_migrations = ARRAY_SIZE(migrations),\n};\n")


if __name__ == "__main__":
    main()

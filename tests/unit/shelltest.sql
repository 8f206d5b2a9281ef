-- What shell_test.c keeps: how often each identity asked.
-- application: 0x41534502

-- migration: 1
-- include: ../../proto/shell/shell_tables.sql
CREATE TABLE empty (n INTEGER PRIMARY KEY) STRICT;
-- A count from 1000 on breaks a rule at once, one from 500 on only when the transaction is committed.
CREATE TABLE tally (
	who BLOB PRIMARY KEY CHECK (length(who) = 32),
	n INTEGER NOT NULL CHECK (n < 1000),
	late INTEGER REFERENCES empty (n) DEFERRABLE INITIALLY DEFERRED
) STRICT;

-- include: ../../proto/shell/shell.sql

-- name: replace_tally
INSERT INTO tally (who, n, late) VALUES (?1, ?2, CASE WHEN ?2 >= 500 THEN ?2 END)
ON CONFLICT (who) DO UPDATE SET n = excluded.n, late = excluded.late;

-- name: load_tally
SELECT who, n FROM tally ORDER BY who;

-- name: count_keys
SELECT count(*) FROM keys;

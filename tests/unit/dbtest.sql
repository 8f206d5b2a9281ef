-- What db_test.c opens: every kind of constraint, and two migrations.
-- application: 0x41535401

-- migration: 1
CREATE TABLE account (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	balance INTEGER NOT NULL CHECK (balance >= 0)
) STRICT;

-- migration: 2
CREATE TABLE entry (
	seq INTEGER PRIMARY KEY,
	account INTEGER NOT NULL REFERENCES account (id),
	data BLOB
) STRICT;
CREATE INDEX entry_account ON entry (account);

-- name: insert_account
INSERT INTO account (id, name, balance) VALUES (?1, ?2, ?3);

-- name: update_balance
UPDATE account SET balance = ?2 WHERE id = ?1;

-- name: insert_entry
INSERT INTO entry (account, data) VALUES (?1, ?2);

-- name: accounts
-- Quotes " and \ backslashes must survive the generator.
SELECT id, name, balance, NULL, x'00ff', 'a"b\c'
FROM account WHERE id >= ?1 ORDER BY id;

-- name: count_entries
SELECT count(*) FROM entry;

-- name: a_float
SELECT 0.5;

-- name: limit_pages
PRAGMA max_page_count = 40;

-- name: page_count
PRAGMA page_count;

-- name: journal_mode
PRAGMA journal_mode;

-- name: synchronous
PRAGMA synchronous;

-- name: locking_mode
PRAGMA locking_mode;

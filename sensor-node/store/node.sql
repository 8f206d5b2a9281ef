-- The node's database. Each table of node_ops from index 2 on has insert_, replace_, delete_ and load_.
-- application: 0x41534e31

-- migration: 1
-- include: ../../proto/shell/shell_tables.sql
CREATE TABLE assignment (
	assignment BLOB PRIMARY KEY CHECK (length(assignment) = 32),
	request BLOB NOT NULL CHECK (length(request) = 32),
	hold BLOB CHECK (length(hold) = 32),
	earmark BLOB CHECK (length(earmark) = 32),
	state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),
	doors INTEGER NOT NULL CHECK (doors BETWEEN 0 AND 3),
	commit_by_ns INTEGER NOT NULL,
	deliver_by_ns INTEGER NOT NULL,
	price_micros INTEGER NOT NULL CHECK (price_micros >= 0),
	answer BLOB CHECK (length(answer) = 32),
	digest BLOB CHECK (length(digest) = 32),
	size INTEGER NOT NULL CHECK (size >= 0),
	committed_at_ns INTEGER NOT NULL,
	keep_until_ns INTEGER NOT NULL,
	until_ns INTEGER NOT NULL,
	job BLOB CHECK (length(job) <= 1024),
	CHECK (state NOT IN (2, 3) OR (answer IS NOT NULL AND digest IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX assignment_answer ON assignment (answer) WHERE answer IS NOT NULL;
CREATE TABLE chain (
	one INTEGER PRIMARY KEY CHECK (one = 0),
	sequence INTEGER NOT NULL CHECK (sequence > 0),
	last BLOB NOT NULL CHECK (length(last) = 32)
) STRICT;
CREATE TABLE offering (
	kind BLOB PRIMARY KEY CHECK (length(kind) BETWEEN 1 AND 64),
	id BLOB NOT NULL CHECK (length(id) = 32),
	revision INTEGER NOT NULL CHECK (revision > 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE result (
	assignment BLOB PRIMARY KEY CHECK (length(assignment) = 32),
	request BLOB NOT NULL CHECK (length(request) = 32),
	evidence BLOB CHECK (length(evidence) = 32),
	settlement BLOB CHECK (length(settlement) = 32),
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 255),
	amount_micros INTEGER NOT NULL CHECK (amount_micros >= 0),
	at_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX result_at ON result (at_ns);

-- include: ../../proto/shell/shell.sql

-- name: insert_assignment
INSERT INTO assignment (assignment, request, hold, earmark, state, doors, commit_by_ns, deliver_by_ns, price_micros,
	answer, digest, size, committed_at_ns, keep_until_ns, until_ns, job)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16);

-- name: replace_assignment
INSERT OR REPLACE INTO assignment (assignment, request, hold, earmark, state, doors, commit_by_ns, deliver_by_ns, price_micros,
	answer, digest, size, committed_at_ns, keep_until_ns, until_ns, job)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16);

-- name: delete_assignment
DELETE FROM assignment WHERE assignment = ?1;

-- name: load_assignment
SELECT assignment, request, hold, earmark, state, doors, commit_by_ns, deliver_by_ns, price_micros,
	answer, digest, size, committed_at_ns, keep_until_ns, until_ns, job
FROM assignment ORDER BY assignment;

-- name: insert_chain
INSERT INTO chain (one, sequence, last)
VALUES (?1, ?2, ?3);

-- name: replace_chain
INSERT OR REPLACE INTO chain (one, sequence, last)
VALUES (?1, ?2, ?3);

-- name: delete_chain
DELETE FROM chain WHERE one = ?1;

-- name: load_chain
SELECT one, sequence, last
FROM chain ORDER BY one;

-- name: insert_offering
INSERT INTO offering (kind, id, revision)
VALUES (?1, ?2, ?3);

-- name: replace_offering
INSERT OR REPLACE INTO offering (kind, id, revision)
VALUES (?1, ?2, ?3);

-- name: delete_offering
DELETE FROM offering WHERE kind = ?1;

-- name: load_offering
SELECT kind, id, revision
FROM offering ORDER BY kind;

-- name: insert_result
INSERT INTO result (assignment, request, evidence, settlement, state, amount_micros, at_ns)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: replace_result
INSERT OR REPLACE INTO result (assignment, request, evidence, settlement, state, amount_micros, at_ns)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: delete_result
DELETE FROM result WHERE assignment = ?1;

-- name: load_result
SELECT assignment, request, evidence, settlement, state, amount_micros, at_ns
FROM result ORDER BY assignment;

-- The broker's rows. The core decides what stands in them; ../DESIGN.md says what for.

-- application: 0x41534252

-- migration: 1
-- include: ../../proto/shell/shell_tables.sql
CREATE TABLE offering (
  node BLOB NOT NULL CHECK (length(node) = 32),
  kind BLOB NOT NULL,
  id BLOB NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (node, kind)
) STRICT;
CREATE TABLE slot (
  request BLOB PRIMARY KEY CHECK (length(request) = 32),
  buyer BLOB NOT NULL,
  escrow BLOB NOT NULL,
  node BLOB NOT NULL,
  state INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  posted INTEGER NOT NULL,
  price_micros INTEGER NOT NULL,
  expires_ns INTEGER NOT NULL,
  deadline_ns INTEGER NOT NULL,
  payload_size INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  links BLOB NOT NULL,
  verdicts BLOB NOT NULL,
  history BLOB NOT NULL,
  times BLOB NOT NULL
) STRICT;
CREATE TABLE open_request (
  request BLOB PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE receipt (
  request BLOB PRIMARY KEY,
  receipt BLOB NOT NULL,
  note BLOB NOT NULL
) STRICT;
CREATE TABLE entry (
  log_index INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  id BLOB NOT NULL CHECK (length(id) = 32)
) STRICT;
CREATE TABLE log (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  tree BLOB NOT NULL,
  checkpoint BLOB NOT NULL
) STRICT;

-- include: ../../proto/shell/shell.sql

-- name: replace_offering
INSERT OR REPLACE INTO offering (node, kind, id, bytes) VALUES (?1, ?2, ?3, ?4);
-- name: load_offering
SELECT node, kind, id, bytes FROM offering ORDER BY node, kind;

-- name: replace_slot
INSERT OR REPLACE INTO slot (request, buyer, escrow, node, state, attempt, posted, price_micros, expires_ns,
  deadline_ns, payload_size, flags, links, verdicts, history, times)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16);
-- name: load_slot
SELECT request, buyer, escrow, node, state, attempt, posted, price_micros, expires_ns, deadline_ns,
  payload_size, flags, links, verdicts, history, times FROM slot ORDER BY posted;

-- name: insert_open_request
INSERT INTO open_request (request, bytes) VALUES (?1, ?2);
-- name: delete_open_request
DELETE FROM open_request WHERE request = ?1;
-- name: load_open_request
SELECT request, bytes FROM open_request ORDER BY request;

-- name: replace_receipt
INSERT OR REPLACE INTO receipt (request, receipt, note) VALUES (?1, ?2, ?3);
-- name: load_receipt
SELECT request, receipt, note FROM receipt ORDER BY request;

-- name: insert_entry
INSERT INTO entry (log_index, type, id) VALUES (?1, ?2, ?3);
-- name: load_entry
SELECT log_index, type, id FROM entry WHERE 0;

-- name: replace_log
INSERT OR REPLACE INTO log (one, tree, checkpoint) VALUES (?1, ?2, ?3);
-- name: load_log
SELECT one, tree, checkpoint FROM log;

-- The escrow's rows. The core decides what stands in them; ../DESIGN.md says what for.

-- application: 0x41534553

-- migration: 1
-- include: ../../proto/shell/shell_tables.sql
CREATE TABLE account (
  id BLOB PRIMARY KEY CHECK (length(id) = 32),
  owner BLOB NOT NULL CHECK (length(owner) = 32),
  purpose INTEGER NOT NULL CHECK (purpose BETWEEN 1 AND 6),
  asset TEXT NOT NULL,
  balance_micros INTEGER NOT NULL CHECK (purpose = 6 OR balance_micros >= 0),
  UNIQUE (owner, purpose, asset)
) STRICT, WITHOUT ROWID;
-- Inserted, never updated; hash covers the row and the hash before it.
CREATE TABLE transfer (
  seq INTEGER PRIMARY KEY,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  at_ns INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  debit BLOB NOT NULL CHECK (length(debit) = 32),
  debit_purpose INTEGER NOT NULL,
  credit BLOB NOT NULL CHECK (length(credit) = 32),
  credit_purpose INTEGER NOT NULL,
  asset TEXT NOT NULL,
  amount_micros INTEGER NOT NULL CHECK (amount_micros > 0),
  request BLOB NOT NULL CHECK (length(request) = 32)
) STRICT;
CREATE TRIGGER transfer_is_final BEFORE UPDATE ON transfer
BEGIN
  SELECT RAISE(ABORT, 'transfers are never updated');
END;
CREATE TRIGGER transfer_is_kept BEFORE DELETE ON transfer
BEGIN
  SELECT RAISE(ABORT, 'transfers are never deleted');
END;
CREATE TABLE slot (
  request BLOB PRIMARY KEY CHECK (length(request) = 32),
  state INTEGER NOT NULL,
  deadline_ns INTEGER NOT NULL,
  progress BLOB NOT NULL
) STRICT;
CREATE TABLE hold (
  request BLOB PRIMARY KEY CHECK (length(request) = 32),
  terms BLOB NOT NULL
) STRICT;
CREATE TABLE proof (
  request BLOB PRIMARY KEY CHECK (length(request) = 32),
  receipt BLOB NOT NULL,
  note BLOB NOT NULL
) STRICT;
CREATE TABLE operation (
  bucket INTEGER NOT NULL,
  id BLOB NOT NULL CHECK (length(id) = 32),
  content BLOB NOT NULL CHECK (length(content) = 32),
  seq INTEGER NOT NULL REFERENCES transfer (seq),
  PRIMARY KEY (bucket, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE seen (
  seq INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  evidence BLOB NOT NULL CHECK (length(evidence) = 32)
) STRICT;
CREATE TABLE chain (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  sequence INTEGER NOT NULL,
  newest BLOB NOT NULL CHECK (length(newest) = 32)
) STRICT;

-- include: ../../proto/shell/shell.sql

-- name: replace_account
INSERT INTO account (id, owner, purpose, asset, balance_micros) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (id) DO UPDATE SET balance_micros = excluded.balance_micros;
-- name: load_account
SELECT id, owner, purpose, asset, balance_micros FROM account ORDER BY id;

-- name: insert_transfer
INSERT INTO transfer (seq, hash, at_ns, kind, debit, debit_purpose, credit, credit_purpose, asset,
  amount_micros, request)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11);
-- name: load_transfer
-- The newest alone: HISTORY reaches no further (ESCROW_TRANSFERS_DEFAULT).
SELECT seq, hash, at_ns, kind, debit, debit_purpose, credit, credit_purpose, asset, amount_micros,
  request
FROM transfer WHERE seq > (SELECT coalesce(max(seq), 0) FROM transfer) - 16384 ORDER BY seq;

-- name: replace_slot
INSERT OR REPLACE INTO slot (request, state, deadline_ns, progress) VALUES (?1, ?2, ?3, ?4);
-- name: delete_slot
DELETE FROM slot WHERE request = ?1;
-- name: load_slot
SELECT request, state, deadline_ns, progress FROM slot ORDER BY request;

-- name: insert_hold
INSERT INTO hold (request, terms) VALUES (?1, ?2);
-- name: delete_hold
DELETE FROM hold WHERE request = ?1;
-- name: load_hold
SELECT request, terms FROM hold ORDER BY request;

-- name: replace_proof
INSERT OR REPLACE INTO proof (request, receipt, note) VALUES (?1, ?2, ?3);
-- name: delete_proof
DELETE FROM proof WHERE request = ?1;
-- name: load_proof
SELECT request, receipt, note FROM proof ORDER BY request;

-- name: insert_operation
INSERT INTO operation (bucket, id, content, seq) VALUES (?1, ?2, ?3, ?4);
-- name: delete_operation
DELETE FROM operation WHERE bucket = ?1 AND id = ?2;
-- name: load_operation
SELECT bucket, id, content, seq FROM operation ORDER BY bucket, id;

-- name: insert_seen
INSERT INTO seen (seq, digest, evidence) VALUES (?1, ?2, ?3);
-- name: delete_seen
DELETE FROM seen WHERE seq = ?1;
-- name: load_seen
SELECT seq, digest, evidence FROM seen ORDER BY seq;

-- name: replace_chain
INSERT OR REPLACE INTO chain (one, sequence, newest) VALUES (?1, ?2, ?3);
-- name: load_chain
SELECT one, sequence, newest FROM chain;

-- For the escrow's own worker.
-- name: find_proof
SELECT receipt, note FROM proof WHERE request = ?1;

-- The tables that every program with a store has, for `-- include:` in its migration 1. Frozen: changes get a file of
-- their own. Rows are keyed by a sequence, since random keys make a B-tree slow.

-- Statements received or signed here that must be attached later.
CREATE TABLE statement (
	seq INTEGER PRIMARY KEY,
	id BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
	kind INTEGER NOT NULL CHECK (kind > 0),
	request BLOB CHECK (length(request) = 32),
	bytes BLOB NOT NULL CHECK (length(bytes) BETWEEN 1 AND 65535)
) STRICT;

-- Payloads (ciphertext) that travel inside messages; larger ones are files.
CREATE TABLE payload (
	seq INTEGER PRIMARY KEY,
	digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
	request BLOB CHECK (length(request) = 32),
	bytes BLOB NOT NULL
) STRICT;

-- Keys statements of those whose statements are kept.
CREATE TABLE keys (
	seq INTEGER PRIMARY KEY,
	did BLOB NOT NULL CHECK (length(did) = 32),
	id BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
	bytes BLOB NOT NULL CHECK (length(bytes) BETWEEN 1 AND 65535)
) STRICT;
CREATE INDEX keys_by_did ON keys (did);

-- The named statements that the shell needs, for `-- include:` at the top level of a program's .sql file:
--
--	-- application: 0x41534201
--	-- migration: 1
--	-- include: ../../proto/shell/shell_tables.sql
--	CREATE TABLE ...
--	-- include: ../../proto/shell/shell.sql
--	-- name: insert_...

-- A statement that came twice stays as it is, but for the request that it belongs to.
-- name: replace_statement
INSERT INTO statement (id, kind, request, bytes) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (id) DO UPDATE SET request = coalesce(excluded.request, request);

-- name: insert_statement
INSERT INTO statement (id, kind, request, bytes) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (id) DO UPDATE SET request = coalesce(excluded.request, request);

-- name: delete_statement
DELETE FROM statement WHERE id = ?1;

-- A digest has one content only.
-- name: replace_payload
INSERT INTO payload (digest, request, bytes) VALUES (?1, ?2, ?3)
ON CONFLICT (digest) DO UPDATE SET request = excluded.request;

-- name: insert_payload
INSERT INTO payload (digest, request, bytes) VALUES (?1, ?2, ?3)
ON CONFLICT (digest) DO UPDATE SET request = excluded.request;

-- name: delete_payload
DELETE FROM payload WHERE digest = ?1;

-- name: shell_put_keys
INSERT INTO keys (did, id, bytes) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING;

-- name: shell_load_keys
SELECT bytes FROM keys ORDER BY seq;

-- name: shell_find_keys
SELECT bytes FROM keys WHERE did = ?1 ORDER BY seq DESC LIMIT 8;

-- name: shell_get_statement
SELECT bytes, kind FROM statement WHERE id = ?1;

-- name: shell_get_payload
SELECT bytes FROM payload WHERE digest = ?1;

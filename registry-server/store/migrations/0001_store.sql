-- The first schema of the store. Who trusts it: only the registry that owns it; every reader checks what it is shown
-- against signatures. What losing it costs: hosted logs come back from the mirrors, everything else is a fold of logs.
--
-- Sizes and entries count leaves. `since` is the log size from which a row counts: a reader that is shown a log as of
-- size S sees, of each key, the row with the largest `since` that is not above S.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts the openings. A writer whose own number is not the stored one has been taken over by another process.
CREATE TABLE generation (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO generation (one, value) VALUES (1, 0);

CREATE TABLE log (
    id          INTEGER PRIMARY KEY,
    origin      TEXT NOT NULL UNIQUE,
    vkey        TEXT NOT NULL,
    publisher   TEXT,
    hosted      INTEGER NOT NULL CHECK (hosted IN (0, 1)),
    size        INTEGER NOT NULL DEFAULT 0 CHECK (size >= 0),
    served_size INTEGER NOT NULL DEFAULT 0 CHECK (served_size BETWEEN 0 AND size)
) STRICT;
CREATE INDEX log_by_publisher ON log (publisher);

-- Leaf bytes as logged. `payload` is the digest of an envelope's payload, null for a snapshot.
CREATE TABLE leaf (
    log     INTEGER NOT NULL REFERENCES log (id),
    entry   INTEGER NOT NULL,
    payload BLOB CHECK (length(payload) = 32),
    bytes   BLOB NOT NULL,
    PRIMARY KEY (log, entry)
) STRICT;
-- A payload counts once in a log: this index, not a check before, refuses a replay.
CREATE UNIQUE INDEX leaf_payload ON leaf (log, payload) WHERE payload IS NOT NULL;

-- All hashes of a tile known so far; a partial tile is a prefix of it.
CREATE TABLE tile (
    log    INTEGER NOT NULL REFERENCES log (id),
    level  INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    hashes BLOB NOT NULL CHECK (length(hashes) % 32 = 0),
    PRIMARY KEY (log, level, idx)
) STRICT;

CREATE TABLE checkpoint (
    log  INTEGER NOT NULL REFERENCES log (id),
    size INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    note BLOB NOT NULL,
    PRIMARY KEY (log, size)
) STRICT;

CREATE TABLE cosignature (
    log    INTEGER NOT NULL,
    size   INTEGER NOT NULL,
    name   TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    line   TEXT NOT NULL,
    PRIMARY KEY (log, size, name, key_id),
    FOREIGN KEY (log, size) REFERENCES checkpoint (log, size)
) STRICT, WITHOUT ROWID;

-- Every brick that a log released, from the size at which it first appears.
CREATE TABLE brick (
    log   INTEGER NOT NULL REFERENCES log (id),
    brick TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (log, brick)
) STRICT, WITHOUT ROWID;
CREATE INDEX brick_by_name ON brick (brick);

-- One entry wins a version, for ever.
CREATE TABLE release (
    log     INTEGER NOT NULL REFERENCES log (id),
    brick   TEXT NOT NULL,
    version TEXT NOT NULL,
    entry   INTEGER NOT NULL,
    PRIMARY KEY (log, brick, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE line (
    log     INTEGER NOT NULL REFERENCES log (id),
    brick   TEXT NOT NULL,
    entry   INTEGER NOT NULL,
    since   INTEGER NOT NULL,
    version TEXT NOT NULL,
    line    TEXT NOT NULL,
    PRIMARY KEY (log, brick, entry, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX line_by_since ON line (log, since);

CREATE TABLE index_file (
    log    INTEGER NOT NULL REFERENCES log (id),
    brick  TEXT NOT NULL,
    since  INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (log, brick, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_file_by_bucket ON index_file (log, bucket, brick, since);
CREATE INDEX index_file_by_since ON index_file (log, since);

CREATE TABLE bucket_node (
    log   INTEGER NOT NULL REFERENCES log (id),
    level INTEGER NOT NULL,
    idx   INTEGER NOT NULL,
    since INTEGER NOT NULL,
    hash  BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (log, level, idx, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX bucket_node_by_since ON bucket_node (log, since);

CREATE TABLE service (
    log     INTEGER NOT NULL REFERENCES log (id),
    service TEXT NOT NULL,
    since   INTEGER NOT NULL,
    entry   INTEGER NOT NULL,
    json    TEXT NOT NULL,
    PRIMARY KEY (log, service, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX service_by_since ON service (log, since);

-- Blobs that entries name. The file system says what is here; `stored` only saves asking it again.
CREATE TABLE blob (
    sha256 BLOB PRIMARY KEY NOT NULL CHECK (length(sha256) = 32),
    stored INTEGER NOT NULL CHECK (stored IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_missing ON blob (sha256) WHERE stored = 0;

CREATE TABLE blob_use (
    sha256 BLOB NOT NULL REFERENCES blob (sha256),
    log    INTEGER NOT NULL REFERENCES log (id),
    entry  INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (sha256, log, entry, bytes)
) STRICT, WITHOUT ROWID;

-- What this registry, as a witness, last cosigned of each log. Losing it costs the witness its key.
CREATE TABLE witness (
    origin TEXT PRIMARY KEY NOT NULL,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL CHECK (length(root) = 32),
    time   INTEGER NOT NULL,
    note   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Two heads of one log that cannot be connected. Never deleted.
CREATE TABLE evidence (
    id     INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    a      BLOB NOT NULL,
    b      BLOB NOT NULL,
    why    TEXT NOT NULL,
    UNIQUE (origin, digest)
) STRICT;

-- How following each peer goes; `origin` is empty for the peer as a whole.
CREATE TABLE sync (
    peer   TEXT NOT NULL,
    origin TEXT NOT NULL,
    ok     INTEGER NOT NULL CHECK (ok IN (0, 1)),
    why    TEXT NOT NULL,
    since  INTEGER NOT NULL,
    seen   INTEGER NOT NULL,
    PRIMARY KEY (peer, origin)
) STRICT, WITHOUT ROWID;

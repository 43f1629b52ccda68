-- A publish changes the 17 nodes above one bucket. In the order of their levels each lay on a page of its own, and those were
-- half of the pages that a publish wrote. So the tree is cut into parts of four levels, the top one of five, and what is in one
-- part lies together: `part` is the number of the part's topmost node, counted from 1 at the root, level by level.
CREATE TABLE bucket_node_in_parts (
    log   INTEGER NOT NULL REFERENCES log (id),
    part  INTEGER NOT NULL,
    level INTEGER NOT NULL,
    idx   INTEGER NOT NULL,
    since INTEGER NOT NULL,
    hash  BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (log, part, level, idx, since),
    CHECK (part = CASE WHEN level >= 12 THEN 1 ELSE (1 << (16 - (level | 3))) + (idx >> ((level | 3) - level)) END)
) STRICT, WITHOUT ROWID;
INSERT INTO bucket_node_in_parts (log, part, level, idx, since, hash)
    SELECT log, CASE WHEN level >= 12 THEN 1 ELSE (1 << (16 - (level | 3))) + (idx >> ((level | 3) - level)) END,
        level, idx, since, hash
    FROM bucket_node;
DROP TABLE bucket_node;
ALTER TABLE bucket_node_in_parts RENAME TO bucket_node;

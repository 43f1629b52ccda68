-- What no signature covers is sealed, so that `brickyard check` sees a flipped bit in it: the first 16 bytes of the SHA-256
-- of the row's values. Against rot, not against people. Null in rows of before, which are sealed at the next opening.
ALTER TABLE meta ADD COLUMN seal BLOB;
ALTER TABLE sync ADD COLUMN seal BLOB;
ALTER TABLE evidence ADD COLUMN seal BLOB;

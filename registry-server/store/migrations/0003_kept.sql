-- What a newer row superseded is dropped in parts: all of it at once would keep writers waiting where readers were shown the
-- same size for long, as while witnesses are away. Up to this size it is done; never above `served_size`.
ALTER TABLE log ADD COLUMN kept_size INTEGER NOT NULL DEFAULT 0 CHECK (kept_size >= 0);
UPDATE log SET kept_size = served_size;

-- Which nodes of the bucket tree changed since a size follows from the index files that did: each lies in a bucket, and the
-- nodes above it change with it. An index that says the same again was half of what a publish wrote to the database.
DROP INDEX bucket_node_by_since;

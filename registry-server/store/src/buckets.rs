//! Which index files are the current ones? The bucket tree over them, as of a size of its log.

use brick_schemas::{BrickName, Digest};
use rusqlite::{OptionalExtension as _, Row, params};

use crate::asking::demand_kept;
use crate::fault::{ReadError, digest_from_sql, parsed_from_sql, to_sql};
use crate::log::LogId;
use crate::open::Store;

/// Bucket-tree nodes that one call returns, at most.
pub const MAX_NODES_PER_READ: usize = 4_096;

/// Parameters: log, bucket, size. Without statistics SQLite would rather walk all files of the log; the index is named
/// because the statement then fails, instead of becoming slow, if the index ever goes.
pub(crate) const BUCKET: &str = "
    SELECT brick, sha256 FROM index_file AS a INDEXED BY index_file_by_bucket
    WHERE log = ?1 AND bucket = ?2 AND since <= ?3 AND NOT EXISTS (
      SELECT 1 FROM index_file AS b WHERE b.log = a.log AND b.brick = a.brick
        AND b.since > a.since AND b.since <= ?3)";

/// The part of the bucket tree that a node lies in, as an expression of SQL over its level and index. A part is four levels, the
/// top one five; its number is that of its topmost node, counted from 1 at the root, level by level. Nodes of one part lie
/// together, so that those above one bucket lie on four pages instead of seventeen.
macro_rules! part {
    ($level:literal, $idx:literal) => {
        concat!(
            "CASE WHEN ",
            $level,
            " >= 12 THEN 1 ELSE (1 << (16 - (",
            $level,
            " | 3))) + (",
            $idx,
            " >> ((",
            $level,
            " | 3) - ",
            $level,
            ")) END"
        )
    };
}
pub(crate) use part;

/// The same as a number; the table's own check holds it against the expression.
pub(crate) fn part_of(level: u8, index: u32) -> u32 {
    match level {
        12.. => 1,
        _ => (1 << (16 - (level | 3))) + (index >> ((level | 3) - level)),
    }
}

/// Parameters: log, size, level, index.
pub(crate) const NODE: &str = concat!(
    "SELECT hash FROM bucket_node WHERE log = ?1 AND part = ",
    part!("?3", "?4"),
    " AND level = ?3 AND idx = ?4 AND since <= ?2 ORDER BY since DESC LIMIT 1"
);

impl Store {
    /// The bricks of one bucket and the digests of their index files, by name: what the bucket's lines are made
    /// of, which are sorted as whole lines.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn bucket_lines(
        &self,
        log: LogId,
        bucket: u16,
        at_size: u64,
    ) -> Result<Vec<(BrickName, Digest)>, ReadError> {
        let rows = self.read_here(|read| {
            demand_kept(read, log, at_size)?;
            let mut lines = read.prepare_cached(BUCKET)?;
            let line = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?));
            let rows = lines.query_map(params![log.0, bucket, to_sql(at_size)], line)?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })?;
        let lines = rows.into_iter().map(|(brick, sha256)| {
            let brick = parsed_from_sql::<BrickName>(&brick, "a brick's name")?;
            Ok((brick, digest_from_sql(&sha256, "an index file's digest")?))
        });
        let mut lines = lines.collect::<Result<Vec<_>, ReadError>>()?;
        lines.sort();
        Ok(lines)
    }

    /// One node of the bucket tree; `None` for a node that was never given, under which all buckets are empty.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn bucket_node(
        &self,
        log: LogId,
        level: u8,
        index: u32,
        at_size: u64,
    ) -> Result<Option<Digest>, ReadError> {
        Ok(self.bucket_nodes(log, &[(level, index)], at_size).await?.pop().flatten())
    }

    /// Nodes of the bucket tree, in the order asked for.
    ///
    /// - `nodes`: (level, index), of which the first [`MAX_NODES_PER_READ`] are answered.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn bucket_nodes(
        &self,
        log: LogId,
        nodes: &[(u8, u32)],
        at_size: u64,
    ) -> Result<Vec<Option<Digest>>, ReadError> {
        let nodes = &nodes[..nodes.len().min(MAX_NODES_PER_READ)];
        let found = self.read_here(|read| {
            demand_kept(read, log, at_size)?;
            let mut statement = read.prepare_cached(NODE)?;
            let mut found = Vec::with_capacity(nodes.len());
            for (level, index) in nodes {
                let asked = params![log.0, to_sql(at_size), level, index];
                found.push(statement.query_row(asked, |row| row.get::<_, Vec<u8>>(0)).optional()?);
            }
            Ok(found)
        })?;
        let node =
            |hash: Option<Vec<u8>>| hash.map(|hash| digest_from_sql(&hash, "a bucket-tree node")).transpose();
        found.into_iter().map(node).collect()
    }
}

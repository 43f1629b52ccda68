//! Which index files are the current ones? The bucket tree over them, as of a size of its log.

use std::collections::HashMap;

use brick_schemas::{BrickName, Digest};

use crate::fault::{ReadError, digest_from_sql, parsed_from_sql, to_sql};
use crate::log::LogId;
use crate::open::Store;

/// Bucket-tree nodes that one call returns, at most.
pub const MAX_NODES_PER_READ: usize = 4_096;
/// Nodes that one statement asks for: the siblings of one bucket on the way to the root.
const NODES_PER_STATEMENT: usize = 16;

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

/// Parameters: log, size, then 16 pairs of level and index.
pub(crate) const NODES: &str = concat!(
    "
    WITH asked (level, idx) AS (VALUES (?3, ?4), (?5, ?6), (?7, ?8), (?9, ?10), (?11, ?12), (?13, ?14),
      (?15, ?16), (?17, ?18), (?19, ?20), (?21, ?22), (?23, ?24), (?25, ?26), (?27, ?28), (?29, ?30),
      (?31, ?32), (?33, ?34))
    SELECT asked.level, asked.idx, n.hash FROM asked JOIN bucket_node AS n
      ON n.log = ?1 AND n.part = ",
    part!("asked.level", "asked.idx"),
    " AND n.level = asked.level AND n.idx = asked.idx AND n.since = (
        SELECT max(since) FROM bucket_node AS m
        WHERE m.log = ?1 AND m.part = n.part AND m.level = asked.level AND m.idx = asked.idx AND m.since <= ?2)"
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
        let mut read = self.reading_at(log, at_size).await?;
        let rows = sqlx::query_as::<_, (String, Vec<u8>)>(BUCKET)
            .bind(log.0)
            .bind(bucket)
            .bind(to_sql(at_size))
            .fetch_all(&mut *read)
            .await?;
        read.commit().await?;
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

    /// Nodes of the bucket tree, in the order asked for, in one statement for every 16: the siblings of a bucket cost one.
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
        let mut read = self.reading_at(log, at_size).await?;
        let mut found = HashMap::new();
        for chunk in nodes.chunks(NODES_PER_STATEMENT) {
            let mut query = sqlx::query_as::<_, (i64, i64, Vec<u8>)>(NODES).bind(log.0).bind(to_sql(at_size));
            for at in 0..NODES_PER_STATEMENT {
                // Places that are left over ask for a node that cannot be.
                let (level, index) = chunk.get(at).map_or((-1, -1), |(l, i)| (i64::from(*l), i64::from(*i)));
                query = query.bind(level).bind(index);
            }
            for (level, index, hash) in query.fetch_all(&mut *read).await? {
                found.insert((level, index), digest_from_sql(&hash, "a bucket-tree node")?);
            }
        }
        read.commit().await?;
        Ok(nodes.iter().map(|(l, i)| found.get(&(i64::from(*l), i64::from(*i))).copied()).collect())
    }
}

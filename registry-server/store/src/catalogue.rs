//! What does the index say, as of a size of its log? Index files, the bucket tree over them, releases, services, names.
//!
//! Every read names the size `at_size`, from the log's `served_size` to its `size`; other sizes are refused with
//! [`ReadError::NotKept`]. A reader takes [`Log::served_size`](crate::Log::served_size) and, when refused because the
//! registry moved on meanwhile, takes it again.

use std::collections::HashMap;

use brick_schemas::{BrickName, Digest, FullName, PublisherName, Version};

use crate::commit::{FileRow, ServiceRow};
use crate::fault::{ReadError, digest_from_sql, from_sql, parsed_from_sql, to_sql};
use crate::log::LogId;
use crate::open::Store;

/// Bricks that one search returns, at most.
pub const MAX_BRICKS_PER_READ: u32 = 1_000;
/// Bucket-tree nodes that one call returns, at most.
pub const MAX_NODES_PER_READ: usize = 4_096;
/// Nodes that one statement asks for: the siblings of one bucket on the way to the root.
const NODES_PER_STATEMENT: usize = 16;
/// Sorts after every name: names are ASCII.
const AFTER_ALL_NAMES: char = '\u{10ffff}';

/// One release in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Its version.
    pub version: Version,
    /// The leaf index of its entry.
    pub entry: u64,
    /// Its index line, newline included.
    pub line: String,
}

/// One brick that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrickRow {
    /// Its full name.
    pub name: FullName,
    /// The log that releases it.
    pub log: LogId,
    /// The size that this log is served at: what to read its index file as of.
    pub at_size: u64,
}

/// A service as of a size of its publisher's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// The newest entry about it.
    pub row: ServiceRow,
    /// The log size from which that entry counts.
    pub since: u64,
}

impl Store {
    /// A brick's index file: its lines in the order of the release entries, and its digest, compared with the stored one.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when the lines are not the file that was committed; [`ReadError::NotKept`].
    pub async fn index_file(
        &self,
        log: LogId,
        brick: &BrickName,
        at_size: u64,
    ) -> Result<Option<(Vec<u8>, Digest)>, ReadError> {
        let mut read = self.reading_at(log, at_size).await?;
        let sha256 = sqlx::query_scalar::<_, Vec<u8>>(
            "SELECT sha256 FROM index_file WHERE log = ? AND brick = ? AND since <= ?
             ORDER BY since DESC LIMIT 1",
        )
        .bind(log.0)
        .bind(brick.as_str())
        .bind(to_sql(at_size))
        .fetch_optional(&mut *read)
        .await?;
        let Some(sha256) = sha256 else {
            read.commit().await?;
            return Ok(None);
        };
        let lines = sqlx::query_as::<_, (String, i64, String)>(LINES)
            .bind(log.0)
            .bind(brick.as_str())
            .bind(to_sql(at_size))
            .fetch_all(&mut *read)
            .await?;
        read.commit().await?;
        let bytes = lines.iter().flat_map(|(_, _, line)| line.bytes()).collect::<Vec<u8>>();
        let sha256 = digest_from_sql(&sha256, "an index file's digest")?;
        if Digest::of(&bytes) != sha256 {
            return Err(ReadError::Damaged { what: "an index file" });
        }
        Ok(Some((bytes, sha256)))
    }

    /// A brick's releases in the order of their entries; none when there is no such brick.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn lines(
        &self,
        log: LogId,
        brick: &BrickName,
        at_size: u64,
    ) -> Result<Vec<ReleaseRow>, ReadError> {
        let mut read = self.reading_at(log, at_size).await?;
        let rows = sqlx::query_as::<_, (String, i64, String)>(LINES)
            .bind(log.0)
            .bind(brick.as_str())
            .bind(to_sql(at_size))
            .fetch_all(&mut *read)
            .await?;
        read.commit().await?;
        rows.into_iter().map(release_from_sql).collect()
    }

    /// One release.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn release(
        &self,
        log: LogId,
        brick: &BrickName,
        version: &Version,
        at_size: u64,
    ) -> Result<Option<ReleaseRow>, ReadError> {
        let mut read = self.reading_at(log, at_size).await?;
        let row = sqlx::query_as::<_, (String, i64, String)>(
            "SELECT a.version, a.entry, a.line FROM release AS r
             JOIN line AS a ON a.log = r.log AND a.brick = r.brick AND a.entry = r.entry
             WHERE r.log = ?1 AND r.brick = ?2 AND r.version = ?3 AND a.since <= ?4
             ORDER BY a.since DESC LIMIT 1",
        )
        .bind(log.0)
        .bind(brick.as_str())
        .bind(version.to_string())
        .bind(to_sql(at_size))
        .fetch_optional(&mut *read)
        .await?;
        read.commit().await?;
        row.map(release_from_sql).transpose()
    }

    /// The bricks of one bucket and the digests of their index files, by name: what the bucket's leaf hash is made of.
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
        let rows = sqlx::query_as::<_, (String, Vec<u8>)>(
            "SELECT brick, sha256 FROM index_file AS a
             WHERE log = ?1 AND bucket = ?2 AND since <= ?3 AND NOT EXISTS (
               SELECT 1 FROM index_file AS b WHERE b.log = a.log AND b.brick = a.brick
                 AND b.since > a.since AND b.since <= ?3)
             ORDER BY brick",
        )
        .bind(log.0)
        .bind(bucket)
        .bind(to_sql(at_size))
        .fetch_all(&mut *read)
        .await?;
        read.commit().await?;
        rows.into_iter()
            .map(|(brick, sha256)| {
                Ok((
                    parsed_from_sql(&brick, "a brick's name")?,
                    digest_from_sql(&sha256, "an index file's digest")?,
                ))
            })
            .collect()
    }

    /// The index files that changed after `after_size`, as of `at_size`, by name; all of them when `after_size` is 0.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn files_changed(
        &self,
        log: LogId,
        after_size: u64,
        at_size: u64,
    ) -> Result<Vec<FileRow>, ReadError> {
        let mut read = self.reading_at(log, at_size).await?;
        let rows = sqlx::query_as::<_, (String, i64, Vec<u8>, i64)>(
            "SELECT brick, bucket, sha256, bytes FROM index_file AS a
             WHERE log = ?1 AND since > ?2 AND since <= ?3 AND NOT EXISTS (
               SELECT 1 FROM index_file AS b WHERE b.log = a.log AND b.brick = a.brick
                 AND b.since > a.since AND b.since <= ?3)
             ORDER BY brick",
        )
        .bind(log.0)
        .bind(to_sql(after_size))
        .bind(to_sql(at_size))
        .fetch_all(&mut *read)
        .await?;
        read.commit().await?;
        let what = "an index file's row";
        rows.into_iter()
            .map(|(brick, bucket, sha256, bytes)| {
                Ok(FileRow {
                    brick: parsed_from_sql(&brick, what)?,
                    bucket: u16::try_from(bucket).map_err(|_| ReadError::Damaged { what })?,
                    sha256: digest_from_sql(&sha256, what)?,
                    bytes: from_sql(bytes, what)?,
                })
            })
            .collect()
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

    /// The current state of a service.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn service(
        &self,
        log: LogId,
        service: &BrickName,
        at_size: u64,
    ) -> Result<Option<ServiceState>, ReadError> {
        let mut read = self.reading_at(log, at_size).await?;
        let row = sqlx::query_as::<_, (String, i64, i64, String)>(
            "SELECT service, since, entry, json FROM service WHERE log = ? AND service = ? AND since <= ?
             ORDER BY since DESC LIMIT 1",
        )
        .bind(log.0)
        .bind(service.as_str())
        .bind(to_sql(at_size))
        .fetch_optional(&mut *read)
        .await?;
        read.commit().await?;
        row.map(service_from_sql).transpose()
    }

    /// The current state of all services of a log that changed after `after_size`, by name; all when it is 0.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn services(
        &self,
        log: LogId,
        after_size: u64,
        at_size: u64,
    ) -> Result<Vec<ServiceState>, ReadError> {
        let mut read = self.reading_at(log, at_size).await?;
        let rows = sqlx::query_as::<_, (String, i64, i64, String)>(
            "SELECT service, since, entry, json FROM service AS a
             WHERE log = ?1 AND since > ?2 AND since <= ?3 AND NOT EXISTS (
               SELECT 1 FROM service AS b WHERE b.log = a.log AND b.service = a.service
                 AND b.since > a.since AND b.since <= ?3)
             ORDER BY service",
        )
        .bind(log.0)
        .bind(to_sql(after_size))
        .bind(to_sql(at_size))
        .fetch_all(&mut *read)
        .await?;
        read.commit().await?;
        rows.into_iter().map(service_from_sql).collect()
    }

    /// Bricks of all logs, each at the size its log is served at, by full name: those whose publisher or whose own name
    /// begins with `prefix`; with a `/` in it, those whose full name does.
    ///
    /// - `after`: the last name of the page before.
    /// - `limit`: at most [`MAX_BRICKS_PER_READ`].
    ///
    /// # Errors
    /// [`ReadError::Fault`] or [`ReadError::Damaged`].
    pub async fn bricks(
        &self,
        prefix: &str,
        after: Option<&FullName>,
        limit: u32,
    ) -> Result<Vec<BrickRow>, ReadError> {
        let upper = |text: &str| format!("{text}{AFTER_ALL_NAMES}");
        let (after_publisher, after_brick) =
            after.map_or(("", ""), |name| (name.publisher.as_str(), name.brick.as_str()));
        let query = match prefix.split_once('/') {
            Some((publisher, brick)) => sqlx::query_as::<_, (String, String, i64, i64)>(BRICKS_OF_PUBLISHER)
                .bind(publisher)
                .bind(brick)
                .bind(upper(brick)),
            None => sqlx::query_as(BRICKS).bind(prefix).bind(upper(prefix)),
        };
        query
            .bind(after_publisher)
            .bind(after_brick)
            .bind(limit.min(MAX_BRICKS_PER_READ))
            .fetch_all(&self.inner.readers)
            .await?
            .into_iter()
            .map(|(publisher, brick, log, served_size)| {
                let publisher = parsed_from_sql::<PublisherName>(&publisher, "a publisher's name")?;
                let brick = parsed_from_sql::<BrickName>(&brick, "a brick's name")?;
                Ok(BrickRow {
                    name: FullName { publisher, brick },
                    log: LogId(log),
                    at_size: from_sql(served_size, "a log's served size")?,
                })
            })
            .collect()
    }
}

/// Parameters: log, brick, size.
const LINES: &str = "
    SELECT version, entry, line FROM line AS a WHERE log = ?1 AND brick = ?2 AND since <= ?3 AND NOT EXISTS (
      SELECT 1 FROM line AS b WHERE b.log = a.log AND b.brick = a.brick AND b.entry = a.entry
        AND b.since > a.since AND b.since <= ?3)
    ORDER BY entry";

/// Parameters: log, size, then 16 pairs of level and index.
const NODES: &str = "
    WITH asked (level, idx) AS (VALUES (?3, ?4), (?5, ?6), (?7, ?8), (?9, ?10), (?11, ?12), (?13, ?14),
      (?15, ?16), (?17, ?18), (?19, ?20), (?21, ?22), (?23, ?24), (?25, ?26), (?27, ?28), (?29, ?30),
      (?31, ?32), (?33, ?34))
    SELECT a.level, a.idx, n.hash FROM asked AS a JOIN bucket_node AS n
      ON n.log = ?1 AND n.level = a.level AND n.idx = a.idx AND n.since = (
        SELECT max(since) FROM bucket_node AS m
        WHERE m.log = ?1 AND m.level = a.level AND m.idx = a.idx AND m.since <= ?2)";

/// Parameters: prefix, first text after all that begin with it, publisher and brick to go on after, limit.
/// Two ranges, each found by its own index; a brick in both comes once.
const BRICKS: &str = "
    SELECT l.publisher, b.brick, b.log, l.served_size FROM log AS l JOIN brick AS b ON b.log = l.id
      WHERE l.publisher >= ?1 AND l.publisher < ?2 AND b.since <= l.served_size
        AND (l.publisher, b.brick) > (?3, ?4)
    UNION
    SELECT l.publisher, b.brick, b.log, l.served_size FROM brick AS b JOIN log AS l ON l.id = b.log
      WHERE b.brick >= ?1 AND b.brick < ?2 AND l.publisher IS NOT NULL AND b.since <= l.served_size
        AND (l.publisher, b.brick) > (?3, ?4)
    ORDER BY 1, 2, 3 LIMIT ?5";

/// Parameters: publisher, prefix of the brick, first text after it, publisher and brick to go on after, limit.
const BRICKS_OF_PUBLISHER: &str = "
    SELECT l.publisher, b.brick, b.log, l.served_size FROM log AS l JOIN brick AS b ON b.log = l.id
      WHERE l.publisher = ?1 AND b.brick >= ?2 AND b.brick < ?3 AND b.since <= l.served_size
        AND (l.publisher, b.brick) > (?4, ?5)
    ORDER BY 1, 2, 3 LIMIT ?6";

fn release_from_sql((version, entry, line): (String, i64, String)) -> Result<ReleaseRow, ReadError> {
    Ok(ReleaseRow {
        version: parsed_from_sql(&version, "a release's version")?,
        entry: from_sql(entry, "a release's entry")?,
        line,
    })
}

fn service_from_sql(row: (String, i64, i64, String)) -> Result<ServiceState, ReadError> {
    let (service, since, entry, json) = row;
    Ok(ServiceState {
        row: ServiceRow {
            service: parsed_from_sql(&service, "a service's name")?,
            entry: from_sql(entry, "a service's entry")?,
            json,
        },
        since: from_sql(since, "a service's size")?,
    })
}

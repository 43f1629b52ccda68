//! What does the index say, as of a size of its log? Index files and the releases in them.
//!
//! Every read of what a log derives names the size `at_size`, from the log's `served_size` to its `size`; other sizes are
//! refused with [`ReadError::NotKept`]. A reader takes [`Log::served_size`](crate::Log::served_size) and, when refused
//! because the registry moved on meanwhile, takes it again.
//!
//! A row that is found is the newest as of the size asked for: whatever dropped a newer one dropped those before it too. So
//! whoever reads one row need not ask whether the log moved unless there is none; under publishing without pause
//! it always has.

use brick_schemas::{BrickName, Digest, Version};
use rusqlite::{OptionalExtension as _, Row, params};

use crate::asking::demand_kept;
use crate::fault::{ReadError, digest_from_sql, from_sql, parsed_from_sql, to_sql};
use crate::log::LogId;
use crate::open::Store;
use crate::step::FileRow;

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

/// Parameters: log, brick, size. Nothing where the log is not that large.
pub(crate) const FILE: &str = "
    SELECT sha256 FROM index_file WHERE log = ?1 AND brick = ?2 AND since <= ?3
      AND ?3 <= (SELECT size FROM log WHERE id = ?1)
    ORDER BY since DESC LIMIT 1";

/// Parameters: log, brick, size. The `+` keeps SQLite from walking the log's lines by `since` instead of the brick's.
pub(crate) const LINES: &str = "
    SELECT version, entry, line FROM line AS a WHERE log = ?1 AND brick = ?2 AND +since <= ?3 AND NOT EXISTS (
      SELECT 1 FROM line AS b WHERE b.log = a.log AND b.brick = a.brick AND b.entry = a.entry
        AND b.since > a.since AND b.since <= ?3)
    ORDER BY entry";

/// Parameters: log, brick, version, size. Nothing where the log is not that large.
pub(crate) const RELEASE: &str = "
    SELECT a.version, a.entry, a.line FROM release AS r
    JOIN line AS a ON a.log = r.log AND a.brick = r.brick AND a.entry = r.entry
    WHERE r.log = ?1 AND r.brick = ?2 AND r.version = ?3 AND a.since <= ?4
      AND ?4 <= (SELECT size FROM log WHERE id = ?1)
    ORDER BY a.since DESC LIMIT 1";

/// Parameters: log, size after which, size as of which. Sorted by the caller: an order in SQL would be kept by walking
/// all files of the log.
pub(crate) const FILES_CHANGED: &str = "
    SELECT brick, bucket, sha256, bytes FROM index_file AS a
    WHERE log = ?1 AND since > ?2 AND since <= ?3 AND NOT EXISTS (
      SELECT 1 FROM index_file AS b WHERE b.log = a.log AND b.brick = a.brick
        AND b.since > a.since AND b.since <= ?3)";

/// Parameters: log, size after which, size as of which.
pub(crate) const LINES_CHANGED: &str = "
    SELECT brick, version, entry, line FROM line AS a
    WHERE log = ?1 AND since > ?2 AND since <= ?3 AND NOT EXISTS (
      SELECT 1 FROM line AS b WHERE b.log = a.log AND b.brick = a.brick AND b.entry = a.entry
        AND b.since > a.since AND b.since <= ?3)";

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
        let found = self.read_here(|read| {
            let asked = params![log.0, brick.as_str(), to_sql(at_size)];
            let sha256 =
                read.prepare_cached(FILE)?.query_row(asked, |row| row.get::<_, Vec<u8>>(0)).optional()?;
            // While the file's row stands none of its lines was superseded: each change of a line is one of the file.
            let Some(sha256) = sha256 else {
                demand_kept(read, log, at_size)?;
                return Ok(None);
            };
            let mut bytes = Vec::new();
            let mut lines = read.prepare_cached(LINES)?;
            let mut lines = lines.query(asked)?;
            while let Some(line) = lines.next()? {
                bytes.extend_from_slice(line.get_ref(2)?.as_bytes().map_err(rusqlite::Error::from)?);
            }
            Ok(Some((bytes, sha256)))
        })?;
        let Some((bytes, sha256)) = found else { return Ok(None) };
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
        let row = self.read_here(|read| {
            let asked = params![log.0, brick.as_str(), version.to_string(), to_sql(at_size)];
            let row = read
                .prepare_cached(RELEASE)?
                .query_row(asked, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            if row.is_none() {
                demand_kept(read, log, at_size)?;
            }
            Ok(row)
        })?;
        row.map(release_from_sql).transpose()
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
        let rows = self.read_here(|read| {
            demand_kept(read, log, at_size)?;
            let mut files = read.prepare_cached(FILES_CHANGED)?;
            let file = |row: &Row<'_>| {
                let (brick, bucket) = (row.get::<_, String>(0)?, row.get::<_, i64>(1)?);
                Ok((brick, bucket, row.get::<_, Vec<u8>>(2)?, row.get::<_, i64>(3)?))
            };
            let rows = files.query_map(params![log.0, to_sql(after_size), to_sql(at_size)], file)?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })?;
        let what = "an index file's row";
        let files = rows.into_iter().map(|(brick, bucket, sha256, bytes)| {
            Ok(FileRow {
                brick: parsed_from_sql(&brick, what)?,
                bucket: u16::try_from(bucket).map_err(|_| ReadError::Damaged { what })?,
                sha256: digest_from_sql(&sha256, what)?,
                bytes: from_sql(bytes, what)?,
            })
        });
        let mut files = files.collect::<Result<Vec<_>, ReadError>>()?;
        files.sort_by(|a, b| a.brick.cmp(&b.brick));
        Ok(files)
    }

    /// The index lines that changed after `after_size`, as of `at_size`, by brick and entry; all of them when `after_size`
    /// is 0.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn lines_changed(
        &self,
        log: LogId,
        after_size: u64,
        at_size: u64,
    ) -> Result<Vec<(BrickName, ReleaseRow)>, ReadError> {
        let rows = self.read_here(|read| {
            demand_kept(read, log, at_size)?;
            let mut lines = read.prepare_cached(LINES_CHANGED)?;
            let line = |row: &Row<'_>| {
                let (brick, version) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
                Ok((brick, version, row.get::<_, i64>(2)?, row.get::<_, String>(3)?))
            };
            let rows = lines.query_map(params![log.0, to_sql(after_size), to_sql(at_size)], line)?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })?;
        let lines = rows.into_iter().map(|(brick, version, entry, line)| {
            Ok((parsed_from_sql(&brick, "a brick's name")?, release_from_sql((version, entry, line))?))
        });
        let mut lines = lines.collect::<Result<Vec<(BrickName, _)>, ReadError>>()?;
        lines.sort_by(|(a, one), (b, other)| (a, one.entry).cmp(&(b, other.entry)));
        Ok(lines)
    }
}

fn release_from_sql((version, entry, line): (String, i64, String)) -> Result<ReleaseRow, ReadError> {
    Ok(ReleaseRow {
        version: parsed_from_sql(&version, "a release's version")?,
        entry: from_sql(entry, "a release's entry")?,
        line,
    })
}

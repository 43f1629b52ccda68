//! What does a log hold: leaves, tiles, and the checkpoints that were signed over them?

use std::collections::HashSet;
use std::ops::Range;

use brick_schemas::Digest;
use rusqlite::{OptionalExtension as _, params};

use crate::fault::{ReadError, digest_from_sql, from_sql, to_sql};
use crate::log::LogId;
use crate::open::Store;

/// Leaves that one call returns, at most: a whole C2SP entry bundle.
pub const MAX_LEAVES_PER_READ: u64 = 256;
/// Checkpoints that one call returns, at most.
pub const MAX_CHECKPOINTS_PER_READ: u32 = 1_024;

/// One signed head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Leaves under it.
    pub size: u64,
    /// The root hash of their tree.
    pub root: Digest,
    /// The note as the log signed it, without cosignatures.
    pub note: Vec<u8>,
}

/// Payloads that one statement asks for.
const PAYLOADS_PER_STATEMENT: usize = 256;

/// Parameters: log, 256 payloads in one run of bytes.
pub(crate) const KNOWN_PAYLOADS: &str = "
    WITH RECURSIVE asked (at) AS (VALUES (0) UNION ALL SELECT at + 1 FROM asked WHERE at < 255)
    SELECT leaf.payload FROM asked CROSS JOIN leaf
      ON leaf.log = ?1 AND leaf.payload = substr(?2, 1 + 32 * asked.at, 32)";

fn checkpoint_from_sql((size, root, note): (i64, Vec<u8>, Vec<u8>)) -> Result<Checkpoint, ReadError> {
    let what = "a checkpoint";
    Ok(Checkpoint { size: from_sql(size, what)?, root: digest_from_sql(&root, what)?, note })
}

impl Store {
    /// The leaves of `range`, as logged and in order: at most [`MAX_LEAVES_PER_READ`] from its start, fewer at the end of
    /// the log. Whoever wants more asks again from where the answer ended.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when a leaf below the log's size is not there.
    pub async fn leaves(&self, log: LogId, range: Range<u64>) -> Result<Vec<Vec<u8>>, ReadError> {
        let end = range.end.min(range.start.saturating_add(MAX_LEAVES_PER_READ));
        let (end, rows) = self.read_here(|read| {
            let size = read
                .prepare_cached("SELECT size FROM log WHERE id = ?")?
                .query_row([log.0], |row| row.get::<_, i64>(0))
                .optional()?
                .ok_or(ReadError::UnknownLog { log })?;
            let end = end.min(from_sql(size, "a log's size")?);
            let mut leaves = read.prepare_cached(
                "SELECT bytes FROM leaf WHERE log = ? AND entry >= ? AND entry < ? ORDER BY entry",
            )?;
            let rows = leaves
                .query_map(params![log.0, to_sql(range.start), to_sql(end)], |row| row.get::<_, Vec<u8>>(0))?
                .collect::<Result<Vec<_>, _>>()?;
            Ok((end, rows))
        })?;
        // Entries are unique, so as many rows as numbers means that none is missing.
        if rows.len() as u64 != end.saturating_sub(range.start) {
            return Err(ReadError::Damaged { what: "a run of leaves" });
        }
        Ok(rows)
    }

    /// Where in the log an envelope with this payload stands, if it does; the answer to an entry that is sent again.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn payload_index(&self, log: LogId, payload: &Digest) -> Result<Option<u64>, ReadError> {
        self.read_here(|read| {
            let mut entry = read.prepare_cached("SELECT entry FROM leaf WHERE log = ? AND payload = ?")?;
            let asked = params![log.0, payload.as_bytes()];
            Ok(entry.query_row(asked, |row| row.get::<_, i64>(0)).optional()?)
        })?
        .map(|entry| from_sql(entry, "a leaf's index"))
        .transpose()
    }

    /// Which of `payloads` the log holds, however many there are.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn known_payloads(
        &self,
        log: LogId,
        payloads: &[Digest],
    ) -> Result<HashSet<Digest>, ReadError> {
        let mut known = HashSet::new();
        for part in payloads.chunks(PAYLOADS_PER_STATEMENT) {
            let mut asked = part.iter().flat_map(|payload| *payload.as_bytes()).collect::<Vec<u8>>();
            // Places that are left over ask for nothing that is there.
            asked.resize(PAYLOADS_PER_STATEMENT * 32, 0);
            let rows = sqlx::query_scalar::<_, Vec<u8>>(KNOWN_PAYLOADS).bind(log.0).bind(asked);
            for payload in rows.fetch_all(&self.readers()).await? {
                known.insert(digest_from_sql(&payload, "a payload's digest")?);
            }
        }
        Ok(known)
    }

    /// All hashes known so far of a tile, 32 bytes each, at most 256 of them; a partial tile is a prefix.
    ///
    /// - `level`, `index`: as in a C2SP tlog-tiles path; the caller cuts the answer to the size that readers may see.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn tile(&self, log: LogId, level: u8, index: u64) -> Result<Option<Vec<u8>>, ReadError> {
        self.read_here(|read| {
            let mut tile =
                read.prepare_cached("SELECT hashes FROM tile WHERE log = ? AND level = ? AND idx = ?")?;
            Ok(tile.query_row(params![log.0, level, to_sql(index)], |row| row.get(0)).optional()?)
        })
    }

    /// The signed head of exactly that size, if one was signed.
    ///
    /// # Errors
    /// [`ReadError::Fault`] or [`ReadError::Damaged`].
    pub async fn checkpoint(&self, log: LogId, size: u64) -> Result<Option<Checkpoint>, ReadError> {
        sqlx::query_as("SELECT size, root, note FROM checkpoint WHERE log = ? AND size = ?")
            .bind(log.0)
            .bind(to_sql(size))
            .fetch_optional(&self.readers())
            .await?
            .map(checkpoint_from_sql)
            .transpose()
    }

    /// The root that was signed for exactly that size: what an entry's `basis` must name.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub async fn root_at(&self, log: LogId, size: u64) -> Result<Option<Digest>, ReadError> {
        sqlx::query_scalar::<_, Vec<u8>>("SELECT root FROM checkpoint WHERE log = ? AND size = ?")
            .bind(log.0)
            .bind(to_sql(size))
            .fetch_optional(&self.readers())
            .await?
            .map(|root| digest_from_sql(&root, "a checkpoint"))
            .transpose()
    }

    /// The largest signed head, if any was signed.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub async fn last_checkpoint(&self, log: LogId) -> Result<Option<Checkpoint>, ReadError> {
        self.checkpoint_at_most(log, u64::MAX).await
    }

    /// The largest signed head of at most `size` leaves, if there is one.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub async fn checkpoint_at_most(&self, log: LogId, size: u64) -> Result<Option<Checkpoint>, ReadError> {
        sqlx::query_as(
            "SELECT size, root, note FROM checkpoint WHERE log = ? AND size <= ? ORDER BY size DESC LIMIT 1",
        )
        .bind(log.0)
        .bind(to_sql(size))
        .fetch_optional(&self.readers())
        .await?
        .map(checkpoint_from_sql)
        .transpose()
    }

    /// Signed heads larger than `size`, smallest first, at most `limit` and [`MAX_CHECKPOINTS_PER_READ`].
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub async fn checkpoints_after(
        &self,
        log: LogId,
        size: u64,
        limit: u32,
    ) -> Result<Vec<Checkpoint>, ReadError> {
        sqlx::query_as(
            "SELECT size, root, note FROM checkpoint WHERE log = ? AND size > ? ORDER BY size LIMIT ?",
        )
        .bind(log.0)
        .bind(to_sql(size))
        .bind(limit.min(MAX_CHECKPOINTS_PER_READ))
        .fetch_all(&self.readers())
        .await?
        .into_iter()
        .map(checkpoint_from_sql)
        .collect()
    }
}

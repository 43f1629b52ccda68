//! Which size of a log are readers shown, and what can nobody ask for any more?

use sqlx::{Sqlite, Transaction};

use crate::buckets::part;
use crate::fault::{Fault, ReadError, from_sql, holds_fault, to_sql};
use crate::log::LogId;
use crate::open::Store;

/// Why readers cannot be shown that size.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No log of that number.
    #[error("there is no log {log} in the store")]
    UnknownLog {
        /// The number given.
        log: LogId,
    },
    /// Readers were shown more already, or no head of that size was signed.
    #[error("log {log} serves {served_size} of {size} leaves; it cannot serve {asked}")]
    NotASize {
        /// The log.
        log: LogId,
        /// The size asked for.
        asked: u64,
        /// The size served now.
        served_size: u64,
        /// Leaves stored.
        size: u64,
    },
    /// What is stored could not be read.
    #[error(transparent)]
    Read(ReadError),
    /// The database or the disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
holds_fault!(ServeError);

/// Parts of what is superseded that one call drops, at most; what is left is dropped by the next ones.
const PARTS_AT_ONCE: u32 = 16;

/// The part of a log whose rows may supersede older ones, and that are looked at in one transaction: the leaf after which it
/// begins, and the size with which it ends. Of 256 leaves at most, a few milliseconds, unless one step of the log was
/// longer.
///
/// Parameters: log, size that readers are shown.
pub(crate) const PART: &str = "
    SELECT kept_size, max(kept_size, min(?2, max(kept_size + 256, ifnull(
      (SELECT min(since) FROM index_file WHERE log = ?1 AND since > kept_size), 0))))
    FROM log WHERE id = ?1";

/// Drops what a newer row supersedes at a size that readers are shown. Only rows that came since this was done before can
/// supersede anything, so the cost follows what is new, not what is there.
///
/// Of lines, index files, bucket nodes and services. Parameters: log, the leaf after which the part begins, its end. Comes
/// before [`SHOW`].
pub(crate) const PRUNE: [&str; 4] = [
    "DELETE FROM line WHERE (log, brick, entry, since) IN (
       SELECT old.log, old.brick, old.entry, old.since FROM line AS new JOIN line AS old
         ON old.log = new.log AND old.brick = new.brick AND old.entry = new.entry AND old.since < new.since
       WHERE new.log = ?1 AND new.since > ?2 AND new.since <= ?3)",
    "DELETE FROM index_file WHERE (log, brick, since) IN (
       SELECT old.log, old.brick, old.since FROM index_file AS new JOIN index_file AS old
         ON old.log = new.log AND old.brick = new.brick AND old.since < new.since
       WHERE new.log = ?1 AND new.since > ?2 AND new.since <= ?3)",
    // The nodes that changed are those above the buckets of the index files that did.
    concat!(
        "DELETE FROM bucket_node WHERE (log, part, level, idx, since) IN (
       WITH RECURSIVE place (level, idx) AS (
         SELECT 0, bucket FROM index_file AS changed INDEXED BY index_file_by_since
           WHERE changed.log = ?1 AND changed.since > ?2 AND changed.since <= ?3
         UNION SELECT level + 1, idx / 2 FROM place WHERE level < 16)
       SELECT old.log, old.part, old.level, old.idx, old.since FROM place CROSS JOIN bucket_node AS old
           ON old.log = ?1 AND old.part = ",
        part!("place.level", "place.idx"),
        " AND old.level = place.level AND old.idx = place.idx AND old.since < (
             SELECT max(since) FROM bucket_node AS new WHERE new.log = ?1 AND new.part = old.part
               AND new.level = place.level AND new.idx = place.idx AND new.since <= ?3))"
    ),
    "DELETE FROM service WHERE (log, service, since) IN (
       SELECT old.log, old.service, old.since FROM service AS new JOIN service AS old
         ON old.log = new.log AND old.service = new.service AND old.since < new.since
       WHERE new.log = ?1 AND new.since > ?2 AND new.since <= ?3)",
];

/// Parameters: log, size served from now on, end of the part. Comes after [`PRUNE`].
pub(crate) const SHOW: &str = "UPDATE log SET served_size = ?2, kept_size = ?3 WHERE id = ?1";
/// Parameters: size served from now on, log.
pub(crate) const FORGET_COSIGNATURES: &str = "DELETE FROM cosignature WHERE size < ? AND log = ?";

/// What became of a size that readers are to be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Served {
    /// They were shown it before.
    Before,
    /// They are, and what it supersedes is gone.
    Now,
    /// They are, and more is superseded than one transaction drops.
    WithMoreToDrop,
}

impl Store {
    /// Shows readers the log as of `size`, and drops what was superseded by then, with the cosignatures of smaller heads.
    /// Returns whether anything changed. Where there is very much to drop, others write in between, and some is left.
    ///
    /// # Errors
    /// [`ServeError::NotASize`] when `size` is smaller than the size served now, or no head of it was signed.
    pub async fn set_served(&self, log: LogId, size: u64) -> Result<bool, ServeError> {
        let served = self.watch(self.serve(log, size).await)?;
        let mut is_left = served == Served::WithMoreToDrop;
        for _ in 1..PARTS_AT_ONCE {
            if !is_left {
                break;
            }
            is_left = !self.watch(self.drop_part(log, size).await)?;
        }
        Ok(served != Served::Before)
    }

    /// Drops what is superseded at `size`, however much there is and whatever readers are shown: for a store that is held
    /// against one that has dropped as much.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn drop_superseded(&self, log: LogId, size: u64) -> Result<(), Fault> {
        while !self.watch(self.drop_part(log, size).await)? {}
        Ok(())
    }

    /// Drops a part of what is superseded at `size`. Returns whether that was the last.
    async fn drop_part(&self, log: LogId, size: u64) -> Result<bool, Fault> {
        let mut writing = self.writing().await?;
        let mut tx = writing.begin().await?;
        let upto = prune(&mut tx, log, size).await?;
        if let Some(upto) = upto {
            let query = sqlx::query("UPDATE log SET kept_size = ? WHERE id = ?").bind(upto).bind(log.0);
            query.execute(&mut *tx).await?;
        }
        tx.commit().await?;
        writing.done();
        Ok(upto.is_none_or(|upto| upto >= to_sql(size)))
    }

    async fn serve(&self, log: LogId, size: u64) -> Result<Served, ServeError> {
        let mut writing = self.writing().await?;
        let mut tx = writing.begin().await?;
        let row = sqlx::query_as::<_, (i64, i64, bool)>(
            "SELECT served_size, size, EXISTS (SELECT 1 FROM checkpoint WHERE log = ?1 AND size = ?2)
             FROM log WHERE id = ?1",
        )
        .bind(log.0)
        .bind(to_sql(size))
        .fetch_optional(&mut *tx)
        .await?;
        let outcome = match row {
            None => Err(ServeError::UnknownLog { log }),
            Some((served_size, ..)) if served_size == to_sql(size) => Ok(Served::Before),
            Some((served_size, stored, is_signed)) if to_sql(size) < served_size || !is_signed => {
                let what = "a log's size";
                let served_size = from_sql(served_size, what).map_err(ServeError::Read)?;
                let stored = from_sql(stored, what).map_err(ServeError::Read)?;
                Err(ServeError::NotASize { log, asked: size, served_size, size: stored })
            }
            Some(_) => {
                let is_all = move_served(&mut tx, log, size).await?;
                Ok(if is_all { Served::Now } else { Served::WithMoreToDrop })
            }
        };
        // Nothing was written unless the size moved, so there is nothing that would have to be taken back.
        tx.commit().await?;
        writing.done();
        outcome
    }
}

/// Moves what readers see to `size`, a signed head of the log. Returns whether all that it supersedes is gone.
async fn move_served(tx: &mut Transaction<'_, Sqlite>, log: LogId, size: u64) -> Result<bool, Fault> {
    let upto = prune(tx, log, size).await?;
    sqlx::query(SHOW).bind(log.0).bind(to_sql(size)).bind(upto).execute(&mut **tx).await?;
    sqlx::query(FORGET_COSIGNATURES).bind(to_sql(size)).bind(log.0).execute(&mut **tx).await?;
    Ok(upto.is_none_or(|upto| upto >= to_sql(size)))
}

/// Drops a part of what is superseded at `size`. Returns the part's end, of a log that there is.
async fn prune(tx: &mut Transaction<'_, Sqlite>, log: LogId, size: u64) -> Result<Option<i64>, Fault> {
    let part = sqlx::query_as::<_, (i64, i64)>(PART).bind(log.0).bind(to_sql(size));
    let Some((after, upto)) = part.fetch_optional(&mut **tx).await? else { return Ok(None) };
    for statement in PRUNE {
        sqlx::query(statement).bind(log.0).bind(after).bind(upto).execute(&mut **tx).await?;
    }
    Ok(Some(upto))
}

//! Which size of a log are readers shown, and what can nobody ask for any more?

use sqlx::{Sqlite, Transaction};

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

/// Drops what a newer row supersedes at the size served now. Only rows that came since the size served before can
/// supersede anything, so the cost follows what is new, not what is there.
///
/// Parameters: log, log again, size served from now on. Comes before [`SHOW`].
pub(crate) const PRUNE: [&str; 4] = [
    "DELETE FROM line WHERE (log, brick, entry, since) IN (
       SELECT old.log, old.brick, old.entry, old.since FROM line AS new JOIN line AS old
         ON old.log = new.log AND old.brick = new.brick AND old.entry = new.entry AND old.since < new.since
       WHERE new.log = ? AND new.since > (SELECT served_size FROM log WHERE id = ?) AND new.since <= ?)",
    "DELETE FROM index_file WHERE (log, brick, since) IN (
       SELECT old.log, old.brick, old.since FROM index_file AS new JOIN index_file AS old
         ON old.log = new.log AND old.brick = new.brick AND old.since < new.since
       WHERE new.log = ? AND new.since > (SELECT served_size FROM log WHERE id = ?) AND new.since <= ?)",
    "DELETE FROM bucket_node WHERE (log, level, idx, since) IN (
       SELECT old.log, old.level, old.idx, old.since FROM bucket_node AS new JOIN bucket_node AS old
         ON old.log = new.log AND old.level = new.level AND old.idx = new.idx AND old.since < new.since
       WHERE new.log = ? AND new.since > (SELECT served_size FROM log WHERE id = ?) AND new.since <= ?)",
    "DELETE FROM service WHERE (log, service, since) IN (
       SELECT old.log, old.service, old.since FROM service AS new JOIN service AS old
         ON old.log = new.log AND old.service = new.service AND old.since < new.since
       WHERE new.log = ? AND new.since > (SELECT served_size FROM log WHERE id = ?) AND new.since <= ?)",
];

/// Parameters: size served from now on, log.
pub(crate) const SHOW: &str = "UPDATE log SET served_size = ? WHERE id = ?";
/// Parameters: size served from now on, log.
pub(crate) const FORGET_COSIGNATURES: &str = "DELETE FROM cosignature WHERE size < ? AND log = ?";

impl Store {
    /// Shows readers the log as of `size`, and drops what was superseded by then, with the cosignatures of smaller heads.
    /// Returns whether anything changed.
    ///
    /// # Errors
    /// [`ServeError::NotASize`] when `size` is smaller than the size served now, or no head of it was signed.
    pub async fn set_served(&self, log: LogId, size: u64) -> Result<bool, ServeError> {
        self.watch(self.serve(log, size).await)
    }

    async fn serve(&self, log: LogId, size: u64) -> Result<bool, ServeError> {
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
            Some((served_size, _, _)) if served_size == to_sql(size) => Ok(false),
            Some((served_size, stored, is_signed)) if to_sql(size) < served_size || !is_signed => {
                let what = "a log's size";
                let served_size = from_sql(served_size, what).map_err(ServeError::Read)?;
                let stored = from_sql(stored, what).map_err(ServeError::Read)?;
                Err(ServeError::NotASize { log, asked: size, served_size, size: stored })
            }
            Some(_) => {
                move_served(&mut tx, log, size).await?;
                Ok(true)
            }
        };
        // Nothing was written unless the size moved, so there is nothing that would have to be taken back.
        tx.commit().await?;
        writing.done();
        outcome
    }
}

/// Moves what readers see to `size`, a signed head of the log.
async fn move_served(tx: &mut Transaction<'_, Sqlite>, log: LogId, size: u64) -> Result<(), Fault> {
    for statement in PRUNE {
        sqlx::query(statement).bind(log.0).bind(log.0).bind(to_sql(size)).execute(&mut **tx).await?;
    }
    for statement in [SHOW, FORGET_COSIGNATURES] {
        sqlx::query(statement).bind(to_sql(size)).bind(log.0).execute(&mut **tx).await?;
    }
    Ok(())
}

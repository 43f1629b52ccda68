//! Which witnesses vouched for a head?

use crate::fault::{Fault, ReadError, from_sql, holds_fault, to_sql};
use crate::log::LogId;
use crate::open::Store;

/// Cosignatures of one head, at most: a vote of every registry that the design plans for.
pub const MAX_COSIGNATURES: usize = 1_024;
/// Bytes of a cosignature's line, at most.
const MAX_COSIGNATURE_BYTES: usize = 4_096;

/// One witness's cosignature of one head. The store does not verify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignatureRow {
    /// The witness key's id, as in C2SP signed-note, read as a big-endian number.
    pub key_id: u32,
    /// The witness key's name.
    pub name: String,
    /// When it was made, in Unix seconds.
    pub time: u64,
    /// The signature line as it stands in the note.
    pub line: String,
}

/// Why cosignatures were not kept. None of them was.
#[derive(Debug, thiserror::Error)]
pub enum CosignatureError {
    /// No head of that size was signed.
    #[error("there is no checkpoint of {size} leaves in log {log}")]
    UnknownCheckpoint {
        /// The log.
        log: LogId,
        /// The size given.
        size: u64,
    },
    /// More than one head may have, or a line that is too long.
    #[error("the cosignatures of log {log} at {size} leaves are too many or too long")]
    TooMany {
        /// The log.
        log: LogId,
        /// The size given.
        size: u64,
    },
    /// The database or the disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
holds_fault!(CosignatureError);

impl Store {
    /// Keeps cosignatures of the head of `size` leaves: of each key (name and id) the newest.
    ///
    /// # Errors
    /// See [`CosignatureError`].
    pub async fn put_cosignatures(
        &self,
        log: LogId,
        size: u64,
        rows: &[CosignatureRow],
    ) -> Result<(), CosignatureError> {
        self.watch(self.keep_cosignatures(log, size, rows).await)
    }

    async fn keep_cosignatures(
        &self,
        log: LogId,
        size: u64,
        rows: &[CosignatureRow],
    ) -> Result<(), CosignatureError> {
        if rows.len() > MAX_COSIGNATURES || rows.iter().any(|row| row.line.len() > MAX_COSIGNATURE_BYTES) {
            return Err(CosignatureError::TooMany { log, size });
        }
        let mut writing = self.writing().await?;
        let mut tx = writing.begin().await?;
        let is_signed = sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (SELECT 1 FROM checkpoint WHERE log = ? AND size = ?)",
        )
        .bind(log.0)
        .bind(to_sql(size))
        .fetch_one(&mut *tx)
        .await?;
        if is_signed {
            for row in rows {
                sqlx::query(
                    "INSERT INTO cosignature (log, size, name, key_id, time, line) VALUES (?, ?, ?, ?, ?, ?)
                     ON CONFLICT (log, size, name, key_id) DO UPDATE SET time = excluded.time, line = excluded.line
                     WHERE excluded.time > cosignature.time",
                )
                .bind(log.0)
                .bind(to_sql(size))
                .bind(&row.name)
                .bind(row.key_id)
                .bind(to_sql(row.time))
                .bind(&row.line)
                .execute(&mut *tx)
                .await?;
            }
        }
        let kept =
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM cosignature WHERE log = ? AND size = ?")
                .bind(log.0)
                .bind(to_sql(size))
                .fetch_one(&mut *tx)
                .await?;
        let outcome = if !is_signed {
            Err(CosignatureError::UnknownCheckpoint { log, size })
        } else if kept > MAX_COSIGNATURES as i64 {
            Err(CosignatureError::TooMany { log, size })
        } else {
            Ok(())
        };
        match outcome {
            Ok(()) => tx.commit().await?,
            Err(_) => tx.rollback().await?,
        }
        writing.done();
        outcome
    }

    /// The cosignatures of the head of `size` leaves, by key name and id.
    ///
    /// # Errors
    /// [`ReadError::Fault`] or [`ReadError::Damaged`].
    pub async fn cosignatures(&self, log: LogId, size: u64) -> Result<Vec<CosignatureRow>, ReadError> {
        sqlx::query_as::<_, (i64, String, i64, String)>(
            "SELECT key_id, name, time, line FROM cosignature WHERE log = ? AND size = ? ORDER BY name, key_id",
        )
        .bind(log.0)
        .bind(to_sql(size))
        .fetch_all(&self.readers())
        .await?
        .into_iter()
        .map(|(key_id, name, time, line)| {
            let what = "a cosignature";
            let key_id = u32::try_from(key_id).map_err(|_| ReadError::Damaged { what })?;
            Ok(CosignatureRow { key_id, name, time: from_sql(time, what)?, line })
        })
        .collect()
    }
}

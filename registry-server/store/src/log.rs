//! Which logs does the registry hold, and how far?

use brick_schemas::{Origin, PublisherName};

use crate::fault::{Fault, ReadError, from_sql, holds_fault, parsed_from_sql};
use crate::open::Store;

/// A log's number in this store; it means nothing outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub(crate) i64);

impl LogId {
    /// The number of no log.
    pub const NONE: Self = Self(0);
}

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One log that the registry hosts or mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its number here.
    pub id: LogId,
    /// Its origin; no two logs share one.
    pub origin: Origin,
    /// The verifier key of the log's own signatures, as in C2SP signed-note.
    pub vkey: String,
    /// Whose log it is; `None` for a commons log.
    pub publisher: Option<PublisherName>,
    /// Whether this registry signs it (otherwise it mirrors it).
    pub hosted: bool,
    /// Leaves stored; there is a checkpoint of this size unless it is 0.
    pub size: u64,
    /// The size that readers are shown, at most `size`.
    pub served_size: u64,
    /// Up to which size what was superseded is dropped, at most `served_size`: that is done in parts.
    pub kept_size: u64,
}

/// Why a log could not be added.
#[derive(Debug, thiserror::Error)]
pub enum CreateLogError {
    /// There is one already, perhaps with another key or publisher.
    #[error("there is a log {origin} already")]
    Exists {
        /// Its origin.
        origin: Origin,
    },
    /// What was written could not be read back.
    #[error(transparent)]
    Read(ReadError),
    /// The database or the disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
holds_fault!(CreateLogError);

type LogColumns = (i64, String, String, Option<String>, bool, i64, i64, i64);

fn log_from_sql(row: LogColumns) -> Result<Log, ReadError> {
    let (id, origin, vkey, publisher, hosted, size, served_size, kept_size) = row;
    Ok(Log {
        id: LogId(id),
        origin: parsed_from_sql(&origin, "a log's origin")?,
        vkey,
        publisher: publisher.map(|name| parsed_from_sql(&name, "a log's publisher")).transpose()?,
        hosted,
        size: from_sql(size, "a log's size")?,
        served_size: from_sql(served_size, "a log's served size")?,
        kept_size: from_sql(kept_size, "a log's kept size")?,
    })
}

impl Store {
    /// Adds an empty log.
    ///
    /// - `vkey`: the verifier key of the log's own signatures; kept as given.
    /// - `hosted`: whether this registry signs it.
    ///
    /// # Errors
    /// [`CreateLogError::Exists`] when the origin is taken.
    pub async fn create_log(
        &self,
        origin: &Origin,
        vkey: &str,
        publisher: Option<&PublisherName>,
        hosted: bool,
    ) -> Result<Log, CreateLogError> {
        self.watch(self.insert_log(origin, vkey, publisher, hosted).await)
    }

    async fn insert_log(
        &self,
        origin: &Origin,
        vkey: &str,
        publisher: Option<&PublisherName>,
        hosted: bool,
    ) -> Result<Log, CreateLogError> {
        let mut writing = self.writing().await?;
        let mut tx = writing.begin().await?;
        let row = sqlx::query_as::<_, LogColumns>(
            "INSERT INTO log (origin, vkey, publisher, hosted) VALUES (?, ?, ?, ?) ON CONFLICT (origin) DO NOTHING
             RETURNING id, origin, vkey, publisher, hosted, size, served_size, kept_size",
        )
        .bind(origin.as_str())
        .bind(vkey)
        .bind(publisher.map(PublisherName::as_str))
        .bind(hosted)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        writing.done();
        let row = row.ok_or_else(|| CreateLogError::Exists { origin: origin.clone() })?;
        log_from_sql(row).map_err(CreateLogError::Read)
    }

    /// All logs, by origin.
    ///
    /// # Errors
    /// [`ReadError::Fault`], or [`ReadError::Damaged`] for a row that the store did not write.
    pub async fn logs(&self) -> Result<Vec<Log>, ReadError> {
        sqlx::query_as::<_, LogColumns>(
            "SELECT id, origin, vkey, publisher, hosted, size, served_size, kept_size FROM log ORDER BY origin",
        )
        .fetch_all(&self.readers())
        .await?
        .into_iter()
        .map(log_from_sql)
        .collect()
    }

    /// The log of that origin, if the registry holds it.
    ///
    /// # Errors
    /// As [`logs`](Self::logs).
    pub async fn log(&self, origin: &Origin) -> Result<Option<Log>, ReadError> {
        sqlx::query_as::<_, LogColumns>(
            "SELECT id, origin, vkey, publisher, hosted, size, served_size, kept_size FROM log WHERE origin = ?",
        )
        .bind(origin.as_str())
        .fetch_optional(&self.readers())
        .await?
        .map(log_from_sql)
        .transpose()
    }
}

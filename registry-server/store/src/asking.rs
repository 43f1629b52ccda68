//! What is read on the asker's own thread? All that publishing and its projection read: a change of threads there and back costs
//! ten times as much as a row.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use brick_schemas::{BrickName, Digest, Version};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use crate::commit::in_place;
use crate::fault::{Fault, ReadError, from_sql};
use crate::log::LogId;
use crate::open::{Flush, Store, StoreOptions, check_kept, pragmas};

/// Parameters: log, payload, brick, version.
pub(crate) const STANDING: &str = "
    SELECT (SELECT entry FROM leaf WHERE log = ?1 AND payload = ?2),
      (SELECT entry FROM release WHERE log = ?1 AND brick = ?3 AND version = ?4)";

/// Where an entry stands, and its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The leaf with the same payload.
    pub entry: Option<u64>,
    /// The leaf that released the same version of the same brick.
    pub released: Option<u64>,
}

/// A connection that answers one question after the other.
pub(crate) struct Asking {
    path: PathBuf,
    options: StoreOptions,
    flush: Flush,
    /// None before the first question, and after one that failed.
    connection: Mutex<Option<Connection>>,
}

impl Asking {
    /// - `path`: of a database that is there.
    ///
    /// # Errors
    /// [`Fault`] where it cannot be opened.
    pub(crate) fn open(path: &Path, options: &StoreOptions, flush: Flush) -> Result<Self, Fault> {
        let asking =
            Self { path: path.to_owned(), options: options.clone(), flush, connection: Mutex::new(None) };
        let connection = asking.connect()?;
        *asking.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(asking)
    }

    fn connect(&self) -> Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.options.busy_timeout())?;
        for (name, value) in pragmas(&self.options, self.flush) {
            connection.pragma_update(None, name, value)?;
        }
        connection.pragma_update(None, "query_only", "ON")?;
        Ok(connection)
    }

    /// Closes the connection: the next question opens another.
    pub(crate) fn close(&self) {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        self.ask_by(self.connection.lock().unwrap_or_else(PoisonError::into_inner), question)
    }

    /// [`ask`](Self::ask) for a few rows by their keys: on the spot where nobody else is asking, since giving the runtime's thread to
    /// others and coming back costs more than the answer. So at most one thread of the runtime waits for the disk here.
    fn ask_briefly<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        match self.connection.try_lock() {
            Ok(slot) if slot.is_some() => self.ask_by(slot, question),
            slot => {
                drop(slot);
                in_place(|| self.ask(question))
            }
        }
    }

    fn ask_by<T>(
        &self,
        mut slot: MutexGuard<'_, Option<Connection>>,
        question: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let connection = match slot.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let answer = question(&connection);
        // After a fault nobody can be sure what the connection still knows; opening another costs a millisecond.
        if !matches!(answer, Err(ReadError::Fault(_))) {
            *slot = Some(connection);
        }
        answer
    }
}

/// Demands that all that a log derives is kept as of `at_size`, as the transaction sees it.
///
/// # Errors
/// [`ReadError::NotKept`], [`ReadError::UnknownLog`].
pub(crate) fn demand_kept(read: &Transaction<'_>, log: LogId, at_size: u64) -> Result<(), ReadError> {
    let row = read
        .prepare_cached("SELECT served_size, size FROM log WHERE id = ?")?
        .query_row([log.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(ReadError::UnknownLog { log })?;
    check_kept(log, row, at_size)
}

impl Store {
    /// Where in the log an entry stands already, and where the version that it would release. The calling thread waits for
    /// the answer.
    ///
    /// - `payload`: SHA-256 of its payload.
    /// - `release`: what it releases, if it is a release.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub fn standing(
        &self,
        log: LogId,
        payload: &Digest,
        release: Option<(&BrickName, &Version)>,
    ) -> Result<Standing, ReadError> {
        let (brick, version) = release.unzip();
        let question = |connection: &Connection| {
            let (brick, version) = (brick.map(BrickName::as_str), version.map(ToString::to_string));
            let asked = params![log.0, payload.as_bytes(), brick, version];
            let found = connection
                .prepare_cached(STANDING)?
                .query_row(asked, |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
            Ok(found)
        };
        let (entry, released) = self.inner.asking.ask_briefly(question).map_err(|err| match err {
            ReadError::Fault(fault) => ReadError::Fault(self.note_damage(fault)),
            other => other,
        })?;
        let index = |entry: Option<i64>| entry.map(|entry| from_sql(entry, "a leaf's index")).transpose();
        Ok(Standing { entry: index(entry)?, released: index(released)? })
    }

    /// Reads in one transaction. The calling thread waits for it; what else waits for its turn on it goes on elsewhere.
    pub(crate) fn read_here<T>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let question = |connection: &Connection| {
            let transaction = connection.unchecked_transaction()?;
            let rows = read(&transaction)?;
            transaction.commit()?;
            Ok(rows)
        };
        let [one, other] = &self.inner.reading;
        let free = if one.connection.try_lock().is_ok() { one } else { other };
        in_place(|| free.ask(question))
    }
}

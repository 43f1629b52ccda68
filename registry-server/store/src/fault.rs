//! What went wrong beneath: the disk, the database, or what was read from it.

use brick_schemas::Digest;

use crate::LogId;
use crate::trouble::{Trouble, is_out_of_files};

/// What a library of the database says: the one for steps of logs, or the one for all else.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum SqlError {
    /// For all else.
    Sqlx(#[from] sqlx::Error),
    /// For steps.
    Rusqlite(#[from] rusqlite::Error),
}

/// A failure of the database or of the disk below it. Nothing of the operation was written, except after [`Fault::Io`]
/// in a commit: then the outcome is not known until the store is opened again.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No room for the write. Reads go on; writes succeed again when there is room.
    #[error("the disk of the store is full")]
    DiskFull(#[source] SqlError),
    /// Another connection held a lock, or all readers were busy, for longer than the time-out.
    #[error("the store was busy for too long")]
    Locked(#[source] SqlError),
    /// The file system or the database file refuses writes.
    #[error("the store is on a read-only file system")]
    ReadOnly(#[source] SqlError),
    /// As many files are open as this process, or the machine, may have.
    #[error("the store cannot open its database: too many files are open")]
    NoFiles(#[source] SqlError),
    /// The database file cannot be opened just now.
    #[error("the store cannot open its database")]
    CannotOpen(#[source] SqlError),
    /// The disk failed to read or write. After a failed write the store stops writing, see [`Fault::Stopped`].
    #[error("the disk of the store failed")]
    Io(#[source] SqlError),
    /// The database file is damaged.
    #[error("the database of the store is damaged")]
    Damaged(#[source] SqlError),
    /// A disk failure came before. A page whose write failed may look clean afterwards, so nothing is written until the
    /// store has been opened again, and looked through: see [`Store::try_again`](crate::Store::try_again).
    #[error("the store stopped writing until it has been looked through: {0}")]
    Stopped(Trouble),
    /// Another process has opened the same store since.
    #[error("another process has taken over the store")]
    TakenOver,
    /// Anything else that the database reports.
    #[error("the database of the store refused")]
    Other(#[source] SqlError),
}

impl From<sqlx::Error> for Fault {
    fn from(err: sqlx::Error) -> Self {
        let code = match &err {
            sqlx::Error::PoolTimedOut => return Self::Locked(err.into()),
            sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => {
                return Self::DiskFull(err.into());
            }
            sqlx::Error::Io(io) if is_out_of_files(io) => return Self::NoFiles(err.into()),
            sqlx::Error::Io(_) => return Self::Io(err.into()),
            sqlx::Error::Database(database) => database.code().and_then(|code| code.parse::<i32>().ok()),
            _ => None,
        };
        Self::of_code(code, err.into())
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(err: rusqlite::Error) -> Self {
        Self::of_code(err.sqlite_error().map(|error| error.extended_code), err.into())
    }
}

impl Fault {
    /// - `code`: SQLite's extended result code, where the error is SQLite's.
    fn of_code(code: Option<i32>, err: SqlError) -> Self {
        // Primary result codes of SQLite are the low byte of the extended ones (sqlite.org/rescode.html).
        const BUSY: i32 = 5;
        const LOCKED: i32 = 6;
        const READONLY: i32 = 8;
        const IOERR: i32 = 10;
        const CORRUPT: i32 = 11;
        const FULL: i32 = 13;
        const CANTOPEN: i32 = 14;
        const NOTADB: i32 = 26;
        /// The shared-memory file could not grow: on a full disk this comes before FULL does.
        const IOERR_SHMSIZE: i32 = IOERR | (19 << 8);

        match code {
            Some(IOERR_SHMSIZE) => Self::DiskFull(err),
            Some(code) => match code & 0xff {
                BUSY | LOCKED => Self::Locked(err),
                READONLY => Self::ReadOnly(err),
                IOERR => Self::Io(err),
                CORRUPT | NOTADB => Self::Damaged(err),
                FULL => Self::DiskFull(err),
                // SQLite does not say why; whether anything can be opened is soon seen.
                CANTOPEN if std::fs::File::open("/").is_err_and(|err| is_out_of_files(&err)) => {
                    Self::NoFiles(err)
                }
                CANTOPEN => Self::CannotOpen(err),
                _ => Self::Other(err),
            },
            None => Self::Other(err),
        }
    }

    /// Calls a failed write what it is: the file system takes none.
    pub(crate) fn rename_read_only(&mut self) {
        if let Self::Io(err) = self {
            let err = std::mem::replace(err, sqlx::Error::PoolClosed.into());
            *self = Self::ReadOnly(err);
        }
    }
}

/// An error that may hold a [`Fault`].
pub(crate) trait MayHoldFault {
    /// The fault, where the error is one.
    fn fault_mut(&mut self) -> Option<&mut Fault>;
}

impl MayHoldFault for Fault {
    fn fault_mut(&mut self) -> Option<&mut Fault> {
        Some(self)
    }
}

/// Lets `?` turn what SQL reports into an operation's error, and the store find the fault inside it.
macro_rules! holds_fault {
    ($($error:ty),*) => {$(
        impl From<sqlx::Error> for $error {
            fn from(err: sqlx::Error) -> Self {
                Self::Fault($crate::Fault::from(err))
            }
        }
        impl From<rusqlite::Error> for $error {
            fn from(err: rusqlite::Error) -> Self {
                Self::Fault($crate::Fault::from(err))
            }
        }
        impl $crate::fault::MayHoldFault for $error {
            fn fault_mut(&mut self) -> Option<&mut $crate::Fault> {
                match self {
                    Self::Fault(fault) => Some(fault),
                    _ => None,
                }
            }
        }
    )*};
}
pub(crate) use holds_fault;

/// Why something could not be read from the store.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database or the disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A stored value is not what the store writes: bit rot, or another program's hand. It is not served.
    #[error("{what} in the database is damaged")]
    Damaged {
        /// What was read.
        what: &'static str,
    },
    /// No log of that number.
    #[error("there is no log {log} in the store")]
    UnknownLog {
        /// The number asked for.
        log: LogId,
    },
    /// The state as of that size has been dropped, or is not there yet: ask again with the log's present served size.
    #[error("log {log} can be read as of sizes {served_size} to {size}, not {at_size}")]
    NotKept {
        /// The log.
        log: LogId,
        /// The size asked for.
        at_size: u64,
        /// The oldest size whose state is kept.
        served_size: u64,
        /// The newest.
        size: u64,
    },
}
holds_fault!(ReadError);

/// A size, index or time for SQL. What cannot be stored cannot be found either: larger numbers become the largest.
pub(crate) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that SQL gave back.
pub(crate) fn from_sql(number: i64, what: &'static str) -> Result<u64, ReadError> {
    u64::try_from(number).map_err(|_| ReadError::Damaged { what })
}

/// A digest that SQL gave back.
pub(crate) fn digest_from_sql(bytes: &[u8], what: &'static str) -> Result<Digest, ReadError> {
    <[u8; 32]>::try_from(bytes).map(Digest::from).map_err(|_| ReadError::Damaged { what })
}

/// A name, version or origin that SQL gave back.
pub(crate) fn parsed_from_sql<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, ReadError> {
    text.parse().map_err(|_| ReadError::Damaged { what })
}

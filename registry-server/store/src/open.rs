//! Is this directory a store that may be written, and by this process alone?

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{Mutex, MutexGuard};

use crate::asking::Asking;
use crate::blob::BlobDir;
use crate::fault::{Fault, MayHoldFault, ReadError, from_sql, to_sql};
use crate::log::LogId;
use crate::seal::seal_old_rows;
use crate::trouble::{Standing, is_read_only};
use crate::writer::{Writer, Writing};

/// The database, below the store's directory.
const DATABASE: &str = "registry.sqlite3";
/// Read connections, at most.
pub const MAX_READERS: u32 = 64;
/// Connections beside those: the writer's, and those that answer on the asker's thread.
const OTHERS: u64 = 5;
/// Statements that a connection keeps prepared, at most.
const PREPARED_STATEMENTS: usize = 64;
/// The write-ahead log is cut back to this size after a checkpoint, so that one burst does not keep the disk for ever.
const WAL_BYTES: &str = "67108864";
/// Pages in the write-ahead log (16 MiB) after which a commit moves them into the database. A publish writes some 35, mostly
/// the same as the one before, so that moving them less often writes each less often.
pub(crate) const WAL_PAGES: u32 = 4_096;
/// The same (256 MiB) for a step of a long way: it writes thousands of pages, most of which the next one writes again, and whoever
/// waits for it need not wait for this.
pub(crate) const LONG_WAL_PAGES: u32 = 65_536;

/// Which opening of the store may write. The lock file keeps processes apart on one machine; on a file system that does not
/// lock, this does.
pub(crate) const GENERATION: &str = "SELECT value FROM generation";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// What an operator may choose about a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Read connections, 1 to [`MAX_READERS`]; each has a thread of its own.
    pub readers: u32,
    /// How long an operation waits for a lock or a free reader, in milliseconds.
    pub busy_timeout_ms: u64,
    /// Pages kept in memory by all connections together, in bytes; each has an equal part.
    pub cache_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { readers: 4, busy_timeout_ms: 5_000, cache_bytes: 40 * 1024 * 1024 }
    }
}

impl StoreOptions {
    /// SQLite counts in KiB where the number is negative, and holds no more of them than an `i32`.
    fn cache_kib_of_each(&self) -> u64 {
        (self.cache_bytes / 1024 / (u64::from(self.readers) + OTHERS)).clamp(64, 1 << 30)
    }

    pub(crate) fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms)
    }
}

/// Why a directory could not be opened as a store. Nothing was changed but empty files and folders made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or folder of the store could not be made, opened or flushed.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        err: std::io::Error,
    },
    /// Another process has the store open.
    #[error("{} is in use by another process", dir.display())]
    InUse {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The database would not keep what it acknowledged.
    #[error("the database says {pragma}={found}, the store needs {needed}")]
    Weak {
        /// The setting, as SQLite calls it.
        pragma: &'static str,
        /// What it was when read back.
        found: String,
        /// What it must be.
        needed: &'static str,
    },
    /// A later version of this program wrote the store.
    #[error("the store has schema {found}, this program knows up to {known}; use a newer program")]
    NewerSchema {
        /// The newest migration applied.
        found: i64,
        /// The newest migration that this program holds.
        known: i64,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the database's schema up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// An option is out of its bounds.
    #[error("`readers` is {readers}, it must be 1 to {MAX_READERS}")]
    Readers {
        /// The value given.
        readers: u32,
    },
    /// The database or the disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for OpenError {
    fn from(err: sqlx::Error) -> Self {
        Self::Fault(err.into())
    }
}

/// How hard the database flushes; the weak one exists so that a test can show that it is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    Full,
    /// Not at all: what is in it is made again rather than recovered.
    Never,
    #[cfg(test)]
    Normal,
}

/// Entries, checkpoints, catalogue and blobs of one registry. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    readers: RwLock<SqlitePool>,
    writer: Mutex<Option<Writer>>,
    /// For the question before each publish; it need not wait for whoever reads much.
    pub(crate) asking: Asking,
    pub(crate) reading: [Asking; 2],
    pub(crate) connect: SqliteConnectOptions,
    pub(crate) options: StoreOptions,
    generation: i64,
    flush: Flush,
    pub(crate) blobs: BlobDir,
    /// How writing went: after a failed write the same memory may hold pages that are not on the disk.
    pub(crate) standing: Arc<Standing>,
    dir: PathBuf,
    /// Last, so that it is released when all else is closed.
    _lock: File,
}

impl Store {
    /// Opens the store in `dir`, making it (mode 0700) where it is not yet, and bringing an older schema up to date.
    ///
    /// # Errors
    /// [`OpenError::InUse`] while any other process has it open; [`OpenError::Weak`] when a durability setting, read
    /// back, is not what was asked; [`OpenError::NewerSchema`] for a store of a later program.
    pub async fn open(dir: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        Self::open_with(dir, options, Flush::Full).await
    }

    /// Opens a store in which nothing need outlive this process. It flushes nothing, and is as fast as that.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_scratch(dir: &Path) -> Result<Self, OpenError> {
        Self::open_with(dir, StoreOptions::default(), Flush::Never).await
    }

    async fn open_with(dir: &Path, options: StoreOptions, flush: Flush) -> Result<Self, OpenError> {
        if !(1..=MAX_READERS).contains(&options.readers) {
            return Err(OpenError::Readers { readers: options.readers });
        }
        make_dir(dir)?;
        let lock = take_lock(dir)?;
        let standing = Arc::new(Standing::default());
        let blobs = BlobDir::open(&dir.join("blobs"), standing.clone())?;

        let connect = connect_options(dir, &options, flush);
        let mut writer = connect.connect().await?;
        if !matches!(flush, Flush::Never) {
            check_durability(&mut writer).await?;
        }
        migrate(&mut writer).await?;
        seal_old_rows(&mut writer).await?;
        let generation =
            sqlx::query_scalar::<_, i64>("UPDATE generation SET value = value + 1 RETURNING value")
                .fetch_one(&mut writer)
                .await?;
        // SQLite flushes the folder when it makes its write-ahead log, not when it makes the database file.
        sync_dir(dir)?;
        let writer = Writer::beside(writer, &dir.join(DATABASE), &options, flush).await?;
        let ask = || Asking::open(&dir.join(DATABASE), &options, flush);
        let (asking, reading) = (ask()?, [ask()?, ask()?]);

        let readers = connect_readers(&connect, &options).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                readers: RwLock::new(readers),
                writer: Mutex::new(Some(writer)),
                asking,
                reading,
                connect,
                options,
                generation,
                flush,
                blobs,
                standing,
                dir: dir.to_owned(),
                _lock: lock,
            }),
        })
    }

    /// The directory that the store was opened in.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Waits for running operations, moves the write-ahead log into the database and closes all connections.
    /// Dropping the last clone is as safe, only the next opening has more to do.
    pub async fn close(self) {
        self.readers().close().await;
        self.inner.close_asking();
        if let Some(writer) = self.inner.writer.lock().await.take() {
            writer.close().await;
        }
    }

    /// Connections that read.
    pub(crate) fn readers(&self) -> SqlitePool {
        self.inner.readers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one writer, in turn. Whoever gets it calls [`Writing::begin`], commits, and then [`Writing::done`].
    pub(crate) async fn writing(&self) -> Result<Writing<'_>, Fault> {
        self.writable()?;
        let mut slot = self.inner.writer.lock().await;
        // Whoever waited for its turn may have waited for the failing write.
        self.writable()?;
        if slot.is_none() {
            match self.inner.connect_writer().await {
                Ok(writer) => *slot = Some(writer),
                Err(OpenError::Fault(fault)) => return Err(fault),
                Err(err) => return Err(Fault::Io(sqlx::Error::Configuration(err.into()).into())),
            }
        }
        Ok(Writing::of(slot, self.inner.generation))
    }

    /// Passes `outcome` on, and notes what it says of the disk: a failed write stops the store's writing.
    pub(crate) fn watch<T, E: MayHoldFault>(&self, mut outcome: Result<T, E>) -> Result<T, E> {
        match &mut outcome {
            Ok(_) => self.inner.standing.note_database(None),
            Err(err) => {
                if let Some(fault) = err.fault_mut() {
                    self.inner.standing.note_database(Some(fault));
                    // SQLite tells a disk that has turned read-only under it like one that failed.
                    if matches!(fault, Fault::Io(_)) && is_read_only(&self.inner.blobs.tmp()) {
                        fault.rename_read_only();
                        self.inner.standing.rename(crate::Trouble::ReadOnly);
                    }
                }
            }
        }
        outcome
    }

    /// Notes that the database turned out to be damaged while it was read on behalf of a write.
    pub(crate) fn note_damage(&self, fault: Fault) -> Fault {
        if matches!(fault, Fault::Damaged(_)) {
            self.inner.standing.note_database(Some(&fault));
        }
        fault
    }

    /// A reading transaction in which all that a log derives is kept as of `at_size`.
    ///
    /// # Errors
    /// [`ReadError::NotKept`] unless `served_size <= at_size <= size` of the log, as this transaction sees them.
    pub(crate) async fn reading_at(
        &self,
        log: LogId,
        at_size: u64,
    ) -> Result<Transaction<'static, Sqlite>, ReadError> {
        let mut read = self.readers().begin().await?;
        demand_kept(&mut read, log, at_size).await?;
        Ok(read)
    }
}

/// Demands that all that a log derives is kept as of `at_size`, as the transaction sees it.
///
/// # Errors
/// As of [`Store::reading_at`].
pub(crate) async fn demand_kept(
    read: &mut Transaction<'static, Sqlite>,
    log: LogId,
    at_size: u64,
) -> Result<(), ReadError> {
    let (served_size, size) =
        sqlx::query_as::<_, (i64, i64)>("SELECT served_size, size FROM log WHERE id = ?")
            .bind(log.0)
            .fetch_optional(&mut **read)
            .await?
            .ok_or(ReadError::UnknownLog { log })?;
    check_kept(log, (served_size, size), at_size)
}

/// Demands that all that a log derives is kept as of `at_size`.
///
/// - `row`: the log's served size and its size, as SQL gave them.
///
/// # Errors
/// [`ReadError::NotKept`].
pub(crate) fn check_kept(log: LogId, (served_size, size): (i64, i64), at_size: u64) -> Result<(), ReadError> {
    if (served_size..=size).contains(&to_sql(at_size)) {
        return Ok(());
    }
    let what = "a log's size";
    let (served_size, size) = (from_sql(served_size, what)?, from_sql(size, what)?);
    Err(ReadError::NotKept { log, at_size, served_size, size })
}

impl Inner {
    /// The writer's place, when nobody writes.
    pub(crate) async fn writing_slot(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().await
    }

    /// Another writer, which keeps what it acknowledges.
    pub(crate) async fn connect_writer(&self) -> Result<Writer, OpenError> {
        let mut shared = self.connect.connect().await?;
        if self.flush != Flush::Never {
            check_durability(&mut shared).await?;
        }
        Writer::beside(shared, &self.dir.join(DATABASE), &self.options, self.flush).await
    }

    /// Puts other read connections in place; the old ones are the caller's to close.
    pub(crate) fn swap_readers(&self, readers: SqlitePool) -> SqlitePool {
        std::mem::replace(&mut *self.readers.write().unwrap_or_else(PoisonError::into_inner), readers)
    }

    /// Closes what answers on the asker's thread: the next question opens it anew.
    pub(crate) fn close_asking(&self) {
        self.asking.close();
        self.reading.iter().for_each(Asking::close);
    }

    /// # Errors
    /// [`Fault::TakenOver`] when another process has opened the store since.
    pub(crate) async fn demand_generation(&self, connection: &mut SqliteConnection) -> Result<(), Fault> {
        let generation =
            sqlx::query_scalar::<_, i64>("SELECT value FROM generation").fetch_one(connection).await?;
        if generation == self.generation { Ok(()) } else { Err(Fault::TakenOver) }
    }
}

/// Opens the read connections, all of them: when no file can be opened any more, reading goes on.
pub(crate) async fn connect_readers(
    connect: &SqliteConnectOptions,
    options: &StoreOptions,
) -> Result<SqlitePool, OpenError> {
    let readers = SqlitePoolOptions::new()
        .min_connections(options.readers)
        .max_connections(options.readers)
        .acquire_timeout(Duration::from_millis(options.busy_timeout_ms))
        .idle_timeout(None)
        .max_lifetime(None)
        // A connection is a file of this machine: asking whether it still answers costs as much as a read.
        .test_before_acquire(false)
        .connect_with(connect.clone().pragma("query_only", "ON"))
        .await?;
    Ok(readers)
}

fn connect_options(dir: &Path, options: &StoreOptions, flush: Flush) -> SqliteConnectOptions {
    let connect = SqliteConnectOptions::new()
        .filename(dir.join(DATABASE))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(options.busy_timeout())
        .statement_cache_capacity(PREPARED_STATEMENTS)
        .disable_statement_logging();
    pragmas(options, flush).into_iter().fold(connect, |connect, (name, value)| connect.pragma(name, value))
}

/// What every connection is told.
pub(crate) fn pragmas(options: &StoreOptions, flush: Flush) -> [(&'static str, String); 8] {
    let synchronous = match flush {
        Flush::Full => "FULL",
        Flush::Never => "OFF",
        #[cfg(test)]
        Flush::Normal => "NORMAL",
    };
    [
        ("synchronous", synchronous.to_owned()),
        ("foreign_keys", "ON".to_owned()),
        // Where fsync does not reach the platter (macOS), these make SQLite use the call that does.
        ("fullfsync", "ON".to_owned()),
        ("checkpoint_fullfsync", "ON".to_owned()),
        ("cache_size", format!("-{}", options.cache_kib_of_each())),
        ("journal_size_limit", WAL_BYTES.to_owned()),
        ("wal_autocheckpoint", WAL_PAGES.to_string()),
        ("trusted_schema", "OFF".to_owned()),
    ]
}

/// Settings as they read back where the database keeps what it acknowledges.
pub(crate) const DURABILITY: [(&str, &str); 5] = [
    ("journal_mode", "wal"),
    ("synchronous", "2"),
    ("foreign_keys", "1"),
    ("fullfsync", "1"),
    ("checkpoint_fullfsync", "1"),
];

/// Reads the settings back: a build or a file system may silently give weaker ones than were asked for.
pub(crate) async fn check_durability(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    for (pragma, needed) in DURABILITY {
        // One of the names above.
        let statement = AssertSqlSafe(format!("PRAGMA {pragma}"));
        let row = sqlx::query(statement).fetch_one(&mut *connection).await?;
        let found = match sqlx::Row::try_get_unchecked::<String, _>(&row, 0) {
            Ok(text) => text,
            Err(_) => sqlx::Row::try_get_unchecked::<i64, _>(&row, 0)?.to_string(),
        };
        if found != needed {
            return Err(OpenError::Weak { pragma, found, needed });
        }
    }
    Ok(())
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let is_new = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_one(&mut *connection)
    .await?
        == 0;
    if !is_new {
        let found = sqlx::query_scalar::<_, Option<i64>>("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&mut *connection)
            .await?
            .unwrap_or(0);
        if found > known {
            return Err(OpenError::NewerSchema { found, known });
        }
    }
    MIGRATIONS.run_direct(None, connection, false).await.map_err(OpenError::Migrate)
}

fn make_dir(dir: &Path) -> Result<(), OpenError> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|err| OpenError::File { doing: "make", path: dir.to_owned(), err })?;
    match dir.parent() {
        // The name of a new folder is durable only when the folder above it is.
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => Ok(()),
    }
}

/// How long a taken lock is asked for again.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// Between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

fn take_lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|err| OpenError::File { doing: "open", path: path.clone(), err })?;
    // A program that starts another holds its open files twice between fork and exec, for a moment: a lock that was let go
    // just now can look taken.
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(err)) => return Err(OpenError::File { doing: "lock", path, err }),
        }
    }
}

/// Flushes a folder: the names in it, which flushing the files does not.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), OpenError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|err| OpenError::File {
        doing: "flush",
        path: dir.to_owned(),
        err,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_would_flush_less_is_refused_by_the_setting_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let err = Store::open_with(dir.path(), StoreOptions::default(), Flush::Normal).await.err().unwrap();
        assert!(
            matches!(&err, OpenError::Weak { pragma: "synchronous", found, needed: "2" } if found == "1"),
            "{err}"
        );
        Store::open(dir.path(), StoreOptions::default()).await.unwrap();
    }

    #[tokio::test]
    async fn every_connection_has_the_settings_that_were_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreOptions::default()).await.unwrap();
        let mut reader = store.readers().acquire().await.unwrap();
        check_durability(&mut reader).await.unwrap();
        let err = sqlx::query("DELETE FROM log").execute(&mut *reader).await.unwrap_err();
        assert!(matches!(Fault::from(err), Fault::ReadOnly(_)));
    }

    #[tokio::test]
    async fn a_writer_that_was_taken_over_writes_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreOptions::default()).await.unwrap();
        // What an opening by another machine does, where the file system does not keep locks.
        sqlx::query("UPDATE generation SET value = value + 1")
            .execute(&mut store.inner.connect.connect().await.unwrap())
            .await
            .unwrap();
        assert!(matches!(store.meta_put("key", b"value").await, Err(Fault::TakenOver)));
        let committed = store.commit::<crate::LogStep>(&[]).await;
        assert!(matches!(committed, Err(crate::CommitError::Fault(Fault::TakenOver))));
    }
}

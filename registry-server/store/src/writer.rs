//! Who writes, and over what? One at a time, over two connections to one database: steps of logs are committed from begin to
//! end on the caller's thread; what else is written may wait for others in between.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use sqlx::{Connection as _, Sqlite, SqliteConnection, Transaction};
use tokio::sync::MutexGuard;

use crate::fault::Fault;
use crate::open::{
    DURABILITY, Flush, GENERATION, LONG_WAL_PAGES, OpenError, StoreOptions, WAL_PAGES, pragmas,
};

/// Statements that a connection keeps prepared, at most: all that a step needs.
const PREPARED_STATEMENTS: usize = 64;
/// Leaves past which a step is one of a long way. A batch of publishes has fewer.
const LONG_STEP_LEAVES: usize = 1_024;

/// The connections that write. Whoever has one of them has both.
pub(crate) struct Writer {
    /// For transactions that wait for others.
    pub(crate) shared: SqliteConnection,
    /// For steps. A change of threads costs more than a statement, and a publish runs some thirty.
    commits: Connection,
    /// Pages in the write-ahead log after which a commit of `commits` moves them into the database.
    wal_pages: u32,
}

impl Writer {
    /// Connects to the database at `path`, beside a connection that is there already.
    ///
    /// # Errors
    /// [`OpenError::Weak`] where it would not keep what it acknowledged.
    pub(crate) async fn beside(
        mut shared: SqliteConnection,
        path: &Path,
        options: &StoreOptions,
        flush: Flush,
    ) -> Result<Self, OpenError> {
        let fault = |err: rusqlite::Error| OpenError::Fault(err.into());
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let commits = Connection::open_with_flags(path, flags).map_err(fault)?;
        commits.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
        commits.busy_timeout(options.busy_timeout()).map_err(fault)?;
        for (name, value) in pragmas(options, flush) {
            commits.pragma_update(None, name, value).map_err(fault)?;
        }
        // What SQLite needs to undo a statement that fails half-way it keeps in memory up to 64 KiB, and beyond makes a file
        // and removes it again, which cost a sixth of a publish's processor time. One statement of a step changes what 256
        // leaves lead to at most, so that is bounded. Migrations and the sorting of readers are not, and keep their files.
        const UNDO: &str = "PRAGMA temp_store = MEMORY";
        commits.execute_batch(UNDO).map_err(fault)?;
        sqlx::query(UNDO).execute(&mut shared).await?;
        for (pragma, needed) in DURABILITY.iter().filter(|_| flush != Flush::Never) {
            let read = |row: &rusqlite::Row<'_>| {
                row.get_ref(0).map(|value| match value {
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    other => other.as_str().unwrap_or_default().to_owned(),
                })
            };
            let found = commits.pragma_query_value(None, pragma, read).map_err(fault)?;
            if found != *needed {
                return Err(OpenError::Weak { pragma, found, needed });
            }
        }
        Ok(Self { shared, commits, wal_pages: WAL_PAGES })
    }

    /// Closes both, moving the write-ahead log into the database if they are the last ones. Where that fails the next opening
    /// replays it.
    pub(crate) async fn close(self) {
        drop(self.commits);
        let _ = self.shared.close().await;
    }
}

/// The writer's turn. Unless it ends with [`done`](Self::done), the connections are thrown away: after an error or a
/// cancelled future nobody can be sure which transaction they are in, and opening others costs a millisecond.
pub(crate) struct Writing<'a> {
    slot: MutexGuard<'a, Option<Writer>>,
    generation: i64,
    is_done: bool,
}

impl<'a> Writing<'a> {
    /// - `slot`: filled.
    /// - `generation`: of this opening of the store.
    pub(crate) fn of(slot: MutexGuard<'a, Option<Writer>>, generation: i64) -> Self {
        Self { slot, generation, is_done: false }
    }

    fn writer(&mut self) -> &mut Writer {
        self.slot.as_mut().expect("whoever made this filled the slot")
    }

    /// Begins a transaction that holds the write lock from the start, so that it cannot fail half-way for want of it.
    pub(crate) async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, Fault> {
        let generation = self.generation;
        let mut tx = self.writer().shared.begin_with("BEGIN IMMEDIATE").await?;
        if sqlx::query_scalar::<_, i64>(GENERATION).fetch_one(&mut *tx).await? != generation {
            return Err(Fault::TakenOver);
        }
        Ok(tx)
    }

    /// The connection for steps with so many leaves, and the number that [`GENERATION`] must give on it.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn commits(&mut self, leaves: usize) -> Result<(&mut Connection, i64), Fault> {
        let generation = self.generation;
        let writer = self.writer();
        let wal_pages = if leaves > LONG_STEP_LEAVES { LONG_WAL_PAGES } else { WAL_PAGES };
        if wal_pages != writer.wal_pages {
            writer.commits.pragma_update(None, "wal_autocheckpoint", wal_pages)?;
            writer.wal_pages = wal_pages;
        }
        Ok((&mut writer.commits, generation))
    }

    /// The transaction was committed or rolled back, and the connections may be used again.
    pub(crate) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.slot.take();
        }
    }
}

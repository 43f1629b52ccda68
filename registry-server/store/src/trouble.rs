//! What keeps a store from writing, and how does it come back by itself?
//!
//! A full or read-only disk, a lack of open files and somebody else's lock leave what is in memory true: the next write
//! simply tries. After a failed write or flush the system may say later that all is well though it has dropped the pages
//! ("Can Applications Recover from fsync Failures?", USENIX ATC 2020). Then nothing is written until the connections have
//! been made anew, what they find has been written and flushed afresh, and whoever signs has compared it with what was
//! signed: [`Store::try_again`], then [`Store::resume`].

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use brick_schemas::Digest;
use sqlx::SqliteConnection;

use crate::blob::BlobError;
use crate::fault::Fault;
use crate::open::{OpenError, Store, connect_readers};

/// Bytes written to see whether the disk takes writes again.
const PROBE_BYTES: usize = 64 * 1024;
/// Blobs whose names may not be durable that are remembered, at most; as many as uploads that can fail at once.
const MAX_SUSPECTS: usize = 4_096;

/// What keeps a store from writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No room.
    DiskFull,
    /// The file system takes no writes.
    ReadOnly,
    /// This process, or the machine, has as many files open as it may.
    NoFiles,
    /// Somebody else holds the database's lock.
    Locked,
    /// The disk failed to write or flush.
    Disk,
    /// The database file is damaged.
    Damaged,
    /// Another process has opened the store since.
    TakenOver,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiskFull => "the disk of the store is full",
            Self::ReadOnly => "the store is on a read-only file system",
            Self::NoFiles => "the store cannot open files: too many are open",
            Self::Locked => "the store's database is locked by somebody else",
            Self::Disk => "the disk of the store failed",
            Self::Damaged => "the database of the store is damaged",
            Self::TakenOver => "another process has taken over the store",
        })
    }
}

impl Trouble {
    /// What a fault says of the store as a whole, and whether what is in memory may be false after it.
    fn of(fault: &Fault) -> Option<(Self, bool)> {
        Some(match fault {
            Fault::DiskFull(_) => (Self::DiskFull, false),
            Fault::ReadOnly(_) => (Self::ReadOnly, false),
            Fault::NoFiles(_) => (Self::NoFiles, false),
            Fault::Locked(_) => (Self::Locked, false),
            Fault::CannotOpen(_) => (Self::Disk, false),
            Fault::Io(_) => (Self::Disk, true),
            Fault::Damaged(_) => (Self::Damaged, true),
            Fault::TakenOver => (Self::TakenOver, false),
            Fault::Stopped(_) | Fault::Other(_) => return None,
        })
    }

    /// What a failed operation on a file says.
    fn of_io(err: &io::Error) -> Self {
        match err.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ if is_out_of_files(err) => Self::NoFiles,
            _ => Self::Disk,
        }
    }

    fn of_opening(err: &OpenError) -> Self {
        match err {
            OpenError::Fault(fault) => Self::of(fault).map_or(Self::Disk, |(trouble, _)| trouble),
            OpenError::File { err, .. } => Self::of_io(err),
            _ => Self::Disk,
        }
    }
}

/// Whether the process (EMFILE, 24) or the machine (ENFILE, 23) has no file left to open; the numbers are the same on
/// every Unix.
pub fn is_out_of_files(err: &io::Error) -> bool {
    let is_meant = |err: &io::Error| matches!(err.raw_os_error(), Some(23 | 24));
    // What makes temporary files tells the path as well, and the system's words beneath it.
    let beneath = std::error::Error::source(err).and_then(|cause| cause.downcast_ref::<io::Error>());
    cfg!(unix) && (is_meant(err) || beneath.is_some_and(is_meant))
}

/// What is known of the store's writing. The database and the blobs may lie on different disks.
#[derive(Default)]
pub(crate) struct Standing(Mutex<State>);

#[derive(Default)]
struct State {
    database: Option<Trouble>,
    blobs: Option<Trouble>,
    is_stopped: bool,
    /// Faults after which writing stopped, so that one that comes while the store is looked through is not overlooked.
    stops: u64,
    resumed: u64,
    /// Blobs whose names are visible and may not be durable.
    suspects: BTreeSet<Digest>,
}

/// Leave to write again, valid unless another write failed meanwhile.
#[derive(Debug, PartialEq, Eq)]
pub struct Reopened(u64);

/// What trying again came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Again {
    /// Writing works.
    Well,
    /// The store was opened again and takes writes; none are let through before [`Store::resume`].
    Reopened(Reopened),
}

impl Standing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a write to the database ended.
    pub(crate) fn note_database(&self, fault: Option<&Fault>) {
        let mut state = self.lock();
        match fault.map(Trouble::of) {
            None if !state.is_stopped => state.database = None,
            None | Some(None) => {}
            Some(Some((trouble, must_stop))) => {
                state.database = Some(trouble);
                if must_stop {
                    state.is_stopped = true;
                    state.stops += 1;
                }
            }
        }
    }

    /// Names what the disk turned out to suffer from.
    pub(crate) fn rename(&self, trouble: Trouble) {
        self.lock().database = Some(trouble);
    }

    /// Notes how keeping a blob ended.
    pub(crate) fn note_blob(&self, err: Option<&BlobError>) {
        let trouble = match err {
            None => None,
            Some(BlobError::DiskFull(_)) => Some(Trouble::DiskFull),
            Some(BlobError::ReadOnly(_)) => Some(Trouble::ReadOnly),
            Some(BlobError::NoFiles(_)) => Some(Trouble::NoFiles),
            Some(BlobError::Io { .. }) => Some(Trouble::Disk),
            Some(_) => return,
        };
        self.lock().blobs = trouble;
    }

    /// Notes that a blob's name is visible and may not be durable: nothing is written before that is settled.
    pub(crate) fn suspect(&self, blob: Digest) {
        let mut state = self.lock();
        state.is_stopped = true;
        state.stops += 1;
        if state.suspects.len() < MAX_SUSPECTS {
            state.suspects.insert(blob);
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        let state = self.lock();
        state.database.or(state.blobs).or(state.is_stopped.then_some(Trouble::Disk))
    }
}

impl Store {
    /// What keeps the store from writing, as the last writes showed it. Whatever it is, reading goes on where it can.
    pub fn trouble(&self) -> Option<Trouble> {
        self.inner.standing.trouble()
    }

    /// Whether the store lets writes through, for whoever would otherwise prepare them in vain.
    ///
    /// # Errors
    /// [`Fault::Stopped`] after a disk failure, until [`resume`](Self::resume).
    pub fn writable(&self) -> Result<(), Fault> {
        let is_stopped = self.inner.standing.lock().is_stopped;
        if is_stopped { Err(Fault::Stopped(self.trouble().unwrap_or(Trouble::Disk))) } else { Ok(()) }
    }

    /// How often writing went on after it had stopped: whoever keeps what follows from the store reads it anew then.
    pub fn resumed(&self) -> u64 {
        self.inner.standing.lock().resumed
    }

    /// Tries whether the store takes writes again, after [`trouble`](Self::trouble).
    ///
    /// Where writing had stopped, all connections are made anew and what they show is written and flushed once more. The
    /// caller then compares it with what was signed, and lets writes through with [`resume`](Self::resume).
    ///
    /// # Errors
    /// What keeps it from writing still.
    pub async fn try_again(&self) -> Result<Again, Trouble> {
        let (is_stopped, stops) = {
            let state = self.inner.standing.lock();
            (state.is_stopped, state.stops)
        };
        let tmp = self.inner.blobs.tmp();
        let blobs = tokio::task::spawn_blocking(move || probe(&tmp))
            .await
            .unwrap_or_else(|err| Err(io::Error::other(err)))
            .map_err(|err| Trouble::of_io(&err));
        self.inner.standing.lock().blobs = blobs.err();
        if is_stopped {
            if let Err(err) = self.reopen().await {
                let trouble = Trouble::of_opening(&err);
                self.inner.standing.rename(trouble);
                return Err(trouble);
            }
            blobs?;
            self.settle_suspects().await?;
            return Ok(Again::Reopened(Reopened(stops)));
        }
        let wrote = async {
            let mut writing = self.writing().await?;
            let mut tx = writing.begin().await?;
            sqlx::query(TOUCH).execute(&mut *tx).await?;
            tx.commit().await?;
            writing.done();
            Ok::<(), Fault>(())
        };
        if let Err(fault) = self.watch(wrote.await) {
            return Err(Trouble::of(&fault).map_or(Trouble::Disk, |(trouble, _)| trouble));
        }
        blobs.map(|()| Again::Well)
    }

    /// Lets writes through again. Returns whether it did: not where one failed since `reopened`.
    pub fn resume(&self, reopened: Reopened) -> bool {
        let mut state = self.inner.standing.lock();
        let is_valid = state.stops == reopened.0;
        if is_valid {
            state.is_stopped = false;
            state.database = None;
            state.resumed += 1;
        }
        is_valid
    }

    /// Throws the connections away and makes them anew, if the disk takes a write by then.
    async fn reopen(&self) -> Result<(), OpenError> {
        let mut slot = self.inner.writing_slot().await;
        // Its transaction, if it is in one, is rolled back with it.
        if let Some(old) = slot.take() {
            old.close().await;
        }
        let mut writer = self.inner.connect_writer().await?;
        self.inner.demand_generation(&mut writer.shared).await?;
        if self.trouble() == Some(Trouble::Damaged) {
            demand_whole(&mut writer.shared).await?;
        }
        // The pages of a flush that failed may look clean and not be on the disk. The checkpoint writes what the
        // write-ahead log holds into the database, and flushes that: these are other pages, written now.
        let (is_busy, _, _) = sqlx::query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut writer.shared)
            .await?;
        if is_busy != 0 {
            return Err(Fault::Locked(sqlx::Error::PoolTimedOut.into()).into());
        }
        sqlx::query(TOUCH).execute(&mut writer.shared).await?;
        // Readers only now: until writing works the old ones read on.
        let readers = connect_readers(&self.inner.connect, &self.inner.options).await?;
        let old = self.inner.swap_readers(readers);
        self.inner.close_asking();
        tokio::spawn(async move { old.close().await });
        self.inner.blobs.unsettle();
        *slot = Some(writer);
        Ok(())
    }

    /// Writes the blobs again whose names may not be durable.
    async fn settle_suspects(&self) -> Result<(), Trouble> {
        let suspects = self.inner.standing.lock().suspects.clone();
        for suspect in suspects {
            let (path, tmp) = (self.blob_path(&suspect), self.inner.blobs.tmp());
            let rewrite = move || rewrite(&path, &tmp);
            let rewritten = tokio::task::spawn_blocking(rewrite).await;
            rewritten.unwrap_or_else(|err| Err(io::Error::other(err))).map_err(|err| Trouble::of_io(&err))?;
            self.inner.standing.lock().suspects.remove(&suspect);
        }
        Ok(())
    }
}

/// A write that changes nothing, and is a whole transaction all the same.
const TOUCH: &str = "UPDATE generation SET value = value";

async fn demand_whole(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let said = sqlx::query_scalar::<_, String>("PRAGMA quick_check(1)").fetch_one(&mut *connection).await?;
    match said.as_str() {
        "ok" => Ok(()),
        _ => Err(Fault::Damaged(sqlx::Error::Protocol(said).into()).into()),
    }
}

/// Whether a folder takes a file.
fn probe(dir: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&[0; PROBE_BYTES])?;
    file.as_file().sync_all()
}

/// Whether a folder refuses files because its file system takes no writes.
pub(crate) fn is_read_only(dir: &Path) -> bool {
    tempfile::NamedTempFile::new_in(dir).is_err_and(|err| err.kind() == io::ErrorKind::ReadOnlyFilesystem)
}

/// Makes a new file of a file's bytes, and puts it in its place: bytes, name and folder are flushed anew.
fn rewrite(path: &Path, tmp: &Path) -> io::Result<()> {
    let bytes = match std::fs::read(path) {
        // The name did not come to stay, or was swept since.
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let mut file = tempfile::NamedTempFile::new_in(tmp)?;
    file.write_all(&bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|err| err.error)?;
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;
    use crate::StoreOptions;

    async fn opened() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreOptions::default()).await.unwrap();
        (dir, store)
    }

    fn eio() -> Fault {
        Fault::Io(sqlx::Error::Io(io::Error::other("EIO")).into())
    }

    #[tokio::test]
    async fn after_a_disk_failure_nothing_is_written_until_the_store_was_looked_through() {
        let (_dir, store) = opened().await;
        store.watch(Err::<(), Fault>(eio())).unwrap_err();
        assert_eq!(store.trouble(), Some(Trouble::Disk));
        assert!(matches!(store.meta_put("key", b"value").await, Err(Fault::Stopped(Trouble::Disk))));
        assert_eq!(store.meta_get("key").await.unwrap(), None, "reading goes on");
        let Ok(Again::Reopened(reopened)) = store.try_again().await else { panic!("the disk is well") };
        assert!(store.meta_put("key", b"value").await.is_err(), "not before it was looked through");
        assert!(store.resume(reopened));
        assert_eq!((store.trouble(), store.resumed()), (None, 1));
        store.meta_put("key", b"value").await.unwrap();
        assert_eq!(store.meta_get("key").await.unwrap().as_deref(), Some(&b"value"[..]));
    }

    #[tokio::test]
    async fn a_failure_while_the_store_is_looked_through_is_not_overlooked() {
        let (_dir, store) = opened().await;
        store.watch(Err::<(), Fault>(eio())).unwrap_err();
        let Ok(Again::Reopened(reopened)) = store.try_again().await else { panic!("the disk is well") };
        store.watch(Err::<(), Fault>(eio())).unwrap_err();
        assert!(!store.resume(reopened));
        assert!(store.writable().is_err());
    }

    #[tokio::test]
    async fn a_lock_of_somebody_else_is_named_and_forgotten_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { busy_timeout_ms: 100, ..StoreOptions::default() };
        let store = Store::open(dir.path(), options).await.unwrap();
        let mut other = store.inner.connect.connect().await.unwrap();
        let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
        assert!(matches!(store.meta_put("key", b"value").await, Err(Fault::Locked(_))));
        assert_eq!(store.trouble(), Some(Trouble::Locked));
        store.writable().expect("the next write may find the lock gone");
        assert_eq!(store.try_again().await, Err(Trouble::Locked));
        held.rollback().await.unwrap();
        assert_eq!(store.try_again().await, Ok(Again::Well));
        assert_eq!(store.trouble(), None);
    }

    #[tokio::test]
    async fn a_blob_whose_name_may_not_be_durable_is_written_again() {
        let (_dir, store) = opened().await;
        let mut writer = store.blob_writer(5).await.unwrap();
        writer.write(b"bytes").await.unwrap();
        let digest = Digest::of(b"bytes");
        writer.finish(digest).await.unwrap();
        store.inner.standing.suspect(digest);
        store.inner.standing.suspect(Digest::of(b"never came"));
        assert!(matches!(store.blob_writer(5).await, Err(BlobError::Fault(Fault::Stopped(_)))));
        let Ok(Again::Reopened(reopened)) = store.try_again().await else { panic!("the disk is well") };
        assert!(store.resume(reopened));
        assert_eq!(store.read_blob(&digest, 5).await.unwrap().as_deref(), Some(&b"bytes"[..]));
        assert!(store.inner.standing.lock().suspects.is_empty());
    }

    #[tokio::test]
    async fn a_damaged_database_is_not_written_before_it_is_whole() {
        let (_dir, store) = opened().await;
        store.meta_put("key", b"value").await.unwrap();
        let damaged = Fault::Damaged(sqlx::Error::Protocol("malformed".into()).into());
        store.watch(Err::<(), Fault>(damaged)).unwrap_err();
        assert_eq!(store.trouble(), Some(Trouble::Damaged));
        assert!(matches!(store.try_again().await, Ok(Again::Reopened(_))), "it was only said to be damaged");
    }
}

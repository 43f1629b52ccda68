//! How is a store copied while it is written? The database as of one moment, then every blob that is there.

use std::io;
use std::path::{Path, PathBuf};

use brick_schemas::Digest;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::fault::Fault;
use crate::inspect::digest_of_file;
use crate::seal::seal_meta;

pub(crate) const DATABASE: &str = "registry.sqlite3";
const BLOBS: &str = "blobs";
/// The value that says when a store was restored, in Unix seconds as text; empty once it has caught up with its peers.
pub const RESTORED: &str = "restored";

/// What a backup holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// Logs.
    pub logs: u64,
    /// Leaves of all of them.
    pub leaves: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of them.
    pub blob_bytes: u64,
    /// Blobs whose bytes were not what their names say. They were left out.
    pub rotten: u64,
}

/// Why a backup was not made or not restored. What was written so far is left for whoever looks.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no store to copy.
    #[error("there is no {} to copy", path.display())]
    NoStore {
        /// The database that is not there.
        path: PathBuf,
    },
    /// The place is taken: nothing is overwritten.
    #[error("{} is there already", path.display())]
    Taken {
        /// The place.
        path: PathBuf,
    },
    /// A file or folder.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        err: io::Error,
    },
    /// The database.
    #[error("cannot copy the database")]
    Database(#[source] Fault),
    /// The copy is not what SQLite takes for whole.
    #[error("the copied database is damaged: {what}")]
    Damaged {
        /// SQLite's words.
        what: String,
    },
}

impl From<sqlx::Error> for BackupError {
    fn from(err: sqlx::Error) -> Self {
        Self::Database(err.into())
    }
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |err| BackupError::File { doing, path, err }
}

/// Copies the store in `from` to the new folder `to`, which may be done while a registry has it open.
///
/// The database is read in one transaction, so the copy is its state at one moment; then the blobs, which only become more:
/// every blob that was here then is in the copy. Blobs are copied, not linked, so that what happens to one file does not
/// happen to both; each is read back. All is flushed before this returns.
///
/// # Errors
/// [`BackupError`].
pub async fn copy_store(from: &Path, to: &Path) -> Result<BackedUp, BackupError> {
    let database = from.join(DATABASE);
    if !database.is_file() {
        return Err(BackupError::NoStore { path: database });
    }
    make_new(to)?;
    let copied = to.join(DATABASE);
    let mut reader =
        SqliteConnectOptions::new().filename(&database).disable_statement_logging().connect().await?;
    sqlx::query("VACUUM INTO ?").bind(copied.to_string_lossy().into_owned()).execute(&mut reader).await?;
    reader.close().await?;
    flush(&copied)?;
    let mut backed_up = verify_database(&copied).await?;
    let (blobs_from, blobs_to) = (from.join(BLOBS), to.join(BLOBS));
    let copy = move || copy_blobs(&blobs_from, &blobs_to);
    let counted = tokio::task::spawn_blocking(copy)
        .await
        .unwrap_or_else(|err| Err(file("copy the blobs to", to)(io::Error::other(err))))?;
    (backed_up.blobs, backed_up.blob_bytes, backed_up.rotten) =
        (counted.blobs, counted.blob_bytes, counted.rotten);
    // The names in the folder, then the folder's own.
    flush(to)?;
    match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => flush(parent)?,
        _ => {}
    }
    Ok(backed_up)
}

/// Puts the backup in `from` in the new place `to`, as [`copy_store`] does, and notes in it that it was restored.
///
/// - `now`: Unix seconds, for the note under [`RESTORED`].
///
/// # Errors
/// [`BackupError`].
pub async fn restore_store(from: &Path, to: &Path, now: u64) -> Result<BackedUp, BackupError> {
    let restored = copy_store(from, to).await?;
    let database = to.join(DATABASE);
    let mut writer = SqliteConnectOptions::new()
        .filename(&database)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Extra)
        .disable_statement_logging()
        .connect()
        .await?;
    let time = now.to_string().into_bytes();
    // A store of an older program has no seals yet; its rows are sealed when it is opened.
    let is_sealed = sqlx::query_scalar::<_, bool>(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('meta') WHERE name = 'seal')",
    )
    .fetch_one(&mut writer)
    .await?;
    let (statement, seal) = match is_sealed {
        true => {
            ("INSERT OR REPLACE INTO meta (key, value, seal) VALUES (?1, ?2, ?3)", seal_meta(RESTORED, &time))
        }
        false => ("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", Vec::new()),
    };
    let mut query = sqlx::query(statement).bind(RESTORED).bind(time);
    if is_sealed {
        query = query.bind(seal);
    }
    query.execute(&mut writer).await?;
    writer.close().await?;
    flush(&database)?;
    Ok(restored)
}

fn make_new(to: &Path) -> Result<(), BackupError> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(to) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
            Err(BackupError::Taken { path: to.to_owned() })
        }
        other => other.map_err(file("make", to)),
    }
}

fn flush(path: &Path) -> Result<(), BackupError> {
    std::fs::File::open(path).and_then(|opened| opened.sync_all()).map_err(file("flush", path))
}

async fn verify_database(path: &Path) -> Result<BackedUp, BackupError> {
    let mut copy = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Delete)
        .disable_statement_logging()
        .connect()
        .await?;
    let said = sqlx::query_scalar::<_, String>("PRAGMA integrity_check(1)").fetch_one(&mut copy).await?;
    if said != "ok" {
        return Err(BackupError::Damaged { what: said });
    }
    let (logs, leaves) = sqlx::query_as::<_, (i64, i64)>("SELECT count(*), coalesce(sum(size), 0) FROM log")
        .fetch_one(&mut copy)
        .await?;
    copy.close().await?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(BackedUp { logs: count(logs), leaves: count(leaves), ..BackedUp::default() })
}

/// Copies every blob, read back by its digest, and flushes each file and folder.
fn copy_blobs(from: &Path, to: &Path) -> Result<BackedUp, BackupError> {
    let mut counted = BackedUp::default();
    make_new(to)?;
    for shard in 0..=u8::MAX {
        let (folder, target) = (from.join(format!("{shard:02x}")), to.join(format!("{shard:02x}")));
        make_new(&target)?;
        let entries = match std::fs::read_dir(&folder) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(file("read", &folder))?,
        };
        for entry in entries {
            let entry = entry.map_err(file("read", &folder))?;
            let name = entry.file_name();
            let Ok(digest) = Digest::parse(&format!("{shard:02x}{}", name.to_string_lossy())) else {
                continue;
            };
            let copied = target.join(&name);
            match std::fs::copy(entry.path(), &copied) {
                // Set aside as damaged, or swept, in this moment.
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(file("copy", &entry.path()))?,
            };
            let (found, bytes) = digest_of_file(&copied).map_err(file("read", &copied))?;
            if found != digest {
                std::fs::remove_file(&copied).map_err(file("remove", &copied))?;
                counted.rotten += 1;
                continue;
            }
            flush(&copied)?;
            counted.blobs += 1;
            counted.blob_bytes += bytes;
        }
        flush(&target)?;
    }
    flush(to)?;
    Ok(counted)
}

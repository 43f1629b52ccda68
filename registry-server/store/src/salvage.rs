//! What can still be read of a damaged store? As much as there is, believed by nobody before it is held against what was
//! signed.

use std::ops::Range;
use std::path::{Path, PathBuf};

use brick_schemas::Digest;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::backup::DATABASE;
use crate::fault::{Fault, ReadError, to_sql};
use crate::log::LogId;
use crate::open::{OpenError, Store, sync_dir};
use crate::seal::{seal_evidence, seal_meta};
use crate::tiles::MAX_LEAVES_PER_READ;

/// Rows of a kind that are asked for one by one where they cannot be read together, at most.
const MAX_SINGLE_READS: u64 = 1 << 20;

/// A log's row, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalvagedLog {
    /// Its number.
    pub id: LogId,
    /// Its origin, as stored.
    pub origin: String,
    /// The verifier key, as stored.
    pub vkey: String,
    /// The larger of the last leaf's index and one, and the last head's size.
    pub size: u64,
    /// What readers were shown.
    pub served_size: u64,
}

/// A head's row, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalvagedHead {
    /// Its size, as stored.
    pub size: u64,
    /// Its root, if it is as long as one.
    pub root: Option<Digest>,
    /// The note.
    pub note: Vec<u8>,
}

/// What this registry remembers to have cosigned, whatever the row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalvagedWitness {
    /// The log, as stored.
    pub origin: String,
    /// The cosigned note.
    pub note: Vec<u8>,
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Store {
    /// The rows of all logs, as far as they can be read.
    pub async fn salvage_logs(&self) -> Vec<SalvagedLog> {
        let rows = sqlx::query_as::<_, (i64, String, String, i64)>(
            "SELECT id, cast(origin AS TEXT), cast(vkey AS TEXT), served_size FROM log ORDER BY id",
        )
        .fetch_all(&self.readers())
        .await
        .unwrap_or_default();
        let mut logs = Vec::new();
        for (id, origin, vkey, served_size) in rows {
            let mut size = 0;
            for statement in [
                "SELECT coalesce(max(entry) + 1, 0) FROM leaf WHERE log = ?",
                "SELECT coalesce(max(size), 0) FROM checkpoint WHERE log = ?",
            ] {
                let found = sqlx::query_scalar::<_, i64>(statement).bind(id).fetch_one(&self.readers()).await;
                size = size.max(found.map_or(0, unsigned));
            }
            logs.push(SalvagedLog { id: LogId(id), origin, vkey, size, served_size: unsigned(served_size) });
        }
        logs
    }

    /// A log's heads of at most `size` leaves, as far as they can be read, by size.
    pub async fn salvage_heads(&self, log: LogId, size: u64) -> Vec<SalvagedHead> {
        type Row = (i64, Vec<u8>, Vec<u8>);
        let head = |(size, root, note): Row| SalvagedHead {
            size: unsigned(size),
            root: <[u8; 32]>::try_from(root).ok().map(Digest::from),
            note,
        };
        let all =
            sqlx::query_as::<_, Row>("SELECT size, root, note FROM checkpoint WHERE log = ? ORDER BY size")
                .bind(log.0)
                .fetch_all(&self.readers())
                .await;
        if let Ok(rows) = all {
            return rows.into_iter().map(head).collect();
        }
        let mut heads = Vec::new();
        for size in 1..=size.min(MAX_SINGLE_READS) {
            let row = sqlx::query_as::<_, Row>(
                "SELECT size, root, note FROM checkpoint WHERE log = ? AND size = ?",
            )
            .bind(log.0)
            .bind(to_sql(size))
            .fetch_optional(&self.readers())
            .await;
            heads.extend(row.ok().flatten().map(head));
        }
        heads
    }

    /// The leaves of `range`, at most [`MAX_LEAVES_PER_READ`] of them; `None` for one that is not there or cannot be read.
    pub async fn salvage_leaves(&self, log: LogId, range: Range<u64>) -> Vec<Option<Vec<u8>>> {
        let end = range.end.min(range.start.saturating_add(MAX_LEAVES_PER_READ));
        let rows = sqlx::query_as::<_, (i64, Vec<u8>)>(
            "SELECT entry, bytes FROM leaf WHERE log = ? AND entry >= ? AND entry < ?",
        )
        .bind(log.0)
        .bind(to_sql(range.start))
        .bind(to_sql(end))
        .fetch_all(&self.readers())
        .await;
        let mut leaves = vec![None; usize::try_from(end.saturating_sub(range.start)).unwrap_or(0)];
        if let Ok(rows) = rows {
            for (entry, bytes) in rows {
                let at = unsigned(entry).checked_sub(range.start).and_then(|at| usize::try_from(at).ok());
                if let Some(leaf) = at.and_then(|at| leaves.get_mut(at)) {
                    *leaf = Some(bytes);
                }
            }
            return leaves;
        }
        for (entry, leaf) in (range.start..).zip(&mut leaves) {
            *leaf = sqlx::query_scalar::<_, Vec<u8>>("SELECT bytes FROM leaf WHERE log = ? AND entry = ?")
                .bind(log.0)
                .bind(to_sql(entry))
                .fetch_optional(&self.readers())
                .await
                .ok()
                .flatten();
        }
        leaves
    }

    /// The cosignature lines on a log's heads, by the size that the row names, as far as they can be read.
    pub async fn salvage_cosignatures(&self, log: LogId) -> Vec<(u64, String)> {
        let rows = sqlx::query_as::<_, (i64, String)>(
            "SELECT size, cast(line AS TEXT) FROM cosignature WHERE log = ? ORDER BY size",
        )
        .bind(log.0)
        .fetch_all(&self.readers())
        .await;
        rows.unwrap_or_default().into_iter().map(|(size, line)| (unsigned(size), line)).collect()
    }

    /// What this registry remembers to have cosigned, as far as it can be read.
    pub async fn salvage_witness(&self) -> Vec<SalvagedWitness> {
        let rows = sqlx::query_as::<_, (String, Vec<u8>)>("SELECT cast(origin AS TEXT), note FROM witness")
            .fetch_all(&self.readers())
            .await;
        rows.unwrap_or_default().into_iter().map(|(origin, note)| SalvagedWitness { origin, note }).collect()
    }

    /// Copies to `into`, a new store, what no log says and what is still as it was sealed: evidence and small values.
    ///
    /// How following the peers went is left out; it is found out again.
    ///
    /// Returns what of it was lost, in words.
    ///
    /// # Errors
    /// [`Fault`] where the new store fails.
    pub async fn salvage_rest(&self, into: &Store) -> Result<Vec<String>, Fault> {
        let mut lost = Vec::new();
        let values =
            sqlx::query_as::<_, (String, Vec<u8>, Option<Vec<u8>>)>("SELECT key, value, seal FROM meta")
                .fetch_all(&self.readers())
                .await;
        match values {
            Ok(values) => {
                for (key, value, seal) in values {
                    match seal.as_ref() == Some(&seal_meta(&key, &value)) {
                        true => into.meta_put(&key, &value).await?,
                        false => lost.push(format!("the value kept as {}", key.escape_debug())),
                    }
                }
            }
            Err(err) => lost.push(format!("small values: {err}")),
        }
        type Row = (i64, String, Vec<u8>, Vec<u8>, Vec<u8>, String, Option<Vec<u8>>);
        let pairs =
            sqlx::query_as::<_, Row>("SELECT id, origin, digest, a, b, why, seal FROM evidence ORDER BY id")
                .fetch_all(&self.readers())
                .await;
        match pairs {
            Ok(pairs) => {
                for (id, origin, digest, a, b, why, seal) in pairs {
                    let pair = crate::evidence::pair_digest(&a, &b);
                    let is_sealed = seal.as_ref() == Some(&seal_evidence(&origin, &digest, &a, &b, &why));
                    // The pair is the evidence: with a sound one, a damaged word beside it is no loss of it.
                    match brick_schemas::Origin::parse(&origin) {
                        Ok(origin) if is_sealed || digest == pair.as_bytes()[..] => {
                            into.put_evidence(&origin, &a, &b, &why).await.map_err(|err| match err {
                                crate::evidence::EvidenceError::Fault(fault) => fault,
                                other => Fault::from(sqlx::Error::Protocol(other.to_string())),
                            })?;
                        }
                        _ => lost.push(format!("evidence {id}, of {}", origin.escape_debug())),
                    }
                }
            }
            Err(err) => lost.push(format!("the evidence: {err}")),
        }
        Ok(lost)
    }
}

/// Puts the database of the store in `from` in the place of the one in `to`, which is kept beside it under another name.
///
/// Neither store may be open, but for the lock of `to`. After a power cut there is the one database or the other.
///
/// - `name`: what is put behind the old one's name.
///
/// Returns where the old one lies; `None` where there was none.
///
/// # Errors
/// [`OpenError::File`] with what failed; the old database is still in its place then.
pub fn replace_database(from: &Path, to: &Path, name: &str) -> Result<Option<PathBuf>, OpenError> {
    let file = |doing, path: &Path| {
        let path = path.to_owned();
        move |err| OpenError::File { doing, path, err }
    };
    let (new, place) = (from.join(DATABASE), to.join(DATABASE));
    std::fs::File::open(&new).and_then(|opened| opened.sync_all()).map_err(file("flush", &new))?;
    let aside = to.join(format!("{DATABASE}.{name}"));
    let mut kept = None;
    if place.exists() {
        std::fs::hard_link(&place, &aside).map_err(file("keep", &place))?;
        kept = Some(aside.clone());
    }
    // A write-ahead log that is left would be taken for the new database's own.
    for ending in ["-wal", "-shm"] {
        let left = to.join(format!("{DATABASE}{ending}"));
        if left.exists() {
            let aside = to.join(format!("{DATABASE}.{name}{ending}"));
            std::fs::rename(&left, aside).map_err(file("keep", &left))?;
        }
    }
    sync_dir(to)?;
    std::fs::rename(&new, &place).map_err(file("replace", &place))?;
    sync_dir(to)?;
    Ok(kept)
}

/// Whether the database in `dir` opens and SQLite finds nothing wrong with it.
///
/// # Errors
/// [`ReadError::Fault`] where it does not open.
pub async fn is_whole(dir: &Path) -> Result<bool, ReadError> {
    let mut reader = SqliteConnectOptions::new()
        .filename(dir.join(DATABASE))
        .disable_statement_logging()
        .connect()
        .await?;
    let said = sqlx::query_scalar::<_, String>(AssertSqlSafe("PRAGMA integrity_check(1)".to_owned()))
        .fetch_one(&mut reader)
        .await?;
    reader.close().await?;
    Ok(said == "ok")
}

//! How does a log move forward? Everything that a step changes, of any number of logs, in one transaction.

use std::collections::HashSet;

use brick_schemas::{BrickName, Digest, Version};
use sqlx::{QueryBuilder, Sqlite, Transaction};

use crate::crash_point::crash_point;
use crate::fault::{Fault, ReadError, from_sql, holds_fault, to_sql};
use crate::log::LogId;
use crate::open::Store;
use crate::served::move_served;
use crate::step::{LeafKind, LogStep, check};

/// Rows that one statement inserts, at most. Batches are powers of two, so that few statements need be prepared.
const MAX_BATCH_ROWS: usize = 64;

/// Why steps were not committed. Nothing of any of them was written, see [`Fault`] for the one doubt.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The log is elsewhere than the step begins: somebody else moved it.
    #[error("log {log} has {stored} leaves, the step begins at {expected}")]
    Conflict {
        /// The log.
        log: LogId,
        /// `old_size` of the step.
        expected: u64,
        /// The size stored.
        stored: u64,
    },
    /// No log of that number.
    #[error("there is no log {log} in the store")]
    UnknownLog {
        /// The number in the step.
        log: LogId,
    },
    /// An envelope with this payload is in the log already.
    #[error("the payload {payload} of entry {entry} is in log {log} already, as entry {first}")]
    Replayed {
        /// The log.
        log: LogId,
        /// SHA-256 of the payload.
        payload: Digest,
        /// Where the step puts it.
        entry: u64,
        /// Where it stands: in the log, or earlier in the same commit.
        first: u64,
    },
    /// Another entry released this version before.
    #[error(
        "{brick} {version} in log {log} was released by entry {first}, entry {entry} cannot release it again"
    )]
    VersionTaken {
        /// The log.
        log: LogId,
        /// The brick.
        brick: BrickName,
        /// The version.
        version: Box<Version>,
        /// The entry that the step gives.
        entry: u64,
        /// The entry that won.
        first: u64,
    },
    /// Another root was signed for this size before. Somebody holds evidence of a second history.
    #[error("log {log} has another root for its first {size} leaves")]
    RootChanged {
        /// The log.
        log: LogId,
        /// The size in question.
        size: u64,
    },
    /// A tile does not begin with the hashes that are stored: a bit flipped in memory or on the disk.
    #[error("tile {level}/{index} of log {log} does not begin with the hashes stored before")]
    TileChanged {
        /// The log.
        log: LogId,
        /// The tile's level.
        level: u8,
        /// The tile's index.
        index: u64,
    },
    /// The step contradicts itself or breaks a bound.
    #[error("the step of log {log} is malformed: {rule}")]
    Malformed {
        /// The log.
        log: LogId,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// What is stored could not be read.
    #[error(transparent)]
    Read(ReadError),
    /// The database or the disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
holds_fault!(CommitError);

impl From<ReadError> for CommitError {
    fn from(err: ReadError) -> Self {
        match err {
            ReadError::Fault(fault) => Self::Fault(fault),
            other => Self::Read(other),
        }
    }
}

impl Store {
    /// Moves logs forward, all or none, in one transaction: when this returns `Ok`, a power cut loses nothing of it.
    ///
    /// Steps are applied in order; one log may occur several times. A refused step refuses all.
    ///
    /// # Errors
    /// See [`CommitError`]. After a fault in the commit itself the caller asks [`payload_index`](Self::payload_index)
    /// whether an entry is in.
    pub async fn commit(&self, steps: &[LogStep]) -> Result<(), CommitError> {
        for step in steps {
            check(step, steps.len()).map_err(|rule| CommitError::Malformed { log: step.log, rule })?;
        }
        let blobs = steps.iter().flat_map(|step| &step.blobs).map(|blob| blob.sha256).collect();
        let here = self.inner.blobs.which_are_here(blobs).await;
        self.watch(self.commit_checked(steps, &here).await)
    }

    async fn commit_checked(&self, steps: &[LogStep], here: &HashSet<Digest>) -> Result<(), CommitError> {
        let mut writing = self.writing().await?;
        let mut tx = writing.begin().await?;
        crash_point("commit-begun");
        let mut outcome = Ok(());
        for step in steps {
            outcome = apply(&mut tx, step, here).await;
            if outcome.is_err() {
                break;
            }
        }
        crash_point("commit-applied");
        match outcome {
            Ok(()) => tx.commit().await?,
            // A fault drops the connection with the transaction; a refusal is no reason to open another.
            Err(err @ CommitError::Fault(_)) => return Err(err),
            Err(_) => tx.rollback().await?,
        }
        writing.done();
        crash_point("commit-done");
        outcome
    }
}

async fn apply(
    tx: &mut Transaction<'_, Sqlite>,
    step: &LogStep,
    here: &HashSet<Digest>,
) -> Result<(), CommitError> {
    move_size(tx, step).await?;
    insert_leaves(tx, step).await?;
    crash_point("commit-leaves-written");
    upsert_tiles(tx, step).await?;
    insert_checkpoint(tx, step).await?;
    insert_lines(tx, step).await?;

    let log = step.log.0;
    let since = to_sql(step.new_size);
    for rows in batches(&step.files) {
        QueryBuilder::new("INSERT INTO index_file (log, brick, since, bucket, sha256, bytes) ")
            .push_values(rows, |mut row, file| {
                row.push_bind(log).push_bind(file.brick.as_str()).push_bind(since).push_bind(file.bucket);
                row.push_bind(&file.sha256.as_bytes()[..]).push_bind(to_sql(file.bytes));
            })
            .push(
                " ON CONFLICT (log, brick, since) DO UPDATE SET bucket = excluded.bucket,
                   sha256 = excluded.sha256, bytes = excluded.bytes",
            )
            .build()
            .execute(&mut **tx)
            .await?;
    }
    for rows in batches(&step.nodes) {
        QueryBuilder::new("INSERT INTO bucket_node (log, level, idx, since, hash) ")
            .push_values(rows, |mut row, node| {
                row.push_bind(log).push_bind(node.level).push_bind(node.index).push_bind(since);
                row.push_bind(&node.hash.as_bytes()[..]);
            })
            .push(" ON CONFLICT (log, level, idx, since) DO UPDATE SET hash = excluded.hash")
            .build()
            .execute(&mut **tx)
            .await?;
    }
    for rows in batches(&step.services) {
        QueryBuilder::new("INSERT INTO service (log, service, since, entry, json) ")
            .push_values(rows, |mut row, service| {
                row.push_bind(log).push_bind(service.service.as_str()).push_bind(since);
                row.push_bind(to_sql(service.entry)).push_bind(&service.json);
            })
            .push(
                " ON CONFLICT (log, service, since) DO UPDATE SET entry = excluded.entry, json = excluded.json",
            )
            .build()
            .execute(&mut **tx)
            .await?;
    }
    for rows in batches(&step.blobs) {
        QueryBuilder::new("INSERT INTO blob (sha256, stored) ")
            .push_values(rows, |mut row, blob| {
                row.push_bind(&blob.sha256.as_bytes()[..]).push_bind(here.contains(&blob.sha256));
            })
            .push(" ON CONFLICT (sha256) DO UPDATE SET stored = excluded.stored")
            .build()
            .execute(&mut **tx)
            .await?;
        QueryBuilder::new("INSERT INTO blob_use (sha256, log, entry, bytes) ")
            .push_values(rows, |mut row, blob| {
                row.push_bind(&blob.sha256.as_bytes()[..]).push_bind(log).push_bind(to_sql(blob.entry));
                row.push_bind(to_sql(blob.bytes));
            })
            .push(" ON CONFLICT (sha256, log, entry, bytes) DO NOTHING")
            .build()
            .execute(&mut **tx)
            .await?;
    }
    if step.is_served {
        let served_size = sqlx::query_scalar::<_, i64>("SELECT served_size FROM log WHERE id = ?")
            .bind(log)
            .fetch_one(&mut **tx)
            .await?;
        move_served(tx, step.log, served_size, step.new_size).await?;
    }
    Ok(())
}

/// `rows` in runs of 64, then of smaller powers of two.
fn batches<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let rows = 1 << rest.len().min(MAX_BATCH_ROWS).checked_ilog2()?;
        let (batch, after) = rest.split_at(rows);
        rest = after;
        Some(batch)
    })
}

async fn move_size(tx: &mut Transaction<'_, Sqlite>, step: &LogStep) -> Result<(), CommitError> {
    let moved = sqlx::query("UPDATE log SET size = ? WHERE id = ? AND size = ?")
        .bind(to_sql(step.new_size))
        .bind(step.log.0)
        .bind(to_sql(step.old_size))
        .execute(&mut **tx)
        .await?
        .rows_affected();
    if moved == 1 {
        return Ok(());
    }
    let stored = sqlx::query_scalar::<_, i64>("SELECT size FROM log WHERE id = ?")
        .bind(step.log.0)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(CommitError::UnknownLog { log: step.log })?;
    let stored = from_sql(stored, "a log's size")?;
    Err(CommitError::Conflict { log: step.log, expected: step.old_size, stored })
}

async fn insert_leaves(tx: &mut Transaction<'_, Sqlite>, step: &LogStep) -> Result<(), CommitError> {
    for (leaf, entry) in step.leaves.iter().zip(step.old_size..) {
        let payload = match &leaf.kind {
            LeafKind::Envelope { payload } => Some(payload),
            LeafKind::Snapshot => None,
        };
        let inserted = sqlx::query(
            "INSERT INTO leaf (log, entry, payload, bytes) VALUES (?, ?, ?, ?)
             ON CONFLICT (log, payload) WHERE payload IS NOT NULL DO NOTHING",
        )
        .bind(step.log.0)
        .bind(to_sql(entry))
        .bind(payload.map(|digest| &digest.as_bytes()[..]))
        .bind(&leaf.bytes)
        .execute(&mut **tx)
        .await?
        .rows_affected();
        if inserted == 0
            && let Some(payload) = payload
        {
            let first = sqlx::query_scalar::<_, i64>("SELECT entry FROM leaf WHERE log = ? AND payload = ?")
                .bind(step.log.0)
                .bind(&payload.as_bytes()[..])
                .fetch_one(&mut **tx)
                .await?;
            let first = from_sql(first, "a leaf's index")?;
            return Err(CommitError::Replayed { log: step.log, payload: *payload, entry, first });
        }
    }
    Ok(())
}

async fn upsert_tiles(tx: &mut Transaction<'_, Sqlite>, step: &LogStep) -> Result<(), CommitError> {
    for tile in &step.tiles {
        let written = sqlx::query(
            "INSERT INTO tile (log, level, idx, hashes) VALUES (?, ?, ?, ?)
             ON CONFLICT (log, level, idx) DO UPDATE SET hashes = excluded.hashes
             WHERE substr(excluded.hashes, 1, length(tile.hashes)) = tile.hashes",
        )
        .bind(step.log.0)
        .bind(tile.level)
        .bind(to_sql(tile.index))
        .bind(&tile.hashes)
        .execute(&mut **tx)
        .await?
        .rows_affected();
        if written == 0 {
            return Err(CommitError::TileChanged { log: step.log, level: tile.level, index: tile.index });
        }
    }
    Ok(())
}

async fn insert_checkpoint(tx: &mut Transaction<'_, Sqlite>, step: &LogStep) -> Result<(), CommitError> {
    let written = sqlx::query(
        "INSERT INTO checkpoint (log, size, root, note) VALUES (?, ?, ?, ?)
         ON CONFLICT (log, size) DO UPDATE SET note = excluded.note WHERE excluded.root = checkpoint.root",
    )
    .bind(step.log.0)
    .bind(to_sql(step.new_size))
    .bind(&step.root.as_bytes()[..])
    .bind(&step.checkpoint)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    if written == 0 {
        return Err(CommitError::RootChanged { log: step.log, size: step.new_size });
    }
    Ok(())
}

async fn insert_lines(tx: &mut Transaction<'_, Sqlite>, step: &LogStep) -> Result<(), CommitError> {
    let since = to_sql(step.new_size);
    for row in &step.lines {
        let version = row.version.to_string();
        let released = sqlx::query(
            "INSERT INTO release (log, brick, version, entry) VALUES (?, ?, ?, ?)
             ON CONFLICT (log, brick, version) DO NOTHING",
        )
        .bind(step.log.0)
        .bind(row.brick.as_str())
        .bind(&version)
        .bind(to_sql(row.entry))
        .execute(&mut **tx)
        .await?
        .rows_affected();
        if released == 1 {
            sqlx::query(
                "INSERT INTO brick (log, brick, since) VALUES (?, ?, ?) ON CONFLICT (log, brick) DO NOTHING",
            )
            .bind(step.log.0)
            .bind(row.brick.as_str())
            .bind(since)
            .execute(&mut **tx)
            .await?;
        } else {
            let first = sqlx::query_scalar::<_, i64>(
                "SELECT entry FROM release WHERE log = ? AND brick = ? AND version = ?",
            )
            .bind(step.log.0)
            .bind(row.brick.as_str())
            .bind(&version)
            .fetch_one(&mut **tx)
            .await?;
            let first = from_sql(first, "a release's entry")?;
            if first != row.entry {
                return Err(CommitError::VersionTaken {
                    log: step.log,
                    brick: row.brick.clone(),
                    version: Box::new(row.version.clone()),
                    entry: row.entry,
                    first,
                });
            }
        }
        sqlx::query(
            "INSERT INTO line (log, brick, entry, since, version, line) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (log, brick, entry, since) DO UPDATE SET line = excluded.line",
        )
        .bind(step.log.0)
        .bind(row.brick.as_str())
        .bind(to_sql(row.entry))
        .bind(since)
        .bind(&version)
        .bind(&row.line)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

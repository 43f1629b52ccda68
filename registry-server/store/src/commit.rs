//! How does a log move forward? Everything that a step changes, of any number of logs, in one transaction.

use std::collections::HashSet;

use brick_schemas::index_line::MAX_LINE_BYTES;
use brick_schemas::{BrickName, Digest, Version};
use sqlx::{QueryBuilder, Sqlite, Transaction};

use crate::fault::{Fault, ReadError, from_sql, holds_fault, to_sql};
use crate::log::LogId;
use crate::open::Store;

/// Steps in one commit, at most.
pub const MAX_STEPS: usize = 4_096;
/// Leaves in a log, at most; also the largest number that JSON carries everywhere.
pub const MAX_LOG_SIZE: u64 = 1 << 53;
/// Bytes of a leaf, at most: C2SP entry bundles give its length two bytes.
pub const MAX_LEAF_BYTES: usize = 65_535;
/// Hashes in a tile, at most.
pub const MAX_TILE_HASHES: usize = 256;
/// Bytes of a signed note, at most: the bound of Go's note package.
const MAX_NOTE_BYTES: usize = 1_000_000;
/// Bytes of a decoded service entry, at most: a leaf of the largest size, shown with room for indentation.
const MAX_SERVICE_BYTES: usize = 4 * MAX_LEAF_BYTES;
/// Levels of tiles, as C2SP tlog-tiles counts them: 0 to 63.
const MAX_TILE_LEVEL: u8 = 63;
/// Levels of a tree over 65,536 buckets: 0 to 16.
const MAX_BUCKET_LEVEL: u8 = 16;
/// Rows that one statement inserts, at most. Batches are powers of two, so that few statements need be prepared.
const MAX_BATCH_ROWS: usize = 64;

/// One log's step from `old_size` to `new_size`: its new leaves and all that follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStep {
    /// Which log.
    pub log: LogId,
    /// The size that the log must have now.
    pub old_size: u64,
    /// The size that it will have; equal to `old_size` when only the same head was signed again.
    pub new_size: u64,
    /// The new leaves in log order, exactly `new_size - old_size`.
    pub leaves: Vec<LeafRow>,
    /// Every tile that grew, whole.
    pub tiles: Vec<TileRow>,
    /// The note that the log signed at `new_size` (just made for a hosted log, as received for a mirrored one).
    pub checkpoint: Vec<u8>,
    /// The root in that note.
    pub root: Digest,
    /// New index lines, and lines whose release changed.
    pub lines: Vec<LineRow>,
    /// The index file of every brick in `lines`.
    pub files: Vec<FileRow>,
    /// Every node of the bucket tree that changed.
    pub nodes: Vec<BucketNodeRow>,
    /// Service entries that are current from now on.
    pub services: Vec<ServiceRow>,
    /// Blobs that the new leaves name.
    pub blobs: Vec<BlobRow>,
}

impl LogStep {
    /// A step that adds nothing but a newly signed head; the caller fills in what else changed.
    pub fn new(log: LogId, old_size: u64, new_size: u64, checkpoint: Vec<u8>, root: Digest) -> Self {
        Self {
            log,
            old_size,
            new_size,
            leaves: Vec::new(),
            tiles: Vec::new(),
            checkpoint,
            root,
            lines: Vec::new(),
            files: Vec::new(),
            nodes: Vec::new(),
            services: Vec::new(),
            blobs: Vec::new(),
        }
    }
}

/// A leaf, as logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafRow {
    /// Its bytes, 1 to [`MAX_LEAF_BYTES`].
    pub bytes: Vec<u8>,
    /// What they are.
    pub kind: LeafKind,
}

/// What a leaf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafKind {
    /// A signed envelope.
    Envelope {
        /// SHA-256 of its payload: occurs once in a log.
        payload: Digest,
    },
    /// A snapshot leaf.
    Snapshot,
}

/// All hashes known so far of a tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileRow {
    /// C2SP tile level, 0 to 63.
    pub level: u8,
    /// C2SP tile index.
    pub index: u64,
    /// 1 to [`MAX_TILE_HASHES`] hashes of 32 bytes; begins with all that the store holds of this tile.
    pub hashes: Vec<u8>,
}

/// The index line of one release, new or in place of an older one; valid from the step's `new_size`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineRow {
    /// The brick.
    pub brick: BrickName,
    /// The release's version.
    pub version: Version,
    /// The leaf index of the release entry: the line's place in the file.
    pub entry: u64,
    /// The line, with the newline at its end and no other.
    pub line: String,
}

/// A brick's whole index file as of the step's `new_size`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// The brick.
    pub brick: BrickName,
    /// The first 16 bits of the SHA-256 of its name.
    pub bucket: u16,
    /// The digest of the file.
    pub sha256: Digest,
    /// Its length.
    pub bytes: u64,
}

/// A node of the bucket tree as of the step's `new_size`. The store does not care which end level 0 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketNodeRow {
    /// 0 to 16.
    pub level: u8,
    /// Counted from the left in its level, below 65,536.
    pub index: u32,
    /// Its hash.
    pub hash: Digest,
}

/// A service as its newest entry declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    /// Its name within the publisher.
    pub service: BrickName,
    /// The leaf index of the entry.
    pub entry: u64,
    /// The entry, decoded for people; kept as given.
    pub json: String,
}

/// A blob that an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRow {
    /// Its digest.
    pub sha256: Digest,
    /// Its length, as the entry says.
    pub bytes: u64,
    /// The leaf index of the entry.
    pub entry: u64,
}

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
        let mut outcome = Ok(());
        for step in steps {
            outcome = apply(&mut tx, step, here).await;
            if outcome.is_err() {
                break;
            }
        }
        match outcome {
            Ok(()) => tx.commit().await?,
            // A fault drops the connection with the transaction; a refusal is no reason to open another.
            Err(err @ CommitError::Fault(_)) => return Err(err),
            Err(_) => tx.rollback().await?,
        }
        writing.done();
        outcome
    }
}

/// Checks what can be seen without the database.
fn check(step: &LogStep, steps: usize) -> Result<(), &'static str> {
    let is_sound = |ok, rule| if ok { Ok(()) } else { Err(rule) };
    is_sound(steps <= MAX_STEPS, "a commit has at most 4,096 steps")?;
    is_sound(step.new_size <= MAX_LOG_SIZE, "a log has at most 2^53 leaves")?;
    is_sound(
        step.new_size.checked_sub(step.old_size) == Some(step.leaves.len() as u64),
        "the leaves are not as many as the sizes say",
    )?;
    is_sound(step.checkpoint.len() <= MAX_NOTE_BYTES, "a checkpoint has at most 1,000,000 bytes")?;
    for leaf in &step.leaves {
        is_sound((1..=MAX_LEAF_BYTES).contains(&leaf.bytes.len()), "a leaf has 1 to 65,535 bytes")?;
    }
    for tile in &step.tiles {
        is_sound(tile.level <= MAX_TILE_LEVEL, "a tile's level is at most 63")?;
        is_sound(tile.index <= MAX_LOG_SIZE, "a tile's index is at most 2^53")?;
        is_sound(
            tile.hashes.len() % 32 == 0 && (1..=MAX_TILE_HASHES).contains(&(tile.hashes.len() / 32)),
            "a tile has 1 to 256 hashes of 32 bytes",
        )?;
    }
    for line in &step.lines {
        let body = line.line.strip_suffix('\n').ok_or("an index line ends in a newline")?;
        is_sound(!body.contains('\n'), "an index line has no other newline than its last")?;
        is_sound(body.len() <= MAX_LINE_BYTES, "an index line has at most 65,535 bytes")?;
        is_sound(line.entry < step.new_size, "a release's entry is in the log")?;
    }
    for file in &step.files {
        is_sound(file.bytes <= MAX_LOG_SIZE, "an index file's length is at most 2^53")?;
    }
    for node in &step.nodes {
        is_sound(
            node.level <= MAX_BUCKET_LEVEL && node.index <= u16::MAX.into(),
            "a bucket-tree node has a level up to 16 and an index below 65,536",
        )?;
    }
    for service in &step.services {
        is_sound(service.entry < step.new_size, "a service's entry is in the log")?;
        is_sound(service.json.len() <= MAX_SERVICE_BYTES, "a decoded service has at most 262,140 bytes")?;
    }
    for blob in &step.blobs {
        is_sound(blob.entry < step.new_size, "the entry that names a blob is in the log")?;
        is_sound(blob.bytes <= MAX_LOG_SIZE, "a blob's length is at most 2^53")?;
    }
    Ok(())
}

async fn apply(
    tx: &mut Transaction<'_, Sqlite>,
    step: &LogStep,
    here: &HashSet<Digest>,
) -> Result<(), CommitError> {
    move_size(tx, step).await?;
    insert_leaves(tx, step).await?;
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

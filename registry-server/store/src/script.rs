//! How do all rows of a step reach the database? Many statements in one trip: each trip is two changes of threads, which
//! cost more than the statements themselves.

use std::collections::HashSet;
use std::ops::Range;

use brick_schemas::Digest;
use futures_util::StreamExt as _;
use sqlx::sqlite::SqliteArguments;
use sqlx::{
    Arguments as _, AssertSqlSafe, Either, Encode, Executor as _, Row as _, Sqlite, Transaction, Type,
};

use crate::commit::CommitError;
use crate::crash_point::crash_point;
use crate::fault::{Fault, from_sql, to_sql};
use crate::open::GENERATION;
use crate::served::{FORGET_COSIGNATURES, PRUNE, SHOW};
use crate::step::{BlobRow, LeafKind, LineRow, LogStep, TileRow};

/// Rows that one statement inserts, at most.
const MAX_ROWS: usize = 64;
/// Statements in one trip, about.
const LONG_STATEMENTS: usize = 512;
/// Bytes bound in one trip, about.
const LONG_BYTES: usize = 4 * 1024 * 1024;
/// Leaves of a step whose statements are kept prepared: those of one entry are the same each time, those of a hundred never.
const FEW_LEAVES: u64 = 2;

/// Statements for one trip.
#[derive(Default)]
pub(crate) struct Script<'a> {
    sql: String,
    arguments: SqliteArguments,
    /// For each statement, what it must have done.
    demands: Vec<Demand<'a>>,
    bytes: usize,
    has_many_leaves: bool,
}

/// What a statement must have done to be right.
enum Demand<'a> {
    Nothing,
    /// The store is still this opening's to write.
    Generation(i64),
    /// The log was where the step begins.
    Size(&'a LogStep),
    /// No payload was there already.
    Leaves(&'a LogStep, Range<usize>),
    /// The tile begins with what was stored.
    Tile(&'a LogStep, &'a TileRow),
    /// No other root was signed.
    Root(&'a LogStep),
    /// Each version is new, or was released by the very entry.
    Releases(&'a LogStep, &'a [LineRow]),
}

impl Demand<'_> {
    /// Rows that change where all is as it should be.
    fn rows(&self) -> Option<u64> {
        match self {
            Self::Nothing | Self::Generation(_) => None,
            Self::Size(_) | Self::Tile(..) | Self::Root(_) => Some(1),
            Self::Leaves(_, range) => Some(range.len() as u64),
            Self::Releases(_, lines) => Some(lines.len() as u64),
        }
    }

    /// What is wrong where other rows changed; nothing, where it only seemed so.
    async fn examine(&self, tx: &mut Transaction<'_, Sqlite>) -> Result<(), CommitError> {
        match self {
            Self::Nothing => Ok(()),
            Self::Generation(_) => Err(Fault::TakenOver.into()),
            Self::Size(step) => {
                let stored = sqlx::query_scalar::<_, i64>("SELECT size FROM log WHERE id = ?")
                    .bind(step.log.0)
                    .fetch_optional(&mut **tx)
                    .await?
                    .ok_or(CommitError::UnknownLog { log: step.log })?;
                let stored = from_sql(stored, "a log's size")?;
                Err(CommitError::Conflict { log: step.log, expected: step.old_size, stored })
            }
            Self::Leaves(step, range) => {
                for at in range.clone() {
                    let LeafKind::Envelope { payload } = step.leaves[at].kind else { continue };
                    let entry = step.old_size + at as u64;
                    let first =
                        sqlx::query_scalar::<_, i64>("SELECT entry FROM leaf WHERE log = ? AND payload = ?")
                            .bind(step.log.0)
                            .bind(&payload.as_bytes()[..])
                            .fetch_one(&mut **tx)
                            .await?;
                    let first = from_sql(first, "a leaf's index")?;
                    if first != entry {
                        return Err(CommitError::Replayed { log: step.log, payload, entry, first });
                    }
                }
                Ok(())
            }
            Self::Tile(step, tile) => {
                Err(CommitError::TileChanged { log: step.log, level: tile.level, index: tile.index })
            }
            Self::Root(step) => Err(CommitError::RootChanged { log: step.log, size: step.new_size }),
            Self::Releases(step, lines) => {
                for row in *lines {
                    let first = sqlx::query_scalar::<_, i64>(
                        "SELECT entry FROM release WHERE log = ? AND brick = ? AND version = ?",
                    )
                    .bind(step.log.0)
                    .bind(row.brick.as_str())
                    .bind(row.version.to_string())
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
                Ok(())
            }
        }
    }
}

impl<'a> Script<'a> {
    /// A script that begins by asking whether the store is still the opening's of that number.
    pub(crate) fn guarded(generation: i64) -> Self {
        let mut script = Self::default();
        script.add(GENERATION, Demand::Generation(generation));
        script
    }

    /// Whether it is time to send it: nothing is lost by waiting but memory.
    pub(crate) fn is_long(&self) -> bool {
        self.demands.len() >= LONG_STATEMENTS || self.bytes >= LONG_BYTES
    }

    /// Adds a step, in an order in which each statement finds what it refers to.
    ///
    /// - `here`: blobs that lie on the disk although their row does not say so.
    pub(crate) fn step(&mut self, step: &'a LogStep, here: &HashSet<Digest>) {
        self.has_many_leaves |= step.leaves.len() as u64 > FEW_LEAVES;
        let log = step.log.0;
        let since = to_sql(step.new_size);
        self.add("UPDATE log SET size = ? WHERE id = ? AND size = ?", Demand::Size(step));
        self.bind(since).bind(log).bind(to_sql(step.old_size));

        let mut at = 0;
        while at < step.leaves.len() {
            let end = step.leaves.len().min(at + MAX_ROWS);
            self.insert(
                "leaf (log, entry, payload, bytes)",
                &step.leaves[at..end],
                "ON CONFLICT (log, payload) WHERE payload IS NOT NULL DO NOTHING",
                Demand::Leaves(step, at..end),
            );
            for (leaf, entry) in step.leaves[at..end].iter().zip(step.old_size + at as u64..) {
                let payload = match &leaf.kind {
                    LeafKind::Envelope { payload } => Some(&payload.as_bytes()[..]),
                    LeafKind::Snapshot => None,
                };
                self.bind(log).bind(to_sql(entry)).bind(payload).bind(&leaf.bytes[..]);
                self.bytes += leaf.bytes.len();
            }
            at = end;
        }
        for tile in &step.tiles {
            self.insert(
                "tile (log, level, idx, hashes)",
                std::slice::from_ref(tile),
                "ON CONFLICT (log, level, idx) DO UPDATE SET hashes = excluded.hashes
                 WHERE substr(excluded.hashes, 1, length(tile.hashes)) = tile.hashes",
                Demand::Tile(step, tile),
            );
            self.bind(log).bind(tile.level).bind(to_sql(tile.index)).bind(&tile.hashes[..]);
            self.bytes += tile.hashes.len();
        }
        self.insert(
            "checkpoint (log, size, root, note)",
            std::slice::from_ref(step),
            "ON CONFLICT (log, size) DO UPDATE SET note = excluded.note WHERE excluded.root = checkpoint.root",
            Demand::Root(step),
        );
        self.bind(log).bind(since).bind(&step.root.as_bytes()[..]).bind(&step.checkpoint[..]);
        for lines in step.lines.chunks(MAX_ROWS) {
            self.lines(step, lines);
        }
        for rows in step.files.chunks(MAX_ROWS) {
            self.insert(
                "index_file (log, brick, since, bucket, sha256, bytes)",
                rows,
                "ON CONFLICT (log, brick, since) DO UPDATE SET bucket = excluded.bucket,
                 sha256 = excluded.sha256, bytes = excluded.bytes",
                Demand::Nothing,
            );
            for file in rows {
                self.bind(log).bind(file.brick.as_str()).bind(since).bind(file.bucket);
                self.bind(&file.sha256.as_bytes()[..]).bind(to_sql(file.bytes));
            }
        }
        for rows in step.nodes.chunks(MAX_ROWS) {
            self.insert(
                "bucket_node (log, level, idx, since, hash)",
                rows,
                "ON CONFLICT (log, level, idx, since) DO UPDATE SET hash = excluded.hash",
                Demand::Nothing,
            );
            for node in rows {
                self.bind(log).bind(node.level).bind(node.index).bind(since).bind(&node.hash.as_bytes()[..]);
            }
        }
        for rows in step.services.chunks(MAX_ROWS) {
            self.insert(
                "service (log, service, since, entry, json)",
                rows,
                "ON CONFLICT (log, service, since) DO UPDATE SET entry = excluded.entry, json = excluded.json",
                Demand::Nothing,
            );
            for service in rows {
                self.bind(log).bind(service.service.as_str()).bind(since).bind(to_sql(service.entry));
                self.bind(service.json.as_str());
                self.bytes += service.json.len();
            }
        }
        for rows in step.blobs.chunks(MAX_ROWS) {
            self.blobs(log, rows, here);
        }
        if step.is_served {
            for statement in PRUNE {
                self.add(statement, Demand::Nothing);
                self.bind(log).bind(log).bind(since).bind(log);
            }
            self.add(SHOW, Demand::Nothing);
            self.bind(since).bind(since).bind(log);
            self.add(FORGET_COSIGNATURES, Demand::Nothing);
            self.bind(since).bind(log);
        }
    }

    fn lines(&mut self, step: &'a LogStep, lines: &'a [LineRow]) {
        let log = step.log.0;
        let since = to_sql(step.new_size);
        self.insert(
            "release (log, brick, version, entry)",
            lines,
            "ON CONFLICT (log, brick, version) DO NOTHING",
            Demand::Releases(step, lines),
        );
        for row in lines {
            self.bind(log).bind(row.brick.as_str()).bind(row.version.to_string()).bind(to_sql(row.entry));
        }
        // A brick is there since its first release.
        self.insert(
            "brick (log, brick, since)",
            lines,
            "ON CONFLICT (log, brick) DO NOTHING",
            Demand::Nothing,
        );
        for row in lines {
            self.bind(log).bind(row.brick.as_str()).bind(since);
        }
        self.insert(
            "line (log, brick, entry, since, version, line)",
            lines,
            "ON CONFLICT (log, brick, entry, since) DO UPDATE SET line = excluded.line",
            Demand::Nothing,
        );
        for row in lines {
            self.bind(log).bind(row.brick.as_str()).bind(to_sql(row.entry)).bind(since);
            self.bind(row.version.to_string()).bind(row.line.as_str());
            self.bytes += row.line.len();
        }
    }

    fn blobs(&mut self, log: i64, rows: &[BlobRow], here: &HashSet<Digest>) {
        self.insert(
            "blob (sha256, stored)",
            rows,
            "ON CONFLICT (sha256) DO UPDATE SET stored = excluded.stored",
            Demand::Nothing,
        );
        for blob in rows {
            self.bind(&blob.sha256.as_bytes()[..]).bind(blob.is_here || here.contains(&blob.sha256));
        }
        self.insert(
            "blob_use (sha256, log, entry, bytes)",
            rows,
            "ON CONFLICT (sha256, log, entry, bytes) DO NOTHING",
            Demand::Nothing,
        );
        for blob in rows {
            self.bind(&blob.sha256.as_bytes()[..])
                .bind(log)
                .bind(to_sql(blob.entry))
                .bind(to_sql(blob.bytes));
        }
    }

    fn add(&mut self, statement: &str, demand: Demand<'a>) {
        self.sql.push_str(statement);
        self.sql.push(';');
        self.demands.push(demand);
    }

    /// Adds an insertion of so many rows; their values are bound next.
    fn insert<T>(&mut self, columns: &str, rows: &[T], on_conflict: &str, demand: Demand<'a>) {
        let width = columns.matches(',').count();
        let row = format!("({}?)", "?,".repeat(width));
        let values = vec![row; rows.len()].join(",");
        self.add(&format!("INSERT INTO {columns} VALUES {values} {on_conflict}"), demand);
    }

    fn bind<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        self.arguments.add(value).expect("numbers, text and bytes have an encoding");
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`CommitError`] of the first demand, in order, that is not met; then the transaction must not be committed.
    pub(crate) async fn run(self, tx: &mut Transaction<'_, Sqlite>) -> Result<(), CommitError> {
        let Self { sql, arguments, demands, has_many_leaves, .. } = self;
        // The text is made of the constants above and of question marks.
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(!has_many_leaves);
        let mut doubtful = Vec::new();
        let mut fault = None;
        let mut open = demands.iter().peekable();
        let mut results = tx.fetch_many(query);
        while let Some(result) = results.next().await {
            match result {
                Ok(Either::Left(done)) => {
                    let demand = open.next().expect("a result for each statement");
                    if demand.rows().is_some_and(|rows| rows != done.rows_affected()) {
                        doubtful.push(demand);
                    }
                    if matches!(demand, Demand::Leaves(..)) {
                        crash_point("commit-leaves-written");
                    }
                }
                Ok(Either::Right(row)) => {
                    if let Some(demand @ Demand::Generation(generation)) = open.peek().copied()
                        && row.try_get::<i64, _>(0)? != *generation
                    {
                        doubtful.push(demand);
                    }
                }
                Err(err) => {
                    fault = Some(err);
                    break;
                }
            }
        }
        drop(results);
        // A statement can fail for what an earlier one found: a log that is elsewhere has those leaves already.
        for demand in doubtful {
            demand.examine(tx).await?;
        }
        match fault {
            Some(err) => Err(err.into()),
            None => Ok(()),
        }
    }
}

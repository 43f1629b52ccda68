//! How is a step of a log written? Statement by statement, each held against what it must have done.

use std::collections::HashSet;

use brick_schemas::Digest;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use crate::buckets::part_of;
use crate::commit::CommitError;
use crate::crash_point::crash_point;
use crate::fault::{from_sql, to_sql};
use crate::served::{FORGET_COSIGNATURES, PART, PRUNE, SHOW};
use crate::step::{BlobRow, BucketNodeRow, LeafKind, LogStep};

/// Writes a step, in an order in which each statement finds what it refers to.
///
/// - `here`: blobs that lie on the disk although their row does not say so.
///
/// # Errors
/// [`CommitError`] of the first thing that is not as the step says; then the transaction must not be committed.
pub(crate) fn apply(tx: &Transaction<'_>, step: &LogStep, here: &HashSet<Digest>) -> Result<(), CommitError> {
    let log = step.log.0;
    let since = to_sql(step.new_size);
    move_log(tx, step)?;
    leaves(tx, step)?;
    crash_point("commit-leaves-written");
    tiles(tx, step)?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO checkpoint (log, size, root, note) VALUES (?, ?, ?, ?)
         ON CONFLICT (log, size) DO UPDATE SET note = excluded.note WHERE excluded.root = checkpoint.root",
    )?;
    if statement.execute(params![log, since, step.root.as_bytes(), step.checkpoint])? != 1 {
        return Err(CommitError::RootChanged { log: step.log, size: step.new_size });
    }
    lines(tx, step)?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO index_file (log, brick, since, bucket, sha256, bytes) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (log, brick, since) DO UPDATE SET bucket = excluded.bucket,
         sha256 = excluded.sha256, bytes = excluded.bytes",
    )?;
    for file in &step.files {
        let (brick, sha256) = (file.brick.as_str(), file.sha256.as_bytes());
        statement.execute(params![log, brick, since, file.bucket, sha256, to_sql(file.bytes)])?;
    }
    bucket_nodes(tx, step)?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO service (log, service, since, entry, json) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (log, service, since) DO UPDATE SET entry = excluded.entry, json = excluded.json",
    )?;
    for service in &step.services {
        let name = service.service.as_str();
        statement.execute(params![log, name, since, to_sql(service.entry), service.json])?;
    }
    blobs(tx, step, here)?;
    if step.is_served {
        let part = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let (after, upto) = tx.prepare_cached(PART)?.query_row(params![log, since], part)?;
        // Where the part is this step, what it does not bring supersedes nothing.
        let is_own = (after, upto) == (to_sql(step.old_size), since);
        let changes_lines = step.lines.iter().any(|line| line.entry < step.old_size);
        let is_due = [changes_lines, true, true, !step.services.is_empty()];
        for (statement, is_due) in PRUNE.into_iter().zip(is_due) {
            if is_due || !is_own {
                tx.prepare_cached(statement)?.execute(params![log, after, upto])?;
            }
        }
        tx.prepare_cached(SHOW)?.execute(params![log, since, upto])?;
        tx.prepare_cached(FORGET_COSIGNATURES)?.execute(params![since, log])?;
    }
    Ok(())
}

fn bucket_nodes(tx: &Transaction<'_>, step: &LogStep) -> Result<(), CommitError> {
    let (log, since) = (step.log.0, to_sql(step.new_size));
    let mut statement = tx.prepare_cached(
        "INSERT INTO bucket_node (log, part, level, idx, since, hash) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (log, part, level, idx, since) DO UPDATE SET hash = excluded.hash",
    )?;
    let mut rows: Vec<(u32, &BucketNodeRow)> =
        step.nodes.iter().map(|node| (part_of(node.level, node.index), node)).collect();
    // In the order in which they lie.
    rows.sort_unstable_by_key(|(part, node)| (*part, node.level, node.index));
    for (part, node) in rows {
        statement.execute(params![log, part, node.level, node.index, since, node.hash.as_bytes()])?;
    }
    Ok(())
}

fn move_log(tx: &Transaction<'_>, step: &LogStep) -> Result<(), CommitError> {
    let (log, since, before) = (step.log.0, to_sql(step.new_size), to_sql(step.old_size));
    let mut statement = tx.prepare_cached("UPDATE log SET size = ? WHERE id = ? AND size = ?")?;
    if statement.execute(params![since, log, before])? == 1 {
        return Ok(());
    }
    let stored = tx
        .query_row("SELECT size FROM log WHERE id = ?", [log], |row| row.get::<_, i64>(0))
        .optional()?
        .ok_or(CommitError::UnknownLog { log: step.log })?;
    let stored = from_sql(stored, "a log's size")?;
    Err(CommitError::Conflict { log: step.log, expected: step.old_size, stored })
}

fn leaves(tx: &Transaction<'_>, step: &LogStep) -> Result<(), CommitError> {
    let log = step.log.0;
    let mut statement = tx.prepare_cached(
        "INSERT INTO leaf (log, entry, payload, bytes) VALUES (?, ?, ?, ?)
         ON CONFLICT (log, payload) WHERE payload IS NOT NULL DO NOTHING",
    )?;
    for (leaf, entry) in step.leaves.iter().zip(step.old_size..) {
        let payload = match &leaf.kind {
            LeafKind::Envelope { payload } => Some(payload),
            LeafKind::Snapshot => None,
        };
        let bytes = payload.map(Digest::as_bytes);
        let written = statement.execute(params![log, to_sql(entry), bytes, leaf.bytes])?;
        if let Some(payload) = payload.filter(|_| written != 1) {
            let found = "SELECT entry FROM leaf WHERE log = ? AND payload = ?";
            let first = tx.query_row(found, params![log, payload.as_bytes()], |row| row.get::<_, i64>(0))?;
            let first = from_sql(first, "a leaf's index")?;
            return Err(CommitError::Replayed { log: step.log, payload: *payload, entry, first });
        }
    }
    Ok(())
}

fn tiles(tx: &Transaction<'_>, step: &LogStep) -> Result<(), CommitError> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO tile (log, level, idx, hashes) VALUES (?, ?, ?, ?)
         ON CONFLICT (log, level, idx) DO UPDATE SET hashes = excluded.hashes
         WHERE substr(excluded.hashes, 1, length(tile.hashes)) = tile.hashes",
    )?;
    for tile in &step.tiles {
        if statement.execute(params![step.log.0, tile.level, to_sql(tile.index), tile.hashes])? != 1 {
            return Err(CommitError::TileChanged { log: step.log, level: tile.level, index: tile.index });
        }
    }
    Ok(())
}

fn lines(tx: &Transaction<'_>, step: &LogStep) -> Result<(), CommitError> {
    let (log, since) = (step.log.0, to_sql(step.new_size));
    let mut release = tx.prepare_cached(
        "INSERT INTO release (log, brick, version, entry) VALUES (?, ?, ?, ?)
         ON CONFLICT (log, brick, version) DO NOTHING",
    )?;
    // A brick is there since its first release.
    let mut brick = tx.prepare_cached(
        "INSERT INTO brick (log, brick, since) VALUES (?, ?, ?) ON CONFLICT (log, brick) DO NOTHING",
    )?;
    let mut line = tx.prepare_cached(
        "INSERT INTO line (log, brick, entry, since, version, line) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (log, brick, entry, since) DO UPDATE SET line = excluded.line",
    )?;
    for row in &step.lines {
        let (name, version, entry) = (row.brick.as_str(), row.version.to_string(), to_sql(row.entry));
        if release.execute(params![log, name, version, entry])? != 1 {
            let found = "SELECT entry FROM release WHERE log = ? AND brick = ? AND version = ?";
            let first = tx.query_row(found, params![log, name, version], |row| row.get::<_, i64>(0))?;
            let first = from_sql(first, "a release's entry")?;
            if first != row.entry {
                let (log, brick, version) = (step.log, row.brick.clone(), Box::new(row.version.clone()));
                return Err(CommitError::VersionTaken { log, brick, version, entry: row.entry, first });
            }
        }
        brick.execute(params![log, name, since])?;
        line.execute(params![log, name, entry, since, version, row.line])?;
    }
    Ok(())
}

fn blobs(tx: &Transaction<'_>, step: &LogStep, here: &HashSet<Digest>) -> Result<(), CommitError> {
    let mut blob = tx.prepare_cached(
        "INSERT INTO blob (sha256, stored) VALUES (?, ?)
         ON CONFLICT (sha256) DO UPDATE SET stored = excluded.stored",
    )?;
    let mut blob_use = tx.prepare_cached(
        "INSERT INTO blob_use (sha256, log, entry, bytes) VALUES (?, ?, ?, ?)
         ON CONFLICT (sha256, log, entry, bytes) DO NOTHING",
    )?;
    // In the order in which they lie.
    let mut rows: Vec<&BlobRow> = step.blobs.iter().collect();
    rows.sort_by_key(|row| row.sha256);
    for row in rows {
        let sha256 = row.sha256.as_bytes();
        blob.execute(params![sha256, row.is_here || here.contains(&row.sha256)])?;
        blob_use.execute(params![sha256, step.log.0, to_sql(row.entry), to_sql(row.bytes)])?;
    }
    Ok(())
}

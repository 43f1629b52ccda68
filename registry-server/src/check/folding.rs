//! What do the entries add up to, once more? Folded into a store of its own, by the same fold that mirrors use, then
//! compared with what is stored here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use brick_index::audit::check_leaves;
use brick_index::replay::{Before, CheckedLeaf, Touched, replay, touches};
use brick_schemas::predicate::{Predicate, Statement};
use brick_schemas::{Digest, PublisherName};
use brick_store::{
    BlobRow, Checkpoint, Derived, DifferenceKind, LeafKind, LeafRow, Log, LogStep, MAX_DIFFERENCES, ReadError,
};
use brick_tlog::hash::Hash;
use brick_tlog::note::Vkey;
use brick_tlog::snapshot::SnapshotLeaf;
use brick_trust::{Envelope, Refused, Step};

use super::walking::Heads;
use super::{Checking, Kind, head_place, leaf_place};
use crate::blocking::blocking;
use crate::log_tail::LogTail;
use crate::mirroring::Merged;
use crate::nodes::Nodes;
use crate::problem::chain;
use crate::registry::digest;
use crate::stored_index::{load_touched, stored_bucket_nodes};

/// Leaves that are folded together, where snapshots allow.
pub(super) const STRETCH: u64 = 2_048;
/// Leaves without a snapshot among them, at most: what one snapshot may stand for.
const MAX_STRETCH: u64 = 65_536;

/// Why a log was not folded to its end.
pub(super) enum Stopped {
    /// What is stored cannot be read.
    Stored(ReadError),
    /// The store beside it fails: a full disk, above all.
    Scratch(Box<dyn std::error::Error + Send + Sync>),
}

impl From<ReadError> for Stopped {
    fn from(err: ReadError) -> Self {
        Self::Stored(err)
    }
}

fn scratch(err: impl std::error::Error + Send + Sync + 'static) -> Stopped {
    Stopped::Scratch(Box::new(err))
}

impl Checking<'_> {
    /// Folds the first `sound` leaves of a log into the store beside. Returns its edge there, unless one was refused.
    pub(super) async fn fold_leaves(
        &mut self,
        log: &Log,
        vkey: &Vkey,
        sound: u64,
    ) -> Result<Option<LogTail>, Stopped> {
        let aside = self.scratch.store.clone();
        let vkey_text = vkey.to_string();
        let made = aside.create_log(&log.origin, &vkey_text, log.publisher.as_ref(), log.hosted);
        let folded = made.await.map_err(scratch)?;
        let mut tail = LogTail::load(&aside, &folded).await.map_err(scratch)?;
        let store = self.store.clone();
        let mut heads = match &self.gathered {
            Some(gathered) => Heads::of(gathered.heads.clone(), &store, log),
            None => Heads::new(&store, log),
        };
        let mut waiting: Option<Checkpoint> = None;
        let mut last_head = 0;
        while tail.size() < sound {
            let first = tail.size();
            let mut sizes = Vec::new();
            // A head further on than one stretch waits for the next.
            while let Some(head) = match waiting.take() {
                Some(head) => Some(head),
                None => heads.next().await?,
            } {
                if head.size > sound.min(first + self.stretch) {
                    waiting = Some(head);
                    break;
                }
                sizes.push(head);
            }
            let end = sizes.last().map(|head| head.size);
            let bound = waiting.as_ref().map_or(sound, |head| head.size.min(sound));
            let outcome = match &log.publisher {
                Some(publisher) => self.publisher_stretch(log, publisher, &mut tail, end, bound).await?,
                None => self.commons_stretch(log, &mut tail, end, bound).await?,
            };
            let steps = match outcome {
                Ok(stretch) => stretch.steps(&mut tail, first, &sizes),
                Err(refused) => Err(refused),
            };
            let steps = match steps {
                Ok(steps) => steps,
                Err(refused) => {
                    self.report.note(Kind::Entry, log.origin.as_str(), chain(&refused));
                    self.report
                        .unchecked
                        .push(format!("what follows from {} after {first} leaves", log.origin));
                    return Ok(None);
                }
            };
            // What was gathered was held against the heads; it is read once more here.
            if self.gathered.is_some()
                && let Some(last) = sizes.last()
                && (last.size != tail.size() || last.root != digest(tail.root()))
            {
                let what = format!("{} is not what it was a moment ago", head_place(&log.origin, last.size));
                return Err(scratch(Refused::new(Step::Inclusion, what)));
            }
            aside.commit(&steps).await.map_err(scratch)?;
            if let (Some(head), Some(last)) = (sizes.first(), sizes.last()) {
                // The step to this head began before the stretch.
                if last_head < first {
                    aside.merge_steps(tail.log, last_head, head.size).await.map_err(scratch)?;
                }
                last_head = last.size;
            }
            (self.tell)(&format!("{}: {} of {} leaves folded", log.origin, tail.size(), log.size));
        }
        self.has_records |= log.publisher.is_none() && sound == log.size;
        Ok(Some(tail))
    }

    /// Folds the first `sound` leaves of a log again, and compares.
    pub(super) async fn fold(
        &mut self,
        log: &Log,
        vkey: &Vkey,
        sound: u64,
        data: &Path,
    ) -> Result<(), Stopped> {
        let Some(tail) = self.fold_leaves(log, vkey, sound).await? else { return Ok(()) };
        let aside = self.scratch.store.clone();
        self.git_log(log, vkey, sound, tail.log, data).await?;
        if sound < log.size {
            self.report.unchecked.push(format!("what follows from {} after {sound} leaves", log.origin));
            return Ok(());
        }
        aside.drop_superseded(tail.log, log.kept_size.min(log.size)).await.map_err(scratch)?;
        for table in Derived::ALL {
            self.compare(log, table, &tail).await?;
        }
        Ok(())
    }

    async fn compare(&mut self, log: &Log, table: Derived, tail: &LogTail) -> Result<(), Stopped> {
        let found = self.store.differences(table, log.id, &self.scratch.store, tail.log).await?;
        let kind = if table == Derived::Tile { Kind::Tile } else { Kind::Catalogue };
        if found.len() >= MAX_DIFFERENCES as usize {
            self.report.unchecked.push(format!("every further {} of {}", table.name(), log.origin));
        }
        for difference in found {
            let place = format!("{} {} of {}", table.name(), difference.key.escape_debug(), log.origin);
            let why = match difference.kind {
                DifferenceKind::Missing => "it is missing, though the entries add up to it",
                DifferenceKind::Wrong => "it is not what the entries add up to",
            };
            self.report.note(kind, place, why);
        }
        Ok(())
    }

    /// Leaves from `first` up to `end`, or to where the stored ones end.
    async fn leaves(&self, log: &Log, first: u64, end: u64) -> Result<Vec<Vec<u8>>, ReadError> {
        if let Some(gathered) = &self.gathered {
            return Ok(gathered.leaves(first, end).await);
        }
        let mut leaves = Vec::new();
        while first + (leaves.len() as u64) < end {
            let read = self.store.leaves(log.id, first + leaves.len() as u64..end).await?;
            if read.is_empty() {
                break;
            }
            leaves.extend(read);
        }
        Ok(leaves)
    }

    /// What the store beside keeps of a leaf: where it only serves to compare, that there is one.
    fn kept_bytes(&self, leaf: Vec<u8>) -> Vec<u8> {
        match &self.gathered {
            Some(_) => leaf,
            None => vec![0],
        }
    }

    async fn commons_stretch(
        &mut self,
        log: &Log,
        tail: &mut LogTail,
        end: Option<u64>,
        bound: u64,
    ) -> Result<Result<Stretch, Refused>, Stopped> {
        let first = tail.size();
        let end = end.unwrap_or(bound.min(first + self.stretch));
        let leaves = self.leaves(log, first, end).await?;
        let mut state = self.commons().fork();
        let mut stretch = Stretch { leaves: Vec::new(), segments: Vec::new(), blobs: Vec::new() };
        for (index, leaf) in (first..).zip(leaves) {
            let applied = state.apply(&self.pin, &leaf);
            if let Err(mut refused) = applied {
                refused.what = format!("{}: {}", leaf_place(&log.origin, index), refused.what);
                self.scratch.set_commons(state);
                return Ok(Err(refused));
            }
            tail.push(&leaf);
            self.report.checked.entries += 1;
            let Ok(envelope) = Envelope::parse(&leaf) else { continue };
            let kind = LeafKind::Envelope { payload: envelope.payload_digest() };
            stretch.leaves.push(LeafRow { bytes: self.kept_bytes(leaf), kind });
            let Ok(statement) = Statement::parse(&envelope.payload) else { continue };
            stretch.blobs.extend(statement.predicate.blobs().into_iter().map(|blob| BlobRow {
                sha256: blob.sha256,
                bytes: blob.bytes,
                entry: index,
                is_here: false,
            }));
            if let Predicate::Registry(record) = &statement.predicate
                && let Ok(vkey) = brick_trust::commons::witness_vkey(record)
            {
                self.witnesses.insert((vkey.name().clone(), vkey.id()), vkey);
            }
        }
        self.scratch.set_commons(state);
        Ok(Ok(stretch))
    }

    async fn publisher_stretch(
        &mut self,
        log: &Log,
        publisher: &PublisherName,
        tail: &mut LogTail,
        end: Option<u64>,
        bound: u64,
    ) -> Result<Result<Stretch, Refused>, Stopped> {
        let first = tail.size();
        let leaves = match end {
            Some(end) => self.leaves(log, first, end).await?,
            None => match self.to_a_snapshot(log, first, bound).await? {
                Ok(leaves) => leaves,
                Err(refused) => return Ok(Err(refused)),
            },
        };
        let state = self.commons();
        let (of, shared) = (publisher.clone(), state.clone());
        let checked = blocking(move || {
            let checked = check_leaves(shared.known()?, &of, first, &leaves)?;
            Ok::<_, Refused>((leaves, checked))
        });
        let (leaves, checked) = match checked.await {
            Ok(both) => both,
            Err(refused) => return Ok(Err(refused)),
        };
        let (mut roots, seen) = self.known_before(tail, &checked).await?;
        let Touched { bricks, buckets } = touches(&checked);
        let loaded = load_touched(&self.scratch, tail, bricks.keys()).await.map_err(scratch)?;
        let nodes = stored_bucket_nodes(&self.scratch, tail.log, first, buckets).await.map_err(scratch)?;
        let (snapshot_time, index_root) = (tail.snapshot_time, tail.index_root);
        for (index, leaf) in (first + 1..).zip(&leaves) {
            tail.push(leaf);
            roots.insert(index, tail.root());
        }
        let commons = match state.known() {
            Ok(commons) => commons,
            Err(refused) => return Ok(Err(refused)),
        };
        let before = Before { publisher, commons, first, snapshot_time, loaded, nodes, index_root };
        let root_at = |size| roots.get(&size).copied();
        let segments = match replay(before, &checked, root_at, |payload: &Digest| seen.contains(payload)) {
            Ok(replayed) => replayed.segments,
            Err(refused) => return Ok(Err(refused)),
        };
        if let Some(last) = segments.last() {
            tail.snapshot_time = Some(last.snapshot.time);
            tail.index_root = last.snapshot.index_root;
        }
        self.report.checked.snapshots += segments.len() as u64;
        self.report.checked.entries += (leaves.len() - segments.len()) as u64;
        let kinds = checked.iter().map(|leaf| match leaf {
            CheckedLeaf::Entry(entry) => LeafKind::Envelope { payload: entry.entry().payload },
            CheckedLeaf::Snapshot(_) => LeafKind::Snapshot,
        });
        let kinds: Vec<LeafKind> = kinds.collect();
        let leaves = kinds
            .into_iter()
            .zip(leaves)
            .map(|(kind, leaf)| LeafRow { bytes: self.kept_bytes(leaf), kind })
            .collect();
        Ok(Ok(Stretch { leaves, segments, blobs: Vec::new() }))
    }

    /// Leaves from `first` up to the last snapshot within a stretch, or the first one beyond it.
    async fn to_a_snapshot(
        &self,
        log: &Log,
        first: u64,
        bound: u64,
    ) -> Result<Result<Vec<Vec<u8>>, Refused>, ReadError> {
        let mut length = self.stretch;
        loop {
            let mut leaves = self.leaves(log, first, bound.min(first + length)).await?;
            if let Some(last) = leaves.iter().rposition(|leaf| SnapshotLeaf::is_snapshot(leaf)) {
                leaves.truncate(last + 1);
                return Ok(Ok(leaves));
            }
            if length >= MAX_STRETCH || first + length >= bound {
                let what = format!("{}: no snapshot follows for long", leaf_place(&log.origin, first));
                return Ok(Err(Refused::new(Step::Snapshot, what)));
            }
            length *= 2;
        }
    }

    /// The roots at the sizes that entries name as their basis, as far as they lie before the stretch; and the payloads
    /// that were in the log before it.
    async fn known_before(
        &self,
        tail: &LogTail,
        checked: &[CheckedLeaf],
    ) -> Result<(BTreeMap<u64, Hash>, BTreeSet<Digest>), Stopped> {
        let store = &self.scratch.store;
        let (mut roots, mut seen) = (BTreeMap::new(), BTreeSet::new());
        let mut nodes = Nodes::new(store, tail.log);
        for leaf in checked {
            let CheckedLeaf::Entry(entry) = leaf else { continue };
            let basis = entry.entry().statement.predicate.place().basis.size;
            if basis <= tail.size() && !roots.contains_key(&basis) {
                roots.insert(basis, nodes.root_at(basis).await.map_err(scratch)?);
            }
            let payload = entry.entry().payload;
            if store.payload_index(tail.log, &payload).await.map_err(scratch)?.is_some() {
                seen.insert(payload);
            }
        }
        Ok((roots, seen))
    }
}

/// Leaves that were folded together.
struct Stretch {
    leaves: Vec<LeafRow>,
    segments: Vec<brick_index::replay::Segment>,
    blobs: Vec<BlobRow>,
}

impl Stretch {
    /// The steps in which the log went through them: one a head, and one for what is left until a later head.
    fn steps(self, tail: &mut LogTail, first: u64, heads: &[Checkpoint]) -> Result<Vec<LogStep>, Refused> {
        let end = first + self.leaves.len() as u64;
        let root = digest(tail.root());
        let mut ends: Vec<(u64, Vec<u8>, Digest)> =
            heads.iter().map(|head| (head.size, head.note.clone(), head.root)).collect();
        if ends.last().is_none_or(|(size, ..)| *size < end) {
            ends.push((end, Vec::new(), root));
        }
        let mut leaves = self.leaves.into_iter();
        let (mut segments, mut blobs) =
            (self.segments.into_iter().peekable(), self.blobs.into_iter().peekable());
        let has_snapshots = segments.peek().is_some();
        let mut steps = Vec::new();
        let mut from = first;
        for (size, note, root) in ends {
            let mut step = LogStep::new(tail.log, from, size, note, root);
            step.leaves = leaves.by_ref().take(usize::try_from(size - from).unwrap_or(0)).collect();
            let mut own = Vec::new();
            while let Some(segment) = segments.next_if(|segment| segment.size <= size) {
                own.push(segment);
            }
            if has_snapshots && own.last().is_none_or(|segment| segment.size != size) {
                let place = head_place(&tail.origin, size);
                return Err(Refused::new(Step::Snapshot, format!("{place} does not end in a snapshot")));
            }
            let mut merged = Merged::default();
            merged.add(own);
            merged.fill(&mut step);
            while let Some(blob) = blobs.next_if(|blob| blob.entry < size) {
                step.blobs.push(blob);
            }
            steps.push(step);
            from = size;
        }
        // Tiles are whole rows: with the last step they are as they would be after all.
        if let Some(last) = steps.last_mut() {
            last.tiles = tail.take_tiles();
        }
        Ok(steps)
    }
}

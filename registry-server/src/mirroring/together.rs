//! How are portions of a log stored? Several as one step: what is written with each of them is written once.

use std::collections::{BTreeMap, HashMap};

use brick_index::fold::Folded;
use brick_index::replay::Segment;
use brick_schemas::{BrickName, Version};
use brick_store::{CommitError, LeafRow, Log, LogStep, TileRow};
use brick_tlog::hash::Hash;
use brick_tlog::note::{Note, SignatureLine};
use brick_tlog::tree::Node;
use brick_trust::Head;

use super::Brought;
use super::stretch::Walked;
use crate::registry::{Registry, RegistryError, digest};
use crate::stored_index::fill_step;
use crate::sync::SyncError;

/// Portions that were walked one after the other and are stored together.
#[derive(Default)]
pub(super) struct Together {
    head: Option<Head>,
    leaves: Vec<LeafRow>,
    bytes: usize,
    /// Each as it is last.
    tiles: BTreeMap<(u8, u64), TileRow>,
    merged: Merged,
}

impl Together {
    /// Adds the next portion, which ends at `head`.
    pub(super) fn add(&mut self, walked: Walked, head: Head) {
        self.bytes += walked.leaves.iter().map(|leaf| leaf.bytes.len()).sum::<usize>();
        self.leaves.extend(walked.leaves);
        self.tiles.extend(walked.tiles.into_iter().map(|tile| ((tile.level, tile.index), tile)));
        self.merged.add(walked.segments);
        self.head = Some(head);
    }

    /// Leaves in it.
    pub(super) fn leaves(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Bytes of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The step that stores it, and the head that it ends at; `None` where nothing was added.
    pub(super) fn into_step(self, log: &Log) -> Option<(LogStep, Head)> {
        let head = self.head?;
        let size = head.checkpoint().size;
        let mut step = mirrored_step(log, size - self.leaves.len() as u64, &head);
        step.leaves = self.leaves;
        step.tiles = self.tiles.into_values().collect();
        self.merged.fill(&mut step);
        Some((step, head))
    }
}

/// What several snapshots add up to: of each line, file, node and service the last state counts.
#[derive(Default)]
pub(crate) struct Merged {
    // A version has one entry, and numbers are compared faster.
    lines: BTreeMap<(BrickName, u64), (Version, String)>,
    /// All but the lines.
    folded: Folded,
    nodes: HashMap<Node, Hash>,
}

impl Merged {
    /// Adds segments that follow.
    pub(crate) fn add(&mut self, segments: Vec<Segment>) {
        let merged = &mut self.folded;
        for segment in segments {
            for (brick, version, entry, line) in segment.folded.lines {
                self.lines.insert((brick, entry), (version, line));
            }
            merged.files.extend(segment.folded.files);
            merged.services.extend(segment.folded.services);
            merged.blobs.extend(segment.folded.blobs);
            self.nodes.extend(segment.nodes);
        }
    }

    /// Puts it into a step.
    pub(crate) fn fill(self, step: &mut LogStep) {
        let lines = self.lines.into_iter();
        let lines = lines.map(|((brick, entry), (version, line))| (brick, version, entry, line)).collect();
        let folded = Folded { lines, ..self.folded };
        fill_step(step, folded, self.nodes.into_iter().collect(), false);
    }
}

/// A step that stores a peer's head as the log signed it; cosignatures are kept apart.
pub(super) fn mirrored_step(log: &Log, old_size: u64, head: &Head) -> LogStep {
    let checkpoint = head.checkpoint();
    let is_log = |line: &&SignatureLine| line.name == checkpoint.origin;
    let signed = Note {
        text: head.note().text.clone(),
        signatures: head.note().signatures.iter().filter(is_log).take(1).cloned().collect(),
    };
    LogStep::new(log.id, old_size, checkpoint.size, signed.to_bytes(), digest(checkpoint.root))
}

/// Stores a step.
///
/// # Errors
/// [`SyncError::Registry`].
pub(super) async fn commit(registry: &Registry, step: LogStep) -> Result<Brought, SyncError> {
    match registry.store.commit(&[step]).await {
        Ok(()) => Ok(Brought::Forward),
        Err(CommitError::Conflict { .. }) => Ok(Brought::Elsewhere),
        Err(err) => Err(RegistryError::store(err).into()),
    }
}

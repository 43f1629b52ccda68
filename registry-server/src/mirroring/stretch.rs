//! What do new leaves of a publisher's log add up to? Checked on all processors, walked in order, stored in one step.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use brick_client::LogPath;
use brick_index::audit::check_leaves;
use brick_index::fold::{Folded, Loaded};
use brick_index::replay::{Before, CheckedLeaf, Replayed, Segment, Touched, replay, touches};
use brick_schemas::PublisherName;
use brick_store::{CommitError, LeafKind, LeafRow, LogStep};
use brick_tlog::hash::Hash;
use brick_tlog::note::{Note, SignatureLine};
use brick_tlog::tree::Node;
use brick_trust::{Head, Refused};

use super::Brought;
use super::shown::{Through, demand_root};
use crate::blocking::blocking;
use crate::kept_index::KeptIndex;
use crate::log_tail::LogTail;
use crate::nodes::Nodes;
use crate::registry::{CommonsState, Registry, RegistryError, digest};
use crate::source::Source;
use crate::stored_index::{fill_step, load_touched, stored_bucket_nodes};
use crate::sync::SyncError;

/// Leaves whose form and signatures hold.
pub(super) struct Stretch {
    /// As they came.
    pub(super) leaves: Vec<Vec<u8>>,
    /// What they say.
    pub(super) checked: Vec<CheckedLeaf>,
}

impl Stretch {
    /// Checks leaves, the first of which has index `first`: what needs nothing of the log, and most of the time.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) async fn check(
        state: &Arc<CommonsState>,
        publisher: &PublisherName,
        first: u64,
        leaves: Vec<Vec<u8>>,
    ) -> Result<Self, Refused> {
        let (state, publisher) = (state.clone(), publisher.clone());
        blocking(move || {
            let checked = check_leaves(state.known()?, &publisher, first, &leaves)?;
            Ok(Self { leaves, checked })
        })
        .await
    }

    /// Walks the leaves from the log's edge on: the step that stores them, if all of them hold under the head.
    ///
    /// - `kept`: what is known of the log as of its edge. What the stretch touches is taken out of it.
    ///
    /// # Errors
    /// [`SyncError`].
    pub(super) async fn step(
        self,
        registry: &Registry,
        (source, path): (&Source, &LogPath),
        state: &Arc<CommonsState>,
        mut tail: LogTail,
        head: &Head,
        kept: Option<&mut KeptIndex>,
    ) -> Result<Walked, SyncError> {
        let Self { leaves, checked } = self;
        let first = tail.size();
        // Roots at the sizes that entries name as their basis: old ones from the store, new ones on the way.
        let mut roots = BTreeMap::new();
        let mut wanted = BTreeSet::new();
        let mut nodes = Nodes::new(&registry.store, tail.log);
        let mut payloads = Vec::new();
        for leaf in &checked {
            if let CheckedLeaf::Entry(entry) = leaf {
                let entry = entry.entry();
                let basis = entry.statement.predicate.place().basis.size;
                if basis > first {
                    wanted.insert(basis);
                } else if let std::collections::btree_map::Entry::Vacant(place) = roots.entry(basis) {
                    place.insert(nodes.root_at(basis).await.map_err(RegistryError::store)?);
                }
                payloads.push(entry.payload);
            }
        }
        let Touched { bricks, buckets } = touches(&checked);
        let (loaded, index_nodes) = match (first, kept) {
            // Of a log that is not here yet nothing need be looked for.
            (0, _) => Default::default(),
            (_, Some(kept)) => (
                kept.take(registry, &tail, &bricks).await?,
                kept.nodes(registry, tail.log, first, buckets).await?,
            ),
            (_, None) => (
                load_touched(registry, &tail, bricks.keys()).await?,
                stored_bucket_nodes(registry, tail.log, first, buckets).await?,
            ),
        };
        let seen: HashSet<_> = match first {
            0 => HashSet::new(),
            _ => registry.store.known_payloads(tail.log, &payloads).await.map_err(RegistryError::store)?,
        };
        let through = Through::of(registry, &tail.origin);
        let (mut tail, leaves, roots, contradiction) = blocking(move || {
            let mut contradiction = None;
            for leaf in &leaves {
                tail.push(leaf);
                if wanted.contains(&tail.size()) {
                    roots.insert(tail.size(), tail.root());
                }
                contradiction = contradiction.or_else(|| through.contradiction(&tail));
            }
            (tail, leaves, roots, contradiction)
        })
        .await;
        if let Some(contradiction) = contradiction {
            return Err(contradiction.keep(registry, &tail.origin, head).await?);
        }
        demand_root(registry, source, path, &tail, head).await?;
        let mut step = mirrored_step(&mut tail, first, head);
        let state = state.clone();
        blocking(move || {
            let before = Before {
                publisher: &tail.origin.domain(),
                commons: state.known()?,
                first,
                snapshot_time: tail.snapshot_time,
                loaded,
                nodes: index_nodes,
                index_root: tail.index_root,
            };
            let Replayed { segments, loaded } =
                replay(before, &checked, |size| roots.get(&size).copied(), |payload| seen.contains(payload))?;
            for (leaf, checked) in leaves.into_iter().zip(&checked) {
                let kind = match checked {
                    CheckedLeaf::Entry(entry) => LeafKind::Envelope { payload: entry.entry().payload },
                    CheckedLeaf::Snapshot(_) => LeafKind::Snapshot,
                };
                step.leaves.push(LeafRow { bytes: leaf, kind });
            }
            let nodes = fill_from_segments(&mut step, segments);
            Ok(Walked { step, loaded, nodes })
        })
        .await
    }
}

/// A stretch that holds.
pub(super) struct Walked {
    /// What stores it.
    pub(super) step: LogStep,
    /// Index files and buckets after it.
    pub(super) loaded: Loaded,
    /// The bucket-tree nodes that it changed.
    pub(super) nodes: Vec<(Node, Hash)>,
}

/// A step that stores a peer's head as the log signed it; cosignatures are kept apart.
pub(super) fn mirrored_step(tail: &mut LogTail, old_size: u64, head: &Head) -> LogStep {
    let checkpoint = head.checkpoint();
    let is_log = |line: &&SignatureLine| line.name == checkpoint.origin;
    let signed = Note {
        text: head.note().text.clone(),
        signatures: head.note().signatures.iter().filter(is_log).take(1).cloned().collect(),
    };
    let mut step =
        LogStep::new(tail.log, old_size, checkpoint.size, signed.to_bytes(), digest(checkpoint.root));
    step.tiles = tail.take_tiles();
    step
}

/// Several snapshots become one step: of each line, file, node and service the last state counts.
///
/// Returns the nodes.
pub(crate) fn fill_from_segments(step: &mut LogStep, segments: Vec<Segment>) -> Vec<(Node, Hash)> {
    let mut lines = BTreeMap::new();
    let mut merged = Folded {
        lines: Vec::new(),
        files: BTreeMap::new(),
        buckets: BTreeMap::new(),
        services: BTreeMap::new(),
        blobs: Vec::new(),
    };
    let mut nodes = HashMap::new();
    for segment in segments {
        for (brick, version, entry, line) in segment.folded.lines {
            // A version has one entry, and numbers are compared faster.
            lines.insert((brick, entry), (version, line));
        }
        merged.files.extend(segment.folded.files);
        merged.services.extend(segment.folded.services);
        merged.blobs.extend(segment.folded.blobs);
        nodes.extend(segment.nodes);
    }
    merged.lines =
        lines.into_iter().map(|((brick, entry), (version, line))| (brick, version, entry, line)).collect();
    let nodes: Vec<(Node, Hash)> = nodes.into_iter().collect();
    fill_step(step, merged, nodes.clone(), false);
    nodes
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

//! Is a stretch of a publisher's log what it claims to be? Every leaf checked as if it came from an enemy.
//!
//! The same check serves mirrors (before they store and cosign) and audits. It is pure but for what the caller loads:
//! signatures are verified first, in parallel where the caller likes, then the leaves are walked in order.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use brick_schemas::predicate::{Publisher, Statement};
use brick_schemas::{BrickName, Digest, PublisherName};
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::{SnapshotLeaf, bucket_of, update_buckets};
use brick_tlog::tree::Node;
use brick_trust::{BasisRoot, Commons, Entry, Position, Refused, SignedEntry, Step, authorise};

use crate::fold::{Fold, Folded, Loaded, needs_lines, touched};

/// One leaf whose form and signatures have been checked.
#[derive(Debug)]
pub enum CheckedLeaf {
    /// An entry.
    Entry(Box<SignedEntry>),
    /// A snapshot.
    Snapshot(SnapshotLeaf),
}

/// Checks the form and signatures of leaf `index`; needs nothing of the log, so it can run on any core.
///
/// # Errors
/// [`Refused`] at [`Step::Signature`], [`Step::Record`] or [`Step::Snapshot`].
pub fn check_leaf(
    commons: &Commons,
    publisher: &PublisherName,
    index: u64,
    leaf: &[u8],
) -> Result<CheckedLeaf, Refused> {
    if SnapshotLeaf::is_snapshot(leaf) {
        return SnapshotLeaf::parse(leaf).map(CheckedLeaf::Snapshot).map_err(|err| {
            Refused::caused(Step::Snapshot, format!("leaf {index} of {publisher}'s log"), err)
        });
    }
    let record = commons.record_at(publisher, index)?;
    Ok(CheckedLeaf::Entry(Box::new(Entry::parse(leaf)?.verify(record)?)))
}

/// What a stretch touches.
#[derive(Debug, Default)]
pub struct Touched {
    /// Bricks whose index files change, each with whether the file must be whole.
    pub bricks: BTreeMap<BrickName, bool>,
    /// The buckets that they are in.
    pub buckets: BTreeSet<u16>,
}

impl Touched {
    /// What entries touch.
    pub fn by<'a>(statements: impl IntoIterator<Item = &'a Statement>) -> Self {
        let mut bricks: BTreeMap<BrickName, bool> = BTreeMap::new();
        for statement in statements {
            let Some(brick) = touched(statement) else { continue };
            match bricks.get_mut(brick) {
                Some(whole) => *whole |= needs_lines(statement),
                None => {
                    bricks.insert(brick.clone(), needs_lines(statement));
                }
            }
        }
        let buckets = bricks.keys().map(|brick| bucket_of(brick.as_str())).collect();
        Self { bricks, buckets }
    }
}

/// The bricks and buckets that a stretch touches: what to load before it can be replayed.
pub fn touches(leaves: &[CheckedLeaf]) -> Touched {
    Touched::by(leaves.iter().filter_map(|leaf| match leaf {
        CheckedLeaf::Entry(entry) => Some(&entry.entry().statement),
        CheckedLeaf::Snapshot(_) => None,
    }))
}

/// What must be known of the log before a stretch of it can be replayed.
pub struct Before<'a> {
    /// The publisher.
    pub publisher: &'a PublisherName,
    /// The commons, for the record in force at each leaf.
    pub commons: &'a Commons,
    /// The index of the first leaf of the stretch.
    pub first: u64,
    /// The time of the last snapshot before it.
    pub snapshot_time: Option<u64>,
    /// Index files and buckets of the bricks that the stretch touches.
    pub loaded: Loaded,
    /// Bucket-tree nodes on and beside the paths of the touched buckets; absent means empty.
    pub nodes: HashMap<Node, Hash>,
    /// The bucket tree's root before the stretch.
    pub index_root: Hash,
}

/// What a stretch adds up to, one a snapshot.
#[derive(Debug)]
pub struct Segment {
    /// Leaves from the end of the segment before up to and with this snapshot: the log's size at the snapshot's end.
    pub size: u64,
    /// The snapshot.
    pub snapshot: SnapshotLeaf,
    /// What changed.
    pub folded: Folded,
    /// Bucket-tree nodes that changed.
    pub nodes: Vec<(Node, Hash)>,
}

/// A stretch that held.
#[derive(Debug)]
pub struct Replayed {
    /// What it adds up to, one a snapshot.
    pub segments: Vec<Segment>,
    /// The index files and buckets after it, of all that were loaded or came to be.
    pub loaded: Loaded,
    /// The bucket-tree nodes after it: those that were given, and those that changed.
    pub nodes: HashMap<Node, Hash>,
}

/// Replays a stretch that ends in a snapshot.
///
/// - `root_at`: the log's root at a size up to the leaf's index, computed from leaves, never believed.
/// - `seen`: whether the log held the payload before `first`.
///
/// # Errors
/// [`Refused`] with the step and the leaf; then none of the stretch may be stored or cosigned.
pub fn replay(
    mut before: Before,
    leaves: &[CheckedLeaf],
    mut root_at: impl FnMut(u64) -> Option<Hash>,
    mut seen: impl FnMut(&Digest) -> bool,
) -> Result<Replayed, Refused> {
    let origin = brick_schemas::Origin::of_publisher(before.publisher);
    let kept = |err| Refused::caused(Step::Index, format!("folding {origin}"), err);
    let mut segments: Vec<Segment> = Vec::new();
    let mut in_stretch = HashSet::new();
    let mut fold = Fold::begin(before.loaded);
    let mut index_root = before.index_root;
    for (at, leaf) in leaves.iter().enumerate() {
        let index = before.first + at as u64;
        match leaf {
            CheckedLeaf::Entry(signed) => {
                let entry = signed.entry();
                let record: &Publisher = before.commons.record_at(before.publisher, index)?;
                let basis = entry.statement.predicate.place().basis.size;
                let basis_root = match (basis <= index).then(|| root_at(basis)) {
                    Some(Some(root)) => BasisRoot::Known(Digest::from(*root.as_bytes())),
                    Some(None) => {
                        return Err(Refused::new(
                            Step::Basis,
                            format!("the root of {origin} at size {basis} is not known"),
                        ));
                    }
                    None => BasisRoot::NotHeld,
                };
                let seen = !in_stretch.insert(entry.payload) || seen(&entry.payload);
                authorise(signed, &Position { record, index, basis_root, seen })?;
                fold.apply(index, &entry.statement)
                    .map_err(|err| Refused::caused(Step::Index, format!("leaf {index} of {origin}"), err))?;
            }
            CheckedLeaf::Snapshot(snapshot) => {
                brick_trust::snapshot::check_place(snapshot, index, before.snapshot_time)?;
                let folded = fold.snapshot(snapshot.time).map_err(kept)?;
                let changes: Vec<(u16, Hash)> =
                    folded.buckets.iter().map(|(number, bucket)| (*number, bucket.leaf_hash())).collect();
                let nodes = if changes.is_empty() {
                    Vec::new()
                } else {
                    let update = update_buckets(changes, |node| {
                        Ok::<_, std::convert::Infallible>(before.nodes.get(&node).copied())
                    });
                    let Ok(update) = update;
                    index_root = update.root;
                    before.nodes.extend(update.nodes.iter().copied());
                    update.nodes
                };
                if snapshot.index_root != index_root {
                    return Err(Refused::new(
                        Step::Snapshot,
                        format!(
                            "the snapshot at leaf {index} of {origin} names index root {}, its entries add up to {}",
                            snapshot.index_root.to_hex(),
                            index_root.to_hex()
                        ),
                    ));
                }
                before.snapshot_time = Some(snapshot.time);
                segments.push(Segment { size: index + 1, snapshot: *snapshot, folded, nodes });
            }
        }
    }
    match leaves.last() {
        Some(CheckedLeaf::Snapshot(_)) | None => {
            Ok(Replayed { segments, loaded: fold.into_loaded(), nodes: before.nodes })
        }
        Some(CheckedLeaf::Entry(_)) => Err(Refused::new(
            Step::Snapshot,
            format!("the last leaf of {origin} under this head is not a snapshot"),
        )),
    }
}

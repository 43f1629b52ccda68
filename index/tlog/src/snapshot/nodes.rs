//! The tree over all buckets, of which only the non-empty part is kept.
//!
//! It is the RFC 6962 tree over 65,536 leaves, one a bucket in the order of their numbers, hence always complete: 16
//! levels of nodes above the leaves. The leaf of a bucket with lines is the leaf hash of those lines; the leaf of an
//! empty one is SHA-256 of nothing, which no lines can hash to. Nodes are [`Node`]s, their root
//! `Node { level: 16, index: 0 }`; one that is not kept covers empty buckets only and has the hash of
//! [`empty_subtree`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::LazyLock;

use crate::hash::{Hash, node_hash};
use crate::tree::{Node, ProofError, check_inclusion};

/// How many buckets there are.
pub const BUCKET_COUNT: u64 = 1 << BUCKET_LEVELS;

/// Levels above the buckets; the root is on this level.
pub const BUCKET_LEVELS: usize = 16;

static EMPTY_SUBTREES: LazyLock<[Hash; BUCKET_LEVELS + 1]> = LazyLock::new(|| {
    let mut hashes = [Hash::EMPTY_TREE; BUCKET_LEVELS + 1];
    for level in 0..BUCKET_LEVELS {
        hashes[level + 1] = node_hash(&hashes[level], &hashes[level]);
    }
    hashes
});

/// The hash of the subtree over `1 << level` empty buckets.
///
/// # Panics
/// If `level` is above [`BUCKET_LEVELS`].
pub fn empty_subtree(level: u8) -> Hash {
    EMPTY_SUBTREES[usize::from(level)]
}

/// What changes in the tree when buckets change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUpdate {
    /// The new root.
    pub root: Hash,
    /// Every node that was computed anew, leaves and root included, level by level. Those with the hash of
    /// [`empty_subtree`] need not be kept.
    pub nodes: Vec<(Node, Hash)>,
}

/// Computes the tree anew above the buckets that change.
///
/// - `changes`: bucket numbers with their new [`leaf_hash`](super::Bucket::leaf_hash); of one given twice the last.
/// - `read`: the kept hash of a node, `None` if it is not kept. Asked for the siblings of what changes, which
///   [`update_nodes`] tells beforehand, and for the root if nothing changes.
///
/// # Errors
/// Whatever `read` fails with.
pub fn update_buckets<E>(
    changes: impl IntoIterator<Item = (u16, Hash)>,
    mut read: impl FnMut(Node) -> Result<Option<Hash>, E>,
) -> Result<BucketUpdate, E> {
    let mut read = |node: Node| Ok(read(node)?.unwrap_or_else(|| empty_subtree(node.level)));
    let mut changed: Vec<(u64, Hash)> =
        changes.into_iter().map(|(bucket, leaf)| (u64::from(bucket), leaf)).collect();
    // Stable: of one given twice the last stays.
    changed.sort_by_key(|(index, _)| *index);
    changed.reverse();
    changed.dedup_by_key(|(index, _)| *index);
    changed.reverse();
    if changed.is_empty() {
        return Ok(BucketUpdate { root: read(ROOT)?, nodes: Vec::new() });
    }
    let mut nodes: Vec<(Node, Hash)> = Vec::with_capacity(changed.len() * (BUCKET_LEVELS + 1));
    for level in 0..ROOT.level {
        nodes.extend(changed.iter().map(|(index, hash)| (Node { level, index: *index }, *hash)));
        let mut above = Vec::with_capacity(changed.len());
        let mut rest = changed.iter().peekable();
        while let Some((index, hash)) = rest.next() {
            let (left, right) = match index % 2 {
                0 => match rest.next_if(|(next, _)| *next == index + 1) {
                    Some((_, right)) => (*hash, *right),
                    None => (*hash, read(Node { level, index: index + 1 })?),
                },
                _ => (read(Node { level, index: index - 1 })?, *hash),
            };
            above.push((index / 2, node_hash(&left, &right)));
        }
        changed = above;
    }
    let (_, root) = changed[0];
    nodes.push((ROOT, root));
    Ok(BucketUpdate { root, nodes })
}

/// What [`update_buckets`] reads for changes of these buckets, in that order.
pub fn update_nodes(buckets: impl IntoIterator<Item = u16>) -> Vec<Node> {
    let mut asked = Vec::new();
    let changes = buckets.into_iter().map(|bucket| (bucket, Hash::EMPTY_TREE));
    let Ok(_) = update_buckets(changes, note_down(&mut asked));
    asked
}

/// The hashes that show what `bucket` holds, from its sibling up.
///
/// - `read`: the kept hash of a node, `None` if it is not kept. Asked for [`bucket_nodes`].
///
/// # Errors
/// Whatever `read` fails with.
pub fn prove_bucket<E>(
    bucket: u16,
    mut read: impl FnMut(Node) -> Result<Option<Hash>, E>,
) -> Result<[Hash; BUCKET_LEVELS], E> {
    let mut path = [Hash::EMPTY_TREE; BUCKET_LEVELS];
    for (sibling, node) in path.iter_mut().zip(siblings(bucket)) {
        *sibling = read(node)?.unwrap_or_else(|| empty_subtree(node.level));
    }
    Ok(path)
}

/// What [`prove_bucket`] reads, in that order.
pub fn bucket_nodes(bucket: u16) -> Vec<Node> {
    let mut asked = Vec::new();
    let Ok(_) = prove_bucket(bucket, note_down(&mut asked));
    asked
}

/// That `bucket` has this leaf hash in the tree of this `root`.
///
/// # Errors
/// [`ProofError`] if the path leads elsewhere or has not [`BUCKET_LEVELS`] hashes.
pub fn check_bucket(bucket: u16, leaf_hash: &Hash, path: &[Hash], root: &Hash) -> Result<(), ProofError> {
    check_inclusion(bucket.into(), BUCKET_COUNT, leaf_hash, path, root)
}

const ROOT: Node = Node { level: BUCKET_LEVELS as u8, index: 0 };

fn siblings(bucket: u16) -> impl Iterator<Item = Node> {
    (0..ROOT.level).map(move |level| Node { level, index: u64::from(bucket >> level) ^ 1 })
}

/// A reader that only remembers what it was asked for.
fn note_down(asked: &mut Vec<Node>) -> impl FnMut(Node) -> Result<Option<Hash>, Infallible> {
    |node| {
        asked.push(node);
        Ok(None)
    }
}

/// The tree over all buckets in memory, at most 17 hashes for each bucket that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketTree {
    /// Without those that cover empty buckets only.
    nodes: BTreeMap<Node, Hash>,
}

impl BucketTree {
    /// The tree whose buckets are all empty.
    pub fn new() -> BucketTree {
        BucketTree::default()
    }

    /// Gives `bucket` a new [`leaf_hash`](super::Bucket::leaf_hash) and returns the nodes that this computed anew,
    /// the leaf first and the root last.
    pub fn set(&mut self, bucket: u16, leaf_hash: Hash) -> Vec<(Node, Hash)> {
        let Ok(update) = update_buckets([(bucket, leaf_hash)], |node| self.read(node));
        for (node, hash) in &update.nodes {
            if *hash == empty_subtree(node.level) {
                self.nodes.remove(node);
            } else {
                self.nodes.insert(*node, *hash);
            }
        }
        update.nodes
    }

    /// The root over all buckets.
    pub fn root(&self) -> Hash {
        self.nodes.get(&ROOT).copied().unwrap_or_else(|| empty_subtree(ROOT.level))
    }

    /// The hashes that show what `bucket` holds, from its sibling up.
    pub fn prove(&self, bucket: u16) -> [Hash; BUCKET_LEVELS] {
        let Ok(path) = prove_bucket(bucket, |node| self.read(node));
        path
    }

    /// The kept nodes, for a store.
    pub fn nodes(&self) -> impl Iterator<Item = (Node, Hash)> {
        self.nodes.iter().map(|(node, hash)| (*node, *hash))
    }

    fn read(&self, node: Node) -> Result<Option<Hash>, Infallible> {
        Ok(self.nodes.get(&node).copied())
    }
}

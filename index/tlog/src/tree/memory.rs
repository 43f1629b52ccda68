//! A whole tree in memory.

use crate::Hash;
use crate::hash::node_hash;

use super::{Node, ProveError, join_peaks, prove_consistency, prove_inclusion, root};

/// A tree with the hashes of all its complete subtrees, 64 bytes a leaf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// `levels[l][i]` is the hash of `Node { level: l, index: i }`.
    levels: Vec<Vec<Hash>>,
}

/// A subtree that a tree of this size does not have complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has no complete subtree {index} on level {level}", level = node.level, index = node.index)]
pub struct MissingNode {
    /// What was asked for.
    pub node: Node,
    /// Count of leaves there are.
    pub size: u64,
}

impl Tree {
    /// A tree without leaves.
    pub fn new() -> Tree {
        Tree::default()
    }

    /// Appends a leaf; the work is that of one hash on average.
    ///
    /// - `leaf`: the [`leaf_hash`](crate::hash::leaf_hash) of an entry, not the entry.
    pub fn push(&mut self, leaf: Hash) {
        let mut complete = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(complete);
            let [.., left, right] = nodes.as_slice() else { return };
            if nodes.len() % 2 == 1 {
                return;
            }
            complete = node_hash(left, right);
        }
    }

    /// Count of leaves.
    pub fn len(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Whether there is no leaf.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        let peaks: Vec<Hash> = self
            .levels
            .iter()
            .rev()
            .filter(|nodes| nodes.len() % 2 == 1)
            .filter_map(|nodes| nodes.last().copied())
            .collect();
        join_peaks(&peaks)
    }

    /// The root over the first `size` leaves.
    ///
    /// # Errors
    /// [`MissingNode`] if there are fewer.
    pub fn root_at(&self, size: u64) -> Result<Hash, MissingNode> {
        root(size, |node| self.read(node))
    }

    /// The hash of a complete subtree, in the shape that the functions of [`tree`](super) read with.
    ///
    /// # Errors
    /// [`MissingNode`] if it is not complete here.
    pub fn read(&self, node: Node) -> Result<Hash, MissingNode> {
        let nodes = self.levels.get(usize::from(node.level));
        let hash = nodes.and_then(|nodes| nodes.get(usize::try_from(node.index).ok()?));
        hash.copied().ok_or(MissingNode { node, size: self.len() })
    }

    /// The proof that leaf `index` is in the tree of the first `size` leaves.
    ///
    /// # Errors
    /// [`ProveError`] unless `index < size` and `size` is no more than there are.
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, ProveError<MissingNode>> {
        prove_inclusion(index, size, |node| self.read(node))
    }

    /// The proof that the first `old` leaves are the beginning of the first `new`.
    ///
    /// # Errors
    /// [`ProveError`] unless `old <= new` and `new` is no more than there are.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ProveError<MissingNode>> {
        prove_consistency(old, new, |node| self.read(node))
    }

    /// Keeps only the first `size` leaves; does nothing if there are no more.
    pub fn truncate(&mut self, size: u64) {
        for (level, nodes) in self.levels.iter_mut().enumerate() {
            let kept = u32::try_from(level).ok().and_then(|level| size.checked_shr(level)).unwrap_or(0);
            nodes.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        }
        self.levels.retain(|nodes| !nodes.is_empty());
    }
}

impl FromIterator<Hash> for Tree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Tree {
        let mut tree = Tree::new();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }
}

//! The edge of a tree: all that appending needs.

use crate::Hash;
use crate::checkpoint::MAX_TREE_SIZE;
use crate::hash::node_hash;

use super::{Node, join_peaks};

/// The size of a tree and the roots of the complete subtrees at its edge, at most 40 hashes.
///
/// Stored, it is the hashes of [`root_nodes`](super::root_nodes). Losing it costs reading them again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The largest first, one for each 1 in `size`.
    peaks: Vec<Hash>,
}

/// Why a size and hashes are not the edge of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// Over [`MAX_TREE_SIZE`].
    #[error("a tree has at most {MAX_TREE_SIZE} leaves, not {size}")]
    TooLarge {
        /// What was given.
        size: u64,
    },
    /// Another count of hashes than `size` has complete subtrees.
    #[error("a tree of {size} leaves has {expected} complete subtrees at its edge, not {found}")]
    PeakCount {
        /// Count of leaves.
        size: u64,
        /// How many hashes it needs.
        expected: usize,
        /// How many were given.
        found: usize,
    },
}

impl Frontier {
    /// The edge of the tree without leaves.
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// The edge of the tree of `size` leaves.
    ///
    /// - `peaks`: the hashes of [`root_nodes(size)`](super::root_nodes), in that order. Whether they are right shows
    ///   only in [`root`](Frontier::root).
    ///
    /// # Errors
    /// [`FrontierError`] if the size is too large or the count of hashes does not fit it.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Result<Frontier, FrontierError> {
        if size > MAX_TREE_SIZE {
            return Err(FrontierError::TooLarge { size });
        }
        let expected = size.count_ones() as usize;
        if peaks.len() != expected {
            return Err(FrontierError::PeakCount { size, expected, found: peaks.len() });
        }
        Ok(Frontier { size, peaks })
    }

    /// Count of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes at the edge, the largest subtree first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        join_peaks(&self.peaks)
    }

    /// Appends a leaf and returns the subtrees complete by it: the leaf itself, then its ancestors upwards. They
    /// are what a store has to keep.
    ///
    /// - `leaf`: the [`leaf_hash`](crate::hash::leaf_hash) of an entry.
    pub fn push(&mut self, leaf: Hash) -> Vec<(Node, Hash)> {
        let mut node = Node { level: 0, index: self.size };
        let mut hash = leaf;
        let mut complete = vec![(node, hash)];
        while node.index & 1 == 1 {
            let left = self.peaks.pop().expect("there is a peak for each 1 in the size");
            hash = node_hash(&left, &hash);
            node = Node { level: node.level + 1, index: node.index >> 1 };
            complete.push((node, hash));
        }
        self.peaks.push(hash);
        self.size += 1;
        complete
    }
}

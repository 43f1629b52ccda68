//! Is a leaf in a tree, and is one tree the beginning of another?
//!
//! The Merkle tree of RFC 6962 §2.1 with SHA-256. A tree of `n` leaves splits at the largest power of two below
//! `n`, so every subtree left of the edge is complete and never changes again. Those complete subtrees are the
//! only hashes that need keeping; [`Node`] names one. A tree of 5 leaves, whose kept hashes are marked with a star:
//!
//! ```text
//!             root
//!            /    \
//!        2,0 *     \          Node { level: 2, index: 0 }
//!       /     \     \
//!    1,0 *   1,1 *   \
//!    /  \    /  \     \
//!  0,0* 0,1* 0,2* 0,3* 0,4*
//! ```
//!
//! Functions here take a `read` closure for the hashes. Each has a twin named `…_nodes` that says which nodes it
//! reads, in the same order, because it is the same code with a reader that only takes notes: a caller can fetch
//! them all in one round trip first.

mod check;
mod frontier;
mod memory;

use std::convert::Infallible;

use crate::Hash;
use crate::hash::node_hash;

pub use check::{MAX_PROOF_HASHES, ProofError, check_consistency, check_inclusion};
pub use frontier::{Frontier, FrontierError};
pub use memory::{MissingNode, Tree};

/// The complete subtree over the leaves `index << level` up to, not including, `(index + 1) << level`.
///
/// Its hash at level 0 is a leaf hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Log2 of its number of leaves, at most 63.
    pub level: u8,
    /// Its place among the subtrees of that size, counted from 0.
    pub index: u64,
}

/// Why a proof cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// A leaf that is not in the tree asked about.
    #[error("there is no leaf {index} in a tree of {size}")]
    NoSuchLeaf {
        /// Counted from 0.
        index: u64,
        /// Count of leaves.
        size: u64,
    },
    /// The tree that should be the beginning is the larger one.
    #[error("a tree of {new} leaves cannot extend one of {old}")]
    Shrinks {
        /// Size of the tree that should be the beginning.
        old: u64,
        /// Size of the tree that should extend it.
        new: u64,
    },
    /// The hash of a subtree could not be read.
    #[error("cannot read a hash of the tree")]
    Read(#[source] E),
}

/// The root of the tree of the first `size` leaves; [`Hash::EMPTY_TREE`] when `size` is 0.
///
/// Reads the subtrees of [`root_nodes`], at most 64.
///
/// # Errors
/// Whatever `read` fails with.
pub fn root<E>(size: u64, mut read: impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
    range_root(0, size, &mut read)
}

/// The hashes that show leaf `index` to be in the tree of the first `size` leaves, from the leaf's sibling up; none
/// when `size` is 1.
///
/// # Errors
/// [`ProveError`] unless `index < size`, or if `read` fails.
///
/// Source: RFC 6962 §2.1.1. Checked by [`check_inclusion`].
pub fn prove_inclusion<E>(
    index: u64,
    size: u64,
    mut read: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if index >= size {
        return Err(ProveError::NoSuchLeaf { index, size });
    }
    let mut path = Vec::new();
    // Each step halves the part that the leaf lies in, and keeps the other half's root.
    let mut part = Part { start: 0, count: size };
    while part.count > 1 {
        let other = if index - part.start < part.left_count() {
            part.go_left(&mut read)
        } else {
            part.go_right(&mut read)
        };
        path.push(other.map_err(ProveError::Read)?);
    }
    path.reverse();
    Ok(path)
}

/// The hashes that show the tree of the first `old` leaves to be the beginning of that of the first `new`; none
/// when `old` is 0 or equal to `new`.
///
/// # Errors
/// [`ProveError`] unless `old <= new`, or if `read` fails.
///
/// Source: RFC 6962 §2.1.2. Checked by [`check_consistency`].
pub fn prove_consistency<E>(
    old: u64,
    new: u64,
    mut read: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if old > new {
        return Err(ProveError::Shrinks { old, new });
    }
    let mut path = Vec::new();
    // Each step halves the part that the old tree's edge lies in, until all of the part is old.
    let mut part = Part { start: 0, count: new };
    while part.start < old && part.start + part.count != old {
        let other = if old - part.start <= part.left_count() {
            part.go_left(&mut read)
        } else {
            part.go_right(&mut read)
        };
        path.push(other.map_err(ProveError::Read)?);
    }
    // A part that starts the tree is the old tree itself, whose root the reader of the proof knows.
    if part.start != 0 {
        path.push(range_root(part.start, part.count, &mut read).map_err(ProveError::Read)?);
    }
    path.reverse();
    Ok(path)
}

/// What [`root`] reads: the largest complete subtrees that make up the tree, from the left.
pub fn root_nodes(size: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let Ok(_) = root(size, note_down(&mut nodes));
    nodes
}

/// What [`prove_inclusion`] reads.
///
/// # Errors
/// [`ProveError::NoSuchLeaf`] unless `index < size`.
pub fn inclusion_nodes(index: u64, size: u64) -> Result<Vec<Node>, ProveError<Infallible>> {
    let mut nodes = Vec::new();
    prove_inclusion(index, size, note_down(&mut nodes))?;
    Ok(nodes)
}

/// What [`prove_consistency`] reads.
///
/// # Errors
/// [`ProveError::Shrinks`] unless `old <= new`.
pub fn consistency_nodes(old: u64, new: u64) -> Result<Vec<Node>, ProveError<Infallible>> {
    let mut nodes = Vec::new();
    prove_consistency(old, new, note_down(&mut nodes))?;
    Ok(nodes)
}

/// A reader that only remembers what it was asked for.
fn note_down(nodes: &mut Vec<Node>) -> impl FnMut(Node) -> Result<Hash, Infallible> {
    |node| {
        nodes.push(node);
        Ok(Hash::EMPTY_TREE)
    }
}

/// The part of a tree that a walk down has come to: the leaves `start .. start + count`.
struct Part {
    start: u64,
    count: u64,
}

impl Part {
    /// How many leaves are in its left half: the largest power of two below `count`, which is at least 2.
    fn left_count(&self) -> u64 {
        1 << (self.count - 1).ilog2()
    }

    /// Goes on with the left half; the root of the right one is given.
    fn go_left<E>(&mut self, read: &mut impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
        let left = self.left_count();
        let right_root = range_root(self.start + left, self.count - left, read);
        self.count = left;
        right_root
    }

    /// Goes on with the right half; the root of the left one is given.
    fn go_right<E>(&mut self, read: &mut impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
        let left = self.left_count();
        let left_root = range_root(self.start, left, read);
        self.start += left;
        self.count -= left;
        left_root
    }
}

/// The root over the `count` leaves from `start`, which is a multiple of the least power of two not below `count`.
fn range_root<E>(start: u64, count: u64, read: &mut impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
    let mut peaks = Vec::new();
    let (mut at, mut left) = (start, count);
    while left != 0 {
        let level = left.ilog2();
        peaks.push(read(Node { level: level as u8, index: at >> level })?);
        at += 1 << level;
        left -= 1 << level;
    }
    Ok(join_peaks(&peaks))
}

/// The root over complete subtrees that stand side by side, the largest first.
fn join_peaks(peaks: &[Hash]) -> Hash {
    let joined = peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
    joined.unwrap_or(Hash::EMPTY_TREE)
}

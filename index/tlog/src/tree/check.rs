//! Checking proofs, without any tree.

use crate::Hash;
use crate::hash::node_hash;

/// The most hashes that a proof may have: enough for every tree up to 2^63 leaves.
pub const MAX_PROOF_HASHES: usize = 63;

/// Why a proof does not convince.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Over [`MAX_PROOF_HASHES`].
    #[error("the proof has {hashes} hashes, no tree needs more than {MAX_PROOF_HASHES}")]
    TooLong {
        /// How many it has.
        hashes: usize,
    },
    /// The leaf cannot be in a tree of that size.
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
    /// More or fewer hashes than these sizes need.
    #[error("the proof has {hashes} hashes, which does not fit the tree")]
    WrongLength {
        /// How many it has.
        hashes: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof does not lead to the root {root}")]
    OtherRoot {
        /// The root that should come out.
        root: Hash,
    },
}

/// That leaf `index`, of hash `leaf`, is in the tree of `size` leaves with this `root`.
///
/// - `path`: from the leaf's sibling up, as [`prove_inclusion`](super::prove_inclusion) makes it.
///
/// # Errors
/// [`ProofError`]: nothing follows for the leaf then, not even that it is absent.
///
/// Source: RFC 6962 §2.1.1, in the form of RFC 9162 §2.1.3.2.
pub fn check_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    check_length(path)?;
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let mut steps = Steps { node: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in path {
        hash = match steps.up() {
            None => return Err(ProofError::WrongLength { hashes: path.len() }),
            Some(Side::Left) => node_hash(sibling, &hash),
            Some(Side::Right) => node_hash(&hash, sibling),
        };
    }
    if steps.last != 0 {
        return Err(ProofError::WrongLength { hashes: path.len() });
    }
    if hash == *root { Ok(()) } else { Err(ProofError::OtherRoot { root: *root }) }
}

/// That the tree of `old` leaves with `old_root` is the beginning of the tree of `new` leaves with `new_root`.
///
/// - `path`: as [`prove_consistency`](super::prove_consistency) makes it; empty when `old` is 0 or `new`.
///
/// A tree of size 0 must have the root [`Hash::EMPTY_TREE`].
///
/// # Errors
/// [`ProofError`]. Against two roots that are both signed, that alone does not prove a second history: the path may
/// be what is wrong.
///
/// Source: RFC 6962 §2.1.2, in the form of RFC 9162 §2.1.4.2, with its step numbers.
pub fn check_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    check_length(path)?;
    if old > new {
        return Err(ProofError::Shrinks { old, new });
    }
    let wrong_length = ProofError::WrongLength { hashes: path.len() };
    if old == 0 || old == new {
        if !path.is_empty() {
            return Err(wrong_length);
        }
        let expected = if old == 0 { &Hash::EMPTY_TREE } else { new_root };
        check_root(old_root, expected)?;
        return if old == new { check_root(new_root, old_root) } else { Ok(()) };
    }
    // 1 and 2: the old tree itself stands first where it is a complete subtree of the new one.
    let (first, rest) = match path.split_first() {
        None => return Err(wrong_length),
        Some(_) if old.is_power_of_two() => (old_root, path),
        Some(split) => split,
    };
    // 3 and 4: go up to the largest complete subtree at the old tree's edge.
    let complete_levels = (old - 1).trailing_ones();
    let mut steps = Steps { node: (old - 1) >> complete_levels, last: (new - 1) >> complete_levels };
    // 5 and 6
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        match steps.up() {
            None => return Err(wrong_length),
            Some(Side::Left) => {
                old_hash = node_hash(sibling, &old_hash);
                new_hash = node_hash(sibling, &new_hash);
            }
            Some(Side::Right) => new_hash = node_hash(&new_hash, sibling),
        }
    }
    // 7
    if steps.last != 0 {
        return Err(wrong_length);
    }
    check_root(&old_hash, old_root)?;
    check_root(&new_hash, new_root)
}

fn check_length(path: &[Hash]) -> Result<(), ProofError> {
    if path.len() > MAX_PROOF_HASHES { Err(ProofError::TooLong { hashes: path.len() }) } else { Ok(()) }
}

fn check_root(found: &Hash, root: &Hash) -> Result<(), ProofError> {
    if found == root { Ok(()) } else { Err(ProofError::OtherRoot { root: *root }) }
}

/// A walk from a node to the root of a tree that need not be complete.
struct Steps {
    /// The place of the node on its level.
    node: u64,
    /// The place of the last node on that level.
    last: u64,
}

/// On which side of the path the sibling stands.
enum Side {
    Left,
    Right,
}

impl Steps {
    /// One level up, or more past levels where the node has no sibling; `None` at the root.
    fn up(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node & 1 == 1 || self.node == self.last { Side::Left } else { Side::Right };
        if let Side::Left = side {
            // A last node without a sibling is its own parent, until it is a right child. It is not node 0, which
            // would be the root.
            let lonely_levels = self.node.trailing_zeros();
            self.node >>= lonely_levels;
            self.last >>= lonely_levels;
        }
        self.node >>= 1;
        self.last >>= 1;
        Some(side)
    }
}

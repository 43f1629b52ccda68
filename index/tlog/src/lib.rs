//! Is this entry in this append-only log?
//!
//! The transparency log of the C2SP `tlog-*` documents, in the version and profile that the registries speak:
//! signed notes, checkpoints, the RFC 6962 Merkle tree, tiles and entry bundles, cosignatures, proofs, policies,
//! the witness request, and the snapshot leaf with its bucket tree.
//!
//! Everything here is a pure function of its arguments: no file, network, clock, environment or randomness, and
//! no knowledge of what the entries mean. Hashes that live in a database or in tiles are read through a closure;
//! for every such function `f` there is one named `…_nodes` that says beforehand which hashes it will ask for.
//!
//! | module | answers |
//! |---|---|
//! | [`hash`], [`base64`] | what is a hash, and how is it written? |
//! | [`note`] | who signed this text? |
//! | [`checkpoint`] | which tree does a log claim to have? |
//! | [`cosignature`] | who else saw that tree, and when? |
//! | [`tree`] | is a leaf in it, and is one tree the beginning of another? |
//! | [`tile`] | how is a tree published as immutable files? |
//! | [`proof`] | how does one entry travel with its evidence? |
//! | [`policy`] | whose cosignatures suffice? |
//! | [`witness`] | may this head be cosigned? |
//! | [`snapshot`] | is this file the complete current one? |

#![warn(missing_docs)]

pub mod base64;
pub mod checkpoint;
pub mod cosignature;
pub mod hash;
mod hex;
mod lines;
pub mod note;
pub mod policy;
pub mod proof;
pub mod snapshot;
pub mod tile;
pub mod tree;
pub mod witness;

pub use hash::Hash;

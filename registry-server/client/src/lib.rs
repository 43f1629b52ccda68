//! How do I ask a registry?
//!
//! One [`Client`] a registry, over HTTP: connections are kept and shared, every body has a bound, every wait an end.
//! What comes back is well-formed and nothing more: whether it may be relied on is for `trust` to say, so a client may
//! ask any registry, mirror or static host it likes.
//!
//! | module | asks for |
//! |---|---|
//! | [`log`] | heads, tiles, entries, and the hashes that proofs are made of |
//! | [`index`] | index files with their proofs |
//! | [`blob`] | archives, release proofs, blobs |
//! | [`publish`] | a new entry to be logged |
//! | [`witness`] | cosignatures |
//! | [`catalogue`] | who is there, what is it called, and how does the registry fare |
//!
//! [`AskError`] says why there is no answer.

#![warn(missing_docs)]

pub mod blob;

pub mod catalogue;
mod client;
mod error;
pub mod index;
pub mod log;

pub mod publish;
mod retry;
pub mod witness;

pub use client::{Client, NewClientError, Patience};
pub use error::{AskError, Family, Unreachable};
pub use index::IndexAnswer;
pub use log::{Heads, LogPath, MissingHash, TileHashes};
pub use witness::AddCheckpointAnswer;

//! The snapshot leaf: four lines.

use std::fmt;
use std::str;

use crate::checkpoint::{MAX_TREE_SIZE, SignedCheckpoint};
use crate::hash::{Hash, ParseHashError, leaf_hash};
use crate::lines::{Lines, decimal};
use crate::note::Vkey;
use crate::proof::{CheckProofError, Proof};

const VERSION_LINE: &str = "brickyard/snapshot/v1";

/// The last second of the year 9999, beyond which dates have no common spelling.
pub const MAX_SNAPSHOT_TIME: u64 = 253_402_300_799;

/// What a publisher's log adds up to at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotLeaf {
    /// How many leaves come before it, which is its own place. Below [`MAX_TREE_SIZE`].
    pub size: u64,
    /// When, in seconds since 1970, at most [`MAX_SNAPSHOT_TIME`]; the log's word.
    pub time: u64,
    /// Root of the bucket tree over all index files.
    pub index_root: Hash,
}

/// Why bytes are not a snapshot leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSnapshotError {
    /// The first line names another format or version, or the bytes are no text.
    #[error("the leaf does not begin with {VERSION_LINE}")]
    Version,
    /// Fewer or more than four lines.
    #[error("a snapshot leaf has four lines, each with its end, and nothing more")]
    LineCount,
    /// The second line is no number, has leading zeros, or is too large.
    #[error("the snapshot's size is not a decimal number below {MAX_TREE_SIZE}")]
    Size,
    /// The third line is no number, has leading zeros, or is too large.
    #[error("the snapshot's time is not a decimal number up to {MAX_SNAPSHOT_TIME}")]
    Time,
    /// The fourth line is not a hash.
    #[error("the snapshot's index root is not a hash")]
    IndexRoot(#[source] ParseHashError),
}

impl SnapshotLeaf {
    /// The snapshot that a leaf's bytes spell. Displayed, it is the same bytes.
    ///
    /// # Errors
    /// [`ParseSnapshotError`].
    pub fn parse(bytes: &[u8]) -> Result<SnapshotLeaf, ParseSnapshotError> {
        let mut lines = Lines::new(str::from_utf8(bytes).map_err(|_| ParseSnapshotError::Version)?);
        if lines.next() != Some(VERSION_LINE) {
            return Err(ParseSnapshotError::Version);
        }
        let mut line = || lines.next().ok_or(ParseSnapshotError::LineCount);
        let (size, time, index_root) = (line()?, line()?, line()?);
        if !lines.rest().is_empty() {
            return Err(ParseSnapshotError::LineCount);
        }
        Ok(SnapshotLeaf {
            size: decimal(size, MAX_TREE_SIZE - 1).ok_or(ParseSnapshotError::Size)?,
            time: decimal(time, MAX_SNAPSHOT_TIME).ok_or(ParseSnapshotError::Time)?,
            index_root: Hash::from_hex(index_root).map_err(ParseSnapshotError::IndexRoot)?,
        })
    }

    /// Whether a leaf says it is a snapshot, of this version or another: such a leaf is never an entry.
    pub fn is_snapshot(leaf: &[u8]) -> bool {
        leaf.starts_with(b"brickyard/snapshot/")
    }

    /// Its hash as a leaf of the log.
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(self.to_string().as_bytes())
    }
}

impl fmt::Display for SnapshotLeaf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{VERSION_LINE}\n{}\n{}\n{}\n", self.size, self.time, self.index_root.to_hex())
    }
}

/// A snapshot shown to be the last leaf under a head that its log signed. Only [`open_snapshot`] makes one;
/// cosignatures are not checked by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedSnapshot {
    leaf: SnapshotLeaf,
    signed: SignedCheckpoint,
}

impl OpenedSnapshot {
    /// The snapshot.
    pub fn leaf(&self) -> &SnapshotLeaf {
        &self.leaf
    }

    /// The head it stands under.
    pub fn signed(&self) -> &SignedCheckpoint {
        &self.signed
    }

    /// The two apart.
    pub fn into_parts(self) -> (SnapshotLeaf, SignedCheckpoint) {
        (self.leaf, self.signed)
    }
}

/// Why a proof does not show the snapshot under a head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenSnapshotError {
    /// It carries no leaf.
    #[error("the proof of the snapshot does not carry it")]
    NoLeaf,
    /// What it carries is not a snapshot leaf.
    #[error("the proof of the snapshot carries another leaf")]
    Leaf(#[from] ParseSnapshotError),
    /// The leaf is not shown to be in the log.
    #[error("the snapshot is not shown to be in the log")]
    Proof(#[from] CheckProofError),
    /// An older snapshot: leaves follow it under this head.
    #[error("the snapshot is leaf {index} of {size}, not the last one")]
    NotLast {
        /// Its place.
        index: u64,
        /// Leaves under the head.
        size: u64,
    },
    /// It counts another number of leaves before itself than there are.
    #[error("the snapshot at leaf {index} says {claimed} leaves come before it")]
    WrongSize {
        /// Its place.
        index: u64,
        /// What it says.
        claimed: u64,
    },
}

/// The snapshot that `proof` carries in `extra`, which is the last leaf under a head of the log of key `log`.
///
/// # Errors
/// [`OpenSnapshotError`].
pub fn open_snapshot(proof: &Proof, log: &Vkey) -> Result<OpenedSnapshot, OpenSnapshotError> {
    let bytes = proof.extra.as_ref().ok_or(OpenSnapshotError::NoLeaf)?;
    let leaf = SnapshotLeaf::parse(bytes)?;
    let signed = proof.check(&leaf_hash(bytes), log)?;
    let (index, size) = (proof.index, signed.checkpoint().size);
    if index + 1 != size {
        return Err(OpenSnapshotError::NotLast { index, size });
    }
    if leaf.size != index {
        return Err(OpenSnapshotError::WrongSize { index, claimed: leaf.size });
    }
    Ok(OpenedSnapshot { leaf, signed })
}

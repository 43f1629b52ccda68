//! How does one entry travel with its evidence?
//!
//! A proof file shows, without any network, that an entry is in a log whose head others saw:
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra b25l
//! index 3
//! Zx8UbF5HHooag6PCFM5LqQe486WIjRTMjNPOdbsS75Q=
//! T1X2GdkhUjV3iyufF9b0kVsWFxIU0VI4EpNml2Teci4=
//! g0ZoeYWtIV8Q8i+4CmgqPnBvH2il107lyCgTQsyB7H4=
//! 5jLpqTgjsBDSEX6SgZiRnbTMdTuRd8bQ5tSsAOxe0Ks=
//!
//! example.com/log/testdata
//! 15
//! rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=
//!
//! — example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=
//! ```
//!
//! `extra` is optional and nothing vouches for it; here it carries the bytes whose leaf hash is proved. Hashes go
//! from the leaf's sibling up. After the empty line comes the checkpoint as it was received, with all signatures.
//!
//! Source: C2SP tlog-proof v1.

use std::fmt;
use std::str;

use crate::base64;
use crate::checkpoint::{MAX_TREE_SIZE, OpenCheckpointError, SignedCheckpoint, open_note};
use crate::hash::{Hash, ParseHashError};
use crate::lines::{Lines, decimal};
use crate::note::{MAX_NOTE_BYTES, Note, ParseNoteError, Vkey};
use crate::tree::{MAX_PROOF_HASHES, ProofError, check_inclusion};

/// The most bytes that `extra` may carry: twice the longest entry.
pub const MAX_EXTRA_BYTES: usize = 128 * 1024;

/// The longest proof file that is read.
pub const MAX_PROOF_BYTES: usize = MAX_NOTE_BYTES + MAX_EXTRA_BYTES / 3 * 4 + 8 * 1024;

pub(crate) const VERSION_LINE: &str = "c2sp.org/tlog-proof@v1";

/// The content of a proof file; nothing in it is checked by reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Bytes that travel along, at most [`MAX_EXTRA_BYTES`]. Nothing vouches for them.
    pub extra: Option<Vec<u8>>,
    /// The entry's place in the log, counted from 0.
    pub index: u64,
    /// From the leaf's sibling up, at most [`MAX_PROOF_HASHES`].
    pub path: Vec<Hash>,
    /// The checkpoint with its cosignatures.
    pub checkpoint: Note,
}

/// Why bytes are not a proof file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseProofError {
    /// Over [`MAX_PROOF_BYTES`].
    #[error("the proof is longer than {MAX_PROOF_BYTES} bytes")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("the proof is not UTF-8")]
    NotUtf8,
    /// The first line names another format or version.
    #[error("the proof does not begin with {VERSION_LINE}")]
    Version,
    /// The extra line is not base64.
    #[error("the proof's extra line is not canonical base64")]
    Extra,
    /// Over [`MAX_EXTRA_BYTES`].
    #[error("the proof's extra line carries more than {MAX_EXTRA_BYTES} bytes")]
    ExtraTooLong,
    /// No index line where it must be, or its number is not canonical or too large.
    #[error("the proof has no index line with a number below {MAX_TREE_SIZE}")]
    Index,
    /// Over [`MAX_PROOF_HASHES`].
    #[error("the proof has more than {MAX_PROOF_HASHES} hashes")]
    TooManyHashes,
    /// A line before the empty one that is not a hash.
    #[error("line {line} of the path is not a hash")]
    Hash {
        /// Counted from 1 after the index line.
        line: usize,
        /// What is wrong.
        #[source]
        err: ParseHashError,
    },
    /// It ends before the empty line.
    #[error("the proof ends before its checkpoint")]
    NoCheckpoint,
    /// What follows the empty line is not a note.
    #[error("the proof's checkpoint is not a signed note")]
    Checkpoint(#[source] ParseNoteError),
}

/// Why a proof does not show what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckProofError {
    /// The checkpoint is not the log's.
    #[error("the checkpoint in the proof is not the log's")]
    Checkpoint(#[from] OpenCheckpointError),
    /// The leaf is not shown to be in that tree.
    #[error("the proof does not show the entry to be in the log")]
    Inclusion(#[from] ProofError),
}

impl Proof {
    /// The proof that `bytes` spell. Displayed, it is the same bytes.
    ///
    /// # Errors
    /// [`ParseProofError`], each case of which has its own name.
    pub fn parse(bytes: &[u8]) -> Result<Proof, ParseProofError> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(ParseProofError::TooLong);
        }
        let mut lines = Lines::new(str::from_utf8(bytes).map_err(|_| ParseProofError::NotUtf8)?);
        if lines.next() != Some(VERSION_LINE) {
            return Err(ParseProofError::Version);
        }
        let mut line = lines.next().ok_or(ParseProofError::Index)?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            extra = Some(parse_extra(encoded)?);
            line = lines.next().ok_or(ParseProofError::Index)?;
        }
        let index = line.strip_prefix("index ").and_then(|index| decimal(index, MAX_TREE_SIZE - 1));
        let index = index.ok_or(ParseProofError::Index)?;
        let path = parse_path(&mut lines).map_err(|err| match err {
            ParsePathError::TooMany => ParseProofError::TooManyHashes,
            ParsePathError::Hash { line, err } => ParseProofError::Hash { line, err },
            ParsePathError::Unfinished => ParseProofError::NoCheckpoint,
        })?;
        let checkpoint = Note::parse(lines.rest().as_bytes()).map_err(ParseProofError::Checkpoint)?;
        Ok(Proof { extra, index, path, checkpoint })
    }

    /// That the entry of this leaf hash is in the log of key `log`, at the place and head the proof says.
    ///
    /// - `leaf`: computed by the caller from the entry, with [`leaf_hash`](crate::hash::leaf_hash).
    ///
    /// Returns the head; its cosignatures are still to be counted.
    ///
    /// # Errors
    /// [`CheckProofError`].
    pub fn check(&self, leaf: &Hash, log: &Vkey) -> Result<SignedCheckpoint, CheckProofError> {
        let signed = open_note(self.checkpoint.clone(), log)?;
        let head = signed.checkpoint();
        check_inclusion(self.index, head.size, leaf, &self.path, &head.root)?;
        Ok(signed)
    }
}

fn parse_extra(encoded: &str) -> Result<Vec<u8>, ParseProofError> {
    if encoded.len() > MAX_EXTRA_BYTES.div_ceil(3) * 4 {
        return Err(ParseProofError::ExtraTooLong);
    }
    let extra = base64::decode(encoded).map_err(|_| ParseProofError::Extra)?;
    if extra.len() > MAX_EXTRA_BYTES { Err(ParseProofError::ExtraTooLong) } else { Ok(extra) }
}

/// Why lines are not a path of hashes with an empty line after it.
pub(crate) enum ParsePathError {
    TooMany,
    Hash { line: usize, err: ParseHashError },
    Unfinished,
}

/// The hashes of the next lines, up to an empty one, which is read too.
pub(crate) fn parse_path(lines: &mut Lines<'_>) -> Result<Vec<Hash>, ParsePathError> {
    let mut path = Vec::new();
    loop {
        match lines.next() {
            None => return Err(ParsePathError::Unfinished),
            Some("") => return Ok(path),
            Some(_) if path.len() == MAX_PROOF_HASHES => return Err(ParsePathError::TooMany),
            Some(line) => path.push(
                Hash::from_base64(line).map_err(|err| ParsePathError::Hash { line: path.len() + 1, err })?,
            ),
        }
    }
}

/// Writes what [`parse_path`] reads.
pub(crate) fn write_path(out: &mut fmt::Formatter<'_>, path: &[Hash]) -> fmt::Result {
    for hash in path {
        writeln!(out, "{hash}")?;
    }
    writeln!(out)
}

impl fmt::Display for Proof {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{VERSION_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(out, "extra {}", base64::encode(extra))?;
        }
        writeln!(out, "index {}", self.index)?;
        write_path(out, &self.path)?;
        write!(out, "{}", self.checkpoint)
    }
}

//! May this head be cosigned?
//!
//! A log, or anybody for it, sends a witness its newest checkpoint and the proof that it extends the one the
//! witness cosigned last:
//!
//! ```text
//! old 8
//! 5jLpqTgjsBDSEX6SgZiRnbTMdTuRd8bQ5tSsAOxe0Ks=
//!
//! example.com/log/testdata
//! 15
//! rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=
//!
//! — example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=
//! ```
//!
//! A client that does not know the old size sends 0 and learns it from the refusal. The witness answers with its
//! signature lines alone, the text is known to both.
//!
//! Source: C2SP tlog-witness, main of July 2026.

mod decision;

use std::fmt;
use std::str;

use crate::checkpoint::{Checkpoint, MAX_TREE_SIZE, ParseCheckpointError};
use crate::hash::{Hash, ParseHashError};
use crate::lines::{Lines, decimal};
use crate::note::{KeyName, MAX_NOTE_BYTES, Note, ParseNoteError, SignatureLine, parse_signature_lines};
use crate::proof::{ParsePathError, parse_path, write_path};
use crate::tree::MAX_PROOF_HASHES;

pub use decision::{Cosigned, Decision, Unconnected, decide};

/// The longest request that is read.
pub const MAX_REQUEST_BYTES: usize = MAX_NOTE_BYTES + 4 * 1024;

/// Content type of the body that names the size last cosigned, [`Decision::Conflict`].
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// The body of an `add-checkpoint` request; well-formed, nothing in it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old: u64,
    proof: Vec<Hash>,
    note: Note,
    checkpoint: Checkpoint,
}

/// Why bytes are not an `add-checkpoint` request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseRequestError {
    /// Over [`MAX_REQUEST_BYTES`].
    #[error("the request is longer than {MAX_REQUEST_BYTES} bytes")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("the request is not UTF-8")]
    NotUtf8,
    /// The first line is not `old` and a size.
    #[error("the request does not begin with an old size up to {MAX_TREE_SIZE}")]
    Old,
    /// Over [`MAX_PROOF_HASHES`].
    #[error("the request has more than {MAX_PROOF_HASHES} hashes")]
    TooManyHashes,
    /// A line before the empty one that is not a hash.
    #[error("line {line} of the consistency proof is not a hash")]
    Hash {
        /// Counted from 1 after the first line of the request.
        line: usize,
        /// What is wrong.
        #[source]
        err: ParseHashError,
    },
    /// It ends before the empty line.
    #[error("the request ends before its checkpoint")]
    NoCheckpoint,
    /// What follows the empty line is not a note.
    #[error("the request's checkpoint is not a signed note")]
    Note(#[source] ParseNoteError),
    /// The note's text is not a checkpoint.
    #[error("the request's note is not a checkpoint")]
    Checkpoint(#[source] ParseCheckpointError),
}

impl AddCheckpoint {
    /// The request for `note`, whose consistency with the tree of `old` leaves `proof` shows.
    ///
    /// # Errors
    /// [`ParseRequestError`] if `note` is not a checkpoint, or for more than [`MAX_PROOF_HASHES`] hashes.
    pub fn new(old: u64, proof: Vec<Hash>, note: Note) -> Result<AddCheckpoint, ParseRequestError> {
        if old > MAX_TREE_SIZE {
            return Err(ParseRequestError::Old);
        }
        if proof.len() > MAX_PROOF_HASHES {
            return Err(ParseRequestError::TooManyHashes);
        }
        // Size 0 with another root than the empty one is well-formed, and refused later in its own way.
        let checkpoint = Checkpoint::parse_lines(&note.text).map_err(ParseRequestError::Checkpoint)?;
        Ok(AddCheckpoint { old, proof, note, checkpoint })
    }

    /// The request that `bytes` spell. Displayed, it is the same bytes.
    ///
    /// # Errors
    /// [`ParseRequestError`]: the answer to all of it is [`Decision::BadRequest`].
    pub fn parse(bytes: &[u8]) -> Result<AddCheckpoint, ParseRequestError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(ParseRequestError::TooLong);
        }
        let mut lines = Lines::new(str::from_utf8(bytes).map_err(|_| ParseRequestError::NotUtf8)?);
        let old = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(|old| decimal(old, MAX_TREE_SIZE));
        let old = old.ok_or(ParseRequestError::Old)?;
        let proof = parse_path(&mut lines).map_err(|err| match err {
            ParsePathError::TooMany => ParseRequestError::TooManyHashes,
            ParsePathError::Hash { line, err } => ParseRequestError::Hash { line, err },
            ParsePathError::Unfinished => ParseRequestError::NoCheckpoint,
        })?;
        let note = Note::parse(lines.rest().as_bytes()).map_err(ParseRequestError::Note)?;
        AddCheckpoint::new(old, proof, note)
    }

    /// The log it says to be about, to look up that log's key and last head by.
    pub fn origin(&self) -> &KeyName {
        &self.checkpoint.origin
    }

    /// The size last cosigned, as the sender believes.
    pub fn old(&self) -> u64 {
        self.old
    }

    /// The consistency proof from `old` to the checkpoint.
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// The checkpoint with its signatures.
    pub fn note(&self) -> &Note {
        &self.note
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "old {}", self.old)?;
        write_path(out, &self.proof)?;
        write!(out, "{}", self.note)
    }
}

/// The folder name under which a witness or mirror serves a log: hex SHA-256 of its origin.
pub fn log_id(origin: &KeyName) -> String {
    Hash::of(origin.as_str()).to_hex()
}

/// The body of a good answer: the lines, each with its end.
pub fn encode_response(lines: &[SignatureLine]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The lines of a good answer. They are believed only after
/// [`verify_cosignatures`](crate::cosignature::verify_cosignatures) on the note with them added.
///
/// # Errors
/// [`ParseNoteError`] if the body is anything but signature lines, or too long.
pub fn parse_response(body: &[u8]) -> Result<Vec<SignatureLine>, ParseNoteError> {
    if body.len() > MAX_NOTE_BYTES {
        return Err(ParseNoteError::TooLong);
    }
    parse_signature_lines(str::from_utf8(body).map_err(|_| ParseNoteError::NotUtf8)?)
}

/// The body of a [`Decision::Conflict`].
pub fn encode_size(size: u64) -> String {
    format!("{size}\n")
}

/// The size in the body of a [`Decision::Conflict`]; `None` if it is anything else.
pub fn parse_size(body: &[u8]) -> Option<u64> {
    decimal(str::from_utf8(body).ok()?.strip_suffix('\n')?, MAX_TREE_SIZE)
}

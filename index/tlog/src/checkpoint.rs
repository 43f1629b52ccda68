//! Which tree does a log claim to have?
//!
//! A checkpoint is a note whose text has three lines: the log's origin, the number of entries, and the root.
//!
//! ```text
//! example.com/log/testdata
//! 15
//! rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=
//!
//! — example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=
//! ```
//!
//! Source: C2SP tlog-checkpoint v1.0.0. Off-spec: never extension lines, because implementations disagree on
//! whether cosigners sign them; the origin is the name of the log's key.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::SigningKey;

use crate::Hash;
use crate::hash::ParseHashError;
use crate::lines::{Lines, decimal};
use crate::note::{
    Algorithm, InvalidKeyName, KeyName, Note, NoteError, ParseNoteError, Vkey, sign_note, verify_note,
};

/// The most entries a log may have, so that sums and shifts of sizes cannot overflow.
pub const MAX_TREE_SIZE: u64 = 1 << 40;

/// A claim that the log `origin` has `size` entries whose tree has this `root`. Not signed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log, the same as the name of its key.
    pub origin: KeyName,
    /// Count of entries, at most [`MAX_TREE_SIZE`].
    pub size: u64,
    /// The tree's root; [`Hash::EMPTY_TREE`] when `size` is 0.
    pub root: Hash,
}

/// Why a text is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseCheckpointError {
    /// Fewer than three lines.
    #[error("a checkpoint has three lines, each with its end")]
    MissingLine,
    /// More than three lines.
    #[error("the checkpoint has extension lines, which are not allowed here")]
    ExtensionLines,
    /// The first line cannot name a log.
    #[error("the checkpoint's origin is not a key name")]
    Origin(#[source] InvalidKeyName),
    /// The second line is no number, has leading zeros, or is above [`MAX_TREE_SIZE`].
    #[error("the checkpoint's size is not a decimal number up to {MAX_TREE_SIZE}")]
    Size,
    /// The third line is not a hash.
    #[error("the checkpoint's root is not a hash")]
    Root(#[source] ParseHashError),
    /// Size 0 with a root other than that of the empty tree.
    #[error("the checkpoint's size is 0 but its root is not that of the empty tree")]
    RootOfNothing,
}

impl Checkpoint {
    /// The checkpoint that the text of a note spells.
    ///
    /// # Errors
    /// [`ParseCheckpointError`]; what is accepted is displayed as the same text.
    pub fn parse(text: &str) -> Result<Checkpoint, ParseCheckpointError> {
        let checkpoint = Checkpoint::parse_lines(text)?;
        if checkpoint.has_impossible_root() {
            return Err(ParseCheckpointError::RootOfNothing);
        }
        Ok(checkpoint)
    }

    /// [`parse`](Checkpoint::parse) without the rule on the empty tree, which a witness must answer in its own way.
    pub(crate) fn parse_lines(text: &str) -> Result<Checkpoint, ParseCheckpointError> {
        let mut lines = Lines::new(text);
        let mut line = || lines.next().ok_or(ParseCheckpointError::MissingLine);
        let (origin, size, root) = (line()?, line()?, line()?);
        if !lines.rest().is_empty() {
            return Err(ParseCheckpointError::ExtensionLines);
        }
        Ok(Checkpoint {
            origin: KeyName::new(origin).map_err(ParseCheckpointError::Origin)?,
            size: decimal(size, MAX_TREE_SIZE).ok_or(ParseCheckpointError::Size)?,
            root: Hash::from_base64(root).map_err(ParseCheckpointError::Root)?,
        })
    }

    /// Whether it claims a root that the tree without leaves cannot have.
    pub(crate) fn has_impossible_root(&self) -> bool {
        self.size == 0 && self.root != Hash::EMPTY_TREE
    }
}

impl FromStr for Checkpoint {
    type Err = ParseCheckpointError;

    fn from_str(text: &str) -> Result<Checkpoint, ParseCheckpointError> {
        Checkpoint::parse(text)
    }
}

impl fmt::Display for Checkpoint {
    /// The three lines, which are what is signed.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}\n{}\n{}\n", self.origin, self.size, self.root)
    }
}

/// A checkpoint that its log signed. Only [`open_checkpoint`] makes one; cosignatures are not checked by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// What the log claims.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note it came in, with all its signature lines: for cosignatures, and to be kept as it is.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The two apart.
    pub fn into_parts(self) -> (Checkpoint, Note) {
        (self.checkpoint, self.note)
    }
}

/// Why a checkpoint is not believed to be its log's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenCheckpointError {
    /// The key given is not one that signs checkpoints.
    #[error("the key {name} is for cosignatures, it cannot sign a log's checkpoints")]
    NotALogKey {
        /// The key's name.
        name: KeyName,
    },
    /// The bytes are not a note.
    #[error("the checkpoint is not a signed note")]
    Note(#[source] ParseNoteError),
    /// The log's signature is missing or false.
    #[error("the checkpoint is not signed by {origin}")]
    Signature {
        /// The log whose key was given.
        origin: KeyName,
        /// What is wrong.
        #[source]
        err: NoteError,
    },
    /// The signed text is not a checkpoint.
    #[error("the text signed by {origin} is not a checkpoint")]
    Checkpoint {
        /// The log whose key was given.
        origin: KeyName,
        /// What is wrong.
        #[source]
        err: ParseCheckpointError,
    },
    /// The checkpoint is about another log than the one whose key signed it.
    #[error("{expected} signed a checkpoint of {found}")]
    OtherOrigin {
        /// The log whose key was given.
        expected: KeyName,
        /// The log the text names.
        found: KeyName,
    },
}

/// The checkpoint in `note_bytes`, if the log of key `log` signed it about itself.
///
/// # Errors
/// [`OpenCheckpointError`]; only text whose signature holds is read.
pub fn open_checkpoint(note_bytes: &[u8], log: &Vkey) -> Result<SignedCheckpoint, OpenCheckpointError> {
    open_note(Note::parse(note_bytes).map_err(OpenCheckpointError::Note)?, log)
}

/// [`open_checkpoint`] for a note already parsed.
///
/// # Errors
/// As there.
pub fn open_note(note: Note, log: &Vkey) -> Result<SignedCheckpoint, OpenCheckpointError> {
    check_log_signature(&note, log)?;
    let checkpoint = Checkpoint::parse(&note.text)
        .map_err(|err| OpenCheckpointError::Checkpoint { origin: log.name().clone(), err })?;
    check_origin(&checkpoint, log)?;
    Ok(SignedCheckpoint { checkpoint, note })
}

/// That the log of key `log` signed the text of `note`, whatever it says.
pub(crate) fn check_log_signature(note: &Note, log: &Vkey) -> Result<(), OpenCheckpointError> {
    let origin = log.name();
    if log.algorithm() != Algorithm::Ed25519 {
        return Err(OpenCheckpointError::NotALogKey { name: origin.clone() });
    }
    verify_note(note, std::slice::from_ref(log))
        .map_err(|err| OpenCheckpointError::Signature { origin: origin.clone(), err })?;
    Ok(())
}

/// That `checkpoint` is about the log of key `log`.
pub(crate) fn check_origin(checkpoint: &Checkpoint, log: &Vkey) -> Result<(), OpenCheckpointError> {
    if checkpoint.origin != *log.name() {
        let (expected, found) = (log.name().clone(), checkpoint.origin.clone());
        return Err(OpenCheckpointError::OtherOrigin { expected, found });
    }
    Ok(())
}

/// The note in which the log of key `key` claims `checkpoint`.
///
/// A log never signs two heads it cannot connect: whoever calls this has made durable what it claims.
pub fn sign_checkpoint(checkpoint: &Checkpoint, key: &SigningKey) -> Note {
    let text = checkpoint.to_string();
    let line = sign_note(&text, &checkpoint.origin, key);
    Note { text, signatures: vec![line] }
}

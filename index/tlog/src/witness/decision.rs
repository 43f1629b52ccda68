//! The witness's answer, as a pure function.

use crate::Hash;
use crate::checkpoint::{Checkpoint, OpenCheckpointError, check_log_signature, check_origin};
use crate::note::Vkey;
use crate::tree::{ProofError, check_consistency};

use super::{AddCheckpoint, ParseRequestError};

/// The head of a log that a witness cosigned last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosigned {
    /// Count of entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Cosigned {
    /// The head of a log of which nothing was cosigned yet.
    pub const NOTHING: Cosigned = Cosigned { size: 0, root: Hash::EMPTY_TREE };
}

/// What a witness does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Persist the checkpoint as the last one, if the last one is still the same, and only then cosign the text of
    /// the request's note.
    Cosign {
        /// The new last head.
        checkpoint: Checkpoint,
    },
    /// The request makes no sense.
    BadRequest {
        /// Set when it could not be read; otherwise its old size is above the new.
        err: Option<ParseRequestError>,
    },
    /// No such log here.
    UnknownOrigin,
    /// The log did not sign this.
    Forbidden {
        /// What is wrong with the signature.
        err: OpenCheckpointError,
    },
    /// The sender believes in another last head: answer with its size.
    Conflict {
        /// Size last cosigned.
        size: u64,
    },
    /// The checkpoint is signed and does not connect to the last head: if its size is no smaller and the path is not
    /// to blame, the log shows two histories. Keep it.
    Unprocessable {
        /// What does not fit.
        err: Unconnected,
    },
}

/// Why a signed head does not follow from the last one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unconnected {
    /// Size 0 with a root that is not the empty tree's.
    #[error("the checkpoint's size is 0 but its root is not that of the empty tree")]
    RootOfNothing,
    /// The proof does not connect the two; with equal sizes, the roots differ.
    #[error("the checkpoint is not shown to extend the last one")]
    Proof(#[source] ProofError),
}

impl Decision {
    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Decision::Cosign { .. } => 200,
            Decision::BadRequest { .. } => 400,
            Decision::Forbidden { .. } => 403,
            Decision::UnknownOrigin => 404,
            Decision::Conflict { .. } => 409,
            Decision::Unprocessable { .. } => 422,
        }
    }
}

impl From<ParseRequestError> for Decision {
    fn from(err: ParseRequestError) -> Decision {
        Decision::BadRequest { err: Some(err) }
    }
}

/// What to do with `request`, checked in the order the specification gives.
///
/// - `log`: the key of the log that [`AddCheckpoint::origin`] names, if it is known here.
/// - `last`: the head of that log last cosigned, [`Cosigned::NOTHING`] if never.
///
/// Between reading `last` and persisting the outcome nothing else may persist: compare and set.
///
/// A request for the head last cosigned is good too, and gets a fresh time.
pub fn decide(request: &AddCheckpoint, log: Option<&Vkey>, last: Cosigned) -> Decision {
    let Some(log) = log else { return Decision::UnknownOrigin };
    let checkpoint = &request.checkpoint;
    if let Err(err) = check_log_signature(&request.note, log).and_then(|()| check_origin(checkpoint, log)) {
        return Decision::Forbidden { err };
    }
    if request.old > checkpoint.size {
        return Decision::BadRequest { err: None };
    }
    if request.old != last.size {
        return Decision::Conflict { size: last.size };
    }
    if checkpoint.has_impossible_root() {
        return Decision::Unprocessable { err: Unconnected::RootOfNothing };
    }
    match check_consistency(request.old, checkpoint.size, &last.root, &checkpoint.root, &request.proof) {
        Ok(()) => Decision::Cosign { checkpoint: checkpoint.clone() },
        Err(err) => Decision::Unprocessable { err: Unconnected::Proof(err) },
    }
}

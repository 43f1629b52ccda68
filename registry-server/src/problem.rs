//! What does a refusal look like from outside? The only place where errors become status codes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use brick_index::fold::Conflict;
use brick_schemas::api::{PROBLEM_MEDIA_TYPE, Problem, ProblemType};
use brick_schemas::text::escape;
use brick_store::{BlobError, CommitError, Fault, ReadError, Trouble};
use brick_trust::{Refused, Step};

use crate::nodes::NodeError;
use crate::registry::RegistryError;

/// A problem body on its way out.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// What is said.
    pub problem: Problem,
    /// The log moved while the answer was put together: trying again gives another answer.
    pub is_moved: bool,
}

/// Seconds after which a busy registry may be asked again.
const RETRY_AFTER_S: &str = "2";

impl Rejection {
    /// A refusal of `problem_type` in these words.
    pub fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self { problem: Problem::new(problem_type, detail), is_moved: false }
    }

    /// The same with a status that says more than the type's usual one.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.problem.status = status.as_u16();
        self
    }

    /// What a status alone says: for answers that no handler of ours gave.
    ///
    /// - `detail`: the words that came with it, if any.
    pub fn of_status(status: StatusCode, detail: &str) -> Self {
        let problem_type = match status {
            StatusCode::NOT_FOUND => ProblemType::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::URI_TOO_LONG => ProblemType::TooLarge,
            StatusCode::TOO_MANY_REQUESTS => ProblemType::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => ProblemType::Busy,
            status if status.is_server_error() => ProblemType::Internal,
            _ => ProblemType::Malformed,
        };
        let detail = if detail.is_empty() { status.canonical_reason().unwrap_or("refused") } else { detail };
        Self::new(problem_type, escape(detail)).with_status(status)
    }

    /// Nothing is there.
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemType::NotFound, format!("there is no {what}"))
    }

    /// The log is another registry's to move.
    ///
    /// - `home`: that registry and where it answers, as far as the records say.
    pub fn not_hosted(log: &str, home: &str) -> Self {
        Self::new(
            ProblemType::NotHostedHere,
            format!("{log} is not hosted here; send the entry to its home registry, {home}"),
        )
    }

    /// Come back later.
    pub fn busy(why: &str) -> Self {
        Self::new(ProblemType::Busy, why)
    }

    /// A check of an entry failed.
    pub fn refused(refused: &Refused) -> Self {
        let problem_type = match refused.step {
            Step::Signature | Step::Root => ProblemType::BadSignature,
            Step::Right | Step::Record => ProblemType::UnauthorisedKey,
            Step::Basis => ProblemType::StaleBasis,
            Step::Replay => ProblemType::Replayed,
            Step::Archive | Step::Manifest => ProblemType::ArchiveMismatch,
            _ => ProblemType::Malformed,
        };
        Self::new(problem_type, chain(refused))
    }

    /// Something of the registry's own, for its operator to look at.
    fn failed(err: &RegistryError) -> Self {
        tracing::error!(why = %said(err), "a request failed");
        Self::new(ProblemType::Internal, "the registry failed")
    }

    /// The log already says otherwise.
    pub fn conflict(conflict: &Conflict) -> Self {
        Self::new(ProblemType::Conflict, conflict.to_string())
    }

    /// The disk or the database.
    pub fn storage(err: &CommitError) -> Self {
        match err {
            CommitError::Fault(fault) => Self::fault(fault),
            other => Self::new(ProblemType::Internal, other.to_string()),
        }
    }

    /// The disk or the database.
    pub fn fault(fault: &Fault) -> Self {
        match fault {
            Fault::DiskFull(_) => Self::trouble(Trouble::DiskFull),
            Fault::ReadOnly(_) => Self::trouble(Trouble::ReadOnly),
            Fault::NoFiles(_) => Self::trouble(Trouble::NoFiles),
            Fault::Locked(_) => Self::trouble(Trouble::Locked),
            Fault::TakenOver => Self::trouble(Trouble::TakenOver),
            Fault::Stopped(trouble) => Self::trouble(*trouble),
            // Whether the write came to stay is answered by sending the entry again.
            Fault::Io(_) | Fault::CannotOpen(_) => Self::trouble(Trouble::Disk),
            Fault::Damaged(_) => Self::trouble(Trouble::Damaged),
            other => Self::new(ProblemType::Internal, other.to_string()),
        }
    }

    /// What keeps the registry from writing. None of it needs a restart: it looks by itself whether it is over.
    pub fn trouble(trouble: Trouble) -> Self {
        match trouble {
            Trouble::DiskFull => {
                Self::new(ProblemType::StorageFull, "the registry's disk is full; nothing was logged")
            }
            Trouble::ReadOnly => {
                Self::new(ProblemType::ReadOnly, "the registry's disk takes no writes; nothing was logged")
            }
            Trouble::NoFiles => Self::busy("the registry has too many files open; nothing was logged"),
            Trouble::Locked => Self::busy("the registry's database is busy; nothing was logged"),
            Trouble::Disk => Self::new(
                ProblemType::ReadOnly,
                "the registry's disk failed; it takes entries again once it could look through what it holds",
            ),
            Trouble::Damaged => {
                Self::new(ProblemType::ReadOnly, "the registry's database is damaged; its operator must look")
            }
            Trouble::TakenOver => Self::new(
                ProblemType::ReadOnly,
                "another process has taken over the registry's store; its operator must look",
            ),
        }
    }
}

/// An error with its causes, escaped: for the registry's own log, where one record must stay one line.
pub fn said(err: &dyn std::error::Error) -> String {
    escape(&chain(err))
}

/// An error with its causes, on one line.
pub fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<ReadError> for Rejection {
    fn from(err: ReadError) -> Self {
        match err {
            ReadError::Fault(fault) => Self::fault(&fault),
            // The head moved while the answer was being put together.
            ReadError::NotKept { .. } => Self { is_moved: true, ..Self::busy("the log has just moved") },
            other => {
                tracing::error!(why = %said(&other), "a read failed");
                Self::new(ProblemType::Internal, "the registry could not read what it keeps")
            }
        }
    }
}

impl From<&BlobError> for Rejection {
    fn from(err: &BlobError) -> Self {
        match err {
            BlobError::TooLarge { .. } => Self::new(ProblemType::TooLarge, err.to_string()),
            BlobError::WrongDigest { .. } => Self::new(ProblemType::ArchiveMismatch, err.to_string()),
            BlobError::DiskFull(_) => Self::trouble(Trouble::DiskFull),
            BlobError::ReadOnly(_) => Self::trouble(Trouble::ReadOnly),
            BlobError::NoFiles(_) => Self::trouble(Trouble::NoFiles),
            BlobError::Fault(fault) => Self::fault(fault),
            BlobError::Io { .. } => {
                tracing::error!(why = %said(err), "a blob could not be stored or read");
                Self::trouble(Trouble::Disk)
            }
            other => {
                tracing::error!(why = %said(other), "a blob could not be stored or read");
                Self::new(ProblemType::Internal, "the blob could not be stored or read")
            }
        }
    }
}

impl From<NodeError> for Rejection {
    fn from(err: NodeError) -> Self {
        match err {
            NodeError::Read(err) => err.into(),
            NodeError::OutOfRange { .. } => Self::not_found("such leaf"),
            other => {
                tracing::error!(why = %said(&other), "a proof could not be made");
                Self::new(ProblemType::Internal, "the registry could not read what it keeps")
            }
        }
    }
}

impl From<RegistryError> for Rejection {
    fn from(err: RegistryError) -> Self {
        match err {
            RegistryError::Refused(refused) => Self::refused(&refused),
            // A log that moved meanwhile, or a disk, is told apart from a fault of ours.
            RegistryError::Store(err) => match err.downcast::<ReadError>() {
                Ok(err) => (*err).into(),
                Err(err) => Self::failed(&RegistryError::Store(err)),
            },
            other => Self::failed(&other),
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        // The front door writes the body again with the request's id in it.
        response.extensions_mut().insert(self);
        response
    }
}

impl Rejection {
    /// The body's bytes.
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(&self.problem).unwrap_or_default()
    }
}

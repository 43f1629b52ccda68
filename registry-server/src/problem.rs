//! What does a refusal look like from outside? The only place where errors become status codes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use brick_index::fold::Conflict;
use brick_schemas::api::{PROBLEM_MEDIA_TYPE, Problem, ProblemType};
use brick_store::{CommitError, Fault, ReadError};
use brick_trust::{Refused, Step};

use crate::nodes::NodeError;
use crate::registry::RegistryError;

/// A problem body on its way out.
#[derive(Debug, Clone)]
pub struct Rejection(pub Problem);

/// Seconds after which a busy registry may be asked again.
const RETRY_AFTER_S: &str = "2";

impl Rejection {
    /// A refusal of `problem_type` in these words.
    pub fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self(Problem::new(problem_type, detail))
    }

    /// Nothing is there.
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemType::NotFound, format!("there is no {what}"))
    }

    /// The log is another registry's to move.
    pub fn not_hosted(log: &str) -> Self {
        Self::new(
            ProblemType::NotHostedHere,
            format!("{log} is not hosted here; send the entry to its home registry"),
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
            Fault::DiskFull(_) => {
                Self::new(ProblemType::StorageFull, "the registry's disk is full; nothing was logged")
            }
            Fault::ReadOnly(_) => {
                Self::new(ProblemType::ReadOnly, "the registry's disk takes no writes; nothing was logged")
            }
            Fault::Locked(_) => Self::busy("the registry's database is busy; nothing was logged"),
            Fault::Stopped | Fault::TakenOver | Fault::Io(_) => Self::new(
                ProblemType::ReadOnly,
                "the registry's disk failed and it stopped writing; its operator must look",
            ),
            other => Self::new(ProblemType::Internal, other.to_string()),
        }
    }
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
            ReadError::NotKept { .. } => Self::busy("the log has just moved"),
            other => {
                tracing::error!(err = &other as &dyn std::error::Error, "a read failed");
                Self::new(ProblemType::Internal, "the registry could not read what it keeps")
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
                tracing::error!(err = &other as &dyn std::error::Error, "a proof could not be made");
                Self::new(ProblemType::Internal, "the registry could not read what it keeps")
            }
        }
    }
}

impl From<RegistryError> for Rejection {
    fn from(err: RegistryError) -> Self {
        match err {
            RegistryError::Refused(refused) => Self::refused(&refused),
            other => {
                tracing::error!(err = &other as &dyn std::error::Error, "a request failed");
                Self::new(ProblemType::Internal, "the registry failed")
            }
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        response
    }
}

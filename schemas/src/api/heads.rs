//! How far does each log go that a registry holds? What others ask first when they follow it (design §10).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/heads`: every log that a registry holds, with its newest head, whether a quorum has cosigned that or not.
///
/// Nothing but a hint which heads are worth a look: whoever follows believes none of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HeadsList {
    /// The commons log first, then by origin; at most [`MAX_LOGS`](super::MAX_LOGS).
    pub heads: Vec<LogHead>,
}

/// The newest head of one log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogHead {
    /// Where the log is served, without slashes at either end: `commons` or `logs/<publisher>`.
    pub path: String,
    /// Leaves under the head.
    pub size: u64,
    /// The beginning of the SHA-256 of the head as `/api/v1/checkpoint` gives it, 32 digits of lower-case hexadecimal:
    /// another one when there are new cosignatures.
    pub note: String,
}

impl LogHead {
    /// Characters of [`note`](Self::note).
    pub const NOTE_CHARS: usize = 32;
}

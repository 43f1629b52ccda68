//! What do programs say to a registry over HTTP? The JSON bodies of design §10.
//!
//! Unknown members pass, so that a newer registry can say more to an older client; a changed meaning gets a new path.

mod catalogue;
mod heads;
mod problem;
mod sync;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use catalogue::{
    BrickSummary, BricksPage, CatalogueStatus, PublisherSummary, PublishersPage, RegistrySummary,
    SearchResults, ServiceSummary, ServicesPage,
};
pub use heads::{HeadsList, LogHead};
pub use problem::{PROBLEM_MEDIA_TYPE, Problem, ProblemDetail, ProblemType, TypeUriError};
pub use sync::{CatchingUp, MAX_REFUSALS, PeerStatus, Refusal, SyncStatus, SyncStep};

use crate::digest::Digest;
use crate::name::PublisherName;
use crate::origin::Origin;

/// The API version that this crate describes: of `/api/v1`.
pub const API_VERSION: u32 = 1;
/// Where [`WellKnown`] is served.
pub const WELL_KNOWN_PATH: &str = "/.well-known/brickyard.json";
/// Items of a page, at most.
pub const MAX_PAGE: usize = 100;
/// Bytes of any JSON answer, at most; a client reads no more.
pub const MAX_BODY_BYTES: usize = 8 * 1_024 * 1_024;
/// Logs that a registry names, at most.
pub const MAX_LOGS: usize = 16_384;
/// Bytes of a cursor, at most.
pub const MAX_CURSOR_BYTES: usize = 512;

/// `/.well-known/brickyard.json`: which commons, which registry, and every log it holds.
///
/// Only a way in: a client believes none of it that its pinned root does not say too.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WellKnown {
    /// Version of the API below `/api`.
    pub api_version: u32,
    /// The commons it belongs to.
    pub commons: CommonsId,
    /// The registry's name.
    pub registry: PublisherName,
    /// Every log it holds, the commons log first, then by origin.
    pub logs: Vec<LogPath>,
}

/// Which commons: enough to pin it, once compared with what the commons publishes elsewhere.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CommonsId {
    /// Its log's origin.
    pub origin: Origin,
    /// Its log's key, a C2SP vkey.
    pub vkey: String,
    /// The hash of its first root.
    pub root_sha256: Digest,
}

/// A log and where it is served.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogPath {
    /// The log.
    pub origin: Origin,
    /// Its key, a C2SP vkey.
    pub vkey: String,
    /// The path below the registry's address, without a slash at the end: `/logs/northshire.gov.uk`.
    pub path: String,
    /// Whose log it is; absent for the commons log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<PublisherName>,
}

/// The answer to `POST /api/v1/entries`: the entry is in the log, durably.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EntryReceipt {
    /// The log it went into.
    pub log: Origin,
    /// Its leaf index there.
    pub index: u64,
    /// The text of a C2SP tlog-proof, the envelope in its `extra`.
    pub proof: String,
    /// Whether it had been there before: sending again is harmless.
    pub duplicate: bool,
}

/// A registry's health in one word, for `/healthz` and `/readyz`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Whether it can do its work.
    pub status: HealthStatus,
    /// What is wrong, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// How a registry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// It reads and writes.
    Ok,
    /// It reads, and takes nothing new.
    ReadOnly,
    /// It is getting ready.
    Starting,
}

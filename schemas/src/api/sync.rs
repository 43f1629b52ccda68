//! How far a registry has followed its peers, and what it would not take: public, with since when and why (design §10).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::PublisherName;
use crate::origin::Origin;

/// Refusals that are listed, at most: the newest.
pub const MAX_REFUSALS: usize = 100;

/// `GET /api/v1/sync`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SyncStatus {
    /// The registry that tells.
    pub registry: PublisherName,
    /// Its clock, Unix seconds.
    pub now: u64,
    /// The peers it follows, by address.
    pub peers: Vec<PeerStatus>,
    /// What it refused, newest first.
    pub refusals: Vec<Refusal>,
    /// Logs that it neither signs nor cosigns since it started, by log: it does not know yet how far they were seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catching_up: Vec<CatchingUp>,
}

/// A log that a registry has not caught up with since it started.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CatchingUp {
    /// Which log.
    pub log: Origin,
    /// What is missing, in words.
    pub why: String,
}

/// How following one peer goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PeerStatus {
    /// The peer's git address, as configured, without any password in it.
    pub git: String,
    /// The peer's HTTP address, if one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Last time that everything went well, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<u64>,
    /// Last time that it was tried, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<u64>,
    /// The first failure since all went well, Unix seconds; absent while all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<u64>,
    /// Why it fails, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Logs that were brought forward the last time.
    pub log_count: u64,
    /// Entries that were taken the last time.
    pub entry_count: u64,
}

/// Something of a peer's that was checked and not taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// When it was first refused, Unix seconds.
    pub since: u64,
    /// Where it came from: a peer's address.
    pub peer: String,
    /// Which log.
    pub log: Origin,
    /// Which leaf, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// The check that it did not pass.
    pub step: SyncStep,
    /// Why, in words.
    pub reason: String,
}

/// The checks of a mirror, in their order (design §8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SyncStep {
    /// The chain of roots.
    Root,
    /// A record in the commons log.
    Record,
    /// A head's form and the log's signature on it.
    Checkpoint,
    /// Cosignatures on a head.
    Quorum,
    /// The age of a head.
    Freshness,
    /// That a head extends the ones before.
    Consistency,
    /// That leaves are under a head.
    Inclusion,
    /// The form and signatures of an entry.
    Signature,
    /// That the key may say this.
    Right,
    /// That the entry is for this log.
    Log,
    /// That the entry's basis was a head of this log.
    Basis,
    /// That the entry is new.
    Replay,
    /// The snapshot leaf.
    Snapshot,
    /// What the entries add up to.
    Index,
    /// An archive's bytes.
    Archive,
    /// The manifest in an archive.
    Manifest,
    /// A lockfile.
    Lock,
}

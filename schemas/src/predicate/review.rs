//! `proposal` and `review`: a change offered to a brick's owner, and the owner's answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use super::release::Citation;
use crate::digest::{Blob, Digest};
use crate::name::FullName;
use crate::version::Version;

/// A change to somebody's brick, in the proposer's own log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Proposal {
    /// Log and basis.
    #[serde(flatten)]
    pub place: Place,
    /// The brick to be changed.
    pub target: FullName,
    /// The release it starts from.
    pub base: Base,
    /// The proposed content, packed like a release.
    pub archive: Blob,
    /// Title and reasons.
    pub rationale: Blob,
}

/// The release that a proposal starts from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Base {
    /// The version.
    pub version: Version,
    /// The archive's digest.
    pub sha256: Digest,
}

/// The owner's answer to a proposal, in the owner's log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Review {
    /// Log and basis.
    #[serde(flatten)]
    pub place: Place,
    /// The proposal.
    pub proposal: Citation,
    /// Taken or not.
    pub outcome: Outcome,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Blob>,
}

/// What became of a proposal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A later release will cite it.
    Accepted,
    /// It will not be taken.
    Declined,
}

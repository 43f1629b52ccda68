//! `attestation`: a third party's statement about a release.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use super::status::ReleaseStatus;
use crate::digest::{Blob, Digest};
use crate::name::FullName;
use crate::version::Version;

/// Standard statements that one attestation carries, at most.
pub const MAX_STANDARD_BODIES: usize = 16;

/// A statement by an auditor (or any publisher with the right) about one release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Attestation {
    /// Log and basis.
    #[serde(flatten)]
    pub place: Place,
    /// The brick.
    pub name: FullName,
    /// The version.
    pub version: Version,
    /// The archive's digest: what was looked at.
    pub sha256: Digest,
    /// What it was held against, a name with a text in the commons (`wcag-2.2-aa`).
    pub criteria: String,
    /// What came out.
    pub result: AttestationResult,
    /// Last day it holds, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// The report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Blob>,
    /// SLSA VSA or in-toto SVR bodies, kept as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standard_bodies: Vec<Blob>,
    /// The status of the release when it was looked at.
    #[serde(default)]
    pub status_seen: ReleaseStatus,
}

/// What an attestation says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttestationResult {
    /// It meets the criteria.
    Passed,
    /// It does not.
    Failed,
    /// It meets some of them; the report says which.
    Partly,
}

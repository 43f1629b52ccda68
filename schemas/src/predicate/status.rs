//! `status`: what may be newly used, and why not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::digest::Blob;
use crate::name::FullName;
use crate::version::{Requirement, Version};

/// Versions that one status entry names, at most.
pub const MAX_STATUS_VERSIONS: usize = 256;

/// A change of status of some versions of one brick.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Log and basis.
    #[serde(flatten)]
    pub place: Place,
    /// The brick.
    pub name: FullName,
    /// The versions, ascending, each once.
    pub versions: Vec<Version>,
    /// What they become.
    pub status: ReleaseStatus,
    /// Why, in one word; absent for `active`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<StatusCode>,
    /// What to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_instead: Option<UseInstead>,
    /// A day for people, `YYYY-MM-DD`: the index, a function of the log alone, shows the status at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Blob>,
}

/// What may be done with a release.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseStatus {
    /// Anything.
    #[default]
    Active,
    /// Anything, with a warning.
    Deprecated,
    /// Not newly chosen; what is locked stays.
    Yanked,
    /// Not to be used; what is locked warns loudly.
    Withdrawn,
}

impl std::fmt::Display for ReleaseStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ReleaseStatus::Active => "active",
            ReleaseStatus::Deprecated => "deprecated",
            ReleaseStatus::Yanked => "yanked",
            ReleaseStatus::Withdrawn => "withdrawn",
        })
    }
}

/// Why a status changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StatusCode {
    /// It is wrong.
    Error,
    /// It is dangerous.
    Security,
    /// There is something better.
    Superseded,
    /// The law says so.
    Legal,
    /// Personal data is at stake.
    DataProtection,
}

/// A brick to use in place of another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UseInstead {
    /// The brick.
    pub name: FullName,
    /// Which versions of it.
    pub req: Requirement,
}

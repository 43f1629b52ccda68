//! `advisory`: a warning about releases, around an OSV document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::digest::Blob;
use crate::name::FullName;
use crate::version::Requirement;

/// Bricks that one advisory names, at most.
pub const MAX_AFFECTED: usize = 256;

/// A warning about some bricks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Advisory {
    /// Log and basis.
    #[serde(flatten)]
    pub place: Place,
    /// The advisory's id; a later entry with the same id replaces this one.
    pub id: String,
    /// The OSV document.
    pub document: Blob,
    /// What it is about.
    pub affected: Vec<Affected>,
    /// How bad it is.
    pub severity: Severity,
}

/// Versions of one brick that an advisory is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Affected {
    /// The brick.
    pub name: FullName,
    /// The versions.
    pub req: Requirement,
}

/// How bad it is, by CVSS's words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Little harm.
    Low,
    /// Some harm.
    Medium,
    /// Much harm.
    High,
    /// Drop everything.
    Critical,
}

//! `service`: what a public body runs, declared and signed by it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::digest::{Blob, Digest};
use crate::name::{FeatureName, FullName};
use crate::version::Version;

/// Parts of one service, at most.
pub const MAX_PARTS: usize = 256;
/// Locked bricks of one service, at most.
pub const MAX_LOCKED: usize = 1_024;
/// Volume, cost and contract lines of one service, at most each.
pub const MAX_LINES: usize = 256;

/// One service, as it is at the body's signing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Log and basis.
    #[serde(flatten)]
    pub place: Place,
    /// The service's name; a later entry with the same id replaces this one.
    pub id: FullName,
    /// Service type, `scheme:code`.
    pub function: String,
    /// The body, `scheme:code`.
    pub body: String,
    /// Where it stands.
    pub status: ServiceStatus,
    /// Its parts, in the order a user meets them.
    pub parts: Vec<Part>,
    /// Everything that the parts resolve to; sorted by name and version.
    pub locked: Vec<Locked>,
    /// How often it was used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<Cost>,
    /// Who supplies what until when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contracts: Vec<Contract>,
    /// The whole `service.toml`, with its texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Blob>,
}

/// Where a service stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceStatus {
    /// Tried with some users.
    Pilot,
    /// Used.
    Live,
    /// No longer offered.
    Retired,
}

/// One part of a service: a brick, or something local with its reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Part {
    /// A brick does this step.
    Brick {
        /// The step, in the user's words.
        step: String,
        /// The brick.
        brick: FullName,
        /// The version it was locked at.
        version: Version,
        /// Features turned on; sorted.
        #[serde(default)]
        features: Vec<FeatureName>,
    },
    /// Something of the body's own does this step.
    Local {
        /// The step, in the user's words.
        step: String,
        /// What it is called locally.
        local: String,
        /// Why it is not a brick.
        why: LocalReason,
        /// Until when, `YYYY-MM-DD`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
        /// The brick that comes nearest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nearest: Option<FullName>,
    },
}

/// Why a part is not a brick.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LocalReason {
    /// No brick does it.
    NoneExists,
    /// The law asks for something else.
    Legal,
    /// A contract runs.
    Contract,
    /// It was there before.
    Legacy,
    /// The body likes its own better.
    Preference,
}

/// One locked brick of a service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Locked {
    /// The brick.
    pub name: FullName,
    /// The version.
    pub version: Version,
    /// The archive's digest.
    pub sha256: Digest,
}

/// How often a service was used in a period.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// First day, `YYYY-MM-DD`.
    pub from: String,
    /// Last day, `YYYY-MM-DD`.
    pub to: String,
    /// `all`, `online`, `phone` …
    pub channel: String,
    /// Cases begun; absent: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// Cases finished; absent: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<u64>,
    /// Where the figure stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What something cost in a period. Amounts are decimal strings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// First day, `YYYY-MM-DD`.
    pub from: String,
    /// Last day, `YYYY-MM-DD`.
    pub to: String,
    /// `build`, `run`, `transition` or `decommission`.
    pub what: String,
    /// `staff`, `licence`, `hosting`, `contract`, `overhead` or `other`.
    pub kind: String,
    /// The amount.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
    /// The year whose prices these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_year: Option<String>,
    /// `actual`, `budget`, `contract` or `estimate`.
    pub basis: String,
    /// The steps it covers; empty: unknown.
    #[serde(default)]
    pub scope: Vec<String>,
    /// The share of a larger line, a percentage as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<String>,
    /// Where the figure stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Who supplies what, until when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Contract {
    /// Organisation id, `GB-COH-…`.
    pub supplier: String,
    /// Open Contracting id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocid: Option<String>,
    /// Last day, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
    /// The steps it covers.
    #[serde(default)]
    pub covers: Vec<String>,
}

/// Bytes in an organisation id, at most.
pub const MAX_ORGANISATION_BYTES: usize = 100;

/// Checks an organisation id: `GB-COH-01234567`, a register's code of org-id.guide, `-`, and the number in it.
///
/// # Errors
/// [`TextError`](crate::text::TextError) for anything else.
pub fn check_organisation(text: &str) -> Result<(), crate::text::TextError> {
    let good = text.len() <= MAX_ORGANISATION_BYTES
        && text.split('-').count() >= 3
        && text
            .split('-')
            .take(2)
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase()))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b))
        && !text.ends_with('-');
    if good {
        return Ok(());
    }
    Err(crate::text::TextError::new(
        "organisation id",
        text,
        "an id of org-id.guide is needed, as in `GB-COH-01234567`",
    ))
}

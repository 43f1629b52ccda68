//! `release`: one version of one brick.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::digest::{Blob, Contents, Digest};
use crate::feature::FeatureItem;
use crate::name::{FeatureName, FullName};
use crate::origin::Origin;
use crate::version::{Requirement, Version};

/// Requirements of one release, at most.
pub const MAX_REQUIRES: usize = 256;
/// Features of one release, at most.
pub const MAX_FEATURES: usize = 128;
/// Items of one feature, at most.
pub const MAX_FEATURE_ITEMS: usize = 64;
/// Interfaces that one release provides, and that it needs, at most.
pub const MAX_INTERFACES: usize = 64;
/// Proposals that one release cites, at most.
pub const MAX_CONTRIBUTIONS: usize = 64;

/// One version of one brick, as its publisher signs it. Every field is recomputed from the archive's manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// Log and basis.
    #[serde(flatten)]
    pub place: Place,
    /// The brick.
    pub name: FullName,
    /// The version, once in a log for ever this one.
    pub version: Version,
    /// What it is: component, process, interface …
    pub kind: BrickKind,
    /// How far it is: concept, alpha, beta, live.
    pub maturity: Maturity,
    /// SPDX expression of the specification.
    pub license: String,
    /// The archive.
    pub archive: Blob,
    /// Go's dirhash of the archive's files.
    pub contents: Contents,
    /// Other bricks it cannot do without, or can use (optional ones); sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Dependency>,
    /// Features and what each turns on; items sorted, each once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<FeatureName, Vec<FeatureItem>>,
    /// Interfaces it provides, with the interface's version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provides: BTreeMap<FullName, Version>,
    /// Interfaces that any provider may meet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<FullName, Requirement>,
    /// The release it began as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
    /// Accepted proposals that went into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<Citation>,
    /// Where it was made; a claim of the publisher's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// A requirement on another brick: cargo's shape, with cargo's names in the index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// The required brick.
    pub name: FullName,
    /// Which versions will do.
    pub req: Requirement,
    /// Features asked of it; sorted, each once.
    #[serde(default)]
    pub features: Vec<FeatureName>,
    /// Only when a feature asks for it.
    #[serde(default)]
    pub optional: bool,
    /// Whether its `default` feature is asked for.
    #[serde(default = "yes")]
    pub default_features: bool,
}

fn yes() -> bool {
    true
}

/// What sort of thing a brick is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BrickKind {
    /// Something that can be run.
    Component,
    /// A process (BPMN).
    Process,
    /// Only describes an interface; others provide or need it.
    Interface,
    /// Shapes of data (JSON Schema).
    DataModel,
    /// Decisions (DMN).
    Decision,
    /// A form.
    Form,
    /// Texts.
    Content,
    /// Other bricks with default configuration.
    Playlist,
}

/// How far a brick is. Ordered: a live release may only require live ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Maturity {
    /// An idea written down.
    Concept,
    /// Being tried.
    Alpha,
    /// Used, still moving.
    Beta,
    /// Relied upon.
    Live,
}

/// The release that a brick was forked from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkedFrom {
    /// The brick.
    pub name: FullName,
    /// The version.
    pub version: Version,
    /// The archive's digest.
    pub sha256: Digest,
    /// `variant` (goes its own way) or `contribution` (means to come back).
    pub relation: ForkRelation,
    /// Why, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a fork means to its origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForkRelation {
    /// Goes its own way.
    Variant,
    /// Means to come back.
    Contribution,
}

/// An entry in some log, by place and payload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Citation {
    /// The log.
    pub log: Origin,
    /// The leaf's index.
    pub index: u64,
    /// SHA-256 of the entry's payload.
    pub payload: Digest,
}

/// Where a release was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The repository's address.
    pub repository: String,
    /// The commit's id.
    pub commit: String,
}

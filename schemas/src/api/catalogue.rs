//! Lists of what is there: bricks, publishers, registries, services. Pages of at most [`MAX_PAGE`](super::MAX_PAGE)
//! items, in a stable order; `next` is handed back as `cursor` for the page after.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::language::LanguageTag;
use crate::manifest::Text;
use crate::name::{FullName, PublisherName};
use crate::origin::Origin;
use crate::predicate::publisher::{PublisherKind, PublisherStatus};
use crate::predicate::release::{BrickKind, Maturity};
use crate::predicate::service::ServiceStatus;
use crate::predicate::status::ReleaseStatus;
use crate::version::Version;

/// `GET /api/v1/search`: bricks whose name begins with, or whose text holds, what was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SearchResults {
    /// Best first.
    pub bricks: Vec<BrickSummary>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /api/v1/bricks`: all bricks, by name.
pub type BricksPage = SearchResults;

/// One brick in a list, by its newest release that may be newly used, else its newest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BrickSummary {
    /// The brick.
    pub name: FullName,
    /// That release's version.
    pub version: Version,
    /// What sort of thing it is.
    pub kind: BrickKind,
    /// How far it is.
    pub maturity: Maturity,
    /// SPDX expression of the specification.
    pub license: String,
    /// What may be done with that release.
    pub status: ReleaseStatus,
    /// How many releases there are.
    pub release_count: u64,
    /// Logged time of that release, Unix seconds.
    pub time: u64,
    /// Title and summary by language, from its manifest; empty if the archive is not here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub text: BTreeMap<LanguageTag, Text>,
}

/// `GET /api/v1/publishers`: every publisher of the commons, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PublishersPage {
    /// By name.
    pub publishers: Vec<PublisherSummary>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One publisher in a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PublisherSummary {
    /// Its name.
    pub id: PublisherName,
    /// What sort of organisation it is.
    pub kind: PublisherKind,
    /// The registry that hosts its log.
    pub home: PublisherName,
    /// Its log.
    pub origin: Origin,
    /// Whether it takes part.
    pub status: PublisherStatus,
    /// Entries in its log, as far as this registry has it.
    pub entry_count: u64,
    /// Bricks it publishes.
    pub brick_count: u64,
    /// Services it declares.
    pub service_count: u64,
}

/// A registry of the commons, as its record says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RegistrySummary {
    /// Its name.
    pub id: PublisherName,
    /// Who runs it.
    pub operator: PublisherName,
    /// Where it answers.
    pub urls: Vec<String>,
    /// Whether it takes part.
    pub status: PublisherStatus,
}

/// `GET /api/v1/services`: services that public bodies declare, by id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServicesPage {
    /// By id.
    pub services: Vec<ServiceSummary>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One service in a list, as its current entry says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServiceSummary {
    /// `publisher/service`.
    pub id: FullName,
    /// Service type, `scheme:code`.
    pub function: String,
    /// The body, `scheme:code`.
    pub body: String,
    /// Where it stands.
    pub status: ServiceStatus,
    /// How many parts it has.
    pub part_count: u64,
    /// How many of them are local.
    pub local_part_count: u64,
    /// Leaf index of its entry in the body's log.
    pub entry: u64,
}

/// `GET /api/v1/status`: what a registry holds, in numbers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CatalogueStatus {
    /// Publishers.
    pub publisher_count: u64,
    /// Bricks.
    pub brick_count: u64,
    /// Releases.
    pub release_count: u64,
    /// Services.
    pub service_count: u64,
    /// Entries in all logs.
    pub entry_count: u64,
}

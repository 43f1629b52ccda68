//! `publisher`: an organisation's record in the commons log (design §8).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::digest::Blob;
use crate::key::{KeySet, PublicKey};
use crate::name::PublisherName;
use crate::origin::Origin;

/// Keys of one record, at most.
pub const MAX_RECORD_KEYS: usize = 256;
/// Brick patterns of one key, at most.
pub const MAX_PATTERNS: usize = 64;

/// A publisher's record: who it is, which log is its, and whose signatures count there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Publisher {
    /// The commons log and the basis.
    #[serde(flatten)]
    pub place: Place,
    /// The publisher's name.
    pub id: PublisherName,
    /// What sort of organisation it is.
    pub kind: PublisherKind,
    /// Its title, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Blob>,
    /// Its log's origin.
    pub origin: Origin,
    /// Its log's key, as a C2SP vkey whose name is the origin.
    pub vkey: String,
    /// The registry that hosts the log.
    pub home: PublisherName,
    /// Whose threshold may change this record.
    pub owners: KeySet,
    /// Whose signatures count in the log, and for what.
    pub keys: Vec<PublisherKey>,
    /// The leaf index in the publisher's log from which this record is in force; 0 in the first record.
    ///
    /// This makes the record in force at an entry a function of the two logs alone, whatever order they were seen in.
    pub from: u64,
    /// Whether it takes part.
    #[serde(default)]
    pub status: PublisherStatus,
    /// Publishers whose names it carries on (after mergers, splits, renamings).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub succeeds: Vec<PublisherName>,
}

/// One key of a publisher.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PublisherKey {
    /// The key.
    pub key: PublicKey,
    /// What its signature counts for.
    pub rights: Vec<Right>,
    /// Entries at this leaf index or after are void; absent: no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The bricks it may speak for, `*` standing for any run of characters; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bricks: Option<Vec<String>>,
}

/// What a key's signature counts for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Releases, services, reviews.
    Publish,
    /// Statuses.
    Yank,
    /// Attestations and advisories.
    Attest,
    /// Proposals.
    Propose,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Right::Publish => "publish",
            Right::Yank => "yank",
            Right::Attest => "attest",
            Right::Propose => "propose",
        })
    }
}

/// What sort of organisation a publisher is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PublisherKind {
    /// A council, a ministry, an agency.
    PublicBody,
    /// A company or association that builds.
    Supplier,
    /// Somebody who checks.
    Auditor,
    /// Everybody else.
    Community,
}

/// Whether a publisher or registry takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PublisherStatus {
    /// It does.
    #[default]
    Active,
    /// Not until the registrars say so.
    Suspended,
    /// No more; its name stays taken for ever.
    Retired,
}

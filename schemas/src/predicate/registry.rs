//! `registry`: a registry's record in the commons log (design §8).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use super::publisher::PublisherStatus;
use crate::key::{KeySet, PublicKey};
use crate::name::PublisherName;

/// Addresses of one registry, at most.
pub const MAX_URLS: usize = 16;

/// A registry's record: who runs it, which keys are its, and where it can be reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Registry {
    /// The commons log and the basis.
    #[serde(flatten)]
    pub place: Place,
    /// The registry's name, a DNS name.
    pub id: PublisherName,
    /// The organisation that runs it: registries of one operator have one vote together.
    pub operator: PublisherName,
    /// The key that signs the logs it hosts.
    pub log_key: PublicKey,
    /// Its witness key, as a C2SP vkey of the cosignature type.
    pub witness: String,
    /// Where it answers; the first is preferred.
    pub urls: Vec<String>,
    /// Whose threshold may change this record.
    pub owners: KeySet,
    /// Whether it takes part.
    #[serde(default)]
    pub status: PublisherStatus,
}

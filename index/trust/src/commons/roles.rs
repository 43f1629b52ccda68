//! What is this key for? One key, one role (design §8), in the whole commons and for ever.

use std::collections::BTreeMap;

use brick_schemas::PublicKey;
use brick_schemas::predicate::{Publisher, PublisherStatus, Registry};
use brick_tlog::note::Vkey;
use serde::{Deserialize, Serialize};

use super::witness_vkey;
use crate::root::Root;

/// What a key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KeyRole {
    Steward,
    Registrar,
    Owner,
    Officer,
    Log,
    Witness,
}

impl std::fmt::Display for KeyRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            KeyRole::Steward => "steward",
            KeyRole::Registrar => "registrar",
            KeyRole::Owner => "owner",
            KeyRole::Officer => "publishing",
            KeyRole::Log => "log",
            KeyRole::Witness => "witness",
        })
    }
}

/// The keys of a root by role; the log's key too.
pub(super) fn of_root(root: &Root) -> Vec<(PublicKey, KeyRole)> {
    let mut keys = with(KeyRole::Steward, &root.stewards.keys);
    keys.extend(with(KeyRole::Registrar, &root.registrars.keys));
    keys.extend(root.terms.log_vkey().ok().map(|vkey| (bytes(&vkey), KeyRole::Log)));
    keys
}

/// The keys of a publisher's record by role; its log's key is its home's.
pub(super) fn of_publisher(record: &Publisher) -> Vec<(PublicKey, KeyRole)> {
    let mut keys = with(KeyRole::Owner, &record.owners.keys);
    keys.extend(record.keys.iter().map(|key| (key.key, KeyRole::Officer)));
    keys
}

/// The keys of a registry's record by role.
pub(super) fn of_registry(record: &Registry) -> Vec<(PublicKey, KeyRole)> {
    let mut keys = with(KeyRole::Owner, &record.owners.keys);
    keys.push((record.log_key, KeyRole::Log));
    keys.extend(witness_vkey(record).ok().map(|vkey| (bytes(&vkey), KeyRole::Witness)));
    keys
}

fn with(role: KeyRole, keys: &[PublicKey]) -> Vec<(PublicKey, KeyRole)> {
    keys.iter().map(|key| (*key, role)).collect()
}

fn bytes(vkey: &Vkey) -> PublicKey {
    PublicKey::from(vkey.key().to_bytes())
}

/// What the owners of a record may not change by themselves: what the registrars vouched for, or decided.
pub(super) fn needs_registrars(before: PublisherStatus, after: PublisherStatus) -> bool {
    before != after && (before, after) != (PublisherStatus::Active, PublisherStatus::Retired)
}

/// Every key that any root or record has named, with its role: a key that was one thing never becomes another.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Roles(BTreeMap<PublicKey, KeyRole>);

impl Roles {
    /// Takes `keys`, or nothing.
    ///
    /// # Errors
    /// The first key that has another role, there or among `keys`, and that role.
    pub(super) fn take(&mut self, keys: &[(PublicKey, KeyRole)]) -> Result<(), (PublicKey, KeyRole)> {
        let mut new = BTreeMap::new();
        for (key, role) in keys {
            match self.0.get(key).or_else(|| new.get(key)) {
                Some(held) if held != role => return Err((*key, *held)),
                _ => drop(new.insert(*key, *role)),
            }
        }
        self.0.extend(new);
        Ok(())
    }
}

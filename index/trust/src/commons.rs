//! Who takes part, and under which keys? The commons log, folded (design §8).

mod roles;

use std::collections::{BTreeMap, BTreeSet};

use brick_schemas::predicate::{
    Predicate, Publisher, PublisherStatus, ROOT_PAYLOAD_TYPE, Registry, Statement, publisher,
};
use brick_schemas::{Digest, KeySet, Origin, PublicKey, PublisherName};
use brick_tlog::hash::Hash;
use brick_tlog::note::{Algorithm, Vkey};
use serde::{Deserialize, Serialize};

use crate::entry::{BasisRoot, demand_place};
use crate::envelope::Envelope;
use crate::head::{HeadRules, Witness};
use crate::key::checked_key;
use crate::refused::{Refused, Step};
use crate::root::{Role, Root};
use roles::Roles;

/// What a client pins once: the commons' name and the digest of its first root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// SHA-256 of the first root's payload.
    pub root_sha256: Digest,
}

/// The commons log up to some size, every entry verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Commons {
    first_root: Digest,
    root: Root,
    publishers: BTreeMap<PublisherName, Vec<Publisher>>,
    registries: BTreeMap<PublisherName, Registry>,
    payloads: BTreeSet<Digest>,
    roles: Roles,
    size: u64,
}

/// What a leaf of the commons log did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// A new root.
    Root {
        /// Its version.
        version: u64,
    },
    /// A publisher's record, new or changed.
    Publisher(PublisherName),
    /// A registry's record, new or changed.
    Registry(PublisherName),
}

impl Commons {
    /// Begins with leaf 0, which must be the pinned root.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Root`].
    pub fn begin(leaf: &[u8], pin: &Pin) -> Result<Self, Refused> {
        let envelope = Envelope::parse(leaf)
            .map_err(|err| Refused::caused(Step::Root, "the first leaf is malformed", err))?;
        let root = Root::verify_first(&envelope, &pin.root_sha256)?;
        let mut roles = Roles::default();
        take_roles(&mut roles, &roles::of_root(&root), Step::Root, "the root")?;
        Ok(Self {
            first_root: pin.root_sha256,
            root,
            publishers: BTreeMap::new(),
            registries: BTreeMap::new(),
            payloads: BTreeSet::from([envelope.payload_digest()]),
            roles,
            size: 1,
        })
    }

    /// What the fold came to, as JSON, for whoever verified it to keep: [`from_kept`](Self::from_kept) goes on from there.
    pub fn to_kept(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a fold has only string keys")
    }

    /// Goes on from what was kept. Nothing is verified again: the caller vouches that these bytes are its own, unchanged,
    /// as it vouches for its pin.
    ///
    /// Returns `None` where they are no fold of the pinned commons.
    pub fn from_kept(bytes: &[u8], pin: &Pin) -> Option<Self> {
        let kept: Self = serde_json::from_slice(bytes).ok()?;
        (kept.first_root == pin.root_sha256 && kept.size > 0).then_some(kept)
    }

    /// Applies the next leaf, or changes nothing.
    ///
    /// - `root_at`: the commons log's root at a size no more than the leaf's index.
    ///
    /// # Errors
    /// [`Refused`] with the step: `root`, `signature`, `record`, `log`, `basis`, `replay`.
    pub fn apply(
        &mut self,
        leaf: &[u8],
        root_at: impl FnOnce(u64) -> Option<Hash>,
    ) -> Result<Applied, Refused> {
        let envelope = Envelope::parse(leaf).map_err(|err| {
            Refused::caused(
                Step::Signature,
                format!("leaf {} of {} is malformed", self.size, self.origin()),
                err,
            )
        })?;
        let payload = envelope.payload_digest();
        if self.payloads.contains(&payload) {
            return Err(Refused::new(Step::Replay, format!("{} already holds this entry", self.origin())));
        }
        let applied = if envelope.payload_type == ROOT_PAYLOAD_TYPE {
            let next = self.root.verify_next(&envelope)?;
            let version = next.version;
            take_roles(&mut self.roles, &roles::of_root(&next), Step::Root, "the root")?;
            self.root = next;
            Applied::Root { version }
        } else {
            self.apply_record(&envelope, root_at)?
        };
        self.payloads.insert(payload);
        self.size += 1;
        Ok(applied)
    }

    fn apply_record(
        &mut self,
        envelope: &Envelope,
        root_at: impl FnOnce(u64) -> Option<Hash>,
    ) -> Result<Applied, Refused> {
        let statement = Statement::parse(&envelope.payload)
            .map_err(|err| Refused::caused(Step::Record, "the record is malformed", err))?;
        let basis = statement.predicate.place().basis.size;
        let basis_root = match root_at(basis) {
            _ if basis > self.size => BasisRoot::NotHeld, // demand_place refuses it by size
            Some(root) => BasisRoot::Known(Digest::from(*root.as_bytes())),
            None => {
                return Err(Refused::new(
                    Step::Basis,
                    format!("the root of {} at size {basis} is not known", self.origin()),
                ));
            }
        };
        demand_place(&statement.predicate, &self.origin(), self.size, basis_root)?;
        match statement.predicate {
            Predicate::Publisher(record) => {
                let before = self.publisher(&record.id);
                let reserved = before.and_then(|before| match () {
                    _ if roles::needs_registrars(before.status, record.status) => Some("status"),
                    _ if before.kind != record.kind => Some("kind"),
                    _ => None,
                });
                let owners = before.map(|before| &before.owners);
                self.demand_record_signatures(envelope, owners, reserved, record.id.as_str())?;
                self.check_publisher(&record)?;
                let keys = roles::of_publisher(&record);
                take_roles(&mut self.roles, &keys, Step::Record, record.id.as_str())?;
                let id = record.id.clone();
                self.publishers.entry(id.clone()).or_default().push(*record);
                Ok(Applied::Publisher(id))
            }
            Predicate::Registry(record) => {
                let before = self.registry(&record.id);
                let reserved = before.and_then(|before| match () {
                    _ if roles::needs_registrars(before.status, record.status) => Some("status"),
                    // One vote each: an operator is not to become two.
                    _ if before.operator != record.operator => Some("operator"),
                    _ => None,
                });
                let owners = before.map(|before| &before.owners);
                self.demand_record_signatures(envelope, owners, reserved, record.id.as_str())?;
                self.check_registry(&record)?;
                let keys = roles::of_registry(&record);
                take_roles(&mut self.roles, &keys, Step::Record, record.id.as_str())?;
                let id = record.id.clone();
                self.registries.insert(id.clone(), *record);
                Ok(Applied::Registry(id))
            }
            other => Err(Refused::new(
                Step::Right,
                format!("a {} entry does not belong in the commons log", other.kind()),
            )),
        }
    }

    /// Admission, suspension and rescue by the registrars' threshold; any later change by the owners' of the record before.
    ///
    /// - `reserved`: what changes that is the registrars' alone to decide.
    fn demand_record_signatures(
        &self,
        envelope: &Envelope,
        owners: Option<&KeySet>,
        reserved: Option<&str>,
        id: &str,
    ) -> Result<(), Refused> {
        let registrars = &self.root.registrars;
        let mut keys = registrars.keys.clone();
        keys.extend(owners.iter().flat_map(|owners| &owners.keys));
        let signers = envelope.verify(&keys).map_err(|err| {
            Refused::caused(Step::Signature, format!("the record of {id} is not signed by who may"), err)
        })?;
        let by_owners = owners.is_some_and(|owners| {
            Role { keys: owners.keys.clone(), threshold: owners.threshold }.is_met_by(&signers)
        });
        if registrars.is_met_by(&signers) || (by_owners && reserved.is_none()) {
            return Ok(());
        }
        if let (true, Some(what)) = (by_owners, reserved) {
            return Err(Refused::new(
                Step::Signature,
                format!(
                    "the record of {id} changes its {what}, which {} of {} registrars must sign",
                    registrars.threshold,
                    registrars.keys.len()
                ),
            ));
        }
        let who = match owners {
            Some(owners) => format!(
                "{} of its {} owners, or {} of {} registrars",
                owners.threshold,
                owners.keys.len(),
                registrars.threshold,
                registrars.keys.len()
            ),
            None => format!("{} of {} registrars", registrars.threshold, registrars.keys.len()),
        };
        Err(Refused::new(Step::Signature, format!("the record of {id} must be signed by {who}")))
    }

    fn check_publisher(&self, record: &Publisher) -> Result<(), Refused> {
        let refuse =
            |what: String| Err(Refused::new(Step::Record, format!("record of {}: {what}", record.id)));
        self.check_owners(&record.owners, record.id.as_str())?;
        if record.keys.len() > publisher::MAX_RECORD_KEYS {
            return refuse(format!("more than {} keys", publisher::MAX_RECORD_KEYS));
        }
        let mut distinct = BTreeSet::new();
        for key in &record.keys {
            checked_key(&key.key)
                .map_err(|err| Refused::caused(Step::Record, format!("record of {}", record.id), err))?;
            if !distinct.insert(key.key) {
                return refuse(format!("key {} stands twice", key.key));
            }
            if key.bricks.as_ref().is_some_and(|patterns| patterns.len() > publisher::MAX_PATTERNS) {
                return refuse(format!("more than {} brick patterns", publisher::MAX_PATTERNS));
            }
        }
        if record.origin.domain() != record.id {
            return refuse(format!("its log {} is under another name", record.origin));
        }
        let Some(home) = self.registries.get(&record.home) else {
            return refuse(format!("its home registry {} is not admitted", record.home));
        };
        let vkey = log_vkey(&record.vkey, &record.origin)?;
        if vkey.key().to_bytes() != *home.log_key.as_bytes() {
            return refuse(format!("its log key is not the one that {} hosts logs with", record.home));
        }
        match self.publishers.get(&record.id).and_then(|records| records.last()) {
            None if record.from != 0 => refuse("the first record holds from leaf 0".into()),
            Some(before) if record.from < before.from => {
                refuse(format!("it holds from leaf {}, before the last one's {}", record.from, before.from))
            }
            _ => Ok(()),
        }
    }

    fn check_registry(&self, record: &Registry) -> Result<(), Refused> {
        let refuse = |what: String| {
            Err(Refused::new(Step::Record, format!("record of registry {}: {what}", record.id)))
        };
        self.check_owners(&record.owners, record.id.as_str())?;
        checked_key(&record.log_key)
            .map_err(|err| Refused::caused(Step::Record, format!("record of registry {}", record.id), err))?;
        let witness = witness_vkey(record)?;
        if witness.key().to_bytes() == *record.log_key.as_bytes() {
            return refuse("the witness key must not be the log key".into());
        }
        // A cosignature does not name its maker: a key shared by two registries would vote twice.
        for other in self.registries.values().filter(|other| other.id != record.id) {
            if witness_vkey(other)?.key() == witness.key() || other.log_key == record.log_key {
                return refuse(format!("{} has the same key", other.id));
            }
        }
        if record.urls.len() > brick_schemas::predicate::registry::MAX_URLS {
            return refuse("too many addresses".into());
        }
        if record.urls.iter().any(|url| {
            !(url.starts_with("https://") || url.starts_with("http://"))
                || url.len() > 500
                || url.chars().any(|c| c.is_control() || c.is_whitespace())
        }) {
            return refuse("an address is not an http(s) URL".into());
        }
        Ok(())
    }

    fn check_owners(&self, owners: &KeySet, id: &str) -> Result<(), Refused> {
        let distinct: BTreeSet<_> = owners.keys.iter().collect();
        if distinct.len() != owners.keys.len()
            || owners.keys.len() > publisher::MAX_RECORD_KEYS
            || owners.threshold == 0
            || owners.threshold as usize > owners.keys.len()
        {
            return Err(Refused::new(
                Step::Record,
                format!("record of {id}: owners need distinct keys and a threshold of 1 to their number"),
            ));
        }
        for key in &owners.keys {
            checked_key(key).map_err(|err| Refused::caused(Step::Record, format!("record of {id}"), err))?;
        }
        Ok(())
    }

    /// The commons log's origin.
    pub fn origin(&self) -> Origin {
        self.root.terms.origin()
    }

    /// The digest of the first root, which stands for the commons.
    pub fn first_root(&self) -> Digest {
        self.first_root
    }

    /// The newest root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Leaves folded so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The newest record of every publisher.
    pub fn publishers(&self) -> impl Iterator<Item = &Publisher> {
        self.publishers.values().filter_map(|records| records.last())
    }

    /// The newest record of a publisher.
    pub fn publisher(&self, id: &PublisherName) -> Option<&Publisher> {
        self.publishers.get(id).and_then(|records| records.last())
    }

    /// The record of a publisher that is in force at a leaf of its log.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Record`] when there is none.
    pub fn record_at(&self, id: &PublisherName, index: u64) -> Result<&Publisher, Refused> {
        self.publishers
            .get(id)
            .and_then(|records| records.iter().rev().find(|record| record.from <= index))
            .ok_or_else(|| Refused::new(Step::Record, format!("{} has no record of {id}", self.origin())))
    }

    /// Every registry's newest record.
    pub fn registries(&self) -> impl Iterator<Item = &Registry> {
        self.registries.values()
    }

    /// A registry's newest record.
    pub fn registry(&self, id: &PublisherName) -> Option<&Registry> {
        self.registries.get(id)
    }

    /// The registry that hosts the commons log: the one with its key, once it is admitted.
    pub fn commons_host(&self) -> Option<&Registry> {
        let vkey = self.root.terms.log_vkey().ok()?;
        self.registries.values().find(|registry| vkey.key().to_bytes() == *registry.log_key.as_bytes())
    }

    /// What is demanded of the commons log's heads.
    ///
    /// # Errors
    /// [`Refused`] where a key in a record is malformed.
    pub fn commons_rules(&self) -> Result<HeadRules, Refused> {
        self.rules(self.root.terms.log_vkey()?, self.commons_host().map(|host| host.id.clone()))
    }

    /// What is demanded of the heads of a publisher's log.
    ///
    /// # Errors
    /// [`Refused`] when there is no such publisher.
    pub fn log_rules(&self, id: &PublisherName) -> Result<HeadRules, Refused> {
        let record = self
            .publisher(id)
            .ok_or_else(|| Refused::new(Step::Record, format!("{} has no record of {id}", self.origin())))?;
        self.rules(log_vkey(&record.vkey, &record.origin)?, Some(record.home.clone()))
    }

    fn rules(&self, log: Vkey, host: Option<PublisherName>) -> Result<HeadRules, Refused> {
        let host = host.and_then(|id| self.registries.get(&id));
        let mut witnesses = Vec::new();
        for registry in self.registries.values().filter(|r| r.status == PublisherStatus::Active) {
            let is_host =
                host.is_some_and(|host| host.id == registry.id || host.operator == registry.operator);
            if !is_host {
                let vkey = witness_vkey(registry)?;
                witnesses.push(Witness {
                    registry: registry.id.clone(),
                    operator: registry.operator.clone(),
                    vkey,
                });
            }
        }
        Ok(HeadRules::new(log, witnesses, self.root.terms.quorum_at_least as usize))
    }
}

/// One key, one role: an owner's key stays offline, a log's key says nothing else.
fn take_roles(
    roles: &mut Roles,
    keys: &[(PublicKey, roles::KeyRole)],
    step: Step,
    of: &str,
) -> Result<(), Refused> {
    roles.take(keys).map_err(|(key, held)| {
        Refused::new(step, format!("record of {of}: key {key} has another role already, it is a {held} key"))
    })
}

/// The key of a publisher's log.
///
/// # Errors
/// [`Refused`] unless it is an Ed25519 log key by the origin's name.
pub fn log_vkey(text: &str, origin: &Origin) -> Result<Vkey, Refused> {
    let vkey = Vkey::parse(text)
        .map_err(|err| Refused::caused(Step::Record, format!("log key of {origin}"), err))?;
    if vkey.algorithm() != Algorithm::Ed25519 || vkey.name().as_str() != origin.as_str() {
        return Err(Refused::new(
            Step::Record,
            format!("the log key of {origin} must be an Ed25519 key of that name"),
        ));
    }
    Ok(vkey)
}

/// The witness key of a registry.
///
/// # Errors
/// [`Refused`] unless it is a cosignature key.
pub fn witness_vkey(registry: &Registry) -> Result<Vkey, Refused> {
    let vkey = Vkey::parse(&registry.witness)
        .map_err(|err| Refused::caused(Step::Record, format!("witness key of {}", registry.id), err))?;
    if vkey.algorithm() != Algorithm::CosignatureV1 {
        return Err(Refused::new(
            Step::Record,
            format!("the witness key of {} is not for cosignatures", registry.id),
        ));
    }
    Ok(vkey)
}

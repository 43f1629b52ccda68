//! A commons in memory: three stewards, three registrars, two registries, one publisher, and their logs.

#![allow(dead_code)] // shared by the tests of two crates

use std::collections::BTreeMap;

use brick_schemas::predicate::publisher::PublisherKey;
use brick_schemas::predicate::release::{BrickKind, Maturity};
use brick_schemas::predicate::{
    Basis, Place, Predicate, Publisher, PublisherKind, PublisherStatus, Registry, Release, ReleaseStatus,
    Right, STATEMENT_PAYLOAD_TYPE, Statement, Status, StatusCode,
};
use brick_schemas::{Blob, Contents, Digest, FullName, KeySet, Origin, PublicKey, PublisherName, Version};
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::{Algorithm, KeyName, Vkey};
use brick_tlog::tree::Tree;
use brick_trust::commons::Applied;
use brick_trust::root::{Role, TERMS_VERSION, Terms};
use brick_trust::{Commons, Envelope, Pin, Refused, Root, Signer};
use ed25519_dalek::SigningKey;

pub const STEWARDS: [u8; 3] = [1, 2, 3];
pub const REGISTRARS: [u8; 3] = [11, 12, 13];
pub const OWNERS: [u8; 3] = [21, 22, 23];
/// May publish and yank anything.
pub const OFFICER: u8 = 31;
/// May publish and yank bricks named `pay-…`.
pub const PAY_OFFICER: u8 = 32;
/// Signs the logs that the first registry hosts.
pub const LOG_KEY: u8 = 41;
/// In nobody's record.
pub const STRANGER: u8 = 99;

pub const COMMONS: &str = "commons.example";
pub const PUBLISHER: &str = "northshire.example";
pub const HOME: &str = "registry.example";

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn public(seed: u8) -> PublicKey {
    key(seed).public()
}

pub fn publisher(name: &str) -> PublisherName {
    PublisherName::parse(name).unwrap()
}

pub fn name(text: &str) -> FullName {
    FullName::parse(text).unwrap()
}

pub fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

pub fn keys(seeds: &[u8], threshold: u32) -> KeySet {
    KeySet { keys: seeds.iter().map(|seed| public(*seed)).collect(), threshold }
}

fn role(seeds: &[u8], threshold: u32) -> Role {
    Role { keys: seeds.iter().map(|seed| public(*seed)).collect(), threshold }
}

pub fn vkey(name: &str, algorithm: Algorithm, seed: u8) -> String {
    Vkey::of(KeyName::new(name).unwrap(), algorithm, &key(seed)).to_string()
}

/// A log as its host has it.
#[derive(Clone, Default)]
pub struct Log {
    pub tree: Tree,
    pub leaves: Vec<Vec<u8>>,
}

impl Log {
    pub fn push(&mut self, leaf: Vec<u8>) {
        self.tree.push(leaf_hash(&leaf));
        self.leaves.push(leaf);
    }

    pub fn size(&self) -> u64 {
        self.tree.len()
    }

    pub fn root_at(&self, size: u64) -> Option<Hash> {
        self.tree.root_at(size).ok()
    }

    /// The place of an entry whose signer saw the first `size` leaves.
    pub fn place_at(&self, origin: &Origin, size: u64) -> Place {
        let root = Digest::from(*self.root_at(size).unwrap().as_bytes());
        Place { log: origin.clone(), basis: Basis { size, root } }
    }

    pub fn place(&self, origin: &Origin) -> Place {
        self.place_at(origin, self.size())
    }
}

/// A leaf: the Statement of `predicate` in an envelope that `signers` signed.
pub fn entry(predicate: Predicate, signers: &[u8]) -> Vec<u8> {
    let subject = match &predicate {
        Predicate::Release(release) => release.archive.sha256,
        _ => Digest::of(b"x"),
    };
    let statement = Statement::new(vec![("x".into(), subject)], predicate);
    envelope(STATEMENT_PAYLOAD_TYPE, statement.to_bytes(), signers)
}

pub fn envelope(payload_type: &str, payload: Vec<u8>, signers: &[u8]) -> Vec<u8> {
    let mut envelope = Envelope::unsigned(payload_type, payload);
    for signer in signers {
        envelope.sign(&key(*signer)).unwrap();
    }
    envelope.to_bytes()
}

pub fn release(place: Place, brick: &str, vers: &str) -> Release {
    Release {
        place,
        name: name(brick),
        version: version(vers),
        kind: BrickKind::Process,
        maturity: Maturity::Live,
        license: "MIT".into(),
        archive: Blob { sha256: Digest::of(format!("{brick} {vers}").as_bytes()), bytes: 10 },
        contents: Contents::of([("brick.toml", Digest::of(brick.as_bytes()))]),
        requires: Vec::new(),
        features: BTreeMap::new(),
        provides: BTreeMap::new(),
        needs: BTreeMap::new(),
        forked_from: None,
        contributions: Vec::new(),
        source: None,
    }
}

pub fn status(place: Place, brick: &str, versions: &[&str], status: ReleaseStatus) -> Status {
    Status {
        place,
        name: name(brick),
        versions: versions.iter().map(|vers| version(vers)).collect(),
        status,
        code: (status != ReleaseStatus::Active).then_some(StatusCode::Error),
        use_instead: None,
        effective: None,
        reason: None,
    }
}

/// The commons and its log.
#[derive(Clone)]
pub struct World {
    pub commons: Commons,
    pub log: Log,
}

impl World {
    /// Only the root.
    pub fn begin() -> Self {
        let leaf = root(1, &STEWARDS, &[1, 2]);
        let pin = Pin { root_sha256: Envelope::parse(&leaf).unwrap().payload_digest() };
        let mut log = Log::default();
        log.push(leaf.clone());
        Self { commons: Commons::begin(&leaf, &pin).unwrap(), log }
    }

    /// The root, four registries of four operators, and one publisher at home in the first.
    pub fn new() -> Self {
        let mut world = Self::begin();
        for at in 0..4 {
            let registry = world.registry(at);
            world.admit(Predicate::Registry(Box::new(registry))).unwrap();
        }
        let publisher = world.publisher();
        world.admit(Predicate::Publisher(Box::new(publisher))).unwrap();
        world
    }

    pub fn origin(&self) -> Origin {
        self.commons.origin()
    }

    pub fn place(&self) -> Place {
        self.log.place(&self.origin())
    }

    /// A record of the registry number `at`, good to be admitted next.
    pub fn registry(&self, at: u8) -> Registry {
        let id = if at == 0 { HOME.to_owned() } else { format!("registry{at}.example") };
        Registry {
            place: self.place(),
            id: publisher(&id),
            operator: publisher(&format!("operator{at}.example")),
            log_key: public(LOG_KEY + at),
            witness: vkey(&format!("{id}/witness"), Algorithm::CosignatureV1, 51 + at),
            urls: vec![format!("https://{id}")],
            owners: keys(&[61 + at], 1),
            status: PublisherStatus::Active,
        }
    }

    /// The publisher's record, good to be admitted next.
    pub fn publisher(&self) -> Publisher {
        let origin = Origin::of_publisher(&publisher(PUBLISHER));
        let all = |seed, bricks| PublisherKey {
            key: public(seed),
            rights: vec![Right::Publish, Right::Yank],
            until: None,
            bricks,
        };
        Publisher {
            place: self.place(),
            id: publisher(PUBLISHER),
            kind: PublisherKind::PublicBody,
            title: None,
            vkey: vkey(origin.as_str(), Algorithm::Ed25519, LOG_KEY),
            origin,
            home: publisher(HOME),
            owners: keys(&OWNERS, 2),
            keys: vec![all(OFFICER, None), all(PAY_OFFICER, Some(vec!["pay-*".into()]))],
            from: 0,
            status: PublisherStatus::Active,
            succeeds: Vec::new(),
        }
    }

    /// Applies a record that two registrars signed.
    pub fn admit(&mut self, record: Predicate) -> Result<Applied, Refused> {
        self.apply(entry(record, &REGISTRARS[..2]))
    }

    /// Applies a leaf and keeps it in the log, or changes nothing.
    pub fn apply(&mut self, leaf: Vec<u8>) -> Result<Applied, Refused> {
        let log = &self.log;
        let applied = self.commons.apply(&leaf, |size| log.root_at(size))?;
        self.log.push(leaf);
        Ok(applied)
    }
}

/// A root whose stewards are `stewards`, two of whom must sign.
pub fn root(version: u64, stewards: &[u8], signers: &[u8]) -> Vec<u8> {
    let terms = Terms {
        format: TERMS_VERSION,
        commons: publisher(COMMONS),
        log: vkey(&format!("{COMMONS}/root"), Algorithm::Ed25519, LOG_KEY),
        quorum_at_least: 0,
        warn_age_s: 86_400,
        refuse_age_s: 1_209_600,
    };
    let mut root = Root::draft(version, 2_000_000_000, &role(stewards, 2), &role(&REGISTRARS, 2), &terms);
    for signer in signers {
        root.sign(&key(*signer)).unwrap();
    }
    root.to_bytes()
}

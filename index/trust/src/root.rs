//! Who holds the commons? The stewards' root: a TUF root object in DSSE, each version signed by the thresholds of the
//! one before and of its own. Source: TUF 1.0.34 §4.3 and §5.3; `wire-formats` §9.

use std::collections::{BTreeMap, BTreeSet};

use brick_schemas::predicate::ROOT_PAYLOAD_TYPE;
use brick_schemas::{Digest, Origin, PublicKey, PublisherName};
use brick_tlog::note::{Algorithm, Vkey};
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::key::checked_key;
use crate::refused::{Refused, Step};

/// Keys of one root, at most.
pub const MAX_ROOT_KEYS: usize = 256;
/// The TUF version that roots are written by; any `1.0.x` is read.
pub const TUF_SPEC_VERSION: &str = "1.0.34";
/// The form of the `brickyard` member.
pub const TERMS_VERSION: u32 = 1;
/// Age of a head, in seconds, from which tools warn, unless the root says otherwise.
pub const DEFAULT_WARN_AGE_S: u64 = 24 * 60 * 60;
/// Age of a head, in seconds, from which new resolution is refused, unless the root says otherwise.
pub const DEFAULT_REFUSE_AGE_S: u64 = 14 * 24 * 60 * 60;

/// One version of the root, well-formed; whether it counts is for [`Root::verify_first`] and [`Root::verify_next`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Root {
    /// Counted from 1.
    pub version: u64,
    /// When it ends, Unix seconds. Judged on the last root only.
    pub expires: u64,
    /// The stewards.
    pub stewards: Role,
    /// TUF's `targets` role: those who admit publishers and registries.
    pub registrars: Role,
    /// The commons' own terms.
    pub terms: Terms,
    /// SHA-256 of the payload; of version 1 it is what a client pins.
    pub digest: Digest,
}

/// Who may sign for a role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Role {
    /// The keys, each once.
    pub keys: Vec<PublicKey>,
    /// How many distinct ones must sign.
    pub threshold: u32,
}

impl Role {
    /// Whether `signers` hold the role's threshold.
    pub fn is_met_by(&self, signers: &BTreeSet<PublicKey>) -> bool {
        let signed = self.keys.iter().filter(|key| signers.contains(key)).count();
        signed >= self.threshold as usize
    }
}

/// The member that TUF leaves to us: what the commons is, and what its witnesses owe.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// Form of this member: 1.
    pub format: u32,
    /// The commons' domain; its log's origin is `<domain>/root`.
    pub commons: PublisherName,
    /// The commons log's key, as a C2SP vkey.
    pub log: String,
    /// Cosignatures that a head needs at least, where that is more than ⌊2n/3⌋+1.
    #[serde(default)]
    pub quorum_at_least: u32,
    /// Age in seconds from which tools warn.
    #[serde(default = "default_warn_age")]
    pub warn_age_s: u64,
    /// Age in seconds from which new resolution is refused.
    #[serde(default = "default_refuse_age")]
    pub refuse_age_s: u64,
}

fn default_warn_age() -> u64 {
    DEFAULT_WARN_AGE_S
}

fn default_refuse_age() -> u64 {
    DEFAULT_REFUSE_AGE_S
}

impl Terms {
    /// The commons log's origin.
    pub fn origin(&self) -> Origin {
        Origin::of_commons(&self.commons)
    }

    /// The commons log's key.
    ///
    /// # Errors
    /// [`Refused`] unless it is an Ed25519 log key by the origin's name.
    pub fn log_vkey(&self) -> Result<Vkey, Refused> {
        let vkey = Vkey::parse(&self.log)
            .map_err(|err| Refused::caused(Step::Root, "the root's commons log key is malformed", err))?;
        if vkey.algorithm() != Algorithm::Ed25519 || vkey.name().as_str() != self.origin().as_str() {
            return Err(Refused::new(
                Step::Root,
                format!("the commons log's key must be an Ed25519 key named {}", self.origin()),
            ));
        }
        Ok(vkey)
    }
}

#[derive(Serialize, Deserialize)]
struct RawRoot {
    #[serde(rename = "_type")]
    role_type: String,
    spec_version: String,
    version: u64,
    expires: String,
    consistent_snapshot: bool,
    keys: BTreeMap<Digest, RawKey>,
    roles: RawRoles,
    brickyard: Terms,
}

#[derive(Serialize, Deserialize)]
struct RawKey {
    keytype: String,
    scheme: String,
    keyval: RawKeyValue,
}

#[derive(Serialize, Deserialize)]
struct RawKeyValue {
    public: PublicKey,
}

#[derive(Serialize, Deserialize)]
struct RawRoles {
    root: RawRole,
    targets: RawRole,
    snapshot: RawRole,
    timestamp: RawRole,
}

#[derive(Clone, Serialize, Deserialize)]
struct RawRole {
    keyids: Vec<Digest>,
    threshold: u32,
}

impl Root {
    /// The unsigned envelope of a root.
    ///
    /// - `expires`: Unix seconds; whole ones, as TUF writes them.
    pub fn draft(version: u64, expires: u64, stewards: &Role, registrars: &Role, terms: &Terms) -> Envelope {
        let key = |key: &PublicKey| {
            let raw = RawKey {
                keytype: "ed25519".into(),
                scheme: "ed25519".into(),
                keyval: RawKeyValue { public: *key },
            };
            (key.id(), raw)
        };
        let role = |role: &Role| RawRole {
            keyids: role.keys.iter().map(PublicKey::id).collect(),
            threshold: role.threshold,
        };
        let expires = jiff::Timestamp::from_second(i64::try_from(expires).unwrap_or(i64::MAX)).map_or_else(
            |_| "9999-12-30T00:00:00Z".to_owned(),
            |t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        );
        let raw = RawRoot {
            role_type: "root".into(),
            spec_version: TUF_SPEC_VERSION.into(),
            version,
            expires,
            consistent_snapshot: false,
            keys: stewards.keys.iter().chain(&registrars.keys).map(key).collect(),
            roles: RawRoles {
                root: role(stewards),
                targets: role(registrars),
                snapshot: role(stewards),
                timestamp: role(stewards),
            },
            brickyard: terms.clone(),
        };
        let payload = serde_json::to_vec(&raw).expect("digests are strings");
        Envelope::unsigned(ROOT_PAYLOAD_TYPE, payload)
    }

    /// Parses a root's payload and checks everything that needs no other root.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Root`].
    pub fn parse(payload: &[u8]) -> Result<Self, Refused> {
        let refuse = |what: String| Refused::new(Step::Root, what);
        let raw: RawRoot = brick_schemas::json::from_slice(payload)
            .map_err(|err| Refused::caused(Step::Root, "the root is not a TUF root object", err))?;
        if raw.role_type != "root" || !raw.spec_version.starts_with("1.0.") {
            return Err(refuse("only TUF roots of specification 1.0 are known".into()));
        }
        if raw.version == 0 {
            return Err(refuse("root versions begin at 1".into()));
        }
        if raw.brickyard.format != TERMS_VERSION {
            return Err(refuse(format!(
                "`brickyard` format {} is not known, only {TERMS_VERSION}",
                raw.brickyard.format
            )));
        }
        let expires: jiff::Timestamp = raw
            .expires
            .parse()
            .map_err(|err| Refused::caused(Step::Root, "the root's expiry is not a time", err))?;
        if expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() != raw.expires {
            return Err(refuse("the root's expiry is not written as YYYY-MM-DDTHH:MM:SSZ".into()));
        }
        if raw.keys.is_empty() || raw.keys.len() > MAX_ROOT_KEYS {
            return Err(refuse(format!("a root has 1 to {MAX_ROOT_KEYS} keys")));
        }
        for (id, key) in &raw.keys {
            if key.keytype != "ed25519" || key.scheme != "ed25519" {
                return Err(refuse(format!("key {id} is not ed25519")));
            }
            // The id being the hash of the key also means that no key stands under two ids.
            if key.keyval.public.id() != *id {
                return Err(refuse(format!("key id {id} is not the hash of its key")));
            }
            checked_key(&key.keyval.public)
                .map_err(|err| Refused::caused(Step::Root, "the root holds an unfit key", err))?;
        }
        let role = |name: &str, role: &RawRole| -> Result<Role, Refused> {
            let distinct: BTreeSet<_> = role.keyids.iter().collect();
            if distinct.len() != role.keyids.len() {
                return Err(refuse(format!("role {name} names a key twice")));
            }
            if role.threshold == 0 || role.threshold as usize > role.keyids.len() {
                return Err(refuse(format!(
                    "role {name} has a threshold of {} of {}",
                    role.threshold,
                    role.keyids.len()
                )));
            }
            let keys = role.keyids.iter().map(|id| match raw.keys.get(id) {
                Some(key) => Ok(key.keyval.public),
                None => Err(refuse(format!("role {name} names key {id}, which the root does not hold"))),
            });
            Ok(Role { keys: keys.collect::<Result<_, _>>()?, threshold: role.threshold })
        };
        let root = Root {
            version: raw.version,
            expires: u64::try_from(expires.as_second())
                .map_err(|_| refuse("the root's expiry is before 1970".into()))?,
            stewards: role("root", &raw.roles.root)?,
            registrars: role("targets", &raw.roles.targets)?,
            terms: raw.brickyard,
            digest: Digest::of(payload),
        };
        role("snapshot", &raw.roles.snapshot)?;
        role("timestamp", &raw.roles.timestamp)?;
        root.terms.log_vkey()?;
        Ok(root)
    }

    /// Verifies the first root against the pinned digest and its own stewards' threshold.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Root`].
    pub fn verify_first(envelope: &Envelope, pinned: &Digest) -> Result<Self, Refused> {
        let root = Self::open(envelope)?;
        if root.digest != *pinned {
            return Err(Refused::new(
                Step::Root,
                format!("the first root is {}, pinned is {pinned}", root.digest),
            ));
        }
        if root.version != 1 {
            return Err(Refused::new(Step::Root, format!("the first root has version {}", root.version)));
        }
        let signers = envelope.verify(&root.stewards.keys).map_err(|err| {
            Refused::caused(Step::Root, "a signature on the first root does not count", err)
        })?;
        root.demand_threshold(&root.stewards, &signers)?;
        Ok(root)
    }

    /// Verifies the root after this one: version + 1, signed by both thresholds (TUF §5.3.4 and §5.3.5).
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Root`].
    pub fn verify_next(&self, envelope: &Envelope) -> Result<Self, Refused> {
        let next = Self::open(envelope)?;
        if Some(next.version) != self.version.checked_add(1) {
            return Err(Refused::new(
                Step::Root,
                format!("root {} cannot follow root {}", next.version, self.version),
            ));
        }
        if next.terms.commons != self.terms.commons {
            return Err(Refused::new(Step::Root, "a commons keeps its name for ever"));
        }
        let keys: Vec<PublicKey> = self.stewards.keys.iter().chain(&next.stewards.keys).copied().collect();
        let signers = envelope.verify(&keys).map_err(|err| {
            Refused::caused(Step::Root, format!("a signature on root {} does not count", next.version), err)
        })?;
        next.demand_threshold(&self.stewards, &signers)?;
        next.demand_threshold(&next.stewards, &signers)?;
        Ok(next)
    }

    fn open(envelope: &Envelope) -> Result<Self, Refused> {
        if envelope.payload_type != ROOT_PAYLOAD_TYPE {
            return Err(Refused::new(Step::Root, "the entry is not a root"));
        }
        Self::parse(&envelope.payload)
    }

    fn demand_threshold(&self, role: &Role, signers: &BTreeSet<PublicKey>) -> Result<(), Refused> {
        if role.is_met_by(signers) {
            return Ok(());
        }
        Err(Refused::new(
            Step::Root,
            format!(
                "root {} lacks signatures: {} of {} stewards must sign",
                self.version,
                role.threshold,
                role.keys.len()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Signer;
    use ed25519_dalek::SigningKey;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    fn role(keys: &[u8], threshold: u32) -> Role {
        Role { keys: keys.iter().map(|n| key(*n).public()).collect(), threshold }
    }

    fn terms() -> Terms {
        let commons = PublisherName::parse("commons.example").unwrap();
        let name = brick_tlog::note::KeyName::new("commons.example/root").unwrap();
        Terms {
            format: TERMS_VERSION,
            commons,
            log: Vkey::of(name, Algorithm::Ed25519, &key(90)).to_string(),
            quorum_at_least: 0,
            warn_age_s: DEFAULT_WARN_AGE_S,
            refuse_age_s: DEFAULT_REFUSE_AGE_S,
        }
    }

    fn root(version: u64, stewards: &Role, signers: &[u8]) -> Envelope {
        let mut envelope = Root::draft(version, 2_000_000_000, stewards, &role(&[50], 1), &terms());
        for n in signers {
            envelope.sign(&key(*n)).unwrap();
        }
        envelope
    }

    #[test]
    fn a_root_needs_the_pinned_digest_and_its_threshold() {
        let good = root(1, &role(&[1, 2, 3], 2), &[1, 3]);
        let pinned = good.payload_digest();
        assert_eq!(Root::verify_first(&good, &pinned).unwrap().version, 1);
        assert!(Root::verify_first(&good, &Digest::of(b"other")).is_err());
        assert!(Root::verify_first(&root(1, &role(&[1, 2, 3], 2), &[1]), &pinned).is_err());
        assert!(Root::verify_first(&root(1, &role(&[1, 2, 3], 2), &[1, 4]), &pinned).is_err());
    }

    #[test]
    fn the_next_root_needs_both_thresholds_and_the_next_number() {
        let first = root(1, &role(&[1, 2, 3], 2), &[1, 2]);
        let first = Root::verify_first(&first, &first.payload_digest()).unwrap();
        let new = role(&[3, 4, 5], 2);
        assert_eq!(first.verify_next(&root(2, &new, &[1, 3, 4])).unwrap().version, 2);
        for (what, envelope) in [
            ("only the old ones", root(2, &new, &[1, 2])),
            ("only the new ones", root(2, &new, &[4, 5])),
            ("a version left out", root(3, &new, &[1, 3, 4])),
            ("the same version", root(1, &new, &[1, 3, 4])),
        ] {
            assert!(first.verify_next(&envelope).is_err(), "{what}");
        }
    }

    #[test]
    fn malformed_roots_are_refused() {
        let good = String::from_utf8(root(1, &role(&[1, 2], 2), &[]).payload).unwrap();
        assert!(Root::parse(good.as_bytes()).is_ok());
        for (what, from, to) in [
            ("threshold 0", r#""threshold":2"#, r#""threshold":0"#),
            ("threshold over the keys", r#""threshold":2"#, r#""threshold":3"#),
            ("version 0", r#""version":1"#, r#""version":0"#),
            ("another specification", "1.0.34", "2.0.0"),
            ("another format of ours", r#""format":1"#, r#""format":2"#),
            ("a time zone", "Z\",\"consistent", "+00:00\",\"consistent"),
            ("another key type", r#""keytype":"ed25519""#, r#""keytype":"rsa""#),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{what}");
            assert!(Root::parse(bad.as_bytes()).is_err(), "{what}");
        }
    }
}

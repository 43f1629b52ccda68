//! How much may an entry say? The bounds and rules on every field that its type alone does not keep.
//!
//! Rules here never change with time or with lists kept elsewhere: every party must give the same answer for ever.

use super::advisory::MAX_AFFECTED;
use super::attestation::MAX_STANDARD_BODIES;
use super::publisher::{MAX_PATTERNS, MAX_RECORD_KEYS};
use super::registry::MAX_URLS;
use super::release::{
    ForkedFrom, MAX_CONTRIBUTIONS, MAX_FEATURE_ITEMS, MAX_FEATURES, MAX_INTERFACES, MAX_REQUIRES,
};
use super::service::{Contract, Cost, MAX_LINES, MAX_LOCKED, MAX_PARTS, Part, Volume, check_organisation};
use super::status::MAX_STATUS_VERSIONS;
use super::{
    Advisory, Attestation, MAX_SUBJECTS, Place, Predicate, Proposal, Publisher, Registry, Release,
    ReleaseStatus, Review, Service, StatementError, Status, Subject,
};
use crate::code::Code;
use crate::date::Date;
use crate::digest::Blob;
use crate::key::KeySet;
use crate::license::LicenseExpression;
use crate::manifest::{MAX_SUMMARY_CHARS, MAX_TEXT_CHARS};
use crate::money::{Amount, Currency, Percent, check_price_year};
use crate::name::MAX_LABEL_BYTES;
use crate::text::check_displayed;
use crate::url::{RegistryUrl, Url};

/// Leaves in a log, at most: what C2SP's tile paths and our arithmetic are made for.
pub const MAX_TREE_SIZE: u64 = 1 << 40;
/// Bytes of an archive, at most (design §3).
pub const MAX_ARCHIVE_BYTES: u64 = 16 << 20;
/// Bytes of any other blob that an entry names, at most.
pub const MAX_BLOB_BYTES: u64 = 16 << 20;
/// Bytes of a C2SP vkey, at most: an origin, a key id and a key of the longest known kind in base64.
pub const MAX_VKEY_BYTES: usize = 2_048;
/// Bytes of the id of an advisory, at most.
pub const MAX_ADVISORY_ID_BYTES: usize = 128;
/// Bytes of the name of criteria, at most.
pub const MAX_CRITERIA_BYTES: usize = 64;
/// Publishers that one record succeeds, at most.
pub const MAX_SUCCEEDS: usize = 64;
/// Characters of a subject's name, at most.
pub const MAX_SUBJECT_CHARS: usize = 256;
/// Bytes of a repository's address, at most.
pub const MAX_REPOSITORY_CHARS: usize = 2_048;

type Outcome = Result<(), StatementError>;

/// Names the entry's kind in errors.
#[derive(Clone, Copy)]
struct Rules(&'static str);

impl Rules {
    fn broken(self, field: &'static str, rule: impl std::fmt::Display) -> Outcome {
        Err(StatementError::Field { kind: self.0, field, rule: rule.to_string() })
    }

    fn need(self, field: &'static str, holds: bool, rule: &str) -> Outcome {
        if holds { Ok(()) } else { self.broken(field, rule) }
    }

    fn at_most(self, field: &'static str, found: usize, max: usize) -> Outcome {
        if found <= max {
            Ok(())
        } else {
            self.broken(field, format_args!("has {found}, at most {max} are allowed"))
        }
    }

    fn bytes(self, field: &'static str, found: u64, max: u64) -> Outcome {
        if found <= max {
            return Ok(());
        }
        self.broken(field, format_args!("has {found} bytes, at most {max} are allowed"))
    }

    fn blobs<'b>(self, field: &'static str, blobs: impl IntoIterator<Item = &'b Blob>) -> Outcome {
        blobs.into_iter().try_for_each(|blob| self.bytes(field, blob.bytes, MAX_BLOB_BYTES))
    }

    /// Each item greater than the one before.
    fn ascending<T: Ord>(self, field: &'static str, items: &[T]) -> Outcome {
        self.need(field, items.is_sorted_by(|a, b| a < b), "is not in ascending order, each once")
    }

    fn unique<T: Ord>(self, field: &'static str, items: &[T]) -> Outcome {
        let mut sorted: Vec<&T> = items.iter().collect();
        sorted.sort();
        self.need(field, sorted.is_sorted_by(|a, b| a < b), "names something twice")
    }

    fn parses<T: std::str::FromStr<Err: std::fmt::Display>>(
        self,
        field: &'static str,
        text: &str,
    ) -> Outcome {
        text.parse::<T>().map(drop).or_else(|err| self.broken(field, err))
    }

    fn shown(self, field: &'static str, text: &str, max_chars: usize) -> Outcome {
        check_displayed("text", text, max_chars).or_else(|err| self.broken(field, err.rule))
    }

    fn word(self, field: &'static str, word: &str, words: &[&str]) -> Outcome {
        if words.contains(&word) {
            Ok(())
        } else {
            self.broken(field, format_args!("is none of {}", words.join(", ")))
        }
    }

    /// 1 to `max` bytes of `[A-Za-z0-9]` and `others`.
    fn token(self, field: &'static str, text: &str, max: usize, others: &[u8]) -> Outcome {
        let good = (1..=max).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b));
        if good {
            return Ok(());
        }
        let others = String::from_utf8_lossy(others);
        self.broken(field, format_args!("is not 1 to {max} letters, digits and `{others}`"))
    }

    fn place(self, place: &Place) -> Outcome {
        self.need("basis", place.basis.size <= MAX_TREE_SIZE, "has a size over 2^40")
    }

    fn key_set(self, field: &'static str, set: &KeySet) -> Outcome {
        self.at_most(field, set.keys.len(), MAX_RECORD_KEYS)?;
        self.unique(field, &set.keys)?;
        let enough = set.threshold >= 1 && usize::try_from(set.threshold).is_ok_and(|t| t <= set.keys.len());
        self.need(field, enough, "has a threshold of 0 or of more keys than there are")
    }

    fn vkey(self, field: &'static str, vkey: &str) -> Outcome {
        let good = (1..=MAX_VKEY_BYTES).contains(&vkey.len()) && vkey.bytes().all(|b| b.is_ascii_graphic());
        self.need(field, good, "is not a C2SP vkey")
    }
}

impl Predicate {
    /// Checks every bound and rule on the predicate's fields.
    ///
    /// # Errors
    /// [`StatementError::Field`] with the first field that breaks one.
    pub fn check_bounds(&self) -> Result<(), StatementError> {
        Rules(self.kind()).place(self.place())?;
        match self {
            Predicate::Release(p) => p.check_bounds(),
            Predicate::Status(p) => p.check_bounds(),
            Predicate::Service(p) => p.check_bounds(),
            Predicate::Proposal(p) => p.check_bounds(),
            Predicate::Review(p) => p.check_bounds(),
            Predicate::Attestation(p) => p.check_bounds(),
            Predicate::Advisory(p) => p.check_bounds(),
            Predicate::Publisher(p) => p.check_bounds(),
            Predicate::Registry(p) => p.check_bounds(),
        }
    }
}

/// Checks the subjects of a Statement of `kind`.
pub(super) fn check_subjects(kind: &'static str, subjects: &[Subject]) -> Result<(), StatementError> {
    if subjects.is_empty() || subjects.len() > MAX_SUBJECTS {
        return Err(StatementError::Subjects { found: subjects.len() });
    }
    let mut names = subjects.iter().filter_map(|subject| subject.name.as_deref());
    names.try_for_each(|name| Rules(kind).shown("subject", name, MAX_SUBJECT_CHARS))
}

/// Checks that the Statement is about what its predicate says, where the predicate says one thing: tools that know only
/// in-toto go by the subject.
pub(super) fn check_subject(predicate: &Predicate, subjects: &[Subject]) -> Result<(), StatementError> {
    let about = match predicate {
        Predicate::Release(release) => release.archive.sha256,
        Predicate::Proposal(proposal) => proposal.archive.sha256,
        Predicate::Attestation(attestation) => attestation.sha256,
        _ => return Ok(()),
    };
    let is_it = matches!(subjects, [only] if only.digest.sha256 == about);
    Rules(predicate.kind()).need("subject", is_it, "is not the one archive that the predicate names")
}

impl Release {
    /// Checks every bound and rule on the fields.
    ///
    /// # Errors
    /// [`StatementError::Field`] with the first field that breaks one.
    pub fn check_bounds(&self) -> Result<(), StatementError> {
        let rules = Rules("release");
        rules.parses::<LicenseExpression>("license", &self.license)?;
        rules.bytes("archive", self.archive.bytes, MAX_ARCHIVE_BYTES)?;
        rules.at_most("requires", self.requires.len(), MAX_REQUIRES)?;
        let required: Vec<_> = self.requires.iter().map(|dependency| &dependency.name).collect();
        rules.ascending("requires", &required)?;
        rules.need("requires", !required.contains(&&self.name), "names the brick itself")?;
        for dependency in &self.requires {
            rules.at_most("requires", dependency.features.len(), MAX_FEATURE_ITEMS)?;
            rules.ascending("requires", &dependency.features)?;
        }
        rules.at_most("features", self.features.len(), MAX_FEATURES)?;
        for items in self.features.values() {
            rules.at_most("features", items.len(), MAX_FEATURE_ITEMS)?;
            rules.ascending("features", items)?;
            for item in items {
                let optional = |name: &_| {
                    self.requires
                        .binary_search_by(|d| d.name.cmp(name))
                        .ok()
                        .map(|at| self.requires[at].optional)
                };
                crate::feature::check_item(item, |feature| self.features.contains_key(feature), optional)
                    .or_else(|err| rules.broken("features", err))?;
            }
        }
        rules.at_most("provides", self.provides.len(), MAX_INTERFACES)?;
        rules.at_most("needs", self.needs.len(), MAX_INTERFACES)?;
        if let Some(ForkedFrom { reason: Some(reason), .. }) = &self.forked_from {
            rules.shown("forked_from", reason, MAX_TEXT_CHARS)?;
        }
        rules.at_most("contributions", self.contributions.len(), MAX_CONTRIBUTIONS)?;
        if let Some(source) = &self.source {
            rules.shown("source", &source.repository, MAX_REPOSITORY_CHARS)?;
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            let is_id = matches!(source.commit.len(), 40 | 64) && source.commit.bytes().all(hex);
            rules.need("source", is_id, "has a commit that is not 40 or 64 lower-case hexadecimal digits")?;
        }
        Ok(())
    }
}

impl Status {
    /// Checks every bound and rule on the fields.
    ///
    /// # Errors
    /// [`StatementError::Field`] with the first field that breaks one.
    pub fn check_bounds(&self) -> Result<(), StatementError> {
        let rules = Rules("status");
        rules.need("versions", !self.versions.is_empty(), "is empty")?;
        rules.at_most("versions", self.versions.len(), MAX_STATUS_VERSIONS)?;
        rules.ascending("versions", &self.versions)?;
        let active = self.status == ReleaseStatus::Active;
        rules.need(
            "code",
            active == self.code.is_none(),
            "stands exactly where the status is not `active`",
        )?;
        self.effective.iter().try_for_each(|day| rules.parses::<Date>("effective", day))?;
        rules.blobs("reason", &self.reason)
    }
}

impl Service {
    /// Checks every bound and rule on the fields.
    ///
    /// # Errors
    /// [`StatementError::Field`] with the first field that breaks one.
    pub fn check_bounds(&self) -> Result<(), StatementError> {
        let rules = Rules("service");
        rules.parses::<Code>("function", &self.function)?;
        rules.parses::<Code>("body", &self.body)?;
        rules.at_most("parts", self.parts.len(), MAX_PARTS)?;
        rules.at_most("locked", self.locked.len(), MAX_LOCKED)?;
        let locked: Vec<_> = self.locked.iter().map(|l| (&l.name, &l.version)).collect();
        rules.ascending("locked", &locked)?;
        for part in &self.parts {
            match part {
                Part::Brick { step, brick, version, features } => {
                    rules.shown("parts", step, MAX_LABEL_BYTES)?;
                    rules.at_most("parts", features.len(), MAX_FEATURE_ITEMS)?;
                    rules.ascending("parts", features)?;
                    let is_locked = locked.binary_search(&(brick, version)).is_ok();
                    rules.need("parts", is_locked, "uses a brick that `locked` does not hold")?;
                }
                Part::Local { step, local, why: _, until, nearest: _ } => {
                    rules.shown("parts", step, MAX_LABEL_BYTES)?;
                    rules.shown("parts", local, MAX_LABEL_BYTES)?;
                    until.iter().try_for_each(|day| rules.parses::<Date>("parts", day))?;
                }
            }
        }
        rules.at_most("volumes", self.volumes.len(), MAX_LINES)?;
        self.volumes.iter().try_for_each(|volume| check_volume(rules, volume))?;
        rules.at_most("costs", self.costs.len(), MAX_LINES)?;
        self.costs.iter().try_for_each(|cost| check_cost(rules, cost))?;
        rules.at_most("contracts", self.contracts.len(), MAX_LINES)?;
        self.contracts.iter().try_for_each(|contract| check_contract(rules, contract))?;
        rules.blobs("texts", &self.texts)
    }
}

/// First and last day, in this order.
fn check_period(rules: Rules, field: &'static str, from: &str, to: &str) -> Outcome {
    rules.parses::<Date>(field, from)?;
    rules.parses::<Date>(field, to)?;
    rules.need(field, from <= to, "has a period that ends before it begins")
}

fn check_steps(rules: Rules, field: &'static str, steps: &[String]) -> Outcome {
    rules.at_most(field, steps.len(), MAX_PARTS)?;
    rules.unique(field, steps)?;
    steps.iter().try_for_each(|step| rules.shown(field, step, MAX_LABEL_BYTES))
}

fn check_volume(rules: Rules, volume: &Volume) -> Outcome {
    let Volume { from, to, channel, started, completed, source } = volume;
    check_period(rules, "volumes", from, to)?;
    rules.shown("volumes", channel, MAX_LABEL_BYTES)?;
    let exact = |n: &u64| *n < crate::version::MAX_NUMBER;
    rules.need("volumes", started.iter().chain(completed).all(exact), "has a number of 2^53 or more")?;
    source.iter().try_for_each(|url| rules.parses::<Url>("volumes", url))
}

fn check_cost(rules: Rules, cost: &Cost) -> Outcome {
    const FIELD: &str = "costs";
    let Cost { from, to, what, kind, amount, currency, price_year, basis, scope, share_percent, source } =
        cost;
    check_period(rules, FIELD, from, to)?;
    rules.word(FIELD, what, &["build", "run", "transition", "decommission"])?;
    rules.word(FIELD, kind, &["staff", "licence", "hosting", "contract", "overhead", "other"])?;
    rules.parses::<Amount>(FIELD, amount)?;
    rules.parses::<Currency>(FIELD, currency)?;
    price_year.iter().try_for_each(|year| check_price_year(year).or_else(|err| rules.broken(FIELD, err)))?;
    rules.word(FIELD, basis, &["actual", "budget", "contract", "estimate"])?;
    check_steps(rules, FIELD, scope)?;
    share_percent.iter().try_for_each(|percent| rules.parses::<Percent>(FIELD, percent))?;
    source.iter().try_for_each(|url| rules.parses::<Url>(FIELD, url))
}

fn check_contract(rules: Rules, contract: &Contract) -> Outcome {
    const FIELD: &str = "contracts";
    let Contract { supplier, ocid, ends, covers } = contract;
    check_organisation(supplier).or_else(|err| rules.broken(FIELD, err))?;
    ocid.iter().try_for_each(|ocid| rules.shown(FIELD, ocid, MAX_SUMMARY_CHARS))?;
    ends.iter().try_for_each(|day| rules.parses::<Date>(FIELD, day))?;
    check_steps(rules, FIELD, covers)
}

impl Proposal {
    /// Checks every bound and rule on the fields.
    ///
    /// # Errors
    /// [`StatementError::Field`] with the first field that breaks one.
    pub fn check_bounds(&self) -> Result<(), StatementError> {
        let rules = Rules("proposal");
        rules.bytes("archive", self.archive.bytes, MAX_ARCHIVE_BYTES)?;
        rules.blobs("rationale", [&self.rationale])
    }
}

impl Review {
    /// Checks every bound and rule on the fields.
    ///
    /// # Errors
    /// [`StatementError::Field`] with the first field that breaks one.
    pub fn check_bounds(&self) -> Result<(), StatementError> {
        let rules = Rules("review");
        rules.need("proposal", self.proposal.index < MAX_TREE_SIZE, "is at an index of 2^40 or more")?;
        rules.blobs("reason", &self.reason)
    }
}

impl Attestation {
    /// Checks every bound and rule on the fields.
    ///
    /// # Errors
    /// [`StatementError::Field`] with the first field that breaks one.
    pub fn check_bounds(&self) -> Result<(), StatementError> {
        let rules = Rules("attestation");
        rules.token("criteria", &self.criteria, MAX_CRITERIA_BYTES, b".-_")?;
        self.valid_until.iter().try_for_each(|day| rules.parses::<Date>("valid_until", day))?;
        rules.blobs("report", &self.report)?;
        rules.at_most("standard_bodies", self.standard_bodies.len(), MAX_STANDARD_BODIES)?;
        rules.blobs("standard_bodies", &self.standard_bodies)
    }
}

impl Advisory {
    /// Checks every bound and rule on the fields.
    ///
    /// # Errors
    /// [`StatementError::Field`] with the first field that breaks one.
    pub fn check_bounds(&self) -> Result<(), StatementError> {
        let rules = Rules("advisory");
        rules.token("id", &self.id, MAX_ADVISORY_ID_BYTES, b".-_:")?;
        rules.blobs("document", [&self.document])?;
        rules.need("affected", !self.affected.is_empty(), "is empty")?;
        rules.at_most("affected", self.affected.len(), MAX_AFFECTED)
    }
}

impl Publisher {
    /// Checks every bound and rule on the fields.
    ///
    /// # Errors
    /// [`StatementError::Field`] with the first field that breaks one.
    pub fn check_bounds(&self) -> Result<(), StatementError> {
        let rules = Rules("publisher");
        rules.blobs("title", &self.title)?;
        rules.vkey("vkey", &self.vkey)?;
        rules.key_set("owners", &self.owners)?;
        rules.at_most("keys", self.keys.len(), MAX_RECORD_KEYS)?;
        let keys: Vec<_> = self.keys.iter().map(|key| &key.key).collect();
        rules.unique("keys", &keys)?;
        for key in &self.keys {
            rules.need("keys", !key.rights.is_empty(), "has a key without rights")?;
            rules.unique("keys", &key.rights)?;
            let patterns = key.bricks.as_deref().unwrap_or_default();
            rules.at_most("keys", patterns.len(), MAX_PATTERNS)?;
            let bytes = crate::name::MAX_BRICK_BYTES;
            patterns.iter().try_for_each(|pattern| rules.token("keys", pattern, bytes, b"-*"))?;
        }
        rules.need("from", self.from <= MAX_TREE_SIZE, "is over 2^40")?;
        rules.at_most("succeeds", self.succeeds.len(), MAX_SUCCEEDS)?;
        rules.unique("succeeds", &self.succeeds)?;
        rules.need("succeeds", !self.succeeds.contains(&self.id), "names the publisher itself")
    }
}

impl Registry {
    /// Checks every bound and rule on the fields.
    ///
    /// # Errors
    /// [`StatementError::Field`] with the first field that breaks one.
    pub fn check_bounds(&self) -> Result<(), StatementError> {
        let rules = Rules("registry");
        rules.vkey("witness", &self.witness)?;
        rules.at_most("urls", self.urls.len(), MAX_URLS)?;
        rules.unique("urls", &self.urls)?;
        self.urls.iter().try_for_each(|url| rules.parses::<RegistryUrl>("urls", url))?;
        rules.key_set("owners", &self.owners)
    }
}

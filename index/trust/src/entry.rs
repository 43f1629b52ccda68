//! Does this entry count in this log? (design §7)

use std::collections::BTreeSet;

use brick_schemas::predicate::{
    Predicate, Publisher, PublisherKind, PublisherStatus, Right, STATEMENT_PAYLOAD_TYPE, Statement,
};
use brick_schemas::{Digest, Origin, PublicKey};

use crate::envelope::Envelope;
use crate::refused::{Refused, Step};

/// A well-formed entry of a publisher's log: an envelope around a Statement. Nothing is verified yet.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The envelope.
    pub envelope: Envelope,
    /// What it says.
    pub statement: Statement,
    /// SHA-256 of the payload.
    pub payload: Digest,
}

impl Entry {
    /// Parses a leaf's bytes.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Signature`]: the form of an entry is what its signature stands on.
    pub fn parse(leaf: &[u8]) -> Result<Self, Refused> {
        let envelope = Envelope::parse(leaf)
            .map_err(|err| Refused::caused(Step::Signature, "the entry is malformed", err))?;
        if envelope.payload_type != STATEMENT_PAYLOAD_TYPE {
            let found: String =
                envelope.payload_type.chars().take(100).flat_map(char::escape_default).collect();
            return Err(Refused::new(Step::Signature, format!("payload type `{found}` is not known here")));
        }
        let statement = Statement::parse(&envelope.payload)
            .map_err(|err| Refused::caused(Step::Signature, "the entry's payload is malformed", err))?;
        Ok(Self::of(envelope, statement))
    }

    /// The entry that an envelope is, whose payload `statement` was parsed from.
    pub fn of(envelope: Envelope, statement: Statement) -> Self {
        let payload = envelope.payload_digest();
        Self { envelope, statement, payload }
    }

    /// Checks the signatures against a publisher's keys.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Signature`].
    pub fn verify(self, record: &Publisher) -> Result<SignedEntry, Refused> {
        let keys: Vec<PublicKey> = record.keys.iter().map(|key| key.key).collect();
        let signers = self.envelope.verify(&keys).map_err(|err| {
            Refused::caused(
                Step::Signature,
                format!("an entry of {} is not signed by its keys", record.id),
                err,
            )
        })?;
        Ok(SignedEntry { entry: self, signers })
    }
}

/// An [`Entry`] whose signatures are those of `signers`. Only [`Entry::verify`] makes one.
#[derive(Clone, Debug)]
pub struct SignedEntry {
    entry: Entry,
    signers: BTreeSet<PublicKey>,
}

impl SignedEntry {
    /// The entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

/// Where an entry stands, or is about to stand.
pub struct Position<'a> {
    /// The publisher's record in force at `index`.
    pub record: &'a Publisher,
    /// The leaf's index.
    pub index: u64,
    /// The log's root at the entry's `basis.size`, if that is no more than `index`.
    pub basis_root: BasisRoot,
    /// Whether the log holds the same payload already.
    pub seen: bool,
}

/// What is known of the log at an entry's basis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasisRoot {
    /// The root at that size.
    Known(Digest),
    /// The checker holds the leaf and a proof, not the log: mirrors checked it before they cosigned, audits do.
    NotHeld,
}

/// Decides whether an entry counts at a position: right key, this log, a true basis, not seen before.
///
/// # Errors
/// [`Refused`] names the step: `right`, `log`, `basis` or `replay`.
pub fn authorise(signed: &SignedEntry, position: &Position) -> Result<(), Refused> {
    let record = position.record;
    let entry = &signed.entry;
    let predicate = &entry.statement.predicate;
    if record.status != PublisherStatus::Active {
        return Err(Refused::new(Step::Record, format!("{} does not take part at present", record.id)));
    }
    let right = right_for(predicate).ok_or_else(|| {
        Refused::new(Step::Right, format!("a {} entry belongs in the commons log", predicate.kind()))
    })?;
    demand_right(signed, position, right)?;
    demand_own_subject(predicate, record)?;
    demand_place(predicate, &record.origin, position.index, position.basis_root)?;
    if position.seen {
        return Err(Refused::new(
            Step::Replay,
            format!("the log of {} already holds this {} entry", record.id, predicate.kind()),
        ));
    }
    Ok(())
}

/// Checks `log` and `basis`, which every predicate begins with.
///
/// # Errors
/// [`Refused`] at [`Step::Log`] or [`Step::Basis`].
pub fn demand_place(
    predicate: &Predicate,
    log: &Origin,
    index: u64,
    basis_root: BasisRoot,
) -> Result<(), Refused> {
    let place = predicate.place();
    if place.log != *log {
        return Err(Refused::new(Step::Log, format!("the entry is meant for {}, not for {log}", place.log)));
    }
    if place.basis.size > index {
        return Err(Refused::new(
            Step::Basis,
            format!("its signer saw {} leaves, but it stands at {index}", place.basis.size),
        ));
    }
    if let BasisRoot::Known(root) = basis_root
        && root != place.basis.root
    {
        return Err(Refused::new(
            Step::Basis,
            format!("its signer saw another history: at size {} this log's root is {root}", place.basis.size),
        ));
    }
    Ok(())
}

fn right_for(predicate: &Predicate) -> Option<Right> {
    Some(match predicate {
        Predicate::Release(_) | Predicate::Service(_) | Predicate::Review(_) => Right::Publish,
        Predicate::Status(_) => Right::Yank,
        Predicate::Proposal(_) => Right::Propose,
        Predicate::Attestation(_) | Predicate::Advisory(_) => Right::Attest,
        Predicate::Publisher(_) | Predicate::Registry(_) => return None,
    })
}

fn demand_right(signed: &SignedEntry, position: &Position, right: Right) -> Result<(), Refused> {
    let record = position.record;
    let brick = match &signed.entry.statement.predicate {
        Predicate::Release(p) => Some(p.name.brick.as_str()),
        Predicate::Status(p) => Some(p.name.brick.as_str()),
        Predicate::Service(p) => Some(p.id.brick.as_str()),
        _ => None,
    };
    let holds = |key: &brick_schemas::predicate::publisher::PublisherKey| {
        signed.signers.contains(&key.key)
            && key.rights.contains(&right)
            && key.until.is_none_or(|until| position.index < until)
            && match (&key.bricks, brick) {
                (Some(patterns), Some(brick)) => patterns.iter().any(|pattern| matches(pattern, brick)),
                _ => true,
            }
    };
    if record.keys.iter().any(holds) {
        return Ok(());
    }
    let what = match brick {
        Some(brick) => format!(
            "no signing key has the right to {right} {}/{brick} at leaf {}",
            record.id, position.index
        ),
        None => {
            format!("no signing key of {} has the right to {right} at leaf {}", record.id, position.index)
        }
    };
    Err(Refused::new(Step::Right, what))
}

/// A publisher speaks for its own bricks and services only; services are a public body's.
fn demand_own_subject(predicate: &Predicate, record: &Publisher) -> Result<(), Refused> {
    let own = match predicate {
        Predicate::Release(p) => Some(&p.name),
        Predicate::Status(p) => Some(&p.name),
        Predicate::Service(p) => Some(&p.id),
        _ => None,
    };
    if let Some(name) = own
        && name.publisher != record.id
    {
        return Err(Refused::new(Step::Right, format!("{} may not speak for {name}", record.id)));
    }
    if matches!(predicate, Predicate::Service(_)) && record.kind != PublisherKind::PublicBody {
        return Err(Refused::new(
            Step::Right,
            format!("{} is not a public body, so it has no services", record.id),
        ));
    }
    Ok(())
}

/// Whether `pattern`, in which `*` stands for any run of characters, matches all of `text`.
///
/// Linear in the texts' product, whatever the pattern: greedy with one place to go back to.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, expected) in [
            ("*", "anything", true),
            ("pay-*", "pay-card", true),
            ("pay-*", "repay-card", false),
            ("*-api", "pay-api", true),
            ("*-api", "pay-api2", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("", "", true),
            ("", "x", false),
            ("pay", "pay", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}

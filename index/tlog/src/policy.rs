//! Whose cosignatures suffice?
//!
//! A policy names logs, witnesses, groups of witnesses, and the quorum that must have cosigned a head:
//!
//! ```text
//! # Two of three registries, whoever they are.
//! log northshire.example/log+1a2b3c4d+ARkz…
//! witness northshire northshire.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4 https://northshire.example/witness
//! witness midshire …
//! witness southshire …
//! group registries 2 northshire midshire southshire
//! quorum registries
//! ```
//!
//! Words are parted by spaces and tabs. Lines that begin with `#` and empty ones are passed over. A group's number
//! is how many of its members must agree; `any` is 1 and `all` is all of them. A name must be defined above the line
//! that uses it, and is a member at most once, so that every witness has one way to count. `quorum none` asks for no
//! cosignature.
//!
//! Source: C2SP tlog-policy. Off-spec: the file must be UTF-8, and no public key may stand in it twice, not even as
//! log and as witness.

mod parse;

use std::fmt;

use crate::checkpoint::{OpenCheckpointError, SignedCheckpoint, open_note};
use crate::cosignature::{Cosignature, verify_cosignatures};
use crate::note::{Note, NoteError, Vkey};

pub use parse::{LineProblem, MAX_POLICY_BYTES, MAX_POLICY_ITEMS, ParsePolicyError};

/// Whom to believe about heads. Only [`Policy::parse`] makes one, so its groups have no circles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

/// A log whose heads are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    /// Its key, whose name is its origin.
    pub key: Vkey,
    /// Where it can be asked, as written.
    pub url: Option<String>,
}

/// A witness that may count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// What this policy calls it.
    pub name: String,
    /// Its key, for cosignatures.
    pub key: Vkey,
    /// Where it can be asked, as written.
    pub url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    threshold: usize,
    members: Vec<Member>,
}

/// Something that has cosigned or not: a witness or a group by its place among those defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// Why a head is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckPolicyError {
    /// None of the policy's logs signed it about itself. What is wrong with the one that it names, if any, is the source.
    #[error("the checkpoint is not of a log in the policy")]
    Log(#[source] Option<OpenCheckpointError>),
    /// A cosignature of a witness in the policy is false.
    #[error("the checkpoint carries a false cosignature")]
    Cosignature(#[source] NoteError),
    /// Too few cosignatures.
    #[error("the checkpoint has {cosignatures} cosignatures of witnesses in the policy, which is no quorum")]
    NoQuorum {
        /// How many witnesses of the policy did cosign.
        cosignatures: usize,
    },
}

impl Policy {
    /// The logs whose heads are accepted; none if the application knows them otherwise.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses that may count.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether the witnesses for whose keys `cosigned` says yes are a quorum.
    pub fn is_met(&self, cosigned: impl Fn(&Vkey) -> bool) -> bool {
        let witnesses: Vec<bool> = self.witnesses.iter().map(|witness| cosigned(&witness.key)).collect();
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let agreeing = group.members.iter().filter(|member| match member {
                Member::Witness(at) => witnesses[*at],
                Member::Group(at) => groups[*at],
            });
            groups.push(agreeing.count() >= group.threshold);
        }
        match self.quorum {
            None => true,
            Some(Member::Witness(at)) => witnesses[at],
            Some(Member::Group(at)) => groups[at],
        }
    }

    /// The cosignatures on `note` by witnesses of this policy, which are a quorum;
    /// [`Cosignature::key`] counts in [`witnesses`](Policy::witnesses).
    ///
    /// # Errors
    /// [`CheckPolicyError`] if one is false or they are too few.
    pub fn check_quorum(&self, note: &Note) -> Result<Vec<Cosignature>, CheckPolicyError> {
        let keys: Vec<Vkey> = self.witnesses.iter().map(|witness| witness.key.clone()).collect();
        let cosignatures = verify_cosignatures(note, &keys).map_err(CheckPolicyError::Cosignature)?;
        let cosigned = |key: &Vkey| cosignatures.iter().any(|cosignature| keys[cosignature.key] == *key);
        if !self.is_met(cosigned) {
            return Err(CheckPolicyError::NoQuorum { cosignatures: cosignatures.len() });
        }
        Ok(cosignatures)
    }

    /// The head in `note`, signed by one of the policy's logs about itself, with the quorum's cosignatures.
    ///
    /// # Errors
    /// [`CheckPolicyError`].
    pub fn check(&self, note: Note) -> Result<(SignedCheckpoint, Vec<Cosignature>), CheckPolicyError> {
        let named = |key: &Vkey| note.text.split('\n').next() == Some(key.name().as_str());
        let mut failure = None;
        for log in self.logs.iter().filter(|log| named(&log.key)) {
            match open_note(note.clone(), &log.key) {
                Ok(signed) => return self.check_quorum(signed.note()).map(|cosigned| (signed, cosigned)),
                Err(err) => failure = Some(err),
            }
        }
        Err(CheckPolicyError::Log(failure))
    }

    fn name(&self, member: Member) -> &str {
        match member {
            Member::Witness(at) => &self.witnesses[at].name,
            Member::Group(at) => &self.groups[at].name,
        }
    }
}

impl fmt::Display for Policy {
    /// Logs, witnesses, groups, quorum, with single spaces and without comments; read again, it is the same policy.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |url: &Option<String>| url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
        for log in &self.logs {
            writeln!(out, "log {}{}", log.key, url(&log.url))?;
        }
        for witness in &self.witnesses {
            writeln!(out, "witness {} {}{}", witness.name, witness.key, url(&witness.url))?;
        }
        for group in &self.groups {
            write!(out, "group {} {}", group.name, group.threshold)?;
            for member in &group.members {
                write!(out, " {}", self.name(*member))?;
            }
            writeln!(out)?;
        }
        writeln!(out, "quorum {}", self.quorum.map_or("none", |member| self.name(member)))
    }
}

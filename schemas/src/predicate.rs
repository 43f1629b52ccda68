//! What do entries say? The predicates of design §7, one type a kind, and the in-toto Statement around them.

pub mod advisory;
pub mod attestation;
pub mod bounds;
pub mod publisher;
pub mod registry;
pub mod release;
pub mod review;
pub mod service;
pub mod status;

use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

pub use advisory::Advisory;
pub use attestation::Attestation;
pub use publisher::{Publisher, PublisherKind, PublisherStatus, Right};
pub use registry::Registry;
pub use release::Release;
pub use review::{Proposal, Review};
pub use service::Service;
pub use status::{ReleaseStatus, Status, StatusCode};

use crate::digest::{Blob, Digest};
use crate::origin::Origin;

/// `_type` of every Statement. Source: in-toto attestation, Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `payloadType` of every envelope around a Statement.
pub const STATEMENT_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// `payloadType` of a root: the TUF root object in DSSE.
pub const ROOT_PAYLOAD_TYPE: &str = "application/vnd.tuf+json";
/// Subjects of one Statement, at most.
pub const MAX_SUBJECTS: usize = 256;

/// The head that an entry's signer saw: nothing older can be passed off as containing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Basis {
    /// Leaves in the log that the signer saw.
    pub size: u64,
    /// The log's root at that size (of SHA-256 of nothing at size 0).
    pub root: Digest,
}

/// What every predicate begins with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The log it is meant for; it counts in no other.
    pub log: Origin,
    /// The head its signer saw.
    pub basis: Basis,
}

/// One thing that a Statement is about, by digest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// A name for people; digests decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its digest.
    pub digest: SubjectDigest,
}

/// A ResourceDescriptor's `digest`, of which this profile uses SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SubjectDigest {
    /// SHA-256, lower-case hexadecimal.
    pub sha256: Digest,
}

/// An in-toto Statement v1 with one of our predicates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// What it is about; at least one.
    pub subject: Vec<Subject>,
    /// What it says.
    pub predicate: Predicate,
}

/// Every kind of entry but `root`, which is a TUF object of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Predicate {
    /// One version of one brick.
    Release(Box<Release>),
    /// A change of what may be newly used.
    Status(Box<Status>),
    /// A service of a public body.
    Service(Box<Service>),
    /// A proposed change to somebody's brick.
    Proposal(Box<Proposal>),
    /// The owner's answer to a proposal.
    Review(Box<Review>),
    /// A third party's statement about a release.
    Attestation(Box<Attestation>),
    /// A warning about releases.
    Advisory(Box<Advisory>),
    /// A publisher's record, in the commons log.
    Publisher(Box<Publisher>),
    /// A registry's record, in the commons log.
    Registry(Box<Registry>),
}

/// Why the payload of an envelope is not a Statement that counts.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not JSON, a member twice, too deep, or a field missing or wrong.
    #[error("the payload is not a well-formed Statement")]
    Json(#[source] crate::json::JsonError),
    /// `_type` is another.
    #[error("the payload's `_type` is `{found}`, only `{STATEMENT_TYPE}` is known")]
    Type {
        /// What stands there, escaped.
        found: String,
    },
    /// A predicate type of another version or maker.
    #[error("predicate type `{found}` is not known; this version knows {}", KINDS.map(|k| k.1).join(", "))]
    PredicateType {
        /// What stands there, escaped.
        found: String,
    },
    /// None, or too many.
    #[error("a Statement needs 1 to {MAX_SUBJECTS} subjects, this one has {found}")]
    Subjects {
        /// How many there are.
        found: usize,
    },
    /// A rule on one of the predicate's fields.
    #[error("the {kind} entry's {field}: {rule}")]
    Field {
        /// Kind of entry.
        kind: &'static str,
        /// Which field.
        field: &'static str,
        /// The rule that it breaks.
        rule: String,
    },
}

const KINDS: [(&str, &str); 9] = [
    ("release", "urn:brickyard:release:v1"),
    ("status", "urn:brickyard:status:v1"),
    ("service", "urn:brickyard:service:v1"),
    ("proposal", "urn:brickyard:proposal:v1"),
    ("review", "urn:brickyard:review:v1"),
    ("attestation", "urn:brickyard:attestation:v1"),
    ("advisory", "urn:brickyard:advisory:v1"),
    ("publisher", "urn:brickyard:publisher:v1"),
    ("registry", "urn:brickyard:registry:v1"),
];

#[derive(Serialize, Deserialize)]
struct RawStatement<P> {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: P,
}

/// A [`RawStatement`] whose types are known.
#[derive(Deserialize)]
struct Read<P> {
    subject: Vec<Subject>,
    predicate: P,
}

impl Predicate {
    /// The kind's one word, as in `urn:brickyard:<kind>:v1`.
    pub fn kind(&self) -> &'static str {
        KINDS[self.kind_index()].0
    }

    /// The `predicateType` URI.
    pub fn predicate_type(&self) -> &'static str {
        KINDS[self.kind_index()].1
    }

    fn kind_index(&self) -> usize {
        match self {
            Predicate::Release(_) => 0,
            Predicate::Status(_) => 1,
            Predicate::Service(_) => 2,
            Predicate::Proposal(_) => 3,
            Predicate::Review(_) => 4,
            Predicate::Attestation(_) => 5,
            Predicate::Advisory(_) => 6,
            Predicate::Publisher(_) => 7,
            Predicate::Registry(_) => 8,
        }
    }

    /// The log it is meant for and the head its signer saw.
    pub fn place(&self) -> &Place {
        match self {
            Predicate::Release(p) => &p.place,
            Predicate::Status(p) => &p.place,
            Predicate::Service(p) => &p.place,
            Predicate::Proposal(p) => &p.place,
            Predicate::Review(p) => &p.place,
            Predicate::Attestation(p) => &p.place,
            Predicate::Advisory(p) => &p.place,
            Predicate::Publisher(p) => &p.place,
            Predicate::Registry(p) => &p.place,
        }
    }

    /// The blobs it names, which a registry must hold before the entry can be logged.
    pub fn blobs(&self) -> Vec<Blob> {
        match self {
            Predicate::Release(p) => vec![p.archive],
            Predicate::Status(p) => p.reason.into_iter().collect(),
            Predicate::Service(p) => p.texts.into_iter().collect(),
            Predicate::Proposal(p) => vec![p.archive, p.rationale],
            Predicate::Review(p) => p.reason.into_iter().collect(),
            Predicate::Attestation(p) => p.report.iter().chain(&p.standard_bodies).copied().collect(),
            Predicate::Advisory(p) => vec![p.document],
            Predicate::Publisher(p) => p.title.into_iter().collect(),
            Predicate::Registry(_) => Vec::new(),
        }
    }
}

impl Statement {
    /// A Statement about `subject` (name, digest).
    pub fn new(subject: Vec<(String, Digest)>, predicate: Predicate) -> Self {
        let subject = subject
            .into_iter()
            .map(|(name, sha256)| Subject { name: Some(name), digest: SubjectDigest { sha256 } })
            .collect();
        Self { subject, predicate }
    }

    /// The payload: compact JSON, members in the order of the types.
    pub fn to_bytes(&self) -> Vec<u8> {
        fn bytes<P: Serialize>(subject: &[Subject], predicate_type: &str, predicate: P) -> Vec<u8> {
            serde_json::to_vec(&RawStatement {
                statement_type: STATEMENT_TYPE.to_owned(),
                subject: subject.to_vec(),
                predicate_type: predicate_type.to_owned(),
                predicate,
            })
            .expect("the types have only string keys")
        }
        let uri = self.predicate.predicate_type();
        match &self.predicate {
            Predicate::Release(p) => bytes(&self.subject, uri, p),
            Predicate::Status(p) => bytes(&self.subject, uri, p),
            Predicate::Service(p) => bytes(&self.subject, uri, p),
            Predicate::Proposal(p) => bytes(&self.subject, uri, p),
            Predicate::Review(p) => bytes(&self.subject, uri, p),
            Predicate::Attestation(p) => bytes(&self.subject, uri, p),
            Predicate::Advisory(p) => bytes(&self.subject, uri, p),
            Predicate::Publisher(p) => bytes(&self.subject, uri, p),
            Predicate::Registry(p) => bytes(&self.subject, uri, p),
        }
    }

    /// Parses a payload and checks every bound. Unknown members pass (and stay in the signed bytes); a member twice is
    /// refused.
    ///
    /// # Errors
    /// [`StatementError`], which names unknown types and versions.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        fn json(err: serde_json::Error) -> StatementError {
            StatementError::Json(crate::json::JsonError::Syntax(err))
        }
        fn read<P: serde::de::DeserializeOwned>(
            payload: &[u8],
            predicate: fn(Box<P>) -> Predicate,
        ) -> Result<Statement, StatementError> {
            let read: Read<P> = serde_json::from_slice(payload).map_err(json)?;
            Ok(Statement { subject: read.subject, predicate: predicate(Box::new(read.predicate)) })
        }
        let texts = crate::json::unique_texts(payload, ["_type", "predicateType"]);
        let [Some(statement_type), Some(predicate_type)] = texts.map_err(StatementError::Json)? else {
            let err = serde_json::from_slice::<RawStatement<IgnoredAny>>(payload).err();
            return Err(json(err.unwrap_or_else(|| serde::de::Error::custom("a Statement is an object"))));
        };
        if statement_type != STATEMENT_TYPE {
            return Err(StatementError::Type { found: statement_type.escape_default().to_string() });
        }
        let statement = match &*predicate_type {
            "urn:brickyard:release:v1" => read(payload, Predicate::Release)?,
            "urn:brickyard:status:v1" => read(payload, Predicate::Status)?,
            "urn:brickyard:service:v1" => read(payload, Predicate::Service)?,
            "urn:brickyard:proposal:v1" => read(payload, Predicate::Proposal)?,
            "urn:brickyard:review:v1" => read(payload, Predicate::Review)?,
            "urn:brickyard:attestation:v1" => read(payload, Predicate::Attestation)?,
            "urn:brickyard:advisory:v1" => read(payload, Predicate::Advisory)?,
            "urn:brickyard:publisher:v1" => read(payload, Predicate::Publisher)?,
            "urn:brickyard:registry:v1" => read(payload, Predicate::Registry)?,
            other => {
                let found = other.chars().take(200).flat_map(char::escape_default).collect();
                return Err(StatementError::PredicateType { found });
            }
        };
        let Self { subject, predicate } = &statement;
        bounds::check_subjects(predicate.kind(), subject)?;
        bounds::check_subject(predicate, subject)?;
        predicate.check_bounds()?;
        Ok(statement)
    }
}

//! May this entry come in? Its form, its log, its signatures and its basis, before any of its blobs is taken.

use brick_schemas::api::{EntryReceipt, ProblemType};
use brick_schemas::predicate::{Predicate, ROOT_PAYLOAD_TYPE, Release, STATEMENT_PAYLOAD_TYPE, Statement};
use brick_schemas::{Blob, Origin, PublicKey, PublisherName};
use brick_trust::{BasisRoot, Commons, Entry, Envelope, Pin, Position, Refused, Step, authorise};

use crate::heads::ShownHead;
use crate::problem::Rejection;
use crate::receive::MAX_BLOBS;
use crate::registry::{Registry, digest};
use crate::sequencer::Received;

/// An entry whose form is known.
pub enum Sent {
    /// For a publisher's log.
    Publisher {
        /// Whose.
        publisher: PublisherName,
        /// What it says.
        entry: Box<Entry>,
        /// As it came.
        leaf: Vec<u8>,
    },
    /// For the commons log.
    Commons {
        /// What it says.
        envelope: Box<Envelope>,
        /// As it came.
        leaf: Vec<u8>,
    },
}

/// An entry ready to be queued once its blobs are here.
pub struct Admitted {
    /// For the sequencer.
    pub received: Received,
    /// The log it is for.
    pub origin: Origin,
    /// What must be here before it is logged.
    pub blobs: Vec<Blob>,
    /// The release that its archive must agree with.
    pub release: Option<Release>,
}

impl Sent {
    /// Parses the bytes that came.
    ///
    /// # Errors
    /// [`Rejection`] of a malformed entry, or one for a log that can be nobody's.
    pub fn parse(registry: &Registry, leaf: Vec<u8>) -> Result<Self, Rejection> {
        let malformed = |what, err: Box<dyn std::error::Error + Send + Sync>| {
            Rejection::refused(&Refused { step: Step::Log, what, source: Some(err) })
        };
        let envelope =
            Envelope::parse(&leaf).map_err(|err| malformed("the entry is malformed".into(), err.into()))?;
        if envelope.payload_type == ROOT_PAYLOAD_TYPE {
            return Ok(Self::Commons { envelope: Box::new(envelope), leaf });
        }
        let statement = Statement::parse(&envelope.payload)
            .map_err(|err| malformed("the entry's payload is malformed".into(), err.into()))?;
        let log = &statement.predicate.place().log;
        let state = registry.commons();
        if state.commons.as_ref().is_some_and(|commons| *log == commons.origin()) {
            return Ok(Self::Commons { envelope: Box::new(envelope), leaf });
        }
        let publisher = log.domain();
        if *log != Origin::of_publisher(&publisher) {
            return Err(Rejection::new(ProblemType::UnknownLog, format!("log {log} is not known here")));
        }
        if envelope.payload_type != STATEMENT_PAYLOAD_TYPE {
            // Said by whoever parses entries.
            Entry::parse(&leaf).map_err(|err| malformed("the entry is malformed".into(), err.into()))?;
        }
        Ok(Self::Publisher { publisher, entry: Box::new(Entry::of(envelope, statement)), leaf })
    }

    /// What the store knows of the entry: whether it was logged before, which makes sending it again harmless, and where its
    /// version was released.
    ///
    /// # Errors
    /// [`Rejection`] where the store fails.
    pub async fn look(&self, registry: &Registry) -> Result<Looked, Rejection> {
        let (origin, payload, release) = match self {
            Self::Publisher { publisher, entry, .. } => {
                let release = match &entry.statement.predicate {
                    Predicate::Release(release) => Some((&release.name.brick, &release.version)),
                    _ => None,
                };
                (Origin::of_publisher(publisher), entry.payload, release)
            }
            Self::Commons { envelope, .. } => {
                let state = registry.commons();
                let Some(commons) = &state.commons else { return Ok(Looked::default()) };
                (commons.origin(), envelope.payload_digest(), None)
            }
        };
        let Some(head) = registry.head(&origin) else { return Ok(Looked::default()) };
        let standing = registry.store.standing(head.id, &payload, release)?;
        let receipt = match standing.entry {
            // One that was committed a moment ago may be under no head yet that a proof could lead to: it waits its turn.
            Some(index) if index < head.size => {
                Some(crate::proofs::receipt_of(registry, &origin, index).await?)
            }
            _ => None,
        };
        // What the same entry released is no conflict.
        let released = standing.released.filter(|_| standing.entry.is_none());
        Ok(Looked { receipt, asked_at: head.size, released })
    }

    /// Decides whether the entry may come in as the log stands now; its place is the sequencer's to give.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn admit(self, registry: &Registry, looked: &Looked) -> Result<Admitted, Rejection> {
        match self {
            Self::Commons { envelope, leaf } => admit_record(registry, looked, &envelope, leaf),
            Self::Publisher { publisher, entry, leaf } => {
                admit_entry(registry, looked, publisher, *entry, leaf).await
            }
        }
    }
}

/// What the store knew of an entry when it came.
#[derive(Default)]
pub struct Looked {
    /// Its receipt, if it was logged before.
    pub receipt: Option<EntryReceipt>,
    /// Leaves that its log had then, at least.
    asked_at: u64,
    /// The leaf that released the version that it would release.
    released: Option<u64>,
}

/// The head of a log that is hosted here and open.
fn hosted_head(registry: &Registry, origin: &Origin) -> Result<std::sync::Arc<ShownHead>, Rejection> {
    let head = match registry.head(origin) {
        Some(head) if head.hosted => head,
        _ => return Err(registry.not_hosted(origin)),
    };
    match registry.closed_log(origin) {
        Some(why) => Err(Rejection::from(&why)),
        None => Ok(head),
    }
}

fn admit_record(
    registry: &Registry,
    looked: &Looked,
    envelope: &Envelope,
    leaf: Vec<u8>,
) -> Result<Admitted, Rejection> {
    let state = registry.commons();
    let commons = state.known().map_err(|err| Rejection::busy(&err.what))?;
    let origin = commons.origin();
    hosted_head(registry, &origin)?;
    // Signatures first, by the keys alone: trying a record on a copy of the commons costs more than a stranger may cause.
    let blobs = match envelope.payload_type == ROOT_PAYLOAD_TYPE {
        true => {
            commons.root().verify_next(envelope).map_err(|err| Rejection::refused(&err))?;
            Vec::new()
        }
        false => {
            let statement = Statement::parse(&envelope.payload)
                .map_err(|err| Rejection::new(ProblemType::Malformed, crate::problem::chain(&err)))?;
            envelope.verify(&record_keys(commons, &statement.predicate)).map_err(|err| {
                let what = "the record is not signed by who may";
                Rejection::refused(&Refused::caused(Step::Signature, what, err))
            })?;
            named_blobs(registry, &statement.predicate)?
        }
    };
    let pin = Pin { root_sha256: registry.settings.root_sha256 };
    state.fork().apply(&pin, &leaf).map_err(|err| Rejection::refused(&err))?;
    let received = Received::Commons { leaf, payload: envelope.payload_digest(), asked_at: looked.asked_at };
    Ok(Admitted { received, origin, blobs, release: None })
}

/// The keys that may sign a record: the registrars', and the owners' of the record before.
fn record_keys(commons: &Commons, predicate: &Predicate) -> Vec<PublicKey> {
    let mut keys = commons.root().registrars.keys.clone();
    let owners = match predicate {
        Predicate::Publisher(record) => commons.publisher(&record.id).map(|before| &before.owners),
        Predicate::Registry(record) => commons.registry(&record.id).map(|before| &before.owners),
        _ => None,
    };
    keys.extend(owners.iter().flat_map(|owners| &owners.keys));
    keys
}

async fn admit_entry(
    registry: &Registry,
    looked: &Looked,
    publisher: PublisherName,
    entry: Entry,
    leaf: Vec<u8>,
) -> Result<Admitted, Rejection> {
    let origin = Origin::of_publisher(&publisher);
    let state = registry.commons();
    let commons = state.known().map_err(|err| Rejection::busy(&err.what))?;
    if commons.publisher(&publisher).is_none() {
        let what = format!("{publisher} is not admitted to this commons");
        return Err(Rejection::new(ProblemType::UnknownLog, what));
    }
    let head = hosted_head(registry, &origin)?;
    // The record in force where the entry would stand: a newer one may count from a later leaf on.
    let record = commons.record_at(&publisher, head.size).map_err(|err| Rejection::refused(&err))?;
    let basis = entry.statement.predicate.place().basis.size;
    if basis > head.size {
        let what = format!("its signer saw {basis} leaves of {origin}, this registry has {}", head.size);
        return Err(Rejection::refused(&Refused::new(Step::Basis, what)));
    }
    let signed = entry.verify(record).map_err(|err| Rejection::refused(&err))?;
    let root = registry.kept_roots.root_at(&registry.store, head.id, basis).await?;
    let basis_root = BasisRoot::Known(digest(root));
    let position = Position { record, index: head.size, basis_root, seen: false };
    authorise(&signed, &position).map_err(|err| Rejection::refused(&err))?;
    let predicate = &signed.entry().statement.predicate;
    let blobs = named_blobs(registry, predicate)?;
    let release = match predicate {
        Predicate::Release(release) => Some((**release).clone()),
        _ => None,
    };
    // Before its archive is sent; the sequencer refuses it again where two race.
    if let (Some(release), Some(entry)) = (&release, looked.released) {
        return Err(Rejection::conflict(&brick_index::fold::Conflict::VersionExists {
            name: release.name.clone(),
            version: release.version.clone(),
            entry,
        }));
    }
    let asked_at = looked.asked_at;
    let received = Received::Publisher { publisher, signed: Box::new(signed), basis_root, leaf, asked_at };
    Ok(Admitted { received, origin, blobs, release })
}

/// The blobs that an entry names, each within this registry's bounds.
fn named_blobs(registry: &Registry, predicate: &Predicate) -> Result<Vec<Blob>, Rejection> {
    let limits = &registry.settings.limits;
    let archive = match predicate {
        Predicate::Release(release) => Some(release.archive.sha256),
        Predicate::Proposal(proposal) => Some(proposal.archive.sha256),
        _ => None,
    };
    let too_large = |what: String| Err(Rejection::new(ProblemType::TooLarge, what));
    let blobs = predicate.blobs();
    if blobs.len() > MAX_BLOBS {
        return too_large(format!("an entry names at most {MAX_BLOBS} blobs"));
    }
    for Blob { sha256, bytes } in &blobs {
        let (what, max) = match archive.as_ref() == Some(sha256) {
            true => ("an archive", limits.archive_bytes),
            false => ("a blob that is no archive", limits.blob_bytes),
        };
        if *bytes > max {
            return too_large(format!("{what} has at most {max} bytes here, {sha256} has {bytes}"));
        }
    }
    Ok(blobs)
}

//! Is this entry fit to be logged? Received with its blobs, checked as far as that needs no place in a log, and queued.

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use brick_schemas::api::{EntryReceipt, ProblemType};
use brick_schemas::archive::{self, Limits};
use brick_schemas::manifest::Manifest;
use brick_schemas::predicate::{Predicate, ROOT_PAYLOAD_TYPE, Release, Statement};
use brick_schemas::{Blob, Digest, Origin, PublisherName};
use brick_store::BlobError;
use brick_trust::envelope::MAX_ENTRY_BYTES;
use brick_trust::{BasisRoot, Entry, Envelope, Refused, Step};
use tokio::sync::oneshot;

use crate::nodes::Nodes;
use crate::problem::Rejection;
use crate::registry::{Registry, digest};
use crate::sequencer::{Received, Submission, ahead};

/// Blobs in one request, at most.
pub const MAX_BLOBS: usize = 32;
/// Bytes of a blob that is no archive (a reason, a report, texts), at most.
pub const MAX_TEXT_BLOB_BYTES: u64 = 1024 * 1024;

/// Receives an entry and the blobs it names, and waits until it is logged or refused.
///
/// # Errors
/// [`Rejection`]; nothing is logged then, and blobs that came are swept later.
pub async fn receive(registry: &Registry, mut parts: Multipart) -> Result<EntryReceipt, Rejection> {
    let leaf = match parts.next_field().await.map_err(malformed)? {
        Some(field) if field.name() == Some("entry") => bounded(field, MAX_ENTRY_BYTES).await?,
        _ => return Err(Rejection::new(ProblemType::Malformed, "the first part must be `entry`")),
    };
    let draft = Draft::parse(registry, leaf)?;
    if let Some(receipt) = draft.logged_before(registry).await? {
        return Ok(receipt);
    }
    // Who may not publish here is told so before a byte of an archive is stored.
    let checked = draft.check(registry).await?;
    let named = checked.blobs.clone();
    let mut count = 0;
    while let Some(field) = parts.next_field().await.map_err(malformed)? {
        count += 1;
        if field.name() != Some("blob") || count > MAX_BLOBS {
            return Err(Rejection::new(
                ProblemType::Malformed,
                format!("after `entry` come at most {MAX_BLOBS} parts named `blob`"),
            ));
        }
        receive_blob(registry, field, &named).await?;
    }
    for blob in &named {
        if !registry.store.has_blob(&blob.sha256).await {
            return Err(Rejection::new(
                ProblemType::MissingBlob,
                format!("the entry names blob {}, which is neither here nor in the request", blob.sha256),
            ));
        }
    }
    if let Some(release) = checked.release {
        check_stored_archive(registry, release).await?;
    }
    let (answer, wait) = oneshot::channel();
    registry
        .queue
        .try_send(Submission { entry: checked.received, answer })
        .map_err(|_| Rejection::busy("too many entries are waiting to be logged"))?;
    wait.await.unwrap_or_else(|_| Err(Rejection::busy("the registry is stopping")))
}

fn malformed(err: MultipartError) -> Rejection {
    let too_large = err.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE;
    let problem = if too_large { ProblemType::TooLarge } else { ProblemType::Malformed };
    Rejection::new(problem, err.body_text())
}

async fn bounded(mut field: Field<'_>, max: usize) -> Result<Vec<u8>, Rejection> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(malformed)? {
        if bytes.len() + chunk.len() > max {
            return Err(Rejection::new(ProblemType::TooLarge, format!("an entry has at most {max} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn receive_blob(registry: &Registry, mut field: Field<'_>, named: &[Blob]) -> Result<(), Rejection> {
    let name = field.file_name().unwrap_or_default().to_owned();
    let sha256 = Digest::parse(&name)
        .map_err(|_| Rejection::new(ProblemType::Malformed, "a blob part's file name is its SHA-256"))?;
    let Some(blob) = named.iter().find(|blob| blob.sha256 == sha256) else {
        return Err(Rejection::new(ProblemType::Malformed, format!("the entry names no blob {sha256}")));
    };
    if blob.bytes > registry.settings.archive_limit {
        let max = registry.settings.archive_limit;
        return Err(Rejection::new(ProblemType::TooLarge, format!("a blob has at most {max} bytes here")));
    }
    let mut writer = registry.store.blob_writer(blob.bytes).await.map_err(|err| blob_problem(&err))?;
    while let Some(chunk) = field.chunk().await.map_err(malformed)? {
        writer.write(&chunk).await.map_err(|err| blob_problem(&err))?;
    }
    if writer.bytes() != blob.bytes {
        return Err(Rejection::new(
            ProblemType::ArchiveMismatch,
            format!("blob {sha256} has {} bytes, the entry says {}", writer.bytes(), blob.bytes),
        ));
    }
    writer.finish(sha256).await.map_err(|err| blob_problem(&err))
}

fn blob_problem(err: &BlobError) -> Rejection {
    match err {
        BlobError::TooLarge { .. } => Rejection::new(ProblemType::TooLarge, err.to_string()),
        BlobError::WrongDigest { .. } => Rejection::new(ProblemType::ArchiveMismatch, err.to_string()),
        BlobError::DiskFull { .. } => {
            Rejection::new(ProblemType::StorageFull, "the registry's disk is full; nothing was logged")
        }
        other => {
            tracing::error!(err = other as &dyn std::error::Error, "a blob could not be stored");
            Rejection::new(ProblemType::Internal, "the blob could not be stored")
        }
    }
}

/// An entry whose form is known.
enum Draft {
    Publisher { publisher: PublisherName, entry: Box<Entry>, leaf: Vec<u8> },
    Commons { payload: Digest, blobs: Vec<Blob>, leaf: Vec<u8> },
}

/// An entry ready to be queued once its blobs are here.
struct Checked {
    received: Received,
    blobs: Vec<Blob>,
    release: Option<Release>,
}

impl Draft {
    fn parse(registry: &Registry, leaf: Vec<u8>) -> Result<Self, Rejection> {
        let envelope = Envelope::parse(&leaf)
            .map_err(|err| Rejection::refused(&Refused::caused(Step::Log, "the entry is malformed", err)))?;
        let state = registry.commons();
        let commons_origin = state.commons.as_ref().map(brick_trust::Commons::origin);
        if envelope.payload_type == ROOT_PAYLOAD_TYPE {
            return Ok(Self::Commons { payload: envelope.payload_digest(), blobs: Vec::new(), leaf });
        }
        let statement = Statement::parse(&envelope.payload).map_err(|err| {
            Rejection::refused(&Refused::caused(Step::Log, "the entry's payload is malformed", err))
        })?;
        let log = &statement.predicate.place().log;
        if Some(log) == commons_origin.as_ref() {
            let blobs = statement.predicate.blobs();
            return Ok(Self::Commons { payload: envelope.payload_digest(), blobs, leaf });
        }
        let publisher = log.domain();
        if *log != Origin::of_publisher(&publisher) {
            return Err(Rejection::new(ProblemType::UnknownLog, format!("log {log} is not known here")));
        }
        let entry = Entry::parse(&leaf).map_err(|err| Rejection::refused(&err))?;
        Ok(Self::Publisher { publisher, entry: Box::new(entry), leaf })
    }

    /// The receipt of the same entry, if it was logged before: sending it again is harmless.
    async fn logged_before(&self, registry: &Registry) -> Result<Option<EntryReceipt>, Rejection> {
        let (origin, payload) = match self {
            Self::Publisher { publisher, entry, .. } => (Origin::of_publisher(publisher), entry.payload),
            Self::Commons { payload, .. } => {
                let state = registry.commons();
                let Some(commons) = &state.commons else { return Ok(None) };
                (commons.origin(), *payload)
            }
        };
        let Some(head) = registry.head(&origin) else { return Ok(None) };
        match registry.store.payload_index(head.id, &payload).await? {
            Some(index) => crate::proofs::receipt_of(registry, &origin, index).await.map(Some),
            None => Ok(None),
        }
    }

    async fn check(self, registry: &Registry) -> Result<Checked, Rejection> {
        match self {
            Self::Commons { payload, blobs, leaf } => {
                Ok(Checked { received: Received::Commons { leaf, payload }, blobs, release: None })
            }
            Self::Publisher { publisher, entry, leaf } => {
                let origin = Origin::of_publisher(&publisher);
                let state = registry.commons();
                let commons = state.known().map_err(|err| Rejection::refused(&err))?;
                let record = commons.publisher(&publisher).ok_or_else(|| {
                    Rejection::new(
                        ProblemType::UnknownLog,
                        format!("{publisher} is not admitted to this commons"),
                    )
                })?;
                let head = match registry.head(&origin) {
                    Some(head) if head.hosted => head,
                    _ => return Err(Rejection::not_hosted(origin.as_str())),
                };
                let basis = entry.statement.predicate.place().basis.size;
                if basis > head.size {
                    return Err(Rejection::refused(&ahead(&origin, basis, head.size)));
                }
                let root = Nodes::new(&registry.store, head.id).root_at(basis).await?;
                let basis_root = BasisRoot::Known(digest(root));
                let blobs = entry.statement.predicate.blobs();
                if blobs.len() > MAX_BLOBS {
                    return Err(Rejection::new(
                        ProblemType::TooLarge,
                        format!("an entry names at most {MAX_BLOBS} blobs"),
                    ));
                }
                let release = match &entry.statement.predicate {
                    Predicate::Release(release) => Some((**release).clone()),
                    _ => None,
                };
                let signed = entry.verify(record).map_err(|err| Rejection::refused(&err))?;
                let received = Received::Publisher { publisher, signed: Box::new(signed), basis_root, leaf };
                Ok(Checked { received, blobs, release })
            }
        }
    }
}

async fn check_stored_archive(registry: &Registry, release: Release) -> Result<(), Rejection> {
    let max = registry.settings.archive_limit;
    let bytes =
        registry.store.read_blob(&release.archive.sha256, max).await.map_err(|err| blob_problem(&err))?;
    let Some(bytes) = bytes else {
        return Err(Rejection::new(ProblemType::MissingBlob, "the archive is not here"));
    };
    tokio::task::spawn_blocking(move || check_archive(&bytes, &release))
        .await
        .expect("checking an archive does not panic")
        .map_err(|err| Rejection::refused(&err))
}

/// Checks that an archive is exactly the format, and that the manifest in it says what the entry says.
///
/// # Errors
/// [`Refused`] at [`Step::Archive`] or [`Step::Manifest`].
pub fn check_archive(bytes: &[u8], release: &Release) -> Result<(), Refused> {
    let which = format!("{} {}", release.name, release.version);
    if Blob::of(bytes) != release.archive {
        return Err(Refused::new(Step::Archive, format!("the bytes are not the archive of {which}")));
    }
    let archive = archive::read(bytes, &Limits::default())
        .map_err(|err| Refused::caused(Step::Archive, format!("the archive of {which}"), err))?;
    if archive.contents() != release.contents {
        return Err(Refused::new(
            Step::Archive,
            format!("the contents of the archive of {which} are not those signed"),
        ));
    }
    let manifest = archive
        .file("brick.toml")
        .ok_or_else(|| Refused::new(Step::Manifest, format!("the archive of {which} has no brick.toml")))?;
    let manifest = Manifest::from_bytes(manifest)
        .map_err(|err| Refused::caused(Step::Manifest, format!("the manifest of {which}"), err))?;
    manifest
        .matches(release)
        .map_err(|err| Refused::caused(Step::Manifest, format!("the manifest of {which} and its entry"), err))
}

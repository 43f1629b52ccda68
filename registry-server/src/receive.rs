//! Is this entry fit to be logged? Received with its blobs, checked as far as that needs no place in a log, and queued.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use brick_schemas::api::{EntryReceipt, ProblemType};
use brick_schemas::predicate::Release;
use brick_schemas::{Blob, Digest};
use brick_store::{BlobError, BlobWriter, crash_point};
use brick_trust::envelope::MAX_ENTRY_BYTES;
use tokio::sync::{Semaphore, oneshot};

use crate::admission::{Admitted, Sent};
use crate::keeping::{Held, Kept, Told};
use crate::problem::{Rejection, said};
use crate::registry::Registry;
use crate::sequencer::{Received, Submission};
use crate::slow::TooSlow;

/// Blobs in one request, at most.
pub const MAX_BLOBS: usize = 64;
/// Entries that are received at a time, at most; further publishers are told to come back.
pub const MAX_UPLOADS: usize = 512;

static UPLOADS: Semaphore = Semaphore::const_new(MAX_UPLOADS);

/// Receives an entry and the blobs it names, and waits until it is logged or refused.
///
/// # Errors
/// [`Rejection`]; nothing is logged then, and blobs that came are swept later.
pub async fn receive(registry: &Registry, mut parts: Multipart) -> Result<EntryReceipt, Rejection> {
    let Ok(_place) = UPLOADS.try_acquire() else {
        return Err(Rejection::busy("too many entries are being received"));
    };
    // While an upload is under way no blob is swept: one that is here now is here when the entry is logged.
    let upload = Arc::new(registry.uploads.clone().read_owned().await);
    let leaf = match parts.next_field().await.map_err(broken)? {
        Some(field) if field.name() == Some("entry") => bounded(field, MAX_ENTRY_BYTES).await?,
        _ => return Err(Rejection::new(ProblemType::Malformed, "the first part must be `entry`")),
    };
    let sent = Sent::parse(registry, leaf)?;
    let mut looked = sent.look(registry).await?;
    if let Some(receipt) = looked.receipt.take() {
        return Ok(receipt);
    }
    // Who may not publish here is told so before a byte of an archive is stored.
    let admitted = sent.admit(registry, &looked).await?;
    crash_point("publish-admitted");
    let mut came = BTreeSet::new();
    let mut held = Vec::new();
    let mut is_checked = false;
    let mut count = 0;
    while let Some(field) = parts.next_field().await.map_err(broken)? {
        count += 1;
        if field.name() != Some("blob") || count > MAX_BLOBS {
            return Err(Rejection::new(
                ProblemType::Malformed,
                format!("after `entry` come at most {MAX_BLOBS} parts named `blob`"),
            ));
        }
        let (sha256, writer) = receive_blob(registry, field, &admitted).await?;
        match writer.in_memory() {
            Some(bytes) => {
                is_checked |=
                    admitted.release.as_ref().is_some_and(|release| release.archive.sha256 == sha256);
                held.push(Held { sha256, writer, bytes });
            }
            None => {
                writer.finish(sha256).await.map_err(|err| Rejection::from(&err))?;
                came.insert(sha256);
            }
        }
    }
    for blob in &admitted.blobs {
        let is_coming = came.contains(&blob.sha256) || held.iter().any(|held| held.sha256 == blob.sha256);
        if !is_coming && !registry.store.has_blob(&blob.sha256).await {
            return Err(Rejection::new(
                ProblemType::MissingBlob,
                format!("the entry names blob {}, which is neither here nor in the request", blob.sha256),
            ));
        }
    }
    if let Some(release) = admitted.release.as_ref().filter(|_| !is_checked) {
        check_stored_archive(registry, release).await?;
    }
    let Admitted { received, origin, release, .. } = admitted;
    // Nobody else is here: it is drafted and written while its blobs are flushed, and committed when they are.
    let is_alone = UPLOADS.available_permits() + 1 == MAX_UPLOADS;
    let (tell, told) = std::sync::mpsc::channel();
    let mut kept = Vec::with_capacity(held.len());
    for blob in held {
        kept.push(Kept::begin(registry, blob, release.as_ref(), tell.clone()).await?);
    }
    drop(tell);
    let logged = if is_alone {
        let wait = queue(registry, received, Some(Told::new(told, kept.len(), upload)))?;
        kept.iter_mut().for_each(Kept::hash);
        let logged = wait.await;
        // They are if it was logged; if it was not, they may be why, and what is wrong with them is worth more than the rest.
        all_done(kept).await?;
        logged
    } else {
        all_done(kept).await?;
        queue(registry, received, None)?.await
    };
    logged.unwrap_or_else(|_| {
        Err(match registry.closed_log(&origin) {
            Some(why) => Rejection::from(&why),
            None => Rejection::busy("the registry could not log the entry just now; send it again"),
        })
    })
}

async fn all_done(mut kept: Vec<Kept<'_>>) -> Result<(), Rejection> {
    kept.iter_mut().for_each(Kept::hash);
    for blob in kept {
        blob.done().await?;
    }
    Ok(())
}

/// Hands an entry to the sequencer; the answer comes through what is returned.
fn queue(
    registry: &Registry,
    entry: Received,
    blobs: Option<Told>,
) -> Result<oneshot::Receiver<Result<EntryReceipt, Rejection>>, Rejection> {
    let (answer, wait) = oneshot::channel();
    let submission = Submission { entry, answer, blobs };
    let queued = registry.queue.try_send(submission);
    queued.map_err(|_| Rejection::busy("too many entries are waiting to be logged"))?;
    crash_point("publish-queued");
    Ok(wait)
}

/// A form that broke off, came too slowly, or is none.
fn broken(err: MultipartError) -> Rejection {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&err);
    while let Some(err) = cause {
        if err.is::<TooSlow>() {
            return Rejection::new(ProblemType::Malformed, TooSlow.to_string())
                .with_status(StatusCode::REQUEST_TIMEOUT);
        }
        cause = err.source();
    }
    match err.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Rejection::new(ProblemType::TooLarge, "the request is too large"),
        _ => Rejection::new(ProblemType::Malformed, said(&err)),
    }
}

async fn bounded(mut field: Field<'_>, max: usize) -> Result<Vec<u8>, Rejection> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > max {
            return Err(Rejection::new(ProblemType::TooLarge, format!("an entry has at most {max} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Takes a blob in, to be kept once all has come.
async fn receive_blob(
    registry: &Registry,
    mut field: Field<'_>,
    admitted: &Admitted,
) -> Result<(Digest, BlobWriter), Rejection> {
    let name = field.file_name().unwrap_or_default().to_owned();
    let sha256 = Digest::parse(&name)
        .map_err(|_| Rejection::new(ProblemType::Malformed, "a blob part's file name is its SHA-256"))?;
    let Some(Blob { bytes, .. }) = admitted.blobs.iter().find(|blob| blob.sha256 == sha256).copied() else {
        return Err(Rejection::new(ProblemType::Malformed, format!("the entry names no blob {sha256}")));
    };
    let mut writer = registry.store.blob_writer(bytes).await.map_err(|err| Rejection::from(&err))?;
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        match writer.write(&chunk).await {
            Ok(()) => {}
            Err(BlobError::TooLarge { .. }) => {
                let what = format!("blob {sha256} has more than the {bytes} bytes that the entry says");
                return Err(Rejection::new(ProblemType::ArchiveMismatch, what));
            }
            Err(err) => return Err(Rejection::from(&err)),
        }
    }
    if writer.bytes() != bytes {
        return Err(Rejection::new(
            ProblemType::ArchiveMismatch,
            format!("blob {sha256} has {} bytes, the entry says {bytes}", writer.bytes()),
        ));
    }
    Ok((sha256, writer))
}

async fn check_stored_archive(registry: &Registry, release: &Release) -> Result<(), Rejection> {
    let limits = registry.settings.limits.archive();
    let sha256 = &release.archive.sha256;
    let read = registry.store.read_blob(sha256, limits.archive_bytes).await;
    let bytes = match read {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(Rejection::new(ProblemType::MissingBlob, "the archive is not here")),
        Err(BlobError::Rotten { .. }) => {
            // Sent again together with the entry it will be whole.
            registry.set_aside(sha256).await;
            let what = format!("the copy of {sha256} here was damaged; send it along");
            return Err(Rejection::new(ProblemType::MissingBlob, what));
        }
        Err(err) => return Err(Rejection::from(&err)),
    };
    registry.check_archive(Arc::new(bytes), release, limits).await.map_err(|err| Rejection::refused(&err))
}

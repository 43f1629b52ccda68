//! Does an archive say what its release entry says? Recomputed by whoever logs, mirrors or hands it out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use brick_schemas::archive::{self, Limits};
use brick_schemas::manifest::Manifest;
use brick_schemas::predicate::{Predicate, Release};
use brick_schemas::{Blob, Digest, Origin};
use brick_store::{BlobError, LogId, SyncState};
use brick_trust::{Entry, Refused, Step};
use tokio::sync::Semaphore;

use crate::aside::{self, Begun, THREADS};
use crate::heads::ShownHead;
use crate::problem::{Rejection, said};
use crate::registry::{Registry, now};
use crate::sync_status::kept_reason;

/// Archives that are unpacked in memory at a time: each may take the bound on unpacked bytes.
const MAX_CHECKS: usize = THREADS;

/// Releases whose verdict is remembered; past it the memory is emptied and fills again.
const MAX_VERDICTS: usize = 65_536;

static CHECKS: Semaphore = Semaphore::const_new(MAX_CHECKS);

/// Checks that an archive is exactly the format, and that the manifest in it says what the entry says.
///
/// # Errors
/// [`Refused`] at [`Step::Archive`] or [`Step::Manifest`].
pub fn check_archive(bytes: &[u8], release: &Release, limits: &Limits) -> Result<Manifest, Refused> {
    let which = format!("{} {}", release.name, release.version);
    if Blob::of(bytes) != release.archive {
        return Err(Refused::new(Step::Archive, format!("the bytes are not the archive of {which}")));
    }
    check_contents(bytes, release, limits)
}

/// [`check_archive`], where the digest of `bytes` is known to be the release's.
///
/// # Errors
/// As [`check_archive`].
pub fn check_contents(bytes: &[u8], release: &Release, limits: &Limits) -> Result<Manifest, Refused> {
    let which = format!("{} {}", release.name, release.version);
    let archive = archive::read(bytes, limits)
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
    manifest.matches(release).map_err(|err| {
        Refused::caused(Step::Manifest, format!("the manifest of {which} and its entry"), err)
    })?;
    Ok(manifest)
}

/// What was found of a release's archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Agrees,
    Contradicts,
}

/// What was found of archives since the start, by the log and index of the release's entry: neither ever changes.
#[derive(Default)]
pub struct KeptVerdicts(Mutex<HashMap<(LogId, u64), Verdict>>);

impl KeptVerdicts {
    fn find(&self, log: LogId, entry: u64) -> Option<Verdict> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(log, entry)).copied()
    }

    fn keep(&self, log: LogId, entry: u64, verdict: Verdict) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_VERDICTS {
            kept.clear();
        }
        kept.insert((log, entry), verdict);
    }
}

impl Registry {
    /// Demands that the stored archive of a release says what its entry says, before it is handed out as that release's.
    ///
    /// Entries of others are taken before their archives are to be had, and a blob may come for the sake of another entry
    /// that names it: whatever way it came, this is held against the release itself, once.
    ///
    /// - `archive`: the digest that the entry gives.
    ///
    /// # Errors
    /// [`Rejection`] of an archive that contradicts the entry, or is damaged; none where it is not here.
    pub async fn demand_agreement(
        &self,
        head: &ShownHead,
        origin: &Origin,
        entry: u64,
        archive: &Digest,
    ) -> Result<(), Rejection> {
        let contradicts = || {
            let what = "the archive contradicts the release's entry and is not handed out: see /api/v1/sync";
            Rejection::new(brick_schemas::api::ProblemType::NotFound, what)
        };
        match self.kept_verdicts.find(head.id, entry) {
            Some(Verdict::Agrees) => return Ok(()),
            Some(Verdict::Contradicts) => return Err(contradicts()),
            None => {}
        }
        let limits = Limits::default();
        let bytes = match self.store.read_blob(archive, limits.archive_bytes).await {
            Ok(Some(bytes)) => bytes,
            // Whoever hands it out says so.
            Ok(None) => return Ok(()),
            Err(BlobError::Rotten { .. }) => {
                self.set_aside(archive).await;
                return Err(Rejection::not_found("sound copy of the archive here at present"));
            }
            Err(err) => return Err(Rejection::from(&err)),
        };
        let Some(release) = self.release_at(head.id, entry).await? else {
            return Err(Rejection::not_found("such release"));
        };
        let verdict = match self.check_archive(Arc::new(bytes), &release, limits).await {
            Ok(()) => Verdict::Agrees,
            Err(refused) => {
                self.report_contradiction(self.settings.id.as_str(), origin, entry, archive, &refused).await;
                Verdict::Contradicts
            }
        };
        self.kept_verdicts.keep(head.id, entry, verdict);
        match verdict {
            Verdict::Agrees => Ok(()),
            Verdict::Contradicts => Err(contradicts()),
        }
    }

    /// The release that a stored entry is, if it is one.
    ///
    /// # Errors
    /// [`brick_store::ReadError`] where the store fails.
    pub async fn release_at(
        &self,
        log: LogId,
        entry: u64,
    ) -> Result<Option<Release>, brick_store::ReadError> {
        let leaf = self.store.leaves(log, entry..entry + 1).await?.pop();
        Ok(match leaf.and_then(|leaf| Entry::parse(&leaf).ok()).map(|entry| entry.statement.predicate) {
            Some(Predicate::Release(release)) => Some(*release),
            _ => None,
        })
    }

    /// Makes public, with since when and why, that an archive contradicts its entry: the release's publisher or its home
    /// registry let that in.
    ///
    /// - `from`: who had the archive.
    pub async fn report_contradiction(
        &self,
        from: &str,
        origin: &Origin,
        entry: u64,
        archive: &Digest,
        refused: &Refused,
    ) {
        tracing::error!(%origin, entry, why = %said(refused), "an archive contradicts its entry");
        let state = SyncState::Failed { why: kept_reason(refused, Some(entry)) };
        let whose = format!("{from}, blob {archive}");
        if let Err(err) = self.store.put_sync(&whose, Some(origin), &state, now()).await {
            tracing::warn!(why = %said(&err), "cannot note what was refused");
        }
    }

    /// [`check_archive`] on a thread of its own, few at a time; keeps the texts that it comes by.
    ///
    /// # Errors
    /// As [`check_archive`].
    pub async fn check_archive(
        &self,
        bytes: Arc<Vec<u8>>,
        release: &Release,
        limits: Limits,
    ) -> Result<(), Refused> {
        self.check_with(check_archive, bytes, release, limits, |_| {}).await.done().await
    }

    /// Begins [`check_contents`], likewise, and has `told` whether it found nothing wrong.
    pub async fn begin_check(
        &self,
        bytes: Arc<Vec<u8>>,
        release: &Release,
        limits: Limits,
        told: impl FnOnce(bool) + Send + 'static,
    ) -> Checking<'_> {
        self.check_with(check_contents, bytes, release, limits, told).await
    }

    async fn check_with(
        &self,
        check: fn(&[u8], &Release, &Limits) -> Result<Manifest, Refused>,
        bytes: Arc<Vec<u8>>,
        release: &Release,
        limits: Limits,
        told: impl FnOnce(bool) + Send + 'static,
    ) -> Checking<'_> {
        let permit = CHECKS.acquire().await.expect("nobody closes it");
        let (archive, signed) = (release.archive.sha256, release.clone());
        let begun = aside::begin(move || {
            let checked = check(&bytes, &signed, &limits);
            drop(permit);
            told(checked.is_ok());
            checked
        });
        Checking { registry: self, archive, begun }
    }
}

/// The check of an archive, under way.
pub struct Checking<'a> {
    registry: &'a Registry,
    archive: Digest,
    begun: Begun<Result<Manifest, Refused>>,
}

impl Checking<'_> {
    /// Waits for what it finds, and keeps the texts that it comes by.
    ///
    /// # Errors
    /// As [`check_archive`].
    pub async fn done(self) -> Result<(), Refused> {
        let manifest = self.begun.done().await?;
        self.registry.kept_texts.keep(self.archive, manifest.text);
        Ok(())
    }
}

//! Are these the bytes that the publisher signed?

use brick_client::{AskError, Client};
use brick_schemas::archive::{self, Archive, Limits};
use brick_schemas::lockfile::LockedBrick;
use brick_schemas::{FullName, Manifest, Version};
use brick_tlog::proof::Proof;
use brick_trust::evidence::{VerifiedRelease, verify_release};
use brick_trust::{Commons, Refused, Step};
use futures_util::stream::{self, StreamExt as _};

use super::Session;
use super::progress::Progress;
use super::refusal::{asked, not_kept, refused};
use crate::failure::Failure;

/// Archives in memory at once, at most; each has up to 16 MiB and unpacks to up to 128.
const MAX_ARCHIVES: usize = 4;

/// A release whose proof, archive and manifest have been checked. Only [`check_release`] makes one.
pub(crate) struct Checked {
    /// What the publisher signed, and where it stands.
    pub(crate) verified: VerifiedRelease,
    /// Its files.
    pub(crate) archive: Archive,
    /// Its manifest.
    pub(crate) manifest: Manifest,
    /// The proof that shows all this.
    pub(crate) proof: Proof,
    /// Size of the archive as sent.
    pub(crate) archive_bytes: u64,
}

/// Checks a release against its proof: record, checkpoint, quorum, inclusion, signature, right, log, basis, then the
/// archive against the entry and the manifest inside against both.
///
/// - `now`: Unix seconds.
///
/// # Errors
/// [`Refused`] with the step.
pub(crate) fn check_release(
    commons: &Commons,
    now: u64,
    name: &FullName,
    version: &Version,
    proof: Proof,
    bytes: &[u8],
) -> Result<Checked, Refused> {
    let verified = verify_release(&proof, name, version, commons, now)?;
    verified.check_archive(bytes)?;
    let (archive, manifest) = open_archive(bytes, &format!("{name} {version}"))?;
    let release = verified.release();
    if archive.contents() != release.contents {
        return Err(Refused::new(
            Step::Archive,
            format!(
                "the files of {name} {version} are {}, signed is {}",
                archive.contents(),
                release.contents
            ),
        ));
    }
    if archive.name() != &name.brick || archive.version() != version {
        return Err(Refused::new(
            Step::Archive,
            format!("the archive of {name} {version} is that of {} {}", archive.name(), archive.version()),
        ));
    }
    manifest.matches(release).map_err(|err| {
        Refused::caused(Step::Manifest, format!("{name} {version} says one thing and its entry another"), err)
    })?;
    Ok(Checked { verified, archive, manifest, proof, archive_bytes: bytes.len() as u64 })
}

/// An archive and the manifest inside, both well-formed.
///
/// # Errors
/// [`Refused`] at the step `archive` or `manifest`.
pub(crate) fn open_archive(bytes: &[u8], what: &str) -> Result<(Archive, Manifest), Refused> {
    let archive = archive::read(bytes, &Limits::default())
        .map_err(|err| Refused::caused(Step::Archive, format!("the archive of {what} is malformed"), err))?;
    let manifest = Manifest::from_bytes(archive.manifest()).map_err(|err| {
        Refused::caused(Step::Manifest, format!("the manifest of {what} is malformed"), *err)
    })?;
    Ok((archive, manifest))
}

/// That a checked release is the one that was locked.
///
/// # Errors
/// [`Refused`] at the step `lock`.
pub(crate) fn check_lock(checked: &Checked, locked: &LockedBrick) -> Result<(), Refused> {
    let release = checked.verified.release();
    if release.archive.sha256 == locked.cksum && checked.verified.index() == locked.entry {
        return Ok(());
    }
    Err(Refused::new(
        Step::Lock,
        format!(
            "brick.lock holds {} {} as entry {} with archive {}, its publisher signed entry {} with archive {}",
            locked.name,
            locked.version,
            locked.entry,
            locked.cksum,
            checked.verified.index(),
            release.archive.sha256
        ),
    ))
}

/// What is at hand of a release before it is checked.
struct AtHand {
    proof: Proof,
    bytes: Vec<u8>,
    is_proof_new: bool,
    is_archive_new: bool,
}

impl Session<'_> {
    /// Gets and checks locked releases, a few at a time, and hands each to `take`. Nothing is kept of one that fails.
    ///
    /// # Errors
    /// [`Failure`] with the step, or where the bytes cannot be had.
    pub(crate) fn releases(
        &self,
        locked: &[LockedBrick],
        mut take: impl FnMut(&LockedBrick, Checked) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let now = self.ctx.now();
        let progress = &Progress::begin(self.ctx, "Fetching", locked.len());
        self.runtime.block_on(async {
            let mut arriving = stream::iter(locked)
                .map(|brick| async move { (brick, self.at_hand(brick, progress).await) })
                .buffered(MAX_ARCHIVES);
            while let Some((brick, at_hand)) = arriving.next().await {
                let at_hand = at_hand?;
                let AtHand { proof, bytes, is_proof_new, is_archive_new } = at_hand;
                let checked = check_release(self.commons(), now, &brick.name, &brick.version, proof, &bytes)
                    .and_then(|checked| check_lock(&checked, brick).map(|()| checked))
                    .map_err(|err| refused(&err))?;
                if is_archive_new {
                    self.store.keep_blob(&bytes)?;
                }
                if is_proof_new {
                    self.store.keep_proof(&brick.name, &brick.version, &checked.proof)?;
                }
                drop(bytes);
                take(brick, checked)?;
                progress.advance();
            }
            Ok(())
        })
    }

    /// A release's proof and archive, from the cache or from a registry that has them.
    async fn at_hand(&self, brick: &LockedBrick, progress: &Progress<'_>) -> Result<AtHand, Failure> {
        let (kept_proof, kept_archive) = (
            self.store.proof(&brick.name, &brick.version)?.filter(|proof| self.still_holds(proof, brick)),
            self.store.blob(&brick.cksum, Limits::default().archive_bytes)?,
        );
        let (is_proof_new, is_archive_new) = (kept_proof.is_none(), kept_archive.is_none());
        let what = format!("{} {}", brick.name, brick.version);
        let proof = match kept_proof {
            Some(proof) => proof,
            None => {
                let ask = async |client: Client| client.proof(&brick.name, &brick.version).await;
                self.ask_any(brick, ask)
                    .await?
                    .ok_or_else(|| not_had(self, &format!("the proof of {what}")))?
            }
        };
        let bytes = match kept_archive {
            Some(bytes) => bytes,
            None => {
                progress.status("Downloading", format_args!("{what}"));
                self.archive(brick).await?.ok_or_else(|| not_had(self, &format!("the archive of {what}")))?
            }
        };
        Ok(AtHand { proof, bytes, is_proof_new, is_archive_new })
    }

    /// Whether a kept proof still convinces; if not, a newer one may.
    fn still_holds(&self, proof: &Proof, brick: &LockedBrick) -> bool {
        verify_release(proof, &brick.name, &brick.version, self.commons(), self.ctx.now()).is_ok()
    }

    async fn archive(&self, brick: &LockedBrick) -> Result<Option<Vec<u8>>, Failure> {
        let max_bytes = usize::try_from(Limits::default().archive_bytes).expect("16 MiB are addressable");
        let ask = async |client: Client| match client.archive(&brick.name, &brick.version, max_bytes).await? {
            Some(bytes) => Ok(Some(bytes)),
            None => client.blob(&brick.cksum, max_bytes).await,
        };
        self.ask_any(brick, ask).await
    }

    /// Asks the registries that may have something of a release until one has it. One that is down is passed over.
    async fn ask_any<T>(
        &self,
        brick: &LockedBrick,
        ask: impl AsyncFn(Client) -> Result<Option<T>, AskError>,
    ) -> Result<Option<T>, Failure> {
        let mut last = None;
        for client in self.sources_for(&brick.name.publisher) {
            match ask(client).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(err) => last = Some(asked(&err)),
            }
        }
        last.map_or(Ok(None), Err)
    }
}

fn not_had(session: &Session<'_>, what: &str) -> Failure {
    match session.online() {
        Err(_) => not_kept(what),
        Ok(client) => {
            Failure::network(format!("neither {} nor any other registry has {what}", client.base()))
                .help("try again later: mirrors may still be fetching it")
        }
    }
}

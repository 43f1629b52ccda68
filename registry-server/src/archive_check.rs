//! Does an archive say what its release entry says? Recomputed by whoever logs, mirrors or hands it out.

use std::sync::Arc;

use brick_schemas::Blob;
use brick_schemas::archive::{self, Limits};
use brick_schemas::manifest::Manifest;
use brick_schemas::predicate::Release;
use brick_trust::{Refused, Step};
use tokio::sync::Semaphore;

use crate::blocking::blocking;
use crate::registry::Registry;

/// Archives that are unpacked in memory at a time: each may take the bound on unpacked bytes.
const MAX_CHECKS: usize = 2;

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

impl Registry {
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
        let _permit = CHECKS.acquire().await.expect("nobody closes it");
        let signed = release.clone();
        let manifest = blocking(move || check_archive(&bytes, &signed, &limits)).await?;
        self.kept_texts.keep(release.archive.sha256, manifest.text);
        Ok(())
    }
}

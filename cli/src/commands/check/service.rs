//! What could be wrong with a service: its manifest, the policy it names, and the lockfile beside it.

use std::path::Path;

use brick_schemas::lockfile::{Lockfile, MAX_LOCKFILE_BYTES};
use brick_schemas::manifest::MAX_MANIFEST_BYTES;
use brick_schemas::service::{PolicyTable, ServiceManifest};

use super::Findings;
use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::place::Place;

/// Checks the service whose manifest is `path`.
///
/// Returns its id, where the manifest could be read.
///
/// # Errors
/// [`Failure`] only when something cannot be read at all.
pub(super) fn check(ctx: &Context, path: &Path, findings: &mut Findings) -> Result<Option<String>, Failure> {
    let text = files::read_text(path, MAX_MANIFEST_BYTES as u64 + 1)?;
    let service = match ServiceManifest::parse(&text) {
        Ok(service) => service,
        Err(err) => {
            findings.manifest(ctx, path, &text, &err);
            return Ok(None);
        }
    };
    let place = Place::Service(path.to_owned());
    let file = ctx.shown(path);
    if let Some(PolicyTable::File(policy)) = &service.policy
        && !place.dir().join(policy.as_str()).is_file()
    {
        findings.error(
            &file,
            format!("`policy` names `{policy}`, which is not there"),
            "add the file, or correct the line",
        );
    }
    if service.part.is_empty() {
        findings.warning(
            &file,
            "the service has no `[[part]]`",
            "name the bricks and local parts that do its steps",
        );
    }
    check_lock(ctx, &place, &service, findings)?;
    Ok(Some(service.service.id.to_string()))
}

/// Every brick of a part is locked in a version that will do.
fn check_lock(
    ctx: &Context,
    place: &Place,
    service: &ServiceManifest,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let requirements = service.requirements();
    if requirements.is_empty() {
        return Ok(());
    }
    let path = place.dir().join("brick.lock");
    let shown = ctx.shown(&path);
    let Some(bytes) = files::read_if_there(&path, MAX_LOCKFILE_BYTES as u64 + 1)? else {
        findings.warning(
            &shown,
            "there is no lockfile yet",
            "make it with `brick update`; publishing needs it",
        );
        return Ok(());
    };
    let text = String::from_utf8_lossy(&bytes);
    let lock = match Lockfile::from_bytes(&bytes) {
        Ok(lock) => lock,
        Err(err) => {
            findings.manifest(ctx, &path, &text, &err);
            return Ok(());
        }
    };
    for wanted in requirements {
        let is_met = lock.bricks.iter().any(|b| b.name == wanted.name && wanted.req.matches(&b.version));
        if !is_met {
            findings.error(
                &shown,
                format!("no version of `{}` that meets `{}` is locked", wanted.name, wanted.req),
                "run `brick update`",
            );
        }
    }
    Ok(())
}

//! Publishing a service of a public body: what it is made of, as of now.

use std::path::Path;

use brick_schemas::Blob;
use brick_schemas::lockfile::{Lockfile, MAX_LOCKFILE_BYTES};
use brick_schemas::manifest::MAX_MANIFEST_BYTES;
use brick_schemas::predicate::service::Locked;
use brick_schemas::predicate::{Place as LogPlace, Predicate, Statement};

use super::{PublishArgs, Published};
use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::place::{self, Place, manifest_failure};
use crate::publishing::{self, Submission};
use crate::session::Session;

/// Signs, sends and verifies.
///
/// # Errors
/// [`Failure`].
pub(super) fn publish<'a>(
    ctx: &Context,
    args: &PublishArgs,
    place: &Place,
    path: &Path,
) -> Result<Published<'a>, Failure> {
    let service = place::read_service(ctx, path)?;
    let text = files::read(path, MAX_MANIFEST_BYTES as u64)?;
    let lock = read_lock(ctx, place, !service.requirements().is_empty())?;
    let locked: Vec<Locked> = lock
        .iter()
        .flat_map(|lock| &lock.bricks)
        .map(|brick| Locked { name: brick.name.clone(), version: brick.version.clone(), sha256: brick.cksum })
        .collect();
    let mut session = Session::open(ctx, lock.as_ref())?;
    let id = &service.service.id;
    let desk = publishing::desk(&mut session, &id.publisher)?;
    let texts = Blob::of(&text);
    let statement = |at: LogPlace| {
        let entry = service.service(at, locked.clone(), Some(texts)).map_err(|err| {
            Failure::yours(format!("`{}` and brick.lock do not fit together", ctx.shown(path)))
                .because(&err)
                .help("run `brick update`, then publish again")
        })?;
        Ok(Statement::new(vec![(id.to_string(), texts.sha256)], Predicate::Service(Box::new(entry))))
    };
    args.agree(ctx, &format!("service {id}"))?;
    let submission = Submission {
        publisher: id.publisher.clone(),
        stem: format!("service-{}", id.brick),
        statement: &statement,
        blobs: vec![text],
    };
    let acknowledged = publishing::submit(&mut session, &desk, &args.signing, &submission, args.send())?;
    Ok(Published::new("service", id, &desk.record.origin).acknowledged(acknowledged))
}

/// The lockfile beside the manifest; it must be there where parts are bricks.
fn read_lock(ctx: &Context, place: &Place, is_needed: bool) -> Result<Option<Lockfile>, Failure> {
    let path = place.dir().join("brick.lock");
    let Some(bytes) = files::read_if_there(&path, MAX_LOCKFILE_BYTES as u64)? else {
        if is_needed {
            return Err(Failure::yours(format!("there is no `{}`", ctx.shown(&path)))
                .reason("a service says exactly which releases it runs on")
                .help("run `brick update` to resolve its parts and write it"));
        }
        return Ok(None);
    };
    Lockfile::from_bytes(&bytes)
        .map(Some)
        .map_err(|err| manifest_failure(ctx, &path, &String::from_utf8_lossy(&bytes), &err))
}

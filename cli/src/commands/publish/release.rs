//! Publishing one version of one brick.

use brick_client::Client;
use brick_schemas::predicate::release::Maturity;
use brick_schemas::predicate::{Place as LogPlace, Predicate, Statement};
use brick_schemas::{Blob, FullName, differs_by_a_hair};

use super::{PublishArgs, Published, source};
use crate::commands::check::not_live;
use crate::commands::package::{pack, summary};
use crate::context::Context;
use crate::failure::Failure;
use crate::package::Package;
use crate::place::Place;
use crate::publishing::{self, Submission, logged_release};
use crate::session::Session;
use crate::session::lookup::Look;

/// Names of one publisher that a new one is compared with, at most.
const MAX_NEIGHBOURS: usize = 100;

/// Packs, signs, sends and verifies.
///
/// # Errors
/// [`Failure`].
pub(super) fn publish<'a>(
    ctx: &Context,
    args: &PublishArgs,
    place: &Place,
) -> Result<Published<'a>, Failure> {
    let packed = pack(ctx, place)?;
    ctx.status("Packaged", format_args!("{}", summary(&packed)));
    let brick = &packed.manifest.brick;
    let mut session = Session::open(ctx, None)?;
    let desk = publishing::desk(&mut session, &brick.name.publisher)?;
    let mut published = Published::new("release", &brick.name, &desk.record.origin);
    published.version = Some(brick.version.to_string());
    published.sha256 = Some(packed.digest().to_string());
    let stem = format!("release-{}-{}", brick.name.brick, brick.version);
    let source = source::of(ctx, place.dir(), brick.repository.as_ref());
    let statement = |at: LogPlace| Ok(statement(&packed, at, source.clone()));
    if let Some((logged, index)) =
        logged_release(&session, &desk.record, &desk.home, &brick.name, &brick.version)?
    {
        if logged.archive.sha256 != packed.digest() {
            return Err(Failure::yours(format!(
                "{} {} is published already, with other contents",
                brick.name, brick.version
            ))
            .reason(format!("published is {}, here is {}", logged.archive.sha256, packed.digest()))
            .help("a published version never changes: raise `version`, then publish again"));
        }
        publishing::forget_pending(ctx, &brick.name.publisher, &stem);
        return Ok(Published { published: true, already: true, index: Some(index), ..published });
    }
    demand_live(&mut session, &packed)?;
    warn_of_neighbours(ctx, &session, &desk.home, &brick.name);
    args.agree(ctx, &format!("{} {}", brick.name, brick.version))?;
    let submission = Submission {
        publisher: brick.name.publisher.clone(),
        stem,
        statement: &statement,
        blobs: vec![packed.archive.clone()],
    };
    let acknowledged = publishing::submit(&mut session, &desk, &args.signing, &submission, args.send())?;
    Ok(published.acknowledged(acknowledged))
}

fn statement(
    packed: &Package,
    at: LogPlace,
    source: Option<brick_schemas::predicate::release::Source>,
) -> Statement {
    let archive = Blob::of(&packed.archive);
    let release = packed.manifest.release(at, archive, packed.contents, Vec::new(), source);
    Statement::new(vec![(packed.file_name(), archive.sha256)], Predicate::Release(Box::new(release)))
}

/// A live release requires live ones, by the index of now.
fn demand_live(session: &mut Session<'_>, packed: &Package) -> Result<(), Failure> {
    let brick = &packed.manifest.brick;
    if brick.maturity != Maturity::Live || packed.manifest.requires.is_empty() {
        return Ok(());
    }
    match not_live(session, &packed.manifest, Look::There)?.first() {
        None => Ok(()),
        Some(found) => {
            Err(Failure::yours(format!("{} is live and may only require live bricks", brick.name))
                .reason(found.what.clone())
                .help(format!("require a live release of {}, or lower `maturity`", found.name)))
        }
    }
}

/// A first release under a name that people will take for another one's (design §3).
///
/// Only a warning hangs on it: no answer is no reason to stop.
fn warn_of_neighbours(ctx: &Context, session: &Session<'_>, home: &Client, name: &FullName) {
    let is_known = session.wait(home.search(&name.to_string(), MAX_NEIGHBOURS, None));
    if is_known.is_ok_and(|known| known.bricks.iter().any(|brick| brick.name == *name)) {
        return;
    }
    let prefix = format!("{}/", name.publisher);
    let Ok(known) = session.wait(home.search(&prefix, MAX_NEIGHBOURS, None)) else { return };
    for neighbour in known.bricks.iter().filter(|brick| brick.name.publisher == name.publisher) {
        if differs_by_a_hair(neighbour.name.brick.as_str(), name.brick.as_str()) {
            ctx.warn(format_args!("`{name}` is new and is easily taken for `{}`", neighbour.name));
        }
    }
}

//! `brick fetch`: get and check every locked release.

use crate::context::Context;
use crate::failure::Failure;
use crate::session::locked_session;
use crate::session::project::Project;
use crate::session::resolve::plural;

/// Get and check every required release, so that later work needs no network
#[derive(clap::Args)]
pub struct FetchArgs {}

/// Resolves, then fetches into the cache.
///
/// # Errors
/// [`Failure`].
pub fn run(ctx: &Context, _: &FetchArgs) -> Result<(), Failure> {
    let project = Project::find(ctx)?;
    let Some((session, lock)) = locked_session(ctx, &project)? else { return Ok(()) };
    let mut archive_bytes = 0;
    session.releases(&lock.bricks, |_, checked| {
        archive_bytes += checked.archive_bytes;
        Ok(())
    })?;
    let count = lock.bricks.len();
    ctx.status(
        "Verified",
        format_args!("{count} {} ({} KiB)", plural(count, "release"), archive_bytes.div_ceil(1024)),
    );
    Ok(())
}

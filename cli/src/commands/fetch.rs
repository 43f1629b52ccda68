//! `brick fetch`: get and check every locked release.

use crate::context::Context;
use crate::failure::Failure;
use crate::session::project::Project;
use crate::session::resolve::plural;
use crate::session::resolved_session;

/// Get and check every required release, so that later work needs no network
#[derive(clap::Args)]
pub struct FetchArgs {}

/// Resolves, fetches into the cache, and writes the lockfile once everything is verified.
///
/// # Errors
/// [`Failure`]; the lockfile is then as it was.
pub fn run(ctx: &Context, _: &FetchArgs) -> Result<(), Failure> {
    let project = Project::find(ctx)?;
    let Some(resolved) = resolved_session(ctx, &project)? else { return Ok(()) };
    let bricks = &resolved.lock().bricks;
    let mut archive_bytes = 0;
    resolved.session.releases(bricks, |_, checked| {
        archive_bytes += checked.archive_bytes;
        Ok(())
    })?;
    resolved.keep_lock(&project)?;
    let count = bricks.len();
    ctx.status(
        "Verified",
        format_args!("{count} {} ({} KiB)", plural(count, "release"), archive_bytes.div_ceil(1024)),
    );
    Ok(())
}

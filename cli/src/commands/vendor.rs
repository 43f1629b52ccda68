//! `brick vendor`: put every locked release into a folder, with its proof.

use std::path::PathBuf;

use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::session::project::Project;
use crate::session::resolve::plural;
use crate::session::resolved_session;
use crate::session::vendor::{VENDOR_DIR, Vendoring, folder_of};

/// Put every required release into a folder, with the proofs that anybody can check
#[derive(clap::Args)]
#[command(after_help = "\
The folder is made anew and put in place whole; `brick verify` checks it against brick.lock, offline.")]
pub struct VendorArgs {
    /// Folder to make [default: bricks, beside the manifest]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print what was vendored as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Vendored {
    dir: String,
    bricks: Vec<VendoredBrick>,
}

#[derive(Serialize)]
struct VendoredBrick {
    name: String,
    version: String,
    folder: String,
    proof: String,
}

/// Resolves, fetches, checks, and replaces the folder.
///
/// # Errors
/// [`Failure`]; the folder is then as it was, and so is the lockfile where a check refused.
pub fn run(ctx: &Context, args: &VendorArgs) -> Result<(), Failure> {
    let project = Project::find(ctx)?;
    let target = match &args.dir {
        Some(dir) => ctx.path(dir),
        None => project.dir().join(VENDOR_DIR),
    };
    let Some(resolved) = resolved_session(ctx, &project)? else { return Ok(()) };
    let lock = resolved.lock();
    let vendoring = Vendoring::begin(&target)?;
    resolved
        .session
        .releases(&lock.bricks, |brick, checked| vendoring.write(&folder_of(lock, brick), &checked))?;
    resolved.keep_lock(&project)?;
    vendoring.finish()?;
    let count = lock.bricks.len();
    ctx.status("Vendored", format_args!("{count} {} into {}", plural(count, "release"), ctx.shown(&target)));
    if !ctx.is_json() {
        return Ok(());
    }
    let bricks = lock.bricks.iter().map(|brick| {
        let folder = folder_of(lock, brick);
        VendoredBrick {
            name: brick.name.to_string(),
            version: brick.version.to_string(),
            proof: format!("{folder}.tlog-proof"),
            folder,
        }
    });
    ctx.json("vendor", &Vendored { dir: target.display().to_string(), bricks: bricks.collect() })
}

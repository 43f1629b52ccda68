//! `brick update`: resolve again and write the lockfile.

use std::collections::BTreeSet;

use brick_schemas::{FullName, Version};

use crate::context::Context;
use crate::failure::Failure;
use crate::session::Session;
use crate::session::project::Project;
use crate::session::resolve::{Unlock, plural};

/// Resolve the requirements again and write brick.lock
#[derive(clap::Args)]
pub struct UpdateArgs {
    /// Bricks that may move; all of them when none is named
    #[arg(value_name = "BRICK")]
    bricks: Vec<FullName>,
    /// The version that the one named brick moves to
    #[arg(long, value_name = "VERSION", requires = "bricks")]
    precise: Option<Version>,
    /// Say what would change without writing it
    #[arg(long)]
    dry_run: bool,
}

/// Resolves with what may move.
///
/// # Errors
/// [`Failure`].
pub fn run(ctx: &Context, args: &UpdateArgs) -> Result<(), Failure> {
    let project = Project::find(ctx)?;
    let old = project.lock(ctx)?;
    let unlock = what_may_move(args)?;
    if let Unlock::Only(names) = &unlock {
        for name in names {
            if !old.iter().flat_map(|lock| &lock.bricks).any(|brick| brick.name == *name) {
                return Err(Failure::yours(format!("{name} is not in brick.lock"))
                    .help("run `brick tree` to see what is, or `brick add` to require it"));
            }
        }
    }
    if project.is_alone() {
        ctx.note(format_args!("{} requires no bricks", project.name()));
        return Ok(());
    }
    let mut session = Session::open(ctx, old.as_ref())?;
    let answer = session.resolve(&project, old.as_ref(), &unlock)?;
    if let Unlock::Precise(name, version) = &unlock
        && answer.lock.brick(name, version).is_none()
    {
        return Err(Failure::yours(format!(
            "{name} {version} does not meet the requirements, or cannot be chosen"
        ))
        .help(format!("run `brick info {name}` to see its versions")));
    }
    if !args.dry_run && !ctx.limits().locked {
        project.keep_lock(&answer.lock)?;
    }
    session.say_changes(old.as_ref(), &answer);
    if old.as_ref().is_some_and(|old| old.bricks == answer.lock.bricks) {
        let count = answer.lock.bricks.len();
        ctx.status("Unchanged", format_args!("brick.lock, {count} {}", plural(count, "release")));
    }
    if args.dry_run {
        ctx.note(format_args!("brick.lock was not written"));
    }
    Ok(())
}

fn what_may_move(args: &UpdateArgs) -> Result<Unlock, Failure> {
    match (args.bricks.as_slice(), &args.precise) {
        ([], _) => Ok(Unlock::All),
        ([name], Some(version)) => Ok(Unlock::Precise(name.clone(), version.clone())),
        (_, Some(_)) => Err(Failure::usage("`--precise` is for one brick").help("name one brick only")),
        (names, None) => Ok(Unlock::Only(names.iter().cloned().collect::<BTreeSet<_>>())),
    }
}

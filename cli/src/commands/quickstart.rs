//! `brick quickstart`: a whole commons on this machine, in one command.

use std::path::PathBuf;

use crate::context::Context;
use crate::failure::Failure;
use crate::quickstart::{self, Plan};

/// Run a whole commons on this machine: three registries, publish, mirror, cosign, resolve, verify, vendor
#[derive(clap::Args)]
pub struct QuickstartArgs {
    /// Publish the bricks and services below this folder in place of the shipped ones
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Write everything here, and leave it; otherwise a temporary folder is used and removed
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// End after the last step instead of staying up
    #[arg(long)]
    exit: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] of the step that failed.
pub fn run(ctx: &Context, args: &QuickstartArgs) -> Result<(), Failure> {
    let temporary;
    let dir = match &args.dir {
        Some(dir) => {
            let dir = ctx.path(dir);
            let is_used = dir.read_dir().is_ok_and(|mut entries| entries.next().is_some());
            if is_used {
                return Err(Failure::yours(format!("{} is not empty", ctx.shown(&dir)))
                    .help("name a folder that is not there yet"));
            }
            std::fs::create_dir_all(&dir)
                .map_err(|err| Failure::yours(format!("cannot make {}", ctx.shown(&dir))).because(&err))?;
            dir
        }
        None => {
            temporary = tempfile::Builder::new().prefix("brick-quickstart-").tempdir().map_err(|err| {
                Failure::yours("cannot make a temporary folder").because(&err).help("name one with `--dir`")
            })?;
            temporary.path().to_owned()
        }
    };
    let plan = Plan { from: args.from.as_ref().map(|from| ctx.path(from)), dir };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|err| Failure::yours("cannot start threads").because(&err))?;
    runtime.block_on(async {
        let story = async {
            let running = quickstart::run(ctx, &plan).await?;
            if !args.exit {
                // One at a time: a line's end within a line would be shown as an escape.
                for line in quickstart::what_next(ctx, &running).lines() {
                    ctx.say(format_args!("{line}"))?;
                }
                ctx.flush()?;
                std::future::pending::<()>().await;
            }
            for server in running.commons.servers {
                server.stop().await;
            }
            Ok(())
        };
        tokio::select! {
            ended = story => ended,
            // Ctrl-C ends the story; the temporary folder is removed on the way out.
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })
}

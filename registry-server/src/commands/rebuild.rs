//! `brickyard rebuild git`: make the git repository again from the logs.

use std::path::PathBuf;

use super::failure::Failure;
use super::serve::{configured, runtime, settings};
use crate::rebuilding::rebuild_git;

/// Make again what follows from the logs
///
/// The registry must not be running.
#[derive(clap::Args)]
pub(super) struct RebuildArgs {
    /// What to make again
    what: What,
    /// The registry's set-up
    #[arg(long, value_name = "FILE", default_value = "registry.toml", env = "BRICKYARD_CONFIG")]
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// The git repository: its files are the same afterwards, its commits are others
    Git,
}

/// Makes it again.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(args: &RebuildArgs) -> Result<(), Failure> {
    let settings = settings(&configured(&args.config)?)?;
    let What::Git = args.what;
    let rebuilt = runtime()?
        .block_on(rebuild_git(&settings))
        .map_err(|err| Failure::of_registry("cannot make the git repository again", &err))?;
    match args.json {
        true => println!("{}", serde_json::json!({ "v": 1, "logs": rebuilt.logs, "leaves": rebuilt.leaves })),
        false => println!("made again from {} leaves of {} logs", rebuilt.leaves, rebuilt.logs),
    }
    Ok(())
}

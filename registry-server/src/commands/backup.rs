//! `brickyard backup` and `brickyard restore`: copy what is stored to a folder, running or not, and back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use brick_store::{BackedUp, BackupError, copy_store, restore_store};
use serde_json::json;

use super::check::{clear, failed, progress, say_repairs};
use super::failure::Failure;
use super::serve::{configured, runtime, settings};
use crate::check::restore_from;
use crate::registry::now;

/// Copy all that is stored to a new folder, also while the registry runs
///
/// The database as of one moment, and every blob that was there then, read back and flushed. The git repository is not in
/// it: it is made again. Neither are the keys: keep them elsewhere. Nothing is overwritten.
#[derive(clap::Args)]
pub(super) struct BackupArgs {
    /// Folder to make
    dir: PathBuf,
    /// The registry's set-up
    #[arg(long, value_name = "FILE", default_value = "registry.toml", env = "BRICKYARD_CONFIG")]
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Put a backup, or a git clone and what peers have, in the place of the registry's data
///
/// The data folder that `registry.toml` names must not be there (of a clone: no database in it): move the old one away and
/// keep it until all is well. The registry then signs nothing until it has from its peers what came after.
///
/// With `--clone` the logs come from clones of the commons, of this registry's repository or any other's, and from the peers;
/// every leaf is held against the signed heads and everything that follows is folded anew. Archives come from the peers.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 done, 1 the place is taken, 3 something could not be made whole.")]
pub(super) struct RestoreArgs {
    /// Folder that `brickyard backup` made
    #[arg(required_unless_present = "clones", conflicts_with = "clones")]
    dir: Option<PathBuf>,
    /// Clone of the commons on this machine; may be given more than once
    #[arg(long = "clone", value_name = "REPOSITORY")]
    clones: Vec<PathBuf>,
    /// The registry's set-up
    #[arg(long, value_name = "FILE", default_value = "registry.toml", env = "BRICKYARD_CONFIG")]
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Makes a backup.
///
/// # Errors
/// [`Failure`].
pub(super) fn backup(args: &BackupArgs) -> Result<(), Failure> {
    let data = data_of(&args.config)?;
    let backed_up = told(runtime()?.block_on(copy_store(&data, &args.dir)), "the backup was not made")?;
    say("copied", &backed_up, args.json);
    Ok(())
}

/// Restores a backup.
///
/// # Errors
/// [`Failure`].
pub(super) fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    let Some(dir) = &args.dir else { return restore_clones(args) };
    let data = data_of(&args.config)?;
    let restored =
        told(runtime()?.block_on(restore_store(dir, &data, now())), "the backup was not restored")?;
    say("restored", &restored, args.json);
    Ok(())
}

fn restore_clones(args: &RestoreArgs) -> Result<(), Failure> {
    let settings = settings(&configured(&args.config)?)?;
    let clones: Vec<PathBuf> =
        args.clones.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())).collect();
    let restored = runtime()?.block_on(restore_from(&settings, &clones, Arc::from(progress())));
    let restored = restored.map_err(|err| failed(&err))?;
    clear();
    say_repairs(&restored, args.json)?;
    match restored.is_clean() {
        true => Ok(()),
        false => Err(Failure::alarm("the registry was not restored")
            .next("give another clone with `--clone`, or name a peer in registry.toml that has the logs")),
    }
}

fn data_of(config: &Path) -> Result<PathBuf, Failure> {
    let settings = settings(&configured(config)?)?;
    Ok(settings.data)
}

fn told(outcome: Result<BackedUp, BackupError>, failed: &str) -> Result<BackedUp, Failure> {
    outcome.map_err(|err| {
        let failure = match err {
            BackupError::Damaged { .. } => Failure::alarm(failed).because(&err),
            _ => Failure::yours(failed).because(&err),
        };
        match err {
            BackupError::Taken { path } => {
                failure.next(format!("move {} away; nothing was changed", path.display()))
            }
            _ => failure,
        }
    })
}

fn say(done: &str, what: &BackedUp, json: bool) {
    let BackedUp { logs, leaves, blobs, blob_bytes, rotten } = what;
    if json {
        let counts = json!({ "v": 1, "logs": logs, "leaves": leaves, "blobs": blobs, "blob_bytes": blob_bytes, "rotten": rotten });
        println!("{counts}");
        return;
    }
    println!("{done} {logs} logs of {leaves} leaves, {blobs} blobs of {blob_bytes} bytes");
    if *rotten > 0 {
        println!("left out {rotten} damaged blobs: `brickyard check` names them");
    }
}

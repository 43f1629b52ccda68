//! `brickyard check`: hold every stored byte against its hash and signature.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use brick_store::OpenError;

use super::failure::Failure;
use super::serve::{configured, runtime, settings};
use crate::check::{CheckError, MAX_NAMED, Report, Tell, check};

/// Hold every stored byte against its hash and signature
///
/// The registry must not be running. Entries, trees and heads; the index and all else that follows from the entries,
/// folded once more in a folder beside the data that is removed afterwards; blobs; the git repository. Nothing is changed.
/// Blobs that entries name and that are not here are listed apart: that is no fault.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing found, 3 something is not what was signed, 4 the registry runs."
)]
pub(super) struct CheckArgs {
    /// The registry's set-up
    #[arg(long, value_name = "FILE", default_value = "registry.toml", env = "BRICKYARD_CONFIG")]
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Checks, and prints what was found.
///
/// # Errors
/// [`Failure`], an alarm where anything was found.
pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let settings = settings(&configured(&args.config)?)?;
    let report = runtime()?.block_on(check(&settings, progress())).map_err(|err| failed(&err))?;
    clear();
    let mut out = std::io::stdout().lock();
    let printed = match args.json {
        true => writeln!(out, "{}", report.to_json()),
        false => write!(out, "{}", told(&report)),
    };
    printed.map_err(|err| Failure::yours("cannot print what was found").because(&err))?;
    match report.is_clean() {
        true => Ok(()),
        false => Err(Failure::alarm(format!("{} faults", report.fault_count))
            .next("do not delete anything; what is lost comes back from peers, or from a backup")),
    }
}

/// A store that cannot be checked.
fn failed(err: &CheckError) -> Failure {
    clear();
    match err {
        CheckError::Open { err: OpenError::InUse { .. }, .. } => {
            Failure::unavailable("the registry is running").because(err).next("stop it first")
        }
        _ => Failure::yours("cannot check").because(err),
    }
}

/// One line on a terminal, written over and over; nothing elsewhere.
fn progress() -> Box<Tell> {
    match std::io::stderr().is_terminal() {
        true => Box::new(|line| {
            let _ = write!(std::io::stderr(), "\r\x1b[Kchecking {line}");
        }),
        false => Box::new(|_| {}),
    }
}

fn clear() {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}

fn told(report: &Report) -> String {
    let checked = &report.checked;
    let mut text = format!(
        "checked   {} logs: {} leaves, {} heads, {} cosignatures\n\
         checked   {} entries and {} snapshots, folded again\n\
         checked   {} blobs of {} bytes, {} files in git\n",
        checked.logs,
        checked.leaves,
        checked.heads,
        checked.cosignatures,
        checked.entries,
        checked.snapshots,
        checked.blobs,
        checked.blob_bytes,
        checked.git_files
    );
    for fault in &report.faults {
        let kind = serde_json::to_value(fault.kind).ok();
        let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default();
        text.push_str(&format!("fault     {kind}: {}: {}\n", fault.place, fault.why));
    }
    for missing in &report.missing {
        text.push_str(&format!("missing   blob {} of {} bytes\n", missing.sha256, missing.bytes));
    }
    for origin in &report.behind {
        text.push_str(&format!("behind    git, with {origin}: it catches up when the registry runs\n"));
    }
    for what in &report.unchecked {
        text.push_str(&format!("unchecked {what}\n"));
    }
    for (count, what) in [(report.fault_count, "faults"), (report.missing_count, "missing blobs")] {
        if count > MAX_NAMED as u64 {
            text.push_str(&format!("in all    {count} {what}, the first {MAX_NAMED} are named\n"));
        }
    }
    if report.is_clean() {
        text.push_str("everything is what was signed\n");
    }
    text
}

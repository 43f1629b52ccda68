//! `brickyard check`: hold every stored byte against its hash and signature.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use brick_schemas::text::escape;
use brick_store::OpenError;

use super::failure::Failure;
use super::serve::{configured, runtime, settings};
use crate::check::{CheckError, MAX_NAMED, Mended, Repairs, Report, Tell, check, repair};
use crate::settings::Settings;

/// Hold every stored byte against its hash and signature
///
/// The registry must not be running. Entries, trees and heads; the index and all else that follows from the entries,
/// folded once more in a folder beside the data that is removed afterwards; blobs; the git repository. Nothing is changed
/// unless `--repair` is given: then what is damaged comes from peers, as far as signatures and digests bear it out, and the
/// damaged database is kept beside the new one. Blobs that entries name and that are not here are listed apart.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing found, or all of it repaired; 3 something is not what was signed; 4 the registry runs."
)]
pub(super) struct CheckArgs {
    /// The registry's set-up
    #[arg(long, value_name = "FILE", default_value = "registry.toml", env = "BRICKYARD_CONFIG")]
    config: PathBuf,
    /// Repair from peers what is damaged
    #[arg(long)]
    repair: bool,
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
    if args.repair {
        return run_repair(&settings, args.json);
    }
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
            .next("do not delete anything; `brickyard check --repair` fetches from peers what is damaged")),
    }
}

fn run_repair(settings: &Settings, json: bool) -> Result<(), Failure> {
    let repairs = runtime()?.block_on(repair(settings, Arc::from(progress()))).map_err(|err| failed(&err))?;
    clear();
    say_repairs(&repairs, json)?;
    match repairs.is_clean() {
        true => Ok(()),
        false => Err(Failure::alarm(format!("{} things are not repaired", repairs.not_repaired.len()))
            .next("start a peer that has them and repair again, or restore a backup")),
    }
}

/// Prints what a repair came to.
pub(super) fn say_repairs(repairs: &Repairs, json: bool) -> Result<(), Failure> {
    let mut text = String::new();
    match json {
        true => text = format!("{}\n", repairs.to_json()),
        false => {
            text.push_str(&told(&repairs.before));
            for (mended, word) in [(&repairs.repaired, "repaired"), (&repairs.not_repaired, "NOT      ")] {
                for Mended { kind, what } in mended {
                    let kind = serde_json::to_value(kind).ok();
                    let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default();
                    text.push_str(&format!("{word}  {kind}: {}\n", escape(what)));
                }
            }
            if let Some(after) = &repairs.after {
                text.push_str(&told(after));
            }
        }
    }
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|err| Failure::yours("cannot print what was found").because(&err))
}

/// A store that cannot be checked.
pub(super) fn failed(err: &CheckError) -> Failure {
    clear();
    match err {
        CheckError::Open { err: OpenError::InUse { .. }, .. } => {
            Failure::unavailable("the registry is running").because(err).next("stop it first")
        }
        _ => Failure::yours("cannot check").because(err),
    }
}

/// One line on a terminal, written over and over; nothing elsewhere.
pub(super) fn progress() -> Box<Tell> {
    match std::io::stderr().is_terminal() {
        true => Box::new(|line| {
            let _ = write!(std::io::stderr(), "\r\x1b[Kchecking {line}");
        }),
        false => Box::new(|_| {}),
    }
}

pub(super) fn clear() {
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

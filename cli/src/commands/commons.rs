//! `brick commons`: found a commons, admit who takes part, and say which one is trusted.

mod admit;
mod init;
mod show;
mod sign;
mod submit;
mod trust;

use std::path::{Path, PathBuf};

use brick_schemas::PublicKey;
use brick_trust::root::Role;

use crate::context::Context;
use crate::failure::Failure;
use crate::keys;

/// Found a commons, admit publishers and registries, choose which to trust
#[derive(clap::Args)]
#[command(after_help = "\
Founding, in order: `init` drafts the root, every steward runs `sign` on it, `show` prints the digest that all clients pin.
Admission, in order: `admit` drafts a record, enough registrars run `sign` on it, `submit` sends it to the registry.")]
pub struct CommonsArgs {
    #[command(subcommand)]
    command: CommonsCommand,
}

#[derive(clap::Subcommand)]
enum CommonsCommand {
    Init(init::InitArgs),
    Sign(sign::SignArgs),
    Show(show::ShowArgs),
    Trust(trust::TrustArgs),
    Admit(admit::AdmitArgs),
    Submit(submit::SubmitArgs),
}

/// Runs one of the subcommands.
///
/// # Errors
/// [`Failure`].
pub fn run(ctx: &Context, args: &CommonsArgs) -> Result<(), Failure> {
    match &args.command {
        CommonsCommand::Init(args) => init::run(ctx, args),
        CommonsCommand::Sign(args) => sign::run(ctx, args),
        CommonsCommand::Show(args) => show::run(ctx, args),
        CommonsCommand::Trust(args) => trust::run(ctx, args),
        CommonsCommand::Admit(args) => admit::run(ctx, args),
        CommonsCommand::Submit(args) => submit::run(ctx, args),
    }
}

/// The role that keys given on the command line form.
///
/// - `threshold`: how many must sign; absent: more than half of them.
///
/// # Errors
/// [`Failure`] for unfit or repeated keys and impossible thresholds.
fn role(ctx: &Context, who: &str, texts: &[String], threshold: Option<u32>) -> Result<Role, Failure> {
    let mut keys: Vec<PublicKey> = Vec::with_capacity(texts.len());
    for text in texts {
        let key = keys::public_key(ctx, text)?;
        if keys.contains(&key) {
            return Err(Failure::usage(format!("`{text}` stands twice among the {who}"))
                .help("give every key once; each counts once"));
        }
        keys.push(key);
    }
    let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let threshold = threshold.unwrap_or(count / 2 + 1);
    if threshold == 0 || threshold > count {
        return Err(Failure::usage(format!(
            "{threshold} of {count} {who} can never be met or means nothing"
        ))
        .help(format!("choose a threshold from 1 to {count}")));
    }
    Ok(Role { keys, threshold })
}

/// Where the title of a publisher lies while its record is on its way between signers.
fn title_path(draft: &Path) -> PathBuf {
    draft.with_extension("title")
}

//! `brick publish`: sign a brick or a service and have it logged.

mod release;
mod service;
mod source;

use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::keys::SigningArgs;
use crate::place::{self, Place};
use crate::publishing::{Acknowledged, Send};

/// Sign a brick or a service and have it logged by its home registry
#[derive(clap::Args)]
#[command(after_help = "\
A published version never changes and never disappears; `brick yank` says that it is not to be newly used.
If the answer is lost, run the same command again: it sends the same entry, which is harmless if it was logged.")]
pub struct PublishArgs {
    /// Do everything but send it
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Publish without being asked
    #[arg(long, short)]
    yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    signing: SigningArgs,
}

#[derive(Serialize)]
struct Published<'a> {
    /// `release` or `service`.
    kind: &'a str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Whether it is in the log now; false for `--dry-run`.
    published: bool,
    /// Whether it was there before.
    already: bool,
    log: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// Publishes the brick or service that is meant.
///
/// # Errors
/// [`Failure`].
pub fn run(ctx: &Context, args: &PublishArgs) -> Result<(), Failure> {
    let place = place::find(ctx)?;
    super::check::demand_no_errors(ctx, &place)?;
    let published = match &place {
        Place::Brick(_) => release::publish(ctx, args, &place)?,
        Place::Service(path) => service::publish(ctx, args, &place, path)?,
    };
    let version = published.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    match (published.published, published.index) {
        (true, Some(index)) if published.already => {
            ctx.status(
                "Found",
                format_args!(
                    "{}{version}: published before, entry {index} of {}",
                    published.name, published.log
                ),
            );
        }
        (true, Some(index)) => {
            ctx.status(
                "Published",
                format_args!("{}{version}: entry {index} of {}", published.name, published.log),
            );
        }
        _ => ctx.status("Checked", format_args!("{}{version}: signed, nothing was sent", published.name)),
    }
    if args.json {
        ctx.json("publish", &published)?;
    }
    Ok(())
}

impl PublishArgs {
    fn send(&self) -> Send {
        if self.dry_run { Send::Never } else { Send::Really }
    }

    /// Asks a person, where there is one, before something is said for ever.
    fn agree(&self, ctx: &Context, what: &str) -> Result<(), Failure> {
        if self.dry_run || self.yes || !ctx.can_ask() || ctx.confirm(&format!("Publish {what} for ever?"))? {
            return Ok(());
        }
        Err(Failure::yours("not published").help("run it again when you agree; `--yes` does not ask"))
    }
}

impl<'a> Published<'a> {
    fn new(kind: &'a str, name: &brick_schemas::FullName, log: &brick_schemas::Origin) -> Self {
        Self {
            kind,
            name: name.to_string(),
            version: None,
            published: false,
            already: false,
            log: log.to_string(),
            index: None,
            sha256: None,
        }
    }

    fn acknowledged(mut self, acknowledged: Option<Acknowledged>) -> Self {
        if let Some(acknowledged) = acknowledged {
            self.published = true;
            self.already = acknowledged.duplicate;
            self.index = Some(acknowledged.index);
        }
        self
    }
}

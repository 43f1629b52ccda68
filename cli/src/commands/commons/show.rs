//! `brick commons show`: what a draft or signed entry says, and who takes part, in words.

use std::path::PathBuf;

use brick_schemas::Digest;
use brick_schemas::predicate::{Publisher, Registry};
use serde::Serialize;

use crate::context::Context;
use crate::drafts::{self, Description, Mark, Said};
use crate::failure::Failure;
use crate::session::Session;

/// Say in words what a draft or a signed entry says, or who takes part in the commons trusted here
#[derive(clap::Args)]
pub(super) struct ShowArgs {
    /// A draft or a signed entry; otherwise the commons that is trusted
    file: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Taking<'a> {
    commons: String,
    root_sha256: Digest,
    root_version: u64,
    expires: u64,
    entries: u64,
    registries: Vec<&'a Registry>,
    publishers: Vec<&'a Publisher>,
}

#[derive(Serialize)]
struct Shown {
    kind: &'static str,
    /// SHA-256 of the payload; of a first root it is what clients pin.
    digest: Digest,
    signatures: Vec<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u32>,
    payload: serde_json::Value,
}

/// Prints it.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(ctx: &Context, args: &ShowArgs) -> Result<(), Failure> {
    let Some(file) = &args.file else { return commons(ctx, args.json) };
    let envelope = drafts::read(&ctx.path(file))?;
    let said = drafts::said(&envelope)?;
    if !args.json {
        let deciders = drafts::deciders(ctx, &said);
        for line in drafts::describe(&envelope, &said, deciders.as_deref(), &drafts::key_names(ctx)).lines() {
            ctx.say(format_args!("{line}"))?;
        }
        return Ok(());
    }
    let kind = match &said {
        Said::Root(_) => "root",
        Said::Entry(statement) => statement.predicate.kind(),
    };
    let deciders = drafts::deciders(ctx, &said).unwrap_or_default();
    let keys = drafts::deciding_keys(&deciders);
    let threshold = deciders.first().map(|decider| decider.role.threshold);
    let payload = serde_json::from_slice(&envelope.payload)
        .map_err(|err| Failure::yours("the entry's payload is not JSON").because(&err))?;
    let digest = envelope.payload_digest();
    ctx.json(
        "commons-show",
        &Shown { kind, digest, signatures: drafts::marks(&envelope, &keys), threshold, payload },
    )
}

/// Who takes part in the trusted commons, as of its newest head where a registry can be asked.
fn commons(ctx: &Context, json: bool) -> Result<(), Failure> {
    let mut session = Session::open(ctx, None)?;
    if session.registry().is_some() {
        session.sync()?;
    }
    let commons = session.commons();
    let root = commons.root();
    if json {
        let taking = Taking {
            commons: root.terms.commons.to_string(),
            root_sha256: commons.first_root(),
            root_version: root.version,
            expires: root.expires,
            entries: commons.size(),
            registries: commons.registries().collect(),
            publishers: commons.publishers().collect(),
        };
        return ctx.json("commons", &taking);
    }
    let names = drafts::key_names(ctx);
    let mut about = Description::new(format!("the commons {}", root.terms.commons));
    about.row("pinned root", commons.first_root().to_string());
    about.row("root version", root.version.to_string());
    drafts::root_rows(&mut about, root, &names);
    about.row("entries", commons.size().to_string());
    for (i, registry) in commons.registries().enumerate() {
        let urls = registry.urls.first().map_or("", String::as_str);
        about.row(if i == 0 { "registries" } else { "" }, format!("{} {urls}", registry.id));
    }
    for (i, record) in commons.publishers().enumerate() {
        let kind = drafts::kind_word(record.kind);
        about.row(
            if i == 0 { "publishers" } else { "" },
            format!("{} ({kind}), home {}", record.id, record.home),
        );
    }
    about.lines().iter().try_for_each(|line| ctx.say(format_args!("{line}")))
}

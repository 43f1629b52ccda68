//! `brick commons show`: what a draft or signed entry says, in words.

use std::path::PathBuf;

use brick_schemas::Digest;
use serde::Serialize;

use crate::context::Context;
use crate::drafts::{self, Mark, Said};
use crate::failure::Failure;

/// Say in words what a draft or a signed entry says, and who has signed it
#[derive(clap::Args)]
pub(super) struct ShowArgs {
    /// The file
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
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
    let envelope = drafts::read(&ctx.path(&args.file))?;
    let said = drafts::said(&envelope)?;
    if !args.json {
        for line in drafts::describe(&envelope, &said, None, &drafts::key_names(ctx)).lines() {
            ctx.say(format_args!("{line}"))?;
        }
        return Ok(());
    }
    let (kind, keys, threshold) = match &said {
        Said::Root(root) => ("root", root.stewards.keys.as_slice(), Some(root.stewards.threshold)),
        Said::Entry(statement) => (statement.predicate.kind(), [].as_slice(), None),
    };
    let payload = serde_json::from_slice(&envelope.payload)
        .map_err(|err| Failure::yours("the entry's payload is not JSON").because(&err))?;
    let digest = envelope.payload_digest();
    ctx.json(
        "commons-show",
        &Shown { kind, digest, signatures: drafts::marks(&envelope, keys), threshold, payload },
    )
}

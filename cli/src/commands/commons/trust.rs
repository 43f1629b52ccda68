//! `brick commons trust`: decide, once, which commons to rely on.

use brick_schemas::Digest;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::session::commons;

/// Rely on a commons: pin the digest of its first root
#[derive(clap::Args)]
#[command(after_help = "\
Take the digest from somewhere that does not depend on the registry: the commons publishes it in print and on its members'
pages. Everything the registry says is checked against it, now and ever after.")]
pub(super) struct TrustArgs {
    /// Address of any registry of the commons; it becomes the one that is asked
    url: String,
    /// SHA-256 of the commons' first root
    #[arg(long, value_name = "HEX")]
    root_sha256: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Trusted {
    commons: String,
    root_sha256: Digest,
    entries: u64,
}

/// Fetches the commons log, checks all of it against the digest, and keeps the pin.
///
/// # Errors
/// [`Failure`] at the step `root` where it is another commons.
pub(super) fn run(ctx: &Context, args: &TrustArgs) -> Result<(), Failure> {
    let root_sha256 = Digest::parse(args.root_sha256.trim()).map_err(|err| {
        Failure::usage(format!("`{}` is no digest", args.root_sha256))
            .because(&err)
            .help("copy the 64 hexadecimal digits that the commons publishes")
    })?;
    let (pin, entries) = commons::trust(ctx, &args.url, root_sha256)?;
    let domain = pin.origin.domain();
    ctx.status("Trusted", format_args!("{domain}: its root is {root_sha256}, {entries} entries checked"));
    if args.json {
        return ctx.json("commons-trust", &Trusted { commons: domain.to_string(), root_sha256, entries });
    }
    Ok(())
}

//! `brick commons trust`: pin a commons by the digest of its first root.

use brick_schemas::Digest;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::session;

/// Trust a commons by the digest of its first root
#[derive(clap::Args)]
#[command(after_help = "\
The digest must come from the commons itself, by a way that the registry cannot change: its page, a letter, a colleague.
Everything that any registry says afterwards is checked against it.")]
pub struct TrustArgs {
    /// A registry of the commons
    #[arg(value_name = "URL")]
    url: String,
    /// SHA-256 of the commons' first root
    #[arg(long, value_name = "HEX")]
    root_sha256: Digest,
    /// Do not make this registry the default one
    #[arg(long)]
    no_default: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Trusted<'a> {
    commons: &'a str,
    root_sha256: Digest,
    entries: u64,
}

/// Fetches the commons log, checks that everything follows from that root, and keeps the pin.
///
/// # Errors
/// [`Failure`]; nothing is trusted then.
pub fn run(ctx: &Context, args: &TrustArgs) -> Result<(), Failure> {
    let (pin, size) = session::commons::trust(ctx, &args.url, args.root_sha256)?;
    ctx.status("Verified", format_args!("{}, {size} entries from root {}", pin.origin, pin.root_sha256));
    if !args.no_default && session::store::Config::read(ctx.home())?.registry.is_none() {
        session::store::Config::write_registry(ctx.home(), &pin.urls[0])?;
        ctx.status("Default", format_args!("registry is now {}", pin.urls[0]));
    }
    let domain = pin.origin.domain();
    if args.json {
        let trusted = Trusted { commons: domain.as_str(), root_sha256: pin.root_sha256, entries: size };
        return ctx.json("commons-trust", &trusted);
    }
    ctx.say(format_args!("trusted {domain}"))
}

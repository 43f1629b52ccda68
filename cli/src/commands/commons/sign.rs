//! `brick commons sign`: add one's signature to a draft, after having been shown what it says.

use std::path::PathBuf;

use brick_schemas::PublicKey;

use crate::context::Context;
use crate::drafts::{self, MarkState, Said};
use crate::failure::Failure;
use crate::keys::{self, SigningArgs};

/// Show a draft in words and add your signature to it
#[derive(clap::Args)]
pub(super) struct SignArgs {
    /// The draft; signed in place
    file: PathBuf,
    /// Write the signed draft here instead
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign without being asked
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    signing: SigningArgs,
}

/// Shows, asks, signs and writes.
///
/// # Errors
/// [`Failure`] when the draft is malformed, the key has no say in it, or nobody agreed.
pub(super) fn run(ctx: &Context, args: &SignArgs) -> Result<(), Failure> {
    let path = ctx.path(&args.file);
    let mut envelope = drafts::read(&path)?;
    let said = drafts::said(&envelope)?;
    let names = drafts::key_names(ctx);
    let deciders = drafts::deciders(ctx, &said);
    ctx.talk_block(&drafts::describe(&envelope, &said, deciders.as_deref(), &names).lines().join("\n"));
    let fitting = deciders.as_deref().map(drafts::deciding_keys).unwrap_or_default();
    refuse_false_marks(&envelope, &fitting)?;
    if !args.yes && !ctx.can_ask() {
        return Err(Failure::usage("nobody can be asked whether to sign this")
            .reason("there is no terminal")
            .help("read what is shown above, then say `--yes`"));
    }
    let signer = keys::signer(ctx, &args.signing, &fitting)?;
    let public = signer.public();
    // A signature that does not count would make the whole entry void. The stewards before a later root are not known here.
    let is_later_root = matches!(&said, Said::Root(root) if root.version > 1);
    if let Some(deciders) = &deciders
        && !fitting.contains(&public)
        && !is_later_root
    {
        let who: Vec<&str> = deciders.iter().map(|decider| decider.who).collect();
        return Err(Failure::yours(format!("key {public} is not one of the {}", who.join(" or ")))
            .reason("with a signature that does not count nobody would accept it")
            .help("sign with a key that is named above: `--key NAME`"));
    }
    if !args.yes
        && !ctx.confirm(&format!("Sign this with key {}?", drafts::key_with_name(&public, &names)))?
    {
        return Err(Failure::yours("not signed").help("run it again when you agree with what is shown"));
    }
    envelope.sign(signer.as_ref()).map_err(|err| Failure::yours("cannot sign").because(&err))?;
    let out = args.out.as_ref().map_or(path, |out| ctx.path(out));
    drafts::write(&out, &envelope)?;
    ctx.status(
        "Signed",
        format_args!("{} with key {}", out.display(), drafts::key_with_name(&public, &names)),
    );
    if let Some(deciders) = &deciders {
        ctx.status("Now", format_args!("{}", drafts::tally(&envelope, deciders)));
    }
    Ok(())
}

/// A false signature would make the finished entry void for everybody: it is found before more people sign.
fn refuse_false_marks(envelope: &brick_trust::Envelope, keys: &[PublicKey]) -> Result<(), Failure> {
    match drafts::marks(envelope, keys).iter().find(|mark| mark.state == MarkState::False) {
        None => Ok(()),
        Some(mark) => {
            Err(Failure::alarm(format!("the signature of key {} on this draft is false", mark.keyid))
                .reason("somebody changed the draft after it was signed, or the file is damaged")
                .help("ask for the draft again from whoever wrote it"))
        }
    }
}

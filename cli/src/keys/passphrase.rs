//! Where does a passphrase come from? A file, `BRICK_KEY_PASSPHRASE`, or a person; never the command line.

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::context::Context;
use crate::failure::Failure;
use crate::files;

/// Bytes of a passphrase, at most.
const MAX_PASSPHRASE_BYTES: usize = 1_024;
/// Times that two different new passphrases may be typed.
const MAX_TRIES: usize = 3;

/// Where the passphrase comes from
#[derive(clap::Args, Clone, Default)]
pub struct PassphraseArgs {
    /// File whose first line is the key's passphrase [env: BRICK_KEY_PASSPHRASE holds the passphrase]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// The passphrase of an encrypted key.
///
/// - `what`: the key, as the question and errors call it.
///
/// # Errors
/// [`Failure`] when none was given and nobody can be asked.
pub(crate) fn of_existing(
    ctx: &Context,
    what: &str,
    args: &PassphraseArgs,
) -> Result<Zeroizing<String>, Failure> {
    match given(ctx, args)? {
        Some(passphrase) => Ok(passphrase),
        None if ctx.can_ask() => ask(&format!("Passphrase of {what}: ")),
        None => Err(Failure::yours(format!("{what} needs its passphrase"))
            .reason("there is no terminal to ask on")
            .help("set BRICK_KEY_PASSPHRASE, or name a file with `--passphrase-file`")),
    }
}

/// A new key's passphrase, asked for twice.
///
/// # Errors
/// [`Failure`] when none was given and nobody can be asked, or it is empty.
pub(crate) fn of_new(ctx: &Context, args: &PassphraseArgs) -> Result<Zeroizing<String>, Failure> {
    if let Some(passphrase) = given(ctx, args)? {
        return Ok(passphrase);
    }
    if !ctx.can_ask() {
        return Err(Failure::yours("a new key needs a passphrase")
            .reason("there is no terminal to ask on")
            .help(
                "set BRICK_KEY_PASSPHRASE, name a file with `--passphrase-file`, or say `--no-passphrase`",
            ));
    }
    for _ in 0..MAX_TRIES {
        let first = ask("Passphrase for the new key: ")?;
        if first.is_empty() {
            ctx.warn(format_args!(
                "an empty passphrase protects nothing; `--no-passphrase` says that openly"
            ));
            continue;
        }
        if ask("The same again: ")? == first {
            return Ok(first);
        }
        ctx.warn(format_args!("these two differ"));
    }
    Err(Failure::yours("no passphrase was chosen").help("run it again"))
}

fn given(ctx: &Context, args: &PassphraseArgs) -> Result<Option<Zeroizing<String>>, Failure> {
    let (source, passphrase) = if let Some(path) = &args.passphrase_file {
        let text = Zeroizing::new(files::read_text(&ctx.path(path), MAX_PASSPHRASE_BYTES as u64)?);
        (format!("`{}`", path.display()), Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
    } else if let Some(value) = ctx.env("BRICK_KEY_PASSPHRASE") {
        let text = value.to_str().ok_or_else(|| Failure::yours("BRICK_KEY_PASSPHRASE is not text"))?;
        ("BRICK_KEY_PASSPHRASE".to_owned(), Zeroizing::new(text.to_owned()))
    } else {
        return Ok(None);
    };
    if passphrase.is_empty() || passphrase.len() > MAX_PASSPHRASE_BYTES {
        return Err(Failure::yours(format!("the passphrase in {source} is empty or too long"))
            .help(format!("write 1 to {MAX_PASSPHRASE_BYTES} bytes on its first line")));
    }
    Ok(Some(passphrase))
}

fn ask(question: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(|err| Failure::yours("cannot ask for the passphrase").because(&err))
}

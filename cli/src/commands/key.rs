//! `brick key`: make, list and hand out signing keys.

use brick_schemas::{Digest, PublicKey};
use brick_trust::key::ssh_public_line;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::keys::{self, PassphraseArgs, Protection, agent};

/// Make, list and hand out signing keys
#[derive(clap::Args)]
#[command(after_help = "\
Keys are OpenSSH private-key files in `keys/` of BRICK_HOME: `ssh-add`, `ssh-keygen -p` and hardware agents work with them.
In CI, put such a file's text into the secret BRICK_KEY and its passphrase into the secret BRICK_KEY_PASSPHRASE.")]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(clap::Subcommand)]
enum KeyCommand {
    New(NewArgs),
    List(ListArgs),
    Export(ExportArgs),
}

/// Make a key and print its public half
#[derive(clap::Args)]
struct NewArgs {
    /// Name to keep it under
    name: String,
    /// Leave the file unencrypted, protected by its mode (0600) alone
    #[arg(long, conflicts_with = "passphrase_file")]
    no_passphrase: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// What agents show beside it; public
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// List the keys there are
#[derive(clap::Args)]
struct ListArgs {
    /// Those of the SSH agent
    #[arg(long)]
    agent: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Print a key's public half, or its file
#[derive(clap::Args)]
struct ExportArgs {
    /// Name of the key, or its file
    name: String,
    /// In which form
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(clap::ValueEnum, Clone, Copy, Default)]
enum Format {
    /// 64 hexadecimal digits, as records name keys
    #[default]
    Hex,
    /// `ssh-ed25519 AAAA… name`
    Ssh,
    /// The key id that envelopes name it by
    Id,
    /// The private-key file itself, encrypted if it is; for a backup or a CI secret
    Secret,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    public: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs one of the subcommands.
///
/// # Errors
/// [`Failure`].
pub fn run(ctx: &Context, args: &KeyArgs) -> Result<(), Failure> {
    match &args.command {
        KeyCommand::New(args) => new(ctx, args),
        KeyCommand::List(args) => list(ctx, args),
        KeyCommand::Export(args) => export(ctx, args),
    }
}

fn new(ctx: &Context, args: &NewArgs) -> Result<(), Failure> {
    let protection = if args.no_passphrase { Protection::None } else { Protection::Passphrase };
    let comment = args.comment.as_deref().unwrap_or(&args.name);
    let (public, path) = keys::create(ctx, &args.name, comment, &args.passphrase, protection)?;
    ctx.status("Created", format_args!("key `{}` in {}", args.name, path.display()));
    if protection == Protection::None {
        ctx.warn(format_args!("whoever reads that file can sign as you; it has no passphrase"));
    }
    if args.json {
        let encrypted = Some(protection == Protection::Passphrase);
        return ctx.json("key", &Shown::of(&args.name, public, encrypted));
    }
    ctx.say(format_args!("{public}"))
}

fn list(ctx: &Context, args: &ListArgs) -> Result<(), Failure> {
    let shown: Vec<Shown> = if args.agent {
        agent::list(ctx)?.into_iter().map(|key| Shown::of(&key.comment, key.public, None)).collect()
    } else {
        keys::list(ctx)?
            .into_iter()
            .map(|key| match key.public {
                Ok(public) => Shown::of(&key.name, public, Some(key.is_encrypted)),
                Err(err) => Shown {
                    name: key.name,
                    public: None,
                    id: None,
                    encrypted: None,
                    error: Some(err.to_string()),
                },
            })
            .collect()
    };
    if args.json {
        #[derive(Serialize)]
        struct Keys {
            keys: Vec<Shown>,
        }
        return ctx.json("key-list", &Keys { keys: shown });
    }
    if shown.is_empty() {
        ctx.note(format_args!("there are no keys; `brick key new NAME` makes one"));
    }
    let width = shown.iter().map(|key| key.name.chars().count()).max().unwrap_or(0);
    for key in &shown {
        let name = &key.name;
        match (key.public, key.encrypted, &key.error) {
            (Some(public), Some(false), _) => {
                ctx.say(format_args!("{name:width$}  {public}  unencrypted"))?
            }
            (Some(public), _, _) => ctx.say(format_args!("{name:width$}  {public}"))?,
            (None, _, error) => {
                ctx.say(format_args!("{name:width$}  ({})", error.as_deref().unwrap_or("unreadable")))?;
            }
        }
    }
    Ok(())
}

fn export(ctx: &Context, args: &ExportArgs) -> Result<(), Failure> {
    if let Format::Secret = args.format {
        let path = keys::find(ctx, &args.name)?;
        return ctx.results(&keys::read_secret(&path)?);
    }
    let public = keys::public_key(ctx, &args.name)?;
    match args.format {
        Format::Ssh => ctx.say(format_args!("{}", ssh_public_line(&public, &args.name))),
        Format::Id => ctx.say(format_args!("{}", public.id())),
        Format::Hex | Format::Secret => ctx.say(format_args!("{public}")),
    }
}

impl Shown {
    fn of(name: &str, public: PublicKey, encrypted: Option<bool>) -> Self {
        Self { name: name.to_owned(), public: Some(public), id: Some(public.id()), encrypted, error: None }
    }
}

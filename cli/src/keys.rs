//! Which secret key signs? OpenSSH private-key files under `keys/` of the home, a file elsewhere, `BRICK_KEY`, or an agent.
//!
//! Who trusts these files: nobody but their owner. Losing one costs a change of the record that names it.

pub(crate) mod agent;
mod passphrase;

use std::path::{Path, PathBuf};

use brick_schemas::PublicKey;
use brick_trust::Signer;
use brick_trust::key::{self, KeyFileError, MAX_KEY_FILE_BYTES};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

pub(crate) use passphrase::PassphraseArgs;

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Access};

/// Key files that are listed, at most.
const MAX_KEYS: usize = 1_024;
/// Characters in a key's name, at most.
const MAX_NAME_CHARS: usize = 64;

/// The key to sign with
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Signing")]
pub struct SigningArgs {
    /// Key to sign with: a name of `brick key list`, or a private-key file [env: BRICK_KEY holds such a file's text]
    #[arg(long, value_name = "NAME|PATH")]
    key: Option<String>,
    /// Sign with an ed25519 key of the SSH agent; `--key` then chooses by comment or public key
    #[arg(long)]
    agent: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// One key in the home's `keys/`.
pub(crate) struct StoredKey {
    /// Its file's name.
    pub(crate) name: String,
    /// Its file.
    pub(crate) path: PathBuf,
    /// Its public half, or why the file is none of a key.
    pub(crate) public: Result<PublicKey, KeyFileError>,
    /// Whether a passphrase is needed.
    pub(crate) is_encrypted: bool,
}

/// The key that `args` ask for: `--key`, `--agent`, `BRICK_KEY`, or the only one there is that fits.
///
/// - `fitting`: the keys whose signature would count, which narrow the choice where nothing was chosen; empty: any.
///
/// # Errors
/// [`Failure`] which names the keys to choose from, or what does not open.
pub(crate) fn signer(
    ctx: &Context,
    args: &SigningArgs,
    fitting: &[PublicKey],
) -> Result<Box<dyn Signer>, Failure> {
    if args.agent {
        return Ok(Box::new(agent::choose(ctx, args.key.as_deref(), fitting)?));
    }
    let (what, text) = match (&args.key, ctx.env("BRICK_KEY")) {
        (Some(wanted), _) => {
            let path = find(ctx, wanted)?;
            warn_if_open_to_others(ctx, &path);
            (format!("key `{wanted}`"), read_secret(&path)?)
        }
        (None, Some(text)) => {
            ("the key in BRICK_KEY".to_owned(), Zeroizing::new(text.as_encoded_bytes().to_vec()))
        }
        (None, None) => {
            let path = only_key(ctx, fitting)?;
            warn_if_open_to_others(ctx, &path);
            (format!("key `{}`", path.file_name().unwrap_or_default().display()), read_secret(&path)?)
        }
    };
    open(ctx, &what, &text, &args.passphrase).map(|key| Box::new(key) as Box<dyn Signer>)
}

/// Opens a private-key file's text, with its passphrase where it has one.
fn open(ctx: &Context, what: &str, text: &[u8], args: &PassphraseArgs) -> Result<SigningKey, Failure> {
    let fail = |err: KeyFileError| {
        let failure = Failure::yours(format!("cannot use {what}")).because(&err);
        match err {
            KeyFileError::Passphrase => failure.help("try again with the passphrase it was made with"),
            KeyFileError::Algorithm { .. } => {
                failure.help("make an ed25519 key with `brick key new NAME` or `ssh-keygen -t ed25519`")
            }
            KeyFileError::Form(_) | KeyFileError::TooLong => {
                failure.help("name the private-key file that `brick key new` or `ssh-keygen` wrote")
            }
            _ => failure,
        }
    };
    match key::parse_key_file(text, None) {
        Err(KeyFileError::NeedsPassphrase) => {
            let passphrase = passphrase::of_existing(ctx, what, args)?;
            key::parse_key_file(text, Some(passphrase.as_bytes())).map_err(fail)
        }
        other => other.map_err(fail),
    }
}

/// Makes a key and keeps it as `keys/<name>`.
///
/// Returns its public half and its file.
///
/// # Errors
/// [`Failure`] when the name is taken or unfit, no passphrase was given, or the file cannot be written.
pub(crate) fn create(
    ctx: &Context,
    name: &str,
    comment: &str,
    args: &PassphraseArgs,
    protection: Protection,
) -> Result<(PublicKey, PathBuf), Failure> {
    check_name(name)?;
    let dir = ctx.home().join("keys");
    let path = dir.join(name);
    if path.exists() {
        return Err(Failure::yours(format!("there is a key `{name}` already"))
            .help("choose another name; see `brick key list`"));
    }
    // Asked before anything is written.
    let passphrase = match protection {
        Protection::Passphrase => Some(passphrase::of_new(ctx, args)?),
        Protection::None => None,
    };
    let mut seed = Zeroizing::new([0; 32]);
    let (mut salt, mut checkint) = ([0; 16], [0; 4]);
    for random in [seed.as_mut_slice(), &mut salt, &mut checkint] {
        getrandom::fill(random)
            .map_err(|err| Failure::yours("the system gives no random numbers").because(&err))?;
    }
    let key = SigningKey::from_bytes(&seed);
    let encryption = passphrase.as_ref().map(|p| (p.as_bytes(), salt, u32::from_be_bytes(checkint)));
    let text = key::write_key_file(&key, comment, encryption)
        .map_err(|err| Failure::yours("cannot encode the key").because(&err))?;
    files::make_dir(ctx.home(), Access::Owner)?;
    files::make_dir(&dir, Access::Owner)?;
    files::write_new(&path, text.as_bytes(), Access::Owner)?;
    Ok((key.public(), path))
}

/// How a new key's file is kept from other readers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Encrypted.
    Passphrase,
    /// By the file's mode alone.
    None,
}

/// The keys of the home, by name.
///
/// # Errors
/// [`Failure`] when the directory cannot be read.
pub(crate) fn list(ctx: &Context) -> Result<Vec<StoredKey>, Failure> {
    let dir = ctx.home().join("keys");
    let unreadable = |err: std::io::Error| {
        Failure::yours(format!("cannot read directory `{}`", dir.display())).because(&err)
    };
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(unreadable(err)),
    };
    let mut keys = Vec::new();
    for entry in entries.take(MAX_KEYS) {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        if check_name(&name).is_err() {
            continue;
        }
        let text = read_secret(&path)?;
        keys.push(StoredKey {
            name,
            public: key::public_of_key_file(&text),
            is_encrypted: matches!(key::parse_key_file(&text, None), Err(KeyFileError::NeedsPassphrase)),
            path,
        });
    }
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(keys)
}

/// The file of a key, by its name in the home or its path.
///
/// # Errors
/// [`Failure`] which names the keys there are.
pub(crate) fn find(ctx: &Context, wanted: &str) -> Result<PathBuf, Failure> {
    if check_name(wanted).is_ok() {
        let stored = ctx.home().join("keys").join(wanted);
        if stored.is_file() {
            return Ok(stored);
        }
    }
    let path = ctx.path(wanted);
    if path.is_file() {
        return Ok(path);
    }
    let there: Vec<String> = list(ctx)?.into_iter().map(|key| key.name).collect();
    let failure = Failure::yours(format!("there is no key `{wanted}`"));
    Err(match there.as_slice() {
        [] => failure.help(format!("make it with `brick key new {}`", sample_name(wanted))),
        names => failure.help(format!("choose one of {}", names.join(", "))),
    })
}

/// Reads a public key in any form that people hand over: 64 hexadecimal digits, an `ssh-ed25519 …` line, a file of one of
/// these, or the name of a key in the home.
///
/// # Errors
/// [`Failure`] when it is none of these, or the key is unfit.
pub(crate) fn public_key(ctx: &Context, text: &str) -> Result<PublicKey, Failure> {
    let unfit = |err: &(dyn std::error::Error + 'static)| {
        Failure::yours(format!("`{text}` is not a public key that can be used"))
            .because(err)
            .help("give 64 hexadecimal digits, an `ssh-ed25519 …` line, a file of these, or a name of `brick key list`")
    };
    let key = if let Ok(key) = key::parse_public_key(text) {
        key
    } else {
        let path = find(ctx, text)?;
        let bytes = read_secret(&path)?;
        match std::str::from_utf8(&bytes).ok().and_then(|line| key::parse_public_key(line).ok()) {
            Some(key) => key,
            None => key::public_of_key_file(&bytes).map_err(|err| unfit(&err))?,
        }
    };
    key::checked_key(&key).map_err(|err| unfit(&err))?;
    Ok(key)
}

/// The text of a private-key file, wiped from memory when dropped.
///
/// # Errors
/// [`Failure`] when it cannot be read.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    files::read(path, MAX_KEY_FILE_BYTES as u64).map(Zeroizing::new)
}

fn only_key(ctx: &Context, fitting: &[PublicKey]) -> Result<PathBuf, Failure> {
    let mut keys = list(ctx)?;
    let fits = |key: &StoredKey| key.public.as_ref().is_ok_and(|public| fitting.contains(public));
    if keys.iter().any(fits) {
        keys.retain(fits);
    }
    match (keys.pop(), keys.as_slice()) {
        (Some(key), []) => Ok(key.path),
        (None, _) => Err(Failure::yours("there is no key to sign with")
            .reason(format!("`{}` holds none, and BRICK_KEY is not set", ctx.home().join("keys").display()))
            .help("make one with `brick key new NAME`, or use the SSH agent's with `--agent`")),
        (Some(last), others) => {
            let names: Vec<&str> = others.iter().chain([&last]).map(|key| key.name.as_str()).collect();
            Err(Failure::usage(format!("there are {} keys to sign with", names.len()))
                .help(format!("choose one with `--key`: {}", names.join(", "))))
        }
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    let good_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let fits = name.len() <= MAX_NAME_CHARS
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(good_char)
        && !name.ends_with('.')
        && !name.ends_with(".pub");
    if fits {
        return Ok(());
    }
    Err(Failure::usage(format!("`{name}` cannot be a key's name"))
        .reason(format!("up to {MAX_NAME_CHARS} of a-z, 0-9, `-`, `_` and `.`, beginning with a letter or digit, not ending in `.pub`"))
        .help(format!("try `{}`", sample_name(name))))
}

fn sample_name(wanted: &str) -> String {
    let name: String = wanted
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
        .take(MAX_NAME_CHARS)
        .collect();
    let name = name.trim_start_matches('-');
    if name.is_empty() { "publisher".to_owned() } else { name.to_owned() }
}

/// ssh refuses such files; a passphrase may still protect this one, so it is only said.
fn warn_if_open_to_others(ctx: &Context, path: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = std::fs::metadata(path) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        if mode & 0o077 != 0 {
            ctx.warn(format_args!(
                "`{}` can be read by others (mode {:04o}); run `chmod 600` on it",
                path.display(),
                mode & 0o7777
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = (ctx, path);
}

//! `brick commons init`: draft the first root.

use std::path::PathBuf;

use brick_schemas::{Origin, PublicKey, PublisherName};
use brick_tlog::note::{Algorithm, KeyName, Vkey};
use brick_trust::Root;
use brick_trust::key::{checked_key, parse_public_key};
use brick_trust::root::{DEFAULT_REFUSE_AGE_S, DEFAULT_WARN_AGE_S, TERMS_VERSION, Terms};

use super::role;
use crate::context::Context;
use crate::drafts::{self, Said};
use crate::failure::Failure;

/// How long a root lasts unless `--expires` says otherwise: two years, in seconds.
const DEFAULT_LIFE_S: u64 = 2 * 365 * 24 * 60 * 60;

/// Draft the first root of a new commons
#[derive(clap::Args)]
#[command(
    after_help = "KEY is 64 hexadecimal digits, an `ssh-ed25519 …` line, a file of either, or a name of `brick key list`."
)]
pub(super) struct InitArgs {
    /// The commons' domain, for ever: `commons.example`
    domain: PublisherName,
    /// A steward's public key; give one for each
    #[arg(long, value_name = "KEY", required = true)]
    steward: Vec<String>,
    /// Stewards that must sign a root; otherwise more than half
    #[arg(long, value_name = "N")]
    steward_threshold: Option<u32>,
    /// A registrar's public key; give one for each
    #[arg(long, value_name = "KEY", required = true)]
    registrar: Vec<String>,
    /// Registrars that must sign an admission; otherwise more than half
    #[arg(long, value_name = "N")]
    registrar_threshold: Option<u32>,
    /// The commons log's key: the verifier key that `brickyard init` prints, or a public key
    #[arg(long, value_name = "VKEY|KEY")]
    log: String,
    /// Last moment of this root: `2028-03-31` or `2028-03-31T12:00:00Z`; otherwise in two years
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Registries that must cosign a head at least, where that is more than two thirds of them
    #[arg(long, value_name = "N", default_value_t = 0)]
    quorum_at_least: u32,
    /// Where to write the draft
    #[arg(long, value_name = "FILE", default_value = "root.json")]
    out: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

/// Drafts the root, checks it as a reader would, and writes it.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(ctx: &Context, args: &InitArgs) -> Result<(), Failure> {
    let stewards = role(ctx, "stewards", &args.steward, args.steward_threshold)?;
    let registrars = role(ctx, "registrars", &args.registrar, args.registrar_threshold)?;
    if let Some(key) = stewards.keys.iter().find(|key| registrars.keys.contains(key)) {
        return Err(Failure::usage(format!("key {key} is a steward's and a registrar's"))
            .reason("one key has one role: stewards' keys stay offline, registrars' are used often")
            .help("make a second key with `brick key new registrar`"));
    }
    let terms = Terms {
        format: TERMS_VERSION,
        commons: args.domain.clone(),
        log: log_vkey(ctx, &args.domain, &args.log)?.to_string(),
        quorum_at_least: args.quorum_at_least,
        warn_age_s: DEFAULT_WARN_AGE_S,
        refuse_age_s: DEFAULT_REFUSE_AGE_S,
    };
    let expires = match &args.expires {
        Some(text) => moment(text)?,
        None => ctx.now().saturating_add(DEFAULT_LIFE_S),
    };
    if expires <= ctx.now() {
        return Err(Failure::usage("that root would have ended already").help("choose a later `--expires`"));
    }
    let draft = Root::draft(1, expires, &stewards, &registrars, &terms);
    let root = Root::parse(&draft.payload)
        .map_err(|err| Failure::yours("these do not make a root").because(&err).help("use other keys"))?;
    let out = ctx.path(&args.out);
    if out.exists() && !args.force {
        return Err(Failure::yours(format!("`{}` is there already", args.out.display()))
            .help("name another file with `--out`, or replace it with `--force`"));
    }
    drafts::write(&out, &draft)?;
    ctx.status("Drafted", format_args!("root 1 of {} in {}", args.domain, args.out.display()));
    let names = drafts::key_names(ctx);
    let said = Said::Root(Box::new(root));
    let deciders = drafts::deciders(ctx, &said);
    let description = drafts::describe(&draft, &said, deciders.as_deref(), &names);
    ctx.talk_block(&description.lines().join("\n"));
    ctx.note(format_args!(
        "next, at least {} of {} stewards run `brick commons sign {}`",
        stewards.threshold,
        stewards.keys.len(),
        args.out.display()
    ));
    ctx.say(format_args!("{}", draft.payload_digest()))
}

fn log_vkey(ctx: &Context, domain: &PublisherName, text: &str) -> Result<Vkey, Failure> {
    let origin = Origin::of_commons(domain);
    let unfit = |err: &(dyn std::error::Error + 'static)| {
        Failure::usage(format!("`{text}` is not the key of log {origin}"))
            .because(err)
            .help("copy the line that `brickyard init` prints on the registry that hosts the commons log")
    };
    let plain: Option<PublicKey> = parse_public_key(text).ok();
    let vkey = match plain {
        None if !text.contains('+') => {
            let key = crate::keys::public_key(ctx, text)?;
            return log_vkey(ctx, domain, &key.to_string());
        }
        None => Vkey::parse(text).map_err(|err| unfit(&err))?,
        Some(key) => {
            let verifying = checked_key(&key).map_err(|err| unfit(&err))?;
            let name = KeyName::new(origin.as_str()).map_err(|err| unfit(&err))?;
            Vkey::new(name, Algorithm::Ed25519, verifying.as_bytes()).map_err(|err| unfit(&err))?
        }
    };
    if vkey.name().as_str() != origin.as_str() {
        return Err(Failure::usage(format!(
            "the log key is named {}, it must be named {origin}",
            vkey.name()
        ))
        .help("copy the line that `brickyard init` prints for the commons log"));
    }
    Ok(vkey)
}

/// Unix seconds of a day (its first moment) or a moment, UTC.
fn moment(text: &str) -> Result<u64, Failure> {
    let parsed = match text.parse::<jiff::civil::Date>() {
        Ok(day) if text.len() == "2028-03-31".len() => {
            day.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp())
        }
        _ => text.parse::<jiff::Timestamp>(),
    };
    let unfit = Failure::usage(format!("`{text}` is not a time"))
        .help("write it as `2028-03-31` or `2028-03-31T12:00:00Z`");
    match parsed {
        Ok(time) => u64::try_from(time.as_second()).map_err(|_| unfit),
        Err(err) => Err(unfit.because(&err)),
    }
}

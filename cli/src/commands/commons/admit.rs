//! `brick commons admit`: draft the record of a publisher or a registry, for the registrars to sign.

use std::path::PathBuf;

use brick_schemas::introduction::{INTRODUCTION_FILE, Introduction, MAX_INTRODUCTION_BYTES};
use brick_schemas::predicate::publisher::{MAX_PATTERNS, PublisherKey};
use brick_schemas::predicate::{
    Place, Predicate, Publisher, PublisherKind, PublisherStatus, Registry, Right, STATEMENT_PAYLOAD_TYPE,
    Statement,
};
use brick_schemas::{Blob, Digest, KeySet, Origin, PublisherName};
use brick_tlog::note::{Algorithm, KeyName, Vkey};
use brick_trust::Envelope;

use super::role;
use crate::context::Context;
use crate::drafts;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::keys;
use crate::session::Session;

/// Characters of a title, at most.
const MAX_TITLE_CHARS: usize = 150;

/// Draft the record of a publisher or a registry, for the registrars to sign
#[derive(clap::Args)]
#[command(
    after_help = "KEY is 64 hexadecimal digits, an `ssh-ed25519 …` line, a file of either, or a name of `brick key list`."
)]
pub(super) struct AdmitArgs {
    #[command(subcommand)]
    who: Who,
}

#[derive(clap::Subcommand)]
enum Who {
    Publisher(PublisherArgs),
    Registry(RegistryArgs),
}

/// An organisation that publishes
#[derive(clap::Args)]
struct PublisherArgs {
    /// Its domain, which its bricks' names begin with
    id: PublisherName,
    /// What sort of organisation it is
    #[arg(long, value_enum)]
    kind: Kind,
    /// The registry that hosts its log; it must have been admitted
    #[arg(long, value_name = "REGISTRY")]
    home: PublisherName,
    /// A key that signs its entries; `KEY=publish,yank` says for what, otherwise `--rights`
    #[arg(long, value_name = "KEY[=RIGHTS]", required = true)]
    key: Vec<String>,
    /// What its keys may sign: publish, yank, attest, propose
    #[arg(long, value_delimiter = ',', default_value = "publish,yank,propose")]
    rights: Vec<RightArg>,
    /// The bricks that its keys may speak for, `*` standing for anything; otherwise all
    #[arg(long, value_name = "PATTERN")]
    bricks: Vec<String>,
    /// What people call it; kept beside the log
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// A publisher whose names it carries on
    #[arg(long, value_name = "PUBLISHER")]
    succeeds: Vec<PublisherName>,
    /// Leaf of its log from which a changed record is in force
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u64,
    #[command(flatten)]
    owners: OwnerArgs,
}

/// An organisation that runs a registry
#[derive(clap::Args)]
struct RegistryArgs {
    /// The registry's domain; with `--from` it must be the one in that file
    #[arg(required_unless_present = "from")]
    id: Option<PublisherName>,
    /// The `introduction.json` that `brickyard init` made on that registry, in place of the options below
    #[arg(long, value_name = "FILE", conflicts_with_all = ["operator", "url", "log_key", "witness"])]
    from: Option<PathBuf>,
    /// Who runs it; registries of one operator have one vote together
    #[arg(long, value_name = "DOMAIN", required_unless_present = "from")]
    operator: Option<PublisherName>,
    /// Where it answers; give one for each address, the preferred first
    #[arg(long, required_unless_present = "from")]
    url: Vec<String>,
    /// The key that signs the logs it hosts, as `brickyard init` prints it
    #[arg(long, value_name = "KEY|VKEY", required_unless_present = "from")]
    log_key: Option<String>,
    /// Its witness key, as `brickyard init` prints it
    #[arg(long, value_name = "VKEY", required_unless_present = "from")]
    witness: Option<String>,
    #[command(flatten)]
    owners: OwnerArgs,
}

#[derive(clap::Args)]
struct OwnerArgs {
    /// A key that may change the record later, kept offline; give one for each
    #[arg(long, value_name = "KEY", required = true)]
    owner: Vec<String>,
    /// Owners that must sign a change; otherwise more than half
    #[arg(long, value_name = "N")]
    owner_threshold: Option<u32>,
    /// Where to write the draft; otherwise `<name>.json`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum Kind {
    /// A council, a ministry, an agency
    PublicBody,
    /// A company or association that builds
    Supplier,
    /// Somebody who checks
    Auditor,
    /// Everybody else
    Community,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum RightArg {
    Publish,
    Yank,
    Attest,
    Propose,
}

/// Drafts the record on the newest head of the commons log.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(ctx: &Context, args: &AdmitArgs) -> Result<(), Failure> {
    let mut session = Session::open(ctx, None)?;
    if session.registry().is_some() {
        session.sync()?;
    }
    let place = Place { log: session.commons().origin(), basis: session.commons_basis() };
    let (id, predicate, owners) = match &args.who {
        Who::Publisher(args) => {
            let record = publisher(ctx, &session, args, place)?;
            (args.id.clone(), Predicate::Publisher(Box::new(record)), &args.owners)
        }
        Who::Registry(args) => {
            let record = registry(ctx, args, place)?;
            (record.id.clone(), Predicate::Registry(Box::new(record)), &args.owners)
        }
    };
    // The subject is the record's own identity: its log or witness key.
    let subject = match &predicate {
        Predicate::Publisher(record) => Digest::of(record.vkey.as_bytes()),
        Predicate::Registry(record) => Digest::of(record.witness.as_bytes()),
        _ => Digest::of(id.as_str().as_bytes()),
    };
    let statement = Statement::new(vec![(id.to_string(), subject)], predicate);
    let draft = Envelope::unsigned(STATEMENT_PAYLOAD_TYPE, statement.to_bytes());
    let said = drafts::said(&draft)?;
    let path = owners.out.clone().unwrap_or_else(|| PathBuf::from(format!("{id}.json")));
    if let Who::Publisher(PublisherArgs { title: Some(title), .. }) = &args.who {
        let title_path = super::title_path(&ctx.path(&path));
        files::write(&title_path, title.as_bytes(), Access::Everybody)?;
    }
    drafts::write(&ctx.path(&path), &draft)?;
    ctx.status("Drafted", format_args!("the record of {id} in {}", path.display()));
    let registrars = session.commons().root().registrars.clone();
    let deciders = drafts::deciders(ctx, &said);
    let description = drafts::describe(&draft, &said, deciders.as_deref(), &drafts::key_names(ctx));
    ctx.talk_block(&description.lines().join("\n"));
    if matches!(args.who, Who::Registry(_)) {
        ctx.note(format_args!(
            "before anybody signs, ask the registry's operator for its fingerprint, by voice or on paper, and compare"
        ));
    }
    ctx.note(format_args!(
        "next, {} of {} registrars run `brick commons sign {1}`, then somebody runs `brick commons submit {1}`",
        registrars.threshold,
        registrars.keys.len(),
    ));
    ctx.say(format_args!("{}", path.display()))
}

fn publisher(
    ctx: &Context,
    session: &Session<'_>,
    args: &PublisherArgs,
    place: Place,
) -> Result<Publisher, Failure> {
    let commons = session.commons();
    let Some(home) = commons.registry(&args.home) else {
        let known: Vec<String> = commons.registries().map(|registry| registry.id.to_string()).collect();
        return Err(Failure::yours(format!(
            "registry {} is not admitted to {}",
            args.home,
            commons.origin().domain()
        ))
        .help(match known.as_slice() {
            [] => format!("admit it first: `brick commons admit registry {} …`", args.home),
            known => format!("choose one of {}, or admit it first", known.join(", ")),
        }));
    };
    let origin = Origin::of_publisher(&args.id);
    let bug =
        |err: &(dyn std::error::Error + 'static)| Failure::bug("an admitted log key is unfit").because(err);
    let name = KeyName::new(origin.as_str()).map_err(|err| bug(&err))?;
    let vkey = Vkey::new(name, Algorithm::Ed25519, home.log_key.as_bytes()).map_err(|err| bug(&err))?;
    if args.bricks.len() > MAX_PATTERNS {
        return Err(Failure::usage(format!("a key has at most {MAX_PATTERNS} patterns of bricks")));
    }
    if args.title.as_ref().is_some_and(|title| title.is_empty() || title.chars().count() > MAX_TITLE_CHARS) {
        return Err(Failure::usage(format!("a title has 1 to {MAX_TITLE_CHARS} characters")));
    }
    let owners = owners(ctx, &args.owners)?;
    let mut keys = Vec::with_capacity(args.key.len());
    for text in &args.key {
        keys.push(publisher_key(ctx, args, text)?);
    }
    if let Some(both) = keys.iter().find(|key| owners.keys.contains(&key.key)) {
        return Err(Failure::usage(format!("key {} is an owner's and signs entries", both.key))
            .reason("one key has one role: an owner's key stays offline")
            .help("make another with `brick key new owner`"));
    }
    Ok(Publisher {
        place,
        id: args.id.clone(),
        kind: args.kind.kind(),
        title: args.title.as_ref().map(|title| Blob::of(title.as_bytes())),
        origin,
        vkey: vkey.to_string(),
        home: args.home.clone(),
        owners,
        keys,
        from: args.from,
        status: PublisherStatus::Active,
        succeeds: args.succeeds.clone(),
    })
}

/// `KEY` or `KEY=publish,yank`.
fn publisher_key(ctx: &Context, args: &PublisherArgs, text: &str) -> Result<PublisherKey, Failure> {
    let parse = |words: &str| -> Option<Vec<RightArg>> {
        words.split(',').map(|word| clap::ValueEnum::from_str(word, false).ok()).collect()
    };
    // An ssh line may hold a `=` of its own; only what names rights is taken for them.
    let (key, rights) = match text.rsplit_once('=').and_then(|(key, words)| Some((key, parse(words)?))) {
        Some((key, rights)) => (key, rights),
        None => (text, args.rights.clone()),
    };
    let mut rights: Vec<Right> = rights.into_iter().map(RightArg::right).collect();
    rights.sort();
    rights.dedup();
    Ok(PublisherKey {
        key: keys::public_key(ctx, key)?,
        rights,
        until: None,
        bricks: (!args.bricks.is_empty()).then(|| args.bricks.clone()),
    })
}

fn registry(ctx: &Context, args: &RegistryArgs, place: Place) -> Result<Registry, Failure> {
    let introduced = match &args.from {
        Some(file) => Some(read_introduction(ctx, file)?),
        None => None,
    };
    let (id, operator, log_key, witness, urls) = match (introduced, args) {
        (Some(said), _) => {
            if args.id.as_ref().is_some_and(|id| *id != said.registry) {
                return Err(Failure::usage(format!("the file introduces {}", said.registry))
                    .help("ask for the file of the registry that you mean, or leave out the name"));
            }
            let urls = said.urls.iter().map(ToString::to_string).collect();
            (said.registry, said.operator, said.log_key, said.witness, urls)
        }
        (
            None,
            RegistryArgs {
                id: Some(id),
                operator: Some(operator),
                log_key: Some(log_key),
                witness: Some(witness),
                ..
            },
        ) => {
            let log_key = match Vkey::parse(log_key) {
                Ok(vkey) => brick_schemas::PublicKey::from(vkey.key().to_bytes()),
                Err(_) => keys::public_key(ctx, log_key)?,
            };
            (id.clone(), operator.clone(), log_key, witness.clone(), args.url.clone())
        }
        _ => return Err(Failure::usage("a registry's name, operator and keys are needed, or `--from FILE`")),
    };
    let unfit = || {
        Failure::usage(format!("`{witness}` is no witness key"))
            .help("copy the witness line that `brickyard init` prints on that registry")
    };
    let vkey = Vkey::parse(&witness).map_err(|err| unfit().because(&err))?;
    if vkey.algorithm() != Algorithm::CosignatureV1 {
        return Err(unfit().reason("it is a log's key, not one for cosignatures"));
    }
    for url in &urls {
        crate::session::new_client(ctx, url)?;
    }
    let owners = owners(ctx, &args.owners)?;
    Ok(Registry { place, id, operator, log_key, witness, urls, owners, status: PublisherStatus::Active })
}

fn read_introduction(ctx: &Context, file: &std::path::Path) -> Result<Introduction, Failure> {
    let bytes = files::read(&ctx.path(file), MAX_INTRODUCTION_BYTES as u64)?;
    Introduction::parse(&bytes).map_err(|err| {
        Failure::yours(format!("`{}` introduces no registry", file.display())).because(&err).help(format!(
            "ask its operator for the `{INTRODUCTION_FILE}` beside `registry.toml`, or give the options in its place"
        ))
    })
}

fn owners(ctx: &Context, args: &OwnerArgs) -> Result<KeySet, Failure> {
    let role = role(ctx, "owners", &args.owner, args.owner_threshold)?;
    Ok(KeySet { keys: role.keys, threshold: role.threshold })
}

impl Kind {
    fn kind(self) -> PublisherKind {
        match self {
            Kind::PublicBody => PublisherKind::PublicBody,
            Kind::Supplier => PublisherKind::Supplier,
            Kind::Auditor => PublisherKind::Auditor,
            Kind::Community => PublisherKind::Community,
        }
    }
}

impl RightArg {
    fn right(self) -> Right {
        match self {
            RightArg::Publish => Right::Publish,
            RightArg::Yank => Right::Yank,
            RightArg::Attest => Right::Attest,
            RightArg::Propose => Right::Propose,
        }
    }
}

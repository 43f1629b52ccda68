//! `brickyard init`: make a registry's folder, keys and set-up.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use brick_schemas::introduction::{INTRODUCTION_FILE, Introduction};
use brick_schemas::registry_config::DEFAULT_LISTEN;
use brick_schemas::url::RegistryUrl;
use brick_schemas::{Digest, Origin, PublisherName};
use brick_tlog::note::{Algorithm, KeyName, Vkey};
use brick_trust::envelope::Signer as _;
use brick_trust::key::write_key_file;
use ed25519_dalek::SigningKey;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use super::failure::Failure;
use crate::registry::witness_name;

/// Make a registry's folder: two keys, `registry.toml` and `introduction.json`
///
/// The keys are OpenSSH files of mode 0600 without a passphrase: the registry signs heads by itself, day and night. Keep
/// the folder on a disk that only the registry's own user can read, and a copy of the keys somewhere safe: whoever has
/// the log key can write a second history, and whoever has neither copy cannot go on with the first.
#[derive(clap::Args)]
#[command(after_help = "\
Founding a commons here:     brickyard init --data DIR --id … --operator … --url … --commons commons.example
Joining one that exists:     brickyard init --data DIR --id … --operator … --url … --root-sha256 HEX --peer URL")]
pub(super) struct InitArgs {
    /// Folder to make, or an empty one
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The registry's name in the commons, for ever: a DNS name
    #[arg(long, value_name = "NAME")]
    id: PublisherName,
    /// The organisation that runs it: a DNS name
    #[arg(long, value_name = "NAME")]
    operator: PublisherName,
    /// Where the outside will reach it, as in `https://registry.example`
    #[arg(long, value_name = "URL")]
    url: RegistryUrl,
    /// Where it listens, behind a proxy that speaks TLS
    #[arg(long, value_name = "ADDRESS", default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Domain of a commons whose log this registry is to host
    #[arg(long, value_name = "DOMAIN", conflicts_with_all = ["root_sha256", "peer"])]
    commons: Option<PublisherName>,
    /// Digest of the first root of the commons to join
    #[arg(long, value_name = "HEX", requires = "peer")]
    root_sha256: Option<Digest>,
    /// A registry of that commons to begin with; more may be given
    #[arg(long, value_name = "URL", requires = "root_sha256")]
    peer: Vec<RegistryUrl>,
}

/// Makes the folder and says what comes next.
///
/// # Errors
/// [`Failure`]; what is there already is not touched.
pub(super) fn run(args: &InitArgs) -> Result<(), Failure> {
    let dir = &args.data;
    make_empty(dir)?;
    let (log_key, witness_key) = (fresh_key()?, fresh_key()?);
    let keys = dir.join("keys");
    make_private(&keys)?;
    for (name, key) in [("log", &log_key), ("witness", &witness_key)] {
        let text = write_key_file(key, &format!("{} {name}", args.id), None)
            .map_err(|err| Failure::yours(format!("cannot write the {name} key")).because(&err))?;
        write_new(&keys.join(name), text.as_bytes(), 0o600)?;
    }
    let config = dir.join("registry.toml");
    write_new(&config, set_up(args).as_bytes(), 0o644)?;
    let introduction = introduction(args, &log_key, &witness_key);
    let introduced = dir.join(INTRODUCTION_FILE);
    write_new(&introduced, introduction.to_text().as_bytes(), 0o644)?;
    print!("{}", told(args, &config, &introduced, &introduction, &log_key));
    Ok(())
}

fn make_empty(dir: &Path) -> Result<(), Failure> {
    let failed = |err: std::io::Error| Failure::yours(format!("cannot make {}", dir.display())).because(&err);
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Failure::yours(format!("{} is not empty", dir.display()))
                .next("choose another folder with `--data`; nothing was changed")),
        },
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            if let Some(parent) = dir.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            make_private(dir)
        }
        Err(err) => Err(failed(err)),
    }
}

fn make_private(dir: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|err| Failure::yours(format!("cannot make {}", dir.display())).because(&err))
}

fn fresh_key() -> Result<SigningKey, Failure> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut seed[..])
        .map_err(|err| Failure::yours("the system gives no randomness").because(&err))?;
    Ok(SigningKey::from_bytes(&seed))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let write = || -> std::io::Result<()> {
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|err| Failure::yours(format!("cannot write {}", path.display())).because(&err))
}

fn set_up(args: &InitArgs) -> String {
    let mut document = DocumentMut::new();
    document
        .decor_mut()
        .set_prefix("# Settings of a registry; every one can also come from the environment.\n");
    let mut urls = Array::new();
    urls.push(args.url.as_str());
    document["config"] = value(1);
    document["data"] = value("data");
    document["listen"] = value(args.listen.to_string());
    document["urls"] = value(urls);
    document["registry"] = value(args.id.as_str());
    document["operator"] = value(args.operator.as_str());
    if let Some(root) = &args.root_sha256 {
        document["root-sha256"] = value(root.to_string());
    }
    let mut keys = Table::new();
    keys["log"] = value("keys/log");
    keys["witness"] = value("keys/witness");
    document["keys"] = Item::Table(keys);
    let mut peers = ArrayOfTables::new();
    for peer in &args.peer {
        let url = peer.as_str().trim_end_matches('/');
        let mut table = Table::new();
        table["url"] = value(url);
        table["git"] = value(format!("{url}/git"));
        peers.push(table);
    }
    if !peers.is_empty() {
        document["peer"] = Item::ArrayOfTables(peers);
    }
    document.to_string()
}

/// What the registrars of the commons will want to know of it.
fn introduction(args: &InitArgs, log_key: &SigningKey, witness_key: &SigningKey) -> Introduction {
    let witness = Vkey::of(witness_name(&args.id), Algorithm::CosignatureV1, witness_key);
    Introduction::new(
        args.id.clone(),
        args.operator.clone(),
        log_key.public(),
        witness.to_string(),
        vec![args.url.clone()],
    )
}

/// What is printed: the public keys, and the steps that are left.
fn told(
    args: &InitArgs,
    config: &Path,
    introduced: &Path,
    introduction: &Introduction,
    log_key: &SigningKey,
) -> String {
    let Introduction { log_key: log, witness, .. } = introduction;
    let (config, introduced, fingerprint) =
        (config.display(), introduced.display(), introduction.fingerprint());
    let mut text = format!(
        "made        {config}\n\
         made        {introduced}\n\
         log key     {log}\n\
         witness     {witness}\n\
         fingerprint {fingerprint}\n"
    );
    let admit = format!(
        "send {introduced} and your owner's public key to the registrars, and tell them the fingerprint yourself:\n\
         \x20 brick commons admit registry --from {INTRODUCTION_FILE} --owner KEY"
    );
    match &args.commons {
        Some(domain) => {
            let origin = Origin::of_commons(domain);
            let name = KeyName::new(origin.as_str()).expect("an origin is a key name");
            let vkey = Vkey::of(name, Algorithm::Ed25519, log_key);
            text.push_str(&format!(
                "commons log {vkey}\n\
                 \n\
                 next, with the stewards' and registrars' public keys:\n\
                 \x20 brick commons init {domain} --log '{vkey}' --steward KEY … --registrar KEY …\n\
                 \x20 brick commons sign root.json          (each steward)\n\
                 \x20 brickyard found --config {config} root.json\n\
                 \x20 brickyard serve --config {config}\n\
                 and have the registry admitted by the registrars:\n\
                 {admit}\n"
            ));
        }
        None => {
            let serve = match &args.root_sha256 {
                Some(_) => format!("brickyard serve --config {config}"),
                None => format!(
                    "write the commons' `root-sha256` and a `[[peer]]` into {config}\n\
                     \x20 brickyard serve --config {config}"
                ),
            };
            text.push_str(&format!(
                "\n\
                 next: have the registry admitted by the registrars of the commons;\n\
                 {admit}\n\
                 and start it; it follows the commons before it is admitted:\n\
                 \x20 {serve}\n"
            ));
        }
    }
    text
}

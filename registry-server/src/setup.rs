//! How does an operator's folder become settings? Keys, `registry.toml`, and the founding of a commons.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use brick_schemas::registry_config::{MAX_CONFIG_BYTES, RegistryConfig, RegistryConfigError};
use brick_schemas::{Digest, Origin, PublicKey, PublisherName};
use brick_tlog::note::{Algorithm, Vkey};
use brick_trust::envelope::{MAX_ENTRY_BYTES, Signer as _};
use brick_trust::key::{KeyFileError, MAX_KEY_FILE_BYTES, parse_key_file, write_key_file};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::registry::{Registry, RegistryError, witness_name};
use crate::settings::{Peer, Settings};

/// Why a registry could not be set up or started.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// As a verb.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        err: std::io::Error,
    },
    /// `registry.toml` or the environment; rendered with line and caret.
    #[error("{0}")]
    Config(String),
    /// A key file.
    #[error("the key in {}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        err: KeyFileError,
    },
    /// The folder is taken.
    #[error("{} is there already", path.display())]
    Taken {
        /// What is there.
        path: PathBuf,
    },
    /// No first root is named.
    #[error("{} names no root-sha256", path.display())]
    NoRoot {
        /// The configuration.
        path: PathBuf,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Random,
    /// Threads or signals.
    #[error("cannot start threads or listen for signals")]
    Runtime(#[source] std::io::Error),
    /// The registry itself.
    #[error(transparent)]
    Start(RegistryError),
}

impl SetupError {
    /// The exit code of design §11.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Start(RegistryError::Damaged { .. } | RegistryError::Refused(_)) => 3,
            Self::Start(RegistryError::Listen { .. }) => 4,
            _ => 1,
        }
    }

    /// One next step.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoRoot { .. } => Some(
                "found a commons (`brickyard found root.json`), or put the digest of the commons to join under `root-sha256`",
            ),
            Self::Taken { .. } => {
                Some("choose another folder, or run `brickyard serve` with the configuration that is there")
            }
            Self::Start(RegistryError::Listen { .. }) => {
                Some("choose another `listen` in registry.toml, or stop what uses the port")
            }
            Self::Key { .. } => Some("a registry's key is an unencrypted OpenSSH ed25519 private-key file"),
            _ => None,
        }
    }
}

/// A registry to be made.
pub struct NewRegistry {
    /// Where.
    pub dir: PathBuf,
    /// Its name.
    pub id: PublisherName,
    /// Who runs it.
    pub operator: PublisherName,
    /// Its public address.
    pub url: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The commons to join, if there is one already.
    pub root_sha256: Option<Digest>,
    /// Registries of that commons.
    pub peers: Vec<String>,
}

/// A registry that was made.
pub struct MadeRegistry {
    /// Its configuration.
    pub config: PathBuf,
    /// The public half of its log key.
    pub log_key: PublicKey,
    /// Its witness key, as the record names it.
    pub witness: Vkey,
    key: SigningKey,
}

impl MadeRegistry {
    /// The key under which this registry would sign a commons log.
    pub fn commons_vkey(&self, domain: &PublisherName) -> Vkey {
        Vkey::of(Registry::log_key_name(&Origin::of_commons(domain)), Algorithm::Ed25519, &self.key)
    }
}

/// Makes a registry's folder: two keys and `registry.toml`. Nothing is written where one is there already.
///
/// # Errors
/// [`SetupError`].
pub fn init(new: &NewRegistry) -> Result<MadeRegistry, SetupError> {
    let config = new.dir.join("registry.toml");
    if config.exists() {
        return Err(SetupError::Taken { path: config });
    }
    let text = config_text(new);
    // Read as `serve` will read it, before anything is written.
    RegistryConfig::parse(&text, &BTreeMap::new()).map_err(|err| config_error(&config, &text, &err))?;
    let keys = new.dir.join("keys");
    std::fs::create_dir_all(&keys).map_err(|err| SetupError::File {
        doing: "make",
        path: keys.clone(),
        err,
    })?;
    let log = new_key(&keys.join("log"), new.id.as_str())?;
    let witness = new_key(&keys.join("witness"), new.id.as_str())?;
    std::fs::write(&config, text).map_err(|err| SetupError::File {
        doing: "write",
        path: config.clone(),
        err,
    })?;
    Ok(MadeRegistry {
        config,
        log_key: log.public(),
        witness: Vkey::of(witness_name(&new.id), Algorithm::CosignatureV1, &witness),
        key: log,
    })
}

fn config_text(new: &NewRegistry) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = String::from(
        "# How this registry runs. Every value can also come from the environment: BRICKYARD_LISTEN …\nconfig = 1\n",
    );
    text.push_str(&format!(
        "registry = {}\noperator = {}\n",
        quoted(new.id.as_str()),
        quoted(new.operator.as_str())
    ));
    match new.root_sha256 {
        Some(root) => text.push_str(&format!("root-sha256 = \"{root}\"\n")),
        None => text.push_str("# root-sha256 = \"…\"            # written by `brickyard found`, or the digest of the commons to join\n"),
    }
    text.push_str(&format!(
        "data = \"data\"\nlisten = \"{}\"\nurls = [{}]\n\n",
        new.listen,
        quoted(&new.url)
    ));
    text.push_str("[keys]\nlog = \"keys/log\"\nwitness = \"keys/witness\"\n");
    for peer in &new.peers {
        let url = peer.trim_end_matches('/');
        text.push_str(&format!(
            "\n[[peer]]\nurl = {}\ngit = {}\n",
            quoted(url),
            quoted(&format!("{url}/git"))
        ));
    }
    text
}

fn new_key(path: &Path, comment: &str) -> Result<SigningKey, SetupError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut seed[..]).map_err(|_| SetupError::Random)?;
    let key = SigningKey::from_bytes(&seed);
    let text =
        write_key_file(&key, comment, None).map_err(|err| SetupError::Key { path: path.to_owned(), err })?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written =
        options.open(path).and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|err| SetupError::File { doing: "write", path: path.to_owned(), err })?;
    Ok(key)
}

/// Reads the configuration and the keys. Paths in it are relative to the folder that it lies in.
///
/// # Errors
/// [`SetupError`].
pub fn settings(config: &Path, environment: &BTreeMap<String, String>) -> Result<Settings, SetupError> {
    let (settings, root) = read(config, environment)?;
    match root {
        Some(_) => Ok(settings),
        None => Err(SetupError::NoRoot { path: config.to_owned() }),
    }
}

fn read(
    config: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<(Settings, Option<Digest>), SetupError> {
    let bytes = read_file(config, MAX_CONFIG_BYTES)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let parsed =
        RegistryConfig::from_bytes(&bytes, environment).map_err(|err| config_error(config, &text, &err))?;
    let base = config.parent().unwrap_or(Path::new(".")).to_owned();
    let key = |path: &Path| -> Result<SigningKey, SetupError> {
        let path = base.join(path);
        let bytes = Zeroizing::new(read_file(&path, MAX_KEY_FILE_BYTES)?);
        parse_key_file(&bytes, None).map_err(|err| SetupError::Key { path, err })
    };
    let peers = parsed
        .peers
        .iter()
        .map(|peer| Peer {
            name: peer.url.as_ref().map_or_else(|| peer.git.clone(), ToString::to_string),
            url: peer.url.as_ref().map(|url| url.to_string().trim_end_matches('/').to_owned()),
            git: peer.git.clone(),
        })
        .collect();
    let settings = Settings {
        data: base.join(&parsed.data),
        id: parsed.registry.clone(),
        operator: parsed.operator.clone(),
        root_sha256: parsed.root_sha256.unwrap_or_else(|| Digest::of(b"")),
        log_key: key(&parsed.keys.log)?,
        witness_key: key(&parsed.keys.witness)?,
        listen: parsed.listen,
        peers,
        sync_interval: Duration::from_secs(parsed.sync_interval_s),
        archive_limit: parsed.limits.archive().archive_bytes,
    };
    Ok((settings, parsed.root_sha256))
}

/// Founds a commons in this registry, and writes the digest of the root into the configuration.
///
/// # Errors
/// [`SetupError`].
pub async fn found(
    config: &Path,
    root: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<Digest, SetupError> {
    let (settings, _) = read(config, environment)?;
    let envelope = read_file(root, MAX_ENTRY_BYTES + 1)?;
    let envelope = envelope.strip_suffix(b"\n").unwrap_or(&envelope);
    let pinned = crate::founding::found(&settings, envelope).await.map_err(SetupError::Start)?;
    let text = String::from_utf8_lossy(&read_file(config, MAX_CONFIG_BYTES)?).into_owned();
    let mut document: toml_edit::DocumentMut = text
        .parse()
        .map_err(|err: toml_edit::TomlError| SetupError::Config(format!("{}: {err}", config.display())))?;
    document["root-sha256"] = toml_edit::value(pinned.to_string());
    let write = || -> std::io::Result<()> {
        let dir = config.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        std::io::Write::write_all(&mut file, document.to_string().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(config).map_err(|err| err.error)?;
        Ok(())
    };
    write().map_err(|err| SetupError::File { doing: "write", path: config.to_owned(), err })?;
    Ok(pinned)
}

fn read_file(path: &Path, max: usize) -> Result<Vec<u8>, SetupError> {
    use std::io::Read as _;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(max as u64 + 1).read_to_end(&mut bytes)?;
        match bytes.len() > max {
            true => Err(std::io::Error::other(format!("it has more than {max} bytes"))),
            false => Ok(bytes),
        }
    };
    read().map_err(|err| SetupError::File { doing: "read", path: path.to_owned(), err })
}

fn config_error(path: &Path, text: &str, err: &RegistryConfigError) -> SetupError {
    SetupError::Config(match err {
        RegistryConfigError::File(err) => err.render(&path.display().to_string(), text, false),
        other => other.to_string(),
    })
}

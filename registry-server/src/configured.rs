//! How does `registry.toml` become settings? Paths made absolute, keys read, the commons' root demanded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use brick_schemas::registry_config::{RegistryConfig, RegistryConfigError};
use brick_trust::key::{KeyFileError, parse_key_file};
use ed25519_dalek::SigningKey;

use crate::settings::{Peer, Settings};

/// Why a registry's set-up cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfiguredError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        err: std::io::Error,
    },
    /// `registry.toml` or the environment is wrong.
    #[error("{shown}")]
    Config {
        /// What is wrong, with file, line and caret.
        shown: String,
    },
    /// A key file cannot be used.
    #[error("the {which} key {}", path.display())]
    Key {
        /// `log` or `witness`.
        which: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        err: KeyFileError,
    },
    /// A key file that others may read.
    #[error("the {which} key {} can be read by others than its owner (mode {mode:o})", path.display())]
    KeyMode {
        /// `log` or `witness`.
        which: &'static str,
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// One key for two roles.
    #[error("the log key and the witness key are the same")]
    SameKey,
    /// No commons yet.
    #[error("{} names no `root-sha256`", path.display())]
    NoRoot {
        /// The file.
        path: PathBuf,
    },
}

/// A registry's set-up as it stands in its file and the environment, before its keys are read.
pub struct Configured {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub config: RegistryConfig,
}

impl Configured {
    /// Reads `registry.toml`; where there is none at `path`, everything must come from the environment.
    ///
    /// - `environment`: variables by name.
    ///
    /// # Errors
    /// [`ConfiguredError::Read`] or [`ConfiguredError::Config`].
    pub fn read(path: &Path, environment: &BTreeMap<String, String>) -> Result<Self, ConfiguredError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let is_complete = environment.contains_key("BRICKYARD_DATA");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound && is_complete => {
                RegistryConfig::EMPTY.into()
            }
            Err(err) => return Err(ConfiguredError::Read { path, err }),
        };
        match RegistryConfig::from_bytes(&bytes, environment) {
            Ok(config) => Ok(Self { path, config }),
            Err(RegistryConfigError::File(err)) => {
                let text = String::from_utf8_lossy(&bytes);
                Err(ConfiguredError::Config { shown: err.render(&path.display().to_string(), &text, false) })
            }
            Err(err) => Err(ConfiguredError::Config { shown: err.to_string() }),
        }
    }

    fn beside(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("/")).join(path)
    }

    /// The registry's settings, its keys read.
    ///
    /// # Errors
    /// [`ConfiguredError`] of the keys, or [`ConfiguredError::NoRoot`].
    pub fn settings(&self) -> Result<Settings, ConfiguredError> {
        let root =
            self.config.root_sha256.ok_or_else(|| ConfiguredError::NoRoot { path: self.path.clone() })?;
        self.settings_with(root)
    }

    /// As [`settings`](Self::settings) with a root that the file does not name yet.
    ///
    /// # Errors
    /// [`ConfiguredError`] of the keys.
    pub fn settings_with(&self, root_sha256: brick_schemas::Digest) -> Result<Settings, ConfiguredError> {
        let config = &self.config;
        let log_key = read_key("log", self.beside(&config.keys.log))?;
        let witness_key = read_key("witness", self.beside(&config.keys.witness))?;
        if log_key == witness_key {
            return Err(ConfiguredError::SameKey);
        }
        let peers = config.peers.iter().map(|peer| Peer {
            name: peer.url.as_ref().map_or_else(|| peer.git.clone(), ToString::to_string),
            url: peer.url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
            git: peer.git.clone(),
        });
        let (id, operator) = (config.registry.clone(), config.operator.clone());
        Ok(Settings {
            title: config.title.clone(),
            listen: config.listen,
            peers: peers.collect(),
            sync_interval: Duration::from_secs(config.sync_interval_s),
            read_cache_bytes: config.read_cache_bytes,
            database_cache_bytes: config.database_cache_bytes,
            limits: config.limits,
            clients: config.clients.clone(),
            catch_up_answers: config.catch_up_answers,
            ..Settings::new(self.beside(&config.data), id, operator, root_sha256, log_key, witness_key)
        })
    }
}

fn read_key(which: &'static str, path: PathBuf) -> Result<SigningKey, ConfiguredError> {
    let read = |err| ConfiguredError::Read { path: path.clone(), err };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).map_err(read)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(ConfiguredError::KeyMode { which, path, mode });
        }
    }
    let bytes = zeroize::Zeroizing::new(std::fs::read(&path).map_err(read)?);
    parse_key_file(&bytes, None).map_err(|err| ConfiguredError::Key { which, path, err })
}

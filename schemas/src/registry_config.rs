//! How does an operator set up a registry? `registry.toml`, every value of which the environment can give instead.
//!
//! ```toml
//! config = 1
//! data = "/var/lib/brickyard"                       # BRICKYARD_DATA
//! listen = "127.0.0.1:4873"                         # BRICKYARD_LISTEN
//! urls = ["https://registry.northshire.gov.uk"]     # BRICKYARD_URLS, commas between
//! registry = "registry.northshire.gov.uk"           # BRICKYARD_REGISTRY
//! operator = "northshire.gov.uk"                    # BRICKYARD_OPERATOR
//! root-sha256 = "e3b0c442…"                         # BRICKYARD_ROOT_SHA256: the commons' first root
//! title = "Northshire's bricks"                     # BRICKYARD_TITLE
//! sync-interval-s = 10                              # BRICKYARD_SYNC_INTERVAL_S
//! read-cache-bytes = 67108864                       # BRICKYARD_READ_CACHE_BYTES
//! database-cache-bytes = 41943040                   # BRICKYARD_DATABASE_CACHE_BYTES
//! catch-up-answers = 1                              # BRICKYARD_CATCH_UP_ANSWERS
//! [keys]
//! log = "keys/log"                                  # BRICKYARD_KEYS_LOG
//! witness = "keys/witness"                          # BRICKYARD_KEYS_WITNESS
//! [[peer]]                                          # BRICKYARD_PEERS, commas between, `url git` each
//! url = "https://bricks.southshire.gov.uk"
//! git = "https://bricks.southshire.gov.uk/git"
//! [limits]                                          # BRICKYARD_LIMITS_<KEY>
//! archive-bytes = 8388608
//! [clients]                                         # BRICKYARD_CLIENTS_<KEY>
//! requests = 96
//! proxies = ["127.0.0.1"]                           # BRICKYARD_CLIENTS_PROXIES, commas between
//! ```
//!
//! A variable that is empty counts as absent, and one that is not named here is nobody's business: container platforms add
//! variables of this prefix of their own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnostic::FileError;
use crate::digest::Digest;
use crate::manifest::{MAX_MANIFEST_BYTES, MAX_SUMMARY_CHARS};
use crate::name::PublisherName;
use crate::predicate::registry::MAX_URLS;
use crate::reader::{Format, Table, Value, read_file, utf8};
use crate::text::{TextError, check_displayed, escape};
use crate::url::RegistryUrl;

mod clients;
mod limits;

pub use clients::{ClientBounds, MAX_CLIENT_BOUND, MAX_PROXIES};
pub use limits::{MAX_BRICKS, MAX_README_BYTES, RegistryLimits};

/// The format version that is read.
pub const CONFIG_VERSION: u64 = 1;
/// Bytes of `registry.toml`, at most.
pub const MAX_CONFIG_BYTES: usize = MAX_MANIFEST_BYTES;
/// Characters of a path of the operator's machine, at most.
pub const MAX_LOCAL_PATH_CHARS: usize = 4_096;
/// Peers, at most.
pub const MAX_PEERS: usize = 1_024;
/// Seconds between two rounds of following peers, unless said otherwise.
pub const DEFAULT_SYNC_INTERVAL_S: u64 = 10;
/// Seconds between two rounds of following peers, at most: a day.
pub const MAX_SYNC_INTERVAL_S: u64 = 86_400;
/// Bytes of answers kept in memory, unless said otherwise: 64 MiB.
pub const DEFAULT_READ_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of answers kept in memory, at most: 1 TiB.
pub const MAX_READ_CACHE_BYTES: u64 = 1 << 40;
/// Bytes of database pages in memory where nobody says otherwise.
pub const DEFAULT_DATABASE_CACHE_BYTES: u64 = 40 * 1024 * 1024;
/// Bytes of database pages in memory, at least: a commit's own pages.
pub const MIN_DATABASE_CACHE_BYTES: u64 = 1024 * 1024;
/// Bytes of database pages in memory, at most.
pub const MAX_DATABASE_CACHE_BYTES: u64 = 1 << 40;
/// Answers that a registry waits for before it signs after a start, at most.
pub const MAX_CATCH_UP_ANSWERS: u64 = 1_024;
/// Where a registry listens unless told otherwise: this machine alone.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:4873";

const FORMAT: Format = Format { file: "registry.toml", key: "config", version: CONFIG_VERSION };

/// Why a registry's set-up was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RegistryConfigError {
    /// The file.
    #[error("registry.toml")]
    File(#[source] Box<FileError>),
    /// A variable of the environment.
    #[error("the environment variable {variable}: {why}")]
    Environment {
        /// Its name.
        variable: String,
        /// What is wrong with its value.
        why: String,
    },
}

/// A registry's set-up: `registry.toml` and environment, fully parsed.
///
/// Relative paths are relative to the file's folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "registry.toml")]
pub struct RegistryConfig {
    /// Format version: 1.
    #[schemars(schema_with = "crate::manifest::version_schema")]
    pub config: u64,
    /// The folder for database, blobs and git repository.
    #[schemars(with = "Option<String>")]
    pub data: PathBuf,
    /// The address that the server listens on; [`DEFAULT_LISTEN`] if absent.
    #[schemars(with = "Option<String>")]
    pub listen: SocketAddr,
    /// Where the outside reaches it, the preferred address first; at most 16.
    #[serde(default)]
    pub urls: Vec<RegistryUrl>,
    /// The registry's name in the commons.
    #[schemars(with = "Option<PublisherName>")]
    pub registry: PublisherName,
    /// The organisation that runs it.
    #[schemars(with = "Option<PublisherName>")]
    pub operator: PublisherName,
    /// SHA-256 of the commons' first root, the one thing that is believed without proof; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_sha256: Option<Digest>,
    /// The heading of its pages; the registry's name if absent.
    #[schemars(with = "Option<String>")]
    pub title: String,
    /// Seconds between two rounds of following peers, 1 to 86,400; 10 if absent.
    #[schemars(with = "Option<u64>", range(min = 1, max = 86_400))]
    pub sync_interval_s: u64,
    /// Bytes of answers that are kept in memory, 0 to 1,099,511,627,776; 67,108,864 (64 MiB) if absent.
    #[schemars(with = "Option<u64>", range(min = 0, max = 1_099_511_627_776_u64))]
    pub read_cache_bytes: u64,
    /// Bytes of the database that its connections keep in memory, all together, 1,048,576 to 1,099,511,627,776; 41,943,040
    /// (40 MiB) if absent.
    #[schemars(with = "Option<u64>", range(min = 1_048_576, max = 1_099_511_627_776_u64))]
    pub database_cache_bytes: u64,
    /// How many other operators must have said how far they saw a log before it is signed or cosigned after a start, 0 to
    /// 1,024; if absent as many as make it certain. Counts not after `brickyard restore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_024))]
    pub catch_up_answers: Option<u64>,
    /// Where its secret keys are.
    #[schemars(with = "Option<KeyFiles>")]
    pub keys: KeyFiles,
    /// The registries it follows.
    #[serde(rename = "peer", default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// Bounds that it sets lower than the commons does.
    #[serde(default)]
    pub limits: RegistryLimits,
    /// How much one client may have under way.
    #[serde(default)]
    pub clients: ClientBounds,
}

/// The files of a registry's secret keys: OpenSSH private keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFiles {
    /// Signs the heads of the logs that it hosts.
    #[schemars(with = "Option<String>")]
    pub log: PathBuf,
    /// Cosigns the heads of the logs that it checked.
    #[schemars(with = "Option<String>")]
    pub witness: PathBuf,
}

/// A registry that is followed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its HTTP address: where it is followed if it answers as a registry does, for blobs, and to be asked for cosignatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<RegistryUrl>,
    /// Its repository: any address or path that git fetches from. It is followed there where there is no address, or none
    /// that knows how far its logs go.
    pub git: String,
}

impl RegistryConfig {
    /// Parses `registry.toml`; what `environment` says counts more than the file.
    ///
    /// - `text`: the file, or [`RegistryConfig::EMPTY`] where there is none.
    /// - `environment`: variables by name.
    ///
    /// # Errors
    /// [`RegistryConfigError`] with every problem of the file, else the first wrong variable.
    pub fn parse(text: &str, environment: &BTreeMap<String, String>) -> Result<Self, RegistryConfigError> {
        let environment = Environment { variables: environment, wrong: None };
        let mut wrong = None;
        let config = read_file(text, MAX_CONFIG_BYTES, FORMAT, |root| {
            let mut environment = environment;
            let config = Self::read(root, &mut environment);
            wrong = environment.wrong;
            // A wrong variable is told below; the file alone is not to blame for what is missing.
            config.map(Some).or_else(|| wrong.is_some().then_some(None))
        });
        let config = config.map_err(RegistryConfigError::File)?;
        match (wrong, config) {
            (Some(wrong), _) => Err(wrong),
            (None, Some(config)) => Ok(config),
            (None, None) => unreachable!("none is returned only for a wrong variable"),
        }
    }

    /// As [`parse`](Self::parse), from bytes that should be UTF-8.
    ///
    /// # Errors
    /// [`RegistryConfigError`] with every problem of the file, else the first wrong variable.
    pub fn from_bytes(
        bytes: &[u8],
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, RegistryConfigError> {
        let text = utf8(bytes, MAX_CONFIG_BYTES, FORMAT).map_err(RegistryConfigError::File)?;
        Self::parse(text, environment)
    }

    /// The file of a registry whose every value comes from the environment.
    pub const EMPTY: &str = "config = 1\n";

    fn read(root: &mut Table<'_>, env: &mut Environment<'_>) -> Option<Self> {
        let data = env.required(root, "data", "DATA", Value::local_path, parse_path);
        let listen = env.optional(root, "listen", "LISTEN", Value::parse, parse);
        let urls = env.optional(
            root,
            "urls",
            "URLS",
            |v| Some(v.clone().parse_list(MAX_URLS)),
            |text| parse_list(text, MAX_URLS, parse),
        );
        let registry = env.required(root, "registry", "REGISTRY", Value::parse, parse);
        let operator = env.required(root, "operator", "OPERATOR", Value::parse, parse);
        let root_sha256 = env.optional(root, "root-sha256", "ROOT_SHA256", Value::parse, parse);
        let title = env.optional(
            root,
            "title",
            "TITLE",
            |v| v.displayed(MAX_SUMMARY_CHARS),
            |text| {
                check_displayed("title", text, MAX_SUMMARY_CHARS).map_err(|err| err.rule)?;
                Ok(text.to_owned())
            },
        );
        let sync_interval_s = env.optional(
            root,
            "sync-interval-s",
            "SYNC_INTERVAL_S",
            |v| v.whole_within(1, MAX_SYNC_INTERVAL_S),
            |text| parse_within(text, 1, MAX_SYNC_INTERVAL_S),
        );
        let read_cache_bytes = env.optional(
            root,
            "read-cache-bytes",
            "READ_CACHE_BYTES",
            |v| v.whole_within(0, MAX_READ_CACHE_BYTES),
            |text| parse_within(text, 0, MAX_READ_CACHE_BYTES),
        );
        let database_cache_bytes = env.optional(
            root,
            "database-cache-bytes",
            "DATABASE_CACHE_BYTES",
            |v| v.whole_within(MIN_DATABASE_CACHE_BYTES, MAX_DATABASE_CACHE_BYTES),
            |text| parse_within(text, MIN_DATABASE_CACHE_BYTES, MAX_DATABASE_CACHE_BYTES),
        );
        let catch_up_answers = env.optional(
            root,
            "catch-up-answers",
            "CATCH_UP_ANSWERS",
            |v| v.whole_within(0, MAX_CATCH_UP_ANSWERS),
            |text| parse_within(text, 0, MAX_CATCH_UP_ANSWERS),
        );
        let keys = env.key_files(root);
        let file_peers = root.tables("peer", MAX_PEERS).into_iter().filter_map(Peer::read).collect();
        let peers =
            env.variable("PEERS", |text| parse_list(text, MAX_PEERS, Peer::parse)).unwrap_or(file_peers);
        let limits = RegistryLimits::read(root, env);
        let clients = ClientBounds::read(root, env);
        let registry: PublisherName = registry?;
        Some(Self {
            config: CONFIG_VERSION,
            data: data?,
            listen: listen.unwrap_or_else(|| DEFAULT_LISTEN.parse().expect("it is an address and a port")),
            urls: urls.unwrap_or_default(),
            operator: operator?,
            root_sha256,
            title: title.unwrap_or_else(|| registry.to_string()),
            registry,
            sync_interval_s: sync_interval_s.unwrap_or(DEFAULT_SYNC_INTERVAL_S),
            read_cache_bytes: read_cache_bytes.unwrap_or(DEFAULT_READ_CACHE_BYTES),
            database_cache_bytes: database_cache_bytes.unwrap_or(DEFAULT_DATABASE_CACHE_BYTES),
            catch_up_answers,
            keys: keys?,
            peers,
            limits,
            clients,
        })
    }
}

impl Peer {
    fn read(mut table: Table<'_>) -> Option<Self> {
        let url = table.optional("url").and_then(|v| v.parse());
        let git = table.required("git").and_then(|v| {
            let text = v.string()?;
            check_git(text).map_err(|err| v.wrong(err.rule, None)).ok()?;
            Some(text.to_owned())
        });
        table.finish();
        Some(Self { url, git: git? })
    }

    /// `url git`, or only `git`.
    fn parse(text: &str) -> Result<Self, String> {
        let (url, git) = match text.split_once(' ') {
            Some((url, git)) => (Some(parse(url)?), git.trim_start()),
            None => (None, text),
        };
        check_git(git).map_err(|err| err.rule)?;
        Ok(Self { url, git: git.to_owned() })
    }
}

/// What `git fetch` can be given: no option, no command of a helper, nothing invisible, no password.
fn check_git(text: &str) -> Result<(), TextError> {
    const WHAT: &str = "git address";
    check_displayed(WHAT, text, MAX_LOCAL_PATH_CHARS)?;
    let bad = |rule: &str| Err(TextError::new(WHAT, text, rule));
    if text.starts_with('-') {
        return bad("git would take it for an option");
    }
    // git reads `<letters>::<anything>` as the name of a program `git-remote-<letters>`; `[::1]` has other characters before.
    let helper_byte = |b: u8| b.is_ascii_alphanumeric() || b"+.-".contains(&b);
    if text.split_once("::").is_some_and(|(helper, _)| helper.bytes().all(helper_byte)) {
        return bad("`::` would start a helper program");
    }
    let authority = text.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    if authority.and_then(|a| a.split_once('@')).is_some_and(|(user, _)| user.contains(':')) {
        return bad("a password does not belong here: use git's credential helpers");
    }
    Ok(())
}

/// The variables, and the first that was wrong.
pub(super) struct Environment<'e> {
    variables: &'e BTreeMap<String, String>,
    wrong: Option<RegistryConfigError>,
}

impl Environment<'_> {
    /// The value of `BRICKYARD_<name>`, if it is there, not empty, and parses.
    fn variable<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let variable = format!("BRICKYARD_{name}");
        let text = self.variables.get(&variable).filter(|text| !text.is_empty())?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.wrong.get_or_insert(RegistryConfigError::Environment { variable, why });
                None
            }
        }
    }

    /// From the environment, else from the file.
    fn optional<'r, T>(
        &mut self,
        table: &mut Table<'r>,
        key: &'static str,
        name: &str,
        read: impl FnOnce(&Value<'r>) -> Option<T>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let in_file = table.optional(key).and_then(|value| read(&value));
        self.variable(name, parse).or(in_file)
    }

    /// From the environment, else from the file; a problem of the file if it is in neither.
    fn required<'r, T>(
        &mut self,
        table: &mut Table<'r>,
        key: &'static str,
        name: &str,
        read: impl FnOnce(&Value<'r>) -> Option<T>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if self.has(name) {
            return self.optional(table, key, name, read, parse);
        }
        table.required(key).and_then(|value| read(&value))
    }

    fn has(&self, name: &str) -> bool {
        self.variables.get(&format!("BRICKYARD_{name}")).is_some_and(|text| !text.is_empty())
    }

    fn key_files(&mut self, root: &mut Table<'_>) -> Option<KeyFiles> {
        let log = self.variable("KEYS_LOG", parse_path);
        let witness = self.variable("KEYS_WITNESS", parse_path);
        let needed = !(self.has("KEYS_LOG") && self.has("KEYS_WITNESS"));
        let table = if needed { root.required_table("keys") } else { root.table("keys") };
        let Some(mut table) = table else { return Some(KeyFiles { log: log?, witness: witness? }) };
        let mut file = |key, given: Option<PathBuf>| match given {
            Some(path) => {
                table.optional(key).and_then(|value| value.local_path());
                Some(path)
            }
            None => table.required(key).and_then(|value| value.local_path()),
        };
        let (log, witness) = (file("log", log), file("witness", witness));
        table.finish();
        Some(KeyFiles { log: log?, witness: witness? })
    }
}

impl Value<'_> {
    /// A path of the operator's machine.
    fn local_path(&self) -> Option<PathBuf> {
        self.displayed(MAX_LOCAL_PATH_CHARS).map(PathBuf::from)
    }

    /// A whole number from `min` to `max`.
    fn whole_within(&self, min: u64, max: u64) -> Option<u64> {
        let number = self.whole()?;
        let fits = (min..=max).contains(&number);
        if !fits {
            self.wrong(format!("a whole number from {min} to {max} is needed"), None);
        }
        fits.then_some(number)
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|err: T::Err| err.to_string())
}

fn parse_path(text: &str) -> Result<PathBuf, String> {
    check_displayed("path", text, MAX_LOCAL_PATH_CHARS).map_err(|err| err.rule)?;
    Ok(PathBuf::from(text))
}

fn parse_within(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("a whole number from {min} to {max} is needed, not `{}`", escape(text)))
}

/// Items with commas between, at most `max`.
fn parse_list<T>(
    text: &str,
    max: usize,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    if text.split(',').count() > max {
        return Err(format!("at most {max} entries are allowed"));
    }
    text.split(',').map(|item| parse(item.trim())).collect()
}

//! What must a registry be told to run? The resolved form: keys read, addresses parsed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use brick_schemas::registry_config::{
    ClientBounds, DEFAULT_DATABASE_CACHE_BYTES, DEFAULT_READ_CACHE_BYTES, DEFAULT_SYNC_INTERVAL_S,
    RegistryLimits,
};
use brick_schemas::{Digest, PublisherName};
use ed25519_dalek::SigningKey;

/// Everything that a running registry needs, whoever gathered it (`registry.toml`, a test, `brick quickstart`).
#[derive(Clone)]
pub struct Settings {
    /// The registry's own directory; it is made where missing.
    pub data: PathBuf,
    /// Its name.
    pub id: PublisherName,
    /// Who runs it.
    pub operator: PublisherName,
    /// The heading of its pages.
    pub title: String,
    /// SHA-256 of the commons' first root: the one thing that is believed without proof.
    pub root_sha256: Digest,
    /// Signs the logs that it hosts.
    pub log_key: SigningKey,
    /// Signs its cosignatures.
    pub witness_key: SigningKey,
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Registries that it follows besides those with a record.
    pub peers: Vec<Peer>,
    /// Time between two rounds of following.
    pub sync_interval: Duration,
    /// Bounds on what is newly published here.
    pub limits: RegistryLimits,
    /// How much one client may have under way.
    pub clients: ClientBounds,
    /// Bytes of answers that it keeps in memory, at most.
    pub read_cache_bytes: u64,
    /// Bytes of the database that its connections keep in memory, all together, at most.
    pub database_cache_bytes: u64,
    /// How many other operators must say how far they saw a log before it is signed or cosigned after a start; where
    /// absent as many as make it certain.
    pub catch_up_answers: Option<u64>,
    /// How long it waits for others.
    pub patience: Patience,
    /// How much of another registry's log it takes at a time.
    pub portions: Portions,
}

/// How a long way to another registry's head is divided. In memory are two portions at a time, one of them checked already,
/// and twice what is stored together.
#[derive(Clone, Copy, Debug)]
pub struct Portions {
    /// Leaves taken at a time, if the log signed a head within so many.
    pub leaves: u64,
    /// Bytes after which a portion ends at the last head before, and after which portions are stored.
    pub bytes: usize,
    /// Leaves after which portions are stored, together, and no more are walked before: what is written with each of them is written
    /// once. Half of them where nothing else is being stored.
    pub stored: u64,
}

impl Default for Portions {
    fn default() -> Self {
        Self { leaves: 4_096, bytes: 64 * 1024 * 1024, stored: 24_576 }
    }
}

/// How long a registry waits for others before it goes on without them.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the header of a request, from the first byte or the end of the request before.
    pub header: Duration,
    /// For the next bytes of a body, either way, and of a connection without a request under way.
    pub idle: Duration,
    /// From then on a body must have come at [`MIN_BODY_RATE`](crate::slow::MIN_BODY_RATE) since its beginning.
    pub body_grace: Duration,
    /// For one request as a whole.
    pub request: Duration,
    /// For open requests when the registry stops.
    pub stop: Duration,
    /// For all peers to say, at start, how far they have seen the logs that are hosted here.
    pub own_heads: Duration,
    /// For a peer to say what is new: its list of heads, or one `git fetch`.
    pub fetch: Duration,
    /// Between two commits to the git repository.
    pub between_commits: Duration,
    /// Before a blob that no entry names is removed.
    pub orphan: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_grace: Duration::from_secs(10),
            request: Duration::from_secs(300),
            stop: Duration::from_secs(20),
            own_heads: Duration::from_secs(5),
            fetch: Duration::from_secs(600),
            between_commits: Duration::from_secs(1),
            orphan: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl Settings {
    /// A registry that listens on a free port of loopback, follows nobody by configuration, and has the usual bounds.
    ///
    /// - `root_sha256`: SHA-256 of the commons' first root's payload.
    pub fn new(
        data: PathBuf,
        id: PublisherName,
        operator: PublisherName,
        root_sha256: Digest,
        log_key: SigningKey,
        witness_key: SigningKey,
    ) -> Self {
        Self {
            data,
            title: id.to_string(),
            id,
            operator,
            root_sha256,
            log_key,
            witness_key,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            peers: Vec::new(),
            sync_interval: Duration::from_secs(DEFAULT_SYNC_INTERVAL_S),
            limits: RegistryLimits::default(),
            clients: ClientBounds::default(),
            read_cache_bytes: DEFAULT_READ_CACHE_BYTES,
            database_cache_bytes: DEFAULT_DATABASE_CACHE_BYTES,
            catch_up_answers: None,
            patience: Patience::default(),
            portions: Portions::default(),
        }
    }
}

/// A registry to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it is called in reports: a registry's name or the address.
    pub name: String,
    /// Its address for HTTP, where it has one.
    pub url: Option<String>,
    /// What `git fetch` takes: an address, a path, a bundle.
    pub git: String,
}

impl Peer {
    /// A registry at an HTTP address, which serves its repository under `/git`.
    pub fn at(name: &str, url: &str) -> Self {
        let url = url.trim_end_matches('/');
        Self { name: name.to_owned(), url: Some(url.to_owned()), git: format!("{url}/git") }
    }
}

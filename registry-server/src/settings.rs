//! What must a registry be told to run? The resolved form: keys read, addresses parsed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Bytes of one archive, at most.
    pub archive_limit: u64,
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

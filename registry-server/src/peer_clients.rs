//! Whom does this registry call over HTTP, and how patiently? Peers by configuration and by record, nobody else.
//!
//! Addresses come from `registry.toml` and from records that the registrars' threshold (or a registry's own owners)
//! signed. They may be private ones: registries of one government network are. Nothing but GETs of fixed paths and heads
//! to cosign is ever sent, redirects are followed within one origin only, and answers are bounded and checked. Whoever
//! runs a registry beside services that trust their network should still let it call only its peers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use brick_client::{Client, NewClientError, Patience};

use crate::registry::Registry;

/// Peers whose connections are kept.
const MAX_CLIENTS: usize = 1_024;

/// How long a peer is waited for; whoever asks tries again later by itself.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    idle: Duration::from_secs(25),
    total: Duration::from_secs(120),
    attempts: 1,
    first_pause: Duration::from_millis(150),
};

/// Connections to peers, by address.
#[derive(Default)]
pub struct PeerClients(Mutex<BTreeMap<String, Client>>);

impl Registry {
    /// The client of the peer at `url`.
    ///
    /// # Errors
    /// [`NewClientError`] for what is no address.
    pub fn peer_client(&self, url: &str) -> Result<Client, NewClientError> {
        let mut clients = self.peer_clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(url) {
            return Ok(client.clone());
        }
        let client = Client::with_patience(url, PATIENCE)?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(url.to_owned(), client.clone());
        Ok(client)
    }
}

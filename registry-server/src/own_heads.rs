//! How far have others seen the logs that are signed or cosigned here? Asked before anything is, see [`gap`](crate::gap).
//!
//! After a restored backup or a failover the store may end before what the world has seen. Signing on from there would
//! be a second history, and permanent proof of misbehaviour against an honest body. Whatever peers show later is compared
//! all the same, each time they are followed.

use std::sync::Arc;

use brick_client::{Client, LogPath};
use brick_schemas::Origin;
use brick_tlog::checkpoint::{Checkpoint, open_note};
use brick_tlog::note::Note;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::closed::Closed;
use crate::nodes::Nodes;
use crate::problem::said;
use crate::registry::{Registry, RegistryError};
use crate::settings::Peer;
use crate::sync::commons_origin;

/// Asks every peer for the head of each of `origins` that it cosigned last and the one that it shows, holds them against
/// what is stored, and opens the logs of which enough is known then.
///
/// Who has answered for a log that waits to be opened is not asked again. Returns how many peers answered for all.
pub async fn ask(registry: &Arc<Registry>, origins: &[Origin]) -> usize {
    if origins.is_empty() {
        return 0;
    }
    let mut origins = origins.to_vec();
    if let Some(commons) = commons_origin(registry)
        && !registry.is_caught_up(&commons)
        && !origins.contains(&commons)
    {
        // The records say who the others are.
        origins.insert(0, commons);
    }
    let limit = registry.settings.patience.own_heads;
    let peers = registry.peers();
    let mut asked: FuturesUnordered<_> =
        peers.iter().map(|peer| tokio::time::timeout(limit, ask_peer(registry, peer, &origins))).collect();
    let mut answered = 0;
    while let Some(outcome) = asked.next().await {
        match outcome {
            Ok(Ok(())) => answered += 1,
            Ok(Err(why)) => {
                tracing::debug!(why, "a peer could not say how far it has seen this registry's logs")
            }
            Err(_) => tracing::warn!("a peer did not say in time how far it has seen this registry's logs"),
        }
    }
    registry.note_round(&origins);
    registry.look_at_gaps(&origins).await;
    tracing::info!(
        logs = origins.len(),
        peers = peers.len(),
        answered,
        "asked how far this registry's logs were seen"
    );
    answered
}

async fn ask_peer(registry: &Arc<Registry>, peer: &Peer, origins: &[Origin]) -> Result<(), String> {
    let Some(url) = &peer.url else { return Ok(()) };
    // Kept between rounds: making one anew costs more than the question.
    let client = registry.peer_client(url).map_err(|err| said(&err))?;
    let records = registry.registry_records();
    let record = records.iter().find(|record| {
        record.id.as_str() == peer.name || record.urls.iter().any(|known| known.trim_end_matches('/') == url)
    });
    let who = record.map(|record| &record.id);
    for origin in origins {
        if registry.is_unanswered(origin, who) {
            ask_about(registry, &client, origin, &peer.name).await?;
            if let Some(who) = who {
                registry.note_answer(origin, who);
            }
        }
    }
    Ok(())
}

/// Asks one peer about one log, whose own witness has nothing to say of a log that it hosts.
async fn ask_about(registry: &Registry, client: &Client, origin: &Origin, peer: &str) -> Result<(), String> {
    let is_hosted = registry.is_hosted(origin);
    let publisher = (Some(origin) != commons_origin(registry).as_ref()).then(|| origin.domain());
    let vkey = match is_hosted {
        true => registry.hosted_vkey(origin),
        false => registry.rules(publisher.as_ref()).map_err(|err| said(&err))?.log,
    };
    let path = publisher.map_or(LogPath::Commons, LogPath::Publisher);
    let cosigned =
        client.witness_checkpoint(&Registry::log_key_name(origin)).await.map_err(|err| said(&err))?;
    let shown = client.checkpoint_if_any(&path).await.map_err(|err| said(&err))?;
    for note in [cosigned, shown].into_iter().flatten() {
        let head = match open_note(note, &vkey) {
            Ok(head) => head,
            // A head that this registry's own key did not sign says nothing about it.
            Err(_) if is_hosted => continue,
            Err(err) => return Err(format!("{origin}: {}", said(&err))),
        };
        let compared = match is_hosted {
            true => registry.compare_own_head(origin, head.checkpoint(), head.note(), peer).await,
            false => registry.compare_seen(origin, head.checkpoint(), head.note()).await,
        };
        compared.map_err(|err| said(&err))?;
    }
    Ok(())
}
impl Registry {
    /// Closes a hosted log if a head that its key signed is not one that the store has or extends.
    ///
    /// - `checkpoint`, `note`: the head; the note is verified to be signed by this registry's key.
    /// - `witness`: who showed it.
    ///
    /// # Errors
    /// [`RegistryError`] where the store fails.
    pub async fn compare_own_head(
        &self,
        origin: &Origin,
        checkpoint: &Checkpoint,
        note: &Note,
        witness: &str,
    ) -> Result<(), RegistryError> {
        let log = self.stored_log(origin).await?;
        let ours = log.as_ref().map_or(0, |log| log.size);
        if checkpoint.size > ours {
            let (theirs, witness) = (checkpoint.size, witness.to_owned());
            self.close_log(origin, Closed::Behind { origin: origin.clone(), ours, theirs, witness });
            return Ok(());
        }
        let Some(log) = log else { return Ok(()) };
        let root =
            Nodes::new(&self.store, log.id).root_at(checkpoint.size).await.map_err(RegistryError::store)?;
        if root != checkpoint.root {
            let newest = self.head(origin).map(|head| head.newest.clone()).unwrap_or_default();
            let why =
                format!("{origin} was signed with {} leaves that are not the ones here", checkpoint.size);
            self.keep_evidence(origin, &newest, &note.to_bytes(), &why).await?;
            self.close_log(origin, Closed::Forked { origin: origin.clone(), size: checkpoint.size });
        }
        Ok(())
    }

    /// The origins of the logs that are hosted here, by the store and by the records, in order.
    ///
    /// # Errors
    /// [`RegistryError`] where the store fails.
    pub async fn hosted_origins(&self) -> Result<Vec<Origin>, RegistryError> {
        let logs = self.store.logs().await.map_err(RegistryError::store)?;
        let mut origins: Vec<Origin> =
            logs.into_iter().filter(|log| log.hosted).map(|log| log.origin).collect();
        let state = self.commons();
        origins.extend(
            state
                .commons
                .iter()
                .flat_map(|commons| commons.publishers())
                .filter(|record| record.home == self.settings.id)
                .map(|record| record.origin.clone()),
        );
        origins.sort();
        origins.dedup();
        Ok(origins)
    }
}

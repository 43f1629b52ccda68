//! How does following the others go, and what was refused? Public, with since when and why.

use axum::Json;
use axum::extract::State;
use brick_schemas::Origin;
use brick_schemas::api::{MAX_REFUSALS, PeerStatus, Refusal, SyncStatus, SyncStep};
use brick_store::{SyncRow, SyncState};
use brick_trust::Refused;

use crate::problem::{Rejection, chain};
use crate::reads::Shared;
use crate::registry::{Registry, now};
use crate::settings::Peer;

/// Why something was not taken, as it is kept in the store: `step|leaf index or nothing|reason`.
pub fn kept_reason(refused: &Refused, index: Option<u64>) -> String {
    let index = index.map(|index| index.to_string()).unwrap_or_default();
    format!("{}|{index}|{}", refused.step, chain(refused))
}

/// The parts of a reason that [`kept_reason`] wrote; other failures have only words.
fn read_reason(why: &str) -> (Option<(SyncStep, Option<u64>)>, &str) {
    let mut parts = why.splitn(3, '|');
    let (step, index, reason) = (parts.next(), parts.next(), parts.next());
    let step = step.and_then(|step| serde_json::from_value(serde_json::Value::String(step.to_owned())).ok());
    match (step, reason) {
        (Some(step), Some(reason)) => (Some((step, index.and_then(|index| index.parse().ok()))), reason),
        _ => (None, why),
    }
}

/// `GET /api/v1/sync`
///
/// # Errors
/// [`Rejection`].
pub async fn sync(State(registry): Shared) -> Result<Json<SyncStatus>, Rejection> {
    let rows = registry.store.sync_states().await?;
    let peers = registry.peers().iter().map(|peer| peer_status(&registry, peer, &rows)).collect();
    let mut refusals: Vec<Refusal> = rows.into_iter().filter_map(refusal).collect();
    refusals.sort_by_key(|refusal| std::cmp::Reverse(refusal.since));
    refusals.truncate(MAX_REFUSALS);
    let catching_up = registry.catching_up(false);
    Ok(Json(SyncStatus { registry: registry.settings.id.clone(), now: now(), peers, refusals, catching_up }))
}

fn peer_status(registry: &Registry, peer: &Peer, rows: &[SyncRow]) -> PeerStatus {
    let own = rows.iter().find(|row| row.peer == peer.name && row.log.is_none());
    let failed = own.and_then(|row| match &row.state {
        SyncState::Failed { why } => Some(read_reason(why).1.to_owned()),
        SyncState::Followed => None,
    });
    let logs: Vec<&Origin> = rows
        .iter()
        .filter(|row| row.peer == peer.name && row.state == SyncState::Followed)
        .filter_map(|row| row.log.as_ref())
        .collect();
    PeerStatus {
        git: without_user(&peer.git),
        url: peer.url.clone(),
        last_success: own.filter(|_| failed.is_none()).map(|row| row.seen),
        last_attempt: own.map(|row| row.seen),
        failing_since: own.filter(|_| failed.is_some()).map(|row| row.since),
        error: failed,
        log_count: logs.len() as u64,
        entry_count: logs.iter().filter_map(|origin| registry.head(origin)).map(|head| head.size).sum(),
    }
}

fn refusal(row: SyncRow) -> Option<Refusal> {
    let (log, SyncState::Failed { why }) = (row.log?, &row.state) else { return None };
    let (Some((step, index)), reason) = read_reason(why) else { return None };
    Some(Refusal { since: row.since, peer: row.peer, log, index, step, reason: reason.to_owned() })
}

/// An address without what stands before an `@`: it may be a token.
fn without_user(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, path)| (a, Some(path)));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}

/// One pair of heads that cannot be connected.
#[derive(Debug, serde::Serialize, schemars::JsonSchema)]
pub struct EvidenceBody {
    /// The log.
    pub log: Origin,
    /// One head, as a note.
    pub a: String,
    /// The other.
    pub b: String,
    /// What is wrong between them.
    pub why: String,
}

/// `GET /api/v1/evidence`: heads that cannot be connected, for everybody to see.
///
/// # Errors
/// [`Rejection`].
pub async fn evidence(State(registry): Shared) -> Result<Json<Vec<EvidenceBody>>, Rejection> {
    let kept = registry.store.evidence().await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Json(
        kept.into_iter()
            .map(|pair| EvidenceBody { log: pair.origin, a: text(pair.a), b: text(pair.b), why: pair.why })
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_back_as_it_was_kept() {
        for (step, word) in [
            (brick_trust::Step::Manifest, SyncStep::Manifest),
            (brick_trust::Step::Root, SyncStep::Root),
            (brick_trust::Step::Inclusion, SyncStep::Inclusion),
            (brick_trust::Step::Snapshot, SyncStep::Snapshot),
        ] {
            let refused = Refused::new(step, "it says 1|2");
            let why = kept_reason(&refused, Some(7));
            let reason = format!("{step} check failed: it says 1|2");
            assert_eq!(read_reason(&why), (Some((word, Some(7))), reason.as_str()));
        }
        assert_eq!(read_reason("git cannot fetch a|b|c"), (None, "git cannot fetch a|b|c"));
    }

    #[test]
    fn a_token_in_an_address_is_not_shown() {
        for (address, shown) in [
            ("https://token@a.example/git", "https://a.example/git"),
            ("https://u:p@a.example:8443", "https://a.example:8443"),
            ("https://a.example/git@2", "https://a.example/git@2"),
            ("/srv/mirror@home.git", "/srv/mirror@home.git"),
        ] {
            assert_eq!(without_user(address), shown);
        }
    }
}

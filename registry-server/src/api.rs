//! What can be asked of a registry beyond plain files? The JSON of `/api/v1`, publishing, and the witness.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Multipart, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use brick_schemas::api::{
    API_VERSION, BrickSummary, CommonsId, EntryReceipt, Health, HealthStatus, LogPath, MAX_PAGE, PeerStatus,
    ProblemType, PublisherSummary, PublishersPage, Refusal, RegistrySummary, SearchResults, ServiceSummary,
    ServicesPage, SyncStatus, WellKnown,
};
use brick_schemas::index_line::parse_index_file;
use brick_schemas::predicate::Service;
use brick_schemas::predicate::service::Part;
use brick_schemas::{FullName, Origin};
use brick_store::SyncState;
use brick_tlog::witness::{AddCheckpoint, SIZE_CONTENT_TYPE, encode_response, encode_size};
use serde::Deserialize;

use crate::problem::Rejection;
use crate::reads::Shared;
use crate::receive::receive;
use crate::registry::now;
use crate::witness::WitnessAnswer;
use brick_tlog::witness::Decision;

/// `/.well-known/brickyard.json`
///
/// # Errors
/// [`Rejection`] while the commons log is not here.
pub async fn well_known(State(registry): Shared) -> Result<Response, Rejection> {
    let state = registry.commons();
    let commons = state.known().map_err(|err| Rejection::busy(&err.what))?;
    let mut logs = Vec::new();
    for (origin, head) in registry.heads() {
        let rules = registry.rules(head.publisher.as_ref()).map_err(|err| Rejection::refused(&err))?;
        let path = head.publisher.as_ref().map_or_else(|| "/commons".to_owned(), |id| format!("/logs/{id}"));
        logs.push(LogPath { origin, vkey: rules.log.to_string(), path, publisher: head.publisher.clone() });
    }
    let body = WellKnown {
        api_version: API_VERSION,
        commons: CommonsId {
            origin: commons.origin(),
            vkey: commons.root().terms.log.clone(),
            root_sha256: commons.first_root(),
        },
        registry: registry.settings.id.clone(),
        logs,
    };
    let mut response = Json(body).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=10"));
    Ok(response)
}

/// `POST /api/v1/entries`
///
/// # Errors
/// [`Rejection`].
pub async fn entries(State(registry): Shared, parts: Multipart) -> Result<Json<EntryReceipt>, Rejection> {
    receive(&registry, parts).await.map(Json)
}

/// `POST /witness/add-checkpoint`. Source: C2SP tlog-witness.
///
/// # Errors
/// [`Rejection`].
pub async fn add_checkpoint(State(registry): Shared, body: Bytes) -> Result<Response, Rejection> {
    let request = AddCheckpoint::parse(&body)
        .map_err(|err| Rejection::new(ProblemType::Malformed, crate::problem::chain(&err)))?;
    let answer = registry.add_checkpoint(&request).await?;
    let status = answer.status();
    Ok(match answer {
        WitnessAnswer::Cosigned(line) => encode_response(&[line]).into_response(),
        WitnessAnswer::Decided(Decision::Conflict { size }) => {
            let mut response = (status, encode_size(size)).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SIZE_CONTENT_TYPE));
            response
        }
        WitnessAnswer::Decided(_) => (status, status.canonical_reason().unwrap_or("refused")).into_response(),
        WitnessAnswer::NotChecked => {
            return Err(Rejection::busy("the entries under this head have not been checked here yet"));
        }
        WitnessAnswer::Refused(refused) => (status, crate::problem::chain(&refused)).into_response(),
    })
}

/// A page of a list: what to begin after, and how many.
#[derive(Debug, Default, Deserialize)]
pub struct Page {
    /// Begins names, for searches.
    #[serde(default)]
    pub q: String,
    /// How many, at most [`MAX_PAGE`].
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE)
    }
}

/// `GET /api/v1/search` and `/api/v1/bricks`: bricks whose name begins with `q`.
///
/// # Errors
/// [`Rejection`].
pub async fn search(
    State(registry): Shared,
    Query(page): Query<Page>,
) -> Result<Json<SearchResults>, Rejection> {
    let after =
        match &page.cursor {
            Some(cursor) => Some(FullName::parse(cursor).map_err(|_| {
                Rejection::new(ProblemType::Malformed, "the cursor is not one of this list's")
            })?),
            None => None,
        };
    let limit = page.limit();
    let rows =
        registry.store.bricks(&page.q, after.as_ref(), u32::try_from(limit).unwrap_or(u32::MAX)).await?;
    let next = (rows.len() == limit).then(|| rows.last().map(|row| row.name.to_string())).flatten();
    let mut bricks = Vec::with_capacity(rows.len());
    for row in rows {
        let Some((bytes, _)) = registry.store.index_file(row.log, &row.name.brick, row.at_size).await? else {
            continue;
        };
        let lines = parse_index_file(&bytes)
            .map_err(|_| Rejection::new(ProblemType::Internal, "a stored index file is damaged"))?;
        let newest = lines
            .iter()
            .max_by(|a, b| (!a.vers.is_prerelease(), &a.vers).cmp(&(!b.vers.is_prerelease(), &b.vers)));
        if let Some(line) = newest {
            bricks.push(BrickSummary {
                name: line.name.clone(),
                version: line.vers.clone(),
                kind: line.kind,
                maturity: line.maturity,
                license: line.license.clone(),
                status: line.status,
                release_count: lines.len() as u64,
                time: line.time,
                text: Default::default(),
            });
        }
    }
    Ok(Json(SearchResults { bricks, next }))
}

/// `GET /api/v1/publishers`
///
/// # Errors
/// [`Rejection`].
pub async fn publishers(
    State(registry): Shared,
    Query(page): Query<Page>,
) -> Result<Json<PublishersPage>, Rejection> {
    let state = registry.commons();
    let limit = page.limit();
    let mut publishers = Vec::new();
    for record in state.commons.iter().flat_map(|commons| commons.publishers()) {
        if publishers.len() > limit
            || page.cursor.as_deref().is_some_and(|cursor| record.id.as_str() <= cursor)
        {
            continue;
        }
        let head = registry.head(&record.origin);
        let (mut brick_count, mut service_count) = (0, 0);
        if let Some(head) = &head {
            brick_count = registry.store.files_changed(head.id, 0, head.shown_size).await?.len() as u64;
            service_count = registry.store.services(head.id, 0, head.shown_size).await?.len() as u64;
        }
        publishers.push(PublisherSummary {
            id: record.id.clone(),
            kind: record.kind,
            home: record.home.clone(),
            origin: record.origin.clone(),
            status: record.status,
            entry_count: head.map_or(0, |head| head.shown_size),
            brick_count,
            service_count,
        });
    }
    let more = publishers.len() > limit;
    publishers.truncate(limit);
    let next = more.then(|| publishers.last().map(|publisher| publisher.id.to_string())).flatten();
    Ok(Json(PublishersPage { publishers, next }))
}

/// `GET /api/v1/registries`
pub async fn registries(State(registry): Shared) -> Json<Vec<RegistrySummary>> {
    let records = registry.registry_records();
    Json(
        records
            .into_iter()
            .map(|record| RegistrySummary {
                id: record.id,
                operator: record.operator,
                urls: record.urls,
                status: record.status,
            })
            .collect(),
    )
}

/// `GET /api/v1/services`
///
/// # Errors
/// [`Rejection`].
pub async fn services(
    State(registry): Shared,
    Query(page): Query<Page>,
) -> Result<Json<ServicesPage>, Rejection> {
    let limit = page.limit();
    let mut services = Vec::new();
    for (_, head) in registry.heads() {
        if head.publisher.is_none() {
            continue;
        }
        for state in registry.store.services(head.id, 0, head.shown_size).await? {
            let service: Service = serde_json::from_str(&state.row.json)
                .map_err(|_| Rejection::new(ProblemType::Internal, "a stored service is damaged"))?;
            let after = page.cursor.as_deref().is_none_or(|cursor| service.id.to_string().as_str() > cursor);
            if after && service.id.to_string().starts_with(&page.q) {
                services.push(summary(&service, state.row.entry));
            }
        }
    }
    services.sort_by(|a, b| a.id.cmp(&b.id));
    let more = services.len() > limit;
    services.truncate(limit);
    let next = more.then(|| services.last().map(|service| service.id.to_string())).flatten();
    Ok(Json(ServicesPage { services, next }))
}

fn summary(service: &Service, entry: u64) -> ServiceSummary {
    let local = service.parts.iter().filter(|part| matches!(part, Part::Local { .. })).count() as u64;
    ServiceSummary {
        id: service.id.clone(),
        function: service.function.clone(),
        body: service.body.clone(),
        status: service.status,
        part_count: service.parts.len() as u64,
        local_part_count: local,
        entry,
    }
}

/// `GET /api/v1/sync`: how following the peers goes, and what was refused.
///
/// # Errors
/// [`Rejection`].
pub async fn sync(State(registry): Shared) -> Result<Json<SyncStatus>, Rejection> {
    let rows = registry.store.sync_states().await?;
    let mut refusals = Vec::new();
    let mut peers = Vec::new();
    for peer in registry.peers() {
        let own = rows.iter().find(|row| row.peer == peer.name && row.log.is_none());
        let failed = own.and_then(|row| match &row.state {
            SyncState::Failed { why } => Some(plain_reason(why).to_owned()),
            SyncState::Followed => None,
        });
        let logs: Vec<_> =
            rows.iter().filter(|row| row.peer == peer.name).filter_map(|row| row.log.clone()).collect();
        peers.push(PeerStatus {
            git: peer.git.clone(),
            url: peer.url.clone(),
            last_success: own.filter(|_| failed.is_none()).map(|row| row.seen),
            last_attempt: own.map(|row| row.seen),
            failing_since: own.filter(|_| failed.is_some()).map(|row| row.since),
            error: failed,
            log_count: logs.len() as u64,
            entry_count: logs.iter().filter_map(|origin| registry.head(origin)).map(|head| head.size).sum(),
        });
    }
    for row in rows {
        if let (Some(log), SyncState::Failed { why }) = (row.log, &row.state)
            && let Some((step, reason)) = why.split_once('|')
            && let Ok(step) = serde_json::from_value(serde_json::Value::String(step.to_owned()))
        {
            refusals.push(Refusal {
                since: row.since,
                peer: row.peer,
                log,
                index: None,
                step,
                reason: reason.to_owned(),
            });
        }
    }
    refusals.truncate(brick_schemas::api::MAX_REFUSALS);
    Ok(Json(SyncStatus { registry: registry.settings.id.clone(), now: now(), peers, refusals }))
}

fn plain_reason(why: &str) -> &str {
    why.split_once('|').map_or(why, |(_, reason)| reason)
}

/// One pair of heads that cannot be connected.
#[derive(Debug, serde::Serialize)]
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

/// `/healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `/readyz`: it can do its work.
pub async fn readyz(State(registry): Shared) -> Response {
    let mut reasons = Vec::new();
    let mut status = HealthStatus::Ok;
    if let Err(fault) = registry.store.writable() {
        reasons.push(fault.to_string());
        status = HealthStatus::ReadOnly;
    }
    if registry.commons().commons.is_none() {
        reasons.push("the commons log is not here yet".to_owned());
        status = HealthStatus::Starting;
    }
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Health { status, reasons })).into_response()
}

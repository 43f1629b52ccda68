//! What can be asked of a registry beyond plain files? Who it is, publishing, and the witness.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Multipart, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use brick_schemas::api::{API_VERSION, CommonsId, EntryReceipt, LogPath, ProblemType, WellKnown};
use brick_tlog::witness::{
    AddCheckpoint, Decision, MAX_REQUEST_BYTES, SIZE_CONTENT_TYPE, encode_response, encode_size,
};

use crate::front::AsSpecified;
use crate::problem::Rejection;
use crate::reads::Shared;
use crate::receive::receive;
use crate::witness::WitnessAnswer;

/// `/.well-known/brickyard.json`
///
/// # Errors
/// [`Rejection`] while the commons log is not here.
pub async fn well_known(State(registry): Shared) -> Result<Response, Rejection> {
    let state = registry.commons();
    let commons = state.known().map_err(|err| Rejection::busy(&err.what))?;
    let origin = commons.origin();
    let mut logs = Vec::new();
    for (log, head) in registry.heads() {
        // A log whose record is gone from the commons has no key that anybody could check it with.
        let Ok(rules) = registry.rules(head.publisher.as_ref()) else { continue };
        let path = head.publisher.as_ref().map_or_else(|| "/commons".to_owned(), |id| format!("/logs/{id}"));
        logs.push(LogPath {
            origin: log,
            vkey: rules.log.to_string(),
            path,
            publisher: head.publisher.clone(),
        });
    }
    logs.sort_by_key(|log| log.origin != origin);
    let body = WellKnown {
        api_version: API_VERSION,
        commons: CommonsId {
            origin,
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
    let received = receive(&registry, parts).await;
    registry.metrics.count_entry(match &received {
        Ok(receipt) => Ok(receipt.duplicate),
        Err(rejection) => Err(rejection.problem.problem_type),
    });
    received.map(Json)
}

/// `POST /witness/add-checkpoint`. Source: C2SP tlog-witness; its statuses and bodies, not ours.
///
/// # Errors
/// [`Rejection`] where the request is too large, cannot be checked yet, or the store fails.
pub async fn add_checkpoint(State(registry): Shared, body: Bytes) -> Result<Response, Rejection> {
    if body.len() > MAX_REQUEST_BYTES {
        let what = format!("a request for a cosignature has at most {MAX_REQUEST_BYTES} bytes");
        return Err(Rejection::new(ProblemType::TooLarge, what));
    }
    let answer = match AddCheckpoint::parse(&body) {
        Ok(request) => registry.add_checkpoint(&request).await?,
        Err(err) => WitnessAnswer::Decided(Decision::from(err)),
    };
    let status = answer.status();
    let mut response = match answer {
        WitnessAnswer::Cosigned(line) => encode_response(&[line]).into_response(),
        WitnessAnswer::Decided(Decision::Conflict { size }) => {
            let mut response = (status, encode_size(size)).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SIZE_CONTENT_TYPE));
            response
        }
        WitnessAnswer::Decided(decision) => (status, words(&decision) + "\n").into_response(),
        WitnessAnswer::NotChecked => {
            return Err(Rejection::busy("the entries under this head have not been checked here yet"));
        }
        WitnessAnswer::CatchingUp => {
            return Err(Rejection::busy(
                "this witness is finding out how far it cosigned the log before it started",
            ));
        }
        WitnessAnswer::Refused(refused) => (status, crate::problem::said(&refused) + "\n").into_response(),
    };
    response.extensions_mut().insert(AsSpecified);
    Ok(response)
}

/// Why a witness says no, for the people behind the log.
fn words(decision: &Decision) -> String {
    match decision {
        Decision::BadRequest { err: Some(err) } => crate::problem::said(err),
        Decision::BadRequest { err: None } => "the old size is above the checkpoint's".into(),
        Decision::UnknownOrigin => "this witness does not know the log".into(),
        Decision::Forbidden { err } => crate::problem::said(err),
        Decision::Unprocessable { err } => crate::problem::said(err),
        Decision::Conflict { .. } | Decision::Cosign { .. } => String::new(),
    }
}

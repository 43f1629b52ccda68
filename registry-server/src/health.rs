//! Is it alive, and can it do its work? For whoever restarts it and whoever sends it requests.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use brick_schemas::api::{Health, HealthStatus};

use crate::front::AsSpecified;
use crate::reads::Shared;

/// `/healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `/readyz`: it can do its work. 503 where it cannot, with the reasons in the same body.
///
/// A log that is closed for signing leaves reading, so `read-only` is a matter for the operator, not for a load balancer
/// that only has readers behind it: look at the body.
pub async fn readyz(State(registry): Shared) -> Response {
    let mut reasons = Vec::new();
    let mut status = HealthStatus::Ok;
    if let Some(trouble) = registry.store.trouble() {
        reasons.push(trouble.to_string());
        status = HealthStatus::ReadOnly;
    }
    let closed = registry.closed_logs();
    if !closed.is_empty() {
        status = HealthStatus::ReadOnly;
        reasons.extend(closed.iter().map(|(_, why)| why.to_string()));
    }
    if registry.commons().commons.is_none() {
        reasons.push("the commons log is not here yet".to_owned());
        status = HealthStatus::Starting;
    }
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (code, Json(Health { status, reasons })).into_response();
    response.extensions_mut().insert(AsSpecified);
    response
}

//! What does every request pass on its way in and out? One meaning for every address, a time limit, an id, and problem
//! bodies for every refusal.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use brick_schemas::api::ProblemType;

use crate::metrics::{MethodLabel, RequestLabels, RouteLabels, StatusLabel};
use crate::problem::Rejection;
use crate::registry::Registry;
use crate::request_id::{REQUEST_ID, RequestId};
use crate::routes::known_route;
use crate::slow::PatientBody;

/// Bytes of a refusal's words that are taken over into a problem body.
const MAX_WORDS: usize = 4_096;
/// Only what this registry itself writes may ever run or load in a page of its.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The answer is what another specification prescribes, errors included: it is passed on as it is.
#[derive(Clone, Copy)]
pub struct AsSpecified;

/// Passes a request on to its handler, and the answer out.
pub async fn pass(State(registry): State<Arc<Registry>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = RequestId::of(request.headers());
    let method = request.method().clone();
    let route =
        request.extensions().get::<MatchedPath>().map_or("other", |matched| known_route(matched.as_str()));
    let uri = request.uri().clone();
    let asked = request.headers().clone();
    let response = match check_path(&uri) {
        Err(rejection) => rejection.into_response(),
        Ok(()) => handle(&registry, request, next).await,
    };
    let mut response = with_problem(response, id.as_str()).await;
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if method == Method::GET && uri.query().is_none() {
        response = registry.kept_answers.keep(uri.path(), route, &registry.metrics, &asked, response).await;
    }
    response.headers_mut().insert(REQUEST_ID, id.clone().into_header());
    let status = response.status();
    let (method_label, status_label) = (MethodLabel::from(&method), StatusLabel::from(status));
    let metrics = &registry.metrics;
    metrics
        .requests
        .get_or_create(&RequestLabels { route, method: method_label, status: status_label })
        .inc();
    metrics.request_seconds.get_or_create(&RouteLabels { route }).observe(begun.elapsed().as_secs_f64());
    // hyper lets no control character into a path, so it stays on its line.
    let ms = begun.elapsed().as_millis() as u64;
    let (path, status) = (uri.path(), status.as_u16());
    if status >= 500 {
        tracing::warn!(id = id.as_str(), %method, path, status, ms, "answered");
    } else {
        tracing::debug!(id = id.as_str(), %method, path, status, ms, "answered");
    }
    response
}

async fn handle(registry: &Registry, request: Request, next: Next) -> Response {
    let patience = registry.settings.patience;
    let method = request.method().clone();
    let request = request.map(|body| Body::new(PatientBody::new(body, patience.idle, patience.body_grace)));
    match tokio::time::timeout(patience.request, next.run(request)).await {
        Ok(response) => response,
        Err(_) if method == Method::POST => Rejection::busy(
            "the request took too long; whether an entry was logged is answered by sending it again",
        )
        .into_response(),
        Err(_) => Rejection::busy("the request took too long").into_response(),
    }
}

/// One address has one spelling: nothing here needs an escape, an empty or a relative segment.
fn check_path(uri: &Uri) -> Result<(), Rejection> {
    let path = uri.path();
    let relative = path.split('/').skip(1).any(|segment| segment == "." || segment == "..");
    if path.contains('%') || path.contains("//") || path.contains('\\') || relative {
        return Err(Rejection::new(
            ProblemType::Malformed,
            "a path has no `%`, no `//` and no `.` or `..` segment here",
        ));
    }
    Ok(())
}

/// Gives a refusal the body that programs expect, whoever made it, with the request's id in it.
async fn with_problem(response: Response, id: &str) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error())
        || response.extensions().get::<AsSpecified>().is_some()
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let mut rejection = match parts.extensions.remove::<Rejection>() {
        Some(rejection) => rejection,
        None => {
            let words = axum::body::to_bytes(body, MAX_WORDS).await.unwrap_or_default();
            Rejection::of_status(status, String::from_utf8_lossy(&words).trim())
        }
    };
    rejection.problem.status = status.as_u16();
    rejection.problem.instance = Some(format!("urn:brickyard:request:{id}"));
    let mut response = rejection.into_response();
    *response.status_mut() = status;
    let ours = std::mem::take(response.headers_mut());
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(ours);
    *response.headers_mut() = parts.headers;
    response
}

/// `GET /`: what this is and where the rest is, for a person who followed a link here.
pub async fn page(State(registry): State<Arc<Registry>>) -> Response {
    let settings = &registry.settings;
    let state = registry.commons();
    let commons = match &state.commons {
        Some(commons) => format!("the commons <b>{}</b>", html(commons.origin().as_str())),
        None => "a commons whose log has not arrived here yet".to_owned(),
    };
    let (title, id, operator) =
        (html(&settings.title), html(settings.id.as_str()), html(settings.operator.as_str()));
    let root = settings.root_sha256;
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>body{{font:1rem/1.5 sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem}}</style>\n\
         <h1>{title}</h1>\n\
         <p>This is <b>{id}</b>, a registry of bricks (specifications of public services and their parts), run by \
         <b>{operator}</b> for {commons}.</p>\n\
         <p>Nothing here need be believed: whoever pinned the commons' first root (<code>{root}</code>) can check \
         every byte.</p>\n\
         <ul>\n\
         <li><a href=\"/api/v1/bricks\">Bricks</a>, <a href=\"/api/v1/publishers\">publishers</a>, \
         <a href=\"/api/v1/registries\">registries</a>, <a href=\"/api/v1/services\">services</a>\n\
         <li><a href=\"/openapi.json\">Every address, described for programs</a>\n\
         <li><a href=\"/api/v1/sync\">How following the other registries goes</a>, and \
         <a href=\"/api/v1/evidence\">evidence of misbehaviour</a>\n\
         <li><code>git clone</code> this address with <code>/git</code> at its end for the whole commons\n\
         </ul>\n</html>\n"
    );
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    response
}

/// Text as HTML shows it. What comes here was checked for invisible characters when it was read.
fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// What is answered on a known path to a method that it does not have; the router adds `Allow`.
pub async fn wrong_method() -> Rejection {
    Rejection::new(ProblemType::Malformed, "this address does not take that method")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// What is answered where there is nothing.
pub async fn nothing() -> Rejection {
    Rejection::not_found("such page")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_spelling() {
        for good in ["/", "/logs/a.example/tile/0/x001/000.p/5", "/index/a.example/b.jsonl", "/.well-known/x"]
        {
            assert!(check_path(&good.parse().unwrap()).is_ok(), "{good}");
        }
        for bad in ["/a//b", "/a/../b", "/a/./b", "/..", "/a%2fb", "/%2e%2e/a", "//a", "/a/.."] {
            assert!(check_path(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_title_cannot_leave_its_place() {
        assert_eq!(html("<b>\"&'"), "&lt;b&gt;&quot;&amp;&#39;");
    }
}

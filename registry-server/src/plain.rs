//! What does a plain file look like over HTTP? Media type, how long a cache may hold it, and an ETag.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Heads and proofs under them: seconds.
pub const HEAD_CACHE: &str = "public, max-age=2";
/// Index files: minutes, and then asked for again by ETag.
pub const INDEX_CACHE: &str = "public, max-age=60, must-revalidate";
/// Tiles, archives and blobs: for ever.
pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// An answer of these bytes.
pub fn plain(content_type: &'static str, cache: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// The answer to a reader who has that already.
pub fn not_modified(etag: &str, cache: &'static str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    set(&mut response, header::ETAG, etag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// Whether `If-None-Match` names `etag`. Source: RFC 9110 §13.1.2, by weak comparison.
pub fn none_match(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag)
}

/// Answers shorter than this are not compressed.
const MIN_COMPRESSED_BYTES: u64 = 1_024;

/// Whether an answer is text, and long enough. Archives, tiles and blobs are hashes or compressed already, and have ranges.
///
/// - `bytes`: of its body.
pub fn is_worth_compressing(headers: &HeaderMap, bytes: u64) -> bool {
    const TEXTS: [&str; 4] =
        ["application/json", "application/jsonl", "text/", "application/openmetrics-text"];
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| TEXTS.iter().any(|text| kind.starts_with(text))) && bytes >= MIN_COMPRESSED_BYTES
}

/// Sets a header to digits, digests and the like.
pub fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_found_in_a_list_weak_or_not() {
        for (asked, found) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("\"b\",W/\"a\" ", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, asked.parse().unwrap());
            assert_eq!(none_match(&headers, "\"a\""), found, "{asked}");
        }
        assert!(!none_match(&HeaderMap::new(), "\"a\""));
    }
}

//! How is a blob handed out? Whole, in part, or not at all where the reader has it already.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use brick_schemas::Digest;
use brick_schemas::api::ProblemType;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::kept_answers::keep;
use crate::plain::{IMMUTABLE, none_match, not_modified, plain, set};
use crate::problem::{Rejection, said};
use crate::registry::Registry;

/// Bytes read from a file at a time: each time another thread is asked.
const STREAM_PIECE_BYTES: usize = 256 * 1024;

/// What of a blob is asked for. Source: RFC 9110 §14; one range only, several are answered with the whole.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    Part { first: u64, last: u64 },
    Impossible,
}

impl Registry {
    /// Takes a blob that was found damaged out of the way; peers are asked for a sound one.
    pub(crate) async fn set_aside(&self, sha256: &Digest) {
        tracing::error!(%sha256, "a blob is damaged: it is set aside and asked of the peers again");
        if let Err(err) = self.store.set_aside_rotten(sha256).await {
            tracing::error!(%sha256, why = %said(&err), "it could not be set aside");
        }
    }
}

/// Answers a request for a blob.
///
/// # Errors
/// [`Rejection`] where it is not here, or cannot be read.
pub async fn blob_file(
    registry: &Registry,
    sha256: &Digest,
    content_type: &'static str,
    headers: &HeaderMap,
) -> Result<Response, Rejection> {
    let etag = format!("\"{sha256}\"");
    if none_match(headers, &etag) && registry.store.has_blob(sha256).await {
        return Ok(not_modified(&etag, IMMUTABLE));
    }
    let unreadable = |err: &dyn std::error::Error| {
        tracing::error!(%sha256, why = %said(err), "a blob cannot be read");
        Rejection::new(ProblemType::Internal, "the blob cannot be read")
    };
    let opened = registry.store.open_blob(sha256).await.map_err(|err| unreadable(&err))?;
    let Some((mut file, bytes)) = opened else {
        // One that was here is asked of the peers again.
        if registry.store.note_if_lost(sha256).await? {
            tracing::warn!(%sha256, "a blob that was here is gone");
        }
        return Err(Rejection::not_found("such blob here"));
    };
    let mut response = match range(headers, &etag, bytes) {
        Range::Whole if bytes <= registry.kept_answers.max_body_bytes() => {
            let mut whole = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
            file.take(bytes).read_to_end(&mut whole).await.map_err(|err| unreadable(&err))?;
            if Digest::of(&whole) != *sha256 {
                registry.set_aside(sha256).await;
                return Err(Rejection::not_found("sound copy of the blob here at present"));
            }
            keep(plain(content_type, IMMUTABLE, whole))
        }
        Range::Whole => {
            // No more than the length announced, whatever becomes of the file.
            let whole = ReaderStream::with_capacity(file.take(bytes), STREAM_PIECE_BYTES);
            let mut response = plain(content_type, IMMUTABLE, Body::from_stream(whole));
            set(&mut response, header::CONTENT_LENGTH, &bytes.to_string());
            response
        }
        Range::Part { first, last } => {
            file.seek(std::io::SeekFrom::Start(first)).await.map_err(|err| unreadable(&err))?;
            let part = ReaderStream::with_capacity(file.take(last - first + 1), STREAM_PIECE_BYTES);
            let mut response = plain(content_type, IMMUTABLE, Body::from_stream(part));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(&mut response, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{bytes}"));
            set(&mut response, header::CONTENT_LENGTH, &(last - first + 1).to_string());
            response
        }
        Range::Impossible => {
            let mut response = Rejection::new(ProblemType::Malformed, "the range lies outside the blob")
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
                .into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{bytes}"));
            return Ok(response);
        }
    };
    set(&mut response, header::ETAG, &etag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    Ok(response)
}

fn range(headers: &HeaderMap, etag: &str, bytes: u64) -> Range {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    // RFC 9110 §13.1.5: the range counts only for the representation that the reader has a part of.
    if text(header::IF_RANGE).is_some_and(|known| known != etag) {
        return Range::Whole;
    }
    let Some((first, last)) = text(header::RANGE)
        .and_then(|value| value.strip_prefix("bytes="))
        .and_then(|value| value.split_once('-'))
    else {
        return Range::Whole;
    };
    let end = bytes.saturating_sub(1);
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (first, last) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.min(end)),
        (Some(first), None) if last.is_empty() => (first, end),
        (None, Some(suffix)) if first.is_empty() && suffix > 0 => (bytes.saturating_sub(suffix), end),
        (None, Some(0)) if first.is_empty() => return Range::Impossible,
        _ => return Range::Whole,
    };
    if first >= bytes { Range::Impossible } else { Range::Part { first, last } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let of = |asked: &str, bytes: u64| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, asked.parse().unwrap());
            range(&headers, "\"x\"", bytes)
        };
        for (asked, bytes, expected) in [
            ("bytes=0-0", 10, Range::Part { first: 0, last: 0 }),
            ("bytes=2-5", 10, Range::Part { first: 2, last: 5 }),
            ("bytes=2-", 10, Range::Part { first: 2, last: 9 }),
            ("bytes=2-99", 10, Range::Part { first: 2, last: 9 }),
            ("bytes=-3", 10, Range::Part { first: 7, last: 9 }),
            ("bytes=-99", 10, Range::Part { first: 0, last: 9 }),
            ("bytes=-0", 10, Range::Impossible),
            ("bytes=10-", 10, Range::Impossible),
            ("bytes=0-", 0, Range::Impossible),
            ("bytes=5-2", 10, Range::Whole),
            ("bytes=0-1,3-4", 10, Range::Whole),
            ("bytes=+1-2", 10, Range::Whole),
            ("bytes=a-b", 10, Range::Whole),
            ("lines=0-1", 10, Range::Whole),
            ("bytes=99999999999999999999999-", 10, Range::Whole),
        ] {
            assert_eq!(of(asked, bytes), expected, "{asked}");
        }
    }

    #[test]
    fn a_range_of_another_representation_is_answered_with_the_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=0-1".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"old\"".parse().unwrap());
        assert_eq!(range(&headers, "\"new\"", 10), Range::Whole);
        headers.insert(header::IF_RANGE, "\"new\"".parse().unwrap());
        assert_eq!(range(&headers, "\"new\"", 10), Range::Part { first: 0, last: 1 });
    }
}

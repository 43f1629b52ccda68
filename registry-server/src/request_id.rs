//! By which word can a request be found again in the journal? A proxy's, or one of this process's own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bytes of a request id that is taken over from a proxy, at most.
const MAX_ID_BYTES: usize = 64;

/// The proxy's id for a request if it is a plain word, otherwise one of our own: 16 hexadecimal digits.
pub fn request_id(headers: &HeaderMap) -> String {
    let is_plain = |id: &&str| {
        (1..=MAX_ID_BYTES).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let given = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok()).filter(is_plain);
    given.map_or_else(own_id, str::to_owned)
}

/// Counted from a random place: ids of two processes hardly ever meet, and none costs a call to the system.
fn own_id() -> String {
    static FIRST: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let first = *FIRST.get_or_init(|| getrandom::u64().unwrap_or_default());
    format!("{:016x}", first.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// An id as a header's value.
pub fn id_header(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).expect("letters, digits, `-` and `_` are a header's value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_word_is_taken_over() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
            request_id(&headers)
        };
        assert_eq!(with("abc-123_X"), "abc-123_X");
        for bad in ["", "a b", "a\tb", "<script>", &"x".repeat(65)] {
            let own = with(bad);
            assert!(own.len() == 16 && own != bad, "{bad}");
        }
    }

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}

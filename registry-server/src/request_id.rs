//! By which word can a request be found again in the journal? A proxy's, or one of this process's own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bytes of a request id that is taken over from a proxy, at most.
const MAX_ID_BYTES: usize = 64;

/// The word by which a request can be found again, as a header's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The proxy's id for a request if it is a plain word, otherwise one of our own: 16 hexadecimal digits.
    pub fn of(headers: &HeaderMap) -> Self {
        let is_plain = |id: &&HeaderValue| {
            (1..=MAX_ID_BYTES).contains(&id.len())
                && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_')
        };
        Self(headers.get(&REQUEST_ID).filter(is_plain).cloned().unwrap_or_else(own_id))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("letters, digits, `-` and `_` are text")
    }

    /// For an answer.
    pub fn into_header(self) -> HeaderValue {
        self.0
    }
}

/// Counted from a random place: ids of two processes hardly ever meet, and none costs a call to the system.
fn own_id() -> HeaderValue {
    static FIRST: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let first = *FIRST.get_or_init(|| getrandom::u64().unwrap_or_default());
    let id = first.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
    // Each answer has one, so none is made by way of a text that is copied.
    let digits: [u8; 16] = std::array::from_fn(|at| b"0123456789abcdef"[(id >> (60 - 4 * at)) as usize & 15]);
    HeaderValue::from_bytes(&digits).expect("digits are a header's value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_word_is_taken_over() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
            RequestId::of(&headers).as_str().to_owned()
        };
        assert_eq!(with("abc-123_X"), "abc-123_X");
        for bad in ["", "a b", "a\tb", "<script>", &"x".repeat(65)] {
            let own = with(bad);
            assert!(own.len() == 16 && own != bad, "{bad}");
        }
    }

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }
}

//! Base64 with exactly one spelling for each byte string.
//!
//! RFC 4648 §4: the standard alphabet, padding always, no white space. Spellings that another decoder might let
//! pass (missing padding, bits left over in the last character, the URL alphabet) are refused, so that encoding
//! what was decoded gives the same text again.

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;

/// A text is not the canonical base64 of any byte string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not canonical base64 (RFC 4648 section 4, padded)")]
pub struct InvalidBase64;

/// `bytes` in base64, a third longer than they are.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// The bytes that `text` encodes; empty text gives no bytes.
///
/// Allocates three quarters of `text`'s length; whoever reads from strangers bounds that first.
///
/// # Errors
/// [`InvalidBase64`] unless encoding the result gives `text` again.
pub fn decode(text: &str) -> Result<Vec<u8>, InvalidBase64> {
    STANDARD.decode(text).map_err(|_| InvalidBase64)
}

/// The `N` bytes that `text` encodes.
///
/// # Errors
/// [`InvalidBase64`] if it is not canonical, or not of exactly `N` bytes.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], InvalidBase64> {
    // Length first: a long text that cannot be N bytes is not worth decoding.
    if text.len() != N.div_ceil(3) * 4 {
        return Err(InvalidBase64);
    }
    decode(text)?.try_into().map_err(|_| InvalidBase64)
}

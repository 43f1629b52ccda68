//! Which bytes? SHA-256 digests, blobs by digest, and Go's dirhash of contents.

use sha2::{Digest as _, Sha256};

use crate::newtype::serde_as_text;

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not 64 lower-case hexadecimal digits.
    #[error("a SHA-256 digest is 64 lower-case hexadecimal digits")]
    Hex,
    /// Not `h1:` and the canonical base64 of 32 bytes.
    #[error("a contents hash is `h1:` followed by the base64 of 32 bytes")]
    Contents,
}

/// A SHA-256 digest; as text 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Parses 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`DigestError::Hex`] for anything else, upper case included.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        if text.len() != 64 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(DigestError::Hex);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError::Hex)?;
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).expect("two digits a byte");
        f.write_str(str::from_utf8(&digits).expect("digits are ASCII"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{self}")
    }
}

impl std::str::FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

serde_as_text!(Digest);

impl schemars::JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A SHA-256 digest in lower-case hexadecimal",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

/// Go's dirhash `h1:` of an archive's files: survives recompression, and lets a checkout be compared with a release.
///
/// Source: golang.org/x/mod `sumdb/dirhash`, `Hash1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contents([u8; 32]);

impl Contents {
    /// Hashes files given as (path without the archive's prefix, SHA-256 of the content), in bytewise order of path.
    ///
    /// The order is the caller's to keep: it is part of what is hashed.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, Digest)>) -> Self {
        let mut hash = Sha256::new();
        for (path, digest) in files {
            hash.update(format!("{digest}  {path}\n"));
        }
        Self(hash.finalize().into())
    }

    /// Parses `h1:` and base64.
    ///
    /// # Errors
    /// [`DigestError::Contents`] for anything else, non-canonical base64 included.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        use base64::Engine as _;
        let encoded = text.strip_prefix("h1:").ok_or(DigestError::Contents)?;
        if encoded.len() != 44 {
            return Err(DigestError::Contents);
        }
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|_| DigestError::Contents)?;
        Ok(Self(bytes.try_into().map_err(|_| DigestError::Contents)?))
    }
}

impl std::fmt::Display for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use base64::Engine as _;
        write!(f, "h1:{}", base64::engine::general_purpose::STANDARD.encode(self.0))
    }
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for Contents {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

serde_as_text!(Contents);

impl schemars::JsonSchema for Contents {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Contents".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Go's dirhash of the archive's files",
            "pattern": "^h1:[A-Za-z0-9+/]{43}=$",
        })
    }
}

/// A blob that lies beside a log, named by its digest.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
pub struct Blob {
    /// The SHA-256 of its bytes.
    pub sha256: Digest,
    /// How many bytes it has.
    pub bytes: u64,
}

impl Blob {
    /// The blob that `bytes` are.
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha256: Digest::of(bytes), bytes: bytes.len() as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_equal_gos_dirhash() {
        // Go: dirhash.Hash1([]string{"abc", "xyz"}, …) over files that hold "data for abc" and "data for xyz"
        // (golang.org/x/mod sumdb/dirhash hash_test.go builds its expectation the same way).
        let abc = Digest::of(b"data for abc");
        let xyz = Digest::of(b"data for xyz");
        let expected = Digest::of(format!("{abc}  abc\n{xyz}  xyz\n").as_bytes());
        assert_eq!(Contents::of([("abc", abc), ("xyz", xyz)]).0, *expected.as_bytes());
    }

    #[test]
    fn a_digest_has_one_spelling() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b""), Digest::parse(text).unwrap());
        for bad in [&text[1..], &text.to_uppercase(), &format!("{text}0"), "", &"g".repeat(64)] {
            assert_eq!(Digest::parse(bad), Err(DigestError::Hex));
        }
        assert!(Contents::parse("h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").is_ok());
        for bad in [
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "h1:",
        ] {
            assert_eq!(Contents::parse(bad), Err(DigestError::Contents));
        }
    }
}

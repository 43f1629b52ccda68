//! Whose signature? Public keys and the ids that envelopes name them by.

use crate::digest::Digest;
use crate::newtype::serde_as_text;

/// Why a text is not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an Ed25519 public key is 64 lower-case hexadecimal digits")]
pub struct KeyError;

/// An Ed25519 public key as bytes; as text 64 lower-case hexadecimal digits, TUF's `keyval.public`.
///
/// Whether the bytes are a point, and not a weak one, is for `trust` to say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Parses 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Digest::parse(text).map(|digest| Self(*digest.as_bytes())).map_err(|_| KeyError)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The TUF key id: the SHA-256 of the key's canonical JSON.
    ///
    /// Source: TUF 1.0.34 §4.2; `wire-formats` calls it the envelope's `keyid`.
    pub fn id(&self) -> Digest {
        Digest::of(
            format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{self}"}},"scheme":"ed25519"}}"#)
                .as_bytes(),
        )
    }
}

impl From<[u8; 32]> for PublicKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ed25519:{self}")
    }
}

impl std::str::FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

serde_as_text!(PublicKey);

impl schemars::JsonSchema for PublicKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PublicKey".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "An Ed25519 public key in lower-case hexadecimal",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

/// Who may act for an organisation: `threshold` distinct keys of `keys`.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct KeySet {
    /// The keys, each once.
    pub keys: Vec<PublicKey>,
    /// How many distinct ones must sign; at least 1, at most as many as there are.
    pub threshold: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_are_those_of_the_tuf_specification() {
        for (public, id) in [
            (
                "66dd78c5c2a78abc6fc6b267ff1a8017ba0e8bfc853dd97af351949bba021275",
                "cb3fbd83df4ba2471a736b065650878280964a98843ec13b457a99b2a21cc3b4",
            ),
            (
                "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
                "63d00ee3cf4f5c61ad94efa696c68f13b608fe56ecea13fb144a6fd18e9235b9",
            ),
        ] {
            assert_eq!(PublicKey::parse(public).unwrap().id().to_string(), id);
        }
    }
}

//! Which key is meant, and what may it sign?

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{SigningKey, VerifyingKey};

use crate::{Hash, base64, hex};

use super::KEY_ID_BYTES;

/// The longest key name.
pub const MAX_KEY_NAME_BYTES: usize = 255;

/// The longest verifier key that is read: name, id, and the base64 of a type byte and an Ed25519 key, with room
/// for naming the type of a longer one.
pub const MAX_VKEY_BYTES: usize = 4096;

const PUBLIC_KEY_BYTES: usize = 32;

/// The name of a key: a log's origin, or a witness's name.
///
/// Not empty, at most [`MAX_KEY_NAME_BYTES`], no Unicode white space, no `+`, no control character below 0x20.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A text cannot name a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key name is 1 to {MAX_KEY_NAME_BYTES} bytes without white space, `+` or control characters")]
pub struct InvalidKeyName;

impl KeyName {
    /// The key name `text`.
    ///
    /// # Errors
    /// [`InvalidKeyName`] if it breaks one of the rules above.
    pub fn new(text: impl Into<String>) -> Result<KeyName, InvalidKeyName> {
        let text = text.into();
        let fits = (1..=MAX_KEY_NAME_BYTES).contains(&text.len());
        let refused = |character: char| character.is_whitespace() || character == '+' || character < ' ';
        if !fits || text.contains(refused) { Err(InvalidKeyName) } else { Ok(KeyName(text)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = InvalidKeyName;

    fn from_str(text: &str) -> Result<KeyName, InvalidKeyName> {
        KeyName::new(text)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The first four bytes of a hash over a key's name, type and bytes: a hint, not a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    /// The four bytes, as they come before a signature.
    pub fn as_bytes(&self) -> &[u8; KEY_ID_BYTES] {
        &self.0
    }
}

impl From<[u8; KEY_ID_BYTES]> for KeyId {
    fn from(bytes: [u8; KEY_ID_BYTES]) -> KeyId {
        KeyId(bytes)
    }
}

impl fmt::Display for KeyId {
    /// Eight lower-case hexadecimal digits.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode(&self.0))
    }
}

/// What a key signs, and how. Both kinds are Ed25519 keys of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// Signs a note's text itself: logs.
    Ed25519 = 0x01,
    /// Signs a time and the text, see [`cosignature`](crate::cosignature): witnesses and mirrors.
    CosignatureV1 = 0x04,
}

impl Algorithm {
    /// The byte that says so in a verifier key.
    pub fn type_byte(self) -> u8 {
        self as u8
    }
}

/// A public key with its name: whom to believe, and about what.
///
/// Written `NAME+ID+KEY`: the id as eight lower-case hexadecimal digits, the key as base64 of its type byte and
/// its 32 bytes. The id is recomputed when it is read.
///
/// ```text
/// example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
/// ```
///
/// Whoever holds one need not ask whether the key is weak: no constructor lets one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vkey {
    name: KeyName,
    id: KeyId,
    algorithm: Algorithm,
    key: VerifyingKey,
}

/// Why a verifier key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VkeyError {
    /// Over [`MAX_VKEY_BYTES`].
    #[error("the verifier key is longer than {MAX_VKEY_BYTES} bytes")]
    TooLong,
    /// Not three parts joined by `+`.
    #[error("a verifier key is NAME+ID+KEY")]
    Parts,
    /// The first part cannot name a key.
    #[error("the verifier key has no valid name")]
    Name(#[source] InvalidKeyName),
    /// The second part is not eight lower-case hexadecimal digits.
    #[error("the id of verifier key {name} is not eight lower-case hexadecimal digits")]
    Id {
        /// The key's name.
        name: KeyName,
    },
    /// The third part is not base64, or empty.
    #[error("the key of verifier key {name} is not canonical base64")]
    Base64 {
        /// The key's name.
        name: KeyName,
    },
    /// A type that this version cannot check.
    #[error("verifier key {name} is of type {type_byte:#04x} ({type_name}), which is not supported")]
    UnsupportedType {
        /// The key's name.
        name: KeyName,
        /// The type byte found.
        type_byte: u8,
        /// What signed-note v1.0.0 calls it.
        type_name: &'static str,
    },
    /// Not 32 bytes.
    #[error("the key of verifier key {name} has {bytes} bytes, an Ed25519 key has 32")]
    Length {
        /// The key's name.
        name: KeyName,
        /// Bytes after the type byte.
        bytes: usize,
    },
    /// The id is not that of this name, type and key.
    #[error("verifier key {name} says its id is {found}, it is {computed}")]
    WrongId {
        /// The key's name.
        name: KeyName,
        /// As written.
        found: KeyId,
        /// As it must be.
        computed: KeyId,
    },
    /// 32 bytes that no point of the curve has.
    #[error("the key of verifier key {name} is not a point of the curve")]
    NotAPoint {
        /// The key's name.
        name: KeyName,
    },
    /// Another spelling of a point: two keys that look different would be one.
    #[error("the key of verifier key {name} is not canonically encoded")]
    NonCanonical {
        /// The key's name.
        name: KeyName,
    },
    /// A point of small order, for which signatures can be made without a secret.
    #[error("the key of verifier key {name} is weak: signatures for it can be forged")]
    Weak {
        /// The key's name.
        name: KeyName,
    },
}

impl Vkey {
    /// The verifier key with this name, use and 32-byte Ed25519 public key.
    ///
    /// # Errors
    /// [`VkeyError::NotAPoint`], [`VkeyError::NonCanonical`] or [`VkeyError::Weak`].
    pub fn new(name: KeyName, algorithm: Algorithm, key: &[u8; PUBLIC_KEY_BYTES]) -> Result<Vkey, VkeyError> {
        let Ok(point) = VerifyingKey::from_bytes(key) else {
            return Err(VkeyError::NotAPoint { name });
        };
        if point.to_edwards().compress().as_bytes() != key {
            return Err(VkeyError::NonCanonical { name });
        }
        if point.is_weak() {
            return Err(VkeyError::Weak { name });
        }
        Ok(Vkey { id: key_id(&name, algorithm, key), name, algorithm, key: point })
    }

    /// The verifier key for what `key` signs under this name.
    pub fn of(name: KeyName, algorithm: Algorithm, key: &SigningKey) -> Vkey {
        let key = key.verifying_key();
        Vkey { id: key_id(&name, algorithm, key.as_bytes()), name, algorithm, key }
    }

    /// The verifier key that `text` spells.
    ///
    /// # Errors
    /// [`VkeyError`]; types other than the two of [`Algorithm`] are refused by name.
    pub fn parse(text: &str) -> Result<Vkey, VkeyError> {
        if text.len() > MAX_VKEY_BYTES {
            return Err(VkeyError::TooLong);
        }
        // The name has no `+`; base64 may have some.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VkeyError::Parts);
        };
        let name = KeyName::new(name).map_err(VkeyError::Name)?;
        let Some(found) = hex::decode(id).map(KeyId) else {
            return Err(VkeyError::Id { name });
        };
        let decoded = base64::decode(encoded).unwrap_or_default();
        let Some((&type_byte, key)) = decoded.split_first() else {
            return Err(VkeyError::Base64 { name });
        };
        let algorithm = match type_byte {
            0x01 => Algorithm::Ed25519,
            0x04 => Algorithm::CosignatureV1,
            _ => {
                let type_name = type_name(type_byte);
                return Err(VkeyError::UnsupportedType { name, type_byte, type_name });
            }
        };
        let Ok(key) = <&[u8; PUBLIC_KEY_BYTES]>::try_from(key) else {
            return Err(VkeyError::Length { name, bytes: key.len() });
        };
        let computed = key_id(&name, algorithm, key);
        if found != computed {
            return Err(VkeyError::WrongId { name, found, computed });
        }
        Vkey::new(name, algorithm, key)
    }

    /// The key's name: for a log, its origin.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's id, which with the name stands before each of its signatures.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What the key signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The Ed25519 public key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

/// `SHA-256(name || 0x0a || type || key)[..4]`.
pub(super) fn key_id(name: &KeyName, algorithm: Algorithm, key: &[u8; PUBLIC_KEY_BYTES]) -> KeyId {
    let bytes = [name.as_str().as_bytes(), b"\n", &[algorithm.type_byte()], key].concat();
    let digest = Hash::of(bytes);
    let [first, second, third, fourth, ..] = *digest.as_bytes();
    KeyId([first, second, third, fourth])
}

fn type_name(type_byte: u8) -> &'static str {
    match type_byte {
        0x02 => "ECDSA",
        0x05 => "RFC 6962 tree head",
        0x06 => "ML-DSA-44 cosignature",
        0xff => "type named in the key",
        _ => "unknown",
    }
}

impl FromStr for Vkey {
    type Err = VkeyError;

    fn from_str(text: &str) -> Result<Vkey, VkeyError> {
        Vkey::parse(text)
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm.type_byte()], self.key.as_bytes().as_slice()].concat();
        write!(out, "{}+{}+{}", self.name, self.id, base64::encode(key))
    }
}

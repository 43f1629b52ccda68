//! What is a hash, and how is it written?
//!
//! SHA-256 throughout. Leaves and inner nodes of a tree are told apart by a first byte (RFC 6962 §2.1), so that no
//! entry can be passed off as a node.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{base64, hex};

/// Bytes in a [`Hash`](struct@Hash).
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash: of a file, a leaf, a node, or a whole tree.
///
/// Shown in base64 as notes and proofs have it (`Display`), in lower-case hex where people compare (`Debug`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; HASH_BYTES]);

/// A text is not a hash in the expected spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseHashError {
    /// Not 64 lower-case hexadecimal digits.
    #[error("a hash is 64 lower-case hexadecimal digits")]
    Hex,
    /// Not the canonical base64 of 32 bytes.
    #[error("a hash is 44 characters of canonical base64")]
    Base64,
}

impl Hash {
    /// The root of the tree without leaves, SHA-256 of nothing.
    ///
    /// Source: RFC 6962 §2.1.
    pub const EMPTY_TREE: Hash = Hash([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// Plain SHA-256 of `bytes`: the digest of a file, never a leaf or a node.
    pub fn of(bytes: impl AsRef<[u8]>) -> Hash {
        Hash(Sha256::digest(bytes.as_ref()).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }

    /// The hash spelled by 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`ParseHashError::Hex`] for anything else, upper case included.
    pub fn from_hex(text: &str) -> Result<Hash, ParseHashError> {
        hex::decode(text).map(Hash).ok_or(ParseHashError::Hex)
    }

    /// 44 characters of base64.
    pub fn to_base64(&self) -> String {
        base64::encode(self.0)
    }

    /// The hash spelled by 44 characters of canonical base64.
    ///
    /// # Errors
    /// [`ParseHashError::Base64`] for anything else.
    pub fn from_base64(text: &str) -> Result<Hash, ParseHashError> {
        base64::decode_array(text).map(Hash).map_err(|_| ParseHashError::Base64)
    }
}

/// The hash of an entry as a leaf: `SHA-256(0x00 || entry)`.
///
/// Source: RFC 6962 §2.1.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// The hash of a node over two subtrees: `SHA-256(0x01 || left || right)`.
///
/// Source: RFC 6962 §2.1.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

impl From<[u8; HASH_BYTES]> for Hash {
    fn from(bytes: [u8; HASH_BYTES]) -> Hash {
        Hash(bytes)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.to_hex())
    }
}

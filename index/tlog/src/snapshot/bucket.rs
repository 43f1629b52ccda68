//! One bucket: the files whose names hash alike.

use std::collections::BTreeMap;
use std::fmt;
use std::str;

use crate::hash::{HASH_BYTES, Hash, leaf_hash};

/// The longest name of a file, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// The most lines of a bucket that are read. With the names a publisher may have, a bucket holds one line at most
/// times; more than a few only if somebody chose the names for it.
pub const MAX_BUCKET_LINES: usize = 4096;

const HEX_BYTES: usize = HASH_BYTES * 2;
const GAP: &str = "  ";

/// The bucket a name belongs to: the first 16 bits of its SHA-256, as a number.
pub fn bucket_of(name: &str) -> u16 {
    let digest = Hash::of(name);
    let [high, low, ..] = *digest.as_bytes();
    u16::from_be_bytes([high, low])
}

/// The current files of one bucket: a digest for each name.
///
/// As bytes, one line a name, sorted bytewise by name, as `sha256sum` writes them: the hex SHA-256 of the file, two
/// spaces, the name.
///
/// ```text
/// 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824  case-handling
/// ```
///
/// All names in it belong to the same bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bucket {
    files: BTreeMap<String, Hash>,
}

/// Why a line cannot be in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// Bytes that are not UTF-8.
    #[error("the bucket is not UTF-8")]
    NotUtf8,
    /// A line that is not a digest, two spaces, and a name.
    #[error("line {line} of the bucket is malformed")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A name that is empty, over [`MAX_NAME_BYTES`], or has other characters than `a-z`, `0-9` and `-`.
    #[error("`{name}` is not a name of 1 to {MAX_NAME_BYTES} characters a-z, 0-9 or -")]
    Name {
        /// The name, cut off if it is very long.
        name: String,
    },
    /// A name not after the one before it.
    #[error("the name `{name}` stands in the bucket twice or out of order")]
    Order {
        /// The name.
        name: String,
    },
    /// A name whose hash begins otherwise.
    #[error("the name `{name}` does not belong to this bucket")]
    OtherBucket {
        /// The name.
        name: String,
    },
    /// Over [`MAX_BUCKET_LINES`].
    #[error("the bucket has more than {MAX_BUCKET_LINES} lines")]
    TooManyLines,
}

impl Bucket {
    /// A bucket without files.
    pub fn new() -> Bucket {
        Bucket::default()
    }

    /// The bucket that `bytes` spell; no bytes are the empty one.
    ///
    /// # Errors
    /// [`BucketError`]; what is accepted is given back by [`bytes`](Bucket::bytes) as it was.
    pub fn parse(bytes: &[u8]) -> Result<Bucket, BucketError> {
        let text = str::from_utf8(bytes).map_err(|_| BucketError::NotUtf8)?;
        let mut bucket = Bucket::new();
        for (at, line) in text.split_inclusive('\n').enumerate() {
            let malformed = || BucketError::Line { line: at + 1 };
            let (digest, name) =
                line.strip_suffix('\n').and_then(|line| line.split_once(GAP)).ok_or_else(malformed)?;
            let digest = Hash::from_hex(digest).map_err(|_| malformed())?;
            if bucket.files.last_key_value().is_some_and(|(last, _)| last.as_str() >= name) {
                return Err(BucketError::Order { name: shown(name) });
            }
            bucket.insert(name, digest)?;
        }
        Ok(bucket)
    }

    /// Puts the file's digest in, and returns the one it replaces.
    ///
    /// # Errors
    /// [`BucketError`] for a name that is not allowed or belongs to another bucket than those in it, or if there is
    /// no room.
    pub fn insert(&mut self, name: &str, file_sha256: Hash) -> Result<Option<Hash>, BucketError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(BucketError::Name { name: shown(name) });
        }
        if self.number().is_some_and(|number| number != bucket_of(name)) {
            return Err(BucketError::OtherBucket { name: name.to_owned() });
        }
        if self.files.len() == MAX_BUCKET_LINES && !self.files.contains_key(name) {
            return Err(BucketError::TooManyLines);
        }
        Ok(self.files.insert(name.to_owned(), file_sha256))
    }

    /// The digest of the current file of that name, if there is one.
    pub fn file(&self, name: &str) -> Option<Hash> {
        self.files.get(name).copied()
    }

    /// The names and digests in it, in order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&str, Hash)> {
        self.files.iter().map(|(name, digest)| (name.as_str(), *digest))
    }

    /// Which bucket it is; `None` while it is empty, when it could be any.
    pub fn number(&self) -> Option<u16> {
        self.files.first_key_value().map(|(name, _)| bucket_of(name))
    }

    /// Its lines.
    pub fn bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Its leaf in the bucket tree: the [`leaf_hash`] of its lines, or SHA-256 of nothing if it has none.
    pub fn leaf_hash(&self) -> Hash {
        if self.files.is_empty() { Hash::EMPTY_TREE } else { leaf_hash(&self.bytes()) }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|(name, digest)| writeln!(out, "{}{GAP}{name}", digest.to_hex()))
    }
}

/// The longest line, with its end.
pub(super) const MAX_LINE_BYTES: usize = HEX_BYTES + GAP.len() + MAX_NAME_BYTES + 1;

/// As much of a stranger's name as an error should repeat.
fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME_BYTES).collect()
}

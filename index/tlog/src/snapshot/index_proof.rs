//! The proof that travels with an index file.

use std::fmt;
use std::str;

use crate::hash::{Hash, ParseHashError};
use crate::lines::Lines;
use crate::note::Vkey;
use crate::proof::{MAX_PROOF_BYTES, ParsePathError, ParseProofError, Proof, parse_path, write_path};
use crate::tree::ProofError;

use super::bucket::MAX_LINE_BYTES;
use super::{
    BUCKET_LEVELS, Bucket, BucketError, MAX_BUCKET_LINES, OpenSnapshotError, OpenedSnapshot, bucket_of,
    check_bucket, open_snapshot,
};

/// The longest index proof that is read.
pub const MAX_INDEX_PROOF_BYTES: usize = MAX_PROOF_BYTES + MAX_BUCKET_LINES * MAX_LINE_BYTES + 1024;

const VERSION_LINE: &str = "brickyard/index-proof/v1";

/// What shows an index file to be the complete current one, or a name to have none.
///
/// In this order, each part ended by an empty line: the version line and all lines of the bucket that the name
/// belongs to, possibly none; the 16 hashes from the bucket's sibling up to the index root; the tlog-proof of the
/// snapshot leaf with that leaf in `extra`, as `GET /logs/<publisher>/snapshot` gives it. Nothing follows.
///
/// ```text
/// brickyard/index-proof/v1
/// 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824  case-handling
///
/// 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
/// … 15 more …
///
/// c2sp.org/tlog-proof@v1
/// extra YnJpY2t5YXJkL3NuYXBzaG90L3YxCj…
/// index 14
/// XhTpjKbBkCjYMhfr1RFpwkuAjxkVxjl3oTOuMTG0ZHE=
/// … more of the path …
///
/// northshire.example/log
/// 15
/// rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=
///
/// — northshire.example/log M9e0luh4jTG+UMBq…
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexProof {
    /// All current files in the name's bucket.
    pub bucket: Bucket,
    /// From the bucket's sibling up.
    pub path: [Hash; BUCKET_LEVELS],
    /// Of the snapshot leaf, which it carries.
    pub snapshot: Proof,
}

/// Why bytes are not an index proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIndexProofError {
    /// Over [`MAX_INDEX_PROOF_BYTES`].
    #[error("the index proof is longer than {MAX_INDEX_PROOF_BYTES} bytes")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("the index proof is not UTF-8")]
    NotUtf8,
    /// The first line names another format or version.
    #[error("the index proof does not begin with {VERSION_LINE}")]
    Version,
    /// No empty line after the bucket.
    #[error("the index proof ends within its bucket")]
    UnfinishedBucket,
    /// The lines are not a bucket.
    #[error("the bucket in the index proof is refused")]
    Bucket(#[source] BucketError),
    /// Not 16 hashes and an empty line.
    #[error("the index proof has not exactly {BUCKET_LEVELS} hashes after its bucket")]
    PathLength,
    /// A line after the bucket that is not a hash.
    #[error("line {line} of the path is not a hash")]
    Hash {
        /// Counted from 1 after the bucket.
        line: usize,
        /// What is wrong.
        #[source]
        err: ParseHashError,
    },
    /// What follows is not a tlog-proof.
    #[error("the snapshot's proof in the index proof is refused")]
    Snapshot(#[source] ParseProofError),
}

/// Why an index proof does not fit a file and an index root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckIndexError {
    /// The bucket is not the one that the name belongs to.
    #[error("the proof is about another bucket than that of `{name}`")]
    OtherBucket {
        /// The name asked about.
        name: String,
    },
    /// The bucket is not in the tree of that root.
    #[error("the bucket of `{name}` is not shown to be in the index")]
    NotInIndex {
        /// The name asked about.
        name: String,
        /// What is wrong with the path.
        #[source]
        err: ProofError,
    },
    /// The index has another file under that name, or one where there should be none, or none.
    #[error("the index of `{name}` is not the current one")]
    OtherFile {
        /// The name asked about.
        name: String,
        /// The digest of the current file, if there is one.
        current: Option<Hash>,
    },
}

/// Why an index proof does not convince.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyIndexError {
    /// The snapshot is not the last leaf under a head of the log.
    #[error("the snapshot in the index proof is not the log's last")]
    Snapshot(#[from] OpenSnapshotError),
    /// The file does not follow from the snapshot.
    #[error("the index file does not follow from the snapshot")]
    File(#[from] CheckIndexError),
}

impl IndexProof {
    /// The index proof that `bytes` spell. Displayed, it is the same bytes.
    ///
    /// # Errors
    /// [`ParseIndexProofError`], each case of which has its own name.
    pub fn parse(bytes: &[u8]) -> Result<IndexProof, ParseIndexProofError> {
        if bytes.len() > MAX_INDEX_PROOF_BYTES {
            return Err(ParseIndexProofError::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| ParseIndexProofError::NotUtf8)?;
        let rest = text.strip_prefix(VERSION_LINE).ok_or(ParseIndexProofError::Version)?;
        if !rest.starts_with('\n') {
            return Err(ParseIndexProofError::Version);
        }
        // Without bucket lines, the end of the version line is the first of the two line ends.
        let gap = rest.find("\n\n").ok_or(ParseIndexProofError::UnfinishedBucket)?;
        let bucket = if gap == 0 { "" } else { &rest[1..=gap] };
        let bucket = Bucket::parse(bucket.as_bytes()).map_err(ParseIndexProofError::Bucket)?;
        let mut lines = Lines::new(&rest[gap + 2..]);
        let path = parse_path(&mut lines).map_err(|err| match err {
            ParsePathError::TooMany | ParsePathError::Unfinished => ParseIndexProofError::PathLength,
            ParsePathError::Hash { line, err } => ParseIndexProofError::Hash { line, err },
        })?;
        let path = path.try_into().map_err(|_| ParseIndexProofError::PathLength)?;
        let snapshot = Proof::parse(lines.rest().as_bytes()).map_err(ParseIndexProofError::Snapshot)?;
        Ok(IndexProof { bucket, path, snapshot })
    }

    /// That under `index_root` the complete current file of `name` has this digest, or that there is none.
    ///
    /// - `file_sha256`: of the file at hand; `None` to show that no such name exists.
    ///
    /// # Errors
    /// [`CheckIndexError`].
    pub fn check(
        &self,
        name: &str,
        file_sha256: Option<Hash>,
        index_root: &Hash,
    ) -> Result<(), CheckIndexError> {
        let number = bucket_of(name);
        if self.bucket.number().is_some_and(|found| found != number) {
            return Err(CheckIndexError::OtherBucket { name: name.to_owned() });
        }
        check_bucket(number, &self.bucket.leaf_hash(), &self.path, index_root)
            .map_err(|err| CheckIndexError::NotInIndex { name: name.to_owned(), err })?;
        let current = self.bucket.file(name);
        if current != file_sha256 {
            return Err(CheckIndexError::OtherFile { name: name.to_owned(), current });
        }
        Ok(())
    }

    /// [`check`](IndexProof::check) against the snapshot in the proof, which the log of key `log` must have signed
    /// as its last leaf.
    ///
    /// Returns the snapshot and its head, whose cosignatures and age are still to be judged.
    ///
    /// # Errors
    /// [`VerifyIndexError`].
    pub fn verify(
        &self,
        name: &str,
        file_sha256: Option<Hash>,
        log: &Vkey,
    ) -> Result<OpenedSnapshot, VerifyIndexError> {
        let opened = open_snapshot(&self.snapshot, log)?;
        self.check(name, file_sha256, &opened.leaf().index_root)?;
        Ok(opened)
    }
}

impl fmt::Display for IndexProof {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{VERSION_LINE}\n{}\n", self.bucket)?;
        write_path(out, &self.path)?;
        write!(out, "{}", self.snapshot)
    }
}

//! Index files and the proofs that they are complete and current.

use brick_schemas::FullName;
use brick_tlog::snapshot::{IndexProof, MAX_INDEX_PROOF_BYTES};

use crate::client::{Client, Got};
use crate::error::AskError;

/// Bytes of an index file, at most.
pub const MAX_INDEX_FILE_BYTES: usize = 64 * 1024 * 1024;

/// What a registry has for a brick's index file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexAnswer {
    /// The file.
    Fetched {
        /// Its bytes, one line a release.
        bytes: Vec<u8>,
        /// What to ask with the next time.
        etag: Option<String>,
    },
    /// It is still the one that the ETag stands for.
    NotModified,
    /// The registry says there is none; only an index proof shows it.
    Missing,
}

impl Client {
    /// The index file of a brick.
    ///
    /// - `etag`: that of the copy at hand, if there is one.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn index_file(&self, name: &FullName, etag: Option<&str>) -> Result<IndexAnswer, AskError> {
        let url = self.url(&format!("index/{name}.jsonl"));
        match self.get(url, MAX_INDEX_FILE_BYTES, etag).await {
            Ok(Got::Found { bytes, etag }) => Ok(IndexAnswer::Fetched { bytes, etag }),
            Ok(Got::NotModified) => Ok(IndexAnswer::NotModified),
            Err(err) if err.is_missing() => Ok(IndexAnswer::Missing),
            Err(err) => Err(err),
        }
    }

    /// The proof that goes with the index file of a brick, or that shows that there is none.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn index_proof(&self, name: &FullName) -> Result<IndexProof, AskError> {
        let path = format!("index/{name}.jsonl.proof");
        let bytes = self.read(&path, MAX_INDEX_PROOF_BYTES).await?;
        IndexProof::parse(&bytes).map_err(|err| self.not_a_registry(&path, err))
    }
}

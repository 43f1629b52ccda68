//! Archives, the proofs of their releases, and blobs by digest. None of the bytes are checked here.

use brick_schemas::{Digest, FullName, Version};
use brick_tlog::proof::{MAX_PROOF_BYTES, Proof};
use reqwest::{Method, StatusCode};

use crate::client::{Client, demand_success};
use crate::error::AskError;

impl Client {
    /// The archive of a release; `None` where the registry has none.
    ///
    /// - `max_bytes`: a longer answer is refused.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn archive(
        &self,
        name: &FullName,
        version: &Version,
        max_bytes: usize,
    ) -> Result<Option<Vec<u8>>, AskError> {
        self.read_if_there(&format!("bricks/{name}/{version}/archive"), max_bytes).await
    }

    /// The tlog-proof of a release with its envelope in `extra`; `None` where the registry has no such release.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn proof(&self, name: &FullName, version: &Version) -> Result<Option<Proof>, AskError> {
        let path = format!("bricks/{name}/{version}/proof");
        match self.read_if_there(&path, MAX_PROOF_BYTES).await? {
            Some(bytes) => Proof::parse(&bytes).map(Some).map_err(|err| self.not_a_registry(&path, err)),
            None => Ok(None),
        }
    }

    /// The blob of this digest; `None` where the registry has none. The caller hashes it.
    ///
    /// - `max_bytes`: a longer answer is refused.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn blob(&self, sha256: &Digest, max_bytes: usize) -> Result<Option<Vec<u8>>, AskError> {
        self.read_if_there(&blob_path(sha256), max_bytes).await
    }

    /// Whether the registry has the blob of this digest.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn has_blob(&self, sha256: &Digest) -> Result<bool, AskError> {
        let url = &self.url(&blob_path(sha256));
        self.patiently(|| async move {
            let response = self.send(url, self.request(Method::HEAD, url.clone())).await?;
            match response.status() {
                StatusCode::NOT_FOUND | StatusCode::GONE => Ok(false),
                _ => demand_success(url, response).await.map(|_| true),
            }
        })
        .await
    }
}

fn blob_path(sha256: &Digest) -> String {
    format!("blobs/sha256/{sha256}")
}

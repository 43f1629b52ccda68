//! Who is there, what is it called, and how does the registry fare? The JSON of a registry: its word, and nothing more.

use brick_schemas::api::{
    CatalogueStatus, MAX_BODY_BYTES, MAX_PAGE, PublishersPage, SearchResults, SyncStatus, WELL_KNOWN_PATH,
    WellKnown,
};
use serde::de::DeserializeOwned;
use url::Url;

use crate::client::{Client, Got};
use crate::error::AskError;

impl Client {
    /// Which commons and registry this is, and which logs it holds.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn well_known(&self) -> Result<WellKnown, AskError> {
        self.json(self.url(WELL_KNOWN_PATH.trim_start_matches('/'))).await
    }

    /// Bricks whose name begins with `prefix`, as the registry lists them.
    ///
    /// - `limit`: at most [`MAX_PAGE`] are asked for.
    /// - `cursor`: the `next` of the page before.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn search(
        &self,
        prefix: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<SearchResults, AskError> {
        let mut url = self.url("api/v1/search");
        url.query_pairs_mut().append_pair("q", prefix);
        self.json(page(url, limit, cursor)).await
    }

    /// The publishers of the commons, as the registry lists them.
    ///
    /// - `limit`, `cursor`: as in [`search`](Self::search).
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn publishers(&self, limit: usize, cursor: Option<&str>) -> Result<PublishersPage, AskError> {
        self.json(page(self.url("api/v1/publishers"), limit, cursor)).await
    }

    /// How far the registry has followed its peers, and what it refused.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn sync_status(&self) -> Result<SyncStatus, AskError> {
        self.json(self.url("api/v1/sync")).await
    }

    /// What the registry holds, in numbers.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn catalogue_status(&self) -> Result<CatalogueStatus, AskError> {
        self.json(self.url("api/v1/status")).await
    }

    async fn json<T: DeserializeOwned>(&self, url: Url) -> Result<T, AskError> {
        let not_a_registry = |what: String| AskError::NotARegistry { url: url.to_string(), what };
        match self.get(url.clone(), MAX_BODY_BYTES, None).await? {
            Got::Found { bytes, .. } => brick_schemas::json::from_slice(&bytes)
                .map_err(|err| not_a_registry(brick_schemas::text::escape(&err.to_string()))),
            Got::NotModified => Err(not_a_registry("it says 304 to a question without a condition".into())),
        }
    }
}

fn page(mut url: Url, limit: usize, cursor: Option<&str>) -> Url {
    url.query_pairs_mut().append_pair("limit", &limit.min(MAX_PAGE).to_string());
    if let Some(cursor) = cursor {
        url.query_pairs_mut().append_pair("cursor", cursor);
    }
    url
}

//! Asking a registry to log an entry.

use std::time::Instant;

use brick_schemas::Digest;
use brick_schemas::api::{EntryReceipt, MAX_BODY_BYTES};
use brick_tlog::proof::Proof;
use reqwest::Method;
use reqwest::multipart::{Form, Part};

use crate::client::{Client, demand_success, read_bounded};
use crate::error::AskError;

/// Blobs sent along with one entry, at most.
pub const MAX_BLOBS: usize = 64;

impl Client {
    /// Sends an entry to be logged, with the blobs it names that the registry does not have yet.
    ///
    /// - `entry`: an envelope.
    /// - `blobs`: by digest; at most [`MAX_BLOBS`].
    ///
    /// When this returns, the entry is durably in the log; the receipt's proof is well-formed, and for the caller to
    /// verify. Sent once: when the answer is lost, sending again is harmless and gives the same receipt.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn publish(
        &self,
        entry: Vec<u8>,
        blobs: Vec<(Digest, Vec<u8>)>,
    ) -> Result<(EntryReceipt, Proof), AskError> {
        let path = "api/v1/entries";
        let url = self.url(path);
        let mut form = Form::new().part("entry", octets(entry).file_name("entry.json"));
        for (sha256, bytes) in blobs.into_iter().take(MAX_BLOBS) {
            form = form.part("blob", octets(bytes).file_name(sha256.to_string()));
        }
        let request = self.request(Method::POST, url.clone()).multipart(form);
        let began = Instant::now();
        let answer = async {
            let response = demand_success(&url, self.send(&url, request).await?).await?;
            read_bounded(&url, response, MAX_BODY_BYTES).await
        };
        let body = answer.await.map_err(|err| err.since(began))?;
        let receipt: EntryReceipt =
            brick_schemas::json::from_slice(&body).map_err(|err| self.not_a_registry(path, err))?;
        let proof = Proof::parse(receipt.proof.as_bytes()).map_err(|err| self.not_a_registry(path, err))?;
        Ok((receipt, proof))
    }
}

fn octets(bytes: Vec<u8>) -> Part {
    Part::bytes(bytes).mime_str("application/octet-stream").expect("it is a media type")
}

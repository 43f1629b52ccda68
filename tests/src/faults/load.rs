//! Who publishes while a registry is disturbed? Lanes: publishers of one release after the other, each with bricks of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brick_client::{AskError, Client, Family, LogPath, Patience};
use brick_schemas::api::EntryReceipt;
use brick_schemas::predicate::{Basis, Place};
use brick_schemas::{Digest, FullName, Origin, PublisherName};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::proof::Proof;
use ed25519_dalek::SigningKey;

use super::ledger::Sent;
use crate::content::Content;

/// Releases of one brick, one after the other; then the next brick.
const VERSIONS: usize = 8;
/// Bytes of an archive.
const ARCHIVE_BYTES: usize = 2_000;
/// Wait after an answer that is no success.
const AFTER_REFUSAL: Duration = Duration::from_millis(20);

/// One publisher of releases, at work again in every round.
pub struct Lane {
    /// Which of the scene's publishers it publishes for.
    pub publisher: usize,
    /// That publisher's name.
    pub name: PublisherName,
    /// The key.
    pub officer: SigningKey,
    /// What its bricks' names begin with.
    pub family: String,
    /// Releases made so far.
    pub made: usize,
    /// Rest after each.
    pub rest: Duration,
}

/// A release that was sent, and the answer.
pub struct Answered {
    /// What was sent.
    pub sent: Sent,
    /// The receipt, where one came.
    pub receipt: Option<EntryReceipt>,
    /// Why none came.
    pub why: Option<AskError>,
}

/// A client without patience: a registry that was ended is not waited for.
///
/// # Panics
/// Never: the address is one.
pub fn impatient(url: &str) -> Client {
    let patience = Patience {
        connect: Duration::from_secs(2),
        idle: Duration::from_secs(20),
        total: Duration::from_secs(30),
        attempts: 1,
        first_pause: Duration::from_millis(50),
    };
    Client::with_patience(url, patience).expect("an address")
}

impl Lane {
    /// The next release, signed as of `place`.
    pub fn make(&mut self, place: &Place) -> Sent {
        let content =
            Content::of(&self.name, &self.family, self.made / VERSIONS, self.made % VERSIONS, ARCHIVE_BYTES);
        self.made += 1;
        let entry = content.entry(place, &self.officer).to_vec();
        let name = FullName::parse(&format!("{}/{}", self.name, content.brick)).expect("two names");
        let sha256 = Digest::of(&content.archive);
        let (version, archive) = (content.version, content.archive);
        Sent { publisher: self.publisher, name, version, entry, archive, sha256, index: None, is_held: false }
    }

    /// The newest head of its log that the registry shows, as a place for entries.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn place(&self, client: &Client) -> Result<Place, AskError> {
        let note = client.checkpoint(&LogPath::Publisher(self.name.clone())).await?;
        Ok(self.place_at(&Checkpoint::parse(&note.text).expect("a head")))
    }

    fn place_at(&self, head: &Checkpoint) -> Place {
        let basis = Basis { size: head.size, root: Digest::from(*head.root.as_bytes()) };
        Place { log: Origin::of_publisher(&self.name), basis }
    }

    /// Publishes until `is_over`, or nobody answers. All that was sent is in the answer.
    ///
    /// # Panics
    /// When the registry refuses for another reason than trouble of its own.
    pub async fn publish(&mut self, client: &Client, is_over: &AtomicBool) -> Vec<Answered> {
        let mut all = Vec::new();
        let Ok(mut place) = self.place(client).await else { return all };
        while !is_over.load(Ordering::Relaxed) {
            let sent = self.make(&place);
            let answer = send(client, &sent).await;
            match answer {
                Ok(receipt) => {
                    let proof = Proof::parse(receipt.proof.as_bytes()).expect("a receipt holds a proof");
                    let head = Checkpoint::parse(&proof.checkpoint.text).expect("a proof holds a head");
                    place = self.place_at(&head);
                    all.push(Answered { sent, receipt: Some(receipt), why: None });
                    tokio::time::sleep(self.rest).await;
                }
                Err(err) => {
                    let is_trouble = matches!(&err, AskError::Problem { status, .. } if *status >= 429);
                    let is_gone = matches!(err.family(), Family::Unreachable | Family::Slow);
                    assert!(is_trouble || is_gone, "{} {} is refused: {err}", sent.name, sent.version);
                    all.push(Answered { sent, receipt: None, why: Some(err) });
                    if is_gone {
                        break;
                    }
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
            }
        }
        all
    }
}

/// Sends a release with its archive.
///
/// # Errors
/// [`AskError`].
pub async fn send(client: &Client, sent: &Sent) -> Result<EntryReceipt, AskError> {
    let blobs = vec![(sent.sha256, sent.archive.to_vec())];
    client.publish(sent.entry.clone(), blobs).await.map(|(receipt, _)| receipt)
}

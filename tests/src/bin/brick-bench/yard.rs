//! What is measured: a commons of one `brickyard` process in a folder of its own, with one publisher.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use brick_client::LogPath;
use brick_schemas::api::EntryReceipt;
use brick_schemas::predicate::{Basis, Place, PublisherKind};
use brick_schemas::{Digest, Origin, PublisherName};
use brick_tests::federation::Federation;
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::hash::leaf_hash;
use brick_tlog::proof::Proof;
use ed25519_dalek::SigningKey;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, StatusCode};

use crate::content::Content;
use crate::load::{self, Done, Step, Target};
use crate::machine;
use crate::trouble::Trouble;

/// What stands between the parts of a form.
const BOUNDARY: &str = "between-the-parts-of-a-publish";
/// Answers whose proof is checked, of one load.
const CHECKED_PROOFS: usize = 16;
/// Releases made and signed at a time while a yard is filled.
const PORTION: usize = 512;
/// Times that a file is asked for again after 429, at most, and the wait before.
const RETRIES: u32 = 40;
const BEFORE_AGAIN: Duration = Duration::from_millis(50);
/// Clients that fill it.
const FILLING_CLIENTS: usize = 32;

/// A registry with one publisher whose log it hosts.
pub struct Yard {
    /// Its processes: the first is the registry that is measured.
    pub federation: Federation,
    /// The publisher.
    pub publisher: PublisherName,
    officer: SigningKey,
}

/// A publish that is ready to be sent.
pub struct Prepared {
    /// The request.
    pub job: Vec<Step>,
    /// The entry in it.
    entry: Bytes,
}

impl Prepared {
    /// The entry's bytes.
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }
}

impl Yard {
    /// Founds a commons; its registries run on processor `cpu` alone where one is named.
    pub fn found(registries: &[&str], cpu: Option<&str>) -> Self {
        let wrapper: Vec<&str> = cpu.map_or_else(Vec::new, |cpu| vec!["taskset", "-c", cpu]);
        let federation = Federation::found_behind("commons.example", registries, &wrapper);
        let publisher = PublisherName::parse("north.example").expect("a name");
        let officer = federation.admit_officer(publisher.as_str(), PublisherKind::PublicBody, 0);
        Self { federation, publisher, officer }
    }

    /// The registry's process.
    ///
    /// # Panics
    /// When it was stopped.
    pub fn pid(&self) -> u32 {
        self.federation.pid(0).expect("it runs")
    }

    /// The registry's socket.
    pub fn address(&self) -> SocketAddr {
        self.federation.address(0)
    }

    /// The address of one of its files.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.federation.url(0))
    }

    /// Its git repository.
    pub fn git(&self) -> PathBuf {
        self.federation.data(0).join("commons.git")
    }

    /// Signs releases as of the log's newest head, each ready to be sent.
    ///
    /// # Errors
    /// [`Trouble::Failed`] when the head cannot be had.
    pub fn prepare(&self, contents: &[Content]) -> Result<Vec<Prepared>, Trouble> {
        let place = self.place()?;
        let prepared = contents.iter().map(|content| {
            let entry = content.entry(&place, &self.officer);
            let body = form(&entry, &content.archive);
            let headers = vec![(CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))];
            let target = Target::Path("/api/v1/entries".to_owned());
            Prepared { job: vec![Step { method: Method::POST, target, headers, body }], entry }
        });
        Ok(prepared.collect())
    }

    /// Publishes with so many clients, and checks the proofs in some of the answers.
    ///
    /// # Errors
    /// [`Trouble::Failed`] when one is refused, or a proof does not hold.
    pub fn publish(&self, prepared: Vec<Prepared>, clients: usize) -> Result<Done, Trouble> {
        let entries: Vec<Bytes> = prepared.iter().map(|one| one.entry.clone()).collect();
        let jobs = prepared.into_iter().map(|one| one.job).collect();
        let done = self.federation.block_on(load::run(self.address(), jobs, clients));
        let done = done.map_err(|err| Trouble::failed("a publish to the registry", err))?;
        if done.retries > 0 {
            eprintln!(
                "{} of {} publishes were answered with 503 or 429 and sent again",
                done.retries,
                entries.len()
            );
        }
        let every = (entries.len() / CHECKED_PROOFS).max(1);
        for (entry, answer) in entries.iter().zip(&done.answers).step_by(every) {
            self.check(entry, answer)?;
        }
        Ok(done)
    }

    /// Publishes what `content` gives for each number of `numbers`, as fast as it goes, and waits until all is in git.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn fill(
        &self,
        numbers: std::ops::Range<usize>,
        content: impl Fn(usize) -> Content,
    ) -> Result<(), Trouble> {
        let mut first = numbers.start;
        while first < numbers.end {
            let next = numbers.end.min(first + PORTION);
            let contents: Vec<Content> = (first..next).map(&content).collect();
            self.publish(self.prepare(&contents)?, FILLING_CLIENTS)?;
            first = next;
        }
        machine::settle(self.pid());
        Ok(())
    }

    /// The bytes at a path, and its `ETag` where it has one; asked for again while the registry still counts the connections
    /// of a load that has just ended.
    ///
    /// # Errors
    /// [`Trouble::Failed`] unless the answer is a success.
    pub fn get(&self, path: &str) -> Result<(Vec<u8>, Option<String>), Trouble> {
        let url = self.url(path);
        let failed = |err| Trouble::failed(format!("GET {url}"), err);
        self.federation.block_on(async {
            let mut answer = reqwest::get(&url).await.map_err(failed)?;
            for _ in 0..RETRIES {
                if answer.status() != StatusCode::TOO_MANY_REQUESTS {
                    break;
                }
                tokio::time::sleep(BEFORE_AGAIN).await;
                answer = reqwest::get(&url).await.map_err(failed)?;
            }
            let answer = answer.error_for_status().map_err(failed)?;
            let etag = answer.headers().get("etag").and_then(|etag| Some(etag.to_str().ok()?.to_owned()));
            Ok((answer.bytes().await.map_err(failed)?.to_vec(), etag))
        })
    }

    /// How many leaves a log of the registry has.
    ///
    /// # Errors
    /// [`Trouble::Failed`] when its head cannot be had.
    pub fn size_of(&self, log: &LogPath) -> Result<u64, Trouble> {
        Ok(self.head(log)?.size)
    }

    fn head(&self, log: &LogPath) -> Result<Checkpoint, Trouble> {
        let client = self.federation.client(0);
        let note = self.federation.block_on(client.checkpoint(log));
        let note = note.map_err(|err| Trouble::failed(format!("the head of {log}"), err))?;
        Checkpoint::parse(&note.text).map_err(|err| Trouble::failed(format!("the head of {log}"), err))
    }

    fn place(&self) -> Result<Place, Trouble> {
        let head = self.head(&LogPath::Publisher(self.publisher.clone()))?;
        let basis = Basis { size: head.size, root: Digest::from(*head.root.as_bytes()) };
        Ok(Place { log: Origin::of_publisher(&self.publisher), basis })
    }

    fn check(&self, entry: &[u8], answer: &[u8]) -> Result<(), Trouble> {
        let receipt: EntryReceipt =
            serde_json::from_slice(answer).map_err(|err| Trouble::failed("a receipt", err))?;
        let proof = Proof::parse(receipt.proof.as_bytes());
        let proof = proof.map_err(|err| Trouble::failed("the proof in a receipt", err))?;
        let vkey = self.federation.log_vkey(0, &Origin::of_publisher(&self.publisher));
        let held = proof.check(&leaf_hash(entry), &vkey);
        held.map(|_| ()).map_err(|err| Trouble::failed("the proof in a receipt", err))
    }
}

/// The form of a publish: the entry, then the archive by its digest.
fn form(entry: &[u8], archive: &[u8]) -> Bytes {
    let mut body = Vec::with_capacity(entry.len() + archive.len() + 600);
    let parts =
        [("entry", "entry.json".to_owned(), entry), ("blob", Digest::of(archive).to_string(), archive)];
    for (name, file, bytes) in parts {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body.into()
}

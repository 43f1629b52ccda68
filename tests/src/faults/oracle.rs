//! Is everything that was promised there, once, and nothing by halves?

use std::collections::HashMap;
use std::time::{Duration, Instant};

use brick_client::{Client, IndexAnswer, LogPath};
use brick_index::layout;
use brick_schemas::{FullName, IndexLine};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::note::Note;

use super::ledger::Sent;
use super::load::send;
use super::scene::{LIMIT, POLL, Scene};
use crate::git::Git;

/// Of so many releases that were acknowledged and are held against the registry, one is sent again.
const SENT_AGAIN: usize = 5;
/// Times that a release is looked at again because the log moved meanwhile.
const MAX_LOOKS: usize = 50;
/// It commits once a second.
const BEFORE_GIT_IS_ASKED_AGAIN: Duration = Duration::from_millis(100);
/// Time that a check of all that is stored may take: after a long soak there is much of it.
const CHECK_LIMIT: Duration = Duration::from_secs(3_600);
/// Bytes of an archive, at most.
const MAX_ARCHIVE_BYTES: usize = 1 << 20;

impl Scene {
    /// Holds the first registry, which runs again, against the ledger: everything that was not held against it before.
    ///
    /// Returns how many releases that were not acknowledged were there nevertheless.
    ///
    /// # Panics
    /// When it broke its word.
    pub fn hold(&mut self) -> usize {
        let client = self.client(0);
        self.catch_up(&client);
        let unheld: Vec<usize> =
            (0..self.ledger.sent.len()).filter(|at| !self.ledger.sent[*at].is_held).collect();
        let there = self.look(&client, &unheld);
        for (&at, is_there) in unheld.iter().zip(&there) {
            let sent = &self.ledger.sent[at];
            assert!(
                *is_there || sent.index.is_none(),
                "{} {} was acknowledged and is lost",
                sent.name,
                sent.version
            );
        }
        let mut found = 0;
        for (turn, (&at, was_there)) in unheld.iter().zip(&there).enumerate() {
            let sent = self.ledger.sent[at].clone();
            if sent.index.is_some() && turn % SENT_AGAIN > 0 {
                continue;
            }
            found += usize::from(*was_there && sent.index.is_none());
            let receipt = self.federation.block_on(send_until_taken(&client, &sent));
            // What waits for a quorum is there though nobody is shown it.
            assert!(receipt.duplicate || !was_there, "{} {} is logged twice", sent.name, sent.version);
            self.ledger.acknowledge(at, &receipt);
        }
        self.catch_up(&client);
        let there = self.look(&client, &unheld);
        for (&at, is_there) in unheld.iter().zip(there) {
            let sent = &mut self.ledger.sent[at];
            assert!(is_there, "{} {} was acknowledged again and is not there", sent.name, sent.version);
            sent.is_held = true;
        }
        found
    }

    /// Reads the logs until they are as long as every head that was shown says.
    fn catch_up(&mut self, client: &Client) {
        let deadline = Instant::now() + LIMIT;
        for (log, name) in self.ledger.logs.iter_mut().zip(&self.publishers) {
            let path = LogPath::Publisher(name.clone());
            let size = loop {
                let note = self.federation.block_on(client.checkpoint(&path)).expect("the head of a log");
                let size = log.see(&note);
                if size >= log.largest() {
                    break size;
                }
                assert!(
                    Instant::now() < deadline,
                    "{path} is shown with {size} leaves, {} were acknowledged\n{}",
                    log.largest(),
                    self.federation.said()
                );
                std::thread::sleep(5 * POLL);
            };
            while log.size() < size {
                let leaves = self.federation.block_on(client.entries(&path, log.size(), size));
                let leaves = leaves.expect("the leaves of a log");
                assert!(!leaves.is_empty(), "{path} has no leaf {}", log.size());
                log.read(&leaves);
            }
            log.demand_one_history();
        }
    }

    /// Whether each of some releases is there, which is all or nothing.
    fn look(&mut self, client: &Client, which: &[usize]) -> Vec<bool> {
        for _ in 0..MAX_LOOKS {
            let before: Vec<u64> = self.ledger.logs.iter().map(super::ledger::Known::size).collect();
            let looked = self.look_once(client, which);
            self.catch_up(client);
            let after: Vec<u64> = self.ledger.logs.iter().map(super::ledger::Known::size).collect();
            // A log that moved meanwhile, as when a quorum comes late, may have been seen half before and half after.
            if before == after {
                return looked
                    .into_iter()
                    .map(|looked| looked.unwrap_or_else(|why| panic!("{why}\n{}", self.federation.said())))
                    .collect();
            }
        }
        panic!("the logs do not come to rest");
    }

    fn look_once(&self, client: &Client, which: &[usize]) -> Vec<Result<bool, String>> {
        let mut lines: HashMap<&FullName, Vec<IndexLine>> = HashMap::new();
        let look = |at: &usize| {
            let sent = &self.ledger.sent[*at];
            let lines = lines.entry(&sent.name).or_insert_with(|| self.index_lines(client, &sent.name));
            self.is_there(client, sent, lines)
        };
        which.iter().map(look).collect()
    }

    fn is_there(&self, client: &Client, sent: &Sent, lines: &[IndexLine]) -> Result<bool, String> {
        let what = format!("{} {}", sent.name, sent.version);
        let lines: Vec<&IndexLine> = lines.iter().filter(|line| line.vers == sent.version).collect();
        match (self.ledger.logs[sent.publisher].places(&sent.entry), &lines[..]) {
            ([], []) => Ok(false),
            ([place], [line]) => {
                if sent.index.is_some_and(|index| index != *place) {
                    return Err(format!(
                        "{what} was acknowledged as leaf {:?} and is leaf {place}",
                        sent.index
                    ));
                }
                if line.entry != *place || line.cksum != sent.sha256 {
                    return Err(format!("the index has another release as {what}"));
                }
                let archive = self.federation.block_on(client.blob(&sent.sha256, MAX_ARCHIVE_BYTES));
                match archive {
                    Ok(Some(archive)) if archive == sent.archive => Ok(true),
                    other => Err(format!("{what} is logged, and its archive is not served: {other:?}")),
                }
            }
            (places, lines) => {
                Err(format!("{what} is half there: leaves {places:?}, {} lines in the index", lines.len()))
            }
        }
    }

    fn index_lines(&self, client: &Client, name: &FullName) -> Vec<IndexLine> {
        let answer = self.federation.block_on(client.index_file(name, None)).expect("an index file, or none");
        let IndexAnswer::Fetched { bytes, .. } = answer else { return Vec::new() };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("a line of the index")).collect()
    }

    /// Waits until every other registry shows all that was acknowledged, as the same history.
    ///
    /// # Panics
    /// When one does not.
    pub fn wait_for_followers(&mut self) {
        for seat in 1..self.seats() {
            let enough = |scene: &Self| {
                let mut logs = scene.publishers.iter().zip(&scene.ledger.logs);
                logs.all(|(name, log)| scene.size_at(seat, name).is_some_and(|size| size >= log.largest()))
            };
            self.wait_until(seat, "it has all that was acknowledged", enough);
            let client = self.client(seat);
            for (log, name) in self.ledger.logs.iter_mut().zip(&self.publishers) {
                let path = LogPath::Publisher(name.clone());
                let note = self.federation.block_on(client.checkpoint(&path)).expect("the head of a log");
                log.see(&note);
            }
        }
        let client = self.client(0);
        self.catch_up(&client);
    }

    /// Ends every registry as an operator would once git has everything, and holds what is stored against its signatures:
    /// `brickyard check` finds nothing, no blob is missing, git is not behind and sound to `git fsck --strict`.
    ///
    /// # Panics
    /// When something is wrong.
    pub fn close(&mut self) {
        self.hold();
        self.wait_for_followers();
        for seat in 0..self.seats() {
            self.wait_for_git(seat);
            self.wait_until(seat, "no blob is missing", |scene| scene.has_all_blobs(seat));
        }
        let said = self.federation.said();
        assert!(!said.contains("does not add up"), "a sound log was taken for a damaged one:\n{said}");
        for seat in 0..self.seats() {
            self.federation.stop(seat);
            self.check(seat);
        }
    }

    /// Holds what a registry that does not run has stored against its signatures.
    ///
    /// # Panics
    /// When something is wrong.
    pub fn check(&self, seat: usize) {
        let args = ["check", "--config", "registry.toml", "--json"];
        let report = self.federation.brickyard_within(seat, &args, CHECK_LIMIT).success();
        let report: serde_json::Value = serde_json::from_str(&report).expect("a report");
        let is_whole = report["clean"] == true
            && report["missing_count"] == 0
            && report["behind"].as_array().is_some_and(Vec::is_empty)
            && report["unchecked"].as_array().is_some_and(Vec::is_empty);
        assert!(is_whole, "registry {seat}: {report:#}");
        let fsck =
            Git::at(self.federation.data(seat).join("commons.git")).output(&["fsck", "--strict", "--full"]);
        assert!(fsck.status.success(), "registry {seat}: {}", String::from_utf8_lossy(&fsck.stderr));
    }

    /// Waits until a registry's git repository has all that was acknowledged.
    ///
    /// # Panics
    /// When it does not get it.
    pub fn wait_for_git(&self, seat: usize) {
        self.wait_until(seat, "git has everything", |scene| {
            let has_all = scene.git_has_all(seat);
            if !has_all {
                std::thread::sleep(BEFORE_GIT_IS_ASKED_AGAIN);
            }
            has_all
        });
    }

    fn git_has_all(&self, seat: usize) -> bool {
        let git = Git::at(self.federation.data(seat).join("commons.git"));
        self.publishers.iter().zip(&self.ledger.logs).all(|(name, log)| {
            let at = format!("{}:{}", layout::BRANCH, layout::checkpoint(&layout::log(name)));
            let shown = git.output(&["show", "--end-of-options", &at]);
            let head = Note::parse(&shown.stdout).ok().and_then(|note| Checkpoint::parse(&note.text).ok());
            head.is_some_and(|head| head.size >= log.largest())
        })
    }

    fn has_all_blobs(&self, seat: usize) -> bool {
        let client = self.client(seat);
        let mut sent = self.ledger.sent.iter().filter(|sent| sent.index.is_some());
        sent.all(|sent| self.federation.block_on(client.has_blob(&sent.sha256)).unwrap_or(false))
    }
}

/// Sends a release until the registry takes it: it may be busy getting ready.
pub async fn send_until_taken(client: &Client, sent: &Sent) -> brick_schemas::api::EntryReceipt {
    let deadline = Instant::now() + LIMIT;
    loop {
        match send(client, sent).await {
            Ok(receipt) => return receipt,
            Err(err) => {
                assert!(Instant::now() < deadline, "{} {} is not taken: {err}", sent.name, sent.version)
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

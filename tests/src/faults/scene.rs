//! What is disturbed? A commons of processes that is founded once and put back as it was founded whenever a test likes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brick_client::{Client, LogPath};
use brick_schemas::predicate::PublisherKind;
use brick_schemas::{Origin, PublisherName};
use brick_tlog::checkpoint::Checkpoint;

use super::ledger::{Known, Ledger};
use super::load::{Answered, Lane, impatient};
use crate::federation::Federation;
use crate::folder;

/// Time for anything that a registry does by itself: start, be cosigned, be followed.
pub const LIMIT: Duration = Duration::from_secs(90);
/// How often somebody looks whether it is done.
pub const POLL: Duration = Duration::from_millis(10);

/// A commons, its publishers, and what they know.
pub struct Scene {
    /// The registries: the first hosts everything, the others mirror and witness.
    pub federation: Federation,
    /// Who publishes.
    pub lanes: Vec<Lane>,
    /// What they know.
    pub ledger: Ledger,
    /// The publishers, by number.
    pub publishers: Vec<PublisherName>,
    /// One for each registry: making one costs more than asking.
    clients: Vec<Client>,
    /// Each registry's data as it was founded.
    founded: tempfile::TempDir,
}

/// Publishers at work.
pub struct Load {
    tasks: Vec<tokio::task::JoinHandle<(Lane, Vec<Answered>)>>,
    is_over: Arc<AtomicBool>,
}

impl Scene {
    /// Founds a commons of `registries`, admits publishers with `lanes` between them, and stops.
    ///
    /// # Panics
    /// When that does not work.
    pub fn found(registries: &[&str], publishers: usize, lanes: usize) -> Self {
        let federation = Federation::found("commons.example", registries);
        let mut officers = Vec::new();
        for number in 0..publishers {
            let name = format!("publisher{number}.example");
            officers.push(federation.admit_officer(&name, PublisherKind::PublicBody, 0));
        }
        let publishers: Vec<PublisherName> = (0..publishers)
            .map(|number| PublisherName::parse(&format!("publisher{number}.example")).expect("a name"))
            .collect();
        let lanes = (0..lanes).map(|lane| {
            let publisher = lane % publishers.len();
            Lane {
                publisher,
                name: publishers[publisher].clone(),
                officer: officers[publisher].clone(),
                family: format!("lane{lane}-"),
                made: 0,
                rest: Duration::ZERO,
            }
        });
        let lanes = lanes.collect();
        let ledger = Ledger { sent: Vec::new(), logs: Vec::new() };
        let founded = tempfile::Builder::new().prefix("brick-founded-").tempdir().expect("a folder");
        let seats = registries.len();
        let clients = (0..seats).map(|seat| impatient(&federation.url(seat))).collect();
        let mut scene = Self { federation, lanes, ledger, publishers, clients, founded };
        for seat in 1..seats {
            scene.wait_until(seat, "it has every log", |scene| {
                scene.publishers.iter().all(|name| scene.size_at(seat, name).is_some_and(|size| size > 0))
            });
        }
        for seat in 0..seats {
            scene.federation.stop(seat);
            folder::copy(&scene.federation.data(seat), &scene.kept(seat));
        }
        scene.forget();
        scene
    }

    /// The data of a registry as it was founded.
    pub fn kept(&self, seat: usize) -> PathBuf {
        self.founded.path().join(seat.to_string())
    }

    /// How many registries there are.
    pub fn seats(&self) -> usize {
        self.clients.len()
    }

    /// Forgets all that was seen.
    pub fn forget(&mut self) {
        let vkeys =
            self.publishers.iter().map(|name| self.federation.log_vkey(0, &Origin::of_publisher(name)));
        self.ledger = Ledger { sent: Vec::new(), logs: vkeys.map(Known::new).collect() };
    }

    /// Ends every registry, puts its data back as it was founded, and forgets what was seen since.
    ///
    /// # Panics
    /// When files cannot be copied.
    pub fn put_back(&mut self) {
        for seat in 0..self.seats() {
            self.federation.kill(seat);
            let data = self.federation.data(seat);
            std::fs::remove_dir_all(&data).expect("the data is removed");
            folder::copy(&self.kept(seat), &data);
        }
        self.forget();
    }

    /// Somebody who asks a registry once.
    pub fn client(&self, seat: usize) -> Client {
        self.clients[seat].clone()
    }

    /// Leaves under the head of a publisher's log that a registry shows.
    pub fn size_at(&self, seat: usize, publisher: &PublisherName) -> Option<u64> {
        let client = self.client(seat);
        let asked = async { client.checkpoint(&LogPath::Publisher(publisher.clone())).await };
        let note = self.federation.block_on(asked).ok()?;
        Checkpoint::parse(&note.text).ok().map(|head| head.size)
    }

    /// Waits until something is so of a registry.
    ///
    /// # Panics
    /// When it is not within [`LIMIT`]; with the end of what the registry said.
    pub fn wait_until(&self, seat: usize, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "registry {seat}, not so: {what}\n{}", self.federation.said());
            std::thread::sleep(POLL);
        }
    }

    /// Starts a registry with more environment. Returns how long it took to answer, or `None` where it ended before.
    ///
    /// # Panics
    /// When it neither answers nor ends within [`LIMIT`].
    pub fn try_start(&mut self, seat: usize, env: &[(&str, &str)]) -> Option<Duration> {
        let (began, client) = (Instant::now(), self.client(seat));
        self.federation.spawn(seat, env);
        loop {
            if self.federation.block_on(client.well_known()).is_ok() {
                return Some(began.elapsed());
            }
            if self.federation.has_ended(seat) {
                return None;
            }
            assert!(began.elapsed() < LIMIT, "registry {seat} does not answer\n{}", self.federation.said());
            std::thread::sleep(POLL);
        }
    }

    /// Starts a registry. Returns how long it took to answer.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&mut self, seat: usize) -> Duration {
        let took = self.try_start(seat, &[]);
        took.unwrap_or_else(|| panic!("registry {seat} does not start:\n{}", self.federation.said()))
    }

    /// Has every lane publish at the first registry.
    pub fn begin(&mut self) -> Load {
        let is_over = Arc::new(AtomicBool::new(false));
        let client = self.client(0);
        let start = |mut lane: Lane| {
            let (client, is_over) = (client.clone(), is_over.clone());
            self.federation.handle().spawn(async move {
                let all = lane.publish(&client, &is_over).await;
                (lane, all)
            })
        };
        let tasks = std::mem::take(&mut self.lanes).into_iter().map(start).collect();
        Load { tasks, is_over }
    }

    /// Has the lanes stop, and notes all that they sent and were told.
    ///
    /// Returns why releases were not acknowledged, by their number.
    ///
    /// # Panics
    /// When a lane was refused, or a receipt does not hold.
    pub fn end(&mut self, load: Load) -> Vec<(usize, String)> {
        load.is_over.store(true, Ordering::Relaxed);
        let mut whys = Vec::new();
        for task in load.tasks {
            let joined = self.federation.block_on(task);
            let (lane, all) = joined.unwrap_or_else(|err| match err.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(err) => panic!("a lane was not ended by its test: {err}"),
            });
            self.lanes.push(lane);
            for Answered { sent, receipt, why } in all {
                let at = self.ledger.sent.len();
                self.ledger.sent.push(sent);
                if let Some(receipt) = receipt {
                    self.ledger.acknowledge(at, &receipt);
                }
                if let Some(why) = why {
                    whys.push((at, why.to_string()));
                }
            }
        }
        whys
    }
}

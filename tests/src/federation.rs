//! How do organisations at their keyboards make a commons? Registries as processes, people as homes.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use brick_cli::quickstart::ceremony::fresh_key;
use brick_client::Client;
use brick_schemas::predicate::publisher::PublisherKey;
use brick_schemas::predicate::{
    Basis, Place, Predicate, Publisher, PublisherKind, PublisherStatus, Registry, Right,
    STATEMENT_PAYLOAD_TYPE, Statement,
};
use brick_schemas::{Digest, FullName, KeySet, Origin, PublisherName, Version};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::note::{Algorithm, KeyName, Vkey};
use brick_trust::envelope::Signer as _;
use brick_trust::root::{DEFAULT_REFUSE_AGE_S, DEFAULT_WARN_AGE_S, Role, TERMS_VERSION, Terms};
use brick_trust::{Envelope, Pin, Root};
use brickyard::registry::witness_name;
use ed25519_dalek::SigningKey;

use crate::process::{Ended, Room, Running};

mod seat;

use seat::{Seat, open_key, restrict};

/// Time that anything in the federation may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A commons of processes.
pub struct Federation {
    origin: Origin,
    root_sha256: Digest,
    registrar: SigningKey,
    seats: Vec<Seat>,
    publishers: BTreeMap<String, (Room, usize)>,
    runtime: tokio::runtime::Runtime,
}

fn key() -> SigningKey {
    fresh_key().expect("randomness")
}

impl Federation {
    /// Founds a commons and starts a registry of each name; the first hosts the commons log.
    ///
    /// # Panics
    /// When a registry does not start or is not admitted: a test cannot go on.
    pub fn found(domain: &str, registries: &[&str]) -> Self {
        Self::found_behind(domain, registries, &[])
    }

    /// The same, each registry's command line after the words of `wrapper`, such as `taskset -c 0`; it must become the
    /// registry, not start it.
    ///
    /// # Panics
    /// As [`found`](Self::found).
    pub fn found_behind(domain: &str, registries: &[&str], wrapper: &[&str]) -> Self {
        let domain = PublisherName::parse(domain).expect("a domain");
        let origin = Origin::of_commons(&domain);
        let mut seats: Vec<Seat> = registries
            .iter()
            .map(|id| Seat::new(PublisherName::parse(id).expect("a name"), [key(), key()], wrapper))
            .collect();
        let stewards = [key(), key(), key()];
        let registrar = key();
        let commons_key = KeyName::new(origin.as_str()).expect("an origin is a key name");
        let terms = Terms {
            format: TERMS_VERSION,
            commons: domain,
            log: Vkey::of(commons_key, Algorithm::Ed25519, &seats[0].log_key).to_string(),
            quorum_at_least: 0,
            warn_age_s: DEFAULT_WARN_AGE_S,
            refuse_age_s: DEFAULT_REFUSE_AGE_S,
        };
        let role = Role { keys: stewards.iter().map(|key| key.public()).collect(), threshold: 2 };
        let registrars = Role { keys: vec![registrar.public()], threshold: 1 };
        let expires = brickyard::registry::now() + 365 * 24 * 60 * 60;
        let mut root = Root::draft(1, expires, &role, &registrars, &terms);
        root.sign(&stewards[0]).expect("signed");
        root.sign(&stewards[2]).expect("signed");
        let root_sha256 = root.payload_digest();
        let host = format!("http://{}", seats[0].address);
        for (at, seat) in seats.iter_mut().enumerate() {
            seat.configure(&root_sha256, (at > 0).then_some(host.as_str()));
            if at == 0 {
                seat.room.write("root.json", root.to_bytes());
                seat.room.run("brickyard", &["found", "--config", "registry.toml", "root.json"]).success();
            }
            seat.start();
        }
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let federation = Self { origin, root_sha256, registrar, seats, publishers: BTreeMap::new(), runtime };
        for at in 0..federation.seats.len() {
            federation.admit_registry(at);
        }
        federation
    }

    /// A registry's address.
    pub fn url(&self, seat: usize) -> String {
        format!("http://{}", self.seats[seat].address)
    }

    /// The commons' first root, to be pinned.
    pub fn pin(&self) -> Pin {
        Pin { root_sha256: self.root_sha256 }
    }

    /// A registry's socket.
    pub fn address(&self, seat: usize) -> SocketAddr {
        self.seats[seat].address
    }

    /// The number of a registry's process, while it runs.
    pub fn pid(&self, seat: usize) -> Option<u32> {
        self.seats[seat].process.as_ref().map(Running::pid)
    }

    /// The folder that a registry keeps its state in.
    pub fn data(&self, seat: usize) -> PathBuf {
        self.seats[seat].room.work().join("data")
    }

    /// The key that registry `seat` signs the log of `origin` with.
    ///
    /// # Panics
    /// Never: an origin is a key name.
    pub fn log_vkey(&self, seat: usize, origin: &Origin) -> Vkey {
        let name = KeyName::new(origin.as_str()).expect("an origin is a key name");
        Vkey::of(name, Algorithm::Ed25519, &self.seats[seat].log_key)
    }

    /// Where to run what goes on beside the test.
    pub fn handle(&self) -> &tokio::runtime::Handle {
        self.runtime.handle()
    }

    /// Runs a question to its answer.
    pub fn block_on<F: Future>(&self, question: F) -> F::Output {
        self.runtime.block_on(question)
    }

    /// Asks a registry.
    ///
    /// # Panics
    /// Never: its address is one.
    pub fn client(&self, seat: usize) -> Client {
        Client::new(&self.url(seat)).expect("an address")
    }

    fn place(&self) -> Place {
        let note = self
            .runtime
            .block_on(self.client(0).checkpoint(&brick_client::LogPath::Commons))
            .expect("the host answers");
        let checkpoint = Checkpoint::parse(&note.text).expect("a head");
        Place {
            log: self.origin.clone(),
            basis: Basis { size: checkpoint.size, root: Digest::from(*checkpoint.root.as_bytes()) },
        }
    }

    fn submit(&self, what: &str, predicate: Predicate) {
        let statement = Statement::new(vec![(what.to_owned(), Digest::of(what.as_bytes()))], predicate);
        let mut envelope = Envelope::unsigned(STATEMENT_PAYLOAD_TYPE, statement.to_bytes());
        envelope.sign(&self.registrar).expect("signed");
        let client = self.client(0);
        let sent = client.publish(envelope.to_bytes(), Vec::new());
        self.runtime.block_on(sent).unwrap_or_else(|err| panic!("{what} is admitted: {err:?}"));
    }

    fn admit_registry(&self, at: usize) {
        let seat = &self.seats[at];
        let witness = Vkey::of(witness_name(&seat.id), Algorithm::CosignatureV1, &seat.witness_key);
        let record = Registry {
            place: self.place(),
            id: seat.id.clone(),
            operator: seat.id.clone(),
            log_key: seat.log_key.public(),
            witness: witness.to_string(),
            urls: vec![self.url(at)],
            owners: KeySet { keys: vec![key().public()], threshold: 1 },
            status: PublisherStatus::Active,
        };
        self.submit(seat.id.as_str(), Predicate::Registry(Box::new(record)));
    }

    /// Admits a publisher whose log registry `home` hosts, and gives it a home with its key and the pinned root.
    ///
    /// # Panics
    /// When it is not admitted.
    pub fn admit(&mut self, id: &str, kind: PublisherKind, home: usize) {
        let officer = self.admit_officer(id, kind, home);
        let room = self.pinned_room(home);
        let keys = room.home().join(".brick/keys");
        std::fs::create_dir_all(&keys).expect("a folder");
        std::fs::write(keys.join("officer"), open_key(&officer)).expect("a key file");
        restrict(&keys.join("officer"));
        self.publishers.insert(id.to_owned(), (room, home));
    }

    /// Admits a publisher whose log registry `home` hosts; returns the key that may publish and yank in its name, once
    /// its log is open.
    ///
    /// # Panics
    /// When it is not admitted.
    pub fn admit_officer(&self, id: &str, kind: PublisherKind, home: usize) -> SigningKey {
        let publisher = PublisherName::parse(id).expect("a name");
        let origin = Origin::of_publisher(&publisher);
        let officer = key();
        let record = Publisher {
            place: self.place(),
            id: publisher.clone(),
            kind,
            title: None,
            vkey: self.log_vkey(home, &origin).to_string(),
            origin,
            home: self.seats[home].id.clone(),
            owners: KeySet { keys: vec![key().public()], threshold: 1 },
            keys: vec![PublisherKey {
                key: officer.public(),
                rights: vec![Right::Publish, Right::Yank],
                until: None,
                bricks: None,
            }],
            from: 0,
            status: PublisherStatus::Active,
            succeeds: Vec::new(),
        };
        self.submit(id, Predicate::Publisher(Box::new(record)));
        let deadline = Instant::now() + LIMIT;
        while self.runtime.block_on(self.client(home).snapshot(&publisher)).is_err() {
            assert!(Instant::now() < deadline, "{id}'s home opens its log\n{}", self.seats[home].said());
            std::thread::sleep(Duration::from_millis(100));
        }
        officer
    }

    /// A person with an empty home who has pinned the root, and nothing else.
    ///
    /// # Panics
    /// When the root cannot be pinned.
    pub fn pinned_room(&self, registry: usize) -> Room {
        let room = Room::new();
        let (url, root) = (self.url(registry), self.root_sha256.to_string());
        let deadline = Instant::now() + LIMIT;
        loop {
            let ended = room.brick(&room.work(), &url, &["commons", "trust", &url, "--root-sha256", &root]);
            if ended.code == Some(0) {
                return room;
            }
            // Right after an admission the commons log's newest head is still being cosigned.
            assert!(Instant::now() < deadline, "the root is pinned: {}", ended.stderr);
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Publishes folders in order with the ordinary command.
    ///
    /// # Panics
    /// When one is not published, or nobody of that name was [admitted](Self::admit).
    pub fn publish(&self, publisher: &str, folders: &[PathBuf]) {
        let (room, home) = &self.publishers[publisher];
        for folder in folders {
            room.brick(folder, &self.url(*home), &["publish", "--key", "officer", "--yes"]).success();
        }
    }

    /// Waits until every registry that runs shows every release under a head with a quorum.
    ///
    /// # Panics
    /// When `limit` passes before.
    pub fn wait_for_releases(&self, releases: &[(String, String)], limit: Duration) {
        let deadline = Instant::now() + limit;
        for (at, seat) in self.seats.iter().enumerate() {
            if seat.process.is_none() {
                continue;
            }
            let client = self.client(at);
            for (name, version) in releases {
                let name = FullName::parse(name).expect("a name");
                let version = Version::parse(version).expect("a version");
                loop {
                    match self.runtime.block_on(client.proof(&name, &version)) {
                        Ok(Some(_)) => break,
                        other => {
                            assert!(Instant::now() < deadline, "{name} {version} at {}: {other:?}", seat.id)
                        }
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Stops a registry as an operator would.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop(&mut self, seat: usize) {
        if let Some(process) = self.seats[seat].process.take() {
            process.stop("TERM", LIMIT);
        }
    }

    /// Starts a registry with more environment, and does not wait until it listens.
    ///
    /// # Panics
    /// When there is no such process to be had.
    pub fn spawn(&mut self, seat: usize, env: &[(&str, &str)]) {
        self.seats[seat].spawn(env);
    }

    /// Whether a registry's process has ended by itself.
    pub fn has_ended(&mut self, seat: usize) -> bool {
        let process = &mut self.seats[seat].process;
        process.as_mut().is_none_or(|process| process.wait(Duration::ZERO).is_some())
    }

    /// How a registry's process ended, if it does so by itself within `limit`.
    ///
    /// # Panics
    /// When it does not run.
    pub fn wait_for_end(&mut self, seat: usize, limit: Duration) -> Option<Ended> {
        let process = &mut self.seats[seat].process;
        process.as_mut().expect("it runs").wait(limit)?;
        process.take().map(Running::kill)
    }

    /// Kills a registry at once; what it said, where it ran.
    pub fn kill(&mut self, seat: usize) -> Option<Ended> {
        self.seats[seat].process.take().map(Running::kill)
    }

    /// The end of what the registries' processes said.
    pub fn said(&self) -> String {
        self.seats.iter().map(|seat| format!("{} said:\n{}\n", seat.id, seat.said())).collect()
    }

    /// Runs `brickyard` where a registry's set-up lies.
    pub fn brickyard(&self, seat: usize, args: &[&str]) -> Ended {
        self.seats[seat].room.run("brickyard", args)
    }

    /// The same where it may take so long.
    pub fn brickyard_within(&self, seat: usize, args: &[&str], limit: Duration) -> Ended {
        self.seats[seat].room.run_within("brickyard", args, limit)
    }

    /// Starts a registry that was stopped, on its old address.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&mut self, seat: usize) {
        self.seats[seat].start();
    }
}

/// Runs `brick` in a folder, at a registry.
pub trait Brick {
    /// Runs it to its end.
    fn brick(&self, dir: &Path, registry: &str, args: &[&str]) -> Ended;
}

impl Brick for Room {
    fn brick(&self, dir: &Path, registry: &str, args: &[&str]) -> Ended {
        let mut all = vec!["-C", dir.to_str().expect("a readable path"), "--registry", registry];
        all.extend(args);
        self.run("brick", &all)
    }
}

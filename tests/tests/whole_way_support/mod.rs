//! Three organisations at their keyboards: registries as processes, people as homes.

use std::collections::BTreeMap;
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
use brick_tests::process::{Ended, Room, Running, free_address};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::note::{Algorithm, KeyName, Vkey};
use brick_trust::envelope::Signer as _;
use brick_trust::key::write_key_file;
use brick_trust::root::{DEFAULT_REFUSE_AGE_S, DEFAULT_WARN_AGE_S, Role, TERMS_VERSION, Terms};
use brick_trust::{Envelope, Root};
use brickyard::registry::witness_name;
use ed25519_dalek::SigningKey;

/// Time that anything in the federation may take.
const LIMIT: Duration = Duration::from_secs(60);

/// One organisation that runs a registry.
struct Seat {
    id: PublisherName,
    address: SocketAddr,
    log_key: SigningKey,
    witness_key: SigningKey,
    room: Room,
    process: Option<Running>,
}

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

fn open_key(key: &SigningKey) -> String {
    write_key_file(key, "test", None).expect("a key file").to_string()
}

impl Federation {
    /// Founds a commons and starts a registry of each name; the first hosts the commons log.
    pub fn found(domain: &str, registries: &[&str]) -> Self {
        let domain = PublisherName::parse(domain).expect("a domain");
        let origin = Origin::of_commons(&domain);
        let mut seats: Vec<Seat> = registries
            .iter()
            .map(|id| Seat {
                id: PublisherName::parse(id).expect("a name"),
                address: free_address(),
                log_key: key(),
                witness_key: key(),
                room: Room::new(),
                process: None,
            })
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

    fn client(&self, seat: usize) -> Client {
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
    pub fn admit(&mut self, id: &str, kind: PublisherKind, home: usize) {
        let publisher = PublisherName::parse(id).expect("a name");
        let origin = Origin::of_publisher(&publisher);
        let officer = key();
        let log_key = KeyName::new(origin.as_str()).expect("an origin is a key name");
        let record = Publisher {
            place: self.place(),
            id: publisher.clone(),
            kind,
            title: None,
            origin,
            vkey: Vkey::of(log_key, Algorithm::Ed25519, &self.seats[home].log_key).to_string(),
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
        let room = self.pinned_room(home);
        let keys = room.home().join(".brick/keys");
        std::fs::create_dir_all(&keys).expect("a folder");
        std::fs::write(keys.join("officer"), open_key(&officer)).expect("a key file");
        restrict(&keys.join("officer"));
        self.publishers.insert(id.to_owned(), (room, home));
    }

    /// A person with an empty home who has pinned the root, and nothing else.
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
    pub fn publish(&self, publisher: &str, folders: &[PathBuf]) {
        let (room, home) = &self.publishers[publisher];
        for folder in folders {
            room.brick(folder, &self.url(*home), &["publish", "--key", "officer", "--yes"]).success();
        }
    }

    /// Waits until every registry that runs shows every release under a head with a quorum.
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
    pub fn stop(&mut self, seat: usize) {
        if let Some(process) = self.seats[seat].process.take() {
            process.stop("TERM", LIMIT);
        }
    }
}

impl Seat {
    fn configure(&self, root_sha256: &Digest, host: Option<&str>) {
        let room = &self.room;
        room.write("keys/log", open_key(&self.log_key));
        room.write("keys/witness", open_key(&self.witness_key));
        restrict(&room.work().join("keys/log"));
        restrict(&room.work().join("keys/witness"));
        let peers = host
            .map_or_else(String::new, |url| format!("\n[[peer]]\nurl = \"{url}\"\ngit = \"{url}/git\"\n"));
        room.write(
            "registry.toml",
            format!(
                "config = 1\ndata = \"data\"\nlisten = \"{}\"\nurls = [\"http://{}\"]\nregistry = \"{id}\"\noperator = \"{id}\"\nroot-sha256 = \"{root_sha256}\"\nsync-interval-s = 1\n\n[keys]\nlog = \"keys/log\"\nwitness = \"keys/witness\"\n{peers}",
                self.address, self.address, id = self.id
            ),
        );
    }

    /// The end of what its process said.
    fn said(&self) -> String {
        let said = self.process.as_ref().map(Running::stderr).unwrap_or_default();
        said.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn start(&mut self) {
        let process = self.room.start("brickyard", &["serve", "--config", "registry.toml"]);
        process.wait_for_line("listening", LIMIT);
        self.process = Some(process);
    }
}

/// Private keys are for their owner alone.
fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("permissions");
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

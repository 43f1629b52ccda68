//! A commons of one or two real registries on loopback, and publishers with keys.

use std::net::SocketAddr;
use std::time::Duration;

use brick_schemas::api::EntryReceipt;
use brick_schemas::archive::{self, ArchivePath};
use brick_schemas::manifest::Manifest;
use brick_schemas::predicate::publisher::PublisherKey;
use brick_schemas::predicate::status::{ReleaseStatus, StatusCode};
use brick_schemas::predicate::{
    Basis, Place, Predicate, Publisher, PublisherKind, PublisherStatus, Registry as RegistryRecord, Release,
    Right, STATEMENT_PAYLOAD_TYPE, Statement, Status,
};
use brick_schemas::{Blob, Digest, FullName, KeySet, Origin, PublisherName, Version};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::note::{Algorithm, KeyName, Note, Vkey};
use brick_trust::envelope::Signer as _;
use brick_trust::root::{DEFAULT_REFUSE_AGE_S, DEFAULT_WARN_AGE_S, Role, TERMS_VERSION, Terms};
use brick_trust::{Envelope, Root};
use brickyard::{Peer, Registry, Server, Settings};
use ed25519_dalek::SigningKey;

use crate::http::{self, Answer};

/// The registry that hosts the commons log and the publishers' logs, and who runs it.
pub const NORTH: &str = "registry.north.example";
/// The registry that mirrors and witnesses.
pub const SOUTH: &str = "registry.south.example";
/// A second registry that mirrors and witnesses.
pub const EAST: &str = "registry.east.example";
/// A registry that is admitted and does not run; the same body's as [`NORTH`], so that it is no witness of it.
pub const AWAY: &str = "registry.away.example";
/// A public body whose log is at [`NORTH`].
pub const BODY: &str = "north.example";
/// A publisher whose log is at [`AWAY`].
pub const ABSENT: &str = "away.example";
const COMMONS: &str = "commons.example";

/// Keys by what they are for: distinct, and the same in every run.
#[derive(Clone, Copy)]
pub enum Key {
    Steward = 1,
    Registrar,
    Owner,
    /// May publish, yank, attest and propose for [`BODY`].
    Officer,
    /// May yank, no more.
    Yanker,
    /// May publish bricks whose names begin with `pay-`.
    Payments,
    /// Nobody's.
    Stranger,
    NorthLog,
    NorthWitness,
    SouthLog,
    SouthWitness,
    AwayLog,
    AwayWitness,
    EastLog,
    EastWitness,
}

impl Key {
    pub fn signing(self) -> SigningKey {
        SigningKey::from_bytes(&[self as u8; 32])
    }
}

pub fn publisher(text: &str) -> PublisherName {
    PublisherName::parse(text).unwrap()
}

pub fn full(text: &str) -> FullName {
    FullName::parse(text).unwrap()
}

/// A registry that can be stopped and started again at the address it had.
pub struct Seat {
    pub settings: Settings,
    server: Option<Server>,
}

impl Seat {
    /// One that does not run.
    pub fn absent(settings: Settings) -> Self {
        Self { settings, server: None }
    }

    pub fn registry(&self) -> &Registry {
        &self.server.as_ref().expect("it runs").registry
    }

    /// The registry's state, for another server of it.
    pub fn registry_arc(&self) -> std::sync::Arc<Registry> {
        self.server.as_ref().expect("it runs").registry.clone()
    }

    pub fn at(&self) -> SocketAddr {
        self.server.as_ref().expect("it runs").address()
    }

    pub async fn start(&mut self) {
        let server = brickyard::start(self.settings.clone()).await.expect("a sound registry starts");
        self.settings.listen = server.address();
        self.server = Some(server);
    }

    pub async fn stop(&mut self) {
        self.take().stop().await;
    }

    /// The server, for whoever stops it while something else goes on.
    pub fn take(&mut self) -> Server {
        self.server.take().expect("it runs")
    }

    pub async fn get(&self, path: &str) -> Answer {
        http::get(self.at(), path).await
    }

    /// As [`publish`](Self::publish), again while it is answered 503: a registry that has just started takes nothing before
    /// it knows how far others saw its logs.
    pub async fn publish_once_ready(&self, entry: &[u8], blobs: &[&[u8]]) -> Answer {
        let deadline = tokio::time::Instant::now() + http::LIMIT;
        loop {
            let answer = self.publish(entry, blobs).await;
            if answer.status != 503 || tokio::time::Instant::now() > deadline {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Publishes by hand: an entry and blobs, each under its digest.
    pub async fn publish(&self, entry: &[u8], blobs: &[&[u8]]) -> Answer {
        let names: Vec<String> = blobs.iter().map(|blob| Digest::of(blob).to_string()).collect();
        let mut parts: Vec<(&str, &str, &[u8])> = vec![("entry", "entry.json", entry)];
        parts.extend(names.iter().zip(blobs).map(|(name, blob)| ("blob", name.as_str(), *blob)));
        self.post_form(&http::form(&parts)).await
    }

    pub async fn post_form(&self, body: &[u8]) -> Answer {
        http::ask(self.at(), http::post("/api/v1/entries", &http::form_type(), body)).await
    }

    /// The head of a log as it stands, shown to readers or not.
    pub fn newest(&self, origin: &Origin) -> Checkpoint {
        let head = self.registry().head(origin).expect("a head");
        Checkpoint::parse(&Note::parse(&head.newest).unwrap().text).unwrap()
    }

    /// Where the next entry of a log will stand.
    pub fn place(&self, origin: &Origin) -> Place {
        let head = self.newest(origin);
        Place {
            log: origin.clone(),
            basis: Basis { size: head.size, root: Digest::from(*head.root.as_bytes()) },
        }
    }
}

/// The commons.
pub struct Town {
    pub north: Seat,
    pub root: Envelope,
    pub commons: Origin,
    pub body: Origin,
    pub dir: tempfile::TempDir,
}

impl Town {
    /// One registry, with [`BODY`] at home there and [`ABSENT`] at another that does not run.
    pub async fn found() -> Self {
        Self::found_with(|_| {}).await
    }

    /// As [`found`](Self::found), the registry's settings changed by `change`.
    pub async fn found_with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let commons = Origin::of_commons(&publisher(COMMONS));
        let root = signed_root(&commons);
        let mut settings = settings(&dir, NORTH, &root, Key::NorthLog, Key::NorthWitness);
        change(&mut settings);
        brickyard::founding::found(&settings, &root.to_bytes()).await.expect("a commons");
        let mut north = Seat { settings, server: None };
        north.start().await;
        let body = Origin::of_publisher(&publisher(BODY));
        let town = Self { north, root, commons, body, dir };
        town.admit_registry(NORTH, NORTH, Key::NorthLog, Key::NorthWitness, &town.north_url()).await;
        town.admit_registry(AWAY, NORTH, Key::AwayLog, Key::AwayWitness, "http://127.0.0.1:9").await;
        town.record(town.body_record(0)).await;
        let absent = Origin::of_publisher(&publisher(ABSENT));
        town.record(Publisher {
            vkey: vkey(&absent, Key::AwayLog),
            home: publisher(AWAY),
            id: publisher(ABSENT),
            origin: absent,
            ..town.body_record(0)
        })
        .await;
        let registry = town.north.registry();
        until("the body's log is open", || {
            registry.head(&town.body).is_some() && registry.is_caught_up(&town.body)
        })
        .await;
        town
    }

    /// A second registry that follows the first, admitted as its witness, once it has caught up and cosigned all.
    pub async fn join(&self) -> Seat {
        self.join_with(|_| {}).await
    }

    /// As [`join`](Self::join), the second registry's settings changed by `change`.
    pub async fn join_with(&self, change: impl FnOnce(&mut Settings)) -> Seat {
        let south = self.admit_mirror(SOUTH, Key::SouthLog, Key::SouthWitness, change).await;
        self.settle(&south).await;
        south
    }

    /// A registry that follows the first and has been admitted just now.
    pub async fn admit_mirror(
        &self,
        id: &str,
        log: Key,
        witness: Key,
        change: impl FnOnce(&mut Settings),
    ) -> Seat {
        let mut settings = settings(&self.dir, id, &self.root, log, witness);
        settings.peers.push(Peer::at(NORTH, &self.north_url()));
        change(&mut settings);
        let mut seat = Seat { settings, server: None };
        seat.start().await;
        let url = format!("http://{}", seat.at());
        self.admit_registry(id, id, log, witness, &url).await;
        seat
    }

    /// A registry that follows one peer, is not admitted, and does not run yet.
    pub fn follower(&self, id: &str, peer: Peer, change: impl FnOnce(&mut Settings)) -> Seat {
        let mut settings = settings(&self.dir, id, &self.root, Key::EastLog, Key::EastWitness);
        settings.peers.push(peer);
        change(&mut settings);
        Seat::absent(settings)
    }

    /// Waits until both registries show the newest heads, with a quorum.
    pub async fn settle(&self, south: &Seat) {
        let shows = |seat: &Seat, origin: &Origin, size: u64| {
            seat.registry().head(origin).is_some_and(|head| {
                let rules = seat.registry().rules(head.publisher.as_ref());
                let open = rules.and_then(|rules| {
                    brick_trust::open_head(&head.shown, &rules)?
                        .demand_quorum(&rules, brickyard::registry::now())
                });
                head.shown_size == size && open.is_ok()
            })
        };
        until("both registries show the newest heads", || {
            south.registry().follow.notify_one();
            [&self.commons, &self.body].into_iter().all(|origin| {
                let size = self.north.newest(origin).size;
                shows(&self.north, origin, size) && shows(south, origin, size)
            })
        })
        .await;
    }

    pub fn north_url(&self) -> String {
        format!("http://{}", self.north.at())
    }

    /// [`BODY`]'s record, in force from a leaf of its log on.
    pub fn body_record(&self, from: u64) -> Publisher {
        let key = |key: Key, rights: &[Right], bricks: Option<&str>| PublisherKey {
            key: key.signing().public(),
            rights: rights.to_vec(),
            until: None,
            bricks: bricks.map(|pattern| vec![pattern.to_owned()]),
        };
        let all = [Right::Publish, Right::Yank, Right::Attest, Right::Propose];
        Publisher {
            place: self.north.place(&self.commons),
            id: publisher(BODY),
            kind: PublisherKind::PublicBody,
            title: None,
            origin: self.body.clone(),
            vkey: vkey(&self.body, Key::NorthLog),
            home: publisher(NORTH),
            owners: owners(),
            keys: vec![
                key(Key::Officer, &all, None),
                key(Key::Yanker, &[Right::Yank], None),
                key(Key::Payments, &[Right::Publish], Some("pay-*")),
            ],
            from,
            status: PublisherStatus::Active,
            succeeds: Vec::new(),
        }
    }

    /// Logs a publisher's record.
    pub async fn record(&self, record: Publisher) {
        let subject = (record.id.to_string(), Digest::of(record.vkey.as_bytes()));
        self.admit(Predicate::Publisher(Box::new(record)), subject).await;
    }

    /// Logs a registry's record, whether it runs or not.
    pub async fn admit_registry(&self, id: &str, operator: &str, log: Key, witness: Key, url: &str) {
        let name = brickyard::registry::witness_name(&publisher(id));
        let witness = Vkey::of(name, Algorithm::CosignatureV1, &witness.signing()).to_string();
        let subject = (id.to_owned(), Digest::of(witness.as_bytes()));
        let record = RegistryRecord {
            place: self.north.place(&self.commons),
            id: publisher(id),
            operator: publisher(operator),
            log_key: log.signing().public(),
            witness,
            urls: vec![url.to_owned()],
            owners: owners(),
            status: PublisherStatus::Active,
        };
        self.admit(Predicate::Registry(Box::new(record)), subject).await;
    }

    async fn admit(&self, predicate: Predicate, subject: (String, Digest)) {
        let entry = signed(predicate, subject, Key::Registrar);
        let answer = self.north.publish_once_ready(&entry, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// A release of [`BODY`] that says what its archive says.
    pub fn draft(&self, brick: &str, version: &str) -> Draft {
        Draft::new(&self.north.place(&self.body), &format!("{BODY}/{brick}"), version, "")
    }

    /// Publishes a release of [`BODY`] with `more` at the end of its manifest.
    pub async fn release_with(&self, brick: &str, version: &str, more: &str) -> (Draft, EntryReceipt) {
        let place = self.north.place(&self.body);
        let draft = Draft::new(&place, &format!("{BODY}/{brick}"), version, more);
        let answer = self.north.publish_once_ready(&draft.signed(Key::Officer), &[&draft.archive]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        (draft, serde_json::from_slice(&answer.body).unwrap())
    }

    /// Publishes a release of [`BODY`].
    pub async fn release(&self, brick: &str, version: &str) -> (Draft, EntryReceipt) {
        self.release_with(brick, version, "").await
    }

    /// The entry that gives a release another status.
    pub fn status(&self, brick: &str, version: &str, status: ReleaseStatus) -> Status {
        Status {
            place: self.north.place(&self.body),
            name: full(&format!("{BODY}/{brick}")),
            versions: vec![Version::parse(version).unwrap()],
            status,
            code: (status != ReleaseStatus::Active).then_some(StatusCode::Error),
            use_instead: None,
            effective: None,
            reason: None,
        }
    }

    /// Logs another status of a release.
    pub async fn set_status(&self, brick: &str, version: &str, status: ReleaseStatus) {
        let status = self.status(brick, version, status);
        let answer = self.north.publish_once_ready(&signed_status(status, Key::Officer), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Waits until git has the newest head of every log.
    pub async fn projected(&self, seat: &Seat) {
        until("git has the newest heads", || {
            seat.registry().heads().into_iter().all(|(_, head)| {
                let folder = head
                    .publisher
                    .as_ref()
                    .map_or_else(|| brick_index::layout::COMMONS.to_owned(), brick_index::layout::log);
                let path = brick_index::layout::checkpoint(&folder);
                seat.registry().projection.read(&path).ok().flatten().as_deref() == Some(&head.newest)
            })
        })
        .await;
    }
}

/// A release and its archive, to be broken before it is signed.
#[derive(Clone)]
pub struct Draft {
    pub release: Release,
    pub archive: Vec<u8>,
}

impl Draft {
    /// - `more`: goes at the end of the manifest.
    pub fn new(place: &Place, brick: &str, version: &str, more: &str) -> Self {
        let name = full(brick);
        let manifest = format!(
            "manifest = 1\n\n[brick]\nname = \"{name}\"\nversion = \"{version}\"\nkind = \"component\"\n\
             maturity = \"beta\"\nlicense = \"MIT\"\n\n[text.en]\ntitle = \"The {}\"\nsummary = \"What it is for.\"\n\n{more}",
            name.brick
        );
        let readme = format!("# {name} {version}\n");
        Self::of_files(place, &[("brick.toml", manifest.as_bytes()), ("README.md", readme.as_bytes())])
    }

    /// - `files`: paths and bytes, `brick.toml` first.
    pub fn of_files(place: &Place, files: &[(&str, &[u8])]) -> Self {
        let manifest = Manifest::from_bytes(files[0].1).expect("a manifest");
        let files: Vec<(ArchivePath, &[u8])> =
            files.iter().map(|(path, bytes)| (ArchivePath::parse(path).unwrap(), *bytes)).collect();
        let archive = archive::write(&manifest.brick.name.brick, &manifest.brick.version, &files).unwrap();
        let contents = archive::contents(&files);
        let release = manifest.release(place.clone(), Blob::of(&archive), contents, Vec::new(), None);
        Self { release, archive }
    }

    pub fn signed(&self, key: Key) -> Vec<u8> {
        let subject = (format!("{}", self.release.name), self.release.archive.sha256);
        signed(Predicate::Release(Box::new(self.release.clone())), subject, key)
    }
}

/// An entry that says `predicate`, signed by one key.
pub fn signed(predicate: Predicate, subject: (String, Digest), key: Key) -> Vec<u8> {
    let statement = Statement::new(vec![subject], predicate);
    let mut envelope = Envelope::unsigned(STATEMENT_PAYLOAD_TYPE, statement.to_bytes());
    envelope.sign(&key.signing()).unwrap();
    envelope.to_bytes()
}

pub fn signed_status(status: Status, key: Key) -> Vec<u8> {
    let subject = (status.name.to_string(), Digest::of(format!("{status:?}").as_bytes()));
    signed(Predicate::Status(Box::new(status)), subject, key)
}

fn owners() -> KeySet {
    KeySet { keys: vec![Key::Owner.signing().public()], threshold: 1 }
}

/// A log's key by its origin.
pub fn vkey(origin: &Origin, key: Key) -> String {
    Vkey::of(KeyName::new(origin.as_str()).unwrap(), Algorithm::Ed25519, &key.signing()).to_string()
}

fn signed_root(commons: &Origin) -> Envelope {
    let terms = Terms {
        format: TERMS_VERSION,
        commons: publisher(COMMONS),
        log: vkey(commons, Key::NorthLog),
        quorum_at_least: 0,
        warn_age_s: DEFAULT_WARN_AGE_S,
        refuse_age_s: DEFAULT_REFUSE_AGE_S,
    };
    let role = |key: Key| Role { keys: vec![key.signing().public()], threshold: 1 };
    let expires = brickyard::registry::now() + 24 * 60 * 60;
    let mut root = Root::draft(1, expires, &role(Key::Steward), &role(Key::Registrar), &terms);
    root.sign(&Key::Steward.signing()).unwrap();
    root
}

fn settings(dir: &tempfile::TempDir, id: &str, root: &Envelope, log: Key, witness: Key) -> Settings {
    let id = publisher(id);
    let (log, witness) = (log.signing(), witness.signing());
    let mut settings =
        Settings::new(dir.path().join(id.as_str()), id.clone(), id, root.payload_digest(), log, witness);
    settings.sync_interval = Duration::from_millis(200);
    settings.patience.own_heads = Duration::from_secs(2);
    settings.patience.between_commits = Duration::from_millis(100);
    settings
}

/// Waits for something that is on its way.
pub async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + http::LIMIT;
    while !done() {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

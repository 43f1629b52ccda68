//! A commons of three real registries in this process, some bricks in it, and a liar to put in between.
#![allow(dead_code, reason = "every test file uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use brick_cli::package;
use brick_cli::quickstart::ceremony::{self, ExampleCommons};
use brick_client::{Client, LogPath};
use brick_schemas::api::EntryReceipt;
use brick_schemas::predicate::status::{ReleaseStatus, StatusCode, UseInstead};
use brick_schemas::predicate::{
    Basis, Place, Predicate, PublisherKind, STATEMENT_PAYLOAD_TYPE, Statement, Status,
};
use brick_schemas::{Blob, Digest, FullName, Origin, PublisherName, Requirement, Version};
use brick_tlog::checkpoint::Checkpoint;
use brick_trust::Envelope;

pub fn name(text: &str) -> PublisherName {
    PublisherName::parse(text).unwrap()
}

pub fn full(text: &str) -> FullName {
    FullName::parse(text).unwrap()
}

/// A running commons with two publishers at the second and third registry; the first is the home of neither.
pub struct World {
    pub commons: ExampleCommons,
    pub runtime: tokio::runtime::Runtime,
    pub dir: tempfile::TempDir,
}

impl World {
    pub fn found() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let registries =
            [name("registry.north.example"), name("registry.mid.example"), name("registry.south.example")];
        let commons = runtime.block_on(async {
            let mut commons = ceremony::found(
                dir.path(),
                &name("commons.example"),
                &registries,
                Duration::from_millis(200),
            )
            .await
            .unwrap();
            commons.admit(&name("mid.example"), PublisherKind::PublicBody, 1).await.unwrap();
            commons.admit(&name("south.example"), PublisherKind::Supplier, 2).await.unwrap();
            commons
        });
        Self { commons, runtime, dir }
    }

    /// [`found`](Self::found) with a few bricks: `south.example/notify` 1.0.0 and 2.0.0, `mid.example/address` 1.0.0 and
    /// 1.1.0, and `mid.example/bins` 2.1.0 that requires both.
    pub fn stocked() -> Self {
        let world = Self::found();
        world.publish("south.example/notify", "1.0.0", "");
        world.publish("south.example/notify", "2.0.0", "");
        world.publish("mid.example/address", "1.0.0", "");
        world.publish("mid.example/address", "1.1.0", "[features]\nuprn = []\n");
        world.publish(
            "mid.example/bins",
            "2.1.0",
            "[requires]\n\"mid.example/address\" = \"1\"\n\"south.example/notify\" = \"^2\"\n",
        );
        world.settle();
        world
    }

    pub fn settle(&self) {
        self.runtime.block_on(self.commons.wait_for_quorum()).unwrap();
    }

    pub fn url(&self, registry: usize) -> String {
        self.commons.servers[registry].url()
    }

    pub fn root(&self) -> String {
        self.commons.root_sha256.to_string()
    }

    fn client_of(&self, publisher: &PublisherName) -> Client {
        let member = self.commons.members.iter().find(|member| member.id == *publisher).unwrap();
        self.commons.client(member.home)
    }

    async fn place(&self, publisher: &PublisherName) -> Place {
        let note =
            self.client_of(publisher).checkpoint(&LogPath::Publisher(publisher.clone())).await.unwrap();
        let head = Checkpoint::parse(&note.text).unwrap();
        Place {
            log: Origin::of_publisher(publisher),
            basis: Basis { size: head.size, root: Digest::from(*head.root.as_bytes()) },
        }
    }

    /// Publishes a brick of the given name and version; `more` goes at the end of its manifest.
    pub fn publish(&self, brick: &str, version: &str, more: &str) -> EntryReceipt {
        let brick = full(brick);
        let dir = self.dir.path().join(format!("make/{brick}-{version}"));
        std::fs::create_dir_all(dir.join("api")).unwrap();
        let manifest = format!(
            "manifest = 1\n\n[brick]\nname = \"{brick}\"\nversion = \"{version}\"\nkind = \"component\"\nmaturity = \"live\"\nlicense = \"MIT\"\n\n[text.en]\ntitle = \"The {}\"\nsummary = \"What it is for.\"\n\n{more}",
            brick.brick
        );
        std::fs::write(dir.join("brick.toml"), manifest).unwrap();
        std::fs::write(dir.join("README.md"), format!("# {brick} {version}\n")).unwrap();
        std::fs::write(dir.join("api/a.yaml"), "openapi: 3.1.0\n").unwrap();
        self.publish_dir(&dir)
    }

    pub fn publish_dir(&self, dir: &Path) -> EntryReceipt {
        let packed = package::package(dir).unwrap();
        let brick = packed.manifest.brick.name.clone();
        self.runtime.block_on(async {
            let place = self.place(&brick.publisher).await;
            let release =
                packed.manifest.release(place, Blob::of(&packed.archive), packed.contents, Vec::new(), None);
            let predicate = Predicate::Release(Box::new(release));
            self.send(&brick, predicate, packed.digest(), vec![(packed.digest(), packed.archive.clone())])
                .await
        })
    }

    pub fn set_status(
        &self,
        brick: &str,
        version: &str,
        status: ReleaseStatus,
        instead: Option<(&str, &str)>,
    ) {
        let brick = full(brick);
        self.runtime.block_on(async {
            let status = Status {
                place: self.place(&brick.publisher).await,
                name: brick.clone(),
                versions: vec![Version::parse(version).unwrap()],
                status,
                code: Some(StatusCode::Security),
                use_instead: instead.map(|(name, req)| UseInstead {
                    name: full(name),
                    req: Requirement::parse(req).unwrap(),
                }),
                effective: None,
                reason: None,
            };
            let subject = Digest::of(format!("{status:?}").as_bytes());
            self.send(&brick, Predicate::Status(Box::new(status)), subject, Vec::new()).await;
        });
    }

    async fn send(
        &self,
        brick: &FullName,
        predicate: Predicate,
        subject: Digest,
        blobs: Vec<(Digest, Vec<u8>)>,
    ) -> EntryReceipt {
        let member = self.commons.members.iter().find(|member| member.id == brick.publisher).unwrap();
        let statement = Statement::new(vec![(brick.to_string(), subject)], predicate);
        let mut envelope = Envelope::unsigned(STATEMENT_PAYLOAD_TYPE, statement.to_bytes());
        envelope.sign(&member.officer).unwrap();
        let receipt = self.commons.client(member.home).publish(envelope.to_bytes(), blobs).await.unwrap().0;
        // The registry's own view follows its log a moment later.
        let origin = Origin::of_publisher(&brick.publisher);
        let registry = &self.commons.servers[member.home].registry;
        while registry.head(&origin).is_none_or(|head| head.size <= receipt.index) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        receipt
    }

    /// The program's surroundings for somebody who asks `registry` and trusts nothing yet.
    pub fn env(&self, home: &Path, registry: &str) -> Vec<(String, String)> {
        vec![
            ("BRICK_HOME".into(), home.to_str().unwrap().to_owned()),
            ("BRICK_REGISTRY".into(), registry.to_owned()),
        ]
    }
}

/// What a liar does with an answer: path, status and body before; the body it gives instead.
type Lie = Box<dyn FnMut(&str, u16, Vec<u8>) -> (u16, Vec<u8>) + Send>;

/// Stands between the program and a real registry and changes answers.
pub struct Liar {
    pub url: String,
    state: Arc<Mutex<LiarState>>,
}

struct LiarState {
    upstream: String,
    lie: Option<Lie>,
    asked: Vec<String>,
    /// Answers kept from before, to be given again.
    kept: BTreeMap<String, Vec<u8>>,
    replay: bool,
}

impl Liar {
    pub fn before(world: &World, registry: usize) -> Self {
        let state = Arc::new(Mutex::new(LiarState {
            upstream: world.url(registry),
            lie: None,
            asked: Vec::new(),
            kept: BTreeMap::new(),
            replay: false,
        }));
        let app = Router::new().fallback(pass_on).with_state(Arc::clone(&state));
        let url = world.runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
            url
        });
        Self { url, state }
    }

    pub fn lie(&self, lie: impl FnMut(&str, u16, Vec<u8>) -> (u16, Vec<u8>) + Send + 'static) {
        self.state.lock().unwrap().lie = Some(Box::new(lie));
    }

    pub fn be_honest(&self) {
        self.state.lock().unwrap().lie = None;
        self.state.lock().unwrap().replay = false;
    }

    /// From now on gives the answers it saw before, wherever it saw one.
    pub fn live_in_the_past(&self) {
        self.state.lock().unwrap().replay = true;
    }

    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

async fn pass_on(State(state): State<Arc<Mutex<LiarState>>>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().to_string();
    let url = format!("{}{path}", state.lock().unwrap().upstream.trim_end_matches('/'));
    state.lock().unwrap().asked.push(path.clone());
    let (status, kind, body) = tokio::task::spawn_blocking(move || get(&url)).await.unwrap();
    let mut state = state.lock().unwrap();
    if state.replay
        && let Some(kept) = state.kept.get(&path)
    {
        return Response::builder().status(200).body(kept.clone().into()).unwrap();
    }
    if status == 200 {
        state.kept.insert(path.clone(), body.clone());
    }
    let (status, body) = match &mut state.lie {
        Some(lie) => lie(&path, status, body),
        None => (status, body),
    };
    Response::builder().status(status).header("content-type", kind).body(body.into()).unwrap()
}

/// A GET over a plain socket: no client of ours that might hide something.
fn get(url: &str) -> (u16, String, Vec<u8>) {
    use std::io::{Read as _, Write as _};
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let gap = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..gap]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-type: ").map(str::to_owned));
    (status, kind.unwrap_or_default(), bytes[gap + 4..].to_vec())
}

/// One person's machine: a home and a working folder.
pub struct Machine {
    pub dir: tempfile::TempDir,
    pub registry: String,
}

pub struct Ended {
    pub code: u8,
    pub stdout: String,
    pub stderr: String,
}

impl Machine {
    pub fn new(registry: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir, registry: registry.to_owned() }
    }

    pub fn trusting(world: &World, registry: &str) -> Self {
        let machine = Self::new(registry);
        machine.ok(&["commons", "trust", registry, "--root-sha256", &world.root()]);
        machine
    }

    /// Another machine with the same files.
    pub fn twin(&self) -> Self {
        let twin = Self::new(&self.registry);
        for (path, bytes) in self.files() {
            let path = twin.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        twin
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.work().join(path)).unwrap()
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        self.run_at(brickyard::registry::now, args)
    }

    /// [`run`](Self::run) by another clock.
    pub fn run_at(&self, now: fn() -> u64, args: &[&str]) -> Ended {
        let env =
            [("BRICK_HOME", self.home().into_os_string()), ("BRICK_REGISTRY", self.registry.clone().into())];
        let (mut surroundings, captured) = brick_cli::Surroundings::captured(self.work(), env);
        surroundings.now = now;
        let code = brick_cli::run(
            std::iter::once("brick").chain(args.iter().copied()).map(Into::into),
            surroundings,
        );
        Ended { code, stdout: captured.stdout(), stderr: captured.stderr() }
    }

    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?}:\n{}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// Must end with `code` and say `says`.
    #[track_caller]
    pub fn fails(&self, args: &[&str], code: u8, says: &[&str]) -> Ended {
        let ended = self.run(args);
        assert_eq!(ended.code, code, "{args:?}:\n{}{}", ended.stdout, ended.stderr);
        for text in says {
            assert!(ended.stderr.contains(text), "{args:?} does not say {text:?}:\n{}", ended.stderr);
        }
        ended
    }

    /// Every file of the home and the working folder, by its path from the machine's top, with its bytes.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let relative = path.strip_prefix(self.dir.path()).unwrap().to_owned();
                        files.insert(relative, std::fs::read(&path).unwrap());
                    }
                }
            }
        }
        files
    }
}

/// A service that uses `mid.example/bins`.
pub const SERVICE: &str = r#"manifest = 1

[service]
id = "council.example/report-missed-bin"
function = "lgsl:524"
status = "live"
body = "local-authority-eng:XXX"

[text.en]
title = "Report a missed bin"
summary = "Tell the council that a bin was not emptied."

# The first step.
[[part]]
step = "report"
brick = "mid.example/bins"
version = "^2.1"
"#;

//! Does a registry in trouble say so, read on, and come back by itself? Small disks, disks that refuse or fail, no file left
//! to open, a damaged database, a clock that jumps, a client that is too loud.

#![cfg(unix)]

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brick_client::{AskError, Client, LogPath};
use brick_schemas::api::ProblemType;
use brick_tests::faults::load::{impatient, send};
use brick_tests::faults::scene::Scene;
use brick_tests::faults::told;
use brick_tests::folder;
use brick_tests::git::Git;
use brick_tests::trouble::{Failing, Shim, SmallDisk, free_file, limit_files, limit_of_files};
use brick_tlog::snapshot::SnapshotLeaf;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;

/// What a clone asks first.
const REFS: &str = "/git/info/refs?service=git-upload-pack";
/// What a registry may take to notice that its trouble is over.
const RECOVERY: Duration = Duration::from_secs(10);
/// What it may take to notice that it is in trouble.
const NOTICE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// Somebody at a registry whose connections are there before the trouble: who may open no file takes no connection.
struct Visitor {
    scene: Scene,
    client: Client,
    http: reqwest::Client,
}

impl Visitor {
    /// A commons of one registry that does not run.
    fn found() -> Scene {
        Scene::found(&["registry.north.example"], 1, 1)
    }

    /// Starts the registry and publishes a first release.
    fn start(mut scene: Scene, env: &[(String, String)]) -> Self {
        let env: Vec<(&str, &str)> =
            env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        scene.try_start(0, &env).unwrap_or_else(|| panic!("it does not start:\n{}", scene.federation.said()));
        let client = impatient(&scene.federation.url(0));
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
        let mut visitor = Self { scene, client, http };
        visitor.until("a first release is taken", RECOVERY, |visitor| visitor.publish().is_ok());
        visitor.demand_ready();
        // A repository that is still being made is handed out to nobody.
        visitor.until("git has it", RECOVERY, |visitor| visitor.get(REFS).0 == 200);
        visitor
    }

    fn until(&mut self, what: &str, limit: Duration, is_so: impl Fn(&mut Self) -> bool) -> Duration {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < limit, "not so: {what}\n{}", self.scene.federation.said());
            std::thread::sleep(POLL);
        }
        began.elapsed()
    }

    /// Publishes one release; what is read before it must be there whatever the trouble.
    fn publish(&mut self) -> Result<(), AskError> {
        let scene = &mut self.scene;
        let place = scene.federation.block_on(scene.lanes[0].place(&self.client)).expect("the head is read");
        let sent = scene.lanes[0].make(&place);
        let answer = scene.federation.block_on(send(&self.client, &sent));
        let at = scene.ledger.sent.len();
        scene.ledger.sent.push(sent);
        answer.map(|receipt| scene.ledger.acknowledge(at, &receipt))
    }

    /// An answer's status, whether it says when to come back, and its body.
    fn get(&self, path: &str) -> (u16, bool, String) {
        let url = format!("{}{path}", self.scene.federation.url(0));
        self.scene.federation.block_on(async {
            let answer = self.http.get(url).send().await.expect("an answer");
            let comes_back = answer.headers().contains_key("retry-after");
            (answer.status().as_u16(), comes_back, answer.text().await.expect("a body"))
        })
    }

    fn demand_ready(&self) {
        let (status, _, body) = self.get("/readyz");
        assert_eq!(status, 200, "{body}");
    }

    /// Waits until publishing is refused for the reason that is named, in the answer and by `/readyz`.
    fn demand_refused(&mut self, status: u16, problem: ProblemType, words: &str) {
        let refusal = |visitor: &mut Self| match visitor.publish() {
            Ok(()) => None,
            Err(AskError::Problem { status, problem, retry_after, .. }) => {
                Some((status, problem, retry_after))
            }
            Err(err) => panic!("publishing is neither taken nor refused: {err}"),
        };
        self.until(words, NOTICE, |visitor| {
            refusal(visitor).is_some_and(|(found, said, retry_after)| {
                assert!(found == 503 || found == 507, "{found}: {said}");
                assert!(found == 507 || retry_after.is_some(), "{said}: nobody says when to come back");
                found == status && said.problem_type == problem && said.to_string().contains(words)
            })
        });
        let (found, _, body) = self.get("/readyz");
        assert_eq!(found, 503, "{body}");
        assert!(body.contains("read-only"), "{body}");
    }

    /// Everything that was acknowledged can be read, with its proof.
    fn demand_reads(&self) {
        let log = &self.scene.ledger.logs[0];
        let path = LogPath::Publisher(self.scene.publishers[0].clone());
        let federation = &self.scene.federation;
        let leaves = federation.block_on(self.client.entries(&path, 0, log.largest())).expect("the entries");
        assert!(!leaves.is_empty());
        let sent = self.scene.ledger.sent.iter().find(|sent| sent.index.is_some()).expect("a release");
        federation.block_on(self.client.index_file(&sent.name, None)).expect("the index");
        let proof = federation.block_on(self.client.proof(&sent.name, &sent.version)).expect("an answer");
        assert!(proof.is_some(), "the proof of a release");
    }

    fn demand_archive(&self) {
        let sent = self.scene.ledger.sent.iter().find(|sent| sent.index.is_some()).expect("a release");
        let read = self.scene.federation.block_on(self.client.blob(&sent.sha256, 1 << 20));
        assert_eq!(read.expect("an answer").as_deref(), Some(&sent.archive[..]));
    }

    fn demand_clone(&self) {
        let (status, _, body) = self.get(REFS);
        assert_eq!(status, 200, "{body}\n{}", self.scene.federation.said());
        let dir = tempfile::tempdir().expect("a folder");
        Git::clone(&format!("{}/git", self.scene.federation.url(0)), &dir.path().join("clone"));
    }

    /// The trouble is over: entries are taken again, nothing was lost, and all that is stored holds.
    fn demand_recovery(mut self, what: &str) {
        let took = self.until("entries are taken again", RECOVERY, |visitor| visitor.publish().is_ok());
        told(&format!("{what}: over after {} ms", took.as_millis()));
        self.until("it says that it is ready", RECOVERY, |visitor| visitor.get("/readyz").0 == 200);
        self.scene.close();
    }
}

/// A disk that is full, over one of the data's folders; what the trouble does there.
fn full_disk(folder: &str, size: &str, refused: bool) {
    let scene = Visitor::found();
    let on = scene.federation.data(0).join(folder);
    let Some(disk) = SmallDisk::mount(&on, size) else { return };
    folder::copy(&scene.kept(0).join(folder), &on);
    let mut visitor = Visitor::start(scene, &[]);
    disk.fill();
    if refused {
        visitor.demand_refused(507, ProblemType::StorageFull, "disk is full");
    } else {
        visitor.publish().expect("the repository is only a copy of what is logged");
    }
    visitor.demand_reads();
    visitor.demand_archive();
    visitor.demand_clone();
    if !refused {
        // Long enough for a few tries to write to it.
        std::thread::sleep(Duration::from_secs(7));
        visitor.demand_clone();
    }
    disk.free();
    visitor.demand_recovery(&format!("full disk at {folder:?}"));
    drop(disk);
}

#[test]
fn a_full_disk_under_everything_is_named_and_left() {
    full_disk("", "64m", true);
}

#[test]
fn a_full_disk_under_the_blobs_is_named_and_left() {
    full_disk("blobs", "16m", true);
}

#[test]
fn a_full_disk_under_git_holds_nothing_else_back() {
    full_disk("commons.git", "8m", false);
}

#[test]
fn a_full_temporary_folder_harms_nobody() {
    let scene = Visitor::found();
    let dir = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(dir.path(), "1m") else { return };
    disk.fill();
    let text = dir.path().to_str().expect("a readable path").to_owned();
    let env = ["TMPDIR", "SQLITE_TMPDIR"].map(|name| (name.to_owned(), text.clone()));
    let mut visitor = Visitor::start(scene, &env);
    visitor.publish().expect("it is taken");
    visitor.demand_clone();
    visitor.demand_recovery("full temporary folder");
}

fn failing_disk(failing: Failing, problem: ProblemType, words: &str, what: &str) {
    let scene = Visitor::found();
    let Some(shim) = Shim::build(&scene.federation.data(0)) else { return };
    let mut visitor = Visitor::start(scene, &shim.environment());
    shim.fail(failing);
    visitor.demand_refused(503, problem, words);
    visitor.demand_reads();
    visitor.demand_archive();
    visitor.demand_clone();
    // It looks a few times, and finds the disk as it was.
    std::thread::sleep(Duration::from_secs(3));
    visitor.demand_refused(503, problem, words);
    shim.heal();
    visitor.demand_recovery(what);
}

#[test]
fn a_disk_that_turns_read_only_is_named_and_left() {
    failing_disk(Failing::ReadOnly, ProblemType::ReadOnly, "takes no writes", "read-only disk");
}

#[test]
fn a_disk_that_fails_to_write_is_named_and_left() {
    failing_disk(Failing::Writing, ProblemType::ReadOnly, "disk failed", "disk that fails to write");
}

#[test]
fn a_disk_that_fails_to_flush_is_named_and_left() {
    failing_disk(Failing::Flushing, ProblemType::ReadOnly, "disk failed", "disk that fails to flush");
}

#[test]
fn a_process_that_may_open_no_file_reads_on_and_comes_back() {
    let mut visitor = Visitor::start(Visitor::found(), &[]);
    visitor.demand_reads();
    // Connections that nobody holds on to would make room.
    visitor.get("/readyz");
    let pid = visitor.scene.federation.pid(0).expect("it runs");
    let usual = limit_of_files(pid);
    std::thread::sleep(Duration::from_secs(2));
    if !limit_files(pid, free_file(pid)) {
        return;
    }
    visitor.demand_refused(503, ProblemType::Busy, "too many files open");
    visitor.demand_reads();
    let (status, comes_back, body) = visitor.get(REFS);
    assert_eq!((status, comes_back), (503, true), "{body}");
    let late = std::net::TcpStream::connect(visitor.scene.federation.address(0)).expect("it still listens");
    std::thread::sleep(Duration::from_secs(1));
    assert!(limit_files(pid, usual));
    drop(late);
    visitor.demand_archive();
    visitor.demand_clone();
    visitor.demand_recovery("no file left to open");
}

#[test]
fn a_damaged_database_is_named_and_taken_up_again_when_it_is_whole() {
    const PAGE_BYTES: usize = 4_096;
    let mut scene = Visitor::found();
    // Started and stopped once more, so that the database file holds everything and no page is in memory yet.
    scene.start(0);
    scene.federation.stop(0);
    let path = scene.federation.data(0).join("registry.sqlite3");
    let mut visitor = {
        scene.start(0);
        let client = impatient(&scene.federation.url(0));
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
        Visitor { scene, client, http }
    };
    visitor.get("/readyz");
    let file = std::fs::File::options().read(true).write(true).open(&path).expect("the database");
    let whole = std::fs::read(&path).expect("its bytes");
    // The schema's first page stays: nothing would be read at all without it.
    file.write_all_at(&vec![0xa5; whole.len() - 4 * PAGE_BYTES], 4 * PAGE_BYTES as u64).expect("written");
    visitor.demand_refused(503, ProblemType::ReadOnly, "damaged");
    assert_eq!(visitor.get("/healthz").0, 200);
    file.write_all_at(&whole[4 * PAGE_BYTES..], 4 * PAGE_BYTES as u64).expect("written");
    visitor.demand_recovery("damaged database");
}

#[test]
fn a_clock_that_jumps_loses_nothing_and_no_time_goes_back() {
    const DAY: i64 = 24 * 60 * 60;
    let scene = Visitor::found();
    let Some(shim) = Shim::build(&scene.federation.data(0)) else { return };
    let mut visitor = Visitor::start(scene, &shim.environment());
    let mut times = Vec::new();
    for days in [0, -400, 2, -2, 0] {
        shim.shift_clock(days * DAY);
        let began = Instant::now();
        visitor.publish().unwrap_or_else(|err| panic!("a clock {days} days ahead: {err}"));
        assert!(began.elapsed() < Duration::from_secs(15), "nothing waits for the clock");
        visitor.demand_ready();
        let snapshot = visitor.client.snapshot(&visitor.scene.publishers[0]);
        let proof = visitor.scene.federation.block_on(snapshot).expect("a snapshot");
        let leaf =
            SnapshotLeaf::parse(proof.extra.as_deref().unwrap_or_default()).expect("a snapshot's leaf");
        times.push(leaf.time);
    }
    assert!(times.is_sorted(), "{times:?}");
    assert!(times[1] - times[0] < 60, "a clock that went back stops the time of snapshots: {times:?}");
    visitor.demand_recovery("clock that jumps");
}

/// Asks over and over on one connection from an address; how long each answer took, in milliseconds.
async fn ask(
    from: Ipv4Addr,
    at: SocketAddr,
    path: &str,
    count: usize,
    is_over: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
) -> Vec<f64> {
    let mut took = Vec::new();
    while took.len() < count && !is_over.load(Ordering::Relaxed) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("every address of loopback is ours");
        let Ok(stream) = socket.connect(at).await else { continue };
        let _ = stream.set_nodelay(true);
        let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await
        else {
            continue;
        };
        tokio::spawn(connection);
        while took.len() < count && !is_over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let request = hyper::Request::get(path).header("host", "x").body(Empty::<Bytes>::new());
            if sender.ready().await.is_err() {
                break;
            }
            let Ok(answer) = sender.send_request(request.expect("a request")).await else { break };
            let (status, comes_back) =
                (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
            if answer.into_body().collect().await.is_err() {
                break;
            }
            match status {
                200 => took.push(began.elapsed().as_secs_f64() * 1e3),
                429 | 503 => {
                    assert!(comes_back, "nobody says when to come back");
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                other => panic!("{path}: {other}"),
            }
        }
    }
    took
}

fn p99(mut took: Vec<f64>) -> f64 {
    took.sort_by(f64::total_cmp);
    took[took.len() * 99 / 100]
}

#[test]
fn a_loud_client_does_not_starve_a_quiet_one() {
    const LOUD: usize = 300;
    const ASKED: usize = 120;
    const PATH: &str = "/api/v1/bricks?limit=1";
    let env = [("CONNECTIONS", "64"), ("REQUESTS", "8")];
    let env = env.map(|(name, value)| (format!("BRICKYARD_CLIENTS_{name}"), value.to_owned()));
    let visitor = Visitor::start(Visitor::found(), &env);
    let at = visitor.scene.federation.address(0);
    let quiet = |refused: &Arc<AtomicUsize>| {
        // A thread of its own: the loud one's work here is not to delay the question.
        let refused = refused.clone();
        let asking = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread");
            let from = Ipv4Addr::new(127, 0, 0, 3);
            runtime.block_on(ask(from, at, PATH, ASKED, Arc::default(), refused))
        });
        p99(asking.join().expect("the quiet one is answered"))
    };
    let (refused_quiet, refused_loud) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    let unloaded = quiet(&refused_quiet);
    let is_over = Arc::new(AtomicBool::new(false));
    let loud: Vec<_> = (0..LOUD)
        .map(|_| {
            let asking =
                ask(Ipv4Addr::new(127, 0, 0, 2), at, PATH, usize::MAX, is_over.clone(), refused_loud.clone());
            visitor.scene.federation.handle().spawn(asking)
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let loaded = quiet(&refused_quiet);
    is_over.store(true, Ordering::Relaxed);
    let answered: usize = loud
        .into_iter()
        .map(|asking| visitor.scene.federation.block_on(asking).expect("it ends").len())
        .sum();
    let refused = refused_loud.load(Ordering::Relaxed);
    told(&format!(
        "a quiet client: p99 {unloaded:.1} ms alone, {loaded:.1} ms beside {LOUD} loud connections \
         ({answered} answered, {refused} told to come back)"
    ));
    assert_eq!(refused_quiet.load(Ordering::Relaxed), 0, "the quiet one is never refused");
    assert!(refused > 0 && answered > 0, "the loud one has its share, and no more");
    assert!(
        loaded <= (20.0 * unloaded).max(1_000.0),
        "p99 {unloaded:.1} ms alone, {loaded:.1} ms beside a loud client"
    );
    visitor.demand_recovery("loud client");
}

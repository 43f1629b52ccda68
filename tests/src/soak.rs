//! Does a registry that works for a long time stay as it is? Reads, publishes, proofs and git fetches at half of what it
//! can do, with a mirror that follows: nothing is refused, memory and open files do not grow, and all holds at the end.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use brick_client::{AskError, Client, LogPath};
use brick_schemas::Digest;
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::Vkey;
use brick_tlog::proof::Proof;
use tokio::time::{MissedTickBehavior, interval};

use crate::faults::ledger::Sent;
use crate::faults::load::{Lane, send};
use crate::faults::scene::Scene;
use crate::git::Git;
use crate::random::Random;

/// Publishers of one release after the other.
const LANES: usize = 4;
/// Readers, each with one question at a time.
const READERS: usize = 8;
/// Releases that are asked for: the last of each lane.
const MAX_ASKED_FOR: usize = 512;
/// Failures that are told; the others are counted.
const MAX_TOLD: usize = 10;
/// Between two looks at the processes.
const SAMPLE: Duration = Duration::from_millis(500);
/// How long a registry may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Between two fetches.
const FETCH: Duration = Duration::from_secs(2);
/// So small that they are full when the warm-up ends: what still grows then is no cache.
const SMALL_CACHES: [(&str, &str); 2] =
    [("BRICKYARD_READ_CACHE_BYTES", "2097152"), ("BRICKYARD_DATABASE_CACHE_BYTES", "2097152")];
/// Bytes of an archive, at most.
const MAX_ARCHIVE_BYTES: usize = 1 << 20;

/// How the registries were at one moment: the one that is asked, and its mirror.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Memory, in KiB.
    pub resident_kib: [u64; 2],
    /// Open files.
    pub files: [usize; 2],
}

/// What came of it.
#[derive(Debug)]
pub struct Soaked {
    /// Reads and publishes a second when nobody held back.
    pub saturation: [f64; 2],
    /// Reads that were answered, proofs among them.
    pub reads: usize,
    /// Releases that were acknowledged, each with a proof that holds.
    pub publishes: usize,
    /// Fetches with git.
    pub fetches: usize,
    /// What was not answered as it should, the first of it in words.
    pub failures: usize,
    /// The words.
    pub told: Vec<String>,
    /// The processes, from beginning to end.
    pub samples: Vec<Sample>,
}

impl Soaked {
    /// What the middle of the last tenth is of the middle of the tenth after the warm-up, of whichever grew more.
    ///
    /// - `pick`: of a sample, for the registry and its mirror.
    pub fn growth(&self, pick: impl Fn(&Sample) -> [f64; 2]) -> f64 {
        let tenth = (self.samples.len() / 10).max(1);
        let middle = |samples: &[Sample], of: usize| {
            let mut values: Vec<f64> = samples.iter().map(|sample| pick(sample)[of]).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        // The first third is warm-up: caches fill.
        let warm = self.samples.len() / 3;
        let early = &self.samples[warm..(warm + tenth).min(self.samples.len())];
        let late = &self.samples[self.samples.len() - tenth..];
        (0..2).map(|of| middle(late, of) / middle(early, of)).fold(0.0, f64::max)
    }

    /// Of memory.
    pub fn memory_growth(&self) -> f64 {
        self.growth(|sample| sample.resident_kib.map(|kib| kib as f64))
    }

    /// Of open files.
    pub fn file_growth(&self) -> f64 {
        self.growth(|sample| sample.files.map(|files| files as f64))
    }
}

/// What all who ask share.
struct Shared {
    client: Client,
    vkey: Vkey,
    is_over: AtomicBool,
    /// Whether everybody keeps to half of what was possible.
    asked_for: Mutex<Vec<Sent>>,
    /// Where each acknowledged release stands.
    logged: Mutex<Vec<(Hash, u64)>>,
    reads: AtomicUsize,
    publishes: AtomicUsize,
    failures: AtomicUsize,
    told: Mutex<Vec<String>>,
}

impl Shared {
    fn fail(&self, what: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MAX_TOLD {
            told.push(what);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn acknowledge(&self, sent: Sent, receipt: &brick_schemas::api::EntryReceipt) {
        let leaf = leaf_hash(&sent.entry);
        let held = Proof::parse(receipt.proof.as_bytes())
            .map_err(|err| err.to_string())
            .and_then(|proof| proof.check(&leaf, &self.vkey).map_err(|err| err.to_string()).map(drop));
        if let Err(err) = held {
            self.fail(format!("the proof of {} {}: {err}", sent.name, sent.version));
        }
        self.logged.lock().unwrap_or_else(PoisonError::into_inner).push((leaf, receipt.index));
        self.publishes.fetch_add(1, Ordering::Relaxed);
        let mut asked_for = self.asked_for.lock().unwrap_or_else(PoisonError::into_inner);
        if asked_for.len() >= MAX_ASKED_FOR {
            let at = usize::try_from(receipt.index).unwrap_or(0) % MAX_ASKED_FOR;
            asked_for[at] = sent;
        } else {
            asked_for.push(sent);
        }
    }
}

/// Works for `time` after a short while in which it is found out how much is possible.
///
/// # Panics
/// When the registries cannot be started, something that was acknowledged is not in the log, or `brickyard check` finds
/// anything at the end.
pub fn soak(time: Duration) -> Soaked {
    let mut scene = Scene::found(&["registry.north.example", "registry.mirror.example"], 1, LANES);
    for seat in 0..2 {
        let started = scene.try_start(seat, &SMALL_CACHES);
        assert!(started.is_some(), "registry {seat} does not start:\n{}", scene.federation.said());
    }
    wait_until_ready(&scene);
    let client = Client::new(&scene.federation.url(0)).expect("an address");
    let shared = Arc::new(Shared {
        client,
        vkey: scene.ledger.logs[0].vkey.clone(),
        is_over: AtomicBool::new(false),
        asked_for: Mutex::default(),
        logged: Mutex::default(),
        reads: AtomicUsize::new(0),
        publishes: AtomicUsize::new(0),
        failures: AtomicUsize::new(0),
        told: Mutex::default(),
    });
    let full = time.clamp(Duration::from_secs(20), Duration::from_secs(100)) / 10;
    let lanes = std::mem::take(&mut scene.lanes);
    let (lanes, _) = work(&scene, &shared, lanes, full, None, |_| ());
    let rates = [&shared.reads, &shared.publishes]
        .map(|count| count.load(Ordering::Relaxed) as f64 / full.as_secs_f64());
    let pids = [0, 1].map(|seat| scene.federation.pid(seat).expect("it runs"));
    let clone = tempfile::tempdir().expect("a folder");
    let fetching = fetch(&shared, &scene.federation.url(0), clone.path());
    let (_, samples) = work(&scene, &shared, lanes, time, Some(rates.map(|rate| rate / 2.0)), |samples| {
        samples.push(sample(pids));
    });
    let fetches = fetching.join().expect("git is run");
    let told = std::mem::take(&mut *shared.told.lock().unwrap_or_else(PoisonError::into_inner));
    let soaked = Soaked {
        saturation: rates,
        reads: shared.reads.load(Ordering::Relaxed),
        publishes: shared.publishes.load(Ordering::Relaxed),
        fetches,
        failures: shared.failures.load(Ordering::Relaxed),
        told,
        samples,
    };
    // Said before all of it is checked, which may take minutes and fail.
    eprintln!(
        "{} reads, {} publishes, {fetches} fetches, {} failures; memory × {:.2}, open files × {:.2}; now all is checked",
        soaked.reads,
        soaked.publishes,
        soaked.failures,
        soaked.memory_growth(),
        soaked.file_growth()
    );
    demand_logged(&mut scene, &shared);
    soaked
}

/// A registry that has just started signs nothing before others have said how far they saw its logs.
fn wait_until_ready(scene: &Scene) {
    let url = format!("{}/readyz", scene.federation.url(0));
    let deadline = Instant::now() + READY_LIMIT;
    let ask = || async { reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) };
    while !scene.federation.block_on(ask()) {
        assert!(Instant::now() < deadline, "{url} is not ready after {} s", READY_LIMIT.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Has everybody work for `time`, and looks at the processes meanwhile.
///
/// - `rates`: reads and publishes a second, of all together; as fast as it goes without.
fn work(
    scene: &Scene,
    shared: &Arc<Shared>,
    lanes: Vec<Lane>,
    time: Duration,
    rates: Option<[f64; 2]>,
    look: impl Fn(&mut Vec<Sample>),
) -> (Vec<Lane>, Vec<Sample>) {
    shared.is_over.store(false, Ordering::Relaxed);
    let pause = |of: usize, among: usize| {
        rates.map(|rates| Duration::from_secs_f64((among as f64 / rates[of].max(1.0)).min(5.0)))
    };
    let handle = scene.federation.handle();
    let readers: Vec<_> = (0..READERS)
        .map(|reader| handle.spawn(read(shared.clone(), reader as u64, pause(0, READERS))))
        .collect();
    let publishers: Vec<_> =
        lanes.into_iter().map(|lane| handle.spawn(publish(shared.clone(), lane, pause(1, LANES)))).collect();
    let (began, mut samples) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        std::thread::sleep(SAMPLE);
        look(&mut samples);
    }
    shared.is_over.store(true, Ordering::Relaxed);
    for reader in readers {
        scene.federation.block_on(reader).expect("a reader ends");
    }
    let lanes = publishers.into_iter().map(|lane| scene.federation.block_on(lane).expect("a publisher ends"));
    (lanes.collect(), samples)
}

/// Waits for its turn, which comes at once where there is no pause.
struct Turns(Option<tokio::time::Interval>);

impl Turns {
    fn every(pause: Option<Duration>) -> Self {
        Self(pause.map(|pause| {
            let mut turns = interval(pause);
            // Whoever was late does not make up for it: that would be more than half of what is possible.
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            turns
        }))
    }

    async fn wait(&mut self) {
        if let Some(turns) = &mut self.0 {
            turns.tick().await;
        }
    }
}

async fn publish(shared: Arc<Shared>, mut lane: Lane, pause: Option<Duration>) -> Lane {
    let mut turns = Turns::every(pause);
    while !shared.is_over() {
        turns.wait().await;
        let place = match lane.place(&shared.client).await {
            Ok(place) => place,
            Err(err) => {
                shared.fail(format!("the head: {err}"));
                continue;
            }
        };
        let sent = lane.make(&place);
        match send(&shared.client, &sent).await {
            Ok(receipt) => shared.acknowledge(sent, &receipt),
            Err(err) => shared.fail(format!("publishing {} {}: {err}", sent.name, sent.version)),
        }
    }
    lane
}

async fn read(shared: Arc<Shared>, reader: u64, pause: Option<Duration>) {
    let mut turns = Turns::every(pause);
    let mut random = Random::of(reader);
    while !shared.is_over() {
        turns.wait().await;
        let sent = {
            let asked_for = shared.asked_for.lock().unwrap_or_else(PoisonError::into_inner);
            match asked_for.len() {
                0 => None,
                len => Some(asked_for[usize::try_from(random.below(len as u64)).unwrap_or(0)].clone()),
            }
        };
        let Some(sent) = sent else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        match ask(&shared, &sent, random.below(6)).await {
            Ok(()) => drop(shared.reads.fetch_add(1, Ordering::Relaxed)),
            Err(why) => shared.fail(why),
        }
    }
}

/// One question about a release, of six.
async fn ask(shared: &Shared, sent: &Sent, which: u64) -> Result<(), String> {
    let client = &shared.client;
    let said = |what: &str, err: AskError| format!("{what} of {} {}: {err}", sent.name, sent.version);
    match which {
        0 | 1 => client.index_file(&sent.name, None).await.map(drop).map_err(|err| said("the index", err)),
        2 => {
            let archive = client.blob(&sent.sha256, MAX_ARCHIVE_BYTES).await;
            let archive = archive.map_err(|err| said("the archive", err))?.unwrap_or_default();
            let is_whole = Digest::of(&archive) == sent.sha256;
            is_whole.then_some(()).ok_or_else(|| format!("the archive of {} {}", sent.name, sent.version))
        }
        3 => {
            // What waits for the mirror's cosignature is logged and not shown yet.
            let proof = client.proof(&sent.name, &sent.version).await;
            let Some(proof) = proof.map_err(|err| said("the proof", err))? else { return Ok(()) };
            let held = proof.check(&leaf_hash(&sent.entry), &shared.vkey);
            held.map(drop).map_err(|err| format!("the proof of {} {}: {err}", sent.name, sent.version))
        }
        4 => {
            let found = client.index_proof(&sent.name).await;
            // The head may move between the parts of the answer; then it is asked again.
            found.map(drop).map_err(|err| said("the proof of the index", err))
        }
        _ => {
            let log = LogPath::Publisher(sent.name.publisher.clone());
            client.checkpoint(&log).await.map(drop).map_err(|err| said("the head", err))
        }
    }
}

/// Clones, and fetches again and again beside the others.
fn fetch(shared: &Arc<Shared>, url: &str, dir: &Path) -> std::thread::JoinHandle<usize> {
    let (shared, from, to) = (shared.clone(), format!("{url}/git"), dir.join("clone"));
    shared.is_over.store(false, Ordering::Relaxed);
    std::thread::spawn(move || {
        let clone = Git::clone(&from, &to);
        let mut fetches = 1;
        while !shared.is_over() {
            let fetched = clone.output(&["fetch", "--quiet", "origin"]);
            match fetched.status.success() {
                true => fetches += 1,
                false => shared.fail(format!("git fetch: {}", String::from_utf8_lossy(&fetched.stderr))),
            }
            std::thread::sleep(FETCH);
        }
        fetches
    })
}

/// Demands that each acknowledged release is in the log where its receipt says, and that all that is stored holds.
fn demand_logged(scene: &mut Scene, shared: &Shared) {
    let log = LogPath::Publisher(scene.publishers[0].clone());
    let logged = std::mem::take(&mut *shared.logged.lock().unwrap_or_else(PoisonError::into_inner));
    let size = logged.iter().map(|(_, index)| index + 1).max().unwrap_or(0);
    for seat in 0..2 {
        scene.wait_until(seat, "it shows all that was acknowledged", |scene| {
            scene.size_at(seat, &scene.publishers[0]).is_some_and(|shown| shown >= size)
        });
    }
    let mut leaves: Vec<Hash> = Vec::new();
    while (leaves.len() as u64) < size {
        let read = scene.federation.block_on(shared.client.entries(&log, leaves.len() as u64, size));
        let read = read.expect("the leaves of the log");
        assert!(!read.is_empty(), "there is no leaf {}", leaves.len());
        leaves.extend(read.iter().map(|leaf| leaf_hash(leaf)));
    }
    for (leaf, index) in logged {
        let at = usize::try_from(index).expect("few leaves");
        assert_eq!(leaves.get(at), Some(&leaf), "leaf {index} was acknowledged as another");
    }
    // Git follows within a second or two.
    std::thread::sleep(Duration::from_secs(5));
    for seat in 0..2 {
        scene.federation.stop(seat);
        scene.check(seat);
    }
}

fn sample(pids: [u32; 2]) -> Sample {
    let status = |pid| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = |pid| {
        let text = status(pid);
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let files = |pid| std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    Sample { resident_kib: pids.map(resident), files: pids.map(files) }
}

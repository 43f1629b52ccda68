//! What does a registry do with ten times as much as it can? It refuses what is too much, and keeps its word on the rest.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brick_client::LogPath;
use brick_schemas::api::EntryReceipt;
use brick_tlog::hash::{Hash, leaf_hash};
use hyper::body::Bytes;
use hyper::{Method, StatusCode};

use super::Bench;
use crate::content::Content;
use crate::figure::{Bound, Figure, Round};
use crate::load::{self, Step, Target};
use crate::machine::{Watch, resident_bytes};
use crate::statistics::quantile;
use crate::trouble::Trouble;
use crate::yard::Yard;

/// Connections that saturate a registry of two processors, each asking again as soon as it is answered.
const SATURATING: usize = 64;
/// Times as many are opened.
const TIMES: usize = 10;
/// One connection of so many publishes, the others read.
const ONE_PUBLISHES: usize = 5;
/// Bricks that are there before.
const BRICKS: usize = 100;
/// Entries that are signed beforehand; when all were sent they are sent again, which gives the same receipts.
const ENTRIES: usize = 4_000;
/// Size of an archive.
const ARCHIVE_BYTES: usize = 2_000;
/// Reads that are timed while nobody else asks.
const UNLOADED: usize = 1_000;
/// Reads that show whether all is as before.
const LOOKS: usize = 200;
/// Time for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Time that the registry gets to be as before, far above what it must.
const NORMAL_LIMIT: Duration = Duration::from_secs(60);
/// Wait before a connection that was cut is opened again.
const BEFORE_AGAIN: Duration = Duration::from_millis(2);

/// What all clients came to.
#[derive(Default)]
struct Tally {
    statuses: BTreeMap<u16, usize>,
    /// Connections that ended before an answer came.
    cut: usize,
    accepted_reads_ms: Vec<f64>,
    /// Entries by their number, and where the receipts say that they stand.
    accepted: Vec<(usize, u64)>,
}

struct Load {
    address: SocketAddr,
    reads: Vec<Step>,
    publishes: Vec<Step>,
    next: AtomicUsize,
    is_over: AtomicBool,
}

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let time = Duration::from_secs(if bench.is_quick { 10 } else { 60 });
    let yard = Yard::found(&["registry.north.example"], None);
    let content = |n: usize| Content::of(&yard.publisher, "pkg", n % BRICKS, n / BRICKS, ARCHIVE_BYTES);
    yard.fill(0..BRICKS, content)?;
    let contents: Vec<Content> = (BRICKS..BRICKS + ENTRIES).map(content).collect();
    let prepared = yard.prepare(&contents)?;
    let leaves: Vec<Hash> = prepared.iter().map(|one| leaf_hash(one.entry())).collect();
    let load = Arc::new(Load {
        address: yard.address(),
        reads: (0..BRICKS).flat_map(reads).collect(),
        publishes: prepared.into_iter().flat_map(|one| one.job).collect(),
        next: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    });
    let unloaded = p99_of_reads(&yard, &load, UNLOADED)?;
    let before = resident_bytes(yard.pid());
    let watch = Watch::start();
    let clients: Vec<_> = (0..SATURATING * TIMES)
        .map(|number| yard.federation.handle().spawn(client(load.clone(), number)))
        .collect();
    std::thread::sleep(time);
    load.is_over.store(true, Ordering::Relaxed);
    let mut tally = Tally::default();
    for client in clients {
        tally.add(yard.federation.block_on(client).expect("a client does not panic"));
    }
    let foreign_cores = watch.foreign_cores();
    let normal = time_until_normal(&yard, &load, unloaded)?;
    let lost = lost(&yard, &leaves, &tally.accepted)?;
    let grown = resident_bytes(yard.pid()) as f64 / before as f64;
    eprintln!("overload: {:?}, {} connections cut without an answer", tally.statuses, tally.cut);
    Ok(figures(&tally, time, unloaded, normal, lost, grown, foreign_cores))
}

fn figures(
    tally: &Tally,
    time: Duration,
    unloaded: f64,
    normal: Duration,
    lost: usize,
    grown: f64,
    foreign_cores: f64,
) -> Vec<Figure> {
    let own = |ours: f64| vec![Round { ours, other: None, foreign_cores }];
    let is_expected = |status: &u16| (200..300).contains(status) || [429, 503].contains(status);
    let strange: usize =
        tally.statuses.iter().filter(|(status, _)| !is_expected(status)).map(|(_, count)| count).sum();
    let refused: usize = [429, 503].iter().filter_map(|status| tally.statuses.get(status)).sum();
    let loaded = quantile(tally.accepted_reads_ms.iter().copied(), 0.99).unwrap_or(f64::NAN);
    let name = |what: &str| format!("{TIMES} × saturating load: {what}");
    let a_second = |count: usize| own(count as f64 / time.as_secs_f64());
    vec![
        Figure::own(name("answers but success, 429, 503"), "", "")
            .must(Bound::AtMost(0.0))
            .measured(own(strange as f64)),
        Figure::own(name("accepted publishes that are not in the log"), "", "")
            .must(Bound::AtMost(0.0))
            .measured(own(lost as f64)),
        Figure::wall(name("accepted reads: p99"), "ms", "unloaded")
            .must(Bound::AtMost(10.0))
            .measured(vec![Round { ours: loaded, other: Some(unloaded), foreign_cores }]),
        Figure::wall(name("as before after"), "s", "")
            .must(Bound::AtMost(5.0))
            .measured(own(normal.as_secs_f64())),
        Figure::own(name("memory after it"), "× before", "").measured(own(grown)),
        Figure::wall(name("accepted reads"), "/s", "").measured(a_second(tally.accepted_reads_ms.len())),
        Figure::wall(name("accepted publishes"), "/s", "").measured(a_second(tally.accepted.len())),
        Figure::wall(name("refused"), "/s", "").measured(a_second(refused)),
    ]
}

fn reads(brick: usize) -> [Step; 4] {
    [
        format!("/index/north.example/pkg{brick:05}.jsonl"),
        format!("/bricks/north.example/pkg{brick:05}/0.0.1/proof"),
        format!("/bricks/north.example/pkg{brick:05}/0.0.1/archive"),
        format!("/api/v1/search?q=north.example/pkg{brick:05}"),
    ]
    .map(|path| Step {
        method: Method::GET,
        target: Target::Path(path),
        headers: Vec::new(),
        body: Bytes::new(),
    })
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.cut += other.cut;
        self.accepted_reads_ms.extend(other.accepted_reads_ms);
        self.accepted.extend(other.accepted);
    }
}

/// Asks again and again until it is over.
async fn client(load: Arc<Load>, number: usize) -> Tally {
    let mut tally = Tally::default();
    let is_over = || load.is_over.load(Ordering::Relaxed);
    while !is_over() {
        let Ok(mut connection) = load::connect(load.address).await else {
            tally.cut += 1;
            tokio::time::sleep(BEFORE_AGAIN).await;
            continue;
        };
        while !is_over() {
            let turn = load.next.fetch_add(1, Ordering::Relaxed);
            let publishes = number.is_multiple_of(ONE_PUBLISHES);
            let steps = if publishes { &load.publishes } else { &load.reads };
            // A refusal may end its connection: the next question goes over another one.
            if connection.ready().await.is_err() {
                break;
            }
            let began = Instant::now();
            let asked = load::ask(&mut connection, load.address, &steps[turn % steps.len()], None);
            let Ok(Ok((status, _, body))) = tokio::time::timeout(ANSWER_LIMIT, asked).await else {
                tally.cut += 1;
                tokio::time::sleep(BEFORE_AGAIN).await;
                break;
            };
            *tally.statuses.entry(status.as_u16()).or_default() += 1;
            match (status, publishes) {
                (StatusCode::OK, true) => match serde_json::from_slice::<EntryReceipt>(&body) {
                    Ok(receipt) => tally.accepted.push((turn % steps.len(), receipt.index)),
                    Err(_) => tally.accepted.push((turn % steps.len(), u64::MAX)),
                },
                (StatusCode::OK, false) => {
                    tally.accepted_reads_ms.push(began.elapsed().as_secs_f64() * 1e3);
                }
                _ => {}
            }
        }
    }
    tally
}

/// One client by itself; the time of an answer that 99 of 100 do not exceed.
fn p99_of_reads(yard: &Yard, load: &Load, count: usize) -> Result<f64, Trouble> {
    let jobs = (0..count).map(|at| vec![load.reads[at % load.reads.len()].clone()]).collect();
    let done = yard.federation.block_on(load::run(load.address, jobs, 1));
    Ok(done.map_err(|err| Trouble::failed("reads while nobody else asks", err))?.latency_ms(0.99))
}

/// Until reads take at most twice their time, and a publish is taken.
fn time_until_normal(yard: &Yard, load: &Load, unloaded: f64) -> Result<Duration, Trouble> {
    let began = Instant::now();
    loop {
        let publish = vec![vec![load.publishes[0].clone()]];
        let taken =
            yard.federation.block_on(load::run(load.address, publish, 1)).is_ok_and(|done| done.retries == 0);
        if taken && p99_of_reads(yard, load, LOOKS).is_ok_and(|p99| p99 <= 2.0 * unloaded) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > NORMAL_LIMIT {
            return Err(Trouble::failed("the registry after an overload", "it is not as it was before"));
        }
    }
}

/// Entries that were acknowledged and do not stand where their receipts say.
fn lost(yard: &Yard, leaves: &[Hash], accepted: &[(usize, u64)]) -> Result<usize, Trouble> {
    let log = LogPath::Publisher(yard.publisher.clone());
    let size = yard.size_of(&log)?;
    let client = yard.federation.client(0);
    let mut logged: Vec<Hash> = Vec::new();
    while (logged.len() as u64) < size {
        let read = yard.federation.block_on(client.entries(&log, logged.len() as u64, size));
        let read = read.map_err(|err| Trouble::failed("the log's leaves", err))?;
        if read.is_empty() {
            break;
        }
        logged.extend(read.iter().map(|leaf| leaf_hash(leaf)));
    }
    let stands = |(entry, index): &&(usize, u64)| {
        let at = usize::try_from(*index).ok().and_then(|index| logged.get(index));
        at == Some(&leaves[*entry])
    };
    Ok(accepted.len() - accepted.iter().filter(stands).count())
}

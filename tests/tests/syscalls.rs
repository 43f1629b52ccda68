//! What if any one call by which a publish is written fails, is cut short, or is the last? See `docs/faults.md`.
//!
//! `BRICK_SYSCALLS=all` makes the long form: every call with every trouble.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use brick_client::AskError;
use brick_tests::corpus::skipped;
use brick_tests::faults::ledger::Sent;
use brick_tests::faults::load::send;
use brick_tests::faults::oracle::send_until_taken;
use brick_tests::faults::scene::{POLL, Scene};
use brick_tests::faults::shim::{Call, Shim, Trouble};
use brick_tests::faults::told;

/// Pages of the database whose writing meets trouble in the short form.
const SAMPLED_PAGES: usize = 4;
/// Time that a registry in trouble has for what follows a publish, the commit to git above all.
const AFTERWARDS: Duration = Duration::from_millis(2_500);

/// What came of the runs.
#[derive(Default)]
struct Tally {
    runs: usize,
    /// The publish was acknowledged nevertheless: the trouble came later, or was overcome.
    acknowledged: usize,
    refused: usize,
    killed: usize,
    /// The call was not made this time.
    missed: usize,
}

/// Sends the next release of the first lane, and notes it.
fn publish(scene: &mut Scene) -> Result<(), AskError> {
    let client = scene.client(0);
    let place = scene.federation.block_on(scene.lanes[0].place(&client))?;
    let sent: Sent = scene.lanes[0].make(&place);
    let answer = scene.federation.block_on(send(&client, &sent));
    let at = scene.ledger.sent.len();
    scene.ledger.sent.push(sent);
    answer.map(|receipt| scene.ledger.acknowledge(at, &receipt))
}

/// A registry that has published once, is at rest, and whose calls count from now on.
fn start_and_arm(scene: &mut Scene, shim: &Shim, hit: Option<(u64, Trouble)>) {
    shim.disarm();
    let environment = shim.environment(&scene.federation.data(0), hit);
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    scene.try_start(0, &environment).expect("it starts");
    let client = scene.client(0);
    let place = scene.federation.block_on(scene.lanes[0].place(&client)).expect("it answers");
    let sent = scene.lanes[0].make(&place);
    let receipt = scene.federation.block_on(send_until_taken(&client, &sent));
    let at = scene.ledger.sent.len();
    scene.ledger.sent.push(sent);
    scene.ledger.acknowledge(at, &receipt);
    scene.wait_for_git(0);
    // What follows the commit to git: the look at its packs.
    std::thread::sleep(Duration::from_millis(100));
    shim.arm();
}

/// One publish and the commit to git that follows, each call noted.
fn trace(scene: &mut Scene, shim: &Shim) -> (Vec<Call>, usize) {
    start_and_arm(scene, shim, None);
    publish(scene).expect("nothing is in its way");
    let answered = shim.calls().len();
    scene.wait_for_git(0);
    std::thread::sleep(Duration::from_millis(100));
    let calls = shim.calls();
    scene.federation.stop(0);
    (calls, answered)
}

fn place_of(calls: &[Call], name: &str, is_at: impl Fn(&str) -> bool) -> Option<usize> {
    calls.iter().position(|call| call.name == name && is_at(&call.path))
}

/// Demands that file, folder and database are synced, in that order, before the answer.
fn demand_syncs(calls: &[Call], answered: usize) {
    let before = &calls[..answered];
    let is_blob =
        |path: &str| path.starts_with("blobs/") && !path.starts_with("blobs/tmp/") && path.len() > 60;
    let is_shard = |path: &str| path.starts_with("blobs/") && path.len() == "blobs/ab".len();
    let order = [
        ("the blob's bytes are written", place_of(before, "write", |path| path.starts_with("blobs/tmp/"))),
        ("the blob's file is synced", place_of(before, "fsync", |path| path.starts_with("blobs/tmp/"))),
        ("it gets its name", place_of(before, "rename", is_blob)),
        ("the folder of the name is synced", place_of(before, "fsync", is_shard)),
        ("the database's log is written", place_of(before, "pwrite", |path| path.ends_with("-wal"))),
        (
            "the database's log is synced",
            before.iter().rposition(|call| {
                matches!(call.name.as_str(), "fsync" | "fdatasync") && call.path.ends_with("-wal")
            }),
        ),
    ];
    let listed = before.iter().map(Call::to_string).collect::<Vec<_>>().join("\n");
    let mut last = None;
    for (what, at) in order {
        assert!(at.is_some() && at > last, "not so, or not in this order: {what}\n{listed}");
        last = at;
    }
    let written = before.iter().rposition(|call| call.name == "pwrite" && call.path.ends_with("-wal"));
    assert!(written < last, "something is written to the database's log after its last sync\n{listed}");
}

/// Each call that is no page of the database with one trouble, another one each time; and some of the pages.
fn sample(calls: &[Call]) -> Vec<(&Call, Trouble)> {
    let (pages, others): (Vec<&Call>, Vec<&Call>) = calls.iter().partition(|call| call.name == "pwrite");
    let step = (pages.len() / SAMPLED_PAGES).max(1);
    let chosen = others.into_iter().chain(pages.into_iter().step_by(step));
    let with_trouble = chosen.enumerate().filter_map(|(turn, call)| {
        let troubles = Trouble::ALL.into_iter().filter(|trouble| trouble.befalls(call)).collect::<Vec<_>>();
        Some((call, *troubles.get(turn % troubles.len())?))
    });
    with_trouble.collect()
}

/// One run: a publish that meets trouble, and the ledger held against what a new process finds.
fn run(scene: &mut Scene, shim: &Shim, call: &Call, trouble: Trouble, must_wait: bool, tally: &mut Tally) {
    let what = format!("{call}: {}", trouble.word());
    start_and_arm(scene, shim, Some((call.number, trouble)));
    let answer = publish(scene);
    let began = Instant::now();
    while must_wait && began.elapsed() < AFTERWARDS && shim.calls().len() < call.number as usize {
        std::thread::sleep(POLL);
    }
    // A killed process is a zombie first.
    let has_ended =
        trouble == Trouble::Kill && scene.federation.wait_for_end(0, Duration::from_secs(1)).is_some();
    tally.runs += 1;
    tally.missed += usize::from(shim.calls().len() < call.number as usize);
    tally.killed += usize::from(has_ended);
    match &answer {
        Ok(()) => tally.acknowledged += 1,
        Err(AskError::Problem { status, .. }) => {
            assert!(matches!(status, 500 | 503 | 507), "{what}: answered with {status}");
            tally.refused += 1;
        }
        Err(err) => assert!(has_ended, "{what}: {err}\n{}", scene.federation.said()),
    }
    if !has_ended {
        // Whatever cannot be written, what is there can be read.
        let client = scene.client(0);
        let known = scene.ledger.sent.iter().rev().find(|sent| sent.index.is_some()).expect("one was before");
        let read = scene.federation.block_on(client.blob(&known.sha256, 1 << 20));
        assert!(matches!(read, Ok(Some(_))), "{what}: reads do not go on: {read:?}");
    }
    shim.disarm();
    scene.federation.kill(0);
    scene.start(0);
    scene.hold();
    scene.federation.kill(0);
}

#[test]
fn whichever_call_of_a_publish_fails_nothing_that_was_acknowledged_is_lost() {
    let shim = match Shim::build() {
        Ok(shim) => shim,
        Err(why) => return skipped(&format!("failing calls: {why}")),
    };
    let began = Instant::now();
    let mut scene = Scene::found(&["registry.north.example"], 1, 1);
    let (calls, answered) = trace(&mut scene, &shim);
    demand_syncs(&calls, answered);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for call in &calls {
        *counts.entry(&call.name).or_default() += 1;
    }
    let syncs = |calls: &[Call]| calls.iter().filter(|call| call.name.ends_with("sync")).count();
    told(&format!(
        "syscalls: a publish writes with {answered} calls, {} of them syncs, until its answer; with git {} calls, {} syncs: {counts:?}",
        syncs(&calls[..answered]),
        calls.len(),
        syncs(&calls),
    ));
    assert!(syncs(&calls[..answered]) >= 3, "file, folder and database");
    assert!(calls.len() >= 20, "the calls were seen");
    let all: Vec<(&Call, Trouble)> = calls
        .iter()
        .flat_map(|call| Trouble::ALL.map(|trouble| (call, trouble)))
        .filter(|(call, trouble)| trouble.befalls(call))
        .collect();
    let is_long = std::env::var_os("BRICK_SYSCALLS").is_some_and(|asked| asked == "all");
    let mut tally = Tally::default();
    for (call, trouble) in if is_long { all.clone() } else { sample(&calls) } {
        run(&mut scene, &shim, call, trouble, call.number > answered as u64, &mut tally);
    }
    scene.start(0);
    scene.close();
    told(&format!(
        "syscalls: {} of {} runs in {} s: {} refused, {} acknowledged, {} killed, {} calls not made again; 0 acknowledged \
         lost, 0 half there",
        tally.runs,
        all.len(),
        began.elapsed().as_secs(),
        tally.refused,
        tally.acknowledged,
        tally.killed,
        tally.missed,
    ));
    assert!(tally.missed * 4 <= tally.runs, "most calls are met");
}

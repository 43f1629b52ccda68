//! Does a registry that is ended at any point of its work lose anything that it promised? See `docs/faults.md`.
//!
//! `BRICK_CRASH_ROUNDS=50` makes the long form: so many rounds at each point.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use brick_store::{CRASH_POINT_VARIABLE, CRASH_POINTS};
use brick_tests::faults::scene::{LIMIT, Scene};
use brick_tests::faults::{asked, told};
use brick_tests::process::Room;
use brick_tests::random::Random;
use brick_tests::repository;

/// The name of the point that is none: a kill at a random moment.
const ANYWHERE: &str = "anywhere";
/// The longest that a registry works before it is killed anywhere.
const MAX_WORK_MS: u64 = 700;
/// Rounds after which everything that is stored is checked, at the end of a point.
const MAX_ROUNDS_UNCHECKED: u64 = 24;
/// Rest of a lane after each publish where it is the mirror's and the witness's work that is looked at.
const REST: Duration = Duration::from_millis(200);
/// Publishers, and those who publish for them at the same time.
const PUBLISHERS: usize = 2;
const LANES: usize = 6;

/// Where a point is passed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// A registry by itself, which publishes and projects.
    Alone,
    /// The home of the logs, which another witnesses.
    Home,
    /// The other one, which mirrors and witnesses.
    Mirror,
}

/// A point, where it is passed, and how often in a short while at least.
struct Point {
    name: &'static str,
    setting: Setting,
    most: u64,
}

fn points() -> Vec<Point> {
    let mut points = vec![
        Point { name: ANYWHERE, setting: Setting::Alone, most: 1 },
        Point { name: ANYWHERE, setting: Setting::Mirror, most: 1 },
    ];
    points.extend(CRASH_POINTS.iter().map(|name| {
        let (setting, most) = match name.split_once('-').map_or(*name, |(first, _)| first) {
            "publish" | "blob" => (Setting::Alone, 40),
            "batch" | "commit" => (Setting::Alone, 12),
            // One commit a second.
            "git" => (Setting::Alone, 2),
            "cosignature" | "quorum" => (Setting::Home, 4),
            "witness" | "mirror" => (Setting::Mirror, 4),
            "fetched" => (Setting::Mirror, 20),
            other => panic!("nobody has said where points named {other}-… are passed"),
        };
        Point { name, setting, most }
    }));
    points
}

/// What came of the rounds at one point.
#[derive(Default)]
struct Tally {
    rounds: u64,
    acknowledged: usize,
    /// Sent, not acknowledged, and there.
    found: usize,
    /// Sent, not acknowledged, and not there.
    absent: usize,
    restarts: Vec<Duration>,
}

/// One round: work until the crash, a start, and the ledger held against what is there.
fn round(scene: &mut Scene, point: &Point, random: &mut Random, tally: &mut Tally) {
    let seat = usize::from(point.setting == Setting::Mirror);
    let passing = 1 + random.below(point.most);
    let wanted = format!("{}:{passing}", point.name);
    let env = [(CRASH_POINT_VARIABLE, wanted.as_str())];
    let env = if point.name == ANYWHERE { &[][..] } else { &env[..] };
    // A point of git may be passed before anybody is answered.
    let _ = scene.try_start(seat, env);
    let before = scene.ledger.sent.len();
    let load = scene.begin();
    if point.name == ANYWHERE {
        std::thread::sleep(Duration::from_millis(random.below(MAX_WORK_MS)));
        scene.federation.kill(seat);
    } else {
        let ended = scene.federation.wait_for_end(seat, LIMIT);
        let ended = ended.unwrap_or_else(|| panic!("{wanted} was not passed\n{}", scene.federation.said()));
        let crashed = format!("crash point {}, passing {passing}", point.name);
        assert!(ended.code.is_none() && ended.stderr.contains(&crashed), "{wanted}: {}", ended.stderr);
    }
    scene.end(load);
    let unacknowledged = scene.ledger.sent[before..].iter().filter(|sent| sent.index.is_none()).count();
    tally.acknowledged += scene.ledger.sent.len() - before - unacknowledged;
    tally.restarts.push(scene.start(seat));
    let found = scene.hold();
    tally.found += found;
    tally.absent += unacknowledged - found;
    tally.rounds += 1;
    scene.federation.kill(seat);
}

/// All rounds at one point; what was there before stays.
fn rounds(scene: &mut Scene, point: &Point, rounds: u64, random: &mut Random) -> Tally {
    let began = Instant::now();
    let crashed = usize::from(point.setting == Setting::Mirror);
    scene.federation.kill(crashed);
    start_all_but(scene, Some(crashed));
    let mut tally = Tally::default();
    for _ in 0..rounds {
        round(scene, point, random, &mut tally);
    }
    told(&format!(
        "crash {:24} {:3} rounds  {:5} acknowledged, 0 lost  {:4} not acknowledged: {:3} there, {:3} absent  {:6.1} s",
        point.name,
        tally.rounds,
        tally.acknowledged,
        tally.found + tally.absent,
        tally.found,
        tally.absent,
        began.elapsed().as_secs_f64()
    ));
    tally
}

/// Starts every registry that does not run, but for one.
fn start_all_but(scene: &mut Scene, left_out: Option<usize>) {
    for seat in (0..scene.seats()).filter(|seat| Some(*seat) != left_out) {
        if scene.federation.pid(seat).is_none() {
            scene.start(seat);
        }
    }
}

/// Takes points off the list until it is empty. After some of them everything that is stored is checked, and the commons put
/// back as it was founded.
fn work(registries: &[&str], points: &Mutex<Vec<Point>>, count: u64, seed: u64) -> Vec<Tally> {
    let mut scene = Scene::found(registries, PUBLISHERS, LANES);
    if registries.len() > 1 {
        // What follows a publish there takes seconds.
        scene.lanes.iter_mut().for_each(|lane| lane.rest = REST);
    }
    let mut random = Random::of(seed);
    let (mut tallies, mut since) = (Vec::new(), 0);
    loop {
        let point = points.lock().expect("no worker panicked").pop();
        if since > 0 && (point.is_none() || since >= MAX_ROUNDS_UNCHECKED) {
            start_all_but(&mut scene, None);
            scene.close();
            since = 0;
        }
        let Some(point) = point else { return tallies };
        if since == 0 {
            scene.put_back();
        }
        tallies.push(rounds(&mut scene, &point, count, &mut random));
        since += count;
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_at_any_point() {
    if cfg!(not(debug_assertions)) {
        return brick_tests::corpus::skipped("a build without debug assertions has no crash points");
    }
    let count = asked("BRICK_CRASH_ROUNDS", 2);
    let only = std::env::var("BRICK_CRASH_POINTS").ok();
    let is_wanted = |point: &Point| {
        only.as_ref().is_none_or(|only| only.split(',').any(|part| point.name.starts_with(part)))
    };
    let (alone, pairs): (Vec<Point>, Vec<Point>) =
        points().into_iter().filter(is_wanted).partition(|point| point.setting == Setting::Alone);
    let (alone, pairs) = (Mutex::new(alone), Mutex::new(pairs));
    let (_, seed) = Random::new();
    let both = ["registry.north.example", "registry.south.example"];
    let tallies: Vec<Tally> = std::thread::scope(|threads| {
        // A pair waits for its clocks more than for the processor.
        let workers = [
            threads.spawn(|| work(&both[..1], &alone, count, seed)),
            threads.spawn(|| work(&both, &pairs, count, seed ^ 1)),
            threads.spawn(|| work(&both, &pairs, count, seed ^ 2)),
        ];
        let joined = workers.into_iter().flat_map(|worker| match worker.join() {
            Ok(tallies) => tallies,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    let mut restarts: Vec<Duration> = tallies.iter().flat_map(|tally| tally.restarts.clone()).collect();
    restarts.sort();
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    told(&format!(
        "crash in all: {} points, {} rounds, {} acknowledged, 0 lost; {} not acknowledged: {} there, {} absent, 0 half; \
         first answer after a restart: median {} ms, longest {} ms",
        tallies.len(),
        restarts.len(),
        sum(|tally| tally.acknowledged),
        sum(|tally| tally.found + tally.absent),
        sum(|tally| tally.found),
        sum(|tally| tally.absent),
        restarts.get(restarts.len() / 2).map_or(0, Duration::as_millis),
        restarts.last().map_or(0, Duration::as_millis),
    ));
}

#[test]
fn every_crash_point_is_passed_in_one_place() {
    let mut places: BTreeMap<&str, usize> = CRASH_POINTS.iter().map(|name| (*name, 0)).collect();
    let mut folders = vec![repository().join("registry-server")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("crash_point.rs")
            {
                let text = std::fs::read_to_string(&path).expect("a source");
                for name in CRASH_POINTS {
                    *places.get_mut(name).expect("it is listed") +=
                        text.matches(&format!("\"{name}\"")).count();
                }
            }
        }
    }
    places.retain(|_, count| *count != 1);
    assert_eq!(places, BTreeMap::new());
    assert!(CRASH_POINTS.len() >= 30);
}

#[test]
fn a_registry_that_is_to_crash_nowhere_does_not_start() {
    let start = |point: &str| {
        let room = Room::new().with(CRASH_POINT_VARIABLE, point);
        room.run("brickyard", &["serve", "--config", "there-is-none.toml"])
    };
    let ended = start("comit-applied:3");
    assert_eq!(ended.code, Some(1));
    let has_crash_points = cfg!(debug_assertions);
    let why = if has_crash_points {
        "names `comit-applied`, and there is no such point"
    } else {
        "debug assertions"
    };
    assert!(ended.stderr.contains(why) && !ended.stderr.contains("there-is-none"), "{}", ended.stderr);
    let ended = start("commit-applied:3");
    assert_eq!(ended.stderr.contains("there-is-none"), has_crash_points, "{}", ended.stderr);
}

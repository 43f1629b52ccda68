//! How long does a new registry need to mirror a large one, every entry verified, beside a clone that git checks?

use std::time::{Duration, Instant};

use brick_schemas::{FullName, Version};
use brick_tests::git::Git;

use super::git::{Took, rest, rounds, timed};
use super::large::content;
use super::{Bench, follow};
use crate::figure::{Bound, Figure};
use crate::machine::{Watch, cpu_seconds, recover};
use crate::trouble::Trouble;
use crate::yard::Yard;

/// Time that a mirror may take.
const LIMIT: Duration = Duration::from_secs(3_600);
/// How often it is asked whether it is done.
const STEP: Duration = Duration::from_millis(100);
/// The registry that mirrors.
pub(super) const MIRROR: usize = 1;

/// A release that a mirror is to show.
pub(super) type Shown = (FullName, Version);

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let releases = bench.releases;
    let mut yard = Yard::found(&["registry.north.example", "registry.mirror.example"], None);
    yard.federation.stop(MIRROR);
    eprintln!("publishing {releases} releases to be mirrored");
    yard.fill(0..releases, |n| content(&yard, releases, n))?;
    // What is published is put in order afterwards, which neither side shall pay for.
    rest(&yard);
    let last = content(&yard, releases, releases - 1);
    let last = (FullName { publisher: yard.publisher.clone(), brick: last.brick }, last.version);
    let room = tempfile::tempdir().map_err(|err| Trouble::failed("a temporary folder", err))?;
    let git = Git::at(room.path());
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        yard.federation.stop(MIRROR);
        ours.push(mirror(&mut yard, &last, round)?);
        let to = room.path().join("clone");
        let _ = std::fs::remove_dir_all(&to);
        others.push(timed(&to, || {
            git.run(&["clone", "--bare", "--quiet", &yard.url("/git"), "clone"]);
            git.run(&["-C", "clone", "fsck", "--full", "--no-progress"]);
        }));
    }
    let name = |what| format!("full mirror of {releases} releases: {what}");
    let must = |figure: Figure, pick| {
        figure.must(Bound::AtMost(0.5)).aim(Bound::AtMost(0.25)).measured(rounds(&ours, &others, pick))
    };
    let mut figures = vec![
        must(Figure::wall(name("time"), "s", "clone + fsck"), |took| took.wall_s),
        // Told beside: a signature an entry is more work than a hash an object, and all processors share it.
        Figure::own(name("CPU"), "s", "clone + fsck").measured(rounds(&ours, &others, |took| took.cpu_s)),
    ];
    // The archives of all that history are fetched after its entries.
    recover(yard.federation.pid(MIRROR).expect("it runs"));
    figures.extend(follow::run(&yard, &git, "clone", bench.rounds)?);
    Ok(figures)
}

/// Lets the second registry begin with nothing, until it shows the last release.
fn mirror(yard: &mut Yard, last: &Shown, round: usize) -> Result<Took, Trouble> {
    let data = yard.federation.data(MIRROR);
    // Put away, not removed: ext4 passes over the inodes of files that were removed within the last minute.
    let away = data.with_extension(round.to_string());
    std::fs::rename(&data, away).map_err(|err| Trouble::failed("the mirror's folder", err))?;
    let (watch, began) = (Watch::start(), Instant::now());
    yard.federation.start(MIRROR);
    wait_for(yard, last)?;
    let pid = yard.federation.pid(MIRROR).expect("it runs");
    let wall_s = began.elapsed().as_secs_f64();
    Ok(Took { wall_s, cpu_s: cpu_seconds(pid), mib: 0.0, foreign_cores: watch.foreign_cores() })
}

/// Waits until the mirror shows a release.
pub(super) fn wait_for(yard: &Yard, last: &Shown) -> Result<(), Trouble> {
    let client = yard.federation.client(MIRROR);
    let began = Instant::now();
    while !matches!(yard.federation.block_on(client.proof(&last.0, &last.1)), Ok(Some(_))) {
        if began.elapsed() > LIMIT {
            return Err(Trouble::failed("a mirror", format!("it took more than {} s", LIMIT.as_secs())));
        }
        std::thread::sleep(STEP);
    }
    Ok(())
}

//! What does it cost a mirror to find nothing new, and to take over a few releases, beside `git fetch`?

use std::time::{Duration, Instant};

use brick_schemas::FullName;
use brick_tests::git::Git;

use super::git::{Took, rounds, timed};
use super::large::ARCHIVE_BYTES;
use super::mirror::{MIRROR, Shown, wait_for};
use crate::content::Content;
use crate::figure::{Bound, Figure};
use crate::machine::{Watch, cpu_seconds, settle};
use crate::trouble::Trouble;
use crate::yard::Yard;

/// A mirror looks once a second in this bench; so many looks are measured together.
const LOOKS: u32 = 10;
/// Releases that are new.
const NEW: usize = 10;

/// Measures a mirror that runs and has everything, beside a clone that has it too.
pub(super) fn run(yard: &Yard, git: &Git, clone: &str, count: usize) -> Result<Vec<Figure>, Trouble> {
    let pid = yard.federation.pid(MIRROR).ok_or_else(|| Trouble::failed("the mirror", "it does not run"))?;
    let folder = git.dir().join(clone);
    let fetch = || {
        git.run(&[
            "-C",
            clone,
            "-c",
            "gc.auto=0",
            "fetch",
            "--quiet",
            &yard.url("/git"),
            "+refs/heads/*:refs/heads/*",
        ]);
    };
    let mut idle: [Vec<Took>; 2] = Default::default();
    let mut new: [Vec<Took>; 2] = Default::default();
    for round in 0..count {
        settle(yard.pid());
        idle[0].push(look(pid));
        // The registry commits cosignatures too: the first fetch takes those, the second finds nothing.
        fetch();
        idle[1].push(timed(&folder, fetch));

        let contents: Vec<Content> =
            (0..NEW).map(|n| Content::of(&yard.publisher, "new", n, round, ARCHIVE_BYTES)).collect();
        let last = contents.last().expect("there are some");
        let last: Shown =
            (FullName { publisher: yard.publisher.clone(), brick: last.brick.clone() }, last.version.clone());
        let prepared = yard.prepare(&contents)?;
        let (watch, began, before) = (Watch::start(), Instant::now(), cpu_seconds(pid));
        yard.publish(prepared, 1)?;
        wait_for(yard, &last)?;
        let wall_s = began.elapsed().as_secs_f64();
        let cpu_s = cpu_seconds(pid) - before;
        new[0].push(Took { wall_s, cpu_s, mib: 0.0, foreign_cores: watch.foreign_cores() });
        settle(yard.pid());
        new[1].push(timed(&folder, fetch));
    }
    let cpu = |name: &str, other: &str, must: f64, [ours, others]: &[Vec<Took>; 2]| {
        Figure::own(format!("incremental mirror, {name}: CPU"), "s", other)
            .must(Bound::AtMost(must))
            .measured(rounds(ours, others, |took| took.cpu_s))
    };
    Ok(vec![
        cpu("nothing new", "git fetch", 1.0, &idle),
        cpu(&format!("{NEW} releases"), "git fetch", 0.3, &new),
    ])
}

/// One look of a mirror at a registry that has nothing new.
fn look(pid: u32) -> Took {
    let (watch, before) = (Watch::start(), cpu_seconds(pid));
    std::thread::sleep(Duration::from_secs(1) * LOOKS);
    let cpu_s = (cpu_seconds(pid) - before) / f64::from(LOOKS);
    Took { wall_s: 1.0, cpu_s, mib: 0.0, foreign_cores: watch.foreign_cores() }
}

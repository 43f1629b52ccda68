//! What does it cost a mirror to find nothing new, and to take over a few releases, beside `git fetch`?

use std::time::Duration;

use brick_schemas::FullName;
use brick_tests::git::Git;
use rustix::process::{Pid, Signal, kill_process};

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
/// Releases that are new, each with a commit of its own.
const NEW: usize = 10;
/// A registry commits once a second at most.
const COMMIT: Duration = Duration::from_millis(1_300);

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
        settle(pid);
        idle[0].push(looks(yard, pid)?);
        // The registry commits cosignatures too: the first fetch takes those, the second finds nothing.
        fetch();
        idle[1].push(timed(&folder, fetch));

        let contents: Vec<Content> =
            (0..NEW).map(|n| Content::of(&yard.publisher, "new", n, round, ARCHIVE_BYTES)).collect();
        let last = contents.last().expect("there are some");
        let last: Shown =
            (FullName { publisher: yard.publisher.clone(), brick: last.brick.clone() }, last.version.clone());
        let (watch, (_, before), cpu) = (Watch::start(), rounds_of(yard)?, cpu_seconds(pid));
        // Both take all of it at once: the mirror sleeps meanwhile.
        signal(pid, Signal::STOP)?;
        let published = yard.prepare(&contents)?.into_iter().try_for_each(|one| {
            yard.publish(vec![one], 1)?;
            std::thread::sleep(COMMIT);
            Ok(())
        });
        signal(pid, Signal::CONT)?;
        published?;
        wait_for(yard, &last)?;
        settle(pid);
        let ((_, after), cpu_s) = (rounds_of(yard)?, cpu_seconds(pid) - cpu);
        new[0].push(Took { wall_s: after - before, cpu_s, mib: 0.0, foreign_cores: watch.foreign_cores() });
        settle(yard.pid());
        let commits = || {
            let counted = git.run(&["-C", clone, "rev-list", "--count", "--all"]);
            counted.trim().parse::<usize>().map_err(|err| Trouble::failed("git", err))
        };
        let had = commits()?;
        new[1].push(timed(&folder, fetch));
        let has = commits()?;
        if has < had + NEW {
            let what = format!("{} commits for {NEW} releases", has.saturating_sub(had));
            return Err(Trouble::failed("git", what));
        }
    }
    let mut figures = Vec::new();
    for (name, must, [ours, others]) in
        [("nothing new".to_owned(), 1.0, &idle), (format!("{NEW} releases"), 0.3, &new)]
    {
        let name = |what| format!("incremental mirror, {name}: {what}");
        figures.push(
            Figure::wall(name("time"), "s", "git fetch").must(Bound::AtMost(must)).measured(rounds(
                ours,
                others,
                |took| took.wall_s,
            )),
        );
        // Told beside: the mirror's server runs all the time, and git afterwards.
        figures.push(
            Figure::own(name("CPU"), "s", "git fetch").measured(rounds(ours, others, |took| took.cpu_s)),
        );
    }
    Ok(figures)
}

/// What one look of a mirror at a registry takes that has nothing new.
fn looks(yard: &Yard, pid: u32) -> Result<Took, Trouble> {
    let (watch, (count, before), cpu) = (Watch::start(), rounds_of(yard)?, cpu_seconds(pid));
    std::thread::sleep(Duration::from_secs(1) * LOOKS);
    let cpu_s = (cpu_seconds(pid) - cpu) / f64::from(LOOKS);
    let (counted, after) = rounds_of(yard)?;
    if counted <= count {
        return Err(Trouble::failed("the mirror", "it does not look"));
    }
    let wall_s = (after - before) / (counted - count);
    Ok(Took { wall_s, cpu_s, mib: 0.0, foreign_cores: watch.foreign_cores() })
}

/// How many rounds the mirror has made since it started, and the seconds that they took together, as its metrics say.
fn rounds_of(yard: &Yard) -> Result<(f64, f64), Trouble> {
    const WHAT: &str = "the mirror's metrics";
    let url = format!("{}/metrics", yard.federation.url(MIRROR));
    let text = yard.federation.block_on(async { reqwest::get(&url).await?.error_for_status()?.text().await });
    let text = text.map_err(|err| Trouble::failed(WHAT, err))?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok())
            .ok_or_else(|| Trouble::failed(WHAT, format!("no {name}")))
    };
    Ok((value("brickyard_round_seconds_count ")?, value("brickyard_round_seconds_sum ")?))
}

fn signal(pid: u32, signal: Signal) -> Result<(), Trouble> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = process.ok_or_else(|| Trouble::failed("the mirror", "it does not run"))?;
    kill_process(process, signal).map_err(|err| Trouble::failed("the mirror", err))
}

//! Is a clone or a fetch of the registry's repository as cheap as of one with the same content that git made?

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use brick_tests::folder;
use brick_tests::git::Git;

use super::Bench;
use super::large::ARCHIVE_BYTES;
use crate::content::Content;
use crate::figure::{Bound, Figure, Round};
use crate::machine::{Watch, reaped_cpu_seconds, settle};
use crate::trouble::Trouble;
use crate::yard::Yard;

/// Commits that a fetch brings, and releases in each.
const COMMITS: usize = 10;
const RELEASES: usize = 10;
/// What a fetch asks for.
const ALL_BRANCHES: &str = "+refs/heads/*:refs/heads/*";

/// What one command took.
#[derive(Clone, Copy)]
pub(super) struct Took {
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
    pub(super) mib: f64,
    pub(super) foreign_cores: f64,
}

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let (count, releases) = (bench.rounds, bench.releases);
    let yard = bench.large()?;
    rest(yard);
    let room = tempfile::tempdir().map_err(|err| Trouble::failed("a temporary folder", err))?;
    let git = Git::at(room.path());
    let ours = yard.git().display().to_string();
    let made = room.path().join("made").display().to_string();
    make(&git, &ours, &made)?;
    let sides = [("ours", &ours), ("gits", &made)];

    let mut clones: [Vec<Took>; 2] = Default::default();
    for _ in 0..count {
        for ((name, repository), clones) in sides.iter().zip(&mut clones) {
            let to = room.path().join(name);
            let _ = std::fs::remove_dir_all(&to);
            clones.push(timed(&to, || {
                git.run(&["clone", "--bare", "--quiet", &format!("file://{repository}"), name]);
            }));
        }
    }
    for commit in 0..COMMITS {
        publish(yard, commit)?;
    }
    rest(yard);
    git.run(&["-C", &made, "fetch", "--quiet", &format!("file://{ours}"), ALL_BRANCHES]);
    let mut fetches: [Vec<Took>; 2] = Default::default();
    for _ in 0..count {
        for ((name, repository), fetches) in sides.iter().zip(&mut fetches) {
            let copy = room.path().join("copy");
            let _ = std::fs::remove_dir_all(&copy);
            folder::copy(&room.path().join(name), &copy);
            let before = mib_below(&copy);
            let mut took = timed(&copy, || {
                let url = format!("file://{repository}");
                git.run(&["-C", "copy", "-c", "gc.auto=0", "fetch", "--quiet", &url, ALL_BRANCHES]);
            });
            took.mib = (took.mib - before).max(0.0);
            fetches.push(took);
        }
    }
    let mut figures = Vec::new();
    for (what, [ours, made]) in [
        (format!("git clone, {releases} releases"), &clones),
        (format!("git fetch of {COMMITS} commits"), &fetches),
    ] {
        let must = |figure: Figure, pick| {
            figure.must(Bound::AtMost(1.1)).aim(Bound::AtMost(1.0)).measured(rounds(ours, made, pick))
        };
        figures.push(must(Figure::wall(format!("{what}: time"), "s", "made by git"), |took| took.wall_s));
        figures.push(must(Figure::own(format!("{what}: CPU"), "s", "made by git"), |took| took.cpu_s));
        figures.push(must(Figure::own(format!("{what}: bytes"), "MiB", "made by git"), |took| took.mib));
    }
    Ok(figures)
}

/// The same commits in a new repository, written and packed by git alone.
fn make(git: &Git, ours: &str, made: &str) -> Result<(), Trouble> {
    git.run(&["init", "--bare", "--quiet", made]);
    let failed = |err| Trouble::failed("a repository made by git", err);
    let mut export = git.command(&["-C", ours, "fast-export", "--all", "--reencode=no"]);
    let mut export = export.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let stream = export.stdout.take().expect("it was piped");
    let import =
        git.command(&["-C", made, "fast-import", "--quiet"]).stdin(stream).status().map_err(failed)?;
    let export = export.wait().map_err(failed)?;
    if !(export.success() && import.success()) {
        return Err(Trouble::failed("a repository made by git", format!("export {export}, import {import}")));
    }
    git.run(&["-C", made, "repack", "-a", "-d", "--quiet"]);
    let head = git.run(&["-C", ours, "symbolic-ref", "HEAD"]);
    git.run(&["-C", made, "symbolic-ref", "HEAD", &head]);
    let tips = [ours, made].map(|repository| git.run(&["-C", repository, "rev-parse", "HEAD^{tree}"]));
    if tips[0] == tips[1] {
        Ok(())
    } else {
        Err(Trouble::failed("a repository made by git", "it holds other content"))
    }
}

/// Waits until the registry has put its repository in order, which it does when nothing was published for two seconds.
pub(super) fn rest(yard: &Yard) {
    settle(yard.pid());
    std::thread::sleep(Duration::from_secs(3));
    settle(yard.pid());
}

/// Publishes a commit's worth of releases, and waits for it.
fn publish(yard: &Yard, commit: usize) -> Result<(), Trouble> {
    let content = |n: usize| Content::of(&yard.publisher, "pkg", n, 3_000 + commit, ARCHIVE_BYTES);
    let contents: Vec<Content> = (0..RELEASES).map(content).collect();
    yard.publish(yard.prepare(&contents)?, RELEASES)?;
    // A registry commits once a second at most.
    std::thread::sleep(Duration::from_millis(1_300));
    Ok(())
}

/// Runs git, and says what that took and how much lies in `folder` afterwards.
pub(super) fn timed(folder: &Path, run: impl FnOnce()) -> Took {
    let (watch, cpu, began) = (Watch::start(), reaped_cpu_seconds(), Instant::now());
    run();
    let wall_s = began.elapsed().as_secs_f64();
    let cpu_s = reaped_cpu_seconds() - cpu;
    Took { wall_s, cpu_s, mib: mib_below(folder), foreign_cores: watch.foreign_cores() }
}

/// Rounds of ours beside git's.
pub(super) fn rounds(ours: &[Took], others: &[Took], pick: fn(&Took) -> f64) -> Vec<Round> {
    super::paired(ours, others, pick, |took| took.foreign_cores)
}

fn mib_below(folder: &Path) -> f64 {
    let bytes = |place: &folder::Place| match place {
        folder::Place::File(bytes) => bytes.len(),
        folder::Place::Folder | folder::Place::Link(_) => 0,
    };
    let objects = folder::contents(&folder.join("objects"));
    objects.values().map(bytes).sum::<usize>() as f64 / f64::from(1 << 20)
}

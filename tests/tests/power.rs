//! Does a power cut take anything that was acknowledged? See `docs/faults.md`.
//!
//! `BRICK_POWER_CUTS=100 BRICK_POWER_PUBLISHES=5000` makes the long form: at least so many cuts, and so many acknowledged
//! publishes. Needs root, for mounting.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brick_tests::corpus::skipped;
use brick_tests::faults::image::Image;
use brick_tests::faults::scene::Scene;
use brick_tests::faults::{asked, told};
use brick_tests::git::Git;
use brick_tests::random::Random;

const PUBLISHERS: usize = 2;
const LANES: usize = 12;
/// Work before a cut: at least, and so much more at most.
const WORK_MS: u64 = 300;
const MORE_WORK_MS: u64 = 900;
/// After so many cuts git is waited for, so that it is cut when it is long, too.
const CUTS_BEFORE_GIT: u64 = 10;
/// After so many one hears how far it is.
const CUTS_BEFORE_NEWS: u64 = 25;

/// Files that are written and renamed as carefully as most programs do, without any flush: what is compared.
struct Careless {
    written: usize,
    lost: usize,
}

/// Writes files until nothing can be written any more. Returns how many had their names.
fn write_carelessly(folder: &Path, is_over: &AtomicBool) -> usize {
    let mut written = 0;
    while !is_over.load(Ordering::Relaxed) {
        let (tmp, name) = (folder.join("tmp"), folder.join(written.to_string()));
        let done = std::fs::write(&tmp, written.to_string()).and_then(|()| std::fs::rename(&tmp, &name));
        if done.is_err() {
            break;
        }
        written += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    written
}

impl Careless {
    fn count(&mut self, folder: &Path, written: usize) {
        let is_whole = |n: &usize| {
            std::fs::read_to_string(folder.join(n.to_string())).is_ok_and(|text| text == n.to_string())
        };
        self.written += written;
        self.lost += (0..written).filter(|n| !is_whole(n)).count();
        let _ = std::fs::remove_dir_all(folder);
    }
}

fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "cannot send {signal} to {pid}");
}

#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let (cuts, publishes) = (asked("BRICK_POWER_CUTS", 6), asked("BRICK_POWER_PUBLISHES", 0));
    let mut scene = Scene::found(&["registry.north.example"], PUBLISHERS, LANES);
    let data = scene.federation.data(0);
    std::fs::remove_dir_all(&data).and_then(|()| std::fs::create_dir(&data)).expect("an empty folder");
    let mut image = match Image::mount_new(&data) {
        Ok(image) => image,
        Err(why) => return skipped(&format!("power cuts: {why}")),
    };
    brick_tests::folder::copy(&scene.kept(0), &data);
    image.sync().expect("what was founded is on the disk");
    let (mut random, _) = Random::new();
    let mut careless = Careless { written: 0, lost: 0 };
    let (mut done, mut found, mut broken) = (0, 0, 0);
    let mut restarts = Vec::new();
    let began = Instant::now();
    scene.start(0);
    while done < cuts || (scene.ledger.acknowledged() as u64) < publishes {
        let folder = data.join("careless");
        std::fs::create_dir(&folder).expect("a folder");
        image.sync().expect("the folder is on the disk");
        let pid = scene.federation.pid(0).expect("it runs");
        let is_over = AtomicBool::new(false);
        let (load, written) = std::thread::scope(|threads| {
            let writer = threads.spawn(|| write_carelessly(&folder, &is_over));
            let load = scene.begin();
            std::thread::sleep(Duration::from_millis(WORK_MS + random.below(MORE_WORK_MS)));
            // A sync that is cut short may say that it worked: nobody may be there to hear that.
            signal(pid, "-STOP");
            image.cut().expect("the power is cut");
            is_over.store(true, Ordering::Relaxed);
            scene.federation.kill(0);
            (load, writer.join().expect("it ends by itself"))
        });
        scene.end(load);
        image.unmount().expect("nobody uses it");
        image.mount().expect("the journal is replayed");
        careless.count(&folder, written);
        let git = Git::at(data.join("commons.git"));
        let is_sound = || git.output(&["fsck", "--full"]).status.success();
        let was_sound = is_sound();
        restarts.push(scene.start(0));
        found += scene.hold();
        done += 1;
        if done % CUTS_BEFORE_NEWS == 0 {
            told(&format!(
                "power: {done} cuts so far, {} publishes acknowledged, 0 lost",
                scene.ledger.acknowledged()
            ));
        }
        if !was_sound || done % CUTS_BEFORE_GIT == 0 {
            if !was_sound {
                broken += 1;
                // The registry looks beside its other work whether git is whole: until it knows, the broken one may have all heads.
                scene.wait_until(0, "git was made again after a cut that broke it", |_| is_sound());
            }
            scene.wait_for_git(0);
            assert!(is_sound(), "git has everything, and is broken\n{}", scene.federation.said());
        }
    }
    scene.close();
    restarts.sort();
    let acknowledged = scene.ledger.acknowledged();
    told(&format!(
        "power: {done} cuts of ext4 in {} s, {acknowledged} publishes acknowledged, 0 lost; {found} there that were not \
         acknowledged, 0 half; git broken by {broken} cuts and made again each time; first answer after a cut: median {} ms, longest {} ms; \
         of {} files renamed without a flush {} lost",
        began.elapsed().as_secs(),
        restarts[restarts.len() / 2].as_millis(),
        restarts[restarts.len() - 1].as_millis(),
        careless.written,
        careless.lost,
    ));
    assert!(careless.lost > 0, "the cuts took nothing from those who do not flush: they were no power cuts");
    image.unmount().expect("nobody uses it");
}

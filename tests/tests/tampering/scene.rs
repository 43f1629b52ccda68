//! How is one attack made and judged? A place to run `brick` in, with something false in it; then what it said and wrote.

use std::path::{Path, PathBuf};

use brick_tests::folder::{self, Contents, changes, contents};
use brick_tests::git::Git;
use brick_tests::process::{Ended, Room};

use crate::site::Site;
use crate::world::{World, project_manifest};

/// What a victim does when the attack reaches it, and what it knew before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// `brick fetch`, twice: by somebody who has seen the same heads and locked, but has nothing in the cache, and by
    /// somebody who only pinned the root.
    FetchAll,
    /// The same, but the first has the index in the cache, and only releases to fetch.
    FetchRelease,
    /// `brick fetch` by somebody who only pinned the root.
    FetchFirst,
    /// `brick fetch --locked` where everything is in the cache.
    FetchLocked,
    /// `brick update` by somebody who has seen the newest heads.
    Update,
    /// `brick update` by somebody who has seen the heads before those.
    UpdateFromEarly,
    /// `brick commons trust` from nothing.
    Trust,
    /// `brick verify ARCHIVE --proof FILE` by somebody who only pinned the root.
    VerifyArchive,
    /// `brick verify` of vendored bricks.
    VerifyVendored,
    /// `brick audit --index CLONE` from nothing.
    Audit,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 10] = [
        Way::FetchAll,
        Way::FetchRelease,
        Way::FetchFirst,
        Way::FetchLocked,
        Way::Update,
        Way::UpdateFromEarly,
        Way::Trust,
        Way::VerifyArchive,
        Way::VerifyVendored,
        Way::Audit,
    ];
}

/// What a refusal may leave behind, beyond nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaves {
    /// Nothing at all; to who asks for the first time, only what was verified, as an honest registry would have given it.
    Nothing,
    /// Both heads of a log, below `evidence`.
    Evidence,
    /// Heads and an index that every witness vouched for, and the lockfile that follows from them.
    WitnessedIndex,
}

/// A victim's machine and the registry that it asks.
pub struct Scene {
    /// Home and working folder.
    pub room: Room,
    /// What the registry serves.
    pub site: Site,
    /// The command.
    pub args: Vec<String>,
}

/// Archive and proof of `case` 1.2.0 in the working folder of [`Way::VerifyArchive`].
pub const ARCHIVE_FILE: &str = "case-1.2.0.brick";
/// See [`ARCHIVE_FILE`].
pub const PROOF_FILE: &str = "case-1.2.0.proof";
/// The clone in the working folder of [`Way::Audit`].
pub const CLONE: &str = "clone";
/// The release that everything is about.
pub const RELEASE: &str = "bricks/north.example/case/1.2.0";

impl Scene {
    /// The honest state before an attack. `is_first`: the victim has only pinned the root.
    pub fn new(world: &World, way: Way, is_first: bool) -> Self {
        let room = Room::new();
        let (home, work) = (room.home(), room.work());
        let site = world.late.clone();
        let mut args: Vec<String> = Vec::new();
        let mut command = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
        match way {
            Way::FetchAll | Way::FetchRelease | Way::FetchFirst if is_first => {
                folder::copy(&world.pinned, &home);
                room.write("brick.toml", project_manifest());
                command(&["fetch"]);
            }
            Way::FetchAll | Way::FetchRelease | Way::FetchFirst => {
                folder::copy(&world.seen, &home);
                let cache = home.join(".brick/cache");
                if way == Way::FetchRelease {
                    remove(&cache.join("blobs"));
                    remove(&cache.join("commons.example/proofs"));
                } else {
                    remove(&cache);
                }
                folder::copy(&world.project, &work);
                command(&["fetch", "--locked"]);
            }
            Way::FetchLocked => {
                folder::copy(&world.seen, &home);
                folder::copy(&world.project, &work);
                command(&["fetch", "--locked"]);
            }
            Way::Update => {
                folder::copy(&world.seen, &home);
                folder::copy(&world.project, &work);
                command(&["update"]);
            }
            Way::UpdateFromEarly => {
                folder::copy(&world.seen_early, &home);
                folder::copy(&world.project, &work);
                command(&["update"]);
            }
            Way::Trust => command(&["commons", "trust", "URL", "--root-sha256", &world.root_sha256]),
            Way::VerifyArchive => {
                folder::copy(&world.pinned, &home);
                room.write(ARCHIVE_FILE, site.read(&format!("{RELEASE}/archive")));
                room.write(PROOF_FILE, site.read(&format!("{RELEASE}/proof")));
                command(&["verify", ARCHIVE_FILE, "--proof", PROOF_FILE]);
            }
            Way::VerifyVendored => {
                folder::copy(&world.seen, &home);
                folder::copy(&world.project, &work);
                command(&["verify"]);
            }
            Way::Audit => {
                folder::copy(&world.clone, &work.join(CLONE));
                command(&["audit", "--index", CLONE, "--root-sha256", &world.root_sha256]);
            }
        }
        Self { room, site, args }
    }

    /// Runs the command against the site.
    pub fn run(self, world: &World) -> Ended {
        let Self { room, site, args } = self;
        run(world, &room, site, &args)
    }

    /// Runs the command against the site, and says what is wrong with how it went; nothing if it was refused as it
    /// must be.
    pub fn judge(self, world: &World, step: &str, leaves: Leaves, is_first: bool) -> Result<(), String> {
        let Self { room, site, args } = self;
        let before = look(&room);
        let ended = run(world, &room, site, &args);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        if ended.code != Some(3) {
            return Err(format!("ended with {:?} in place of 3:\n{said}", ended.code));
        }
        if !said.contains(&format!("{step} check failed")) {
            return Err(format!("was not refused at the step `{step}`:\n{said}"));
        }
        let after = look(&room);
        let mut written: Vec<String> = changes(&before, &after);
        written.retain(|line| !is_a_folder(&after, line));
        let has_evidence = written.iter().any(|line| line.contains("/evidence/"));
        if (leaves == Leaves::Evidence) != has_evidence {
            return Err(format!("evidence was kept: {has_evidence}; written: {written:#?}"));
        }
        written.retain(|line| match leaves {
            Leaves::Evidence => !line.contains("/evidence/") && !line.ends_with("/lock"),
            Leaves::WitnessedIndex => {
                !["/trust/", "/index/", " work/brick.lock"].iter().any(|part| line.contains(part))
            }
            Leaves::Nothing if is_first => {
                !is_as_honest(&world.seen, "home/", &after, line)
                    && !is_as_honest(&world.project, "work/", &after, line)
            }
            Leaves::Nothing => true,
        });
        match written.is_empty() {
            true => Ok(()),
            false => Err(format!("wrote {written:#?}")),
        }
    }
}

fn run(world: &World, room: &Room, site: Site, args: &[String]) -> Ended {
    let served = site.serve(&world.runtime);
    let words = args.iter().map(|arg| if arg == "URL" { served.url.as_str() } else { arg.as_str() });
    let all: Vec<&str> = ["--registry", served.url.as_str()].into_iter().chain(words).collect();
    room.run("brick", &all)
}

fn look(room: &Room) -> Contents {
    let of = |dir: PathBuf, prefix: &'static str| {
        contents(&dir).into_iter().map(move |(path, place)| (format!("{prefix}{path}"), place))
    };
    of(room.home(), "home/").chain(of(room.work(), "work/")).collect()
}

/// Whether a line of [`changes`] is about a folder, which says nothing by itself.
fn is_a_folder(after: &Contents, line: &str) -> bool {
    after.get(&line[2..]) == Some(&folder::Place::Folder)
}

/// Whether what was written is byte for byte what an honest run leaves at that place.
fn is_as_honest(honest: &Path, prefix: &str, after: &Contents, line: &str) -> bool {
    let Some(path) = line[2..].strip_prefix(prefix) else { return false };
    let Some(folder::Place::File(bytes)) = after.get(&line[2..]) else { return false };
    std::fs::read(honest.join(path)).is_ok_and(|expected| expected == *bytes)
}

/// Removes a folder or a file that is there.
pub fn remove(path: &Path) {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.unwrap_or_else(|err| panic!("{}: {err}", path.display()));
}

/// Changes a file of the working folder, which must then be another.
pub fn change_file(scene: &Scene, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = scene.room.work().join(path);
    let before = std::fs::read(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    let mut after = before.clone();
    change(&mut after);
    assert_ne!(before, after, "{} was changed", path.display());
    std::fs::write(&path, after).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
}

/// Commits everything in the scene's clone, as whoever can push there would.
pub fn commit(scene: &Scene) {
    let git = Git::at(scene.room.work().join(CLONE));
    git.run(&["add", "--all", "--force"]);
    git.run(&["commit", "--quiet", "--message", "nothing to see here"]);
}

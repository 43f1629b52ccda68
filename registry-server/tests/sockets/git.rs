//! The repository over real smart HTTP, by the ordinary `git`; and what becomes of a damaged one.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use brick_index::projection::Projection;

use crate::http::{self, ask, get, post};
use crate::town::{Town, until};

/// Runs `git` in a folder, with nobody's configuration.
fn git(dir: &Path, args: &[&str]) -> Output {
    Command::new("git")
        .current_dir(dir)
        .args(args)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env_remove("GIT_DIR")
        .output()
        .expect("git can be run")
}

/// What a `git` that must succeed printed.
#[track_caller]
fn ok(dir: &Path, args: &[&str]) -> String {
    let output = git(dir, args);
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs `work` where blocking is allowed: a clone waits for the server, which is in this process.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Clones the repository of the town's registry into `name`, and has it checked.
async fn cloned(town: &Town, name: &str) -> std::path::PathBuf {
    let (url, dir) = (format!("{}/git", town.north_url()), town.dir.path().to_owned());
    let name = name.to_owned();
    beside(move || {
        ok(&dir, &["clone", "--quiet", &url, &name]);
        let clone = dir.join(name);
        let said = git(&clone, &["fsck", "--strict", "--full", "--no-dangling"]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        assert_eq!((said.stdout.as_slice(), said.stderr.as_slice()), (&b""[..], &b""[..]), "nothing to say");
        clone
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_is_sound_and_a_fetch_brings_only_what_is_new() {
    let town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    town.projected(&town.north).await;
    let clone = cloned(&town, "clone").await;
    let index = std::fs::read(clone.join("index/north.example/55/parcel.jsonl")).unwrap();
    assert_eq!(index, town.north.get("/index/north.example/parcel.jsonl").await.body);
    let head = std::fs::read(clone.join("logs/north.example/checkpoint")).unwrap();
    assert_eq!(head, town.north.get("/logs/north.example/checkpoint").await.body);
    let log = town.north.registry().head(&town.body).unwrap();
    let leaves = town.north.registry().store.leaves(log.id, 0..log.size).await.unwrap();
    for (at, leaf) in leaves.iter().enumerate() {
        let path = clone.join(format!("logs/north.example/entries/000/{at:03}.json"));
        assert_eq!(std::fs::read(&path).unwrap(), *leaf, "{}", path.display());
    }

    let begun = Instant::now();
    town.release("parcel", "1.1.0").await;
    town.projected(&town.north).await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "git follows within a second or so: {:?}",
        begun.elapsed()
    );
    let at = clone.clone();
    let (before, counted, after) = beside(move || {
        let before = ok(&at, &["rev-parse", "HEAD"]);
        let counted = git(&at, &["fetch", "--progress", "origin"]);
        assert!(counted.status.success());
        ok(&at, &["fsck", "--strict", "--full", "--no-dangling"]);
        (
            before,
            String::from_utf8_lossy(&counted.stderr).into_owned(),
            ok(&at, &["rev-list", "HEAD..origin/main"]),
        )
    })
    .await;
    assert_eq!(after.lines().count(), 1, "one commit more than {before}");
    // 2 leaves, a head, an index file, the folders on their ways, a commit: not the whole again.
    let total = counted.split("Total ").nth(1).and_then(|rest| rest.split(' ').next()).expect("git counts");
    assert!(total.parse::<u32>().unwrap() <= 16, "{counted}");
    let lines =
        beside(move || ok(&clone, &["show", "origin/main:index/north.example/55/parcel.jsonl"])).await;
    assert_eq!(lines.lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_pushes_and_nobody_walks_the_files() {
    let town = Town::found().await;
    town.projected(&town.north).await;
    let clone = cloned(&town, "clone").await;
    let before = town.north.registry().projection.read("README.md").unwrap();
    let (pushed, forced) = beside(move || {
        std::fs::write(clone.join("README.md"), "mine now\n").unwrap();
        ok(&clone, &["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-am", "x"]);
        (
            git(&clone, &["push", "origin", "HEAD:main"]),
            git(&clone, &["push", "--force", "origin", "HEAD:other"]),
        )
    })
    .await;
    for output in [pushed, forced] {
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("403"), "{said}");
    }
    assert_eq!(town.north.registry().projection.read("README.md").unwrap(), before);
    for (path, status) in [
        ("/git/info/refs", 403),
        ("/git/info/refs?service=git-receive-pack", 403),
        ("/git/info/refs?service=git-upload-pack&x=1", 403),
        ("/git/HEAD", 404),
        ("/git/config", 404),
        ("/git/objects/info/packs", 404),
        ("/git/../registry.sqlite3", 400),
    ] {
        let answer = get(town.north.at(), path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        answer.problem();
    }
    for (path, body, statuses) in [
        ("/git/git-receive-pack", &b"0000"[..], [404, 404]),
        ("/git/git-upload-pack", &[0xff; 64][..], [200, 500]),
        ("/git/git-upload-pack", &vec![b'0'; 5 << 20][..], [413, 413]),
    ] {
        let request = post(path, "application/x-git-upload-pack-request", body);
        let answer = ask(town.north.at(), request).await;
        assert!(statuses.contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    assert_eq!(town.north.get("/healthz").await.status, 200);
}

/// What happened to the repository while the registry was stopped.
type Damage = fn(&Path);

fn one_pack(repository: &Path, extension: &str) -> std::path::PathBuf {
    let packs = std::fs::read_dir(repository.join("objects/pack")).unwrap();
    let mut packs: Vec<_> = packs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    packs.sort();
    packs.swap_remove(0)
}

fn overwrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_repository_is_made_again_with_the_same_content() {
    let mut town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    town.projected(&town.north).await;
    town.release("letter", "1.0.0").await;
    town.projected(&town.north).await;
    let first = cloned(&town, "first").await;
    let tree = |clone: std::path::PathBuf| beside(move || ok(&clone, &["rev-parse", "HEAD^{tree}"]));
    let expected = tree(first).await;
    let rows: [(&str, Damage); 10] = [
        ("the folder is gone", |path| std::fs::remove_dir_all(path).unwrap()),
        ("the folder is empty", |path| {
            std::fs::remove_dir_all(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }),
        ("a pack is gone", |path| std::fs::remove_file(one_pack(path, "pack")).unwrap()),
        ("a pack's index is gone", |path| std::fs::remove_file(one_pack(path, "idx")).unwrap()),
        ("a pack is cut short", |path| {
            overwrite(&one_pack(path, "pack"), |bytes| bytes.truncate(bytes.len() / 2))
        }),
        ("all packs are empty files", |path| {
            for entry in std::fs::read_dir(path.join("objects/pack")).unwrap() {
                overwrite(&entry.unwrap().path(), Vec::clear);
            }
        }),
        ("HEAD is garbage", |path| std::fs::write(path.join("HEAD"), [0xff; 64]).unwrap()),
        ("the branch names no commit", |path| {
            std::fs::write(path.join("refs/heads/main"), format!("{}\n", "1".repeat(40))).unwrap();
        }),
        ("the branch is an empty file", |path| std::fs::write(path.join("refs/heads/main"), "").unwrap()),
        ("the files lie otherwise", |path| {
            let files = [("README.md", "As of old."), ("index/north.example/letter.jsonl", "{}\n")];
            let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
            let (repository, _) = Projection::open(path).unwrap();
            repository.commit(&files.into(), "of an older program", "north.example", 1).unwrap();
        }),
    ];
    for (at, (name, damage)) in rows.into_iter().enumerate() {
        town.north.stop().await;
        damage(&town.north.settings.data.join("commons.git"));
        town.north.start().await;
        // A clone of what is being made would look like the whole: whoever comes meanwhile is told to come again.
        let asked = "/git/info/refs?service=git-upload-pack";
        until(name, || {
            let repository = &town.north.registry().projection;
            repository.read("index/north.example/f8/letter.jsonl").is_ok_and(|file| file.is_some())
                && git(repository.path(), &["fsck", "--connectivity-only"]).status.success()
        })
        .await;
        let begun = Instant::now();
        loop {
            let answer = town.north.get(asked).await;
            if answer.status == 200 {
                assert!(answer.text().contains("refs/heads/main"), "{name}: {}", answer.text());
                break;
            }
            assert_eq!(answer.status, 503, "{name}: {}", answer.text());
            answer.problem();
            assert!(begun.elapsed() < http::LIMIT, "{name}: waited in vain");
        }
        town.projected(&town.north).await;
        let clone = cloned(&town, &format!("clone{at}")).await;
        assert_eq!(tree(clone).await, expected, "{name}: the same content as before");
    }
    town.release("parcel", "1.1.0").await;
    town.projected(&town.north).await;
}

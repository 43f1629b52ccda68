//! Does a process that is killed at any moment lose anything that it acknowledged?
//!
//! The processes are this test binary again, told by an environment variable to play a part.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use brick_schemas::Digest;
use brick_store::{OpenError, Store, StoreOptions};

use crate::fixture::{
    blob, brick, database, empty, file, hosted_log, leaf_bytes, line, note, open, origin, put_blob, root,
    step, tile_hashes,
};

const PART: &str = "BRICK_STORE_TEST_PART";
const DIR: &str = "BRICK_STORE_TEST_DIR";
const KILLS: u64 = 12;

/// Starts the test `name` of this binary in another process, with a part to play.
fn play(name: &str, part: &str, dir: &Path) -> Child {
    command(name, part, dir).spawn().unwrap()
}

fn command(name: &str, part: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn part() -> Option<(String, std::path::PathBuf)> {
    Some((std::env::var(PART).ok()?, std::env::var_os(DIR)?.into()))
}

fn archive(size: u64) -> Vec<u8> {
    format!("archive of {size}").repeat(100).into_bytes()
}

/// Publishes for ever, and says on stdout how far it is acknowledged.
async fn publish_until_killed(dir: &Path) {
    let store = open(dir).await;
    let log = store.log(&origin("a.example/log")).await.unwrap().unwrap();
    let mut size = log.size;
    while size + 2 <= 256 {
        let name = format!("brick-{size}");
        put_blob(&store, &archive(size)).await;
        let mut step = step(log.id, size, size + 2);
        step.lines.push(line(&name, "1.0.0", size, &name));
        step.files.push(file(&name, &format!("{name}\n")));
        step.blobs.push(blob(&archive(size), size));
        store.commit(&[step]).await.unwrap();
        size += 2;
        println!("\nacknowledged {size}");
        std::io::stdout().flush().unwrap();
        store.set_served(log.id, size).await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    if let Some((_, dir)) = part() {
        return publish_until_killed(&dir).await;
    }
    let (dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    store.close().await;
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let mut child =
            play("crash::a_killed_process_loses_nothing_that_it_acknowledged", "publish", dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut read = |wanted| {
            let size = lines
                .by_ref()
                .filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok())
                .take(wanted)
                .last();
            size.unwrap_or(0_u64)
        };
        acknowledged = read(3).max(acknowledged);
        // Somewhere in the work that follows: another place each time, without a seed that would have to be told.
        std::thread::sleep(Duration::from_micros(kill * 977));
        child.kill().unwrap();
        acknowledged = read(usize::MAX).max(acknowledged);
        child.wait().unwrap();

        let store = open(dir.path()).await;
        let stored = store.log(&origin("a.example/log")).await.unwrap().unwrap();
        let size = stored.size;
        assert!(size >= acknowledged, "{acknowledged} acknowledged, {size} there");
        assert!(size <= acknowledged + 2, "no more than the one step that was under way");
        let leaves = store.leaves(log, 0..size).await.unwrap();
        assert!(leaves.iter().zip(0..).all(|(leaf, entry)| *leaf == leaf_bytes(log, entry)));
        assert_eq!(leaves.len() as u64, size);
        assert_eq!(store.tile(log, 0, 0).await.unwrap().unwrap(), tile_hashes(log, size));
        let head = store.last_checkpoint(log).await.unwrap().unwrap();
        assert_eq!((head.size, head.root, head.note), (size, root(log, size), note(log, size)));
        for release in (0..size).step_by(2) {
            let name = format!("brick-{release}");
            assert!(store.index_file(log, &brick(&name), size).await.unwrap().is_some(), "{name}");
            let bytes = archive(release);
            assert_eq!(store.read_blob(&Digest::of(&bytes), 1 << 20).await.unwrap().unwrap(), bytes);
        }
        assert_eq!(store.missing_blobs(None, 10).await.unwrap(), []);
        store.close().await;
    }
    assert!(acknowledged >= 3 * KILLS, "the killed processes did some work");
}

/// Commits a step at a time for ever, with a crash point in the environment.
#[cfg(debug_assertions)]
async fn commit_until_crashed(dir: &Path) {
    let store = open(dir).await;
    let log = store.log(&origin("a.example/log")).await.unwrap().unwrap();
    for size in log.size.. {
        store.commit(&[step(log.id, size, size + 1)]).await.unwrap();
        println!("\nacknowledged {}", size + 1);
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_crash_point_ends_the_process_at_the_passing_asked_for() {
    if let Some((_, dir)) = part() {
        return commit_until_crashed(&dir).await;
    }
    for (point, acknowledged, stored) in [("commit-applied:3", 2, 2), ("commit-done:3", 2, 3)] {
        let (dir, store) = empty().await;
        hosted_log(&store, "a.example").await;
        store.close().await;
        let name = "crash::a_crash_point_ends_the_process_at_the_passing_asked_for";
        let ended = command(name, "commit", dir.path())
            .env(brick_store::CRASH_POINT_VARIABLE, point)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains("crash point commit-"), "{point}: {said}");
        let lines = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(lines.matches("acknowledged ").count(), acknowledged, "{point}");
        let log = open(dir.path()).await.log(&origin("a.example/log")).await.unwrap().unwrap();
        assert_eq!(log.size, stored, "{point}");
    }
}

#[tokio::test]
async fn a_second_process_is_refused_while_the_first_lives() {
    if let Some((_, dir)) = part() {
        let outcome = Store::open(&dir, StoreOptions::default()).await;
        println!("\nopened: {}", outcome.map_or_else(|err| err.to_string(), |_| "yes".into()));
        return;
    }
    let (dir, store) = empty().await;
    let ask = || {
        let child = play("crash::a_second_process_is_refused_while_the_first_lives", "open", dir.path());
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        said.lines().find_map(|line| line.strip_prefix("opened: ")).unwrap().to_owned()
    };
    assert_eq!(ask(), format!("{} is in use by another process", dir.path().display()));
    let again = Store::open(dir.path(), StoreOptions::default()).await.err().unwrap();
    assert!(matches!(again, OpenError::InUse { .. }), "nor twice in one process: {again}");
    store.close().await;
    assert_eq!(ask(), "yes");
}

#[tokio::test]
async fn a_store_of_a_later_program_is_refused_and_left_alone() {
    let (dir, store) = empty().await;
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (999, 'later', 1, x'00', 0)")
        .execute(&mut database(&store).await)
        .await
        .unwrap();
    store.close().await;
    let err = Store::open(dir.path(), StoreOptions::default()).await.err().unwrap();
    assert!(matches!(err, OpenError::NewerSchema { found: 999, known: 5 }), "{err}");
}

#[tokio::test]
async fn a_place_that_cannot_be_a_store_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("taken");
    std::fs::write(&taken, b"a file").unwrap();
    let err = Store::open(&taken, StoreOptions::default()).await.err().unwrap();
    assert!(err.to_string().contains("taken"), "{err}");

    let garbage = dir.path().join("garbage");
    std::fs::create_dir(&garbage).unwrap();
    std::fs::write(garbage.join("registry.sqlite3"), b"not a database ".repeat(100)).unwrap();
    let err = Store::open(&garbage, StoreOptions::default()).await.err().unwrap();
    assert!(matches!(err, OpenError::Fault(brick_store::Fault::Damaged(_))), "{err:?}");

    for readers in [0, 65] {
        let err =
            Store::open(dir.path(), StoreOptions { readers, ..StoreOptions::default() }).await.err().unwrap();
        assert!(matches!(err, OpenError::Readers { .. }), "{err}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_store_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("deep/store")).await;
    let mode = std::fs::metadata(store.dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

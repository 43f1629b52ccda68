//! `brickyard rebuild git`, `backup`, `restore`: what is made again is the same, and what is put back goes on where it was.

use std::collections::BTreeMap;
use std::path::Path;

use brick_store::{BackupError, copy_store};
use brick_tlog::tree::check_consistency;
use brickyard::check::restore_from;
use brickyard::nodes::Nodes;
use brickyard::rebuilding::rebuild_git;

use crate::checking::{checked, stopped_town};
use crate::town::{Key, Town, until};

/// Every file at the head of a repository, with its object's id.
fn git_files(repository: &Path) -> BTreeMap<String, String> {
    let listed = std::process::Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(["ls-tree", "-r", "refs/heads/main"])
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let lines = String::from_utf8(listed.stdout).unwrap();
    lines
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(id, path)| (path.into(), id.into()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_is_made_again_holds_the_same_files() {
    let (town, _) = stopped_town().await;
    let settings = &town.north.settings;
    let repository = settings.data.join("commons.git");
    let before = git_files(&repository);
    let rebuilt = rebuild_git(settings).await.unwrap();
    assert_eq!((rebuilt.logs, rebuilt.leaves), (2, 19));
    assert_eq!(git_files(&repository), before);
    // Nothing of the old one is needed.
    std::fs::remove_dir_all(&repository).unwrap();
    rebuild_git(settings).await.unwrap();
    assert_eq!(git_files(&repository), before);
    let report = checked(settings).await;
    assert!(report.is_clean() && report.behind.is_empty(), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_registry_signs_nothing_until_it_has_caught_up_and_goes_on_with_the_same_history() {
    let mut town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    let south = town.join().await;
    let data = town.north.settings.data.clone();
    for round in 1..=3 {
        // While it runs.
        let backup = town.dir.path().join(format!("backup{round}"));
        let backed_up = copy_store(&data, &backup).await.unwrap();
        assert_eq!((backed_up.logs, backed_up.rotten), (2, 0));
        assert_eq!(backed_up.blobs, 2 * round - 1, "every archive up to now");
        let err = copy_store(&data, &backup).await.unwrap_err();
        assert!(matches!(err, BackupError::Taken { .. }), "{err}");
        let (lost, _) = town.release("parcel", &format!("1.{round}.0")).await;
        town.settle(&south).await;
        let archive = south.registry().store.blob_path(&lost.release.archive.sha256);
        until("the mirror has the archive", || archive.is_file()).await;
        let seen = town.north.newest(&town.body);
        town.north.stop().await;
        std::fs::rename(&data, town.dir.path().join(format!("lost{round}"))).unwrap();
        let restored = copy_store(&backup, &data).await.unwrap();
        assert_eq!(restored, backed_up);
        let report = checked(&town.north.settings).await;
        assert!(report.is_clean() && report.missing_count == 0, "{report:#?}");

        let draft = {
            let mut place = south.place(&town.body);
            place.log = town.body.clone();
            crate::town::Draft::new(&place, "north.example/letter", &format!("1.{round}.0"), "")
        };
        town.north.start().await;
        assert!(
            town.north.newest(&town.body).size < seen.size,
            "round {round}: what came after is not there"
        );
        let entry = draft.signed(Key::Officer);
        loop {
            let answer = town.north.publish(&entry, &[&draft.archive]).await;
            if answer.status == 200 {
                break;
            }
            // Closed until it has caught up; or the entry stands on leaves that are not back yet.
            assert!(matches!(answer.status, 409 | 503), "round {round}: {}", answer.text());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(town.north.newest(&town.body).size > seen.size, "round {round}: it had caught up");
        let newest = town.north.newest(&town.body);
        let log = town.north.registry().head(&town.body).unwrap().id;
        let path =
            Nodes::new(&town.north.registry().store, log).consistency(seen.size, newest.size).await.unwrap();
        check_consistency(seen.size, newest.size, &seen.root, &newest.root, &path)
            .unwrap_or_else(|err| panic!("round {round}: a second history: {err}"));
        town.settle(&south).await;
        let lost = town.north.registry().store.blob_path(&lost.release.archive.sha256);
        until("the archive is back", || lost.is_file()).await;
        for seat in [&town.north, &south] {
            assert!(seat.registry().store.evidence().await.unwrap().is_empty(), "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_blob_is_left_out_of_a_backup_and_an_empty_place_is_no_store() {
    let (town, _) = stopped_town().await;
    let data = &town.north.settings.data;
    let to = town.dir.path().join("backup");
    let nothing = copy_store(&town.dir.path().join("nowhere"), &to).await.unwrap_err();
    assert!(matches!(nothing, BackupError::NoStore { .. }) && !to.exists(), "{nothing}");
    let blob = crate::checking::files(&data.join("blobs")).remove(0);
    std::fs::write(&blob, b"rotten").unwrap();
    let backed_up = copy_store(data, &to).await.unwrap();
    assert_eq!((backed_up.blobs, backed_up.rotten, backed_up.leaves), (4, 1, 19));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_lost_its_disk_comes_back_from_a_clone_its_peers_and_its_keys() {
    let (mut town, mut south) = stopped_town().await;
    let data = town.north.settings.data.clone();
    // A clone of the mirror's repository, older than what North signed last.
    let clone = town.dir.path().join("clone");
    let cloned = std::process::Command::new("git")
        .args(["clone", "--quiet", "--no-checkout"])
        .args([&south.settings.data.join("commons.git"), &clone])
        .status();
    assert!(cloned.unwrap().success());
    town.north.start().await;
    south.start().await;
    let deadline = std::time::Instant::now() + crate::http::LIMIT;
    publish_when_open(&town, "0.2.0", deadline).await;
    town.settle(&south).await;
    town.projected(&south).await;
    let blobs = town.north.registry().store.named_blobs(None, 100).await.unwrap();
    until("the mirror has every archive", || {
        blobs.iter().all(|blob| south.registry().store.blob_path(&blob.sha256).is_file())
    })
    .await;
    let seen = town.north.newest(&town.body);
    let mut settings = town.north.settings.clone();
    town.north.stop().await;
    std::fs::rename(&data, town.dir.path().join("lost")).unwrap();
    let tell = || -> std::sync::Arc<brickyard::check::Tell> { std::sync::Arc::new(|_: &str| {}) };

    // The clone alone, nobody else within reach: the logs up to it, no archive.
    let alone = brickyard::Settings { data: town.dir.path().join("alone"), ..settings.clone() };
    south.stop().await;
    let restored = restore_from(&alone, std::slice::from_ref(&clone), tell()).await.unwrap();
    assert!(restored.is_clean(), "{restored:#?}");
    let after = restored.after.unwrap();
    assert_eq!((after.checked.logs, after.missing_count), (2, 5), "{after:#?}");

    // The clone and a peer: everything.
    south.start().await;
    settings.peers.push(brickyard::Peer::at(crate::town::SOUTH, &format!("http://{}", south.at())));
    let restored = restore_from(&settings, std::slice::from_ref(&clone), tell()).await.unwrap();
    assert!(restored.is_clean(), "{restored:#?}");
    let after = restored.after.unwrap();
    assert_eq!((after.checked.logs, after.missing_count, after.fault_count), (2, 0, 0), "{after:#?}");
    let again = restore_from(&settings, &[clone], tell()).await.unwrap_err();
    assert!(brickyard::problem::chain(&again).contains("holds a database already"), "{again}");

    town.north.start().await;
    assert_eq!(town.north.newest(&town.body).size, seen.size, "all that was signed is back");
    publish_when_open(&town, "0.3.0", deadline).await;
    let newest = town.north.newest(&town.body);
    let log = town.north.registry().head(&town.body).unwrap().id;
    let path =
        Nodes::new(&town.north.registry().store, log).consistency(seen.size, newest.size).await.unwrap();
    check_consistency(seen.size, newest.size, &seen.root, &newest.root, &path).expect("the same history");
    town.settle(&south).await;
    assert!(south.registry().store.evidence().await.unwrap().is_empty());
}

async fn publish_when_open(town: &Town, version: &str, deadline: std::time::Instant) {
    loop {
        let place = town.north.place(&town.body);
        let draft = crate::town::Draft::new(&place, "north.example/stamp", version, "");
        let answer = town.north.publish(&draft.signed(Key::Officer), &[&draft.archive]).await;
        if answer.status == 200 {
            return;
        }
        assert!(answer.status == 503 && std::time::Instant::now() < deadline, "{}", answer.text());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

//! `brickyard rebuild git`, `backup`, `restore`: what is made again is the same, and what is put back goes on where it was.

use std::collections::BTreeMap;
use std::path::Path;

use brick_store::{BackupError, copy_store};
use brickyard::rebuilding::rebuild_git;

use crate::checking::{checked, stopped_town};

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

//! What happens when the disk is full?

use std::path::Path;
use std::process::Command;

use brick_schemas::Digest;
use brick_store::{BlobError, CommitError, Fault, OpenError, Store, StoreOptions};

use crate::fixture::{hosted_log, leaf_bytes, names_in, open, origin, row_count, step};

/// A file system of its own, in memory.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, with the reason printed, where this user may not mount one.
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let option = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &option, "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            println!("skipped: a small disk cannot be mounted here (it needs root)");
            return None;
        }
        Some(Self(dir))
    }

    /// Takes all the room that is left; removing the file gives it back.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.0.path().join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        while std::io::Write::write(&mut file, &[0; 4_096]).is_ok_and(|written| written > 0) {}
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_named_loses_nothing_and_is_left_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("8m") else { return };
    let dir = disk.path().join("store");
    let store = open(&dir).await;
    let log = hosted_log(&store, "a.example").await.id;
    store.commit(&[step(log, 0, 4)]).await.unwrap();

    let filler = disk.fill();
    let mut big = step(log, 4, 24);
    big.leaves.iter_mut().for_each(|leaf| leaf.bytes.resize(60_000, 7));
    let err = store.commit(&[big.clone()]).await.unwrap_err();
    assert!(matches!(err, CommitError::Fault(Fault::DiskFull(_))), "{err:?}");
    store.writable().expect("a full disk is no broken disk");
    assert_eq!(store.log(&origin("a.example/log")).await.unwrap().unwrap().size, 4);
    assert_eq!(store.leaves(log, 0..4).await.unwrap()[3], leaf_bytes(log, 3), "reading goes on");

    let bytes = vec![7; 100_000];
    let mut refused = None;
    match store.blob_writer(1 << 20).await {
        Err(err) => refused = Some(err),
        Ok(mut writer) => match writer.write(&bytes).await {
            Err(err) => refused = Some(err),
            Ok(()) => refused = writer.finish(Digest::of(&bytes)).await.err().or(refused),
        },
    }
    assert!(matches!(refused, Some(BlobError::DiskFull(_))), "{refused:?}");
    assert!(names_in(&dir.join("blobs/tmp")).is_empty());

    std::fs::remove_file(filler).unwrap();
    store.commit(&[big]).await.unwrap();
    assert_eq!(row_count(&store, "leaf").await, 24);
    store.close().await;
    assert_eq!(open(&dir).await.leaves(log, 0..24).await.unwrap().len(), 24);
}

#[tokio::test]
async fn a_full_disk_is_named_when_the_store_is_made() {
    let Some(disk) = SmallDisk::mount("8m") else { return };
    let filler = disk.fill();
    let err = Store::open(&disk.path().join("store"), StoreOptions::default()).await.err().unwrap();
    let is_full = match &err {
        OpenError::File { err, .. } => err.kind() == std::io::ErrorKind::StorageFull,
        OpenError::Fault(Fault::DiskFull(_)) => true,
        _ => false,
    };
    assert!(is_full, "{err:?}");
    std::fs::remove_file(filler).unwrap();
    open(&disk.path().join("store")).await;
}

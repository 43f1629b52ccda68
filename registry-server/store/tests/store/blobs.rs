//! Is a blob kept whole under its digest, or not at all?

use brick_schemas::Digest;
use brick_store::{BlobError, BlobUse, MissingBlob};
use tokio::io::AsyncReadExt as _;

use crate::fixture::{blob, empty, hosted_log, names_in, open, put_blob, step};

#[tokio::test]
async fn a_blob_is_there_after_the_store_was_opened_again() {
    let (dir, store) = empty().await;
    let bytes = vec![7; 200_000];
    let digest = Digest::of(&bytes);
    assert!(!store.has_blob(&digest).await);
    assert!(store.open_blob(&digest).await.unwrap().is_none());
    assert_eq!(store.read_blob(&digest, 1 << 20).await.unwrap(), None);

    let mut writer = store.blob_writer(200_000).await.unwrap();
    for chunk in bytes.chunks(3_333) {
        writer.write(chunk).await.unwrap();
    }
    assert_eq!(writer.bytes(), 200_000);
    writer.finish(digest).await.unwrap();
    store.close().await;

    let store = open(dir.path()).await;
    assert!(store.has_blob(&digest).await);
    let (mut file, length) = store.open_blob(&digest).await.unwrap().unwrap();
    let mut streamed = Vec::new();
    file.read_to_end(&mut streamed).await.unwrap();
    assert_eq!((streamed.len() as u64, &streamed), (length, &bytes));
    assert_eq!(store.read_blob(&digest, 200_000).await.unwrap().unwrap(), bytes);
    assert!(matches!(
        store.read_blob(&digest, 199_999).await,
        Err(BlobError::TooLarge { max_bytes: 199_999 })
    ));
    let path = store.blob_path(&digest);
    let hex = digest.to_string();
    assert!(path.ends_with(format!("blobs/{}/{}", &hex[..2], &hex[2..])), "{}", path.display());
}

#[tokio::test]
async fn what_is_refused_or_given_up_leaves_nothing() {
    let (dir, store) = empty().await;
    let right = Digest::of(b"right");

    let mut wrong = store.blob_writer(100).await.unwrap();
    wrong.write(b"wrong").await.unwrap();
    let err = wrong.finish(right).await.unwrap_err();
    assert!(
        matches!(err, BlobError::WrongDigest { expected, found } if expected == right && found == Digest::of(b"wrong"))
    );

    let mut large = store.blob_writer(4).await.unwrap();
    large.write(b"righ").await.unwrap();
    assert!(matches!(large.write(b"t").await, Err(BlobError::TooLarge { max_bytes: 4 })));
    drop(large);

    // A small one waits in memory, a large one on the disk.
    for (max_bytes, files) in [(100, 0), (1 << 20, 1)] {
        let mut dropped = store.blob_writer(max_bytes).await.unwrap();
        dropped.write(b"right").await.unwrap();
        assert_eq!(names_in(&dir.path().join("blobs/tmp")).len(), files);
        assert_eq!(dropped.in_memory().is_some(), files == 0);
        drop(dropped);
    }

    let mut wrong = store.blob_writer(1 << 20).await.unwrap();
    wrong.write(b"wrong").await.unwrap();
    assert!(matches!(wrong.finish(right).await, Err(BlobError::WrongDigest { .. })));

    assert!(!store.has_blob(&right).await);
    assert!(names_in(&dir.path().join("blobs/tmp")).is_empty());
}

#[tokio::test]
async fn the_empty_blob_is_a_blob() {
    let (_dir, store) = empty().await;
    let digest = put_blob(&store, b"").await;
    assert_eq!(store.read_blob(&digest, 0).await.unwrap().unwrap(), b"");
}

#[tokio::test]
async fn what_an_interrupted_process_was_receiving_is_removed_at_start() {
    let (dir, store) = empty().await;
    store.close().await;
    std::fs::write(dir.path().join("blobs/tmp/.tmpHALF"), b"half").unwrap();
    let store = open(dir.path()).await;
    assert!(names_in(&dir.path().join("blobs/tmp")).is_empty());
    put_blob(&store, b"whole").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_the_same_blob_do_not_disturb_each_other() {
    let (dir, store) = empty().await;
    let bytes = vec![9; 50_000];
    let digest = Digest::of(&bytes);
    let racers = (0..16)
        .map(|_| {
            let (store, bytes) = (store.clone(), bytes.clone());
            tokio::spawn(async move {
                let mut writer = store.blob_writer(50_000).await.unwrap();
                for chunk in bytes.chunks(10_000) {
                    writer.write(chunk).await.unwrap();
                    tokio::task::yield_now().await;
                }
                writer.finish(digest).await.unwrap();
                assert_eq!(store.read_blob(&digest, 50_000).await.unwrap().unwrap(), bytes);
            })
        })
        .collect::<Vec<_>>();
    for racer in racers {
        racer.await.unwrap();
    }
    assert!(names_in(&dir.path().join("blobs/tmp")).is_empty());
}

#[tokio::test]
async fn a_rotten_blob_is_reported_set_aside_and_wanted_again() {
    let (dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let digest = put_blob(&store, b"good bytes").await;
    let mut naming = step(log, 0, 2);
    naming.blobs.push(blob(b"good bytes", 0));
    store.commit(&[naming]).await.unwrap();
    assert_eq!(store.missing_blobs(None, 10).await.unwrap(), []);
    assert!(!store.set_aside_rotten(&digest).await.unwrap(), "it is not rotten");

    std::fs::write(store.blob_path(&digest), b"good bytez").unwrap();
    assert!(
        matches!(store.read_blob(&digest, 100).await, Err(BlobError::Rotten { digest: d }) if d == digest)
    );
    assert!(store.set_aside_rotten(&digest).await.unwrap());
    assert!(!store.has_blob(&digest).await);
    assert_eq!(names_in(&dir.path().join("blobs/rotten")), [digest.to_string()]);
    assert_eq!(store.missing_blobs(None, 10).await.unwrap().len(), 1);
    put_blob(&store, b"good bytes").await;
    assert_eq!(store.missing_blobs(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn missing_blobs_are_those_that_entries_name_and_that_are_not_here() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    put_blob(&store, b"before").await;
    let mut naming = step(log, 0, 9);
    for (bytes, entry) in [(&b"before"[..], 0), (b"one", 1), (b"two", 2), (b"three", 3)] {
        naming.blobs.push(blob(bytes, entry));
    }
    // Another entry gives `one` another length: the larger bounds the fetch.
    naming.blobs.push(brick_store::BlobRow { bytes: 1_000, ..blob(b"one", 5) });
    store.commit(&[naming]).await.unwrap();

    let missing = store.missing_blobs(None, 10).await.unwrap();
    let mut expected = [&b"one"[..], b"two", b"three"].map(Digest::of);
    expected.sort();
    assert_eq!(missing.iter().map(|blob| blob.sha256).collect::<Vec<_>>(), expected);
    let one = missing.iter().find(|blob| blob.sha256 == Digest::of(b"one")).unwrap();
    assert_eq!(*one, MissingBlob { sha256: Digest::of(b"one"), bytes: 1_000 });
    let uses = store.blob_uses(&Digest::of(b"one"), 10).await.unwrap();
    assert_eq!(uses, [BlobUse { log, entry: 1 }, BlobUse { log, entry: 5 }], "whoever names it is known");
    assert_eq!(store.blob_uses(&Digest::of(b"one"), 1).await.unwrap(), uses[..1]);
    assert_eq!(store.blob_uses(&Digest::of(b"nobody's"), 10).await.unwrap(), []);

    let mut walked = Vec::new();
    while let Some(next) = store.missing_blobs(walked.last(), 1).await.unwrap().pop() {
        walked.push(next.sha256);
    }
    assert_eq!(walked, expected);

    put_blob(&store, b"two").await;
    let mut after: Vec<_> =
        store.missing_blobs(None, 10).await.unwrap().iter().map(|blob| blob.sha256).collect();
    after.push(Digest::of(b"two"));
    after.sort();
    assert_eq!(after, expected, "a blob that came since is not named again");
}

#[tokio::test]
async fn a_blob_whose_file_is_lost_is_wanted_again_once_somebody_notices() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let digest = put_blob(&store, b"good bytes").await;
    let strange = put_blob(&store, b"named by nobody").await;
    let mut naming = step(log, 0, 2);
    naming.blobs.push(blob(b"good bytes", 0));
    store.commit(&[naming]).await.unwrap();
    assert!(!store.note_if_lost(&digest).await.unwrap(), "it is here");

    for lost in [digest, strange] {
        std::fs::remove_file(store.blob_path(&lost)).unwrap();
    }
    assert!(!store.note_if_lost(&strange).await.unwrap(), "nobody names it");
    assert!(!store.note_if_lost(&Digest::of(b"never here")).await.unwrap());
    assert_eq!(store.missing_blobs(None, 10).await.unwrap(), [], "nobody has noticed yet");
    assert!(store.note_if_lost(&digest).await.unwrap());
    assert!(!store.note_if_lost(&digest).await.unwrap(), "that is known now");
    assert_eq!(store.missing_blobs(None, 10).await.unwrap()[0].sha256, digest);
}

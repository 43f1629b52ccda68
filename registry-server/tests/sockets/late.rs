//! Archives that arrive after their entries, and what is in them.

use brick_schemas::api::ProblemType;
use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{Blob, Digest, Version};
use brick_trust::{BasisRoot, Entry};
use brickyard::sequencer::{Received, Submission};

use crate::town::{BODY, Draft, Key, Seat, Town, publisher, signed_status, until};

const ARCHIVE: &str = "/bricks/north.example/parcel/1.0.0/archive";

/// Logs an entry as a registry would that checks no archive.
async fn log_unchecked(town: &Town, leaf: Vec<u8>) {
    let entry = Entry::parse(&leaf).unwrap();
    let basis = entry.statement.predicate.place().basis;
    let signed = entry.verify(&town.body_record(0)).unwrap();
    let received = Received::Publisher {
        publisher: publisher(BODY),
        signed: Box::new(signed),
        basis_root: BasisRoot::Known(basis.root),
        leaf,
        asked_at: 0,
    };
    let (answer, wait) = tokio::sync::oneshot::channel();
    town.north
        .registry()
        .queue
        .send(Submission { entry: received, answer, blobs: None })
        .await
        .expect("it runs");
    wait.await.unwrap().expect("it is logged");
}

/// Puts a blob into a registry's store, past its door.
async fn put_blob(seat: &Seat, bytes: &[u8]) {
    let mut writer = seat.registry().store.blob_writer(1 << 20).await.unwrap();
    writer.write(bytes).await.unwrap();
    writer.finish(Digest::of(bytes)).await.unwrap();
}

async fn refusals(seat: &Seat) -> Vec<serde_json::Value> {
    seat.get("/api/v1/sync").await.json()["refusals"].as_array().unwrap().clone()
}

async fn wait_for_refusal(seat: &Seat, says: &str) -> serde_json::Value {
    let deadline = tokio::time::Instant::now() + crate::http::LIMIT;
    loop {
        let refusals = refusals(seat).await;
        match refusals.iter().find(|refusal| refusal["reason"].as_str().is_some_and(|r| r.contains(says))) {
            Some(refusal) => return refusal.clone(),
            None => assert!(tokio::time::Instant::now() < deadline, "nobody refused: {refusals:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A release of `parcel` whose entry gives the archive of another release as its own.
fn false_release(town: &Town, of: &Draft, version: &str) -> Draft {
    let mut bad = town.draft("parcel", version);
    bad.release.archive = of.release.archive;
    bad.release.contents = of.release.contents;
    bad
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_comes_later_is_served_once_it_agrees_with_its_entry() {
    let town = Town::found().await;
    let (draft, _) = town.release("parcel", "1.0.0").await;
    let blob = town.north.registry().store.blob_path(&draft.release.archive.sha256);
    let aside = town.dir.path().join("aside");
    std::fs::rename(&blob, &aside).unwrap();
    let south = town.join().await;
    assert_eq!(south.get(ARCHIVE).await.status, 404, "its entry is here, the archive is not to be had");
    std::fs::rename(&aside, &blob).unwrap();
    until("the mirror fetches it", || {
        south.registry().store.blob_path(&draft.release.archive.sha256).is_file()
    })
    .await;
    let answer = south.get(ARCHIVE).await;
    assert_eq!((answer.status, answer.body), (200, draft.archive));
    assert!(refusals(&south).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_contradicts_its_entry_is_not_kept_and_said_so() {
    let town = Town::found().await;
    let other = town.draft("letter", "1.0.0");
    let bad = false_release(&town, &other, "1.0.0");
    log_unchecked(&town, bad.signed(Key::Officer)).await;
    let south = town.join().await;
    // The archive turns up at the home registry after the mirror has taken the entry.
    put_blob(&town.north, &other.archive).await;
    let refusal = wait_for_refusal(&south, "parcel 1.0.0").await;
    assert_eq!(refusal["log"], "north.example/log", "{refusal}");
    assert!(!south.registry().store.has_blob(&other.release.archive.sha256).await, "it was not kept");
    for seat in [&south, &town.north] {
        let answer = seat.get(ARCHIVE).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert_eq!(answer.problem().problem_type, ProblemType::NotFound);
    }
    wait_for_refusal(&town.north, "parcel 1.0.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_false_release_does_not_keep_an_archive_from_the_true_one() {
    let town = Town::found().await;
    let good = town.draft("letter", "1.0.0");
    log_unchecked(&town, good.signed(Key::Officer)).await;
    // A later entry gives the same archive as its own.
    let bad = false_release(&town, &good, "1.0.0");
    log_unchecked(&town, bad.signed(Key::Officer)).await;
    let south = town.join().await;
    put_blob(&town.north, &good.archive).await;
    let refusal = wait_for_refusal(&south, "parcel 1.0.0").await;
    assert!(
        refusal["peer"].as_str().unwrap().contains(&good.release.archive.sha256.to_string()),
        "{refusal}"
    );
    until("the mirror keeps it for the true one", || {
        south.registry().store.blob_path(&good.release.archive.sha256).is_file()
    })
    .await;
    for seat in [&south, &town.north] {
        let answer = seat.get("/bricks/north.example/letter/1.0.0/archive").await;
        assert_eq!((answer.status, &answer.body), (200, &good.archive));
        assert_eq!(seat.get(ARCHIVE).await.status, 404, "and not as the false one's");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_comes_for_another_entrys_sake_is_not_served_for_a_false_release() {
    let town = Town::found().await;
    let other = town.draft("letter", "1.0.0");
    let bad = false_release(&town, &other, "1.0.0");
    log_unchecked(&town, bad.signed(Key::Officer)).await;
    // As the reason of a status it is only a blob, and as good as any.
    let mut status = town.status("parcel", "1.0.0", ReleaseStatus::Deprecated);
    status.versions = vec![Version::parse("1.0.0").unwrap()];
    status.reason = Some(Blob::of(&other.archive));
    log_unchecked(&town, signed_status(status, Key::Officer)).await;
    let south = town.join().await;
    put_blob(&town.north, &other.archive).await;
    let blob = format!("/blobs/sha256/{}", other.release.archive.sha256);
    until("the mirror has the reason", || {
        south.registry().store.blob_path(&other.release.archive.sha256).is_file()
    })
    .await;
    assert_eq!(south.get(&blob).await.body, other.archive);
    for _ in 0..2 {
        let answer = south.get(ARCHIVE).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert!(answer.text().contains("contradicts"), "{}", answer.text());
    }
    wait_for_refusal(&south, "parcel 1.0.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_archive_is_not_served_and_comes_back_whole() {
    let town = Town::found().await;
    let (draft, _) = town.release("parcel", "1.0.0").await;
    let south = town.join().await;
    let store = &south.registry().store;
    let path = store.blob_path(&draft.release.archive.sha256);
    until("the mirror has the archive", || path.is_file()).await;
    let mut bytes = draft.archive.clone();
    bytes[30] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let answer = south.get(ARCHIVE).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    until("a sound copy is fetched", || std::fs::read(&path).is_ok_and(|bytes| bytes == draft.archive)).await;
    assert_eq!(south.get(ARCHIVE).await.body, draft.archive);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_refused_upload_left_is_swept_and_what_entries_name_stays() {
    let town = Town::found_with(|settings| {
        settings.patience.orphan = std::time::Duration::from_millis(300);
    })
    .await;
    let (kept, _) = town.release("parcel", "1.0.0").await;
    let mut refused = town.draft("parcel", "1.1.0");
    refused.release.license = "EUPL-1.2".into();
    let answer = town.north.publish(&refused.signed(Key::Officer), &[&refused.archive]).await;
    assert_eq!(answer.status, 422);
    let store = &town.north.registry().store;
    let orphan = store.blob_path(&refused.release.archive.sha256);
    until("the orphan is swept", || !orphan.exists()).await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert!(store.has_blob(&kept.release.archive.sha256).await);
    assert_eq!(town.north.get(ARCHIVE).await.body, kept.archive);
}

//! Many publish at once: one wins, and everybody is told the truth.

use std::collections::BTreeSet;

use brick_schemas::api::{EntryReceipt, ProblemType};
use brick_tlog::hash::leaf_hash;
use brick_tlog::note::Vkey;
use brick_tlog::proof::Proof;
use brickyard::admission::Sent;

use crate::http::Answer;
use crate::town::{Draft, Key, Town, vkey};

const CLIENTS: usize = 8;

/// Publishes every draft at the same time, each by a client of its own.
async fn publish_at_once(town: &Town, drafts: &[Draft]) -> Vec<Answer> {
    let entries: Vec<Vec<u8>> = drafts.iter().map(|draft| draft.signed(Key::Officer)).collect();
    let north = &town.north;
    let sent = drafts.iter().zip(&entries).map(|(draft, entry)| {
        let blobs = [draft.archive.as_slice()];
        async move { north.publish(entry, &blobs).await }
    });
    futures_util::future::join_all(sent).await
}

fn receipt(answer: &Answer) -> EntryReceipt {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// The head under which a receipt's proof holds for `entry`.
fn head_size(town: &Town, receipt: &EntryReceipt, entry: &[u8]) -> u64 {
    let log = Vkey::parse(&vkey(&town.body, Key::NorthLog)).unwrap();
    let proof = Proof::parse(receipt.proof.as_bytes()).unwrap();
    assert_eq!(proof.index, receipt.index);
    assert_eq!(proof.extra.as_deref(), Some(entry));
    proof.check(&leaf_hash(entry), &log).expect("the proof holds").checkpoint().size
}

async fn line_count(town: &Town, brick: &str) -> usize {
    town.north.get(&format!("/index/north.example/{brick}.jsonl")).await.text().lines().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_entry_from_eight_clients_is_logged_once_with_one_proof() {
    let town = Town::found().await;
    let before = town.north.newest(&town.body).size;
    let draft = town.draft("parcel", "1.0.0");
    let answers = publish_at_once(&town, &vec![draft.clone(); CLIENTS]).await;
    let receipts: Vec<EntryReceipt> = answers.iter().map(receipt).collect();
    let firsts = receipts.iter().filter(|receipt| !receipt.duplicate).count();
    assert_eq!(firsts, 1, "one of them logged it");
    let proofs: BTreeSet<(u64, &str)> = receipts.iter().map(|r| (r.index, r.proof.as_str())).collect();
    assert_eq!(proofs.len(), 1, "everybody has the same proof");
    assert_eq!(head_size(&town, &receipts[0], &draft.signed(Key::Officer)), before + 2);
    assert_eq!(town.north.newest(&town.body).size, before + 2, "the entry and its snapshot");
    let again = receipt(&town.north.publish(&draft.signed(Key::Officer), &[]).await);
    assert!(again.duplicate);
    assert_eq!(again.proof, receipts[0].proof, "sent again, without the archive");
    assert_eq!(line_count(&town, "parcel").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_logged_while_it_comes_a_second_time_is_no_conflict() {
    let town = Town::found().await;
    let registry = town.north.registry();
    let draft = town.draft("parcel", "1.0.0");
    let other = Draft::new(&draft.release.place, "north.example/parcel", "1.0.0", "[features]\nother = []\n");
    let [same, other] = [&draft, &other].map(|draft| {
        Sent::parse(registry, draft.signed(Key::Officer)).unwrap_or_else(|_| panic!("a well-formed entry"))
    });
    let looked = same.look(registry).await.unwrap_or_else(|_| panic!("the store answers"));
    assert_eq!(looked.receipt, None);
    receipt(&town.north.publish(&draft.signed(Key::Officer), &[&draft.archive]).await);
    assert!(same.admit(registry, &looked).await.is_ok(), "the sequencer tells it where it is");
    let looked = other.look(registry).await.unwrap_or_else(|_| panic!("the store answers"));
    assert!(other.admit(registry, &looked).await.is_err(), "another release of that version");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_archives_for_one_version_one_wins_and_seven_conflict() {
    let town = Town::found().await;
    let place = town.north.place(&town.body);
    let drafts: Vec<Draft> = (0..CLIENTS)
        .map(|at| Draft::new(&place, "north.example/parcel", "1.0.0", &format!("[features]\nf{at} = []\n")))
        .collect();
    let answers = publish_at_once(&town, &drafts).await;
    let winners: Vec<usize> = (0..CLIENTS).filter(|at| answers[*at].status == 200).collect();
    let [winner] = winners[..] else { panic!("{winners:?} won") };
    for (at, answer) in answers.iter().enumerate().filter(|(at, _)| *at != winner) {
        assert_eq!(answer.problem().problem_type, ProblemType::Conflict, "client {at}");
    }
    assert_eq!(town.north.newest(&town.body).size, place.basis.size + 2);
    let line = town.north.get("/index/north.example/parcel.jsonl").await.text();
    assert_eq!(line.lines().count(), 1);
    assert!(line.contains(&drafts[winner].release.archive.sha256.to_string()), "{line}");
    let entry = drafts[winner].signed(Key::Officer);
    let first = receipt(&answers[winner]);
    let again = receipt(&town.north.publish(&entry, &[&drafts[winner].archive]).await);
    assert_eq!((again.index, again.proof), (first.index, first.proof));
    assert!(again.duplicate && !first.duplicate);
    let served = town.north.get("/bricks/north.example/parcel/1.0.0/archive").await;
    assert_eq!(served.body, drafts[winner].archive);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_releases_at_once_all_find_a_place_of_their_own() {
    let town = Town::found().await;
    let place = town.north.place(&town.body);
    let drafts: Vec<Draft> = (0..CLIENTS)
        .map(|at| match at % 2 {
            0 => Draft::new(&place, "north.example/parcel", &format!("1.{at}.0"), ""),
            _ => Draft::new(&place, &format!("north.example/brick{at}"), "1.0.0", ""),
        })
        .collect();
    let answers = publish_at_once(&town, &drafts).await;
    let receipts: Vec<EntryReceipt> = answers.iter().map(receipt).collect();
    let places: BTreeSet<u64> = receipts.iter().map(|receipt| receipt.index).collect();
    assert_eq!(places.len(), CLIENTS);
    let end = town.north.newest(&town.body).size;
    for (receipt, draft) in receipts.iter().zip(&drafts) {
        assert!(!receipt.duplicate);
        let size = head_size(&town, receipt, &draft.signed(Key::Officer));
        assert!((place.basis.size..=end).contains(&size));
    }
    assert_eq!(line_count(&town, "parcel").await, CLIENTS / 2);
    let status = town.north.get("/api/v1/status").await.json();
    assert_eq!((&status["release_count"], &status["brick_count"]), (&8.into(), &5.into()));
    let metrics = town.north.get("/metrics").await.text();
    let batches = metrics.lines().find_map(|line| line.strip_prefix("brickyard_batches_total "));
    assert!(batches.is_some(), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_or_publishes_while_the_log_moves_is_answered() {
    let town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    let place = town.north.place(&town.body);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let (is_over, town) = (&is_over, &town);
    let paths = [
        "/index/north.example/parcel.jsonl",
        "/index/north.example/parcel.jsonl.proof",
        "/logs/north.example/snapshot",
        "/bricks/north.example/parcel/1.0.0/archive",
        "/bricks/north.example/parcel/1.0.0/proof",
        "/api/v1/search?q=parcel",
        "/api/v1/status",
        "/api/v1/publishers",
    ];
    let readers = paths.map(|path| async move {
        while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
            let answer = town.north.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
    });
    let publishers = (0..CLIENTS).map(|client| {
        let place = place.clone();
        async move {
            for number in 0..10 {
                let draft = Draft::new(&place, "north.example/parcel", &format!("2.{client}.{number}"), "");
                let answer = town.north.publish(&draft.signed(Key::Officer), &[&draft.archive]).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        }
    });
    let publishing = async {
        futures_util::future::join_all(publishers).await;
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(publishing, futures_util::future::join_all(readers));
    assert_eq!(line_count(town, "parcel").await, 10 * CLIENTS + 1);
}

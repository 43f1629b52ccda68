//! How is a peer followed? By one question while nothing is new, in portions when much is, and by git where nobody answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use brick_client::{Client, LogPath};
use brick_schemas::api::{HeadsList, LogHead};
use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{Digest, Origin};
use brick_tlog::checkpoint::Checkpoint;
use brickyard::Peer;

use crate::http::{LIMIT, get, get_with};
use crate::town::{BODY, NORTH, SOUTH, Seat, Town, until};

/// How often each address of a registry was asked for, by route.
async fn asked(seat: &Seat) -> BTreeMap<String, u64> {
    let mut asked = BTreeMap::new();
    for line in get(seat.at(), "/metrics").await.text().lines() {
        if let Some(labels) = line.strip_prefix("brickyard_requests_total{")
            && let Some((_, rest)) = labels.split_once("route=\"")
            && let Some((route, _)) = rest.split_once('"')
            && let Some((_, count)) = line.rsplit_once(' ')
        {
            *asked.entry(route.to_owned()).or_default() += count.parse::<f64>().unwrap() as u64;
        }
    }
    asked.remove("/metrics");
    asked
}

/// The sizes of the heads that a registry stored of a log.
async fn stops(seat: &Seat, log: &Origin) -> Vec<u64> {
    let store = &seat.registry().store;
    let log = seat.registry().head(log).expect("it is there").id;
    store.checkpoints_after(log, 0, 1_000).await.unwrap().iter().map(|head| head.size).collect()
}

async fn has_all(town: &Town, seat: &Seat) {
    until("everything is there", || {
        seat.registry().follow.notify_one();
        seat.registry().head(&town.body).is_some_and(|head| head.size == town.north.newest(&town.body).size)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_with_nothing_new_costs_one_question() {
    let town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    // It looks when it is told to.
    let mut south = town.follower(SOUTH, Peer::at(NORTH, &town.north_url()), |settings| {
        settings.sync_interval = Duration::from_secs(3_600);
    });
    south.start().await;
    has_all(&town, &south).await;
    let mut before = asked(&town.north).await;
    let mut quiet = 0;
    while quiet < 3 {
        let heads = before.get("/api/v1/heads").copied().unwrap_or_default();
        south.registry().follow.notify_one();
        let mut now = asked(&town.north).await;
        while now.get("/api/v1/heads").copied().unwrap_or_default() == heads {
            tokio::time::sleep(Duration::from_millis(20)).await;
            now = asked(&town.north).await;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        now = asked(&town.north).await;
        let expected = {
            let mut expected = before.clone();
            *expected.entry("/api/v1/heads".to_owned()).or_default() += 1;
            expected
        };
        // The first rounds may still find a cosignature, or ask how far a log was seen.
        quiet = if now == expected { quiet + 1 } else { 0 };
        before = now;
    }
    assert!(!before.contains_key("/git/info/refs"), "nobody fetched: {before:?}");
    south.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_of_heads_is_the_same_until_a_head_moves() {
    let town = Town::found().await;
    let first = get(town.north.at(), "/api/v1/heads").await;
    let etag = first.header("etag").expect("an ETag").to_owned();
    assert!(etag.starts_with('"'), "a strong one: {etag}");
    let list: HeadsList = serde_json::from_slice(&first.body).unwrap();
    let paths: Vec<&str> = list.heads.iter().map(|head| head.path.as_str()).collect();
    assert_eq!(paths, ["commons", &format!("logs/{BODY}")]);
    for LogHead { path, size, note } in &list.heads {
        let shown = get(town.north.at(), &format!("/api/v1/checkpoint?path={path}")).await;
        assert!(Digest::of(&shown.body).to_string().starts_with(note), "{path}");
        let parsed = brick_tlog::note::Note::parse(&shown.body).unwrap();
        assert_eq!(Checkpoint::parse(&parsed.text).unwrap().size, *size, "{path}");
    }
    let same = get_with(town.north.at(), "/api/v1/heads", &format!("if-none-match: {etag}\r\n")).await;
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, Some(etag.as_str())));
    town.release("parcel", "1.0.0").await;
    let other = get_with(town.north.at(), "/api/v1/heads", &format!("if-none-match: {etag}\r\n")).await;
    assert_eq!(other.status, 200);
    assert_ne!(other.header("etag"), Some(etag.as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_heads_that_a_log_went_through_can_be_asked_for() {
    let town = Town::found().await;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        town.release("parcel", version).await;
    }
    let newest = town.north.newest(&town.body).size;
    assert_eq!(stops(&town.north, &town.body).await, [1, 3, 5, 7]);
    let client = Client::new(&town.north_url()).unwrap();
    let log = LogPath::parse(&format!("logs/{BODY}")).unwrap();
    for (at_most, size) in [
        (None, Some(newest)),
        (Some(u64::MAX), Some(newest)),
        (Some(6), Some(5)),
        (Some(5), Some(5)),
        (Some(1), Some(1)),
        (Some(0), None),
    ] {
        let note = client.signed_head(&log, at_most).await.unwrap();
        let found = note.map(|note| Checkpoint::parse(&note.text).unwrap().size);
        assert_eq!(found, size, "{at_most:?}");
    }
    let at = town.north.at();
    for (query, status) in [
        ("path=logs/nobody.example", 404),
        ("path=logs/../commons", 404),
        ("path=elsewhere", 400),
        ("at_most=3", 400),
        ("path=commons&at_most=-1", 400),
        ("path=commons&at_most=99999999999999999999", 400),
    ] {
        let answer = get(at, &format!("/api/v1/checkpoint?{query}")).await;
        assert_eq!(answer.problem().status, status, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_way_is_taken_in_portions_that_end_at_signed_heads() {
    let town = Town::found().await;
    for minor in 0..10 {
        town.release("parcel", &format!("1.{minor}.0")).await;
    }
    // Every head of the body's log has two leaves more than the one before, the first one leaf.
    for (leaves, expected) in [
        (4, vec![3, 7, 11, 15, 19, 21]),
        (5, vec![5, 9, 13, 17, 21]),
        // None within so few: the next one then.
        (1, vec![1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21]),
        (21, vec![21]),
    ] {
        let id = format!("registry.portions{leaves}.example");
        let mut south = town.follower(&id, Peer::at(NORTH, &town.north_url()), |settings| {
            settings.portions.leaves = leaves;
        });
        south.start().await;
        has_all(&town, &south).await;
        assert_eq!(stops(&south, &town.body).await, expected, "{leaves} at a time");
        let index = "/index/north.example/parcel.jsonl";
        assert_eq!(south.get(index).await.body, town.north.get(index).await.body);
        town.projected(&south).await;
        south.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portion_ends_where_there_are_bytes_enough() {
    let town = Town::found().await;
    for patch in 0..130 {
        town.release(&format!("parcel{}", patch % 10), &format!("1.0.{patch}")).await;
    }
    let mut south = town.follower(SOUTH, Peer::at(NORTH, &town.north_url()), |settings| {
        settings.portions.bytes = 1;
    });
    south.start().await;
    has_all(&town, &south).await;
    // A bundle, the least that can be asked for, and the last head before its end.
    assert_eq!(stops(&south, &town.body).await, [255, 261]);
    south.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_goes_on_from_what_its_portions_leave_and_its_archives_come_afterwards() {
    let town = Town::found().await;
    for patch in 0..130 {
        let brick = format!("parcel{}", patch % 10);
        town.release(&brick, &format!("1.0.{patch}")).await;
        // Lines of portions before change, and more releases follow.
        if patch % 40 == 39 {
            town.set_status(&brick, &format!("1.0.{}", patch % 10), ReleaseStatus::Deprecated).await;
        }
    }
    // The lines that a status changes must be stored: those of the leaves up to 63, 159 and 223. Towards the end less is stored
    // together, and what is stored with others depends on how long those take.
    for (id, stored, expected, others) in [
        ("registry.each.example", 1, vec![63, 95, 127, 159, 191, 223, 255, 267], vec![]),
        ("registry.some.example", 60, vec![63, 159, 223, 267], vec![95, 127, 191, 255]),
        (SOUTH, 1_000, vec![63, 159, 223, 255, 267], vec![]),
    ] {
        let mut south = town.follower(id, Peer::at(NORTH, &town.north_url()), |settings| {
            (settings.portions.leaves, settings.portions.stored) = (32, stored);
        });
        south.start().await;
        has_all(&town, &south).await;
        let mut stops = stops(&south, &town.body).await;
        stops.retain(|stop| !others.contains(stop));
        assert_eq!(stops, expected, "stored after {stored}");
        for brick in 0..10 {
            let index = format!("/index/north.example/parcel{brick}.jsonl");
            assert_eq!(south.get(&index).await.body, town.north.get(&index).await.body, "{index}");
        }
        let begun = Instant::now();
        while let Some(missing) = south.registry().store.missing_blobs(None, 1).await.unwrap().pop() {
            assert!(begun.elapsed() < LIMIT, "{} does not come", missing.sha256);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        south.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_goes_on_where_it_was_stored() {
    let town = Town::found().await;
    town.release("parcel0", "0.1.0").await;
    let mut south = town.follower(SOUTH, Peer::at(NORTH, &town.north_url()), |settings| {
        settings.portions.leaves = 32;
    });
    south.start().await;
    has_all(&town, &south).await;
    south.stop().await;
    for patch in 0..135 {
        // Bricks that are there, and later ones of which the store has to be asked again.
        let brick = if patch < 70 { patch % 3 } else { 3 + patch % 3 };
        town.release(&format!("parcel{brick}"), &format!("1.0.{patch}")).await;
    }
    south.start().await;
    has_all(&town, &south).await;
    // What is known need not be stored before more is walked; what the store is asked for must be. The last portions are stored by
    // themselves where those before are.
    let mut stops = stops(&south, &town.body).await;
    stops.retain(|stop| ![227, 259].contains(stop));
    assert_eq!(stops, [3, 99, 131, 195, 273]);
    for brick in 0..6 {
        let index = format!("/index/north.example/parcel{brick}.jsonl");
        assert_eq!(south.get(&index).await.body, town.north.get(&index).await.body, "{index}");
    }
    south.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_only_a_repository_is_followed_by_git() {
    let town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    town.projected(&town.north).await;
    let git = format!("{}/git", town.north_url());
    let rows = [
        ("no address", None, git.clone()),
        // Static files of somebody else's, or an older registry: it does not know the list.
        ("an address that knows no list", Some(format!("{}/logs", town.north_url())), git.clone()),
        ("an address where nobody is", Some("http://127.0.0.1:9".to_owned()), git),
    ];
    for (at, (name, url, git)) in rows.into_iter().enumerate() {
        let before = asked(&town.north).await;
        let id = format!("registry.git{at}.example");
        let peer = Peer { name: "a repository".to_owned(), url, git };
        let mut south = town.follower(&id, peer, |_| {});
        south.start().await;
        has_all(&town, &south).await;
        let now = asked(&town.north).await;
        let count = |asked: &BTreeMap<String, u64>| asked.get("/git/info/refs").copied().unwrap_or_default();
        assert!(count(&now) > count(&before), "{name}: {now:?}");
        south.stop().await;
    }
}

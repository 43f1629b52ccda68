//! What lists say of a brick whose releases have different standing.

use brick_schemas::Origin;
use brick_schemas::predicate::status::ReleaseStatus::{self, *};
use brick_schemas::predicate::{Publisher, PublisherStatus};

use crate::town::{Draft, Key, SOUTH, Town, publisher, until, vkey};

/// What the search shows of `parcel`: version and status.
async fn shown(town: &Town, path: &str) -> Vec<(String, String)> {
    let answer = town.north.get(path).await.json();
    let bricks = answer["bricks"].as_array().unwrap().iter();
    bricks
        .filter(|brick| brick["name"] == "north.example/parcel")
        .map(|brick| {
            (brick["version"].as_str().unwrap().to_owned(), brick["status"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brick_is_shown_by_its_newest_release_that_may_be_newly_used() {
    let town = Town::found().await;
    for version in ["1.0.0", "2.0.0", "1.5.0", "3.0.0-rc.1"] {
        town.release("parcel", version).await;
    }
    town.release("letter", "1.0.0").await;
    // In the order in which it happens: what becomes of which release, and what is shown then.
    let rows: [(&str, ReleaseStatus, &str, &str); 12] = [
        ("2.0.0", Active, "2.0.0", "active"),
        ("2.0.0", Yanked, "1.5.0", "active"),
        ("1.5.0", Deprecated, "1.5.0", "deprecated"),
        ("1.5.0", Withdrawn, "1.0.0", "active"),
        ("1.0.0", Yanked, "3.0.0-rc.1", "active"),
        ("3.0.0-rc.1", Yanked, "2.0.0", "yanked"),
        ("2.0.0", Withdrawn, "2.0.0", "withdrawn"),
        ("1.0.0", Active, "1.0.0", "active"),
        ("1.0.0", Withdrawn, "2.0.0", "withdrawn"),
        ("3.0.0-rc.1", Active, "3.0.0-rc.1", "active"),
        ("2.0.0", Deprecated, "2.0.0", "deprecated"),
        ("2.0.0", Active, "2.0.0", "active"),
    ];
    for (at, (version, status, newest, standing)) in rows.into_iter().enumerate() {
        if at > 0 {
            town.set_status("parcel", version, status).await;
        }
        for path in ["/api/v1/search?q=north.example/par", "/api/v1/search?q=parcel", "/api/v1/bricks"] {
            let expected = vec![(newest.to_owned(), standing.to_owned())];
            assert_eq!(shown(&town, path).await, expected, "row {at}, {path}");
        }
    }
    let summary = town.north.get("/api/v1/search?q=parcel").await.json();
    assert_eq!(summary["bricks"][0]["release_count"], 4, "those that are yanked count too");
    assert_eq!(summary["bricks"][0]["text"]["en"]["title"], "The parcel");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_follow_one_another_without_gap_or_repetition() {
    let town = Town::found().await;
    for brick in ["aa", "ab", "ac", "b", "c-1", "c-2", "zz"] {
        town.release(brick, "1.0.0").await;
    }
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = town.north.get(&format!("/api/v1/bricks?limit=2{cursor}")).await.json();
        names.extend(
            page["bricks"].as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        assert!(names.len() <= 8, "{names:?}");
    }
    let expected = ["aa", "ab", "ac", "b", "c-1", "c-2", "zz"].map(|brick| format!("north.example/{brick}"));
    assert_eq!(names, expected);
    for strange in ["?limit=x", "?limit=-1", "?cursor=NOT%20A%20NAME", "?cursor=a"] {
        let answer = town.north.get(&format!("/api/v1/bricks{strange}")).await;
        assert_eq!(answer.status, 400, "{strange}: {}", answer.text());
        answer.problem();
    }
    let publishers = town.north.get("/api/v1/publishers").await.json();
    let ids: Vec<&str> =
        publishers["publishers"].as_array().unwrap().iter().filter_map(|p| p["id"].as_str()).collect();
    assert_eq!(ids, ["away.example", "north.example"]);
    assert_eq!(publishers["publishers"][1]["brick_count"], 7);
    let active = serde_json::to_value(PublisherStatus::Active).unwrap();
    assert_eq!(publishers["publishers"][1]["status"], active);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_never_had_a_quorum_is_listed_as_it_is_served() {
    // Whose witness does not run cannot be asked how far it saw a log either.
    let town = Town::found_with(|settings| settings.catch_up_answers = Some(0)).await;
    // A witness that does not run: from now on no head gets its quorum.
    town.admit_registry(SOUTH, SOUTH, Key::SouthLog, Key::SouthWitness, "http://127.0.0.1:9").await;
    let origin = Origin::of_publisher(&publisher("late.example"));
    town.record(Publisher {
        id: publisher("late.example"),
        vkey: vkey(&origin, Key::NorthLog),
        origin: origin.clone(),
        ..town.body_record(0)
    })
    .await;
    until("its log is open", || town.north.registry().head(&origin).is_some()).await;
    let draft = Draft::new(&town.north.place(&origin), "late.example/parcel", "1.0.0", "");
    let answer = town.north.publish(&draft.signed(Key::Officer), &[&draft.archive]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(town.north.get("/index/late.example/parcel.jsonl").await.status, 200);
    for path in ["/api/v1/search?q=late.example/", "/api/v1/search?q=parcel", "/api/v1/bricks"] {
        let found = town.north.get(path).await.json();
        assert_eq!(found["bricks"][0]["name"], "late.example/parcel", "{path}: {found}");
    }
}

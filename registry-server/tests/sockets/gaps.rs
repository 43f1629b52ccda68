//! After a gap: what a restored backup or a stale copy forgot is learnt from the others before anything is signed again.

use std::path::Path;
use std::time::{Duration, Instant};

use brick_store::{copy_store, restore_store};
use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::cosignature::verify_cosignatures;
use brick_tlog::note::{Algorithm, KeyName, Note, Vkey};
use brick_tlog::tree::check_consistency;
use brick_tlog::witness::{AddCheckpoint, log_id};
use brickyard::nodes::Nodes;
use brickyard::{Registry, Settings};

use crate::checking::copy;
use crate::http::{ask, get, post};
use crate::town::{BODY, Draft, EAST, Key, SOUTH, Seat, Town, publisher, until};

/// How a registry comes to have forgotten something.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Gap {
    /// `brickyard backup`, then `brickyard restore`.
    Backup,
    /// The whole folder as it lay while the registry had stopped, git and all, put back without a word.
    StaleCopy,
}

/// Three registries: the home of the body's log, and two that mirror and cosign it.
async fn three() -> (Town, Seat, Seat) {
    let town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    let south = town.join().await;
    let east = town.admit_mirror(EAST, Key::EastLog, Key::EastWitness, |_| {}).await;
    settle(&town, [&south, &east]).await;
    (town, south, east)
}

/// Waits until all show the newest heads with a quorum, and both witnesses have cosigned the body's.
async fn settle(town: &Town, mirrors: [&Seat; 2]) {
    // Whoever was asked in vain while another was away waits longer each time before asking again.
    let deadline = Instant::now() + 4 * crate::http::LIMIT;
    let size = town.north.newest(&town.body).size;
    for mirror in mirrors {
        while mirror.registry().head(&town.body).is_none_or(|head| head.shown_size != size) {
            assert!(
                Instant::now() < deadline,
                "a mirror shows the newest head: {:?}",
                mirror.registry().catching_up(false)
            );
            mirror.registry().follow.notify_one();
            town.north.registry().ask_witnesses.notify_one();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while mirror.registry().store.witness_state(&town.body).await.unwrap().is_none_or(|s| s.size != size)
        {
            assert!(Instant::now() < deadline, "a mirror cosigns the newest head");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn move_away(data: &Path, to: &Path) {
    std::fs::rename(data, to).unwrap();
}

/// Whether a witness gives a cosignature on the newest head of `home`, whichever size it is asked from.
async fn cosigns(home: &Registry, town: &Town, witness: &Seat) -> bool {
    let head = home.head(&town.body).expect("it has the log");
    let checkpoint = Checkpoint::parse(&Note::parse(&head.newest).unwrap().text).unwrap();
    let note = sign_checkpoint(&checkpoint, &Key::NorthLog.signing());
    let mut old = 0;
    for _ in 0..2 {
        if old > checkpoint.size {
            return false;
        }
        let proof = match old {
            0 => Vec::new(),
            _ => Nodes::new(&home.store, head.id).consistency(old, checkpoint.size).await.unwrap(),
        };
        let request = AddCheckpoint::new(old, proof, note.clone()).unwrap().to_string();
        let answer =
            ask(witness.at(), post("/witness/add-checkpoint", "text/plain", request.as_bytes())).await;
        match answer.status {
            200 => return true,
            409 => old = answer.text().trim().parse().unwrap(),
            _ => return false,
        }
    }
    false
}

/// Every head of the body's log that bears South's cosignature in a store.
async fn cosigned_by_south(store: &brick_store::Store, town: &Town) -> Vec<Checkpoint> {
    let name = KeyName::new(format!("{SOUTH}/witness")).unwrap();
    let vkey = Vkey::of(name, Algorithm::CosignatureV1, &Key::SouthWitness.signing());
    let log = store.log(&town.body).await.unwrap().unwrap().id;
    let mut found = Vec::new();
    for size in store.cosigned_sizes(log).await.unwrap() {
        let head = store.checkpoint(log, size).await.unwrap().unwrap();
        for row in store.cosignatures(log, size).await.unwrap() {
            let note = Note::parse(&[&head.note[..], row.line.as_bytes()].concat()).unwrap();
            if !verify_cosignatures(&note, std::slice::from_ref(&vkey)).unwrap().is_empty() {
                found.push(Checkpoint::parse(&note.text).unwrap());
            }
        }
    }
    found.dedup();
    found
}

/// A registry that asks nobody, follows nobody and signs on from wherever it is.
fn careless(settings: &Settings, data: &Path) -> Settings {
    let mut careless = Settings { data: data.to_owned(), ..settings.clone() };
    careless.catch_up_answers = Some(0);
    careless.patience.own_heads = Duration::from_nanos(1);
    careless.patience.fetch = Duration::from_nanos(1);
    careless
}

/// The witness's side: while it has forgotten its newest cosignatures, the log's home offers it a second history.
async fn a_home_that_forks(gap: Gap, rounds: u32) {
    let (mut town, mut south, east) = three().await;
    let (north_data, south_data) = (town.north.settings.data.clone(), south.settings.data.clone());
    for round in 1..=rounds {
        let aside = town.dir.path().join(format!("round{round}"));
        std::fs::create_dir(&aside).unwrap();
        let (old, fork) = (aside.join("old"), aside.join("fork"));
        match gap {
            Gap::Backup => drop(copy_store(&south_data, &old).await.unwrap()),
            Gap::StaleCopy => {
                south.stop().await;
                copy(&south_data, &old);
                south.start().await;
            }
        }
        copy_store(&north_data, &fork).await.unwrap();
        // The history that everybody has seen, South among them.
        town.release("parcel", &format!("1.{round}.0")).await;
        settle(&town, [&south, &east]).await;
        let seen = town.north.newest(&town.body);

        south.stop().await;
        move_away(&south_data, &aside.join("lost"));
        match gap {
            Gap::Backup => drop(restore_store(&old, &south_data, 1).await.unwrap()),
            Gap::StaleCopy => move_away(&old, &south_data),
        }
        // The same home, the same key, other leaves where South does not remember any.
        town.north.stop().await;
        let honest = town.north.settings.clone();
        town.north.settings = careless(&honest, &fork);
        town.north.start().await;
        for version in ["a", "b"] {
            town.release("parcel", &format!("2.{round}.0-{version}")).await;
        }
        let forked = town.north.newest(&town.body);
        assert!(forked.size > seen.size, "round {round}: the second history is the longer one");
        town.projected(&town.north).await;

        south.start().await;
        let state = south.registry().store.witness_state(&town.body).await.unwrap().unwrap();
        assert!(state.size < seen.size, "round {round}: it has forgotten");
        let until = Instant::now() + Duration::from_millis(1_500);
        while Instant::now() < until {
            assert!(
                !cosigns(&town.north.registry_arc(), &town, &south).await,
                "round {round}: South cosigned a fork"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let forged = cosigned_by_south(&town.north.registry().store, &town).await;
        assert!(
            forged.iter().all(|head| head.size < seen.size),
            "round {round}: South's cosignature stands on {forged:?}"
        );
        let kept = south.registry().store.evidence().await.unwrap();
        assert!(!kept.is_empty(), "round {round}: both heads are kept");

        // Honest again, with what it had.
        town.north.stop().await;
        town.north.settings = Settings { listen: town.north.settings.listen, ..honest };
        town.north.start().await;
        until_published(&town, &format!("1.{round}.1"), round).await;
        settle(&town, [&south, &east]).await;
        let newest = south.newest(&town.body);
        let log = south.registry().head(&town.body).unwrap().id;
        let path =
            Nodes::new(&south.registry().store, log).consistency(seen.size, newest.size).await.unwrap();
        check_consistency(seen.size, newest.size, &seen.root, &newest.root, &path)
            .unwrap_or_else(|err| panic!("round {round}: South follows another history: {err}"));
        std::fs::remove_dir_all(&aside).unwrap();
    }
    println!("{rounds} rounds, {gap:?}: no fork cosigned, the same history each time");
}

/// Publishes as soon as the home lets it.
async fn until_published(town: &Town, version: &str, round: u32) {
    let deadline = Instant::now() + crate::http::LIMIT;
    loop {
        let draft = Draft::new(&town.north.place(&town.body), &format!("{BODY}/letter"), version, "");
        let answer = town.north.publish(&draft.signed(Key::Officer), &[&draft.archive]).await;
        if answer.status == 200 {
            return;
        }
        assert!(matches!(answer.status, 409 | 503), "round {round}: {}", answer.text());
        assert!(Instant::now() < deadline, "round {round}: {}", answer.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The home's side: it signs nothing while nobody answers it, and then what the others have comes first.
async fn a_home_that_forgot(gap: Gap, rounds: u32) {
    let mut town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    let mut south = town.join().await;
    let data = town.north.settings.data.clone();
    for round in 1..=rounds {
        let aside = town.dir.path().join(format!("round{round}"));
        std::fs::create_dir(&aside).unwrap();
        let old = aside.join("old");
        match gap {
            Gap::Backup => drop(copy_store(&data, &old).await.unwrap()),
            Gap::StaleCopy => {
                town.north.stop().await;
                copy(&data, &old);
                town.north.start().await;
                until_published(&town, &format!("0.{round}.0"), round).await;
            }
        }
        until_published(&town, &format!("1.{round}.0"), round).await;
        town.settle(&south).await;
        let seen = town.north.newest(&town.body);
        town.north.stop().await;
        south.stop().await;
        move_away(&data, &aside.join("lost"));
        match gap {
            Gap::Backup => drop(restore_store(&old, &data, 1).await.unwrap()),
            Gap::StaleCopy => move_away(&old, &data),
        }
        town.north.start().await;
        let before = town.north.newest(&town.body);
        assert!(before.size < seen.size, "round {round}: it has forgotten");
        let draft =
            Draft::new(&town.north.place(&town.body), &format!("{BODY}/stamp"), &format!("1.{round}.0"), "");
        let alone = Instant::now() + Duration::from_millis(700);
        while Instant::now() < alone {
            let answer = town.north.publish(&draft.signed(Key::Officer), &[&draft.archive]).await;
            assert_eq!(answer.status, 503, "round {round}: signed with nobody to ask: {}", answer.text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(town.north.newest(&town.body).size, before.size, "round {round}: nothing was signed");
        let ready = get(town.north.at(), "/readyz").await;
        assert!(ready.status == 503 && ready.text().contains("0 of 1"), "round {round}: {}", ready.text());
        south.start().await;
        until_published(&town, &format!("2.{round}.0"), round).await;
        let newest = town.north.newest(&town.body);
        assert!(newest.size > seen.size, "round {round}: what came after is back");
        let log = town.north.registry().head(&town.body).unwrap().id;
        let path =
            Nodes::new(&town.north.registry().store, log).consistency(seen.size, newest.size).await.unwrap();
        check_consistency(seen.size, newest.size, &seen.root, &newest.root, &path)
            .unwrap_or_else(|err| panic!("round {round}: a second history: {err}"));
        town.settle(&south).await;
        for seat in [&town.north, &south] {
            assert!(seat.registry().store.evidence().await.unwrap().is_empty(), "round {round}");
        }
        std::fs::remove_dir_all(&aside).unwrap();
    }
    println!("{rounds} rounds, {gap:?}: nothing signed alone, the same history each time");
}

/// Rounds of each of the four kinds; `BRICK_GAP_ROUNDS=20` for the long form.
fn rounds() -> u32 {
    std::env::var("BRICK_GAP_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_restored_from_a_backup_cosigns_no_second_history() {
    a_home_that_forks(Gap::Backup, rounds()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_on_a_stale_copy_cosigns_no_second_history() {
    a_home_that_forks(Gap::StaleCopy, rounds()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_restored_from_a_backup_signs_nothing_while_it_is_alone() {
    a_home_that_forgot(Gap::Backup, rounds()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_on_a_stale_copy_signs_nothing_while_it_is_alone() {
    a_home_that_forgot(Gap::StaleCopy, rounds()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_says_that_it_is_catching_up_and_remembers_what_it_finds_of_its_own() {
    let (mut town, mut south, mut east) = three().await;
    let data = south.settings.data.clone();
    let old = town.dir.path().join("old");
    copy_store(&data, &old).await.unwrap();
    town.release("parcel", "1.1.0").await;
    settle(&town, [&south, &east]).await;
    let seen = town.north.newest(&town.body);
    for seat in [&mut south, &mut east] {
        seat.stop().await;
    }
    move_away(&data, &town.dir.path().join("lost"));
    restore_store(&old, &data, 1).await.unwrap();
    south.start().await;
    // The home answers; the only other mirror does not.
    until("it has asked", || !south.registry().catching_up(false).is_empty()).await;
    let deadline = Instant::now() + crate::http::LIMIT;
    loop {
        let status = south.get("/api/v1/sync").await.json();
        if status["catching_up"].to_string().contains("0 of 1 other") {
            break;
        }
        assert!(Instant::now() < deadline, "{status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!cosigns(&town.north.registry_arc(), &town, &south).await);
    let id = log_id(&Registry::log_key_name(&town.body));
    let last = south.get(&format!("/witness/{id}/checkpoint")).await;
    assert_eq!(last.status, 200, "reading goes on");
    east.start().await;
    until("it has caught up", || south.registry().is_caught_up(&town.body)).await;
    let state = south.registry().store.witness_state(&town.body).await.unwrap().unwrap();
    assert!(state.size >= seen.size, "its own cosignature at the others raised what it remembers");
    settle(&town, [&south, &east]).await;
    until("nothing is left to catch up with", || south.registry().catching_up(false).is_empty()).await;
    let deadline = Instant::now() + crate::http::LIMIT;
    while south.registry().store.meta_get(brick_store::RESTORED).await.unwrap() != Some(Vec::new()) {
        assert!(Instant::now() < deadline, "the note of the restore goes when all is caught up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(publisher(SOUTH), south.settings.id);
    town.north.stop().await;
}

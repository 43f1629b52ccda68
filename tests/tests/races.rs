//! Who wins when many publish the same thing at once? One, and everybody is told the truth. See `docs/faults.md`.
//!
//! `BRICK_RACE_RELEASES=2000` makes the long form.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brick_client::AskError;
use brick_schemas::api::{EntryReceipt, ProblemType};
use brick_schemas::predicate::Place;
use brick_schemas::{Digest, FullName};
use brick_tests::content::Content;
use brick_tests::faults::ledger::Sent;
use brick_tests::faults::load::{Lane, send};
use brick_tests::faults::scene::Scene;
use brick_tests::faults::{asked, told};
use brick_tests::random::Random;

const CLIENTS: usize = 32;
/// Clients that want one version at the same time, where they do.
const RIVALS: usize = 4;
/// Releases of one brick.
const VERSIONS: usize = 16;
const ARCHIVE_BYTES: usize = 1_500;
/// Wait of a client that is told to come again.
const WHEN_BUSY: Duration = Duration::from_millis(30);

/// How a version is published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// By one.
    Alone,
    /// The same entry by several.
    Duplicate,
    /// Other archives by several.
    Race,
    /// Other archives by several, each of them twice.
    RaceOfDuplicates,
}

/// One publish: which version it is for, and what is sent.
struct Attempt {
    version: usize,
    sent: Sent,
}

/// The number of an attempt, and what came of it.
type Answered = (usize, Result<EntryReceipt, AskError>);

fn sent(lane: &Lane, place: &Place, version: usize, variant: usize) -> Sent {
    let (number, round) = (version / VERSIONS, version % VERSIONS);
    let bytes = ARCHIVE_BYTES + 16 * variant;
    let content = Content::of(&lane.name, "raced-", number, round, bytes);
    let entry = content.entry(place, &lane.officer).to_vec();
    let name = FullName::parse(&format!("{}/{}", lane.name, content.brick)).expect("two names");
    let (sha256, version) = (Digest::of(&content.archive), content.version);
    let archive = content.archive;
    Sent { publisher: 0, name, version, entry, archive, sha256, index: None, is_held: false }
}

fn kind(version: usize) -> Kind {
    [Kind::Alone, Kind::Duplicate, Kind::Race, Kind::RaceOfDuplicates][version % 4]
}

/// Every publish of every version, rivals close to each other.
fn attempts(lane: &Lane, place: &Place, versions: usize, random: &mut Random) -> Vec<Attempt> {
    let mut all: Vec<(u64, Attempt)> = Vec::new();
    for version in 0..versions {
        let variants: Vec<usize> = match kind(version) {
            Kind::Alone => vec![0],
            Kind::Duplicate => vec![0; RIVALS],
            Kind::Race => (0..RIVALS).collect(),
            Kind::RaceOfDuplicates => (0..RIVALS).map(|rival| rival / 2).collect(),
        };
        for variant in variants {
            // As many as there are clients change places.
            let order = version as u64 * 2 + random.below(CLIENTS as u64);
            all.push((order, Attempt { version, sent: sent(lane, place, version, variant) }));
        }
    }
    all.sort_by_key(|(order, _)| *order);
    all.into_iter().map(|(_, attempt)| attempt).collect()
}

#[test]
fn of_many_that_publish_one_version_one_wins_and_everybody_is_told_so() {
    let versions = usize::try_from(asked("BRICK_RACE_RELEASES", 300)).expect("a small number");
    let mut scene = Scene::found(&["registry.north.example"], 1, 1);
    scene.start(0);
    let client = scene.client(0);
    let place = scene.federation.block_on(scene.lanes[0].place(&client)).expect("the head of the log");
    let (mut random, _) = Random::new();
    let attempts = Arc::new(attempts(&scene.lanes[0], &place, versions, &mut random));
    let (next, busy) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (attempts, next, busy) = (attempts.clone(), next.clone(), busy.clone());
            let client = scene.client(0);
            scene.federation.handle().spawn(async move {
                let mut answers = Vec::new();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(attempt) = attempts.get(at) else { return answers };
                    let answer = loop {
                        match send(&client, &attempt.sent).await {
                            Err(AskError::Problem { status: 429 | 503, .. }) => {
                                busy.fetch_add(1, Ordering::Relaxed);
                                tokio::time::sleep(WHEN_BUSY).await;
                            }
                            answer => break answer,
                        }
                    };
                    answers.push((at, answer));
                }
            })
        })
        .collect();
    let mut answers: BTreeMap<usize, Vec<Answered>> = BTreeMap::new();
    for client in clients {
        for (at, answer) in scene.federation.block_on(client).expect("a client does not panic") {
            answers.entry(attempts[at].version).or_default().push((at, answer));
        }
    }
    let took = began.elapsed();
    let (mut duplicates, mut conflicts) = (0, 0);
    let mut losers = Vec::new();
    for (version, answers) in &answers {
        let mut winner: Option<(Digest, u64)> = None;
        let mut firsts = 0;
        for (at, answer) in answers {
            let sent = &attempts[*at].sent;
            match answer {
                Ok(receipt) => {
                    let place = (sent.sha256, receipt.index);
                    assert_eq!(*winner.get_or_insert(place), place, "two won {} {}", sent.name, sent.version);
                    firsts += usize::from(!receipt.duplicate);
                    duplicates += usize::from(receipt.duplicate);
                    let noted = scene.ledger.sent.len();
                    scene.ledger.sent.push(sent.clone());
                    scene.ledger.acknowledge(noted, receipt);
                    // One of each is held against the log in the end.
                    if receipt.duplicate {
                        scene.ledger.sent.pop();
                    }
                }
                Err(AskError::Problem { problem, .. }) if problem.problem_type == ProblemType::Conflict => {
                    let detail = problem.detail.clone().unwrap_or_default();
                    assert!(detail.contains(&sent.version.to_string()), "it says which version: {detail}");
                    conflicts += 1;
                    losers.push(sent.clone());
                }
                Err(err) => panic!("{} {}: {err}", sent.name, sent.version),
            }
        }
        assert_eq!(firsts, 1, "version {version}, {:?}: one is told that it was first", kind(*version));
        let is_race = matches!(kind(*version), Kind::Race | Kind::RaceOfDuplicates);
        let lost = answers.iter().filter(|(_, answer)| answer.is_err()).count();
        assert_eq!(lost > 0, is_race, "version {version}, {:?}", kind(*version));
    }
    assert_eq!((answers.len(), scene.ledger.acknowledged()), (versions, versions));
    scene.close();
    for loser in &losers {
        assert_eq!(scene.ledger.logs[0].places(&loser.entry), [] as [u64; 0], "a loser is not in the log");
    }
    told(&format!(
        "races: {CLIENTS} clients, {} publishes for {versions} releases in {:.1} s: each logged once; {duplicates} duplicates \
         given the same place, {conflicts} conflicts, {} told to come again",
        attempts.len(),
        took.as_secs_f64(),
        busy.load(Ordering::Relaxed),
    ));
}

//! What is refused in a stretch of a log, and at which step: each check that needs more than one leaf.

use brick_index::fold::{Fold, Loaded};
use brick_index::replay::{Before, check_leaf, replay};
use brick_schemas::predicate::publisher::PublisherKey;
use brick_schemas::predicate::{Place, Predicate, ReleaseStatus, Right, Statement};
use brick_schemas::{Digest, Origin};
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::{BucketTree, SnapshotLeaf};
use brick_trust::{Entry, Envelope, Refused, Step};

use crate::chronicle::Chronicle;
use crate::support::{OFFICER, PUBLISHER, STRANGER, World, entry, key, public, publisher, release, status};

const BINS: &str = "northshire.example/bins";

/// A log with a release and its snapshot.
fn begun() -> Chronicle {
    let mut chronicle = Chronicle::new();
    chronicle.release("bins", "1.0.0");
    chronicle.snapshot();
    chronicle
}

fn place(chronicle: &Chronicle) -> Place {
    chronicle.log.place(&chronicle.origin)
}

fn released(place: Place, brick: &str, vers: &str) -> Vec<u8> {
    entry(Predicate::Release(Box::new(release(place, brick, vers))), &[OFFICER])
}

fn with_status(place: Place, brick: &str, versions: &[&str], to: ReleaseStatus) -> Vec<u8> {
    entry(Predicate::Status(Box::new(status(place, brick, versions, to))), &[OFFICER])
}

/// Replays the log after `add` added leaves to it, which the host put a snapshot of its own making after.
fn with(add: impl FnOnce(&mut Chronicle)) -> Result<(), Refused> {
    let mut chronicle = begun();
    add(&mut chronicle);
    chronicle.snapshot();
    chronicle.replay().map(drop)
}

fn refused(what: &str, step: Step, says: &str, outcome: Result<(), Refused>) {
    let error = outcome.expect_err(what);
    let causes = std::iter::successors(std::error::Error::source(&error), |err| err.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    assert_eq!(error.step, step, "{what}: {text}");
    assert!(text.contains(says), "{what}: {text}");
}

#[test]
fn an_entry_is_refused_a_second_time() {
    let replayed = |log: &mut Chronicle| log.log.push(log.log.leaves[0].clone());
    refused("in the same stretch", Step::Replay, "already holds", with(replayed));
    let resigned = |log: &mut Chronicle| {
        let mut envelope = Envelope::parse(&log.log.leaves[0]).unwrap();
        envelope.sign(&key(crate::support::PAY_OFFICER)).unwrap();
        log.log.push(envelope.to_bytes());
    };
    refused("with one more signature", Step::Replay, "already holds", with(resigned));

    // What stands before the stretch is for the caller to know.
    let mut chronicle = begun();
    let before_size = chronicle.log.size();
    let payload = Envelope::parse(&chronicle.log.leaves[0]).unwrap().payload_digest();
    chronicle.log.push(chronicle.log.leaves[0].clone());
    chronicle.snapshot();
    let before = Before {
        publisher: &publisher(PUBLISHER),
        commons: &chronicle.commons,
        first: before_size,
        snapshot_time: None,
        loaded: Loaded::default(),
        nodes: Default::default(),
        index_root: BucketTree::new().root(),
    };
    let leaves = chronicle.checked(before_size, chronicle.log.size()).unwrap();
    let outcome =
        replay(before, &leaves, |size| chronicle.log.root_at(size), |seen| *seen == payload).map(drop);
    refused("over what is kept", Step::Replay, "already holds", outcome);
}

#[test]
fn an_entry_is_refused_in_another_log_and_at_another_history() {
    let elsewhere = Origin::of_publisher(&publisher("midshire.example"));
    let moved = |log: &mut Chronicle| log.log.push(released(log.log.place(&elsewhere), BINS, "1.1.0"));
    refused("moved from another log", Step::Log, "meant for", with(moved));
    let theirs = |log: &mut Chronicle| log.log.push(released(place(log), "midshire.example/bins", "1.1.0"));
    refused("a name that another publisher owns", Step::Right, "may not speak for", with(theirs));
    let other_history = |log: &mut Chronicle| {
        let mut place = place(log);
        place.basis.root = Digest::of(b"other");
        log.log.push(released(place, BINS, "1.1.0"));
    };
    refused("another history", Step::Basis, "another history", with(other_history));
    let ahead = |log: &mut Chronicle| {
        let mut place = place(log);
        place.basis.size += 1;
        log.log.push(released(place, BINS, "1.1.0"));
    };
    refused("a basis ahead of its place", Step::Basis, "it stands at", with(ahead));

    // Two officers who saw the same head may both publish.
    let mut chronicle = begun();
    let seen = place(&chronicle);
    chronicle.release("bins", "1.1.0");
    chronicle.log.push(with_status(seen, "northshire.example/bins", &["1.0.0"], ReleaseStatus::Active));
    chronicle.snapshot();
    chronicle.replay().unwrap();
}

#[test]
fn a_version_is_released_once_for_ever() {
    let again = |log: &mut Chronicle| log.log.push(released(place(log), BINS, "1.0.0"));
    refused("a version twice", Step::Index, "already released, as leaf 0", with(again));
    for status in [ReleaseStatus::Yanked, ReleaseStatus::Withdrawn] {
        let after = |log: &mut Chronicle| {
            log.set_status("bins", "1.0.0", status);
            log.log.push(released(place(log), BINS, "1.0.0"));
        };
        refused("a version that was taken back", Step::Index, "already released, as leaf 0", with(after));
    }
    with(|log| log.release("bins", "1.0.1")).unwrap();
}

#[test]
fn a_status_is_of_releases_that_are_there() {
    let of = |brick: &'static str, versions: &'static [&'static str]| {
        with(move |log| log.log.push(with_status(place(log), brick, versions, ReleaseStatus::Yanked)))
    };
    refused("a version that is not there", Step::Index, "no release 2.0.0", of(BINS, &["2.0.0"]));
    refused("one of two", Step::Index, "no release 2.0.0", of(BINS, &["1.0.0", "2.0.0"]));
    refused("no such brick", Step::Index, "no release", of("northshire.example/nothing", &["1.0.0"]));
    let early = with(|log| {
        log.log.push(with_status(place(log), BINS, &["1.1.0"], ReleaseStatus::Yanked));
        log.release("bins", "1.1.0");
    });
    refused("a version that comes later", Step::Index, "no release 1.1.0", early);
}

#[test]
fn a_status_that_is_refused_changes_nothing() {
    let mut fold = Fold::begin(Loaded::default());
    let log = begun();
    let statement = |leaf: &[u8]| Entry::parse(leaf).unwrap().statement;
    fold.apply(0, &statement(&log.log.leaves[0])).unwrap();
    let status = statement(&with_status(place(&log), BINS, &["1.0.0", "2.0.0"], ReleaseStatus::Yanked));
    fold.apply(1, &status).unwrap_err();
    let folded = fold.snapshot(1_010).unwrap();
    assert_eq!(folded.lines.len(), 1);
    assert_eq!(
        folded.files.values().next(),
        log.states[0].1.files.get("bins"),
        "as if it had not been there"
    );
}

/// `effective` is a day for people: the index shows the status at once, so that it is a function of the log alone.
#[test]
fn a_status_shows_at_once_whatever_day_it_names() {
    let mut chronicle = begun();
    chronicle.set_status("bins", "1.0.0", ReleaseStatus::Deprecated);
    let at = chronicle.log.size() - 1;
    let mut statement: Statement = Entry::parse(&chronicle.log.leaves[at as usize]).unwrap().statement;
    let Predicate::Status(status) = &mut statement.predicate else { panic!("it is a status") };
    status.effective = Some("9999-12-31".into());
    chronicle.log.leaves.pop();
    chronicle.log.tree.truncate(at);
    chronicle.log.push(entry(statement.predicate, &[OFFICER]));
    chronicle.snapshot();
    let segments = chronicle.replay().unwrap();
    let (.., line) = &segments[1].folded.lines[0];
    assert!(line.contains(r#""status":"deprecated""#) && !line.contains("9999"), "{line}");
}

#[test]
fn a_stretch_ends_in_a_snapshot_in_its_place_of_its_time_and_of_its_root() {
    let ends_in = |change: &dyn Fn(&mut SnapshotLeaf)| {
        let mut chronicle = begun();
        chronicle.release("bins", "1.1.0");
        let mut leaf = chronicle.next_snapshot();
        change(&mut leaf);
        chronicle.log.push(leaf.to_string().into_bytes());
        chronicle.replay().map(drop)
    };
    ends_in(&|_| {}).unwrap();
    let wrong_root = ends_in(&|leaf| leaf.index_root = Hash::of(b"other"));
    refused("another index root", Step::Snapshot, "names index root", wrong_root);
    let old_root = ends_in(&|leaf| leaf.index_root = begun().states[0].1.index_root);
    refused("the root of the snapshot before", Step::Snapshot, "names index root", old_root);
    refused("a later place", Step::Snapshot, "stand before it", ends_in(&|leaf| leaf.size += 1));
    refused("an earlier place", Step::Snapshot, "stand before it", ends_in(&|leaf| leaf.size -= 1));
    refused("back in time", Step::Snapshot, "back in time", ends_in(&|leaf| leaf.time = 1_009));
    // The time is the releases' logged time, so another one is another root.
    refused("another time", Step::Snapshot, "names index root", ends_in(&|leaf| leaf.time += 1));

    let mut no_snapshot = begun();
    no_snapshot.release("bins", "1.1.0");
    refused("no snapshot at the end", Step::Snapshot, "is not a snapshot", no_snapshot.replay().map(drop));
    let broken = with(|log| log.log.push(b"brickyard/snapshot/v1\n3\n".to_vec()));
    refused("a snapshot that is none", Step::Snapshot, "four lines", broken);
    let later = with(|log| log.log.push(b"brickyard/snapshot/v2\n3\n9\nx\n".to_vec()));
    refused("a snapshot of a later version", Step::Snapshot, "does not begin", later);
    with(|log| log.snapshot()).unwrap(); // a head is renewed without anything new
}

#[test]
fn the_record_in_force_at_the_leaf_decides() {
    let mut world = World::new();
    let mut record = world.publisher();
    record.from = 2;
    record.keys = vec![PublisherKey {
        key: public(33),
        rights: vec![Right::Publish, Right::Yank],
        until: None,
        bricks: None,
    }];
    world.admit(Predicate::Publisher(Box::new(record))).unwrap();
    let log_until = |signers: &[u8]| {
        let mut chronicle = Chronicle::of(world.commons.clone());
        chronicle.release("bins", "1.0.0");
        chronicle.snapshot();
        let release = release(place(&chronicle), BINS, "1.1.0");
        chronicle.log.push(entry(Predicate::Release(Box::new(release)), signers));
        chronicle
    };
    let at_2 = |signers: &[u8]| {
        let chronicle = log_until(signers);
        check_leaf(&chronicle.commons, &publisher(PUBLISHER), 2, &chronicle.log.leaves[2]).map(drop)
    };
    at_2(&[33]).unwrap();
    refused("the officer before", Step::Signature, "may sign", at_2(&[OFFICER]));
    refused("the old one beside the new", Step::Signature, "may sign", at_2(&[33, OFFICER]));
    let chronicle = log_until(&[33]);
    let first = &chronicle.log.leaves[0];
    check_leaf(&chronicle.commons, &publisher(PUBLISHER), 0, first).unwrap();
    let too_late = check_leaf(&chronicle.commons, &publisher(PUBLISHER), 2, first).map(drop);
    refused("an old entry past the change", Step::Signature, "may sign", too_late);
    let nobody = check_leaf(&chronicle.commons, &publisher("midshire.example"), 0, first).map(drop);
    refused("a log without a record", Step::Record, "no record of", nobody);
    let stranger = released(place(&chronicle), BINS, "1.1.0");
    let mut stranger = Envelope::parse(&stranger).unwrap();
    stranger.signatures.clear();
    stranger.sign(&key(STRANGER)).unwrap();
    let outcome = check_leaf(&chronicle.commons, &publisher(PUBLISHER), 0, &stranger.to_bytes()).map(drop);
    refused("a stranger", Step::Signature, "may sign", outcome);
}

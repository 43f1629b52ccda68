//! Proof files: what a third party believes years later, and what not.

use brick_schemas::Origin;
use brick_schemas::predicate::{Predicate, ReleaseStatus};
use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::cosignature::cosign;
use brick_tlog::note::KeyName;
use brick_tlog::proof::Proof;
use brick_trust::Step;
use brick_trust::evidence::verify_release;

use crate::support::*;

const NOW: u64 = 1_900_000_000;
const BRICK: &str = "northshire.example/bins";

fn origin() -> Origin {
    Origin::of_publisher(&publisher(PUBLISHER))
}

/// A log in which leaf 1 is what `predicate` makes, signed by the officer.
fn log_with(predicate: impl FnOnce(&Log) -> Predicate) -> Log {
    let mut log = Log::default();
    log.push(b"another leaf".to_vec());
    let predicate = predicate(&log);
    log.push(entry(predicate, &[OFFICER]));
    log.push(b"one more".to_vec());
    log
}

/// The proof of leaf `index` as its host and all witnesses would give it out.
fn proof(log: &Log, index: u64, witnesses: &[u8]) -> Proof {
    let origin = KeyName::new(origin().as_str()).unwrap();
    let checkpoint = Checkpoint { origin, size: log.size(), root: log.root_at(log.size()).unwrap() };
    let mut note = sign_checkpoint(&checkpoint, &key(LOG_KEY));
    for at in witnesses {
        let name = KeyName::new(format!("registry{at}.example/witness")).unwrap();
        let line = cosign(&note.text, &name, &key(51 + at), NOW);
        note.signatures.push(line);
    }
    let path = log.tree.prove_inclusion(index, log.size()).unwrap();
    Proof { extra: Some(log.leaves[index as usize].clone()), index, path, checkpoint: note }
}

fn release_of(log: &Log) -> Predicate {
    Predicate::Release(Box::new(release(log.place(&origin()), BRICK, "1.0.0")))
}

#[test]
fn a_proof_shows_the_release_it_was_asked_for() {
    let world = World::new();
    let log = log_with(release_of);
    let verified =
        verify_release(&proof(&log, 1, &[1, 2, 3]), &name(BRICK), &version("1.0.0"), &world.commons, NOW)
            .unwrap();
    assert_eq!((verified.index(), verified.head().checkpoint().size), (1, 3));
    assert_eq!(verified.release().name, name(BRICK));
    assert_eq!(verified.check_archive(b"other bytes").unwrap_err().step, Step::Archive);
}

#[test]
fn a_proof_that_lacks_anything_is_refused_at_its_step() {
    let world = World::new();
    let good = proof(&log_with(release_of), 1, &[1, 2, 3]);
    let check = |proof: &Proof, brick: &str, vers: &str| {
        verify_release(proof, &name(brick), &version(vers), &world.commons, NOW).map(drop)
    };
    let changed = |change: &dyn Fn(&mut Proof)| {
        let mut proof = good.clone();
        change(&mut proof);
        proof
    };
    let moved = log_with(|log| {
        let elsewhere = Origin::of_publisher(&publisher("midshire.example"));
        Predicate::Release(Box::new(release(log.place(&elsewhere), BRICK, "1.0.0")))
    });
    let theirs = log_with(|log| {
        Predicate::Release(Box::new(release(log.place(&origin()), "midshire.example/bins", "1.0.0")))
    });
    let yanked = log_with(|log| {
        Predicate::Status(Box::new(status(log.place(&origin()), BRICK, &["1.0.0"], ReleaseStatus::Yanked)))
    });
    let ahead = log_with(|log| {
        let mut release = release(log.place(&origin()), BRICK, "1.0.0");
        release.place.basis.size = 2;
        Predicate::Release(Box::new(release))
    });
    for (what, proof, step) in [
        ("too few cosignatures", proof(&log_with(release_of), 1, &[1, 2]), Step::Quorum),
        ("no entry", changed(&|proof| proof.extra = None), Step::Inclusion),
        ("another leaf's place", changed(&|proof| proof.index = 0), Step::Inclusion),
        ("a place beyond the log", changed(&|proof| proof.index = 3), Step::Inclusion),
        ("a hash left out", changed(&|proof| proof.path.truncate(1)), Step::Inclusion),
        ("a hash too many", changed(&|proof| proof.path.push(proof.path[0])), Step::Inclusion),
        ("another entry", changed(&|proof| proof.extra.as_mut().unwrap().push(b' ')), Step::Inclusion),
        (
            "another head",
            changed(&|proof| proof.checkpoint.text = proof.checkpoint.text.replace('3', "4")),
            Step::Checkpoint,
        ),
        ("a leaf that is no entry", self::proof(&log_with(release_of), 0, &[1, 2, 3]), Step::Signature),
        ("an entry meant for another log", self::proof(&moved, 1, &[1, 2, 3]), Step::Log),
        ("a brick of another publisher", self::proof(&theirs, 1, &[1, 2, 3]), Step::Right),
        ("a basis ahead of its place", self::proof(&ahead, 1, &[1, 2, 3]), Step::Basis),
        ("an entry of another kind", self::proof(&yanked, 1, &[1, 2, 3]), Step::Inclusion),
    ] {
        let error = check(&proof, BRICK, "1.0.0").expect_err(what);
        assert_eq!(error.step, step, "{what}: {error}");
    }
    for (what, brick, vers, step) in [
        ("another version", BRICK, "1.0.1", Step::Inclusion),
        ("another brick", "northshire.example/bin", "1.0.0", Step::Inclusion),
        ("a publisher without a record", "midshire.example/bins", "1.0.0", Step::Record),
    ] {
        assert_eq!(check(&good, brick, vers).expect_err(what).step, step, "{what}");
    }
}

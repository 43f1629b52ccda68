//! Roots and records: who may say who takes part.

use brick_schemas::predicate::publisher::PublisherKey;
use brick_schemas::predicate::{
    Predicate, Publisher, PublisherKind, PublisherStatus, ROOT_PAYLOAD_TYPE, Registry, ReleaseStatus, Right,
};
use brick_schemas::{Digest, Origin};
use brick_tlog::note::Algorithm;
use brick_trust::commons::Applied;
use brick_trust::{Commons, Envelope, Pin, Refused, Step};

use crate::support::*;

/// `leaf` is refused at `step` in words that hold `says`, and leaves the commons as it was.
fn refused(world: &World, what: &str, leaf: Vec<u8>, step: Step, says: &str) {
    let mut world = world.clone();
    let before = format!("{:?}", world.commons);
    let error = world.apply(leaf).expect_err(what);
    assert_step(what, &error, step, says);
    assert_eq!(format!("{:?}", world.commons), before, "{what}: nothing changes");
}

fn assert_step(what: &str, error: &Refused, step: Step, says: &str) {
    let causes = std::iter::successors(std::error::Error::source(error), |err| err.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    assert_eq!(error.step, step, "{what}: {text}");
    assert!(text.contains(says), "{what}: {text}");
}

fn publisher_leaf(world: &World, signers: &[u8], change: impl FnOnce(&mut Publisher)) -> Vec<u8> {
    let mut record = world.publisher();
    change(&mut record);
    entry(Predicate::Publisher(Box::new(record)), signers)
}

fn registry_leaf(world: &World, at: u8, signers: &[u8], change: impl FnOnce(&mut Registry)) -> Vec<u8> {
    let mut record = world.registry(at);
    change(&mut record);
    entry(Predicate::Registry(Box::new(record)), signers)
}

/// What is wrong, how a record comes to be so, and what the refusal says.
type Case<R> = (&'static str, fn(&mut R), &'static str);

const BY_REGISTRARS: &[u8] = &[11, 12];

#[test]
fn the_first_leaf_must_be_the_pinned_root_with_its_stewards_threshold() {
    let pin_of = |leaf: &[u8]| Pin { root_sha256: Envelope::parse(leaf).unwrap().payload_digest() };
    let good = root(1, &STEWARDS, &[1, 3]);
    assert_eq!(Commons::begin(&good, &pin_of(&good)).unwrap().size(), 1);
    let record = World::new().log.leaves[1].clone();
    for (what, leaf, pin) in [
        ("another root than the pinned one", good.clone(), Pin { root_sha256: Digest::of(b"other") }),
        ("one steward of two", root(1, &STEWARDS, &[1]), pin_of(&good)),
        ("a steward and a stranger", root(1, &STEWARDS, &[1, STRANGER]), pin_of(&good)),
        ("version 2", root(2, &STEWARDS, &[1, 2]), pin_of(&root(2, &STEWARDS, &[1, 2]))),
        ("a record", record.clone(), pin_of(&record)),
        ("no envelope", b"{}".to_vec(), pin_of(&good)),
        (
            "a steward who is a registrar, too",
            root(1, &[1, 2, 11], &[1, 2]),
            pin_of(&root(1, &[1, 2, 11], &[1, 2])),
        ),
        (
            "a steward who is the log, too",
            root(1, &[1, 2, LOG_KEY], &[1, 2]),
            pin_of(&root(1, &[1, 2, LOG_KEY], &[1, 2])),
        ),
    ] {
        let error = Commons::begin(&leaf, &pin).expect_err(what);
        assert_eq!(error.step, Step::Root, "{what}");
    }
}

#[test]
fn a_root_is_followed_by_the_next_number_under_both_thresholds_only() {
    let world = World::new();
    let mut moved = world.clone();
    assert_eq!(moved.apply(root(2, &[3, 4, 5], &[1, 3, 4])).unwrap(), Applied::Root { version: 2 });
    assert_eq!(moved.apply(root(3, &[3, 4, 5], &[4, 5])).unwrap(), Applied::Root { version: 3 });
    for (what, leaf, says) in [
        ("signed by the old stewards only", root(2, &[3, 4, 5], &[1, 2]), "lacks signatures"),
        ("signed by the new stewards only", root(2, &[4, 5, 6], &[4, 5]), "lacks signatures"),
        ("version 3", root(3, &STEWARDS, &[1, 2]), "cannot follow"),
        ("a version that was", root(1, &[1, 2, 3, 4], &[1, 2]), "cannot follow"),
        ("a stranger's signature beside", root(2, &STEWARDS, &[1, 2, STRANGER]), "may sign"),
        ("an officer as steward", root(2, &[1, 2, OFFICER], &[1, 2]), "another role"),
        ("an owner as steward", root(2, &[1, 2, OWNERS[0]], &[1, 2]), "another role"),
        ("a witness as steward", root(2, &[1, 2, 51], &[1, 2]), "another role"),
    ] {
        refused(&world, what, leaf, Step::Root, says);
    }
    refused(&moved, "an old root again", root(1, &STEWARDS, &[1, 2]), Step::Replay, "already holds");
    // Who is no steward any more signs nothing more, not even their own return.
    refused(&moved, "the stewards before", root(4, &STEWARDS, &[1, 2]), Step::Root, "lacks signatures");
    refused(&moved, "a steward before beside", root(4, &[3, 4, 5], &[4, 5, 1]), Step::Root, "may sign");
}

#[test]
fn admission_needs_the_registrars_threshold_of_distinct_keys() {
    let mut world = World::begin();
    for at in 0..2 {
        let leaf = registry_leaf(&world, at, BY_REGISTRARS, |_| {});
        world.apply(leaf).unwrap();
    }
    for (what, signers) in [
        ("one registrar", &[11][..]),
        ("one registrar, twice", &[11, 11]),
        ("a registrar and a stranger", &[11, STRANGER]),
        ("a registrar and a steward", &[11, 1]),
        ("its own owners", &OWNERS),
        ("two registrars and a stranger's freight", &[11, 12, STRANGER]),
    ] {
        refused(&world, what, publisher_leaf(&world, signers, |_| {}), Step::Signature, "");
    }
    // One registrar under two signatures is not two: the envelope itself refuses a key twice.
    let one = Envelope::parse(&publisher_leaf(&world, &[11], |_| {})).unwrap();
    let mut twice = one.clone();
    twice.signatures.push(one.signatures[0]);
    refused(&world, "the same key twice", twice.to_bytes(), Step::Signature, "malformed");
    // What one registrar signed is worth nothing under another's key id.
    let mut renamed = one.clone();
    renamed.signatures.push(one.signatures[0]);
    renamed.signatures[1].keyid = public(12).id();
    renamed.signatures.sort_by_key(|signature| signature.keyid);
    refused(&world, "another's key id", renamed.to_bytes(), Step::Signature, "does not verify");
    let leaf = publisher_leaf(&world, BY_REGISTRARS, |_| {});
    assert_eq!(world.apply(leaf).unwrap(), Applied::Publisher(publisher(PUBLISHER)));
}

#[test]
fn a_record_is_changed_by_its_owners_threshold_or_rescued_by_the_registrars() {
    let world = World::new();
    let change = |record: &mut Publisher| record.keys.truncate(1);
    for signers in [&OWNERS[..2], &OWNERS[..], BY_REGISTRARS, &[21, 11, 12]] {
        let mut world = world.clone();
        let leaf = publisher_leaf(&world, signers, change);
        world.apply(leaf).unwrap();
        assert_eq!(world.commons.publisher(&publisher(PUBLISHER)).unwrap().keys.len(), 1);
    }
    for (what, signers) in [
        ("one owner", &[21][..]),
        ("an officer", &[OFFICER]),
        ("an owner and a registrar", &[21, 11]),
        ("the stewards", &STEWARDS),
        ("another record's owner", &[61, 62]),
    ] {
        refused(&world, what, publisher_leaf(&world, signers, change), Step::Signature, "");
    }
    // Owners that the new record names count from then on, not for itself.
    let taken_over = |record: &mut Publisher| record.owners = keys(&[71, 72], 2);
    refused(
        &world,
        "the new owners alone",
        publisher_leaf(&world, &[71, 72], taken_over),
        Step::Signature,
        "",
    );
    let mut handed_over = world.clone();
    handed_over.apply(publisher_leaf(&world, &[21, 22], taken_over)).unwrap();
    refused(
        &handed_over,
        "the owners before",
        publisher_leaf(&handed_over, &[21, 22], taken_over),
        Step::Signature,
        "",
    );
}

#[test]
fn what_the_registrars_vouched_for_or_decided_is_not_the_owners_to_change() {
    use PublisherStatus::{Active, Retired, Suspended};
    let world = World::new();
    let with_status = |status| move |record: &mut Publisher| record.status = status;
    let mut suspended = world.clone();
    suspended.apply(publisher_leaf(&world, BY_REGISTRARS, with_status(Suspended))).unwrap();
    let back = publisher_leaf(&suspended, &OWNERS, |_| {});
    refused(&suspended, "owners lift their suspension", back, Step::Signature, "changes its status");
    suspended.apply(publisher_leaf(&suspended, BY_REGISTRARS, with_status(Active))).unwrap();
    let mut retired = world.clone();
    retired.apply(publisher_leaf(&world, &OWNERS, with_status(Retired))).unwrap();
    let back = publisher_leaf(&retired, &OWNERS, with_status(Active));
    refused(&retired, "owners come back from retirement", back, Step::Signature, "changes its status");
    let kind = publisher_leaf(&world, &OWNERS, |record| record.kind = PublisherKind::Auditor);
    refused(&world, "owners change what they are", kind, Step::Signature, "changes its kind");
    let operator = registry_leaf(&world, 1, &[62], |record| record.operator = publisher("other.example"));
    refused(
        &world,
        "a registry moves to another operator",
        operator,
        Step::Signature,
        "changes its operator",
    );
    let mut moved = world.clone();
    let url = registry_leaf(&world, 1, &[62], |record| record.urls = vec!["https://new.example".into()]);
    moved.apply(url).unwrap();
}

#[test]
fn a_key_has_one_role_for_ever() {
    let world = World::new();
    let officer = |seed: u8| PublisherKey {
        key: public(seed),
        rights: vec![Right::Publish],
        until: None,
        bricks: None,
    };
    for (what, seed) in
        [("steward", 1), ("registrar", 13), ("owner", 61), ("own owner", 23), ("log", 42), ("witness", 52)]
    {
        let leaf = publisher_leaf(&world, BY_REGISTRARS, |record| record.keys.push(officer(seed)));
        refused(&world, &format!("a {what} key as officer's"), leaf, Step::Record, "another role");
    }
    for (what, seed) in
        [("steward", 1), ("registrar", 13), ("officer", OFFICER), ("log", 42), ("witness", 52)]
    {
        let leaf = publisher_leaf(&world, BY_REGISTRARS, |record| record.owners = keys(&[seed], 1));
        refused(&world, &format!("a {what} key as owner's"), leaf, Step::Record, "another role");
    }
    for (what, seed) in
        [("steward", 1), ("registrar", 13), ("officer", OFFICER), ("owner", 21), ("witness", 52)]
    {
        let leaf = registry_leaf(&world, 7, BY_REGISTRARS, |record| record.log_key = public(seed));
        refused(&world, &format!("a {what} key as log's"), leaf, Step::Record, "another role");
    }
    for (what, seed) in [("steward", 1), ("registrar", 13), ("officer", OFFICER), ("owner", 21), ("log", 42)]
    {
        let leaf = registry_leaf(&world, 7, BY_REGISTRARS, |record| {
            record.witness = vkey("registry7.example/witness", Algorithm::CosignatureV1, seed);
        });
        refused(&world, &format!("a {what} key as witness's"), leaf, Step::Record, "another role");
    }
    // A key that is in no record any more has had its role.
    let mut world = world;
    let rotated = publisher_leaf(&world, &OWNERS, |record| drop(record.keys.remove(0)));
    world.apply(rotated).unwrap();
    let leaf = publisher_leaf(&world, &OWNERS, |record| {
        record.keys.remove(0);
        record.owners = keys(&[OFFICER, 21], 1);
    });
    refused(&world, "a former officer's key as owner's", leaf, Step::Record, "another role");
}

#[test]
fn a_record_that_breaks_a_rule_is_refused() {
    let world = World::new();
    let cases: [Case<Publisher>; 10] = [
        (
            "a log under another name",
            |r| r.origin = Origin::of_publisher(&publisher("other.example")),
            "another name",
        ),
        (
            "a log key of another name",
            |r| r.vkey = vkey("other.example/log", Algorithm::Ed25519, LOG_KEY),
            "of that name",
        ),
        (
            "a witness key as log key",
            |r| r.vkey = vkey("northshire.example/log", Algorithm::CosignatureV1, LOG_KEY),
            "Ed25519",
        ),
        (
            "a log key that is not its home's",
            |r| r.vkey = vkey("northshire.example/log", Algorithm::Ed25519, 42),
            "hosts logs with",
        ),
        ("a home that is not admitted", |r| r.home = publisher("nowhere.example"), "not admitted"),
        ("a threshold of none", |r| r.owners.threshold = 0, "threshold"),
        ("a threshold over the keys", |r| r.owners.threshold = 4, "threshold"),
        ("an owner twice", |r| r.owners.keys.push(public(21)), "twice"),
        ("a key twice", |r| r.keys.push(r.keys[0].clone()), "twice"),
        ("a weak key", |r| r.keys[0].key = [0; 32].into(), "weak"),
    ];
    for (what, change, says) in cases {
        refused(&world, what, publisher_leaf(&world, BY_REGISTRARS, change), Step::Record, says);
    }
    let cases: [Case<Registry>; 5] = [
        (
            "a log key as witness key",
            |r| r.witness = vkey("registry7.example/witness", Algorithm::Ed25519, 58),
            "cosignatures",
        ),
        ("another's log key", |r| r.log_key = public(42), "same key"),
        (
            "another's witness key",
            |r| r.witness = vkey("registry7.example/witness", Algorithm::CosignatureV1, 52),
            "same key",
        ),
        (
            "its log key as witness key",
            |r| r.witness = vkey("registry7.example/witness", Algorithm::CosignatureV1, LOG_KEY + 7),
            "must not be",
        ),
        ("no owners", |r| r.owners = keys(&[], 0), "threshold"),
    ];
    for (what, change, says) in cases {
        refused(&world, what, registry_leaf(&world, 7, BY_REGISTRARS, change), Step::Record, says);
    }
}

#[test]
fn a_record_holds_from_its_leaf_and_never_before_the_last_one() {
    let mut world = World::begin();
    let leaf = registry_leaf(&world, 0, BY_REGISTRARS, |_| {});
    world.apply(leaf).unwrap();
    let late = publisher_leaf(&world, BY_REGISTRARS, |record| record.from = 1);
    refused(&world, "a first record from leaf 1", late, Step::Record, "from leaf 0");
    let leaf = publisher_leaf(&world, BY_REGISTRARS, |_| {});
    world.apply(leaf).unwrap();
    let leaf = publisher_leaf(&world, &OWNERS, |record| {
        record.from = 10;
        record.keys.remove(0);
    });
    world.apply(leaf).unwrap();
    let back = publisher_leaf(&world, &OWNERS, |record| record.from = 9);
    refused(&world, "a record from before the last one", back, Step::Record, "before the last one's 10");
    let id = publisher(PUBLISHER);
    for (index, keys) in [(0, 2), (9, 2), (10, 1), (u64::MAX, 1)] {
        assert_eq!(world.commons.record_at(&id, index).unwrap().keys.len(), keys, "leaf {index}");
    }
    assert_eq!(world.commons.record_at(&publisher("nobody.example"), 0).unwrap_err().step, Step::Record);
}

#[test]
fn a_record_counts_once_in_this_log_at_a_true_basis() {
    let world = World::new();
    let size = world.log.size();
    let change = |record: &mut Publisher| record.keys.truncate(1);
    let placed = |place| {
        publisher_leaf(&world, &OWNERS, move |record: &mut Publisher| {
            record.place = place;
            change(record);
        })
    };
    let elsewhere = Origin::of_commons(&publisher("other.example"));
    refused(&world, "another commons", placed(world.log.place(&elsewhere)), Step::Log, "meant for");
    let publishers = Origin::of_publisher(&publisher(PUBLISHER));
    refused(&world, "a publisher's log", placed(world.log.place(&publishers)), Step::Log, "meant for");
    let mut other_history = world.place();
    other_history.basis.root = Digest::of(b"other");
    refused(&world, "another history", placed(other_history), Step::Basis, "another history");
    for ahead in [size + 1, 1 << 40] {
        let mut newer = world.place();
        newer.basis.size = ahead;
        refused(&world, "a basis ahead of the log", placed(newer), Step::Basis, "it stands at");
    }
    for older in [0, 1, size] {
        let mut world = world.clone();
        world.apply(placed(world.log.place_at(&world.origin(), older))).unwrap();
    }
    let again = world.log.leaves[size as usize - 1].clone();
    refused(&world, "the same record again", again, Step::Replay, "already holds");
    // The same payload under other signatures is the same entry.
    let mut resigned = Envelope::parse(&world.log.leaves[size as usize - 1]).unwrap();
    resigned.signatures.clear();
    [12, 13].iter().for_each(|seed| resigned.sign(&key(*seed)).unwrap());
    refused(&world, "the same record, signed by others", resigned.to_bytes(), Step::Replay, "already holds");
}

#[test]
fn only_roots_and_records_belong_in_the_commons_log() {
    let world = World::new();
    let place = world.place();
    let release = Predicate::Release(Box::new(release(place.clone(), "northshire.example/bins", "1.0.0")));
    refused(&world, "a release", entry(release, BY_REGISTRARS), Step::Right, "does not belong");
    let status = status(place, "northshire.example/bins", &["1.0.0"], ReleaseStatus::Yanked);
    refused(
        &world,
        "a status",
        entry(Predicate::Status(Box::new(status)), BY_REGISTRARS),
        Step::Right,
        "does not belong",
    );
    refused(&world, "no envelope", b"brickyard/snapshot/v1\n".to_vec(), Step::Signature, "malformed");
    let not_a_root = envelope(ROOT_PAYLOAD_TYPE, b"{}".to_vec(), &[1, 2]);
    refused(&world, "a root that is none", not_a_root, Step::Root, "TUF root");
    let other_type = envelope("application/json", b"{}".to_vec(), BY_REGISTRARS);
    refused(&world, "another payload type", other_type, Step::Record, "");
}

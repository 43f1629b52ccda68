//! Heads: the log's own signature, and who else must have seen it.

use brick_schemas::Digest;
use brick_schemas::predicate::{Predicate, PublisherStatus};
use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::cosignature::cosign;
use brick_tlog::hash::Hash;
use brick_tlog::note::{KeyName, Note};
use brick_tlog::snapshot::SnapshotLeaf;
use brick_trust::head::{MAX_SKEW_S, Witness};
use brick_trust::snapshot::{check_place, check_time};
use brick_trust::{HeadRules, Step, open_head};

use crate::support::*;

const NOW: u64 = 1_900_000_000;

fn rules(world: &World) -> HeadRules {
    world.commons.log_rules(&publisher(PUBLISHER)).unwrap()
}

/// A head of the publisher's log, signed by `signer`.
fn head(origin: &str, signer: u8) -> Note {
    let origin = KeyName::new(origin).unwrap();
    sign_checkpoint(&Checkpoint { origin, size: 3, root: Hash::of(b"root") }, &key(signer))
}

/// With the cosignature of registry number `at`.
fn cosigned(mut note: Note, at: u8, time: u64) -> Note {
    let id = if at == 0 { HOME.to_owned() } else { format!("registry{at}.example") };
    let line = cosign(&note.text, &KeyName::new(format!("{id}/witness")).unwrap(), &key(51 + at), time);
    note.signatures.push(line);
    note
}

fn good() -> Note {
    head("northshire.example/log", LOG_KEY)
}

#[test]
fn a_quorum_is_more_than_two_thirds_of_the_other_operators() {
    let world = World::new();
    let witness = |at: u8, operator: &str| Witness {
        registry: publisher(&format!("r{at}.example")),
        operator: publisher(operator),
        vkey: rules(&world).witnesses[0].vkey.clone(),
    };
    for (operators, at_least, quorum) in [
        (&[][..], 0, 0),
        (&["a.example"], 0, 1),
        (&["a.example", "b.example"], 0, 2),
        (&["a.example", "b.example", "c.example"], 0, 3),
        (&["a.example", "b.example", "c.example", "d.example"], 0, 3),
        (&["a.example", "a.example", "a.example", "b.example"], 0, 2),
        (&["a.example"], 4, 4),
    ] {
        let witnesses = operators.iter().zip(0..).map(|(operator, at)| witness(at, operator)).collect();
        let rules = HeadRules::new(rules(&world).log, witnesses, at_least);
        assert_eq!(rules.quorum, quorum, "{operators:?}");
    }
}

#[test]
fn a_head_counts_only_with_its_logs_signature() {
    let rules = rules(&World::new());
    assert_eq!(open_head(&good().to_bytes(), &rules).unwrap().checkpoint().size, 3);
    let mut unsigned = good();
    unsigned.signatures.clear();
    let mut changed = good();
    changed.text = changed.text.replacen("\n3\n", "\n4\n", 1);
    for (what, bytes) in [
        ("another log's head", head("midshire.example/log", LOG_KEY).to_bytes()),
        ("another host's key", head("northshire.example/log", LOG_KEY + 1).to_bytes()),
        ("only cosignatures", {
            let mut note = cosigned(unsigned.clone(), 1, NOW);
            note = cosigned(note, 2, NOW);
            cosigned(note, 3, NOW).to_bytes()
        }),
        ("another size", changed.to_bytes()),
        ("no note", b"northshire.example/log\n3\n".to_vec()),
        ("nothing", Vec::new()),
    ] {
        assert_eq!(open_head(&bytes, &rules).expect_err(what).step, Step::Checkpoint, "{what}");
    }
}

#[test]
fn the_quorum_counts_distinct_operators_other_than_the_host() {
    let rules = rules(&World::new());
    assert_eq!((rules.witnesses.len(), rules.quorum), (3, 3), "the host is no witness of its own log");
    let all = [1, 2, 3].into_iter().fold(good(), |note, at| cosigned(note, at, NOW));
    let head = open_head(&all.to_bytes(), &rules).unwrap();
    head.demand_quorum(&rules, NOW).unwrap();
    let two = [1, 2].into_iter().fold(good(), |note, at| cosigned(note, at, NOW));
    for (what, note) in [
        ("none", good()),
        ("two", two.clone()),
        ("two, and the host's own", cosigned(two.clone(), 0, NOW)),
        ("two, and one of them again", cosigned(two.clone(), 1, NOW - 1)),
        ("two, and one from the future", cosigned(two.clone(), 3, NOW + MAX_SKEW_S + 1)),
        ("two, and one of nobody's", cosigned(two.clone(), 9, NOW)),
    ] {
        let refused = match open_head(&note.to_bytes(), &rules) {
            Ok(head) => head.demand_quorum(&rules, NOW).expect_err(what),
            Err(refused) => refused,
        };
        assert_eq!(refused.step, Step::Quorum, "{what}: {refused}");
    }
    let mut false_line = all;
    false_line.signatures[2].signature[20] ^= 1;
    assert_eq!(open_head(&false_line.to_bytes(), &rules).unwrap_err().step, Step::Quorum);
}

#[test]
fn registries_of_one_operator_have_one_vote_and_suspended_ones_none() {
    let mut world = World::new();
    let mut more = world.registry(4);
    more.operator = publisher("operator1.example");
    world.admit(Predicate::Registry(Box::new(more))).unwrap();
    let mut hosts = world.registry(5);
    hosts.operator = publisher("operator0.example");
    world.admit(Predicate::Registry(Box::new(hosts))).unwrap();
    let with_more = rules(&world);
    assert_eq!(
        (with_more.witnesses.len(), with_more.quorum),
        (4, 3),
        "the host's operator has no vote at all"
    );
    let twice = [1, 4, 2].into_iter().fold(good(), |note, at| cosigned(note, at, NOW));
    let head = open_head(&twice.to_bytes(), &with_more).unwrap();
    assert_eq!(head.cosigned().len(), 2);
    assert_eq!(head.demand_quorum(&with_more, NOW).unwrap_err().step, Step::Quorum);
    let mut suspended = world.registry(3);
    suspended.status = PublisherStatus::Suspended;
    world.admit(Predicate::Registry(Box::new(suspended))).unwrap();
    assert!(rules(&world).witnesses.iter().all(|witness| witness.registry != publisher("registry3.example")));
}

#[test]
fn a_head_is_as_old_as_the_last_cosignature_that_its_quorum_needs() {
    let rules = rules(&World::new());
    let times = [NOW - 5, NOW - 500, NOW - 50];
    let note = (1..).zip(times).fold(good(), |note, (at, time)| cosigned(note, at, time));
    let head = open_head(&note.to_bytes(), &rules).unwrap();
    assert_eq!(head.age_s(&rules, NOW), Some(500));
    assert_eq!(head.age_s(&rules, NOW - MAX_SKEW_S - 100), None, "those from the future are not counted");
    let one = open_head(&cosigned(good(), 1, NOW).to_bytes(), &rules).unwrap();
    assert_eq!(one.age_s(&rules, NOW), None);
}

#[test]
fn a_snapshot_stands_in_its_place_and_never_goes_back_in_time() {
    let leaf = |size, time| SnapshotLeaf { size, time, index_root: Hash::of(Digest::of(b"").as_bytes()) };
    for (size, time, before, good) in [
        (7, 100, None, true),
        (7, 100, Some(100), true),
        (7, 100, Some(99), true),
        (7, 99, Some(100), false),
        (6, 100, None, false),
        (8, 100, None, false),
    ] {
        let outcome = check_place(&leaf(size, time), 7, before);
        assert_eq!(outcome.is_ok(), good, "{size} {time} {before:?}");
        assert!(outcome.is_ok_and(|()| true) == good);
    }
    for (time, cosigned, good) in [
        (NOW, None, true),
        (NOW + MAX_SKEW_S, None, true),
        (NOW + MAX_SKEW_S + 1, None, false),
        (NOW - 1_000_000, None, true),
        (NOW - MAX_SKEW_S, Some(NOW), true),
        (NOW - MAX_SKEW_S - 1, Some(NOW), false),
    ] {
        assert_eq!(check_time(&leaf(7, time), NOW, cosigned).is_ok(), good, "{time} {cosigned:?}");
    }
    assert!(
        check_time(&leaf(7, u64::MAX), u64::MAX, Some(u64::MAX)).is_ok(),
        "the clock's end is no overflow"
    );
}

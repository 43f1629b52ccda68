//! Entries of a publisher's log: whose signature counts, for what, where, and how often.

use brick_schemas::predicate::service::ServiceStatus;
use brick_schemas::predicate::{
    Place, Predicate, Publisher, PublisherKind, PublisherStatus, ReleaseStatus, Right,
};
use brick_schemas::{Digest, Origin};
use brick_trust::{BasisRoot, Entry, Envelope, Position, Refused, Step, authorise};

use crate::support::*;

const AT: u64 = 5;

fn log() -> Log {
    let mut log = Log::default();
    (0..AT).for_each(|n| log.push(vec![n as u8]));
    log
}

fn origin() -> Origin {
    Origin::of_publisher(&publisher(PUBLISHER))
}

/// Parses, verifies and authorises `leaf` at leaf 5, under a record as it stands in the commons but for `change`.
fn check(leaf: &[u8], seen: bool, change: impl FnOnce(&mut Publisher)) -> Result<(), Refused> {
    let mut record = World::new().publisher();
    change(&mut record);
    let signed = Entry::parse(leaf)?.verify(&record)?;
    let basis = signed.entry().statement.predicate.place().basis.size;
    let basis_root = match log().root_at(basis) {
        Some(root) if basis <= AT => BasisRoot::Known(Digest::from(*root.as_bytes())),
        _ => BasisRoot::NotHeld,
    };
    authorise(&signed, &Position { record: &record, index: AT, basis_root, seen })
}

fn good(place: Place, brick: &str) -> Predicate {
    Predicate::Release(Box::new(release(place, &format!("{PUBLISHER}/{brick}"), "1.0.0")))
}

fn refused(what: &str, step: Step, outcome: Result<(), Refused>) {
    let error = outcome.expect_err(what);
    assert_eq!(error.step, step, "{what}: {error}");
}

#[test]
fn an_entry_counts_when_all_is_well() {
    let place = log().place(&origin());
    check(&entry(good(place.clone(), "bins"), &[OFFICER]), false, |_| {}).unwrap();
    check(&entry(good(place.clone(), "pay-card"), &[PAY_OFFICER]), false, |_| {}).unwrap();
    check(&entry(good(place, "bins"), &[OFFICER, PAY_OFFICER]), false, |_| {}).unwrap();
}

#[test]
fn only_a_key_with_the_right_may_say_it() {
    let place = || log().place(&origin());
    let bins = || entry(good(place(), "bins"), &[OFFICER]);
    let signature = Step::Signature;
    refused("a stranger", signature, check(&entry(good(place(), "bins"), &[STRANGER]), false, |_| {}));
    refused(
        "a stranger beside",
        signature,
        check(&entry(good(place(), "bins"), &[OFFICER, STRANGER]), false, |_| {}),
    );
    refused("an owner", signature, check(&entry(good(place(), "bins"), &[OWNERS[0]]), false, |_| {}));
    refused("the log's host", signature, check(&entry(good(place(), "bins"), &[LOG_KEY]), false, |_| {}));
    refused("no key any more", signature, check(&bins(), false, |record| record.keys.clear()));
    let right = Step::Right;
    refused(
        "a brick outside the key's pattern",
        right,
        check(&entry(good(place(), "bins"), &[PAY_OFFICER]), false, |_| {}),
    );
    refused(
        "a key without the right",
        right,
        check(&bins(), false, |r| r.keys[0].rights = vec![Right::Yank, Right::Attest]),
    );
    refused(
        "no patterns are no bricks",
        right,
        check(&bins(), false, |r| r.keys[0].bricks = Some(Vec::new())),
    );
    let yank = status(place(), "northshire.example/bins", &["1.0.0"], ReleaseStatus::Yanked);
    let yank = entry(Predicate::Status(Box::new(yank)), &[OFFICER]);
    refused(
        "a yank by who may only publish",
        right,
        check(&yank, false, |r| r.keys[0].rights = vec![Right::Publish]),
    );
    // Two keys do not lend each other what each lacks.
    let both = entry(good(place(), "bins"), &[OFFICER, PAY_OFFICER]);
    refused(
        "the right of one, the pattern of the other",
        right,
        check(&both, false, |r| r.keys[0].rights = vec![Right::Yank]),
    );
}

#[test]
fn a_key_counts_below_the_leaf_where_it_ends() {
    let leaf = entry(good(log().place(&origin()), "bins"), &[OFFICER]);
    for (until, counts) in
        [(Some(0), false), (Some(AT - 1), false), (Some(AT), false), (Some(AT + 1), true), (None, true)]
    {
        let outcome = check(&leaf, false, |record| record.keys[0].until = until);
        assert_eq!(outcome.is_ok(), counts, "{until:?}");
    }
}

#[test]
fn who_does_not_take_part_says_nothing() {
    let leaf = entry(good(log().place(&origin()), "bins"), &[OFFICER]);
    for status in [PublisherStatus::Suspended, PublisherStatus::Retired] {
        refused(
            "a publisher that does not take part",
            Step::Record,
            check(&leaf, false, |r| r.status = status),
        );
    }
}

#[test]
fn a_publisher_speaks_of_its_own_only() {
    let place = || log().place(&origin());
    let theirs = release(place(), "midshire.example/bins", "1.0.0");
    refused(
        "another's brick",
        Step::Right,
        check(&entry(Predicate::Release(Box::new(theirs)), &[OFFICER]), false, |_| {}),
    );
    let theirs = status(place(), "midshire.example/bins", &["1.0.0"], ReleaseStatus::Yanked);
    refused(
        "another's status",
        Step::Right,
        check(&entry(Predicate::Status(Box::new(theirs)), &[OFFICER]), false, |_| {}),
    );
    let service = |id: &str| {
        let service = brick_schemas::predicate::Service {
            place: place(),
            id: name(id),
            function: "lgsl:524".into(),
            body: "local-authority-eng:NSH".into(),
            status: ServiceStatus::Live,
            parts: Vec::new(),
            locked: Vec::new(),
            volumes: Vec::new(),
            costs: Vec::new(),
            contracts: Vec::new(),
            texts: None,
        };
        entry(Predicate::Service(Box::new(service)), &[OFFICER])
    };
    check(&service("northshire.example/bins"), false, |_| {}).unwrap();
    refused("another's service", Step::Right, check(&service("midshire.example/bins"), false, |_| {}));
    let supplier = |record: &mut Publisher| record.kind = PublisherKind::Supplier;
    refused("a supplier's service", Step::Right, check(&service("northshire.example/bins"), false, supplier));
    let record = Predicate::Publisher(Box::new(World::new().publisher()));
    refused("a record in a publisher's log", Step::Right, check(&entry(record, &[OFFICER]), false, |_| {}));
}

#[test]
fn an_entry_counts_once_in_the_log_it_is_meant_for() {
    let leaf = |place| entry(good(place, "bins"), &[OFFICER]);
    let elsewhere = Origin::of_publisher(&publisher("midshire.example"));
    refused("moved from another log", Step::Log, check(&leaf(log().place(&elsewhere)), false, |_| {}));
    let commons = Origin::of_commons(&publisher(PUBLISHER));
    refused("moved from a commons log", Step::Log, check(&leaf(log().place(&commons)), false, |_| {}));
    refused("seen before", Step::Replay, check(&leaf(log().place(&origin())), true, |_| {}));
}

#[test]
fn an_entry_counts_at_a_true_basis_that_is_not_ahead() {
    let leaf = |place| entry(good(place, "bins"), &[OFFICER]);
    for older in [0, 1, AT] {
        check(&leaf(log().place_at(&origin(), older)), false, |_| {}).unwrap();
    }
    for (what, size, root) in [
        ("one leaf ahead", AT + 1, Digest::of(b"")),
        ("at the bound", 1 << 40, Digest::of(b"")),
        ("another history", AT, Digest::of(b"other")),
        ("another empty log", 0, Digest::of(b"other")),
    ] {
        let mut place = log().place(&origin());
        (place.basis.size, place.basis.root) = (size, root);
        refused(what, Step::Basis, check(&leaf(place), false, |_| {}));
    }
    let mut place = log().place(&origin());
    place.basis.size = (1 << 40) + 1;
    refused("over the bound", Step::Signature, check(&leaf(place), false, |_| {}));
}

#[test]
fn what_is_not_an_entry_is_refused_at_its_form() {
    let place = log().place(&origin());
    let good = entry(good(place, "bins"), &[OFFICER]);
    let parsed = Envelope::parse(&good).unwrap();
    let payload = String::from_utf8(parsed.payload.clone()).unwrap();
    let with = |payload: &str, kind: &str| envelope(kind, payload.as_bytes().to_vec(), &[OFFICER]);
    let statement = "application/vnd.in-toto+json";
    check(&with(&payload.replacen("\"log\"", "\"later\":[{}],\"log\"", 1), statement), false, |_| {})
        .unwrap();
    for (what, leaf) in [
        ("a root's payload type", with(&payload, "application/vnd.tuf+json")),
        ("no Statement", with("{}", statement)),
        (
            "a member twice",
            with(&payload.replacen("\"log\"", "\"log\":\"x.example/log\",\"log\"", 1), statement),
        ),
        ("a predicate of a later version", with(&payload.replace("release:v1", "release:v2"), statement)),
        ("a subject that is not the archive", {
            let at = payload.find("\"sha256\":\"").unwrap() + 10;
            let other = if payload.as_bytes()[at] == b'0' { "1" } else { "0" };
            with(&[&payload[..at], other, &payload[at + 1..]].concat(), statement)
        }),
        ("a changed payload", {
            let mut changed = parsed.clone();
            changed.payload = payload.replace("1.0.0", "1.0.1").into_bytes();
            changed.to_bytes()
        }),
        ("an envelope without signatures", {
            let mut unsigned = parsed.clone();
            unsigned.signatures.clear();
            unsigned.to_bytes()
        }),
        ("a byte after it", [&good[..], b"\n"].concat()),
        ("nothing", Vec::new()),
    ] {
        refused(what, Step::Signature, check(&leaf, false, |_| {}));
    }
}

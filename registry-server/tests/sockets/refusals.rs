//! Publishing what must not be logged: refused by its stable type, and nothing changes.

use std::collections::BTreeMap;

use brick_schemas::api::ProblemType::{self, *};
use brick_schemas::digest::Contents;
use brick_schemas::name::FeatureName;
use brick_schemas::predicate::attestation::{Attestation, AttestationResult};
use brick_schemas::predicate::release::{BrickKind, Dependency, ForkRelation, ForkedFrom, Maturity};
use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::predicate::{Predicate, PublisherStatus, STATEMENT_PAYLOAD_TYPE};
use brick_schemas::{Blob, Digest, Origin, Requirement, Version};
use brick_trust::Envelope;
use brickyard::closed::Closed;

use crate::http::{answers, ask, form, form_type, post, talk};
use crate::town::{ABSENT, BODY, Draft, Key, Town, full, publisher, signed, signed_status};

/// A town with `parcel` 1.0.0 and 1.1.0, and `pay-card` 1.0.0, in which little fits: bodies of at most about four
/// megabytes, two releases a brick, two bricks a publisher.
async fn small_town() -> Town {
    let town = Town::found_with(|settings| {
        settings.limits.archive_bytes = 64 * 1024;
        settings.limits.unpacked_bytes = 256 * 1024;
        settings.limits.blob_bytes = 1024;
        settings.limits.release_count = 2;
        settings.limits.brick_count = 2;
    })
    .await;
    town.release("parcel", "1.0.0").await;
    town.release("parcel", "1.1.0").await;
    let payments = town.draft("pay-card", "1.0.0");
    let answer = town.north.publish(&payments.signed(Key::Payments), &[&payments.archive]).await;
    assert_eq!(answer.status, 200, "the key for payments may publish them: {}", answer.text());
    town.projected(&town.north).await;
    town
}

/// All that a refused entry must leave as it was.
async fn state(town: &Town) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    for path in [
        "/commons/checkpoint",
        "/logs/north.example/checkpoint",
        "/logs/north.example/snapshot",
        "/index/north.example/parcel.jsonl",
        "/index/north.example/pay-card.jsonl",
        "/index/north.example/pay-card.jsonl.proof",
        "/index/north.example/other.jsonl.proof",
        "/api/v1/status",
        "/api/v1/bricks",
        "/api/v1/evidence",
    ] {
        let answer = town.north.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        state.insert(path.to_owned(), answer.text());
    }
    let metrics = town.north.get("/metrics").await.text();
    let lasting = ["entries_total{outcome=\"logged\"}", "batches_total", "leaves{", "logs{"];
    for line in metrics.lines() {
        if lasting.iter().any(|name| line.starts_with(&format!("brickyard_{name}"))) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            state.insert(name.to_owned(), value.to_owned());
        }
    }
    assert!(state.len() > 14, "the metrics are among it: {:?}", state.keys());
    let git = town.north.settings.data.join("commons.git");
    let head =
        std::process::Command::new("git").arg("-C").arg(git).args(["rev-parse", "HEAD"]).output().unwrap();
    assert!(head.status.success());
    state.insert("git".to_owned(), String::from_utf8(head.stdout).unwrap());
    state
}

/// One thing that is wrong: its name, what is answered, and the request.
struct Row {
    name: &'static str,
    problem: ProblemType,
    status: u16,
    says: &'static str,
    request: Vec<u8>,
}

fn row(name: &'static str, problem: ProblemType, says: &'static str, request: Vec<u8>) -> Row {
    Row { name, problem, status: problem.status(), says, request }
}

fn with_status(status: u16, row: Row) -> Row {
    Row { status, ..row }
}

/// Sends every row and holds what is there against what was there before.
async fn refuse(town: &Town, rows: Vec<Row>) {
    let before = state(town).await;
    for Row { name, problem, status, says, request } in rows {
        let answer = ask(town.north.at(), request).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        let found = answer.problem();
        assert_eq!(found.problem_type, problem, "{name}: {}", answer.text());
        let detail = found.detail.unwrap_or_default();
        assert!(detail.contains(says), "{name}: {detail:?} does not say {says:?}");
        assert!(found.instance.is_some_and(|id| id.starts_with("urn:brickyard:request:")), "{name}");
        let waits = matches!(status, 503 | 429);
        assert_eq!(answer.header("retry-after").is_some(), waits, "{name}: says when to come again");
        assert_eq!(state(town).await, before, "{name}: nothing has changed");
    }
    // What is written to git comes within a second, if it comes.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(state(town).await, before, "nothing has changed later either");
}

/// A request to publish `entry` with blobs under their digests.
fn publish(entry: &[u8], blobs: &[&[u8]]) -> Vec<u8> {
    let names: Vec<String> = blobs.iter().map(|blob| Digest::of(blob).to_string()).collect();
    let mut parts: Vec<(&str, &str, &[u8])> = vec![("entry", "entry.json", entry)];
    parts.extend(names.iter().zip(blobs).map(|(name, blob)| ("blob", name.as_str(), *blob)));
    in_form(&parts)
}

fn in_form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    post("/api/v1/entries", &form_type(), &form(parts))
}

/// A request to publish a draft, signed after `change`.
fn changed(draft: &Draft, change: impl FnOnce(&mut Draft)) -> Vec<u8> {
    let mut draft = draft.clone();
    change(&mut draft);
    publish(&draft.signed(Key::Officer), &[&draft.archive])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_the_right_form_is_refused_and_changes_nothing() {
    let town = small_town().await;
    let draft = town.draft("pay-card", "2.0.0");
    let (entry, archive) = (draft.signed(Key::Officer), draft.archive.as_slice());
    let name = Digest::of(archive).to_string();
    let json = |text: &str| String::from_utf8(entry.clone()).unwrap().replacen("{\"payload\"", text, 1);
    let many = vec![("blob", name.as_str(), archive); 65];
    let preamble = vec![b'x'; 5 << 20];
    let rows = vec![
        row("no form at all", Malformed, "", post("/api/v1/entries", "application/json", &entry)),
        row("a form without a boundary", Malformed, "", post("/api/v1/entries", "multipart/form-data", b"x")),
        row("an empty body", Malformed, "", post("/api/v1/entries", &form_type(), b"")),
        row("garbage for a form", Malformed, "", post("/api/v1/entries", &form_type(), &[0xff; 4096])),
        row("no part", Malformed, "first part must be `entry`", in_form(&[])),
        row(
            "the blob first",
            Malformed,
            "first part must be `entry`",
            in_form(&[("blob", &name, archive), ("entry", "", &entry)]),
        ),
        row(
            "two entries",
            Malformed,
            "parts named `blob`",
            in_form(&[("entry", "", &entry), ("entry", "", &entry)]),
        ),
        row(
            "a part of another name",
            Malformed,
            "parts named `blob`",
            in_form(&[("entry", "", &entry), ("note", "", b"x")]),
        ),
        row(
            "a blob whose file name is no digest",
            Malformed,
            "file name is its SHA-256",
            in_form(&[("entry", "", &entry), ("blob", "archive.brick", archive)]),
        ),
        row(
            "a blob that the entry does not name",
            Malformed,
            "names no blob",
            publish(&entry, &[archive, b"more"]),
        ),
        row(
            "65 blobs",
            Malformed,
            "at most 64",
            in_form(&[&[("entry", "", entry.as_slice())][..], &many].concat()),
        ),
        row("an entry that is no JSON", Malformed, "", publish(b"not json", &[])),
        row(
            "an entry with a space in its JSON",
            Malformed,
            "",
            publish(json("{ \"payload\"").as_bytes(), &[archive]),
        ),
        row(
            "an entry with an unsigned member",
            Malformed,
            "",
            publish(json("{\"x\":1,\"payload\"").as_bytes(), &[archive]),
        ),
        row("an entry of 65,536 bytes", TooLarge, "65535", publish(&vec![b' '; 65_536], &[])),
        row(
            "a body over the bound",
            TooLarge,
            "",
            post("/api/v1/entries", &form_type(), &[&preamble[..], &form(&[("entry", "", &entry)])].concat()),
        ),
        with_status(
            405,
            row(
                "another method",
                Malformed,
                "method",
                b"PUT /api/v1/entries HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                    .to_vec(),
            ),
        ),
        row("an escaped path", Malformed, "`%`", post("/api/v1/%65ntries", &form_type(), b"")),
    ];
    refuse(&town, rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_does_not_count_is_refused_and_changes_nothing() {
    let town = small_town().await;
    let draft = town.draft("pay-card", "2.0.0");
    let entry = draft.signed(Key::Officer);
    let archive = draft.archive.as_slice();
    let by = |key| publish(&draft.signed(key), &[archive]);
    let elsewhere = |log: Origin| changed(&draft, |draft| draft.release.place.log = log);
    let resigned = |change: fn(&mut Envelope)| {
        let mut envelope = Envelope::parse(&entry).unwrap();
        change(&mut envelope);
        publish(&envelope.to_bytes(), &[archive])
    };
    let unknown_kind = |envelope: &mut Envelope| {
        let text = String::from_utf8(envelope.payload.clone()).unwrap();
        let payload = text.replace("urn:brickyard:release:v1", "urn:brickyard:release:v2").into_bytes();
        *envelope = Envelope::unsigned(STATEMENT_PAYLOAD_TYPE, payload);
        envelope.sign(&Key::Officer.signing()).unwrap();
    };
    let mut registrars = draft.clone();
    registrars.release.place = town.north.place(&town.commons);
    let rows = vec![
        row("signed by a stranger", BadSignature, "not signed by its keys", by(Key::Stranger)),
        row("signed by the registrar", BadSignature, "", by(Key::Registrar)),
        row("signed by nobody", Malformed, "", resigned(|envelope| envelope.signatures.clear())),
        row(
            "a flipped bit in the signature",
            BadSignature,
            "",
            resigned(|envelope| envelope.signatures[0].signature[0] ^= 1),
        ),
        row(
            "a payload changed after signing",
            BadSignature,
            "",
            resigned(|envelope| {
                let text = String::from_utf8(envelope.payload.clone()).unwrap();
                envelope.payload = text.replace("2.0.0", "2.0.1").into_bytes();
            }),
        ),
        row(
            "another payload type",
            Malformed,
            "",
            resigned(|envelope| envelope.payload_type = "text/plain".into()),
        ),
        row("a kind of a later version", Malformed, "release:v2", resigned(unknown_kind)),
        row("a key without the right", UnauthorisedKey, "right to publish", by(Key::Yanker)),
        row(
            "a key for other bricks",
            UnauthorisedKey,
            "right to publish",
            changed_by(&town.draft("parcel", "2.0.0"), Key::Payments),
        ),
        row(
            "another publisher's brick",
            UnauthorisedKey,
            "may not speak for",
            changed(&draft, |draft| draft.release.name = full("away.example/pay-card")),
        ),
        row(
            "a log that is hosted elsewhere",
            NotHostedHere,
            "registry.away.example at http://",
            elsewhere(Origin::of_publisher(&publisher(ABSENT))),
        ),
        row(
            "a publisher that was never admitted",
            UnknownLog,
            "not admitted",
            elsewhere(Origin::of_publisher(&publisher("nobody.example"))),
        ),
        row(
            "a log that no publisher has",
            UnknownLog,
            "not known here",
            elsewhere(Origin::parse("north.example/other").unwrap()),
        ),
        row(
            "a release for the commons log",
            BadSignature,
            "not signed by who may",
            elsewhere(town.commons.clone()),
        ),
        row(
            "a registrar's release in the commons log",
            UnauthorisedKey,
            "does not belong in the commons log",
            publish(&registrars.signed(Key::Registrar), &[archive]),
        ),
        row(
            "a basis with another root",
            StaleBasis,
            "another history",
            changed(&draft, |draft| draft.release.place.basis.root = Digest::of(b"another")),
        ),
        row(
            "a basis that is yet to come",
            StaleBasis,
            "leaves",
            changed(&draft, |draft| draft.release.place.basis.size += 1),
        ),
        row(
            "a version that is there",
            Conflict,
            "already released",
            changed(
                &Draft::new(&draft.release.place, "north.example/parcel", "1.0.0", "[features]\nx = []\n"),
                |_| {},
            ),
        ),
        row(
            "a status of a version that is not there",
            Conflict,
            "",
            publish(&signed_status(town.status("parcel", "9.0.0", ReleaseStatus::Yanked), Key::Officer), &[]),
        ),
        row(
            "a status of a brick that is not there",
            Conflict,
            "",
            publish(
                &signed_status(town.status("nothing", "1.0.0", ReleaseStatus::Yanked), Key::Officer),
                &[],
            ),
        ),
        row(
            "a third release of a brick",
            TooLarge,
            "as many as a brick can have",
            changed(&town.draft("parcel", "1.2.0"), |_| {}),
        ),
        row(
            "a third brick",
            TooLarge,
            "as many as a publisher can have",
            changed(&town.draft("third", "1.0.0"), |_| {}),
        ),
    ];
    refuse(&town, rows).await;
}

fn changed_by(draft: &Draft, key: Key) -> Vec<u8> {
    publish(&draft.signed(key), &[&draft.archive])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_is_not_what_the_entry_says_is_refused_and_changes_nothing() {
    let town = small_town().await;
    let draft = Draft::new(
        &town.north.place(&town.body),
        "north.example/pay-card",
        "2.0.0",
        "[requires]\n\"north.example/parcel\" = \"1\"\n\n[features]\nextra = []\nother = []\n",
    );
    let entry = draft.signed(Key::Officer);
    let archive = draft.archive.clone();
    let differs = |name, field: &'static str, change: fn(&mut Draft)| {
        row(name, ArchiveMismatch, field, changed(&draft, change))
    };
    let packed = |bytes: &[u8]| {
        let mut draft = draft.clone();
        draft.archive = bytes.to_vec();
        draft.release.archive = Blob::of(bytes);
        publish(&draft.signed(Key::Officer), &[bytes])
    };
    let trailing = [&archive[..], b"more"].concat();
    let claimed = Digest::of(b"another archive");
    let mut other_digest = draft.clone();
    other_digest.release.archive.sha256 = claimed;
    let wrong_bytes = in_form(&[
        ("entry", "", &other_digest.signed(Key::Officer)),
        ("blob", &claimed.to_string(), &archive),
    ]);
    let large = vec![7_u8; 70_000];
    let rows = vec![
        differs("another name", "name", |draft| draft.release.name = full("north.example/parcel-card")),
        differs("another version", "version", |draft| {
            draft.release.version = Version::parse("2.0.1").unwrap()
        }),
        differs("another kind", "kind", |draft| draft.release.kind = BrickKind::Process),
        differs("another maturity", "maturity", |draft| draft.release.maturity = Maturity::Live),
        differs("another licence", "license", |draft| draft.release.license = "EUPL-1.2".into()),
        differs("a requirement dropped", "requires", |draft| draft.release.requires.clear()),
        differs("a requirement added", "requires", |draft| {
            draft.release.requires.push(Dependency {
                name: full("north.example/zebra"),
                req: Requirement::parse("1").unwrap(),
                features: Vec::new(),
                optional: false,
                default_features: true,
            });
        }),
        differs("a requirement widened", "requires", |draft| {
            draft.release.requires[0].req = Requirement::parse("*").unwrap();
        }),
        differs("a feature dropped", "features", |draft| draft.release.features.clear()),
        differs("a feature that turns on more", "features", |draft| {
            let name = FeatureName::parse("extra").unwrap();
            draft.release.features.insert(name, vec!["other".parse().expect("a feature item")]);
        }),
        differs("an interface provided", "provides", |draft| {
            draft.release.provides.insert(full("north.example/api"), Version::parse("1.0.0").unwrap());
        }),
        differs("an interface needed", "needs", |draft| {
            draft.release.needs.insert(full("north.example/api"), Requirement::parse("1").unwrap());
        }),
        differs("another origin of a fork", "forked_from", |draft| {
            draft.release.forked_from = Some(ForkedFrom {
                name: full("north.example/parcel"),
                version: Version::parse("1.0.0").unwrap(),
                sha256: Digest::of(b"x"),
                relation: ForkRelation::Variant,
                reason: None,
            });
        }),
        differs("other contents", "contents", |draft| {
            draft.release.contents =
                Contents::parse("h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap()
        }),
        differs("a byte more than it has", "bytes", |draft| draft.release.archive.bytes += 1),
        differs("a byte fewer than it has", "bytes", |draft| draft.release.archive.bytes -= 1),
        row("another archive under its digest", ArchiveMismatch, "should be", wrong_bytes),
        row(
            "no archive",
            MissingBlob,
            "neither here nor in the request",
            publish(&town.draft("pay-card", "2.2.0").signed(Key::Officer), &[]),
        ),
        row("an archive that is none", ArchiveMismatch, "archive of", packed(b"not a gzip stream at all")),
        row("an archive with bytes after it", ArchiveMismatch, "archive of", packed(&trailing)),
        row(
            "an archive that breaks off",
            ArchiveMismatch,
            "archive of",
            packed(&archive[..archive.len() - 20]),
        ),
        row(
            "an archive of another release",
            ArchiveMismatch,
            "",
            packed(&town.draft("parcel", "1.0.0").archive),
        ),
        row("an archive over this registry's bound", TooLarge, "65536 bytes here", packed(&large)),
    ];
    refuse(&town, rows).await;
    // None of it left anything behind that is in the way of the true one.
    let answer = town.north.publish(&entry, &[&archive]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_which_one_blob_is_not_what_its_name_says_is_refused_and_changes_nothing() {
    let town = small_town().await;
    let looked_at = Digest::of(&town.draft("parcel", "1.0.0").archive);
    let (report, body) = (b"The report.".as_slice(), b"{\"says\":\"passed\"}".as_slice());
    let attestation = Attestation {
        place: town.north.place(&town.body),
        name: full("north.example/parcel"),
        version: Version::parse("1.0.0").unwrap(),
        sha256: looked_at,
        criteria: "wcag-2.2-aa".to_owned(),
        result: AttestationResult::Passed,
        valid_until: None,
        report: Some(Blob::of(report)),
        standard_bodies: vec![Blob::of(body)],
        status_seen: ReleaseStatus::Active,
    };
    let subject = ("parcel-1.0.0.brick".to_owned(), looked_at);
    let entry = signed(Predicate::Attestation(Box::new(attestation)), subject, Key::Officer);
    let sent = |blobs: [&[u8]; 2]| {
        let names = [report, body].map(|blob| Digest::of(blob).to_string());
        in_form(&[("entry", "", &entry), ("blob", &names[0], blobs[0]), ("blob", &names[1], blobs[1])])
    };
    // As long as they should be, so that only their hash tells.
    let (other_report, other_body) = (vec![b'x'; report.len()], vec![b'x'; body.len()]);
    let rows = vec![
        row("the first of two", ArchiveMismatch, "should be", sent([&other_report, body])),
        row("the second of two", ArchiveMismatch, "should be", sent([report, &other_body])),
        row("both", ArchiveMismatch, "should be", sent([&other_report, &other_body])),
    ];
    refuse(&town, rows).await;
    let answer = town.north.publish(&entry, &[report, body]).await;
    assert_eq!(answer.status, 200, "both as they should be: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_is_refused_and_changes_nothing() {
    let town = small_town().await;
    let before = state(&town).await;
    let draft = town.draft("pay-card", "2.0.0");
    let whole = publish(&draft.signed(Key::Officer), &[&draft.archive]);
    // What stands after the last delimiter is an epilogue that says nothing (RFC 2046 §5.1.1); three bytes before the end the
    // delimiter itself is not whole.
    for missing in [3, 40, draft.archive.len() / 2, draft.archive.len() + 300] {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(town.north.at()).await.unwrap();
        stream.write_all(&whole[..whole.len() - missing]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answered = Vec::new();
        let _ = tokio::time::timeout(crate::http::LIMIT, stream.read_to_end(&mut answered))
            .await
            .expect("it ends");
        for answer in answers(&answered) {
            assert_eq!(answer.problem().problem_type, Malformed, "{missing} bytes short");
        }
        assert_eq!(state(&town).await, before, "{missing} bytes short");
    }
    let (answered, _) = talk(town.north.at(), &whole, crate::http::LIMIT).await;
    assert_eq!(answers(&answered)[0].status, 200, "and the whole of it is taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_publisher_and_a_closed_log_take_nothing() {
    let town = small_town().await;
    let draft = town.draft("pay-card", "2.0.0");
    let suspended = |status| {
        let from = town.north.newest(&town.body).size;
        brick_schemas::predicate::Publisher { status, ..town.body_record(from) }
    };
    town.record(suspended(PublisherStatus::Suspended)).await;
    town.projected(&town.north).await;
    let rows = || vec![row("suspended", UnauthorisedKey, "does not take part", changed(&draft, |_| {}))];
    refuse(&town, rows()).await;
    town.record(suspended(PublisherStatus::Active)).await;
    town.projected(&town.north).await;

    let why = Closed::Damaged { origin: town.body.clone(), what: "a test says so".into() };
    town.north.registry().close_log(&town.body, why);
    let rows = vec![row("closed", ReadOnly, "a test says so", changed(&draft, |_| {}))];
    refuse(&town, rows).await;
    let ready = town.north.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("a test says so"), "{}", ready.text());
    assert!(ready.text().contains("read-only"), "{}", ready.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_record_that_is_in_force_later_do_not_count_yet() {
    let town = small_town().await;
    // From ten leaves on it is the stranger's key that counts.
    let from = town.north.newest(&town.body).size + 10;
    let mut record = town.body_record(from);
    record.keys.truncate(1);
    record.keys[0].key = brick_trust::envelope::Signer::public(&Key::Stranger.signing());
    town.record(record).await;
    town.projected(&town.north).await;
    let draft = town.draft("pay-card", "2.0.0");
    let row = row("signed by the key of later", BadSignature, "", changed_by(&draft, Key::Stranger));
    refuse(&town, vec![row]).await;
    let answer = town.north.publish(&draft.signed(Key::Officer), &[&draft.archive]).await;
    assert_eq!(answer.status, 200, "the officer's key counts until then: {}", answer.text());
    assert!(town.body.as_str().starts_with(BODY));
}

//! One small commons, always the same, made with the real types: every example in `docs/formats` is a piece of it.
//!
//! Keys are made from one repeated byte each, times are fixed, and Ed25519 is deterministic, so that whoever implements a
//! checker from the pages can hold it against these bytes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use brick_index::fold::{Fold, Loaded};
use brick_index::layout;
use brick_index::replay::{Before, check_leaf, replay};
use brick_schemas::api::{API_VERSION, CommonsId, LogPath, Problem, ProblemType, WellKnown};
use brick_schemas::archive::{self, ArchivePath, Limits};
use brick_schemas::lockfile::{Commons as LockedCommons, Head as LockedHead, LockedBrick};
use brick_schemas::predicate::publisher::PublisherKey;
use brick_schemas::predicate::release::Citation;
use brick_schemas::predicate::service::Locked;
use brick_schemas::predicate::{
    Advisory, Attestation, Basis, Place, Predicate, Proposal, Publisher, PublisherKind, PublisherStatus,
    Registry, ReleaseStatus, Review, Right, STATEMENT_PAYLOAD_TYPE, Statement, Status, StatusCode, advisory,
    attestation, review, status,
};
use brick_schemas::{
    Blob, Digest, KeySet, Lockfile, Manifest, Origin, PublicKey, PublisherName, ServiceManifest,
};
use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::cosignature::cosign;
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::{Algorithm, KeyName, Note, Vkey};
use brick_tlog::proof::Proof;
use brick_tlog::snapshot::{BucketTree, IndexProof, SnapshotLeaf, bucket_of};
use brick_tlog::tree::Tree;
use brick_tlog::witness::AddCheckpoint;
use brick_trust::envelope::{Signer as _, pae};
use brick_trust::evidence::verify_release;
use brick_trust::root::{DEFAULT_REFUSE_AGE_S, DEFAULT_WARN_AGE_S, Role, TERMS_VERSION, Terms};
use brick_trust::{Commons, Envelope, Pin, Root};
use ed25519_dalek::SigningKey;

use crate::pretty::pretty;

/// 15 January 2027, 08:00:00 UTC.
const START: u64 = 1_800_000_000;

const MANIFEST: &str = r#"manifest = 1

[brick]
name = "northshire.example/missed-bin"
version = "1.0.0"
kind = "process"
maturity = "live"
license = "OGL-UK-3.0"
functions = ["lgsl:524"]

[text.en]
title = "Missed bin"
summary = "Report a bin that was not emptied."

[requires]
"midshire.example/address" = "^1.0"
"#;

const README: &str = "# Missed bin\n\nReport a bin that was not emptied.\n";

const SERVICE: &str = r#"manifest = 1

[service]
id = "northshire.example/report-missed-bin"
function = "lgsl:524"
status = "live"
body = "local-authority-eng:NSH"

[text.en]
title = "Report a missed bin"
summary = "Tell us when your bin was not emptied."

[[part]]
step = "report"
brick = "northshire.example/missed-bin"
version = "^1.0"

[[part]]
step = "tell the contractor"
local = "contractor-interface"
why = "contract"
until = 2028-06-30

[[volume]]
from = 2025-04-01
to = 2026-03-31
channel = "all"
started = 21040
completed = 19872
"#;

/// The secret key made of one byte, 32 times.
fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

fn public(byte: u8) -> PublicKey {
    key(byte).public()
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("the example's names are names")
}

fn owners(byte: u8) -> KeySet {
    KeySet { keys: vec![public(byte)], threshold: 1 }
}

/// A log under way.
struct Log {
    origin: Origin,
    tree: Tree,
    leaves: Vec<Vec<u8>>,
}

impl Log {
    fn new(origin: Origin) -> Self {
        Self { origin, tree: Tree::new(), leaves: Vec::new() }
    }

    fn push(&mut self, leaf: Vec<u8>) {
        self.tree.push(leaf_hash(&leaf));
        self.leaves.push(leaf);
    }

    /// What the next entry's signer sees.
    fn place(&self) -> Place {
        let root = Digest::from(*self.tree.root().as_bytes());
        Place { log: self.origin.clone(), basis: Basis { size: self.tree.len(), root } }
    }

    /// Signs a statement and appends it.
    fn say(&mut self, statement: &Statement, signer: u8) -> Envelope {
        let mut envelope = Envelope::unsigned(STATEMENT_PAYLOAD_TYPE, statement.to_bytes());
        envelope.sign(&key(signer)).expect("a key in memory signs");
        self.push(envelope.to_bytes());
        envelope
    }

    /// The head, signed by the log and cosigned by one witness a second later.
    fn head(&self, log_key: u8, witness: &KeyName, witness_key: u8, time: u64) -> Note {
        let origin = KeyName::new(self.origin.as_str()).expect("an origin is a key name");
        let checkpoint = Checkpoint { origin, size: self.tree.len(), root: self.tree.root() };
        let mut note = sign_checkpoint(&checkpoint, &key(log_key));
        note.signatures.push(cosign(&note.text, witness, &key(witness_key), time));
        note
    }
}

fn witness_name(registry: &PublisherName) -> KeyName {
    brickyard::registry::witness_name(registry)
}

fn registry_record(place: Place, id: &str, operator: &str, log: u8, witness: u8, owner: u8) -> Registry {
    let id: PublisherName = name(id);
    let vkey = Vkey::of(witness_name(&id), Algorithm::CosignatureV1, &key(witness));
    Registry {
        place,
        urls: vec![format!("https://{id}")],
        id,
        operator: name(operator),
        log_key: public(log),
        witness: vkey.to_string(),
        owners: owners(owner),
        status: PublisherStatus::Active,
    }
}

fn about(what: &str, bytes: &[u8], predicate: Predicate) -> Statement {
    Statement::new(vec![(what.to_owned(), Digest::of(bytes))], predicate)
}

fn show(statement: &Statement) -> String {
    let bytes = statement.to_bytes();
    let again = Statement::parse(&bytes).expect("an example is well-formed");
    assert_eq!(again.to_bytes(), bytes, "re-encoding gives the same bytes");
    pretty(std::str::from_utf8(&bytes).expect("JSON is UTF-8"))
}

/// Every example by its name, checked with the code that checks real ones.
pub fn examples() -> BTreeMap<&'static str, String> {
    let mut shown = BTreeMap::new();
    let north: PublisherName = name("northshire.example");
    let (north_registry, mid_registry) = ("registry.northshire.example", "registry.midshire.example");

    // The commons log: a root, two registries, a publisher.
    let commons_domain: PublisherName = name("commons.example");
    let mut commons_log = Log::new(Origin::of_commons(&commons_domain));
    let commons_name = KeyName::new(commons_log.origin.as_str()).expect("an origin is a key name");
    let terms = Terms {
        format: TERMS_VERSION,
        commons: commons_domain,
        log: Vkey::of(commons_name, Algorithm::Ed25519, &key(10)).to_string(),
        quorum_at_least: 0,
        warn_age_s: DEFAULT_WARN_AGE_S,
        refuse_age_s: DEFAULT_REFUSE_AGE_S,
    };
    let stewards = Role { keys: vec![public(1), public(2), public(3)], threshold: 2 };
    let registrars = Role { keys: vec![public(4)], threshold: 1 };
    let mut root = Root::draft(1, START + 365 * 86_400, &stewards, &registrars, &terms);
    root.sign(&key(1)).expect("a key in memory signs");
    root.sign(&key(3)).expect("a key in memory signs");
    let pinned = root.payload_digest();
    shown.insert("root", pretty(std::str::from_utf8(&root.payload).expect("JSON is UTF-8")));
    shown.insert("root-sha256", pinned.to_string());
    commons_log.push(root.to_bytes());
    let mut commons = Commons::begin(&root.to_bytes(), &Pin { root_sha256: pinned }).expect("a good root");

    let record = registry_record(commons_log.place(), north_registry, "northshire.example", 10, 11, 12);
    let statement =
        about(north_registry, record.witness.as_bytes(), Predicate::Registry(Box::new(record.clone())));
    shown.insert("registry", show(&statement));
    shown.insert("vkey-witness", record.witness);
    commons_log.say(&statement, 4);
    let record = registry_record(commons_log.place(), mid_registry, "midshire.example", 13, 14, 15);
    let statement =
        about(mid_registry, record.witness.clone().as_bytes(), Predicate::Registry(Box::new(record)));
    commons_log.say(&statement, 4);
    let north_origin = Origin::of_publisher(&north);
    let north_vkey = {
        let name = KeyName::new(north_origin.as_str()).expect("an origin is a key name");
        Vkey::of(name, Algorithm::Ed25519, &key(10))
    };
    let record = Publisher {
        place: commons_log.place(),
        id: north.clone(),
        kind: PublisherKind::PublicBody,
        title: Some(Blob::of("Northshire Council".as_bytes())),
        origin: north_origin.clone(),
        vkey: north_vkey.to_string(),
        home: name(north_registry),
        owners: owners(20),
        keys: vec![
            PublisherKey {
                key: public(21),
                rights: vec![Right::Publish, Right::Yank, Right::Attest, Right::Propose],
                until: None,
                bricks: None,
            },
            PublisherKey {
                key: public(22),
                rights: vec![Right::Publish],
                until: Some(4096),
                bricks: Some(vec!["missed-*".to_owned()]),
            },
        ],
        from: 0,
        status: PublisherStatus::Active,
        succeeds: Vec::new(),
    };
    let statement =
        about(north.as_str(), record.vkey.clone().as_bytes(), Predicate::Publisher(Box::new(record)));
    shown.insert("publisher", show(&statement));
    shown.insert("vkey-log", north_vkey.to_string());
    commons_log.say(&statement, 4);
    for (at, leaf) in commons_log.leaves.iter().enumerate().skip(1) {
        let before = at as u64;
        commons
            .apply(leaf, |size| {
                (size <= before).then(|| commons_log.tree.root_at(size).expect("a size so far"))
            })
            .expect("a good record");
    }

    // An archive.
    shown.insert("manifest", MANIFEST.trim_end().to_owned());
    let manifest = Manifest::parse_as_author(MANIFEST).expect("a good manifest");
    let files: Vec<(ArchivePath, &[u8])> = [("README.md", README), ("brick.toml", MANIFEST)]
        .map(|(path, text)| (ArchivePath::parse(path).expect("a good path"), text.as_bytes()))
        .into();
    let (brick, version) = (&manifest.brick.name, &manifest.brick.version);
    let packed = archive::write(&brick.brick, version, &files).expect("good files");
    let read = archive::read(&packed, &Limits::default()).expect("what was written reads");
    let mut lines = String::new();
    for (path, content) in read.files() {
        writeln!(lines, "{}  {path}", Digest::of(content)).expect("writing to a string");
    }
    shown.insert("contents-lines", lines.trim_end().to_owned());
    shown.insert("contents", read.contents().to_string());
    shown.insert("archive-hex", hex_dump(&packed[..16]));
    let header = first_header(&packed);
    shown.insert("header-hex", hex_dump(&header));

    // The publisher's log: a snapshot of nothing; a release; a service and a status.
    let mut log = Log::new(north_origin.clone());
    let mut fold = Fold::begin(Loaded::default());
    let mut index = BucketTree::new();
    snapshot(&mut log, &mut fold, &mut index, START);
    let release = manifest.release(log.place(), Blob::of(&packed), read.contents(), Vec::new(), None);
    manifest.matches(&release).expect("an entry made from its manifest");
    let statement = Statement::new(
        vec![("missed-bin-1.0.0.brick".to_owned(), release.archive.sha256)],
        Predicate::Release(Box::new(release.clone())),
    );
    shown.insert("release", show(&statement));
    fold.apply(log.tree.len(), &statement).expect("a new version");
    let envelope = log.say(&statement, 21);
    shown.insert("envelope", String::from_utf8(envelope.to_bytes()).expect("JSON is UTF-8"));
    let signed = pae(STATEMENT_PAYLOAD_TYPE, &envelope.payload);
    shown.insert("pae", format!("{} …", String::from_utf8_lossy(&signed[..120])));
    shown.insert(
        "keyid-bytes",
        format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#, public(21)),
    );
    shown.insert("keyid", public(21).id().to_string());
    snapshot(&mut log, &mut fold, &mut index, START + 60);
    let line = fold.file(&brick.brick).expect("it was released").text();
    shown.insert("index-line-first", line.trim_end().to_owned());

    let service = ServiceManifest::parse(SERVICE).expect("a good service");
    let locked =
        vec![Locked { name: brick.clone(), version: version.clone(), sha256: release.archive.sha256 }];
    let service = service
        .service(log.place(), locked, Some(Blob::of(SERVICE.as_bytes())))
        .expect("its brick is locked");
    let statement = about("service.toml", SERVICE.as_bytes(), Predicate::Service(Box::new(service)));
    shown.insert("service", show(&statement));
    fold.apply(log.tree.len(), &statement).expect("a service");
    log.say(&statement, 21);
    let statement = Statement::new(
        vec![("missed-bin-1.0.0.brick".to_owned(), release.archive.sha256)],
        Predicate::Status(Box::new(Status {
            place: log.place(),
            name: brick.clone(),
            versions: vec![version.clone()],
            status: ReleaseStatus::Deprecated,
            code: Some(StatusCode::Superseded),
            use_instead: Some(status::UseInstead {
                name: name("midshire.example/missed-bin"),
                req: name("^2.1"),
            }),
            effective: Some("2027-06-30".to_owned()),
            reason: Some(Blob::of(b"Midshire's covers garden waste too.")),
        })),
    );
    shown.insert("status", show(&statement));
    fold.apply(log.tree.len(), &statement).expect("a status of a release that is there");
    log.say(&statement, 21);
    let bucket = snapshot(&mut log, &mut fold, &mut index, START + 3_600);
    let line = fold.file(&brick.brick).expect("it was released").text();
    let file = line.clone().into_bytes();
    shown.insert("index-line", line.trim_end().to_owned());
    shown.insert("index-line-pretty", pretty(line.trim_end()));
    shown.insert(
        "snapshot-leaf",
        String::from_utf8_lossy(log.leaves.last().expect("a leaf")).trim_end().to_owned(),
    );
    shown.insert("bucket", String::from_utf8(bucket.bytes()).expect("lines").trim_end().to_owned());
    shown.insert("bucket-number", format!("0x{:04x}", bucket_of(brick.brick.as_str())));
    shown.insert("index-root-empty", BucketTree::new().root().to_hex());

    // The log as a whole is one that a mirror would cosign.
    let checked: Vec<_> = (0..)
        .zip(&log.leaves)
        .map(|(at, leaf)| check_leaf(&commons, &north, at, leaf).expect("a good leaf"))
        .collect();
    let before = Before {
        publisher: &north,
        commons: &commons,
        first: 0,
        snapshot_time: None,
        loaded: Loaded::default(),
        nodes: HashMap::new(),
        index_root: BucketTree::new().root(),
    };
    replay(before, &checked, |size| log.tree.root_at(size).ok(), |_| false).expect("a good log");

    // Heads and proofs.
    let witness = witness_name(&name(mid_registry));
    let head = log.head(10, &witness, 14, START + 3_601);
    shown.insert("checkpoint", head.to_string().trim_end().to_owned());
    shown.insert(
        "cosignature-message",
        format!("cosignature/v1\ntime {}\n{}", START + 3_601, head.text).trim_end().to_owned(),
    );
    let size = log.tree.len();
    let prove = |at: u64| Proof {
        extra: Some(log.leaves[usize::try_from(at).expect("small")].clone()),
        index: at,
        path: log.tree.prove_inclusion(at, size).expect("a leaf of this log"),
        checkpoint: head.clone(),
    };
    let proof = prove(1);
    verify_release(&proof, brick, version, &commons, START + 4_000).expect("a proof that convinces");
    shown.insert("tlog-proof", proof.to_string().trim_end().to_owned());
    let index_proof =
        IndexProof { bucket, path: index.prove(bucket_of(brick.brick.as_str())), snapshot: prove(size - 1) };
    index_proof.verify(brick.brick.as_str(), Some(Hash::of(&file)), &north_vkey).expect("the current file");
    shown.insert("index-proof", index_proof.to_string().trim_end().to_owned());
    let old = 3;
    let request = AddCheckpoint::new(
        old,
        log.tree.prove_consistency(old, size).expect("sizes of this log"),
        Note { text: head.text.clone(), signatures: head.signatures[..1].to_vec() },
    );
    shown.insert("add-checkpoint", request.expect("a good request").to_string().trim_end().to_owned());

    // What lies in git, and what a client keeps.
    let mut paths = vec!["README.md".to_owned()];
    for (folder, count) in [(layout::COMMONS.to_owned(), commons_log.tree.len()), (layout::log(&north), size)]
    {
        paths.push(layout::checkpoint(&folder));
        paths.extend((0..count).map(|at| layout::entry(&folder, at)));
    }
    paths.push(layout::index_file(&north, &brick.brick));
    paths.push(layout::service(&north, &name("report-missed-bin")));
    paths.sort();
    shown.insert("git-tree", paths.join("\n"));
    let head_of = |log: &Log| LockedHead {
        origin: log.origin.clone(),
        size: log.tree.len(),
        root: Digest::from(*log.tree.root().as_bytes()),
    };
    let lock = Lockfile::new(
        LockedCommons { origin: commons_log.origin.clone(), root_sha256: pinned },
        vec![head_of(&commons_log), head_of(&log)],
        vec![LockedBrick {
            name: brick.clone(),
            version: version.clone(),
            cksum: release.archive.sha256,
            entry: 1,
            features: Vec::new(),
            dependencies: Vec::new(),
        }],
    );
    let text = lock.to_text();
    assert_eq!(Lockfile::parse(&text).expect("a good lockfile"), lock);
    shown.insert("lockfile", text.trim_end().to_owned());

    // What is said over HTTP.
    let well_known = WellKnown {
        api_version: API_VERSION,
        commons: CommonsId {
            origin: commons_log.origin.clone(),
            vkey: terms.log.clone(),
            root_sha256: pinned,
        },
        registry: name(north_registry),
        logs: vec![
            LogPath {
                origin: commons_log.origin.clone(),
                vkey: terms.log,
                path: "/commons".to_owned(),
                publisher: None,
            },
            LogPath {
                origin: north_origin,
                vkey: north_vkey.to_string(),
                path: format!("/logs/{north}"),
                publisher: Some(north.clone()),
            },
        ],
    };
    shown.insert("well-known", pretty(&serde_json::to_string(&well_known).expect("string keys")));
    let problem =
        Problem::new(ProblemType::Conflict, format!("{brick} {version} is already released, as leaf 1"));
    shown.insert("problem", pretty(&serde_json::to_string(&problem).expect("string keys")));

    statements_of_others(&mut shown, &release, &log);
    shown
}

/// A snapshot leaf over what the fold holds; returns the (only) bucket that changed.
fn snapshot(
    log: &mut Log,
    fold: &mut Fold,
    index: &mut BucketTree,
    time: u64,
) -> brick_tlog::snapshot::Bucket {
    let folded = fold.snapshot(time).expect("a name that a bucket takes");
    let mut last = brick_tlog::snapshot::Bucket::new();
    for (number, bucket) in folded.buckets {
        index.set(number, bucket.leaf_hash());
        last = bucket;
    }
    let leaf = SnapshotLeaf { size: log.tree.len(), time, index_root: index.root() };
    log.push(leaf.to_string().into_bytes());
    last
}

/// Entries of logs that are not in this example: each log begins with the snapshot of nothing, which is their basis.
fn statements_of_others(
    shown: &mut BTreeMap<&'static str, String>,
    release: &brick_schemas::predicate::Release,
    north: &Log,
) {
    let begun = |publisher: &str| {
        let mut log = Log::new(Origin::of_publisher(&name(publisher)));
        let (mut fold, mut index) = (Fold::begin(Loaded::default()), BucketTree::new());
        snapshot(&mut log, &mut fold, &mut index, START);
        log
    };
    let mut acme = begun("acme.example");
    let proposed = Blob { sha256: Digest::of(b"the proposed archive"), bytes: 4_096 };
    let statement = Statement::new(
        vec![("missed-bin-1.1.0.brick".to_owned(), proposed.sha256)],
        Predicate::Proposal(Box::new(Proposal {
            place: acme.place(),
            target: release.name.clone(),
            base: review::Base { version: release.version.clone(), sha256: release.archive.sha256 },
            archive: proposed,
            rationale: Blob::of(b"Also for garden waste."),
        })),
    );
    shown.insert("proposal", show(&statement));
    let index = acme.tree.len();
    let envelope = acme.say(&statement, 23);
    let statement = Statement::new(
        vec![("proposal".to_owned(), envelope.payload_digest())],
        Predicate::Review(Box::new(Review {
            place: north.place(),
            proposal: Citation { log: acme.origin.clone(), index, payload: envelope.payload_digest() },
            outcome: review::Outcome::Accepted,
            reason: None,
        })),
    );
    shown.insert("review", show(&statement));
    let audit = begun("audit.example");
    let statement = Statement::new(
        vec![("missed-bin-1.0.0.brick".to_owned(), release.archive.sha256)],
        Predicate::Attestation(Box::new(Attestation {
            place: audit.place(),
            name: release.name.clone(),
            version: release.version.clone(),
            sha256: release.archive.sha256,
            criteria: "wcag-2.2-aa".to_owned(),
            result: attestation::AttestationResult::Passed,
            valid_until: Some("2028-01-31".to_owned()),
            report: Some(Blob::of(b"The report.")),
            standard_bodies: Vec::new(),
            status_seen: ReleaseStatus::Active,
        })),
    );
    shown.insert("attestation", show(&statement));
    let document = Blob::of(b"{\"schema_version\":\"1.6.0\",\"id\":\"AUDIT-2027-1\"}");
    let statement = Statement::new(
        vec![("AUDIT-2027-1".to_owned(), document.sha256)],
        Predicate::Advisory(Box::new(Advisory {
            place: audit.place(),
            id: "AUDIT-2027-1".to_owned(),
            document,
            affected: vec![advisory::Affected { name: release.name.clone(), req: name("<1.0.1") }],
            severity: advisory::Severity::High,
        })),
    );
    shown.insert("advisory", show(&statement));
}

/// The first header of the archive's tar stream.
fn first_header(packed: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut header = vec![0; 512];
    flate2::read::GzDecoder::new(packed).read_exact(&mut header).expect("a gzip member with a header");
    header
}

/// Offset, 16 bytes in hexadecimal, and what of them is text; lines of zeros are one `*`, as in `hexdump -C`.
fn hex_dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut zeros = 0;
    for (at, row) in bytes.chunks(16).enumerate() {
        zeros = if row.iter().all(|byte| *byte == 0) { zeros + 1 } else { 0 };
        match zeros {
            0 | 1 => {
                let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
                let shown: String = row
                    .iter()
                    .map(
                        |byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' },
                    )
                    .collect();
                writeln!(text, "{:08x}  {:<47}  |{shown}|", at * 16, hex.join(" "))
                    .expect("writing to a string");
            }
            2 => text.push_str("*\n"),
            _ => {}
        }
    }
    write!(text, "{:08x}", bytes.len()).expect("writing to a string");
    text
}

//! Every predicate is read as written, and one that is over a bound is refused by its field.

use brick_schemas::predicate::{MAX_SUBJECTS, Statement, StatementError};
use serde_json::{Value, json};

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const OTHER: &str = "bf07a7fbb825fc0aae7bf4a1177b2b31fcf8a3feeaf7092761e18c859ee52a9c";
const VKEY: &str = "northshire.gov.uk/log+6f34eb83+AYuP";

fn blob(bytes: u64) -> Value {
    json!({ "sha256": DIGEST, "bytes": bytes })
}

/// A good Statement of each kind.
fn good(kind: &str) -> Value {
    let mut predicate = match kind {
        "release" => json!({
            "name": "northshire.gov.uk/case-handling", "version": "1.4.0", "kind": "component", "maturity": "live",
            "license": "MIT", "archive": blob(10), "contents": "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "requires": [
                { "name": "govstack.global/identity", "req": "^1", "features": ["a", "b"] },
                { "name": "southshire.gov.uk/pay", "req": "1", "optional": true },
            ],
            "features": { "cards": ["dep:southshire.gov.uk/pay", "southshire.gov.uk/pay/cards"] },
            "provides": { "govstack.global/registration-api": "1.2.0" },
            "needs": { "govstack.global/messaging-api": "^1" },
            "forked_from": { "name": "a.example/b", "version": "1.0.0", "sha256": DIGEST, "relation": "variant", "reason": "law" },
            "contributions": [{ "log": "acme.example/log", "index": 3, "payload": DIGEST }],
            "source": { "repository": "https://code.example/x", "commit": "0123456789abcdef0123456789abcdef01234567" },
        }),
        "status" => json!({
            "name": "northshire.gov.uk/case-handling", "versions": ["1.4.0", "1.4.1"], "status": "yanked",
            "code": "security", "effective": "2026-01-31", "reason": blob(10),
        }),
        "service" => json!({
            "id": "northshire.gov.uk/bins", "function": "lgsl:524", "body": "local-authority-eng:NSH", "status": "live",
            "parts": [
                { "step": "report", "brick": "a.example/b", "version": "1.0.0", "features": ["x"] },
                { "step": "tell", "local": "own", "why": "legacy", "until": "2027-06-30" },
            ],
            "locked": [
                { "name": "a.example/b", "version": "1.0.0", "sha256": DIGEST },
                { "name": "a.example/c", "version": "1.0.0", "sha256": DIGEST },
            ],
            "volumes": [{ "from": "2025-04-01", "to": "2026-03-31", "channel": "all", "started": 3, "source": "https://a.example" }],
            "costs": [{
                "from": "2025-04-01", "to": "2026-03-31", "what": "run", "kind": "staff", "amount": "1.50", "currency": "GBP",
                "price_year": "2025-26", "basis": "actual", "scope": ["report"], "share_percent": "12.5",
            }],
            "contracts": [{ "supplier": "GB-COH-01234567", "ocid": "ocds-1", "ends": "2027-06-30", "covers": ["tell"] }],
            "texts": blob(10),
        }),
        "proposal" => json!({
            "target": "a.example/b", "base": { "version": "1.0.0", "sha256": DIGEST }, "archive": blob(10),
            "rationale": blob(10),
        }),
        "review" => json!({
            "proposal": { "log": "acme.example/log", "index": 3, "payload": DIGEST }, "outcome": "declined",
            "reason": blob(10),
        }),
        "attestation" => json!({
            "name": "a.example/b", "version": "1.0.0", "sha256": DIGEST, "criteria": "wcag-2.2-aa", "result": "passed",
            "valid_until": "2027-01-31", "report": blob(10), "standard_bodies": [blob(10)],
        }),
        "advisory" => json!({
            "id": "BRICK-2026-0001", "document": blob(10), "affected": [{ "name": "a.example/b", "req": "<2" }],
            "severity": "high",
        }),
        "publisher" => json!({
            "id": "northshire.gov.uk", "kind": "public-body", "title": blob(10), "origin": "northshire.gov.uk/log",
            "vkey": VKEY, "home": "registry.example.org", "owners": { "keys": [DIGEST, OTHER], "threshold": 2 },
            "keys": [{ "key": OTHER, "rights": ["publish", "yank"], "until": 9, "bricks": ["case-*"] }], "from": 0,
            "succeeds": ["oldshire.gov.uk"],
        }),
        "registry" => json!({
            "id": "registry.example.org", "operator": "northshire.gov.uk", "log_key": DIGEST, "witness": VKEY,
            "urls": ["https://registry.example.org", "http://127.0.0.1:4873"], "owners": { "keys": [DIGEST], "threshold": 1 },
        }),
        other => panic!("no kind {other}"),
    };
    predicate["log"] = "northshire.gov.uk/log".into();
    predicate["basis"] = json!({ "size": 7, "root": DIGEST });
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "x", "digest": { "sha256": DIGEST } }],
        "predicateType": format!("urn:brickyard:{kind}:v1"),
        "predicate": predicate,
    })
}

const KINDS: [&str; 9] = [
    "release",
    "status",
    "service",
    "proposal",
    "review",
    "attestation",
    "advisory",
    "publisher",
    "registry",
];

fn parse(statement: &Value) -> Result<Statement, StatementError> {
    Statement::parse(statement.to_string().as_bytes())
}

fn repeat(item: Value, count: usize) -> Value {
    Value::Array(vec![item; count])
}

#[test]
fn every_kind_is_read_as_written_and_fits_its_schema() {
    for kind in KINDS {
        let statement = parse(&good(kind)).unwrap_or_else(|err| panic!("{kind}: {err}"));
        assert_eq!(statement.predicate.kind(), kind);
        let bytes = statement.to_bytes();
        assert_eq!(Statement::parse(&bytes).unwrap(), statement, "{kind}");
        let schema = brick_schemas::json_schema::named(&format!("predicate-{kind}")).unwrap().schema;
        let validator = jsonschema::draft202012::new(schema.as_value()).unwrap();
        for value in [good(kind), serde_json::from_slice(&bytes).unwrap()] {
            let problems: Vec<String> = validator
                .iter_errors(&value["predicate"])
                .map(|e| format!("{}: {e}", e.instance_path()))
                .collect();
            assert!(problems.is_empty(), "{kind}: {problems:#?}");
        }
    }
}

#[test]
fn unknown_members_pass() {
    for kind in KINDS {
        let mut statement = good(kind);
        statement["predicate"]["of_a_later_version"] = json!([1]);
        parse(&statement).unwrap_or_else(|err| panic!("{kind}: {err}"));
    }
}

#[test]
fn a_field_that_breaks_its_rule_is_named() {
    let versions: Vec<String> = (0..257).map(|n| format!("1.0.{n}")).collect();
    let requires: Vec<Value> =
        (0..257).map(|n| json!({ "name": format!("a.example/b{n:03}"), "req": "1" })).collect();
    let locked: Vec<Value> = (0..1_025)
        .map(|n| json!({ "name": format!("a.example/b{n:04}"), "version": "1.0.0", "sha256": DIGEST }))
        .collect();
    let map = |count: usize, value: Value| -> Value {
        (0..count)
            .map(|n| (format!("a.example/b{n}"), value.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let features: serde_json::Map<String, Value> = (0..129).map(|n| (format!("f{n}"), json!([]))).collect();
    let too_big = 1_u64 << 53;
    for (kind, pointer, bad, field, says) in [
        ("release", "/basis/size", json!((1_u64 << 40) + 1), "basis", "2^40"),
        ("release", "/license", json!("MIT Apache-2.0"), "license", "SPDX"),
        ("release", "/license", json!(""), "license", "SPDX"),
        ("release", "/archive", blob((16 << 20) + 1), "archive", "at most 16777216"),
        ("release", "/requires", json!(requires), "requires", "at most 256"),
        ("release", "/requires/0/name", json!("zz.example/z"), "requires", "ascending"),
        ("release", "/requires/1/name", json!("govstack.global/identity"), "requires", "ascending"),
        ("release", "/requires/0/name", json!("northshire.gov.uk/case-handling"), "requires", "itself"),
        ("release", "/requires/0/features", json!(["b", "a"]), "requires", "ascending"),
        ("release", "/features", features.into(), "features", "at most 128"),
        ("release", "/features/cards", repeat(json!("x"), 65), "features", "at most 64"),
        ("release", "/features/cards", json!(["nothing"]), "features", "no feature `nothing`"),
        ("release", "/features/cards", json!(["dep:a.example/b"]), "features", "not required"),
        (
            "release",
            "/features/cards",
            json!(["dep:govstack.global/identity"]),
            "features",
            "optional = true",
        ),
        (
            "release",
            "/features/cards",
            json!(["southshire.gov.uk/pay/b", "southshire.gov.uk/pay/a"]),
            "features",
            "ascending",
        ),
        ("release", "/provides", map(65, json!("1.0.0")), "provides", "at most 64"),
        ("release", "/needs", map(65, json!("1")), "needs", "at most 64"),
        ("release", "/forked_from/reason", json!("a\u{202e}b"), "forked_from", "U+202E"),
        ("release", "/forked_from/reason", json!("x".repeat(501)), "forked_from", "at most 500"),
        (
            "release",
            "/contributions",
            repeat(json!({ "log": "a.example/log", "index": 1, "payload": DIGEST }), 65),
            "contributions",
            "at most 64",
        ),
        ("release", "/source/commit", json!("HEAD"), "source", "hexadecimal"),
        ("release", "/source/repository", json!("a\nb"), "source", "U+000A"),
        ("status", "/versions", json!([]), "versions", "empty"),
        ("status", "/versions", json!(versions), "versions", "at most 256"),
        ("status", "/versions", json!(["1.4.1", "1.4.0"]), "versions", "ascending"),
        ("status", "/versions", json!(["1.4.0", "1.4.0"]), "versions", "ascending"),
        ("status", "/code", Value::Null, "code", "not `active`"),
        ("status", "/status", json!("active"), "code", "not `active`"),
        ("status", "/effective", json!("2026-02-30"), "effective", "no such day"),
        ("status", "/reason", blob(1 << 40), "reason", "at most"),
        ("service", "/function", json!("524"), "function", "scheme"),
        ("service", "/body", json!("Northshire"), "body", "scheme"),
        (
            "service",
            "/parts",
            repeat(json!({ "step": "s", "local": "own", "why": "legacy" }), 257),
            "parts",
            "at most 256",
        ),
        ("service", "/parts/0/step", json!("x".repeat(65)), "parts", "at most 64"),
        ("service", "/parts/0/version", json!("1.0.1"), "parts", "locked"),
        ("service", "/parts/0/features", json!(["x", "x"]), "parts", "ascending"),
        ("service", "/parts/1/local", json!("a\u{200b}b"), "parts", "U+200B"),
        ("service", "/parts/1/until", json!("soon"), "parts", "YYYY-MM-DD"),
        ("service", "/locked", json!(locked), "locked", "at most 1024"),
        ("service", "/locked/1/name", json!("a.example/a"), "locked", "ascending"),
        ("service", "/volumes/0/to", json!("2025-03-31"), "volumes", "before it begins"),
        ("service", "/volumes/0/started", json!(too_big), "volumes", "2^53"),
        ("service", "/volumes/0/source", json!("http://a.example"), "volumes", "https"),
        (
            "service",
            "/volumes",
            repeat(json!({ "from": "2025-04-01", "to": "2025-04-02", "channel": "all" }), 257),
            "volumes",
            "at most 256",
        ),
        ("service", "/costs/0/what", json!("fun"), "costs", "none of"),
        ("service", "/costs/0/kind", json!("fun"), "costs", "none of"),
        ("service", "/costs/0/basis", json!("fun"), "costs", "none of"),
        ("service", "/costs/0/amount", json!("-1"), "costs", "amount"),
        ("service", "/costs/0/currency", json!("pound"), "costs", "ISO 4217"),
        ("service", "/costs/0/price_year", json!("25"), "costs", "2025-26"),
        ("service", "/costs/0/scope", json!(["report", "report"]), "costs", "twice"),
        ("service", "/costs/0/share_percent", json!("101"), "costs", "0` to `100"),
        ("service", "/contracts/0/supplier", json!("Acme"), "contracts", "org-id"),
        ("service", "/contracts/0/ocid", json!(""), "contracts", "empty"),
        ("service", "/texts", blob(1 << 30), "texts", "at most"),
        ("proposal", "/archive", blob(1 << 30), "archive", "at most"),
        ("proposal", "/rationale", blob(1 << 30), "rationale", "at most"),
        ("review", "/proposal/index", json!(1_u64 << 40), "proposal", "2^40"),
        ("review", "/reason", blob(1 << 30), "reason", "at most"),
        ("attestation", "/criteria", json!("all of it"), "criteria", "letters"),
        ("attestation", "/criteria", json!(""), "criteria", "1 to 64"),
        ("attestation", "/valid_until", json!("2027"), "valid_until", "YYYY-MM-DD"),
        ("attestation", "/standard_bodies", repeat(blob(1), 17), "standard_bodies", "at most 16"),
        ("advisory", "/id", json!("x".repeat(129)), "id", "1 to 128"),
        ("advisory", "/affected", json!([]), "affected", "empty"),
        (
            "advisory",
            "/affected",
            repeat(json!({ "name": "a.example/b", "req": "1" }), 257),
            "affected",
            "at most 256",
        ),
        ("publisher", "/vkey", json!("a b"), "vkey", "vkey"),
        ("publisher", "/vkey", json!("x".repeat(2_049)), "vkey", "vkey"),
        ("publisher", "/owners/threshold", json!(0), "owners", "threshold"),
        ("publisher", "/owners/threshold", json!(3), "owners", "threshold"),
        ("publisher", "/owners/keys", json!([DIGEST, DIGEST]), "owners", "twice"),
        ("publisher", "/keys", repeat(json!({ "key": DIGEST, "rights": ["publish"] }), 2), "keys", "twice"),
        ("publisher", "/keys/0/rights", json!([]), "keys", "without rights"),
        ("publisher", "/keys/0/rights", json!(["yank", "yank"]), "keys", "twice"),
        ("publisher", "/keys/0/bricks", repeat(json!("a*"), 65), "keys", "at most 64"),
        ("publisher", "/keys/0/bricks", json!(["a b"]), "keys", "letters"),
        ("publisher", "/from", json!((1_u64 << 40) + 1), "from", "2^40"),
        ("publisher", "/succeeds", json!(["northshire.gov.uk"]), "succeeds", "itself"),
        ("registry", "/witness", json!(""), "witness", "vkey"),
        ("registry", "/urls", json!(["ftp://a.example"]), "urls", "https"),
        ("registry", "/urls", json!(["https://a.example", "https://a.example"]), "urls", "twice"),
        ("registry", "/urls", repeat(json!("https://a.example"), 17), "urls", "at most 16"),
        ("registry", "/owners/keys", json!([]), "owners", "threshold"),
    ] {
        let mut statement = good(kind);
        *statement["predicate"].pointer_mut(pointer).unwrap_or_else(|| panic!("{kind}{pointer}")) = bad;
        match parse(&statement) {
            Err(StatementError::Field { kind: k, field: f, rule }) => {
                assert_eq!((k, f), (kind, field), "{pointer}: {rule}");
                assert!(rule.contains(says), "{kind}{pointer}: {rule}");
            }
            other => panic!("{kind}{pointer}: {other:?}"),
        }
    }
}

#[test]
fn a_value_of_no_good_form_is_refused_with_the_rule_it_breaks() {
    use std::error::Error as _;
    for (kind, pointer, bad, says) in [
        ("release", "/features/cards", json!(["Cards"]), "lower-case"),
        ("release", "/features/cards", json!(["southshire.gov.uk/pay"]), "dep:publisher/brick"),
        ("release", "/features/cards", json!(["dep:southshire.gov.uk/pay/cards"]), "`/` in brick name"),
        ("release", "/version", json!("1.4"), "1.4"),
        ("status", "/status", json!("burnt"), "burnt"),
    ] {
        let mut statement = good(kind);
        *statement["predicate"].pointer_mut(pointer).unwrap_or_else(|| panic!("{kind}{pointer}")) = bad;
        let error = parse(&statement).unwrap_err();
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(
            matches!(error, StatementError::Json(_)) && cause.contains(says),
            "{kind}{pointer}: {error}: {cause}"
        );
    }
}

#[test]
fn subjects_are_counted_and_shown_ones_are_checked() {
    let subject = json!({ "digest": { "sha256": DIGEST } });
    let mut statement = good("release");
    for count in [0, MAX_SUBJECTS + 1] {
        statement["subject"] = repeat(subject.clone(), count);
        assert!(matches!(parse(&statement), Err(StatementError::Subjects { found }) if found == count));
    }
    let mut many = good("status");
    many["subject"] = repeat(subject.clone(), MAX_SUBJECTS);
    parse(&many).unwrap();
    for kind in ["release", "proposal", "attestation"] {
        for subject in [json!([{ "digest": { "sha256": OTHER } }]), repeat(subject.clone(), 2)] {
            let mut statement = good(kind);
            statement["subject"] = subject;
            let error = parse(&statement).unwrap_err();
            assert!(matches!(error, StatementError::Field { field: "subject", .. }), "{kind}: {error}");
        }
    }
    statement["subject"] = json!([{ "name": "a\u{202e}b", "digest": { "sha256": DIGEST } }]);
    assert!(matches!(parse(&statement), Err(StatementError::Field { field: "subject", .. })));
}

#[test]
fn another_type_or_version_is_refused_by_name() {
    let mut statement = good("release");
    statement["predicateType"] = "urn:brickyard:release:v2".into();
    assert!(parse(&statement).unwrap_err().to_string().contains("urn:brickyard:release:v2"));
    statement["predicateType"] = "\u{1b}[2J".into();
    assert!(!parse(&statement).unwrap_err().to_string().contains('\u{1b}'));
    let mut statement = good("release");
    statement["_type"] = "https://in-toto.io/Statement/v2".into();
    assert!(matches!(parse(&statement), Err(StatementError::Type { .. })));
}

//! A manifest and its entry say the same, its bounds hold, and nothing in a file makes the reader panic.

use brick_schemas::archive::{self, ArchivePath};
use brick_schemas::manifest::{MAX_MANIFEST_BYTES, Mismatch};
use brick_schemas::predicate::release::{Citation, Maturity, Release, Source};
use brick_schemas::predicate::{Basis, Place, Predicate, Statement};
use brick_schemas::{
    Blob, Contents, Digest, FeatureItem, FullName, Manifest, Origin, Requirement, ServiceManifest, Version,
};
use proptest::prelude::*;

use crate::files::path;

fn fixture(name: &str) -> String {
    std::fs::read_to_string(path("fixtures/good").join(name)).unwrap()
}

fn everything() -> Manifest {
    Manifest::parse(&fixture("brick.everything.toml")).unwrap()
}

pub fn place() -> Place {
    Place {
        log: Origin::parse("northshire.gov.uk/log").unwrap(),
        basis: Basis { size: 7, root: Digest::of(b"root") },
    }
}

fn release(manifest: &Manifest) -> Release {
    let citation = Citation {
        log: Origin::parse("acme.example/log").unwrap(),
        index: 3,
        payload: Digest::of(b"payload"),
    };
    let source = Source { repository: "https://code.example/x".into(), commit: "0".repeat(40) };
    let contents = Contents::of([("brick.toml", Digest::of(b"manifest"))]);
    manifest.release(place(), Blob::of(b"archive"), contents, vec![citation], Some(source))
}

#[test]
fn the_whole_file_is_understood() {
    let manifest = everything();
    assert_eq!(manifest.brick.name.to_string(), "northshire.gov.uk/case-handling");
    assert_eq!(manifest.brick.license.spec.as_str(), "OGL-UK-3.0");
    assert_eq!(manifest.brick.license.software.as_ref().unwrap().as_str(), "MIT OR EUPL-1.2");
    assert_eq!(manifest.text.len(), 2);
    let names: Vec<String> = manifest.requires.iter().map(|d| d.name.to_string()).collect();
    assert_eq!(names, ["govstack.global/identity", "midshire.gov.uk/address", "southshire.gov.uk/pay"]);
    let [identity, address, pay] = manifest.requires.as_slice() else { panic!() };
    assert!(!identity.optional && identity.default_features && identity.features.is_empty());
    assert!(address.optional && address.default_features && address.features[0].as_str() == "uprn");
    assert!(pay.optional && !pay.default_features && pay.req.as_str() == ">=1.2, <3");
    assert_eq!(manifest.provides.len(), 2);
    assert_eq!(
        manifest.data.as_ref().unwrap().special_category.as_deref(),
        Some(&[][..]),
        "none, not unknown"
    );
    assert_eq!(manifest.cost_reference[0].amount.as_str(), "41000.00");
    assert_eq!(manifest.maintenance.as_ref().unwrap().until.unwrap().to_string(), "2028-03-31");
    assert_eq!(manifest.x.values().next().unwrap()["colour"].as_str(), Some("blue"));
    assert!(manifest.unreachable_requirements().is_empty());
}

#[test]
fn an_optional_requirement_that_nothing_turns_on_is_unreachable() {
    let text = fixture("brick.smallest.toml")
        + "\n[requires]\n\"a.example/b\" = { version = \"1\", optional = true }\n[features]\nf = [\"a.example/b?/x\"]\n";
    let manifest = Manifest::parse(&text).unwrap();
    assert_eq!(manifest.unreachable_requirements(), [&FullName::parse("a.example/b").unwrap()]);
}

#[test]
fn a_manifest_and_its_entry_match_and_the_entry_keeps_every_bound() {
    for manifest in [everything(), Manifest::parse(&fixture("brick.smallest.toml")).unwrap()] {
        let release = release(&manifest);
        release.check_bounds().unwrap();
        manifest.matches(&release).unwrap();
        let statement = Statement::new(
            vec![("case-handling-1.4.0.brick".into(), release.archive.sha256)],
            Predicate::Release(Box::new(release.clone())),
        );
        assert_eq!(Statement::parse(&statement.to_bytes()).unwrap(), statement);
    }
}

type Change = fn(&mut Release);

#[test]
fn every_field_of_an_entry_that_differs_is_named() {
    let manifest = everything();
    let good = release(&manifest);
    let changes: [(&str, Change); 14] = [
        ("name", |r| r.name = FullName::parse("a.example/b").unwrap()),
        ("version", |r| r.version = Version::parse("9.9.9").unwrap()),
        ("kind", |r| r.kind = brick_schemas::predicate::release::BrickKind::Form),
        ("maturity", |r| r.maturity = Maturity::Alpha),
        ("license", |r| r.license = "MIT".into()),
        ("requires", |r| drop(r.requires.pop())),
        ("requires", |r| r.requires[0].req = Requirement::parse("*").unwrap()),
        ("requires", |r| r.requires[1].optional = false),
        ("requires", |r| r.requires[2].default_features = true),
        ("requires", |r| r.requires[1].features.clear()),
        ("features", |r| drop(r.features.pop_first())),
        ("provides", |r| drop(r.provides.pop_first())),
        ("needs", |r| r.needs.clear()),
        ("forked_from", |r| r.forked_from = None),
    ];
    for (field, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        let mismatch: Mismatch = manifest.matches(&bad).unwrap_err();
        assert_eq!(mismatch.field, field);
        assert_ne!(mismatch.entry, mismatch.manifest, "{field}");
    }
}

#[test]
fn the_order_of_the_file_does_not_reach_the_entry() {
    let text = fixture("brick.everything.toml");
    let turned = text
        .replace(
            r#"payments = ["dep:southshire.gov.uk/pay", "midshire.gov.uk/address?/billing", "govstack.global/identity/strong"]"#,
            r#"payments = ["govstack.global/identity/strong", "midshire.gov.uk/address?/billing", "dep:southshire.gov.uk/pay"]"#,
        );
    assert_ne!(text, turned);
    assert_eq!(release(&Manifest::parse(&turned).unwrap()), release(&everything()));
    let items = &everything().features.into_values().last().unwrap();
    assert!(matches!(
        items.as_slice(),
        [FeatureItem::Requirement(_), FeatureItem::Strong(..), FeatureItem::Weak(..)]
    ));
}

#[test]
fn lists_that_grow_bind_authors_only() {
    let text = fixture("brick.smallest.toml").replace("\"MIT\"", "\"MIT OR Apache-2.O\"")
        + "\n[[cost-reference]]\nwhat = \"adoption\"\namount = \"1\"\ncurrency = \"GPB\"\nbasis = \"actual\"\n";
    Manifest::parse(&text).unwrap();
    let error = Manifest::parse_as_author(&text).unwrap_err();
    let [license, currency] = error.problems() else { panic!("{error:?}") };
    assert_eq!(&text[license.span.clone()], "Apache-2.O");
    assert!(license.next.as_ref().unwrap().contains("LicenseRef-"));
    assert_eq!(currency.next.as_deref(), Some("did you mean `GBP`?"));
    Manifest::parse_as_author(&fixture("brick.everything.toml")).unwrap();
}

#[test]
fn a_manifest_of_256_kib_passes_and_one_byte_more_does_not() {
    let good = fixture("brick.smallest.toml");
    let mut text = good.clone() + "#" + &"x".repeat(MAX_MANIFEST_BYTES - good.len() - 1);
    Manifest::parse(&text).unwrap();
    Manifest::from_bytes(text.as_bytes()).unwrap();
    text.push('x');
    let error = Manifest::parse(&text).unwrap_err();
    let says = "it has 262145 bytes, at most 262144 are allowed";
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!(Manifest::from_bytes(text.as_bytes()).unwrap_err(), error);
    assert!(error.render("brick.toml", &text, false).contains(says));
    assert!(ServiceManifest::parse(&text).unwrap_err().to_string().contains(says));
}

#[test]
fn hostile_shapes_end_in_a_plain_error() {
    let deep = |open: &str, close: &str| {
        format!("manifest = 1\nx = {}{}\n", open.repeat(5_000), close.repeat(5_000))
    };
    for text in [
        deep("[", "]"),
        deep("{a=", "}"),
        format!("manifest = 1\n{} = 1\n", "a.".repeat(60_000) + "a"),
        format!("manifest = 1\n[{}]\n", "a.".repeat(60_000) + "a"),
        "=".repeat(200_000),
        "[[a]]\n".repeat(40_000),
        "\"".repeat(200_000),
        format!("manifest = 1\n{}", (0..20_000).map(|n| format!("k{n} = 1\n")).collect::<String>()),
        "manifest = 99999999999999999999999999".into(),
        "manifest = 0x7fffffffffffffff".into(),
        "manifest = 1\nx = { \"a.example\" = { n = 99999999999999999999 } }".into(),
    ] {
        let error = Manifest::parse(&text).unwrap_err();
        let rendered = error.render("brick.toml", &text, true);
        assert!(rendered.len() < 100_000, "{} bytes of error", rendered.len());
    }
}

#[test]
fn problems_over_the_bound_are_counted() {
    let text = format!("manifest = 1\n{}", (0..100).map(|n| format!("k{n} = 1\n")).collect::<String>());
    let error = Manifest::parse(&text).unwrap_err();
    assert_eq!(error.problems().len(), 20);
    assert!(error.render("brick.toml", &text, false).contains("and 82 more in brick.toml"));
    assert!(error.to_string().contains("(and 101 more)"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_broken_file_never_panics_and_every_problem_has_its_place(
        at in 0_usize..2_500, cut in 0_usize..20, put in "[\\x00-\\x7f\u{202e}ü\"\\[\\]{}=.\n]{0,6}",
    ) {
        for name in ["brick.everything.toml", "service.everything.toml"] {
            let text = fixture(name);
            let mut from = at.min(text.len());
            while !text.is_char_boundary(from) { from -= 1; }
            let mut to = (from + cut).min(text.len());
            while !text.is_char_boundary(to) { to += 1; }
            let broken = format!("{}{put}{}", &text[..from], &text[to..]);
            let error = if name.starts_with("brick") {
                Manifest::parse(&broken).err()
            } else {
                ServiceManifest::parse(&broken).err()
            };
            if let Some(error) = error {
                prop_assert!(!error.problems().is_empty());
                for problem in error.problems() {
                    prop_assert!(problem.line >= 1 && problem.span.start <= problem.span.end && problem.span.end <= broken.len());
                }
                let rendered = error.render("brick.toml", &broken, false);
                prop_assert!(!rendered.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{}", rendered);
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Err(error) = Manifest::from_bytes(&bytes) {
            error.render("brick.toml", &text, false);
        }
    }
}

/// What a manifest may name is what `archive::write` packs, whatever is odd about the path.
#[test]
fn a_manifest_may_name_a_path_exactly_when_the_archive_can_hold_it() {
    let (name, version) = (brick_schemas::BrickName::parse("b").unwrap(), Version::parse("1.0.0").unwrap());
    let with = |keys: &str| {
        format!(
            "manifest = 1\n[brick]\nname = \"a.example/b\"\nversion = \"1.0.0\"\nkind = \"component\"\n\
             maturity = \"beta\"\nlicense = \"MIT\"\n{keys}\n[text.en]\ntitle = \"B\"\nsummary = \"B.\"\n"
        )
    };
    let holds = |paths: &[&str]| {
        let mut files = vec![(ArchivePath::parse("brick.toml").unwrap(), &b""[..])];
        for path in paths {
            match ArchivePath::parse(path) {
                Ok(path) if files.iter().any(|(other, _)| *other == path) => {}
                Ok(path) => files.push((path, b"")),
                Err(_) => return false,
            }
        }
        archive::write(&name, &version, &files).is_ok()
    };
    let long = |bytes: usize| "a".repeat(bytes);
    let one = |path: &str| format!("readme = {}", toml::Value::from(path));
    let odd = [
        "README.md",
        "brick.toml",
        "Brick.toml",
        "brick.toml/x",
        "docs/a.md",
        "docs/ŷ.md",
        "docs/y\u{302}.md",
        "a?",
        "a'",
        "nul",
        "a/aux.txt",
        "a.",
        "a ",
        " a",
        "-a",
        "a/-b",
        "x~1",
        "../a",
        "a/../b",
        "/a",
        "a//b",
        "a/./b",
        "a\\b",
        ".git/a",
        "C:a",
        "",
    ];
    let paths = odd.map(str::to_owned).into_iter();
    // Around every bound of a ustar header under `b-1.0.0/`, and of the path itself.
    let paths = paths.chain([91, 92, 93, 100, 101].map(long));
    let paths = paths.chain([146, 147, 148, 149].map(|bytes| long(bytes) + "/b"));
    let paths = paths.chain([198, 199, 200, 201].map(|bytes| "ab/".repeat(40) + &long(bytes - 120)));
    let (mut good, mut bad) = (0, 0);
    for path in paths {
        let expected = holds(&[&path]);
        assert_eq!(Manifest::parse(&with(&one(&path))).is_ok(), expected, "{path:?}");
        if expected { good += 1 } else { bad += 1 }
    }
    assert!(good > 8 && bad > 20, "{good} good, {bad} bad");

    for (a, b) in [
        ("a", "a"),
        ("a", "A"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("a/b", "A/c"),
        ("straße", "STRASSE"),
        ("a", "b"),
    ] {
        let pair = format!("{}\n[config]\nschema = {}", one(a), toml::Value::from(b));
        assert_eq!(Manifest::parse(&with(&pair)).is_ok(), holds(&[a, b]), "{a} {b}");
    }
    for (folder, file) in [("t/", "t/a"), ("t/", "t"), ("T/", "t/a"), ("t/", "u")] {
        let pair = format!("{}\n[conformance]\nsuite = \"{folder}\"", one(file));
        assert_eq!(
            Manifest::parse(&with(&pair)).is_ok(),
            holds(&[&format!("{folder}x"), file]),
            "{folder} {file}"
        );
    }
}

//! A service file gives its requirements and its entry, and says when the entry is not its.

use brick_schemas::predicate::service::{Locked, Part, Service};
use brick_schemas::predicate::{Predicate, Statement};
use brick_schemas::service::ServiceError;
use brick_schemas::{Blob, Digest, FullName, ServiceManifest, Version};

use crate::files::path;
use crate::manifest::place;

fn everything() -> ServiceManifest {
    let text = std::fs::read_to_string(path("fixtures/good/service.everything.toml")).unwrap();
    ServiceManifest::parse(&text).unwrap()
}

fn locked(versions: &[&str]) -> Vec<Locked> {
    let one = |version: &&str| Locked {
        name: FullName::parse("midshire.gov.uk/missed-bin").unwrap(),
        version: Version::parse(version).unwrap(),
        sha256: Digest::of(version.as_bytes()),
    };
    versions.iter().map(one).collect()
}

fn entry(service: &ServiceManifest) -> Service {
    service.service(place(), locked(&["3.0.0", "2.4.1", "2.3.0"]), Some(Blob::of(b"texts"))).unwrap()
}

#[test]
fn parts_that_use_one_brick_ask_for_it_once_with_all_their_features() {
    let requirements = everything().requirements();
    let [only] = requirements.as_slice() else { panic!("{requirements:?}") };
    assert_eq!(only.name.to_string(), "midshire.gov.uk/missed-bin");
    assert_eq!(only.req.as_str(), "^2.1");
    let features: Vec<&str> = only.features.iter().map(|f| f.as_str()).collect();
    assert_eq!(features, ["email", "photos"]);
    assert!(only.default_features && !only.optional);
}

#[test]
fn a_service_and_its_entry_match_and_the_entry_keeps_every_bound() {
    let service = everything();
    let entry = entry(&service);
    service.matches(&entry).unwrap();
    let Part::Brick { version, .. } = &entry.parts[0] else { panic!() };
    assert_eq!(version.to_string(), "2.4.1", "the highest that will do");
    assert!(entry.locked.is_sorted());
    let statement =
        Statement::new(vec![("service".into(), Digest::of(b""))], Predicate::Service(Box::new(entry)));
    assert_eq!(Statement::parse(&statement.to_bytes()).unwrap(), statement);
}

#[test]
fn a_part_that_is_not_locked_is_named() {
    let service = everything();
    let error = service.service(place(), locked(&["3.0.0"]), None).unwrap_err();
    assert_eq!(error.to_string(), "`midshire.gov.uk/missed-bin` `^2.1` is not in the lockfile");
    let many: Vec<String> = (0..1_025).map(|n| format!("2.4.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = service.service(place(), locked(&many), None).unwrap_err();
    assert_eq!(error, ServiceError::TooManyLocked { found: 1_025 });
}

type Change = fn(&mut Service);

#[test]
fn every_field_of_an_entry_that_differs_is_named() {
    let service = everything();
    let good = entry(&service);
    let changes: [(&str, Change); 10] = [
        ("id", |s| s.id = FullName::parse("a.example/b").unwrap()),
        ("function", |s| s.function = "lgsl:1".into()),
        ("body", |s| s.body = "x:1".into()),
        ("status", |s| s.status = brick_schemas::predicate::service::ServiceStatus::Pilot),
        ("parts", |s| drop(s.parts.pop())),
        ("parts", |s| s.parts.swap(0, 1)),
        ("locked", |s| s.locked.reverse()),
        ("volumes", |s| s.volumes[0].completed = None),
        ("costs", |s| s.costs[0].amount = "0".into()),
        ("contracts", |s| s.contracts.clear()),
    ];
    for (field, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        match service.matches(&bad) {
            Err(ServiceError::Mismatch(mismatch)) => assert_eq!(mismatch.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn policy_choices_and_settings_are_kept() {
    let service = everything();
    assert_eq!(service.choose.len(), 1);
    let brick = FullName::parse("midshire.gov.uk/missed-bin").unwrap();
    assert_eq!(service.config[&brick]["report-window-days"].as_integer(), Some(3));
    assert_eq!(service.config_reason[&brick]["report-window-days"], "Contract clause 14.");
    let text = std::fs::read_to_string(path("fixtures/good/service.policy-in-a-file.toml")).unwrap();
    let elsewhere = ServiceManifest::parse(&text).unwrap();
    assert_eq!(serde_json::to_value(elsewhere.policy).unwrap(), "policy.toml");
}

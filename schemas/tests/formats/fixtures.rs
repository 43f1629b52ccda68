//! Every file in `fixtures/good` is accepted, and by its JSON Schema too; every file in `fixtures/bad` is refused, in the
//! words of the `.txt` beside it. The part of a name before the first dot is the format, the rest says what is special.

use std::collections::BTreeMap;

use brick_schemas::registry_config::RegistryConfigError;
use brick_schemas::{FileError, Lockfile, Manifest, RegistryConfig, ServiceManifest, json_schema};

use crate::files::{fixtures, json, path, same_as_committed};

/// The file's usual name, its schema, and its errors if it has any.
fn check(
    name: &str,
    bytes: &[u8],
) -> (&'static str, &'static str, Option<FileError>, Option<serde_json::Value>) {
    let environment = BTreeMap::new();
    let format = name.split('.').next().unwrap_or_default();
    let shown = |value: Result<serde_json::Value, _>| Some(value.unwrap());
    match format {
        "brick" => match Manifest::from_bytes(bytes) {
            Ok(manifest) => ("brick.toml", "manifest", None, shown(serde_json::to_value(manifest))),
            Err(err) => ("brick.toml", "manifest", Some(*err), None),
        },
        "service" => match ServiceManifest::from_bytes(bytes) {
            Ok(service) => ("service.toml", "service-manifest", None, shown(serde_json::to_value(service))),
            Err(err) => ("service.toml", "service-manifest", Some(*err), None),
        },
        "lock" => match Lockfile::from_bytes(bytes) {
            Ok(lockfile) => ("brick.lock", "lockfile", None, shown(serde_json::to_value(lockfile))),
            Err(err) => ("brick.lock", "lockfile", Some(*err), None),
        },
        "registry" => match RegistryConfig::from_bytes(bytes, &environment) {
            Ok(config) => ("registry.toml", "registry-config", None, shown(serde_json::to_value(config))),
            Err(RegistryConfigError::File(err)) => ("registry.toml", "registry-config", Some(*err), None),
            Err(err) => panic!("{name}: {err}"),
        },
        other => panic!("{name}: no format is called {other}"),
    }
}

#[test]
fn good_files_are_accepted_by_parse_and_by_their_schema() {
    let mut validators = BTreeMap::new();
    for (name, bytes) in fixtures("good") {
        let (file, schema, error, serialised) = check(&name, &bytes);
        let text = String::from_utf8(bytes).unwrap();
        if let Some(error) = error {
            panic!("{}", error.render(file, &text, false));
        }
        let validator = validators.entry(schema).or_insert_with(|| {
            let schema = json_schema::named(schema).unwrap().schema;
            jsonschema::draft202012::new(schema.as_value()).unwrap()
        });
        let written = json(&toml::Value::Table(text.parse::<toml::Table>().unwrap()));
        for value in [written, serialised.unwrap()] {
            let problems: Vec<String> =
                validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(problems.is_empty(), "{name}: {problems:#?}");
        }
    }
}

#[test]
fn bad_files_are_refused_in_the_words_beside_them() {
    for (name, bytes) in fixtures("bad") {
        let (file, _, error, _) = check(&name, &bytes);
        let error = error.unwrap_or_else(|| panic!("{name} was accepted"));
        let text = String::from_utf8_lossy(&bytes);
        let rendered = error.render(file, &text, false);
        assert!(!rendered.contains('\u{1b}'), "{name}: plain text drives no terminal");
        assert!(
            error.render(file, &text, true).contains('\u{1b}'),
            "{name}: there are colours when asked for"
        );
        for problem in error.problems() {
            assert!(problem.line >= 1 && problem.column >= 1, "{name}: {problem:?}");
        }
        same_as_committed(&path("fixtures/bad").join(name.replace(".toml", ".txt")), &rendered);
    }
}

#[test]
fn every_snapshot_belongs_to_a_fixture() {
    for entry in std::fs::read_dir(path("fixtures/bad")).unwrap() {
        let file = entry.unwrap().path();
        assert!(file.with_extension("toml").exists(), "{} has no fixture", file.display());
    }
}

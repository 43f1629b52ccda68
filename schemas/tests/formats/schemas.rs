//! The committed JSON Schemas equal those that the types give, and are JSON Schemas.

use brick_schemas::json_schema;

use crate::files::{path, same_as_committed};

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let all = json_schema::all();
    for named in &all {
        same_as_committed(&path("json").join(format!("{}.schema.json", named.name)), &named.to_text());
    }
    let committed = std::fs::read_dir(path("json")).unwrap().count();
    assert_eq!(committed, all.len(), "a schema of a format that is no more lies in schemas/json");
}

#[test]
fn every_schema_is_one_of_2020_12_with_its_own_id_and_title() {
    let mut ids = std::collections::BTreeSet::new();
    for named in json_schema::all() {
        let value = named.schema.as_value();
        assert!(jsonschema::draft202012::meta::is_valid(value), "{}", named.name);
        assert_eq!(value["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(value["$id"], format!("urn:brickyard:schema:{}:v1", named.name));
        assert!(value["title"].as_str().is_some_and(|title| !title.is_empty()), "{}", named.name);
        assert!(ids.insert(value["$id"].to_string()));
    }
}

#[test]
fn the_schema_of_a_toml_file_never_speaks_of_null() {
    for name in ["manifest", "service-manifest", "lockfile", "registry-config"] {
        let text = json_schema::named(name).unwrap().to_text();
        assert!(!text.contains("null"), "{name}");
    }
}

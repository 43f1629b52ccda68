//! The JSON Schemas of every format, made from the types (draft 2020-12), for editors and for readers in other languages.
//!
//! They say what the types say; `parse` is stricter (references between keys, text that deceives, sums of counts).

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::{api, index_line, introduction, lockfile, manifest, predicate, registry_config, service};

/// One format's schema.
pub struct NamedSchema {
    /// The format's name: of `<name>.schema.json` and of its `$id` `urn:brickyard:schema:<name>:v1`.
    pub name: &'static str,
    /// The schema.
    pub schema: Schema,
}

impl NamedSchema {
    /// The schema file: indented JSON with a newline at the end.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.schema).expect("a schema has only string keys");
        text.push('\n');
        text
    }
}

/// Every schema, in alphabetical order of name.
pub fn all() -> Vec<NamedSchema> {
    let mut all = vec![
        toml::<manifest::Manifest>("manifest"),
        toml::<service::ServiceManifest>("service-manifest"),
        toml::<lockfile::Lockfile>("lockfile"),
        toml::<registry_config::RegistryConfig>("registry-config"),
        json::<index_line::IndexLine>("index-line", "A line of the index"),
        json::<predicate::Release>("predicate-release", "Predicate urn:brickyard:release:v1"),
        json::<predicate::Status>("predicate-status", "Predicate urn:brickyard:status:v1"),
        json::<predicate::Service>("predicate-service", "Predicate urn:brickyard:service:v1"),
        json::<predicate::Proposal>("predicate-proposal", "Predicate urn:brickyard:proposal:v1"),
        json::<predicate::Review>("predicate-review", "Predicate urn:brickyard:review:v1"),
        json::<predicate::Attestation>("predicate-attestation", "Predicate urn:brickyard:attestation:v1"),
        json::<predicate::Advisory>("predicate-advisory", "Predicate urn:brickyard:advisory:v1"),
        json::<predicate::Publisher>("predicate-publisher", "Predicate urn:brickyard:publisher:v1"),
        json::<predicate::Registry>("predicate-registry", "Predicate urn:brickyard:registry:v1"),
        json::<introduction::Introduction>(
            "introduction",
            "introduction.json: what a registry says of itself",
        ),
        json::<api::WellKnown>("api-well-known", "/.well-known/brickyard.json"),
        json::<api::Problem>("api-problem", "A problem body (RFC 9457)"),
        json::<api::EntryReceipt>("api-entry-receipt", "The answer to POST /api/v1/entries"),
        json::<api::SearchResults>("api-search-results", "A page of bricks"),
        json::<api::PublishersPage>("api-publishers", "A page of publishers"),
        json::<api::ServicesPage>("api-services", "A page of services"),
        json::<api::SyncStatus>("api-sync-status", "How far a registry follows its peers"),
        json::<api::HeadsList>("api-heads", "How far each log goes that a registry holds"),
        json::<api::CatalogueStatus>("api-status", "What a registry holds, in numbers"),
        json::<api::Health>("api-health", "Whether a registry can do its work"),
    ];
    all.sort_by_key(|schema| schema.name);
    all
}

/// The schema of the format `name`, if there is one.
pub fn named(name: &str) -> Option<NamedSchema> {
    all().into_iter().find(|schema| schema.name == name)
}

/// The schema of a JSON format.
fn json<T: JsonSchema>(name: &'static str, title: &str) -> NamedSchema {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<T>();
    schema.insert("$id".into(), id(name).into());
    schema.insert("title".into(), title.into());
    NamedSchema { name, schema }
}

/// The schema of a TOML format, whose type gives the title. TOML has no null, so the schema has none either.
fn toml<T: JsonSchema>(name: &'static str) -> NamedSchema {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<T>();
    schema.insert("$id".into(), id(name).into());
    if let Some(members) = schema.as_object_mut() {
        members.values_mut().for_each(without_null);
    }
    NamedSchema { name, schema }
}

fn id(name: &str) -> String {
    format!("urn:brickyard:schema:{name}:v1")
}

/// Removes `null` from every list of types and every `anyOf`, at any depth of our own schemas.
fn without_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(members) => {
            if members.get("default").is_some_and(Value::is_null) {
                members.remove("default");
            }
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|word| word != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|word| word != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    members.remove("anyOf");
                    for (key, value) in only {
                        members.entry(key).or_insert(value);
                    }
                }
            }
            members.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

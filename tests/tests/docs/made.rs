//! What in the pages is made from the types: examples in blocks `example=NAME`, tables between
//! `<!-- made: NAME -->` and `<!-- end -->`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use brick_schemas::api::ProblemType;
use brick_schemas::json_schema;
use brick_schemas::predicate::Statement;
use serde_json::Value;

use crate::bounds;
use crate::example::examples;
use crate::pages::{blocks, pages, read, same_as_committed};
use crate::pretty::compact;

#[test]
fn every_example_is_what_the_types_write() {
    let examples = examples();
    let mut used = BTreeSet::new();
    for page in pages() {
        let text = read(&page);
        let mut wanted = String::new();
        let mut inside = None;
        for line in text.lines() {
            match (line.strip_prefix("```"), &inside) {
                (Some(info), None) => {
                    inside = Some(info.split_whitespace().find_map(|word| word.strip_prefix("example=")));
                    writeln!(wanted, "{line}").expect("writing to a string");
                    if let Some(Some(name)) = inside {
                        let example =
                            examples.get(name).unwrap_or_else(|| panic!("no example is called {name}"));
                        used.insert(name.to_owned());
                        writeln!(wanted, "{example}").expect("writing to a string");
                    }
                }
                (Some(_), Some(_)) => {
                    inside = None;
                    writeln!(wanted, "{line}").expect("writing to a string");
                }
                (None, Some(Some(_))) => {}
                (None, _) => writeln!(wanted, "{line}").expect("writing to a string"),
            }
        }
        same_as_committed(&page, &text, &wanted);
    }
    let unused: Vec<_> = examples.keys().filter(|name| !used.contains(**name)).collect();
    assert!(unused.is_empty(), "examples that no page shows: {unused:?}");
}

#[test]
fn every_predicate_in_the_pages_is_one_to_its_parser_and_its_schema() {
    let mut seen = BTreeSet::new();
    for page in pages() {
        for block in blocks(&read(&page)) {
            if block.language() != "json" || !block.body.contains("\"predicateType\"") {
                continue;
            }
            let bytes = compact(&block.body);
            let statement = Statement::parse(bytes.as_bytes()).expect("a Statement");
            assert_eq!(String::from_utf8(statement.to_bytes()).expect("JSON is UTF-8"), bytes);
            let kind = statement.predicate.kind();
            assert_eq!(block.value("example"), Some(kind));
            let value: Value = serde_json::from_str(&bytes).expect("JSON");
            let schema =
                json_schema::named(&format!("predicate-{kind}")).expect("a schema for each kind").schema;
            let validator = jsonschema::draft202012::new(schema.as_value()).expect("a good schema");
            let problems: Vec<_> = validator
                .iter_errors(&value["predicate"])
                .map(|e| format!("{}: {e}", e.instance_path()))
                .collect();
            assert!(problems.is_empty(), "{kind}: {problems:#?}");
            seen.insert(kind);
        }
    }
    assert_eq!(seen.len(), 9, "an example of every kind: {seen:?}");
}

#[test]
fn every_table_is_what_the_types_say() {
    let made = BTreeMap::from([
        ("bounds", bounds::table()),
        ("server-bounds", bounds::server_table()),
        ("server-times", bounds::patience_table()),
        ("problems", problems()),
        ("manifest-keys", keys("manifest")),
        ("service-keys", keys("service-manifest")),
        ("registry-keys", keys("registry-config")),
        ("schemas", schemas()),
    ]);
    let mut used = BTreeSet::new();
    for page in pages() {
        let text = read(&page);
        let mut wanted = String::new();
        let mut inside = false;
        for line in text.lines() {
            if line == "<!-- end -->" {
                inside = false;
            }
            if !inside {
                writeln!(wanted, "{line}").expect("writing to a string");
            }
            if let Some(name) = line.strip_prefix("<!-- made: ").and_then(|rest| rest.strip_suffix(" -->")) {
                let table = made.get(name).unwrap_or_else(|| panic!("no table is called {name}"));
                used.insert(name.to_owned());
                writeln!(wanted, "\n{table}").expect("writing to a string");
                inside = true;
            }
        }
        assert!(!inside, "{}: a made part has no end", page.display());
        same_as_committed(&page, &text, &wanted);
    }
    assert_eq!(used.len(), made.len(), "every table has its place");
}

fn problems() -> String {
    let mut table = "| `type` | status | `title` |\n|---|---|---|\n".to_owned();
    for problem in ProblemType::ALL {
        writeln!(table, "| `{problem}` | {} | {} |", problem.status(), problem.title())
            .expect("writing to a string");
    }
    table
}

fn schemas() -> String {
    let mut table = "| schema | of |\n|---|---|\n".to_owned();
    for named in json_schema::all() {
        let title = named.schema.get("title").and_then(Value::as_str).unwrap_or_default();
        let file = format!("{}.schema.json", named.name);
        writeln!(table, "| [{file}](../schemas/json/{file}) | {title} |").expect("writing to a string");
    }
    table
}

/// The keys of a TOML format, from its JSON Schema.
fn keys(schema: &str) -> String {
    let root = json_schema::named(schema).expect("a schema of that name").schema;
    let root = root.as_value();
    let mut table = "| key | value | meaning |\n|---|---|---|\n".to_owned();
    walk(root, root, "", 0, &mut table);
    table
}

/// How deep tables may lie in each other.
const MAX_DEPTH: usize = 4;

fn walk(root: &Value, schema: &Value, prefix: &str, depth: usize, table: &mut String) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, member) in schema["properties"].as_object().into_iter().flatten() {
        let name = format!("{prefix}{key}");
        let target = follow(root, member);
        let needed = if required.contains(&key.as_str()) { "" } else { ", optional" };
        let meaning = member["description"].as_str().or(target["description"].as_str()).unwrap_or_default();
        let meaning = meaning.split("\n\n").next().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let meaning = without_links(&meaning);
        writeln!(table, "| `{name}` | {}{needed} | {meaning} |", value_words(root, target))
            .expect("writing to a string");
        if depth >= MAX_DEPTH {
            continue;
        }
        if target["properties"].is_object() {
            walk(root, target, &format!("{name}."), depth + 1, table);
        } else if let Some(items) =
            target.get("items").map(|items| follow(root, items)).filter(|i| i["properties"].is_object())
        {
            walk(root, items, &format!("{name}[]."), depth + 1, table);
        } else if let Some(each) = target
            .get("additionalProperties")
            .map(|each| follow(root, each))
            .filter(|e| e["properties"].is_object())
        {
            walk(root, each, &format!("{name}.*."), depth + 1, table);
        }
    }
}

/// `[name](path)`, as Rust's comments link, to `name`.
fn without_links(text: &str) -> String {
    let mut parts = text.split("](");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(at) = plain.rfind('[') {
            plain.remove(at);
        }
        plain.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    plain
}

/// The schema that `schema` points at, through `$ref`.
fn follow<'v>(root: &'v Value, schema: &'v Value) -> &'v Value {
    match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => root.pointer(pointer).unwrap_or(schema),
        None => schema,
    }
}

fn value_words(root: &Value, schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> =
            words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let mut words: Vec<String> = choices
            .iter()
            .map(|choice| match choice["const"].as_str() {
                Some(word) => format!("`{word}`"),
                None => value_words(root, follow(root, choice)),
            })
            .collect();
        words.dedup();
        return if choices.iter().all(|choice| choice["const"].is_string()) {
            words.join(", ")
        } else {
            words.join(" or ")
        };
    }
    if let Some(word) = schema.get("const") {
        return format!("`{word}`");
    }
    match schema["type"].as_str() {
        Some("array") => match schema.get("items") {
            Some(items) => format!("list of {}", value_words(root, follow(root, items))),
            None => "list".to_owned(),
        },
        Some("object") => "table".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("string") => "text".to_owned(),
        Some(other) => other.to_owned(),
        None => "any value".to_owned(),
    }
}

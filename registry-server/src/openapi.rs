//! What does `/openapi.json` say? OpenAPI 3.1, made from the table of routes, its schemas from the types themselves.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use brick_schemas::api::{PROBLEM_MEDIA_TYPE, Problem, ProblemType};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::reads::Shared;
use crate::routes::{Content, Operation, PARAMETERS, Route, table};

/// `/openapi.json`
pub async fn openapi(State(_): Shared) -> Response {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let body = DOCUMENT.get_or_init(|| document(&table()).to_string());
    let mut response = body.as_str().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// The document of a table of routes. Source: OpenAPI 3.1.1.
pub fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths = Map::new();
    for route in routes {
        let mut item = Map::new();
        let parameters: Vec<Value> = route.parameters().map(|name| parameter(name, "path")).collect();
        if !parameters.is_empty() {
            item.insert("parameters".into(), parameters.into());
        }
        for operation in &route.operations {
            let method = operation.method.as_str().to_ascii_lowercase();
            item.insert(method, operation_object(operation, &mut generator));
        }
        paths.insert(route.path.replace("{*", "{"), item.into());
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Brickyard registry",
            "version": "1",
            "summary": "A registry of signed specifications in transparency logs",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "A refusal: go by its `type`",
                    "content": { PROBLEM_MEDIA_TYPE: { "schema": problem } },
                },
            },
        },
    })
}

fn operation_object(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    responses.insert(
        "200".into(),
        json!({ "description": "All is well", "content": content(operation.answer, generator) }),
    );
    for (status, types) in by_status(operation.problems) {
        let words: Vec<String> = types.iter().map(|known| format!("`{known}`: {}", known.title())).collect();
        responses.insert(
            status.to_string(),
            json!({
                "description": words.join("; "),
                "content": { PROBLEM_MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
            }),
        );
    }
    responses.insert("default".into(), json!({ "$ref": "#/components/responses/Problem" }));
    let mut object = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses,
    });
    if !operation.query.is_empty() {
        let query: Vec<Value> = operation.query.iter().map(|name| parameter(name, "query")).collect();
        object["parameters"] = query.into();
    }
    if let Some(request) = operation.request {
        object["requestBody"] = json!({ "required": true, "content": content(request, generator) });
    }
    object
}

fn by_status(problems: &[ProblemType]) -> BTreeMap<u16, Vec<ProblemType>> {
    let mut by_status: BTreeMap<u16, Vec<ProblemType>> = BTreeMap::new();
    for problem in problems {
        by_status.entry(problem.status()).or_default().push(*problem);
    }
    by_status
}

fn content(content: Content, generator: &mut SchemaGenerator) -> Value {
    match content {
        Content::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
        Content::Media { media_type, about } => {
            json!({ media_type: { "schema": { "description": about } } })
        }
    }
}

fn parameter(name: &str, place: &str) -> Value {
    let known = PARAMETERS.iter().find(|parameter| parameter.name == name);
    let known = known.expect("a test demands that every parameter of the table is described");
    json!({
        "name": name,
        "in": place,
        "required": place == "path" || name == "service",
        "description": known.about,
        "schema": { "type": "string", "pattern": known.pattern },
        "example": known.example,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` below `value`.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    found.push(target.clone());
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(&table());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        for target in found {
            let pointer = target.strip_prefix('#').expect("references stay within the document");
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn every_route_is_in_the_document_with_its_methods_and_parameters() {
        let document = document(&table());
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), table().len());
        for route in table() {
            let item = &paths[&route.path.replace("{*", "{")];
            for operation in &route.operations {
                let method = operation.method.as_str().to_ascii_lowercase();
                assert_eq!(item[&method]["operationId"], operation.id, "{}", route.path);
            }
            let named: Vec<&str> = item["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|p| p["name"].as_str())
                .collect();
            assert_eq!(named, route.parameters().collect::<Vec<_>>(), "{}", route.path);
        }
    }
}

//! Is a file what its name or its role says? Well-formedness of the formats that specifications come in.
//!
//! Nothing outside the file is followed: no DTD, no entity, no `$ref`.

use brick_schemas::manifest::FileRole;
use serde::de::IgnoredAny;

/// Nodes of an XML document, at most.
const MAX_XML_NODES: u32 = 2_000_000;
/// Events of a YAML document, at most; aliases count each time they are followed.
const MAX_YAML_EVENTS: usize = 2_000_000;
/// Depth of a YAML document, at most.
const MAX_YAML_DEPTH: usize = 128;
/// Times that a YAML document may refer to its own anchors, at most.
const MAX_YAML_ALIASES: usize = 10_000;

const BPMN_NAMESPACE: &str = "http://www.omg.org/spec/BPMN/20100524/MODEL";
const DMN_NAMESPACE_PART: &str = "www.omg.org/spec/DMN/";

/// Why a file is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct FormatError {
    /// What is wrong, in the parser's words.
    pub(crate) what: String,
    /// Line, counted from 1, where the parser says one.
    pub(crate) line: Option<usize>,
}

impl FormatError {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), line: None }
    }
}

/// What a file must be able to be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Json,
    Yaml,
    Xml,
}

/// What a file is for, as far as its name tells.
pub(crate) fn role_by_name(path: &str) -> Option<FileRole> {
    let lower = path.to_lowercase();
    let file = lower.rsplit('/').next().unwrap_or(&lower);
    let is = |endings: &[&str]| endings.iter().any(|ending| file.ends_with(ending));
    let is_data = is(&[".json", ".yaml", ".yml"]);
    Some(if is(&[".bpmn", ".bpmn2"]) {
        FileRole::Process
    } else if is(&[".dmn"]) {
        FileRole::Decision
    } else if is(&[".schema.json", ".schema.yaml", ".xsd"]) {
        FileRole::Schema
    } else if is(&[".form", ".form.json"]) {
        FileRole::Form
    } else if is(&[".feature"]) {
        FileRole::Conformance
    } else if is(&[".wsdl", ".proto", ".graphql"])
        || (is_data && (file.contains("openapi") || file.contains("asyncapi") || file.contains("swagger")))
    {
        FileRole::Interface
    } else if is(&[".md", ".adoc", ".rst", ".pdf"]) {
        FileRole::Docs
    } else {
        return None;
    })
}

/// Checks that a file is well-formed.
///
/// - `role`, `format`: as the manifest declares them, or as the name tells.
///
/// # Errors
/// [`FormatError`] in the parser's words. Formats that are not known here pass.
pub(crate) fn check(
    path: &str,
    role: Option<FileRole>,
    format: Option<&str>,
    bytes: &[u8],
) -> Result<(), FormatError> {
    // Documents and examples are for people: an example may show what is wrong.
    if matches!(role, Some(FileRole::Docs | FileRole::Example)) {
        return Ok(());
    }
    let Some(syntax) = syntax(path, format) else { return Ok(()) };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(FormatError::new("the file is empty"));
    }
    let top = match syntax {
        Syntax::Json => json(bytes)?,
        Syntax::Yaml => yaml(bytes)?,
        Syntax::Xml => return xml(path, format, bytes),
    };
    let declared = format.unwrap_or_default();
    match role {
        Some(FileRole::Schema) if !top.is_schema_shaped => {
            Err(FormatError::new("a JSON Schema is an object or a boolean at its top"))
        }
        _ if declared.starts_with("openapi") || declared.starts_with("swagger") => {
            top.demand_openapi(declared)
        }
        _ if declared.starts_with("asyncapi") && top.asyncapi.is_none() => {
            Err(FormatError::new("`asyncapi`, the version of the format, is missing at its top"))
        }
        _ => Ok(()),
    }
}

fn syntax(path: &str, format: Option<&str>) -> Option<Syntax> {
    let lower = path.to_lowercase();
    let (_, extension) = lower.rsplit_once('.')?;
    match extension {
        "json" | "jsonld" | "geojson" | "form" => Some(Syntax::Json),
        "yaml" | "yml" => Some(Syntax::Yaml),
        "xml" | "bpmn" | "bpmn2" | "dmn" | "xsd" | "wsdl" | "cmmn" | "svg" => Some(Syntax::Xml),
        _ => match format? {
            f if f.starts_with("bpmn") || f.starts_with("dmn") || f == "xml" => Some(Syntax::Xml),
            f if f.starts_with("json") => Some(Syntax::Json),
            _ => None,
        },
    }
}

/// What is looked at in the top of a JSON or YAML document.
#[derive(Default)]
struct Top {
    openapi: Option<String>,
    swagger: Option<String>,
    asyncapi: Option<String>,
    has_info: bool,
    is_schema_shaped: bool,
}

impl Top {
    fn demand_openapi(&self, declared: &str) -> Result<(), FormatError> {
        let version = self.openapi.as_deref().or(self.swagger.as_deref());
        let Some(version) = version else {
            return Err(FormatError::new("`openapi`, the version of the format, is missing at its top"));
        };
        let wanted = declared.split_once('-').map_or("", |(_, version)| version);
        if !version.starts_with(wanted) {
            return Err(FormatError::new(format!(
                "it says it is OpenAPI {version}, the manifest says {declared}"
            )));
        }
        if !self.has_info {
            return Err(FormatError::new("`info` is missing at its top"));
        }
        Ok(())
    }
}

impl<'de> serde::Deserialize<'de> for Top {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TopVisitor)
    }
}

struct TopVisitor;

impl<'de> serde::de::Visitor<'de> for TopVisitor {
    type Value = Top;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Top, A::Error> {
        let mut top = Top { is_schema_shaped: true, ..Top::default() };
        while let Some(key) = map.next_key::<Scalar>()? {
            let version = match key.0.as_str() {
                "openapi" => &mut top.openapi,
                "swagger" => &mut top.swagger,
                "asyncapi" => &mut top.asyncapi,
                other => {
                    top.has_info |= other == "info";
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *version = Some(map.next_value::<Scalar>()?.0);
        }
        Ok(top)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Top, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Top::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Top, E> {
        Ok(Top { is_schema_shaped: true, ..Top::default() })
    }

    fn visit_u64<E>(self, _: u64) -> Result<Top, E> {
        Ok(Top::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Top, E> {
        Ok(Top::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Top, E> {
        Ok(Top::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Top, E> {
        Ok(Top::default())
    }

    fn visit_unit<E>(self) -> Result<Top, E> {
        Ok(Top::default())
    }
}

/// A scalar as its text: YAML writes `openapi: 3.1` without quotes, and response codes as keys.
struct Scalar(String);

impl<'de> serde::Deserialize<'de> for Scalar {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> serde::de::Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar(String::new()))
    }
}

fn json(bytes: &[u8]) -> Result<Top, FormatError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes)
        .map_err(|err| FormatError { what: format!("not JSON: {err}"), line: Some(err.line()) })
}

fn yaml(bytes: &[u8]) -> Result<Top, FormatError> {
    let text = std::str::from_utf8(bytes).map_err(|_| FormatError::new("not UTF-8"))?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: MAX_YAML_EVENTS,
            max_depth: MAX_YAML_DEPTH,
            max_aliases: MAX_YAML_ALIASES,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|err| FormatError {
        line: err.location().and_then(|at| usize::try_from(at.line()).ok()),
        what: match err.without_snippet() {
            // The library's own words name its options.
            serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
                format!("not YAML: a key twice: `{}`", key.as_deref().unwrap_or("?"))
            }
            err => format!("not YAML: {err}"),
        },
    })
}

fn xml(path: &str, format: Option<&str>, bytes: &[u8]) -> Result<(), FormatError> {
    let text = std::str::from_utf8(bytes).map_err(|_| FormatError::new("not UTF-8"))?;
    // A DTD can name other files and grow without end; none of these formats needs one.
    let options =
        roxmltree::ParsingOptions { allow_dtd: false, nodes_limit: MAX_XML_NODES, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).map_err(|err| FormatError {
        line: usize::try_from(err.pos().row).ok(),
        what: format!("not XML: {err}"),
    })?;
    let root = document.root_element().tag_name();
    let namespace = root.namespace().unwrap_or_default();
    let lower = path.to_lowercase();
    let claims =
        |word: &str| lower.ends_with(&format!(".{word}")) || format.is_some_and(|f| f.starts_with(word));
    if claims("bpmn") && !(root.name() == "definitions" && namespace == BPMN_NAMESPACE) {
        return Err(FormatError::new(
            "not BPMN 2.0: its top element is not `definitions` of the BPMN namespace",
        ));
    }
    if claims("dmn") && !(root.name() == "definitions" && namespace.contains(DMN_NAMESPACE_PART)) {
        return Err(FormatError::new("not DMN: its top element is not `definitions` of a DMN namespace"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BPMN: &str = r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"/>"#;

    #[test]
    fn well_formed_files_pass() {
        let interface = Some(FileRole::Interface);
        for (path, role, format, text) in [
            ("a.json", None, None, "{\"a\":[1,2.5,null,true]}"),
            ("a.yaml", None, None, "a: [1, 2.5, null, true]\n200: ok\n"),
            ("api.yaml", interface, Some("openapi-3.1"), "openapi: 3.1.0\ninfo: {title: x}\n"),
            ("api.yaml", interface, Some("openapi-3"), "openapi: '3.0.3'\ninfo: {title: x}\n"),
            ("api.json", interface, Some("swagger-2.0"), r#"{"swagger":"2.0","info":{}}"#),
            ("api.yaml", interface, Some("asyncapi-3.0"), "asyncapi: 3.0.0\n"),
            ("s.schema.json", Some(FileRole::Schema), None, "true"),
            ("p.bpmn", None, None, BPMN),
            ("d.dmn", None, None, r#"<definitions xmlns="https://www.omg.org/spec/DMN/20191111/MODEL/"/>"#),
            ("broken.json", Some(FileRole::Docs), None, "{"),
            ("photo.png", None, None, "\u{0}"),
            ("bom.json", None, None, "\u{feff}{}"),
        ] {
            assert_eq!(check(path, role, format, text.as_bytes()), Ok(()), "{path}");
        }
    }

    #[test]
    fn broken_files_are_named_by_what_is_wrong() {
        let interface = Some(FileRole::Interface);
        let laughs = format!(
            "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n{}",
            (1..10)
                .map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(",")))
                .collect::<String>()
        );
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        for (path, role, format, text, says) in [
            ("a.json", None, None, "{\"a\":1,}", "not JSON"),
            ("a.json", None, None, "", "empty"),
            ("a.yaml", None, None, deep.as_str(), "not YAML"),
            ("a.yaml", None, None, "a: [1\nb: 2", "not YAML"),
            ("a.yaml", None, None, "a: 1\nb: 2\na: 3\n", "a key twice: `a`"),
            ("a.yaml", None, None, laughs.as_str(), "not YAML"),
            ("api.yaml", interface, Some("openapi-3.1"), "info: {}\n", "`openapi`"),
            ("api.yaml", interface, Some("openapi-3.1"), "openapi: 3.0.3\ninfo: {}\n", "3.0.3"),
            ("api.yaml", interface, Some("openapi-3.1"), "openapi: 3.1.0\n", "`info`"),
            ("api.yaml", interface, Some("asyncapi-3.0"), "openapi: 3.1.0\n", "`asyncapi`"),
            ("s.schema.json", Some(FileRole::Schema), None, "[1]", "object or a boolean"),
            ("p.bpmn", None, None, "<a/>", "not BPMN"),
            ("p.bpmn", None, None, "<a>", "not XML"),
            ("d.dmn", None, None, BPMN, "not DMN"),
            (
                "x.xml",
                None,
                None,
                "<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a>&e;</a>",
                "not XML",
            ),
        ] {
            let error = check(path, role, format, text.as_bytes()).expect_err(path).what;
            assert!(error.contains(says), "{path}: {error}");
        }
    }

    #[test]
    fn names_tell_roles() {
        for (path, role) in [
            ("process/apply.bpmn", Some(FileRole::Process)),
            ("rules.DMN", Some(FileRole::Decision)),
            ("data/person.schema.json", Some(FileRole::Schema)),
            ("api/openapi.yaml", Some(FileRole::Interface)),
            ("tests/a.feature", Some(FileRole::Conformance)),
            ("README.md", Some(FileRole::Docs)),
            ("api/case.yaml", None),
        ] {
            assert_eq!(role_by_name(path), role, "{path}");
        }
    }
}

//! What is in a file? Enough to give it a role and a version, no more.

use brick_schemas::Version;
use serde::Deserialize;

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
    /// An OpenAPI or Swagger description.
    Interface(Interface),
    /// A JSON Schema.
    Schema,
    /// It parses, or is of a kind that is not parsed here.
    Other,
    /// Zero bytes.
    Empty,
    /// Called JSON or YAML, and is neither.
    Broken(String),
}

/// What an interface description says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    /// `openapi-3.1` …
    pub(super) format: String,
    /// Its title; two descriptions of one title are two states of one interface.
    pub(super) title: String,
    /// The version it gives itself, where that can be read as one.
    pub(super) version: Option<Version>,
}

/// The members that are looked at.
#[derive(Deserialize)]
struct Head {
    openapi: Option<Text>,
    swagger: Option<Text>,
    info: Option<Info>,
    #[serde(rename = "$schema")]
    schema: Option<serde::de::IgnoredAny>,
    properties: Option<serde::de::IgnoredAny>,
    #[serde(rename = "allOf")]
    all_of: Option<serde::de::IgnoredAny>,
}

/// An interface description's `info`.
#[derive(Deserialize)]
struct Info {
    title: Option<Text>,
    version: Option<Text>,
}

/// A scalar, as text: `1.0` without quotes is a number to YAML.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Text;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a number")
            }
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Text, E> {
                // `{:?}` keeps the `.0` of 1.0.
                Ok(Text(format!("{number:?}")))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
        }
        d.deserialize_any(Visitor)
    }
}

/// Looks into a file, by the ending of its name.
pub(super) fn probe(name: &str, content: &[u8]) -> Probe {
    if content.iter().all(u8::is_ascii_whitespace) {
        return Probe::Empty;
    }
    // The same judge as `brick check`: what it would refuse is published as a document.
    if let Err(err) = crate::formats::check(name, None, None, content) {
        return Probe::Broken(err.to_string());
    }
    let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_yaml = match ending.as_str() {
        "json" => false,
        "yaml" | "yml" => true,
        _ => return Probe::Other,
    };
    // A list or a text is well-formed, and no interface.
    let parsed = if is_yaml { parse_yaml(content) } else { parse_json(content) };
    match parsed {
        Err(why) => Probe::Broken(why),
        Ok(None) => Probe::Other,
        Ok(Some(head)) => classify(head),
    }
}

fn parse_json(content: &[u8]) -> Result<Option<Head>, String> {
    if let Ok(head) = serde_json::from_slice(content) {
        return Ok(Some(head));
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(content).map_err(|err| err.to_string())?;
    Ok(None)
}

fn parse_yaml(content: &[u8]) -> Result<Option<Head>, String> {
    let text = std::str::from_utf8(content).map_err(|err| err.to_string())?;
    if let Ok(head) = serde_saphyr::from_str(text) {
        return Ok(Some(head));
    }
    serde_saphyr::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|err| err.to_string().lines().next().unwrap_or_default().to_owned())?;
    Ok(None)
}

fn classify(head: Head) -> Probe {
    let (kind, version) = match (head.openapi, head.swagger) {
        (Some(version), _) => ("openapi", version.0),
        (None, Some(version)) => ("swagger", version.0),
        (None, None) if head.schema.is_some() || head.properties.is_some() || head.all_of.is_some() => {
            return Probe::Schema;
        }
        (None, None) => return Probe::Other,
    };
    let short: String = version.split('.').take(2).collect::<Vec<_>>().join(".");
    let info = head.info.unwrap_or(Info { title: None, version: None });
    Probe::Interface(Interface {
        format: format!("{kind}-{short}"),
        title: info.title.map(|title| title.0).unwrap_or_default(),
        version: info.version.and_then(|version| loose_version(&version.0)),
    })
}

/// Two or three numbers, perhaps after a `v` and before a pre-release: `1.0`, `v0.8`, `3.0-alpha`, `1.1.0-rc1`.
pub(super) fn loose_version(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches(['v', 'V']);
    let (core, pre) = match text.split_once('-') {
        Some((core, pre)) => (core, format!("-{pre}")),
        None => (text, String::new()),
    };
    let filled = match core.split('.').count() {
        2 => format!("{core}.0{pre}"),
        3 => format!("{core}{pre}"),
        _ => return None,
    };
    Version::parse(&filled).ok()
}

/// The version in a file's name: three numbers between `.` or `_`, or two between `.`: `…-1.1.0-swagger`, `v1_0_1_…`, `bb-0.2`.
pub(super) fn version_in_name(name: &str) -> Option<Version> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).find_map(|token| {
        let token = token.trim_matches(['.', '_']);
        match token.split(['.', '_']).count() {
            3 => loose_version(&token.replace('_', ".")),
            2 => loose_version(token),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_names() {
        for (name, version) in [
            ("GovStack_GISBB_dataManagement-1.1.0-swagger-2.yaml", Some("1.1.0")),
            ("v1_0_1_fixed_BulkPayment.yml", Some("1.0.1")),
            ("beckn-e-marketplace-bb-0.2-resolved (1).yaml", Some("0.2.0")),
            ("TAREK_3-MapDisplay-1.0.0-swagger.yaml", Some("1.0.0")),
            ("0307_2.yaml", None),
            ("1905 (1).yaml", None),
            ("swagger.json", None),
            ("a-01.2.3.json", None),
        ] {
            let found = version_in_name(name).map(|version| version.to_string());
            assert_eq!(found.as_deref(), version, "{name}");
        }
    }

    #[test]
    fn versions_are_read_as_people_write_them() {
        for (text, version) in [
            ("1.0", Some("1.0.0")),
            ("v0.8", Some("0.8.0")),
            ("3.0-alpha", Some("3.0.0-alpha")),
            ("1.1.0-rc1", Some("1.1.0-rc1")),
            ("1", None),
            ("draft", None),
            ("1.2.3.4", None),
        ] {
            assert_eq!(loose_version(text).map(|version| version.to_string()).as_deref(), version, "{text}");
        }
    }

    #[test]
    fn a_file_is_what_is_in_it_and_not_what_it_is_called() {
        let interface = |format: &str, version: Option<&str>| {
            Probe::Interface(Interface {
                format: format.into(),
                title: "T".into(),
                version: version.map(|version| Version::parse(version).unwrap()),
            })
        };
        for (name, content, found) in [
            (
                "a.yaml",
                "openapi: 3.1.0\ninfo: {title: T, version: 1.0}\n",
                interface("openapi-3.1", Some("1.0.0")),
            ),
            (
                "a.json",
                r#"{"swagger":"2.0","info":{"title":"T","version":"x"}}"#,
                interface("swagger-2.0", None),
            ),
            ("a.json", r#"{"$schema":"x"}"#, Probe::Schema),
            ("a.json", r#"{"properties":{}}"#, Probe::Schema),
            ("a.json", "[1]", Probe::Other),
            ("a.yaml", "- a\n- b\n", Probe::Other),
            ("a.md", "{", Probe::Other),
            ("a.json", "", Probe::Empty),
            ("a.feature", "\n", Probe::Empty),
        ] {
            assert_eq!(probe(name, content.as_bytes()), found, "{name} {content}");
        }
        for (name, content) in
            [("a.json", "{a:1}"), ("a.json", "{} {}"), ("a.yml", "a: `b`\n"), ("a.yaml", "a: 'b")]
        {
            assert!(matches!(probe(name, content.as_bytes()), Probe::Broken(_)), "{name} {content}");
        }
    }
}

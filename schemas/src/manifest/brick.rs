//! `[brick]` and `[text.<language>]`: name, version, licence, and what people read first.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::paths::NamedPaths;
use super::{MAX_ITEMS, MAX_LANGUAGES, MAX_SUMMARY_CHARS, Reading};
use crate::archive::ArchivePath;
use crate::code::Code;
use crate::language::LanguageTag;
use crate::license::{License, LicenseExpression};
use crate::name::FullName;
use crate::predicate::release::{BrickKind, Maturity};
use crate::reader::{Table, Value};
use crate::url::Url;
use crate::version::Version;

/// Keywords of a brick, at most.
pub const MAX_KEYWORDS: usize = 16;
/// Characters of a keyword, at most.
pub const MAX_KEYWORD_CHARS: usize = 40;
/// Characters of a pattern in `include` or `exclude`, at most.
pub const MAX_PATTERN_CHARS: usize = 200;

/// `[brick]`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Brick {
    /// `publisher/brick`.
    pub name: FullName,
    /// The version of this release.
    pub version: Version,
    /// What sort of thing it is.
    pub kind: BrickKind,
    /// How far it is.
    pub maturity: Maturity,
    /// Its licence or licences.
    pub license: License,
    /// Service types it can be part of; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Code>,
    /// Where it is developed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Url>,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<Url>,
    /// Its documentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation: Option<Url>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// The file that is shown first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readme: Option<ArchivePath>,
    /// Files of the archive, as patterns of `.gitignore`; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Files to leave out, as patterns of `.gitignore`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

impl Brick {
    pub(super) fn read<'r>(mut table: Table<'r>, reading: Reading, paths: &NamedPaths<'r>) -> Option<Self> {
        let name = table.required("name").and_then(|v| v.parse());
        let version = table.required("version").and_then(|v| v.parse());
        let kind = table.required("kind").and_then(|v| v.word());
        let maturity = table.required("maturity").and_then(|v| v.word());
        let license = table.required("license").and_then(|v| read_license(v, reading));
        let functions = table.optional("functions").map(|v| v.parse_list(MAX_ITEMS)).unwrap_or_default();
        let repository = table.optional("repository").and_then(|v| v.parse());
        let homepage = table.optional("homepage").and_then(|v| v.parse());
        let documentation = table.optional("documentation").and_then(|v| v.parse());
        let texts =
            |v: Option<Value<'_>>, max, chars| v.map(|v| v.displayed_list(max, chars)).unwrap_or_default();
        let keywords = texts(table.optional("keywords"), MAX_KEYWORDS, MAX_KEYWORD_CHARS);
        let readme = table.optional("readme").and_then(|v| paths.file(&v));
        let include = texts(table.optional("include"), MAX_ITEMS, MAX_PATTERN_CHARS);
        let exclude = texts(table.optional("exclude"), MAX_ITEMS, MAX_PATTERN_CHARS);
        table.finish();
        Some(Self {
            name: name?,
            version: version?,
            kind: kind?,
            maturity: maturity?,
            license: license?,
            functions,
            repository,
            homepage,
            documentation,
            keywords,
            readme,
            include,
            exclude,
        })
    }
}

fn read_license(value: Value<'_>, reading: Reading) -> Option<License> {
    if value.is_string() {
        return Some(License { spec: read_expression(value, reading)?, software: None });
    }
    let mut table = value.table_not_text()?;
    let spec = table.required("spec").and_then(|v| read_expression(v, reading));
    let software = table.required("software").and_then(|v| read_expression(v, reading));
    table.finish();
    Some(License { spec: spec?, software })
}

fn read_expression(value: Value<'_>, reading: Reading) -> Option<LicenseExpression> {
    let expression: LicenseExpression = value.parse()?;
    if let (Reading::Author, Some((at, reason))) = (reading, expression.unlisted()) {
        let next = "see the SPDX licence list; a licence of your own is written `LicenseRef-<name>`";
        let span = value.span().inside(at);
        value.problems.add(span, "the licence is not on SPDX's list", reason, Some(next.into()));
    }
    Some(expression)
}

/// `[text.<language>]`: what people read first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Text {
    /// What it is called; 1 to 150 characters.
    #[schemars(length(min = 1, max = 150))]
    pub title: String,
    /// What it is for; 1 to 150 characters.
    #[schemars(length(min = 1, max = 150))]
    pub summary: String,
}

/// Reads all `[text.<language>]`; a problem if there are none.
pub(crate) fn read_texts(root: &mut Table<'_>) -> BTreeMap<LanguageTag, Text> {
    let before = root.problems.count();
    let texts = root.map("text", MAX_LANGUAGES, |_: &LanguageTag, value| {
        let mut table = value.table()?;
        let title = table.required("title").and_then(|v| v.displayed(MAX_SUMMARY_CHARS));
        let summary = table.required("summary").and_then(|v| v.displayed(MAX_SUMMARY_CHARS));
        table.finish();
        Some(Text { title: title?, summary: summary? })
    });
    if texts.is_empty() && root.problems.count() == before {
        let next = "add `[text.en]` with `title = \"…\"` and `summary = \"…\"`".to_owned();
        root.problems.add(
            root.span,
            "`[text.<language>]` is missing",
            "at least one language is needed",
            Some(next),
        );
    }
    texts
}

pub(crate) fn texts_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = generator.subschema_for::<BTreeMap<LanguageTag, Text>>();
    schema.insert("minProperties".into(), 1.into());
    schema
}

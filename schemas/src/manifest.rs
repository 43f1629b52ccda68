//! What does a brick say about itself? `brick.toml` (design §4).
//!
//! Read by authors, registries, mirrors, auditors and clients alike; a registry trusts nothing in it but compares it
//! with the signed entry ([`Manifest::matches`]).

mod about;
mod brick;
mod depends;
mod entry;
mod paths;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use about::read_price_year;
pub use about::{
    Accessibility, Config, Conformance, Contribute, CostReference, DataUse, FileEntry, FileRole, Legal,
    MAX_FORMAT_BYTES, MAX_IMAGE_BYTES, MAX_MAILBOX_BYTES, Maintenance, MaintenanceType, Runtime,
};
pub use brick::{Brick, MAX_KEYWORD_CHARS, MAX_KEYWORDS, MAX_PATTERN_CHARS, Text};
pub(crate) use brick::{read_texts, texts_schema};
pub use depends::Provided;
pub use entry::Mismatch;
pub(crate) use entry::same;

use self::paths::NamedPaths;
use crate::diagnostic::FileError;
use crate::feature::FeatureItem;
use crate::language::LanguageTag;
use crate::name::{FeatureName, FullName, PublisherName};
use crate::predicate::release::{Dependency, ForkedFrom};
use crate::reader::{Format, Table, Value, read_file, utf8};
use crate::version::Requirement;

/// The format version that is read and written.
pub const MANIFEST_VERSION: u64 = 1;
/// Bytes of a manifest, at most (design §3).
pub const MAX_MANIFEST_BYTES: usize = 256 * 1_024;
/// Characters of a title or a summary, at most (design §4).
pub const MAX_SUMMARY_CHARS: usize = 150;
/// Characters of any other text for people, at most.
pub const MAX_TEXT_CHARS: usize = 500;
/// Entries of any list or table that has no bound of its own, at most.
pub const MAX_ITEMS: usize = 256;
/// Files that a manifest describes, at most (as many as an archive has).
pub const MAX_FILES: usize = 4_096;
/// Languages, at most.
pub const MAX_LANGUAGES: usize = 64;

/// Why a manifest was not accepted.
pub type ManifestError = FileError;

/// A brick's manifest: `brick.toml`, fully parsed.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "brick.toml")]
pub struct Manifest {
    /// Format version: 1.
    #[schemars(schema_with = "version_schema")]
    pub manifest: u64,
    /// Name, version, licence and the like.
    pub brick: Brick,
    /// Title and summary by language; at least one.
    #[schemars(schema_with = "texts_schema")]
    pub text: BTreeMap<LanguageTag, Text>,
    /// Other bricks it needs, sorted by name; at most [`MAX_REQUIRES`](crate::predicate::release::MAX_REQUIRES).
    #[serde(default, skip_serializing_if = "Vec::is_empty", serialize_with = "depends::serialize_requires")]
    #[schemars(with = "BTreeMap<FullName, depends::RequiresForm>")]
    pub requires: Vec<Dependency>,
    /// Features and what each turns on, sorted, each item once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<FeatureName, Vec<FeatureItem>>,
    /// Interfaces it provides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<FullName, depends::ProvidesForm>")]
    pub provides: BTreeMap<FullName, Provided>,
    /// Interfaces that any brick that provides them may meet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<FullName, Requirement>,
    /// Bricks it goes well with: shown, never resolved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub works_with: BTreeMap<FullName, Requirement>,
    /// Files whose role cannot be told from their name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file: Vec<FileEntry>,
    /// What an adopter may set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    /// The law it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal: Option<Legal>,
    /// Personal data it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataUse>,
    /// How accessible it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accessibility: Option<Accessibility>,
    /// How conformance is tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conformance: Option<Conformance>,
    /// What it cost somebody: evidence, never summed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cost_reference: Vec<CostReference>,
    /// Where an implementation exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// Who keeps it, until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// How to take part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contribute: Option<Contribute>,
    /// The release it began as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
    /// Extensions, by the publisher who says what they mean; kept as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<PublisherName, serde_json::Map<String, serde_json::Value>>")]
    pub x: BTreeMap<PublisherName, toml::Table>,
}

pub(crate) fn version_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "const": 1 })
}

const FORMAT: Format = Format { file: "brick.toml", key: "manifest", version: MANIFEST_VERSION };

/// Who asks, and so what is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Anybody, at any time: only rules that never change, so that all parties agree for ever.
    Anybody,
    /// The author before publishing: lists of licences and currencies, which change, too.
    Author,
}

impl Manifest {
    /// Parses a manifest. Every version of this software that reads `manifest = 1` gives the same answer.
    ///
    /// # Errors
    /// [`ManifestError`] with every problem that was found, each with its place.
    pub fn parse(text: &str) -> Result<Self, Box<ManifestError>> {
        read_file(text, MAX_MANIFEST_BYTES, FORMAT, |root| Self::read(root, Reading::Anybody))
    }

    /// Parses one's own manifest before publishing: as [`parse`](Self::parse), and licences must be listed by SPDX,
    /// currencies by ISO 4217. Those lists grow, so a manifest from elsewhere is not held against them.
    ///
    /// # Errors
    /// [`ManifestError`] with every problem that was found, each with its place.
    pub fn parse_as_author(text: &str) -> Result<Self, Box<ManifestError>> {
        read_file(text, MAX_MANIFEST_BYTES, FORMAT, |root| Self::read(root, Reading::Author))
    }

    /// As [`parse`](Self::parse), from bytes that should be UTF-8.
    ///
    /// # Errors
    /// [`ManifestError`] with every problem that was found, each with its place.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Box<ManifestError>> {
        Self::parse(utf8(bytes, MAX_MANIFEST_BYTES, FORMAT)?)
    }

    /// The optional requirements that no feature turns on: nobody can ever use them.
    pub fn unreachable_requirements(&self) -> Vec<&FullName> {
        let turned_on = |name: &FullName| {
            self.features.values().flatten().any(|item| match item {
                FeatureItem::Requirement(brick) | FeatureItem::Strong(brick, _) => brick == name,
                FeatureItem::Feature(_) | FeatureItem::Weak(..) => false,
            })
        };
        self.requires.iter().filter(|d| d.optional && !turned_on(&d.name)).map(|d| &d.name).collect()
    }

    fn read<'r>(root: &mut Table<'r>, reading: Reading) -> Option<Self> {
        let paths = &NamedPaths::default();
        let brick = root.required_table("brick").and_then(|table| Brick::read(table, reading, paths));
        let name = brick.as_ref().map(|brick| brick.name.clone());
        let text = read_texts(root);
        let depends::Depends { requires, features, provides, needs, works_with } =
            depends::read(root, name.as_ref(), paths);
        let file = root
            .tables("file", MAX_FILES)
            .into_iter()
            .filter_map(|table| FileEntry::read(table, paths))
            .collect();
        let config = root.table("config").and_then(|table| Config::read(table, paths));
        let legal = root.table("legal").and_then(Legal::read);
        let data = root.table("data").and_then(|table| DataUse::read(table, paths));
        let accessibility = root.table("accessibility").and_then(|table| Accessibility::read(table, paths));
        let conformance = root.table("conformance").and_then(|table| Conformance::read(table, paths));
        let cost_reference = root
            .tables("cost-reference", MAX_ITEMS)
            .into_iter()
            .filter_map(|table| CostReference::read(table, reading))
            .collect();
        let runtime = root.table("runtime").and_then(Runtime::read);
        let maintenance = root.table("maintenance").and_then(Maintenance::read);
        let contribute = root.table("contribute").and_then(|table| Contribute::read(table, paths));
        let forked_from = root.table("forked-from").and_then(about::read_forked_from);
        let x = root.map("x", MAX_ITEMS, |_: &PublisherName, value: Value<'_>| value.opaque_table());
        let brick = brick?;
        paths.check(&brick.name.brick, &brick.version);
        Some(Self {
            manifest: MANIFEST_VERSION,
            brick,
            text,
            requires,
            features,
            provides,
            needs,
            works_with,
            file,
            config,
            legal,
            data,
            accessibility,
            conformance,
            cost_reference,
            runtime,
            maintenance,
            contribute,
            forked_from,
            x,
        })
    }
}

//! What does a public body run, and from what parts? `service.toml` (design §5).
//!
//! Written by the body; its figures and parts go into a signed entry, its texts into a blob beside it.

mod entry;
mod figures;
mod part;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub use entry::ServiceError;
pub use figures::{
    Assurance, Contract, Cost, CostKind, CostWhat, Outcome, Satisfaction, Share, Succession, Volume,
};
pub use part::Part;

use crate::archive::ArchivePath;
use crate::code::Code;
use crate::date::Date;
use crate::diagnostic::FileError;
use crate::language::LanguageTag;
use crate::manifest::{MANIFEST_VERSION, MAX_ITEMS, MAX_MANIFEST_BYTES, MAX_TEXT_CHARS, Text};
use crate::name::{FullName, PublisherName};
use crate::predicate::release::{Dependency, MAX_INTERFACES, MAX_REQUIRES};
use crate::predicate::service::{MAX_LINES, MAX_PARTS, ServiceStatus};
use crate::reader::{Format, Table, Value, read_file, utf8};
use crate::url::Url;

/// Settings of one brick in one service, at most.
pub const MAX_SETTINGS: usize = 256;

/// Why a service file was not accepted.
pub type ServiceFileError = FileError;

/// A public body's service: `service.toml`, fully parsed but for `[policy]` and the values of `[config]`.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "service.toml")]
pub struct ServiceManifest {
    /// Format version: 1.
    #[schemars(schema_with = "crate::manifest::version_schema")]
    pub manifest: u64,
    /// Its name, function and status.
    pub service: ServiceTable,
    /// Title and summary by language; at least one.
    #[schemars(schema_with = "crate::manifest::texts_schema")]
    pub text: BTreeMap<LanguageTag, Text>,
    /// Its parts, in the order a user meets them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part: Vec<Part>,
    /// Which brick meets a need, where several could.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub choose: BTreeMap<FullName, FullName>,
    /// Settings by brick, checked elsewhere against the brick's own schema.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<FullName, serde_json::Map<String, serde_json::Value>>")]
    pub config: BTreeMap<FullName, toml::Table>,
    /// Why a setting is what it is, by brick and setting.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config_reason: BTreeMap<FullName, BTreeMap<String, String>>,
    /// How often it was used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume: Vec<Volume>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cost: Vec<Cost>,
    /// Who supplies what until when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contract: Vec<Contract>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What shows that it is in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance: Option<Assurance>,
    /// What it carries on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succession: Option<Succession>,
    /// What the body demands of releases (design §12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyTable>,
}

/// `[policy]` as it stands. Its meaning is the policy format's to say, which reads it from here; this format only keeps it.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PolicyTable {
    /// In a file of its own: `policy = "policy.toml"`.
    File(ArchivePath),
    /// In this file.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    Here(toml::Table),
}

/// `[service]`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServiceTable {
    /// `publisher/service`.
    pub id: FullName,
    /// Service type.
    pub function: Code,
    /// Where it stands.
    pub status: ServiceStatus,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Date>,
    /// The body, by its code in a dated register.
    pub body: Code,
    /// Bodies that it is run for, besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivered_for: Vec<Code>,
    /// Where people find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
}

const FORMAT: Format = Format { file: "service.toml", key: "manifest", version: MANIFEST_VERSION };

impl ServiceManifest {
    /// Parses a service file.
    ///
    /// # Errors
    /// [`ServiceFileError`] with every problem that was found, each with its place.
    pub fn parse(text: &str) -> Result<Self, Box<ServiceFileError>> {
        read_file(text, MAX_MANIFEST_BYTES, FORMAT, Self::read)
    }

    /// As [`parse`](Self::parse), from bytes that should be UTF-8; at most [`MAX_MANIFEST_BYTES`] and one are read.
    ///
    /// # Errors
    /// [`ServiceFileError`] with every problem that was found, each with its place.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Box<ServiceFileError>> {
        Self::parse(utf8(bytes, MAX_MANIFEST_BYTES, FORMAT)?)
    }

    /// The bricks that its parts ask for, for resolution: sorted by name, each once, with the features of all parts.
    pub fn requirements(&self) -> Vec<Dependency> {
        let mut merged: BTreeMap<&FullName, Dependency> = BTreeMap::new();
        for part in &self.part {
            let Part::Brick { brick, version, features, default_features, .. } = part else { continue };
            let dependency = merged.entry(brick).or_insert_with(|| Dependency {
                name: brick.clone(),
                req: version.clone(),
                features: Vec::new(),
                optional: false,
                default_features: false,
            });
            dependency.default_features |= *default_features;
            dependency.features.extend(features.iter().cloned());
            dependency.features.sort();
            dependency.features.dedup();
        }
        merged.into_values().collect()
    }

    fn read(root: &mut Table<'_>) -> Option<Self> {
        let service = root.required_table("service").and_then(read_service);
        let text = crate::manifest::read_texts(root);
        let part = part::read_parts(root.tables("part", MAX_PARTS), MAX_REQUIRES);
        let choose = root.map("choose", MAX_INTERFACES, |_: &FullName, v| v.parse());
        let config: BTreeMap<FullName, toml::Table> =
            root.map("config", MAX_ITEMS, |_: &FullName, v| v.opaque_table());
        let config_reason = root.map("config-reason", MAX_ITEMS, |brick: &FullName, v| {
            let settings = config.get(brick);
            let known: Vec<&str> = settings.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            Some(v.table()?.texts_of(&known, MAX_SETTINGS, MAX_TEXT_CHARS))
        });
        let steps: Vec<&str> = part.iter().map(Part::step).collect();
        let volume = root.tables("volume", MAX_LINES).into_iter().filter_map(Volume::read).collect();
        let cost = root.tables("cost", MAX_LINES).into_iter().filter_map(|t| Cost::read(t, &steps)).collect();
        let contract = root
            .tables("contract", MAX_LINES)
            .into_iter()
            .filter_map(|t| Contract::read(t, &steps))
            .collect();
        let outcome = root.table("outcome").map(Outcome::read);
        let assurance = root.table("assurance").map(Assurance::read);
        let succession = root.table("succession").and_then(Succession::read);
        let policy = root.optional("policy").and_then(read_policy);
        Some(Self {
            manifest: MANIFEST_VERSION,
            service: service?,
            text,
            part,
            choose,
            config,
            config_reason,
            volume,
            cost,
            contract,
            outcome,
            assurance,
            succession,
            policy,
        })
    }

    /// The publisher in whose log the service stands.
    pub fn publisher(&self) -> &PublisherName {
        &self.service.id.publisher
    }
}

fn read_service(mut table: Table<'_>) -> Option<ServiceTable> {
    let id = table.required("id").and_then(|v| v.parse());
    let function = table.required("function").and_then(|v| v.parse());
    let status = table.required("status").and_then(|v| v.word());
    let since = table.optional("since").and_then(|v| v.date());
    let body = table.required("body").and_then(|v| v.parse());
    let delivered_for = table.optional("delivered-for").map(|v| v.parse_list(MAX_ITEMS)).unwrap_or_default();
    let url = table.optional("url").and_then(|v| v.parse());
    table.finish();
    Some(ServiceTable {
        id: id?,
        function: function?,
        status: status?,
        since,
        body: body?,
        delivered_for,
        url,
    })
}

fn read_policy(value: Value<'_>) -> Option<PolicyTable> {
    if value.is_string() {
        return value.parse().map(PolicyTable::File);
    }
    value.opaque_table().map(PolicyTable::Here)
}

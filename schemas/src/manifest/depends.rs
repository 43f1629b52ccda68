//! `[requires]`, `[features]`, `[provides]`, `[needs]`, `[works-with]`: how a brick stands to others.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::MAX_ITEMS;
use super::paths::NamedPaths;
use crate::archive::ArchivePath;
use crate::feature::{FeatureError, FeatureItem, check_item};
use crate::name::{FeatureName, FullName};
use crate::near::near;
use crate::predicate::release::{Dependency, MAX_FEATURE_ITEMS, MAX_FEATURES, MAX_INTERFACES, MAX_REQUIRES};
use crate::reader::{Table, Value};
use crate::version::{Requirement, Version};

/// An interface that a brick provides.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Provided {
    /// The interface's version.
    pub version: Version,
    /// The file that describes it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<ArchivePath>,
}

/// The value of an entry in `[requires]`: a requirement, or a table.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "stands for the shape in the JSON Schema")]
pub(super) enum RequiresForm {
    /// Which versions will do.
    Requirement(Requirement),
    /// With its particulars.
    Table(RequiresTable),
}

/// A requirement with its particulars.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RequiresTable {
    /// Which versions will do.
    version: Requirement,
    /// Only when a feature asks for it.
    #[serde(default)]
    optional: bool,
    /// Features asked of it.
    #[serde(default)]
    features: Vec<FeatureName>,
    /// Whether its `default` feature is asked for.
    #[serde(default = "yes")]
    default_features: bool,
}

fn yes() -> bool {
    true
}

/// The value of an entry in `[provides]`: a version, or a table.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "stands for the shape in the JSON Schema")]
pub(super) enum ProvidesForm {
    /// The interface's version.
    Version(Version),
    /// With the file that describes it.
    Table(ProvidesTable),
}

/// A provided interface with the file that describes it.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "stands for the shape in the JSON Schema")]
pub(super) struct ProvidesTable {
    /// The interface's version.
    version: Version,
    /// The file that describes it.
    #[serde(default)]
    path: Option<ArchivePath>,
}

/// Writes requirements as `[requires]` has them, each with its particulars.
pub(super) fn serialize_requires<S: Serializer>(requires: &[Dependency], s: S) -> Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(Some(requires.len()))?;
    for Dependency { name, req, features, optional, default_features } in requires {
        let table = RequiresTable {
            version: req.clone(),
            optional: *optional,
            features: features.clone(),
            default_features: *default_features,
        };
        map.serialize_entry(name, &table)?;
    }
    map.end()
}

pub(super) struct Depends {
    pub(super) requires: Vec<Dependency>,
    pub(super) features: BTreeMap<FeatureName, Vec<FeatureItem>>,
    pub(super) provides: BTreeMap<FullName, Provided>,
    pub(super) needs: BTreeMap<FullName, Requirement>,
    pub(super) works_with: BTreeMap<FullName, Requirement>,
}

/// Reads the five tables of the brick `own`.
pub(super) fn read<'r>(root: &mut Table<'r>, own: Option<&FullName>, paths: &NamedPaths<'r>) -> Depends {
    let requires = root.map("requires", MAX_REQUIRES, |name: &FullName, value| {
        if Some(name) == own {
            value.wrong("a brick cannot require itself", None);
        }
        read_requirement(name, value)
    });
    let mut items = Vec::new();
    let mut features: BTreeMap<FeatureName, Vec<FeatureItem>> =
        root.map("features", MAX_FEATURES, |_: &FeatureName, value| {
            items.extend(value.clone_list(MAX_FEATURE_ITEMS));
            Some(value.parse_list(MAX_FEATURE_ITEMS))
        });
    let optional = |brick: &FullName| requires.get(brick).map(|dependency| dependency.optional);
    for value in items {
        let Some(item) = value.string().and_then(|text| FeatureItem::parse(text).ok()) else { continue };
        if let Err(err) = check_item(&item, |feature| features.contains_key(feature), optional) {
            let nearest = match &err {
                FeatureError::NoFeature { missing } => {
                    near(missing.as_str(), features.keys().map(FeatureName::as_str))
                        .first()
                        .map(|n| n.to_string())
                }
                FeatureError::NoRequirement { missing } => {
                    let names: Vec<String> = requires.keys().map(FullName::to_string).collect();
                    near(&missing.to_string(), names.iter().map(String::as_str))
                        .first()
                        .map(|n| n.to_string())
                }
                FeatureError::NotOptional { .. } => None,
            };
            let next = match (&err, nearest) {
                (_, Some(nearest)) => Some(format!("did you mean `{nearest}`?")),
                (FeatureError::NoRequirement { missing }, None) => Some(format!(
                    "add it to `[requires]`: \"{missing}\" = {{ version = \"…\", optional = true }}"
                )),
                _ => None,
            };
            value.wrong(err, next);
        }
    }
    for list in features.values_mut() {
        list.sort();
    }
    let provides = root.map("provides", MAX_INTERFACES, |_: &FullName, value| read_provided(value, paths));
    let needs = root.map("needs", MAX_INTERFACES, |_: &FullName, value| value.parse());
    let works_with = root.map("works-with", MAX_ITEMS, |_: &FullName, value| value.parse());
    Depends { requires: requires.into_values().collect(), features, provides, needs, works_with }
}

fn read_requirement(name: &FullName, value: Value<'_>) -> Option<Dependency> {
    let name = name.clone();
    if value.is_string() {
        let req = value.parse()?;
        return Some(Dependency { name, req, features: Vec::new(), optional: false, default_features: true });
    }
    let mut table = value.table_not_text()?;
    let req = table.required("version").and_then(|v| v.parse());
    let optional = table.optional("optional").and_then(|v| v.boolean()).unwrap_or(false);
    let mut features: Vec<FeatureName> =
        table.optional("features").map(|v| v.parse_list(MAX_FEATURE_ITEMS)).unwrap_or_default();
    features.sort();
    let default_features = table.optional("default-features").and_then(|v| v.boolean()).unwrap_or(true);
    table.finish();
    Some(Dependency { name, req: req?, features, optional, default_features })
}

fn read_provided<'r>(value: Value<'r>, paths: &NamedPaths<'r>) -> Option<Provided> {
    if value.is_string() {
        return Some(Provided { version: value.parse()?, path: None });
    }
    let mut table = value.table_not_text()?;
    let version = table.required("version").and_then(|v| v.parse());
    let path = table.optional("path").and_then(|v| paths.file(&v));
    table.finish();
    Some(Provided { version: version?, path })
}

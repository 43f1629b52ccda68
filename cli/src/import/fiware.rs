//! The smart-data-models schemas: one brick a file.
//!
//! **Name.** The data model and the path in kebab case, without `dataModel.` and `/schema.json`:
//! `dataModel.Weather/WeatherAlert/schema.json` is `weather-weather-alert`.
//!
//! **Version.** `$schemaVersion` where there is one. Files without one are read at one address for ever: each known state is a
//! minor version, so the n-th of `history/` is 1.n.0 and the current file the last (or only) of them. States are told apart
//! by their bytes.
//!
//! **Requirements.** A line of `EDGES.csv` is one. References name no version; the caret of the current one is this
//! importer's choice. A file that refers to itself requires nothing by it. Earlier states require nothing: what they refer
//! to is themselves or lies outside the collection.

use std::collections::BTreeMap;
use std::path::Path;

use brick_schemas::name::NameError;
use brick_schemas::{BrickName, FullName, Version};
use serde::Deserialize;

use super::draft::{Draft, Necessity, Role, in_order};
use super::probe::{Probe, probe};
use super::{ImportError, Options, Outcome, Report, Source};

const ORGANISATION: &str = "https://github.com/smart-data-models";
const HISTORY: &str = "history/";
const LICENSE: &str = "LICENSE.md";

/// A line of `EDGES.csv`.
#[derive(Deserialize)]
struct Edge {
    from: String,
    to: String,
}

/// The members of a schema that are looked at.
#[derive(Deserialize, Default)]
struct Head {
    #[serde(rename = "$schemaVersion")]
    version: Option<String>,
    title: Option<String>,
    description: Option<String>,
}

/// Imports the collection in `dir`; see [`super::import`].
pub(super) fn import(dir: &Path, options: &Options, out: &Path) -> Result<Report, ImportError> {
    let mut report = Report::default();
    let files = super::read_all(dir, &mut report)?;
    let mut licenses = BTreeMap::new();
    let mut schemas = Vec::new();
    let mut history: BTreeMap<String, Vec<Source>> = BTreeMap::new();
    for file in files {
        if let Some(model) = file.path.strip_suffix("/LICENSE.md") {
            licenses.insert(model.to_owned(), file.content);
        } else if let Some((stem, _)) = file.path.strip_prefix(HISTORY).and_then(|path| path.split_once('/'))
        {
            history.entry(stem.to_owned()).or_default().push(file);
        } else if file.path.ends_with(".json") {
            schemas.push(file);
        }
    }

    let mut earlier = Vec::new();
    let mut current: BTreeMap<String, Draft> = BTreeMap::new();
    for schema in schemas {
        let name = FullName { publisher: options.publisher.clone(), brick: brick_name(&schema.path)? };
        let stem = schema.file_name().trim_end_matches(".json").to_owned();
        let mut states = history.remove(&stem).unwrap_or_default();
        if states.last().is_some_and(|last| last.content == schema.content) {
            states.pop();
        }
        let license = licenses.get(model(&schema.path));
        let of = schema.path.clone();
        for (at, state) in states.into_iter().enumerate() {
            earlier.push(release(&name, &of, minor(at + 1), state, license, &mut report));
        }
        let own = head(&schema.content).version.and_then(|version| Version::parse(&version).ok());
        let known = 1 + earlier.iter().filter(|draft| draft.name == name).count();
        let version = own.unwrap_or_else(|| minor(known));
        if license.is_none() {
            report.note(&of, "its repository has no licence text; the programme publishes under CC-BY-4.0");
        }
        let draft = release(&name, &of, version, schema, license, &mut report);
        current.insert(of, draft);
    }
    for file in history.into_values().flatten() {
        report.note(file.path, "left out: the file whose state it is is not here");
    }
    relate(dir, &mut current, &mut report)?;

    let names: std::collections::BTreeSet<_> = current.values().map(|draft| &draft.name).collect();
    if names.len() != current.len() {
        let what = "two files come to the same name".to_owned();
        return Err(ImportError::List { path: dir.to_owned(), what });
    }
    earlier.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    for draft in earlier.into_iter().chain(in_order(current.into_values().collect())?) {
        report.bricks.push(draft.write(out)?);
    }
    Ok(report)
}

/// The first component: the data model.
fn model(path: &str) -> &str {
    path.split('/').next().expect("split gives at least one piece")
}

fn minor(n: usize) -> Version {
    Version::parse(&format!("1.{n}.0")).expect("is a version")
}

fn head(content: &[u8]) -> Head {
    serde_json::from_slice(content).unwrap_or_default()
}

/// One state of the schema at `of` as a release.
fn release(
    name: &FullName,
    of: &str,
    version: Version,
    state: Source,
    license: Option<&Vec<u8>>,
    report: &mut Report,
) -> Draft {
    let head = head(&state.content);
    let words = name.brick.as_str().replace('-', " ");
    let summary = head.description.unwrap_or_else(|| format!("The smart data models schema {words}"));
    let mut draft = Draft::new(name.clone(), version, &head.title.unwrap_or(words), &summary);
    draft.kind = "data-model";
    draft.license = "CC-BY-4.0";
    draft.repository = format!("{ORGANISATION}/{}", model(of));
    let role = match probe(&state.path, &state.content) {
        Probe::Empty | Probe::Broken(_) => {
            report.note(&state.path, "does not parse; published as a document");
            draft.maturity = "concept";
            Role { role: "docs", format: None }
        }
        _ => Role { role: "schema", format: Some("json-schema".into()) },
    };
    let path = of.rsplit('/').next().expect("rsplit gives at least one piece");
    draft.add(path, state.content, Some(role), &state.path, report);
    if let Some(license) = license {
        draft.add(LICENSE, license.clone(), None, of, report);
    }
    draft
}

fn relate(dir: &Path, current: &mut BTreeMap<String, Draft>, report: &mut Report) -> Result<(), ImportError> {
    let path = dir.join("EDGES.csv");
    let content = super::read(&path)?;
    for edge in csv::Reader::from_reader(content.as_slice()).into_deserialize::<Edge>() {
        let Edge { from, to } =
            edge.map_err(|err| ImportError::List { path: path.clone(), what: err.to_string() })?;
        let target = current.get(&to).map(|draft| (draft.name.clone(), draft.version.clone()));
        let outcome = match (current.get_mut(&from), target) {
            _ if from == to => {
                report.note(&from, "refers to itself; no requirement");
                Outcome::LeftOut("a file that refers to itself requires nothing by it")
            }
            (Some(draft), Some((name, version))) => {
                match draft.requires.insert(name, (version, Necessity::Needed)) {
                    None => Outcome::Required,
                    Some(_) => Outcome::Merged,
                }
            }
            _ => Outcome::LeftOut("one of the two is not here"),
        };
        report.relate(&from, &to, outcome);
    }
    Ok(())
}

/// `dataModel.DCAT-AP/DataServiceRun/schema.json` → `dcat-ap-data-service-run`.
fn brick_name(path: &str) -> Result<BrickName, ImportError> {
    let short = path.trim_start_matches("dataModel.").trim_end_matches(".json").trim_end_matches("/schema");
    let name = short.split(['/', '-', '_', '.']).map(kebab).collect::<Vec<_>>().join("-");
    BrickName::parse(&name).map_err(|err: NameError| ImportError::Name { what: path.to_owned(), err })
}

/// `EVChargingStation` → `ev-charging-station`.
fn kebab(word: &str) -> String {
    let chars: Vec<char> = word.chars().collect();
    let mut out = String::new();
    for (at, c) in chars.iter().enumerate() {
        let after_lower = at > 0 && !chars[at - 1].is_uppercase();
        let before_lower = at > 0 && chars.get(at + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (after_lower || before_lower) {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_name() {
        for (path, name) in [
            ("dataModel.Weather/WeatherAlert/schema.json", "weather-weather-alert"),
            ("dataModel.DCAT-AP/DataServiceRun/schema.json", "dcat-ap-data-service-run"),
            ("dataModel.Energy/ACMeasurement/schema.json", "energy-ac-measurement"),
            ("dataModel.Transportation/EVChargingStation/schema.json", "transportation-ev-charging-station"),
            ("dataModel.OSLO/ResourceReport/schema.json", "oslo-resource-report"),
            ("dataModel.UrbanMobility/gtfs-schema.json", "urban-mobility-gtfs-schema"),
            ("data-models/common-schema.json", "data-models-common-schema"),
        ] {
            assert_eq!(brick_name(path).unwrap().as_str(), name);
        }
    }
}

//! Which services do the building blocks make? The use cases of `STEPS.csv`.
//!
//! One row says that one step of one use case names one block. A use case becomes a service of a body that would run it: its
//! parts are the blocks in the order of the steps, each asked for in the version that is imported. A block that a step names
//! twice is one part. What is said of the whole service, and not of a step, is the step `whole service`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use brick_schemas::name::{MAX_LABEL_BYTES, NameError};
use brick_schemas::predicate::service::MAX_PARTS;
use brick_schemas::service::ServiceManifest;
use brick_schemas::{BrickName, FullName, PublisherName, Version};

use super::draft::{create_new_dir, quoted, shown, write_file};
use super::{ImportError, Report};

/// A row of `STEPS.csv`.
#[derive(serde::Deserialize)]
struct Row {
    use_case: String,
    file: String,
    step: String,
    building_block: String,
}

/// Parts of a service: step and brick, in order.
type Parts = Vec<(String, String)>;

/// Writes the services of the use cases in `list`.
///
/// - `bricks`: the current version of each block, by its folder's name.
///
/// # Errors
/// [`ImportError`].
pub(super) fn import(
    list: &Path,
    body: &PublisherName,
    bricks: &BTreeMap<String, (FullName, Version)>,
    out: &Path,
    report: &mut Report,
) -> Result<Vec<PathBuf>, ImportError> {
    let wrong = |what: String| ImportError::List { path: list.to_owned(), what };
    let mut cases: Vec<(String, String, Parts)> = Vec::new();
    let content = super::read(list)?;
    for row in csv::Reader::from_reader(content.as_slice()).into_deserialize::<Row>() {
        let row = row.map_err(|err| wrong(err.to_string()))?;
        if !bricks.contains_key(&row.building_block) {
            report.note("product-use-cases/STEPS.csv", format!("no such block: {}", row.building_block));
            continue;
        }
        if cases.last().is_none_or(|(case, ..)| *case != row.use_case) {
            cases.push((row.use_case.clone(), row.file.clone(), Vec::new()));
        }
        let (_, _, parts) = cases.last_mut().expect("one was pushed");
        let part = (step_text(&row.step), row.building_block);
        if parts.contains(&part) {
            let (step, block) = part;
            let why = format!("{}: the step `{step}` names {block} again: one part", row.use_case);
            report.note("product-use-cases/STEPS.csv", why);
        } else if parts.len() == MAX_PARTS {
            return Err(wrong(format!("`{}` has more than {MAX_PARTS} parts", row.use_case)));
        } else {
            parts.push(part);
        }
    }

    let mut written = Vec::new();
    for (case, file, parts) in cases {
        let name = file.strip_suffix(".md").unwrap_or(&file);
        let brick =
            BrickName::parse(name).map_err(|err: NameError| ImportError::Name { what: file.clone(), err })?;
        let id = FullName { publisher: body.clone(), brick };
        let text = manifest(&id, body, &case, &parts, bricks);
        ServiceManifest::parse(&text).map_err(|err| ImportError::Generated { what: id.clone(), err })?;
        let dir = out.join("services").join(name);
        create_new_dir(&dir)?;
        write_file(&dir.join("service.toml"), text.as_bytes())?;
        written.push(dir);
    }
    Ok(written)
}

/// A step's heading without what Markdown leaves in it, cut to what a step may have.
fn step_text(written: &str) -> String {
    let plain = written.replace("&#x20;", " ").replace('\\', "");
    let inner = plain.trim().trim_start_matches('(').trim_end_matches(')');
    let shown =
        shown(if plain.contains('(') && plain.trim().starts_with('(') { inner } else { plain.trim() });
    let text: String = shown.unwrap_or_else(|| "step".into()).chars().take(MAX_LABEL_BYTES).collect();
    text.trim_end().to_owned()
}

fn manifest(
    id: &FullName,
    body: &PublisherName,
    case: &str,
    parts: &Parts,
    bricks: &BTreeMap<String, (FullName, Version)>,
) -> String {
    let (code, title) = case.split_once(" - ").unwrap_or((case, case));
    let code: String = code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let summary = format!("The GovStack use case {code}, built from the blocks that its steps name");
    let mut text = format!(
        "manifest = 1\n\n[service]\nid = \"{id}\"\nfunction = \"govstack-use-case:{code}\"\nstatus = \"pilot\"\n\
         body = \"dns:{body}\"\n\n[text.en]\ntitle = {}\nsummary = {}\n",
        quoted(&shown(title).unwrap_or_else(|| id.to_string())),
        quoted(&summary)
    );
    for (step, block) in parts {
        let (brick, version) = &bricks[block];
        text +=
            &format!("\n[[part]]\nstep = {}\nbrick = \"{brick}\"\nversion = \"^{version}\"\n", quoted(step));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_shown_without_markup() {
        for (written, shown) in [
            ("(whole service)", "whole service"),
            ("10 - Ongoing M\\&E", "10 - Ongoing M&E"),
            ("5 - Enrollment&#x20;", "5 - Enrollment"),
            ("4 - Package(s) Design", "4 - Package(s) Design"),
        ] {
            assert_eq!(step_text(written), shown);
        }
    }
}

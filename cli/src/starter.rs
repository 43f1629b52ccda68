//! What does a folder need to begin as a brick or a service? A manifest with comments, a readme, and the schema that lets
//! editors help.

use std::path::{Path, PathBuf};

use brick_schemas::FullName;
use brick_schemas::archive::MANIFEST_PATH;
use brick_schemas::predicate::release::BrickKind;

use crate::failure::Failure;
use crate::files::{self, Access};
use crate::place::SERVICE_PATH;

/// Where a manifest's JSON Schema is kept for editors; hidden, so no archive holds it.
const SCHEMA_DIR: &str = ".brick";

/// What a folder is to become.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    /// A brick of a kind.
    Brick(FullName, BrickKind),
    /// A service.
    Service(FullName),
}

impl Start {
    /// The manifest's file name.
    pub(crate) fn manifest_path(&self) -> &'static str {
        match self {
            Start::Brick(..) => MANIFEST_PATH,
            Start::Service(_) => SERVICE_PATH,
        }
    }
}

/// Puts the files of `start` into the folder `dir`, which is made. Files that are there already stay as they are.
///
/// Returns the files written, relative to `dir`.
///
/// # Errors
/// [`Failure`] when there is a manifest already, or something cannot be written.
pub(crate) fn begin(dir: &Path, start: &Start) -> Result<Vec<PathBuf>, Failure> {
    let manifest = dir.join(start.manifest_path());
    if manifest.exists() {
        return Err(Failure::yours(format!("there is a manifest already: `{}`", manifest.display()))
            .help("run `brick check` in that folder, or choose another"));
    }
    let (schema_name, schema) = schema(start)?;
    let (manifest_text, readme) = match start {
        Start::Brick(name, kind) => (brick_toml(name, *kind), Some(readme(name))),
        Start::Service(name) => (service_toml(name), None),
    };
    files::make_dir(&dir.join(SCHEMA_DIR), Access::Everybody)?;
    let mut written = Vec::new();
    let mut put = |path: PathBuf, bytes: &[u8]| -> Result<(), Failure> {
        if !dir.join(&path).exists() {
            files::write_new(&dir.join(&path), bytes, Access::Everybody)?;
            written.push(path);
        }
        Ok(())
    };
    put(Path::new(SCHEMA_DIR).join(schema_name), &schema)?;
    if let Some(readme) = readme {
        put("README.md".into(), readme.as_bytes())?;
    }
    // Last: the folder is a brick once its manifest is there.
    put(start.manifest_path().into(), manifest_text.as_bytes())?;
    Ok(written)
}

fn schema(start: &Start) -> Result<(&'static str, Vec<u8>), Failure> {
    let (file_name, format) = match start {
        Start::Brick(..) => ("brick.schema.json", "manifest"),
        Start::Service(_) => ("service.schema.json", "service-manifest"),
    };
    let schema = brick_schemas::json_schema::named(format)
        .ok_or_else(|| Failure::bug(format!("the JSON Schema of `{format}` is missing")))?;
    Ok((file_name, schema.to_text().into_bytes()))
}

/// The word of a kind, as in `brick.toml`.
pub(crate) fn kind_word(kind: BrickKind) -> &'static str {
    match kind {
        BrickKind::Component => "component",
        BrickKind::Process => "process",
        BrickKind::Interface => "interface",
        BrickKind::DataModel => "data-model",
        BrickKind::Decision => "decision",
        BrickKind::Form => "form",
        BrickKind::Content => "content",
        BrickKind::Playlist => "playlist",
    }
}

/// `case-handling` as `Case handling`.
fn title(name: &FullName) -> String {
    let words = name.brick.as_str().replace('-', " ");
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn brick_toml(name: &FullName, kind: BrickKind) -> String {
    include_str!("starter/brick.toml")
        .replace("{name}", name.to_string().as_str())
        .replace("{publisher}", name.publisher.as_str())
        .replace("{kind}", kind_word(kind))
        .replace("{title}", &title(name))
}

fn service_toml(name: &FullName) -> String {
    include_str!("starter/service.toml").replace("{id}", &name.to_string()).replace("{title}", &title(name))
}

fn readme(name: &FullName) -> String {
    format!(
        "# {}\n\nWhat it is for, who needs it, and what it does not do.\n\n## How to use it\n\n```sh\nbrick add {name}\n```\n",
        title(name)
    )
}

#[cfg(test)]
mod tests {
    use brick_schemas::manifest::Manifest;
    use brick_schemas::service::ServiceManifest;

    use super::*;

    #[test]
    fn every_template_is_a_good_manifest() {
        let name: FullName = "northshire.gov.uk/case-handling".parse().unwrap();
        for kind in [
            BrickKind::Component,
            BrickKind::Process,
            BrickKind::Interface,
            BrickKind::DataModel,
            BrickKind::Decision,
            BrickKind::Form,
            BrickKind::Content,
            BrickKind::Playlist,
        ] {
            let text = brick_toml(&name, kind);
            assert!(text.starts_with("#:schema .brick/brick.schema.json\n"));
            let manifest = Manifest::parse_as_author(&text).unwrap_or_else(|err| panic!("{err}\n{text}"));
            assert_eq!((manifest.brick.name, manifest.brick.kind), (name.clone(), kind));
        }
        let service = ServiceManifest::parse(&service_toml(&name)).unwrap_or_else(|err| panic!("{err}"));
        assert_eq!(service.service.id, name);
    }

    #[test]
    fn what_a_template_suggests_in_comments_is_right_too() {
        let name: FullName = "northshire.gov.uk/case-handling".parse().unwrap();
        // A suggestion begins with `#` and no space; prose with `# `.
        let uncomment = |text: &str| -> String {
            text.lines()
                .filter(|line| !line.starts_with("# ") && !line.starts_with("#:"))
                .map(|line| line.strip_prefix('#').unwrap_or(line).to_owned() + "\n")
                .collect()
        };
        let text = uncomment(&brick_toml(&name, BrickKind::Component));
        Manifest::parse_as_author(&text)
            .unwrap_or_else(|err| panic!("{}", err.render("brick.toml", &text, false)));
        let text = uncomment(&service_toml(&name));
        ServiceManifest::parse(&text)
            .unwrap_or_else(|err| panic!("{}", err.render("service.toml", &text, false)));
    }
}

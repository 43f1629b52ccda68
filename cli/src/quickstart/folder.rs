//! What is to be published from a folder? Bricks and services as they lie there, or a collection that can be imported.

use std::path::{Path, PathBuf};

use brick_schemas::{Manifest, PublisherName, ServiceManifest};

use super::Material;
use crate::failure::Failure;
use crate::files;
use crate::import::{ImportError, Options, import};

/// Folders looked into below the one given, at most.
const MAX_FOLDERS: usize = 100_000;
/// Bytes of a manifest, at most.
const MAX_MANIFEST_BYTES: u64 = 256 * 1024;
/// The made-up body that the services of an imported collection belong to.
const BODY: &str = "council.example";

/// Reads what a folder holds; what has to be made (imported manifests, copies to lock and vendor in) is made below `work`.
///
/// # Errors
/// [`Failure`] names the file that cannot be read or is no manifest.
pub fn read(from: &Path, work: &Path) -> Result<Material, Failure> {
    let publisher = collection_name(from)?;
    let body = PublisherName::parse(BODY).expect("the body's name is a name");
    match import(from, &Options { publisher, body }, work) {
        Ok(report) => {
            let mut material = Material { bricks: Vec::new(), services: Vec::new(), remarks: Vec::new() };
            for brick in &report.bricks {
                material.bricks.push((brick_publisher(brick)?, brick.clone()));
            }
            for service in &report.services {
                material.services.push((service_body(service)?, service.clone()));
            }
            material.remarks =
                report.notes.iter().map(|note| format!("{}: {}", note.path, note.why)).collect();
            Ok(material)
        }
        Err(ImportError::Unknown { .. }) => read_plain(from, work),
        Err(err) => Err(Failure::yours(format!("cannot import {}", from.display())).because(&err)),
    }
}

/// The publisher under whose made-up name a collection is published: its folder's name under `.example`.
fn collection_name(from: &Path) -> Result<PublisherName, Failure> {
    let base = from.canonicalize().unwrap_or_else(|_| from.to_owned());
    let folder: String = base
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("folder")
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let folder = folder.trim_matches('-');
    let folder = if folder.is_empty() { "folder" } else { folder };
    PublisherName::parse(&format!("{folder}.example")).map_err(|err| {
        Failure::yours(format!("no publisher can be named after {}", from.display())).because(&err)
    })
}

fn read_plain(from: &Path, work: &Path) -> Result<Material, Failure> {
    let mut material = Material { bricks: Vec::new(), services: Vec::new(), remarks: Vec::new() };
    let mut folders = vec![from.to_owned()];
    let mut seen = 0;
    let mut bricks: Vec<(Manifest, PathBuf)> = Vec::new();
    while let Some(folder) = folders.pop() {
        seen += 1;
        if seen > MAX_FOLDERS {
            return Err(Failure::yours(format!("{} holds more than {MAX_FOLDERS} folders", from.display())));
        }
        let brick = folder.join("brick.toml");
        if brick.is_file() {
            bricks.push((read_manifest(&brick)?, folder));
            continue;
        }
        if folder.join("service.toml").is_file() {
            // Locking and vendoring write beside the manifest: that is done in a copy.
            let copy = work.join(format!("service-{}", material.services.len()));
            files::make_dir(&copy, files::Access::Everybody)?;
            let text = files::read(&folder.join("service.toml"), MAX_MANIFEST_BYTES)?;
            files::write(&copy.join("service.toml"), &text, files::Access::Everybody)?;
            material.services.push((service_body(&copy)?, copy));
            continue;
        }
        let unreadable =
            |err: &std::io::Error| Failure::yours(format!("cannot read {}", folder.display())).because(err);
        let mut below = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(|err| unreadable(&err))? {
            let entry = entry.map_err(|err| unreadable(&err))?;
            if entry.file_type().map_err(|err| unreadable(&err))?.is_dir() {
                below.push(entry.path());
            }
        }
        below.sort();
        folders.extend(below.into_iter().rev());
    }
    if bricks.is_empty() {
        return Err(Failure::yours(format!("there is no brick.toml in or below {}", from.display()))
            .help("run `brick new NAME` to make one, or leave `--from` out for the shipped examples"));
    }
    // Older versions first, so that logs read like histories; requirements are names, so order among bricks is free.
    bricks
        .sort_by(|(a, _), (b, _)| (&a.brick.name, &a.brick.version).cmp(&(&b.brick.name, &b.brick.version)));
    material.bricks =
        bricks.into_iter().map(|(manifest, folder)| (manifest.brick.name.publisher, folder)).collect();
    Ok(material)
}

fn read_manifest(path: &Path) -> Result<Manifest, Failure> {
    let bytes = files::read(path, MAX_MANIFEST_BYTES)?;
    Manifest::from_bytes(&bytes)
        .map_err(|err| Failure::yours(format!("{} is not a manifest", path.display())).because(&*err))
}

fn brick_publisher(folder: &Path) -> Result<PublisherName, Failure> {
    Ok(read_manifest(&folder.join("brick.toml"))?.brick.name.publisher)
}

fn service_body(folder: &Path) -> Result<PublisherName, Failure> {
    let path = folder.join("service.toml");
    let bytes = files::read(&path, MAX_MANIFEST_BYTES)?;
    let service = ServiceManifest::from_bytes(&bytes)
        .map_err(|err| Failure::yours(format!("{} is not a service", path.display())).because(&*err))?;
    Ok(service.service.id.publisher)
}

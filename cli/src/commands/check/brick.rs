//! What could be wrong with a brick: its manifest, the files that it names, their formats, and what cannot be packed.

use std::path::Path;

use brick_schemas::manifest::{FileRole, MAX_MANIFEST_BYTES, Manifest};
use brick_schemas::predicate::release::{BrickKind, Maturity};

use super::{Findings, Severity, not_live};
use crate::commands::package::pack;
use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::formats;
use crate::package::{self, Chosen};
use crate::place::Place;
use crate::session::Session;
use crate::session::lookup::Look;

/// Bytes of one file that are looked at: what an archive may hold unpacked.
const MAX_FILE_BYTES: u64 = 128 * 1_024 * 1_024;

/// Checks the brick whose manifest is `path`.
///
/// Returns the manifest, where it could be read.
///
/// # Errors
/// [`Failure`] only when something cannot be read at all.
pub(super) fn check(
    ctx: &Context,
    path: &Path,
    findings: &mut Findings,
) -> Result<Option<Manifest>, Failure> {
    let text = files::read_text(path, MAX_MANIFEST_BYTES as u64 + 1)?;
    let manifest = match Manifest::parse_as_author(&text) {
        Ok(manifest) => manifest,
        Err(err) => {
            findings.manifest(ctx, path, &text, &err);
            return Ok(None);
        }
    };
    let place = Place::Brick(path.to_owned());
    let dir = place.dir();
    match package::choose(dir, &manifest.brick.include, &manifest.brick.exclude) {
        Ok(chosen) => {
            check_named_files(&manifest, &chosen, findings);
            check_formats(dir, &manifest, &chosen, findings)?;
            if findings.count(Severity::Error) == 0 {
                // Everything else that packing refuses: secrets, bounds, names that collide.
                pack(ctx, &place).map_or_else(|failure| findings.absorb(ctx, path, &failure), drop);
            }
        }
        Err(_) => pack(ctx, &place).map_or_else(|failure| findings.absorb(ctx, path, &failure), drop),
    }
    advise(ctx, path, &manifest, findings);
    Ok(Some(manifest))
}

fn holds(chosen: &[Chosen], path: &str) -> bool {
    match path.strip_suffix('/') {
        Some(_) => chosen.iter().any(|file| file.path.as_str().starts_with(path)),
        None => chosen.iter().any(|file| file.path.as_str() == path),
    }
}

/// Every file that the manifest names is among the brick's files.
fn check_named_files(manifest: &Manifest, chosen: &[Chosen], findings: &mut Findings) {
    let mut named: Vec<(String, &str)> = Vec::new();
    let brick = &manifest.brick;
    named.extend(brick.readme.iter().map(|path| ("brick.readme".into(), path.as_str())));
    named.extend(manifest.file.iter().map(|file| ("file.path".into(), file.path.as_str())));
    named.extend(manifest.provides.iter().filter_map(|(name, provided)| {
        Some((format!("provides.\"{name}\""), provided.path.as_ref()?.as_str()))
    }));
    named.extend(manifest.config.iter().map(|config| ("config.schema".into(), config.schema.as_str())));
    let dpia = manifest.data.as_ref().and_then(|data| data.dpia.as_ref());
    named.extend(dpia.map(|path| ("data.dpia".into(), path.as_str())));
    let evidence = manifest.accessibility.as_ref().and_then(|a| a.evidence.as_ref());
    named.extend(evidence.map(|path| ("accessibility.evidence".into(), path.as_str())));
    named.extend(manifest.conformance.iter().map(|c| ("conformance.suite".into(), c.suite.as_str())));
    let how = manifest.contribute.as_ref().and_then(|contribute| contribute.how.as_ref());
    named.extend(how.map(|path| ("contribute.how".into(), path.as_str())));
    for (key, path) in named {
        if holds(chosen, path) {
            continue;
        }
        let nearest = brick_schemas::near(path, chosen.iter().map(|file| file.path.as_str()));
        let next = match nearest.first() {
            Some(near) => format!("did you mean `{near}`?"),
            None => "add it, or look with `brick package --list` why it is left out".into(),
        };
        findings.error(
            "brick.toml",
            format!("`{key}` names `{path}`, which is not among the brick's files"),
            next,
        );
    }
}

/// Files are what their name or their declared role says.
fn check_formats(
    dir: &Path,
    manifest: &Manifest,
    chosen: &[Chosen],
    findings: &mut Findings,
) -> Result<(), Failure> {
    for file in chosen {
        let path = file.path.as_str();
        let entry = manifest.file.iter().find(|entry| entry.path.as_str() == path);
        let is_config = manifest.config.as_ref().is_some_and(|config| config.schema.as_str() == path);
        let is_provided =
            manifest.provides.values().any(|p| p.path.as_ref().is_some_and(|p| p.as_str() == path));
        let role = match entry {
            Some(entry) => Some(entry.role),
            None if is_config => Some(FileRole::Schema),
            None if is_provided => Some(FileRole::Interface),
            None => formats::role_by_name(path),
        };
        if !dir.join(path).is_file() {
            continue; // packing names it
        }
        let bytes = files::read(&dir.join(path), MAX_FILE_BYTES)?;
        let format = entry.and_then(|entry| entry.format.as_deref());
        let Err(err) = formats::check(path, role, format, &bytes) else { continue };
        // Somebody relies on what is declared; of the rest only the name was a promise.
        let is_declared = entry.is_some() || is_config || is_provided;
        let (severity, next) = if is_declared {
            (Severity::Error, "correct the file, or declare it with `role = \"docs\"`")
        } else {
            (Severity::Warning, "correct the file, or declare under `[[file]]` what it is")
        };
        findings.add(severity, path, err.line, err.what, Some(next.into()));
    }
    Ok(())
}

/// A live brick requires live ones, as far as what is kept of the index tells; publishing looks at the index of the day.
pub(super) fn check_live(ctx: &Context, path: &Path, manifest: &Manifest, findings: &mut Findings) {
    if manifest.brick.maturity != Maturity::Live || manifest.requires.is_empty() {
        return;
    }
    let Ok(mut session) = Session::open(ctx, None) else { return };
    for one in &manifest.requires {
        // One by one: what is not kept of one brick says nothing of the others.
        let alone = Manifest { requires: vec![one.clone()], ..manifest.clone() };
        for found in not_live(&mut session, &alone, Look::Here).unwrap_or_default() {
            findings.error(
                &ctx.shown(path),
                format!("a live brick may only require live ones: {}", found.what),
                format!("require a live release of {}, or lower `maturity`", found.name),
            );
        }
    }
}

/// What is allowed and yet probably not meant.
fn advise(ctx: &Context, path: &Path, manifest: &Manifest, findings: &mut Findings) {
    let file = ctx.shown(path);
    let brick = &manifest.brick;
    for name in manifest.unreachable_requirements() {
        findings.warning(
            &file,
            format!("`{name}` is optional and no feature turns it on"),
            format!("name it in a feature: `\"dep:{name}\"`"),
        );
    }
    if brick.readme.is_none() {
        findings.warning(
            &file,
            "there is no `readme`",
            "people decide by it: add `readme = \"README.md\"` to `[brick]`",
        );
    }
    if brick.kind == BrickKind::Playlist && manifest.requires.is_empty() {
        findings.warning(
            &file,
            "a playlist without `[requires]` holds nothing",
            "add bricks with `brick add NAME`",
        );
    }
    if manifest.text.values().any(|text| text.summary.starts_with("Say in one sentence")) {
        findings.warning(
            &file,
            "the summary is still the template's",
            "say in one sentence what it does for whom",
        );
    }
    if brick.name.publisher.as_str().ends_with(".example")
        && brick.name.publisher.as_str().starts_with("your-")
    {
        findings.warning(
            &file,
            "the publisher is still the template's",
            "write your organisation's domain in `name`",
        );
    }
}

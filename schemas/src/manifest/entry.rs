//! Does the signed entry say what the manifest in the archive says? The fields of a release, computed from its manifest.

use super::Manifest;
use crate::digest::{Blob, Contents};
use crate::predicate::Place;
use crate::predicate::release::{Citation, Release, Source};

/// A field in which the entry and the manifest inside the archive differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the entry's {field} is {entry}, the manifest in the archive says {manifest}")]
pub struct Mismatch {
    /// The field, by its name in the entry.
    pub field: &'static str,
    /// What the entry says, as JSON, cut to the surroundings of the first difference.
    pub entry: String,
    /// What the manifest says, likewise.
    pub manifest: String,
}

impl Manifest {
    /// The release entry that this manifest stands for.
    ///
    /// - `archive`, `contents`: of the packed archive that holds this manifest.
    /// - `contributions`: accepted proposals that went into it; at most
    ///   [`MAX_CONTRIBUTIONS`](crate::predicate::release::MAX_CONTRIBUTIONS).
    pub fn release(
        &self,
        place: Place,
        archive: Blob,
        contents: Contents,
        contributions: Vec<Citation>,
        source: Option<Source>,
    ) -> Release {
        Release {
            place,
            name: self.brick.name.clone(),
            version: self.brick.version.clone(),
            kind: self.brick.kind,
            maturity: self.brick.maturity,
            license: self.brick.license.spec.to_string(),
            archive,
            contents,
            requires: self.requires.clone(),
            features: self.features.clone(),
            provides: self.provides.iter().map(|(name, p)| (name.clone(), p.version.clone())).collect(),
            needs: self.needs.clone(),
            forked_from: self.forked_from.clone(),
            contributions,
            source,
        }
    }

    /// Compares every field of `release` that its manifest decides with what this manifest says.
    ///
    /// The others (`log`, `basis`, `archive`, `contents`, `contributions`, `source`) are compared with the log and the
    /// archive by whoever has those.
    ///
    /// # Errors
    /// [`Mismatch`] with the first field that differs.
    pub fn matches(&self, release: &Release) -> Result<(), Mismatch> {
        // Listed without `..`: a new field of the entry must be given its place here.
        let Release {
            place,
            name,
            version,
            kind,
            maturity,
            license,
            archive,
            contents,
            requires,
            features,
            provides,
            needs,
            forked_from,
            contributions,
            source,
        } = release;
        let ours = self.release(place.clone(), *archive, *contents, contributions.clone(), source.clone());
        same("name", name, &ours.name)?;
        same("version", version, &ours.version)?;
        same("kind", kind, &ours.kind)?;
        same("maturity", maturity, &ours.maturity)?;
        same("license", license, &ours.license)?;
        same("requires", requires, &ours.requires)?;
        same("features", features, &ours.features)?;
        same("provides", provides, &ours.provides)?;
        same("needs", needs, &ours.needs)?;
        same("forked_from", forked_from, &ours.forked_from)
    }
}

/// Characters before the first difference that a [`Mismatch`] shows, so that one sees where one is.
const LEAD_CHARS: usize = 40;

/// Compares one field of an entry with what the file says.
pub(crate) fn same<T: PartialEq + serde::Serialize>(
    field: &'static str,
    entry: &T,
    manifest: &T,
) -> Result<(), Mismatch> {
    if entry == manifest {
        return Ok(());
    }
    let text = |value: &T| serde_json::to_string(value).unwrap_or_default();
    let (entry, manifest) = (text(entry), text(manifest));
    let same_chars = entry.chars().zip(manifest.chars()).take_while(|(a, b)| a == b).count();
    let shown = |text: &str| match same_chars.saturating_sub(LEAD_CHARS) {
        0 => crate::text::escape(text),
        skipped => format!("…{}", crate::text::escape(&text.chars().skip(skipped).collect::<String>())),
    };
    Err(Mismatch { field, entry: shown(&entry), manifest: shown(&manifest) })
}

//! What does the index say about one release? One JSON line, with cargo's names where cargo has them (design §9).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Contents, Digest};
use crate::feature::FeatureItem;
use crate::name::{FeatureName, FullName};
use crate::predicate::release::{BrickKind, Dependency, ForkedFrom, Maturity, Release};
use crate::predicate::status::{ReleaseStatus, UseInstead};
use crate::version::{Requirement, Version};

/// The line format that this version writes and resolves from.
pub const INDEX_LINE_VERSION: u32 = 1;
/// Releases of one brick, at most.
pub const MAX_RELEASES: usize = 4_096;
/// Bytes of one line, at most: an entry's bound.
pub const MAX_LINE_BYTES: usize = 65_535;

/// One release in the index. A pure function of its entry, the statuses after it and its logged time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct IndexLine {
    /// Line format; lines of an unknown one are skipped by resolvers.
    pub v: u32,
    /// The brick.
    pub name: FullName,
    /// The version.
    pub vers: Version,
    /// What sort of thing it is.
    pub kind: BrickKind,
    /// How far it is.
    pub maturity: Maturity,
    /// SPDX expression of the specification.
    pub license: String,
    /// Required bricks, sorted by name.
    pub deps: Vec<Dependency>,
    /// Features and what each turns on.
    pub features: BTreeMap<FeatureName, Vec<FeatureItem>>,
    /// The archive's SHA-256.
    pub cksum: Digest,
    /// Go's dirhash of the archive's files.
    pub contents: Contents,
    /// The archive's size in bytes.
    pub size: u64,
    /// Interfaces it provides.
    pub provides: BTreeMap<FullName, Version>,
    /// Interfaces that any provider may meet.
    pub needs: BTreeMap<FullName, Requirement>,
    /// What may be done with it.
    pub status: ReleaseStatus,
    /// What to use in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_instead: Option<UseInstead>,
    /// The release entry's leaf index in the publisher's log.
    pub entry: u64,
    /// Logged time: that of the first snapshot after the entry, in Unix seconds.
    pub time: u64,
    /// The release it began as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
}

impl IndexLine {
    /// The line of a release that was logged as leaf `entry` at `time` (Unix seconds), before any status entry.
    pub fn of(release: &Release, entry: u64, time: u64) -> Self {
        Self {
            v: INDEX_LINE_VERSION,
            name: release.name.clone(),
            vers: release.version.clone(),
            kind: release.kind,
            maturity: release.maturity,
            license: release.license.clone(),
            deps: release.requires.clone(),
            features: release.features.clone(),
            cksum: release.archive.sha256,
            contents: release.contents,
            size: release.archive.bytes,
            provides: release.provides.clone(),
            needs: release.needs.clone(),
            status: ReleaseStatus::Active,
            use_instead: None,
            entry,
            time,
            forked_from: release.forked_from.clone(),
        }
    }

    /// The line with its newline.
    pub fn to_line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("the type has only string keys");
        line.push('\n');
        line
    }
}

/// Why a file is not an index file.
#[derive(Debug, thiserror::Error)]
pub enum IndexFileError {
    /// A line that is not JSON or lacks a field.
    #[error("line {line} of the index file")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The parser's words.
        #[source]
        err: crate::json::JsonError,
    },
    /// More lines or bytes than allowed, or no newline at the end.
    #[error("the index file {rule}")]
    Shape {
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// Parses an index file, skipping lines of an unknown `v`.
///
/// # Errors
/// [`IndexFileError`] with the line.
pub fn parse_index_file(bytes: &[u8]) -> Result<Vec<IndexLine>, IndexFileError> {
    #[derive(Deserialize)]
    struct LineVersion {
        v: u32,
    }
    let mut lines = Vec::new();
    if bytes.is_empty() {
        return Ok(lines);
    }
    let Some(body) = bytes.strip_suffix(b"\n") else {
        return Err(IndexFileError::Shape { rule: "does not end in a newline" });
    };
    for (at, line) in body.split(|b| *b == b'\n').enumerate() {
        if at >= MAX_RELEASES {
            return Err(IndexFileError::Shape { rule: "has more than 4,096 lines" });
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(IndexFileError::Shape { rule: "has a line of more than 65,535 bytes" });
        }
        let err = |err| IndexFileError::Line { line: at + 1, err };
        crate::json::demand_unique(line).map_err(err)?;
        let version: LineVersion = serde_json::from_slice(line).map_err(|e| err(e.into()))?;
        if version.v == INDEX_LINE_VERSION {
            lines.push(serde_json::from_slice(line).map_err(|e| err(e.into()))?);
        }
    }
    Ok(lines)
}

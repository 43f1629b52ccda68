//! What do a publisher's entries add up to? Index lines, index files, buckets and services: a pure function of the log.

use std::collections::{BTreeMap, BTreeSet};

use brick_schemas::index_line::{IndexFileError, IndexLine, MAX_RELEASES, parse_index_file};
use brick_schemas::predicate::{Predicate, Statement};
use brick_schemas::{Blob, BrickName, Digest, FullName, Version};
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::{Bucket, BucketError, bucket_of};

/// What an entry changes beside the log: nothing else need be loaded to fold it.
pub fn touched(statement: &Statement) -> Option<&BrickName> {
    match &statement.predicate {
        Predicate::Release(release) => Some(&release.name.brick),
        Predicate::Status(status) => Some(&status.name.brick),
        _ => None,
    }
}

/// Why an entry, well signed and in its place, cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A version is for ever.
    #[error("{name} {version} is already released, as leaf {entry}")]
    VersionExists {
        /// The brick.
        name: FullName,
        /// The version.
        version: Version,
        /// Where it stands.
        entry: u64,
    },
    /// A status of something that is not there.
    #[error("{name} has no release {version}")]
    NoSuchRelease {
        /// The brick.
        name: FullName,
        /// The version.
        version: Version,
    },
    /// Over the bound.
    #[error("{name} has {MAX_RELEASES} releases, which is as many as a brick can have")]
    TooManyReleases {
        /// The brick.
        name: FullName,
    },
}

/// The state of the bricks that a batch touches, before it.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Index files of the touched bricks; absent: no such brick yet.
    pub files: BTreeMap<BrickName, Vec<u8>>,
    /// The buckets of the touched bricks, whole.
    pub buckets: BTreeMap<u16, Bucket>,
}

/// A fold under way, through any number of snapshots.
#[derive(Debug)]
pub struct Fold {
    bricks: BTreeMap<BrickName, Vec<IndexLine>>,
    buckets: BTreeMap<u16, Bucket>,
    changed: BTreeMap<BrickName, BTreeSet<Version>>,
    fresh: BTreeSet<(BrickName, Version)>,
    services: BTreeMap<BrickName, (u64, String)>,
    blobs: Vec<(Blob, u64)>,
}

/// What changed from one snapshot to the next.
#[derive(Debug)]
pub struct Folded {
    /// New or changed lines: brick, version, release entry, the line with its newline.
    pub lines: Vec<(BrickName, Version, u64, String)>,
    /// Index files of the touched bricks as they are now.
    pub files: BTreeMap<BrickName, Vec<u8>>,
    /// The buckets of those files, whole, as they are now.
    pub buckets: BTreeMap<u16, Bucket>,
    /// Services as they are now: name, entry, the predicate as JSON.
    pub services: BTreeMap<BrickName, (u64, String)>,
    /// Blobs that the entries name, with the entry's index.
    pub blobs: Vec<(Blob, u64)>,
}

/// Why a fold could not begin or reach a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// What was kept of a brick's index cannot be read back.
    #[error("the kept index file of {brick}")]
    Kept {
        /// The brick.
        brick: BrickName,
        /// What is wrong.
        #[source]
        err: IndexFileError,
    },
    /// A bucket cannot take the brick.
    #[error("the bucket of {brick}")]
    Bucket {
        /// The brick.
        brick: BrickName,
        /// What is wrong.
        #[source]
        err: BucketError,
    },
}

impl Fold {
    /// Begins over the state that a batch will touch.
    ///
    /// # Errors
    /// [`FoldError::Kept`] when a kept index file is damaged.
    pub fn begin(loaded: Loaded) -> Result<Self, FoldError> {
        let mut bricks = BTreeMap::new();
        for (brick, file) in loaded.files {
            let lines =
                parse_index_file(&file).map_err(|err| FoldError::Kept { brick: brick.clone(), err })?;
            bricks.insert(brick, lines);
        }
        Ok(Self {
            bricks,
            buckets: loaded.buckets,
            changed: BTreeMap::new(),
            fresh: BTreeSet::new(),
            services: BTreeMap::new(),
            blobs: Vec::new(),
        })
    }

    /// Folds the entry that stands at leaf `index`, or changes nothing.
    ///
    /// # Errors
    /// [`Conflict`]: such an entry counts in no log.
    pub fn apply(&mut self, index: u64, statement: &Statement) -> Result<(), Conflict> {
        match &statement.predicate {
            Predicate::Release(release) => {
                let lines = self.bricks.entry(release.name.brick.clone()).or_default();
                if let Some(line) = lines.iter().find(|line| line.vers == release.version) {
                    return Err(Conflict::VersionExists {
                        name: release.name.clone(),
                        version: release.version.clone(),
                        entry: line.entry,
                    });
                }
                if lines.len() >= MAX_RELEASES {
                    return Err(Conflict::TooManyReleases { name: release.name.clone() });
                }
                // The time is that of the snapshot to come: `snapshot` fills it in.
                lines.push(IndexLine::of(release, index, 0));
                self.fresh.insert((release.name.brick.clone(), release.version.clone()));
                self.changed.entry(release.name.brick.clone()).or_default().insert(release.version.clone());
            }
            Predicate::Status(status) => {
                let lines = self.bricks.entry(status.name.brick.clone()).or_default();
                for version in &status.versions {
                    if !lines.iter().any(|line| line.vers == *version) {
                        return Err(Conflict::NoSuchRelease {
                            name: status.name.clone(),
                            version: version.clone(),
                        });
                    }
                }
                for line in lines.iter_mut().filter(|line| status.versions.contains(&line.vers)) {
                    line.status = status.status;
                    line.use_instead = status.use_instead.clone();
                    self.changed.entry(status.name.brick.clone()).or_default().insert(line.vers.clone());
                }
            }
            Predicate::Service(service) => {
                let json = serde_json::to_string_pretty(service).expect("the type has only string keys");
                self.services.insert(service.id.brick.clone(), (index, json + "\n"));
            }
            _ => {}
        }
        self.blobs.extend(statement.predicate.blobs().into_iter().map(|blob| (blob, index)));
        Ok(())
    }

    /// What changed since the snapshot before (or the beginning); the fold goes on after it.
    ///
    /// - `time`: the snapshot's, Unix seconds: the logged time of the releases since the one before.
    ///
    /// # Errors
    /// [`FoldError::Bucket`].
    pub fn snapshot(&mut self, time: u64) -> Result<Folded, FoldError> {
        let mut folded = Folded {
            lines: Vec::new(),
            files: BTreeMap::new(),
            buckets: BTreeMap::new(),
            services: std::mem::take(&mut self.services),
            blobs: std::mem::take(&mut self.blobs),
        };
        let fresh = std::mem::take(&mut self.fresh);
        for (brick, versions) in std::mem::take(&mut self.changed) {
            let lines = self.bricks.get_mut(&brick).expect("what changed is loaded");
            let mut file = Vec::new();
            for line in lines {
                if fresh.contains(&(brick.clone(), line.vers.clone())) {
                    line.time = time;
                }
                let text = line.to_line();
                file.extend_from_slice(text.as_bytes());
                if versions.contains(&line.vers) {
                    folded.lines.push((brick.clone(), line.vers.clone(), line.entry, text));
                }
            }
            let number = bucket_of(brick.as_str());
            let bucket = self.buckets.entry(number).or_default();
            bucket
                .insert(brick.as_str(), Hash::from(*Digest::of(&file).as_bytes()))
                .map_err(|err| FoldError::Bucket { brick: brick.clone(), err })?;
            folded.buckets.insert(number, bucket.clone());
            folded.files.insert(brick, file);
        }
        Ok(folded)
    }
}

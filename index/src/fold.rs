//! What do a publisher's entries add up to? Index lines, index files, buckets and services: a pure function of the log.

use std::collections::{BTreeMap, BTreeSet};

use brick_schemas::index_line::{IndexFileError, IndexLine, MAX_RELEASES, parse_index_file};
use brick_schemas::predicate::{Predicate, Statement};
use brick_schemas::{Blob, BrickName, Digest, FullName, Version};
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::{Bucket, BucketError, bucket_of};
use sha2::{Digest as _, Sha256};

/// The brick whose index file an entry changes: nothing else need be loaded to fold it.
pub fn touched(statement: &Statement) -> Option<&BrickName> {
    match &statement.predicate {
        Predicate::Release(release) => Some(&release.name.brick),
        Predicate::Status(status) => Some(&status.name.brick),
        _ => None,
    }
}

/// Whether an entry changes lines that are there: the file must be whole to fold it.
pub fn needs_lines(statement: &Statement) -> bool {
    matches!(statement.predicate, Predicate::Status(_))
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

/// A brick's index file as a fold keeps it: its releases, and the hash of their text as far as snapshots reach, so that a new
/// release costs no look at the ones before it. Only a status needs the lines themselves.
#[derive(Clone, Debug, Default)]
pub struct IndexFile {
    /// Version and entry of each release whose line is not held; `lines` come after them.
    before: Vec<(Version, u64)>,
    lines: Vec<IndexLine>,
    /// Of the text of all lines but those since the last snapshot.
    hash: Sha256,
    /// Length of that text.
    bytes: u64,
}

impl IndexFile {
    /// The file with that text, 0 to [`MAX_RELEASES`] lines.
    ///
    /// # Errors
    /// [`IndexFileError`] with the line.
    pub fn parse(text: &[u8]) -> Result<Self, IndexFileError> {
        let lines = parse_index_file(text)?;
        Ok(Self { before: Vec::new(), lines, hash: Sha256::new_with_prefix(text), bytes: text.len() as u64 })
    }

    /// How many releases it lists, 0 to [`MAX_RELEASES`].
    pub fn releases(&self) -> usize {
        self.before.len() + self.lines.len()
    }

    /// Whether all of its lines are held: no status may be folded into one of which some are not.
    pub fn is_whole(&self) -> bool {
        self.before.is_empty()
    }

    /// Lets go of its lines, as of a snapshot: what new releases need is kept.
    pub fn let_lines_go(&mut self) {
        self.before.extend(self.lines.drain(..).map(|line| (line.vers, line.entry)));
        self.lines.shrink_to_fit();
    }

    /// The entry of a version, if there is such a release.
    fn entry_of(&self, version: &Version) -> Option<u64> {
        let before = self.before.iter().find(|(known, _)| known == version).map(|(_, entry)| *entry);
        before.or_else(|| self.lines.iter().find(|line| line.vers == *version).map(|line| line.entry))
    }

    /// Digest and length of its text, as of the last snapshot.
    pub fn blob(&self) -> Blob {
        let sha256 = Digest::from(<[u8; 32]>::from(self.hash.clone().finalize()));
        Blob { sha256, bytes: self.bytes }
    }

    /// Its text as far as its lines are held: of a whole file, all of it.
    pub fn text(&self) -> String {
        self.lines.iter().map(IndexLine::to_line).collect()
    }

    fn add_text(&mut self, line: &str) {
        self.hash.update(line);
        self.bytes += line.len() as u64;
    }

    /// Dates the releases since the last snapshot, and takes what `changed` says of others into the text.
    ///
    /// - `fresh`: versions released since the last snapshot; their lines are the last ones.
    ///
    /// Returns the changed lines with their text.
    fn settle(
        &mut self,
        time: u64,
        fresh: &BTreeSet<Version>,
        changed: &BTreeSet<Version>,
    ) -> Vec<(Version, u64, String)> {
        let first_fresh = self.lines.len() - fresh.len();
        for line in &mut self.lines[first_fresh..] {
            line.time = time;
        }
        let first = match changed.is_subset(fresh) {
            true => first_fresh,
            // A line in the middle is another one now.
            false => {
                assert!(self.is_whole(), "a status is folded into a whole file");
                self.hash.reset();
                self.bytes = 0;
                0
            }
        };
        let mut settled = Vec::new();
        for at in first..self.lines.len() {
            let text = self.lines[at].to_line();
            self.add_text(&text);
            let line = &self.lines[at];
            if changed.contains(&line.vers) {
                settled.push((line.vers.clone(), line.entry, text));
            }
        }
        settled
    }
}

/// The state of the bricks that a batch touches, before it.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Index files of the touched bricks; absent: no such brick yet. Whole where a status is among the entries.
    pub files: BTreeMap<BrickName, IndexFile>,
    /// The buckets of the touched bricks, whole.
    pub buckets: BTreeMap<u16, Bucket>,
}

/// A fold under way, through any number of snapshots.
#[derive(Debug)]
pub struct Fold {
    loaded: Loaded,
    changed: BTreeMap<BrickName, BTreeSet<Version>>,
    fresh: BTreeMap<BrickName, BTreeSet<Version>>,
    services: BTreeMap<BrickName, (u64, String)>,
    blobs: Vec<(Blob, u64)>,
}

/// What changed from one snapshot to the next.
#[derive(Debug, Default)]
pub struct Folded {
    /// New or changed lines: brick, version, release entry, the line with its newline.
    pub lines: Vec<(BrickName, Version, u64, String)>,
    /// Index files of the touched bricks as they are now: digest and length.
    pub files: BTreeMap<BrickName, Blob>,
    /// The buckets of those files, whole, as they are now.
    pub buckets: BTreeMap<u16, Bucket>,
    /// Services as they are now: name, entry, the predicate as JSON.
    pub services: BTreeMap<BrickName, (u64, String)>,
    /// Blobs that the entries name, with the entry's index.
    pub blobs: Vec<(Blob, u64)>,
}

/// Why a fold could not reach a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
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
    pub fn begin(loaded: Loaded) -> Self {
        Self {
            loaded,
            changed: BTreeMap::new(),
            fresh: BTreeMap::new(),
            services: BTreeMap::new(),
            blobs: Vec::new(),
        }
    }

    /// A brick's index file, if there is such a brick.
    pub fn file(&self, brick: &BrickName) -> Option<&IndexFile> {
        self.loaded.files.get(brick)
    }

    /// The state after the last snapshot, to begin another fold over; what was folded after it is lost.
    pub fn into_loaded(self) -> Loaded {
        self.loaded
    }

    /// Folds the entry that stands at leaf `index`, or changes nothing.
    ///
    /// # Errors
    /// [`Conflict`]: such an entry counts in no log.
    pub fn apply(&mut self, index: u64, statement: &Statement) -> Result<(), Conflict> {
        match &statement.predicate {
            Predicate::Release(release) => {
                let file = self.loaded.files.entry(release.name.brick.clone()).or_default();
                if let Some(entry) = file.entry_of(&release.version) {
                    return Err(Conflict::VersionExists {
                        name: release.name.clone(),
                        version: release.version.clone(),
                        entry,
                    });
                }
                if file.releases() >= MAX_RELEASES {
                    return Err(Conflict::TooManyReleases { name: release.name.clone() });
                }
                // The time is that of the snapshot to come: `snapshot` fills it in.
                file.lines.push(IndexLine::of(release, index, 0));
                self.fresh.entry(release.name.brick.clone()).or_default().insert(release.version.clone());
                self.changed.entry(release.name.brick.clone()).or_default().insert(release.version.clone());
            }
            Predicate::Status(status) => {
                let file = self.loaded.files.get_mut(&status.name.brick);
                for version in &status.versions {
                    if file.as_ref().is_none_or(|file| file.entry_of(version).is_none()) {
                        return Err(Conflict::NoSuchRelease {
                            name: status.name.clone(),
                            version: version.clone(),
                        });
                    }
                }
                let lines = match file {
                    Some(file) => {
                        assert!(file.is_whole(), "a status is folded into a whole file");
                        &mut file.lines[..]
                    }
                    None => &mut [],
                };
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
        let mut fresh = std::mem::take(&mut self.fresh);
        for (brick, changed) in std::mem::take(&mut self.changed) {
            let file = self.loaded.files.get_mut(&brick).expect("what changed is loaded");
            let settled = file.settle(time, &fresh.remove(&brick).unwrap_or_default(), &changed);
            let lines =
                settled.into_iter().map(|(version, entry, text)| (brick.clone(), version, entry, text));
            folded.lines.extend(lines);
            let blob = file.blob();
            let number = bucket_of(brick.as_str());
            let bucket = self.loaded.buckets.entry(number).or_default();
            bucket
                .insert(brick.as_str(), Hash::from(*blob.sha256.as_bytes()))
                .map_err(|err| FoldError::Bucket { brick: brick.clone(), err })?;
            folded.buckets.insert(number, bucket.clone());
            folded.files.insert(brick, blob);
        }
        Ok(folded)
    }
}

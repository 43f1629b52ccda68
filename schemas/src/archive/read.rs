//! An archive to files: nothing but exactly the format.

use std::ops::Range;

use super::gzip::{GzipError, inflate};
use super::header::{BLOCK, END_BLOCKS, FIELDS, canonical, padding};
use super::limits::{LimitError, Limits};
use super::path::{ArchivePath, PathError, PathRule, broken_structure, escaped};
use super::tree::{Tree, TreeError};
use super::{Archive, MANIFEST_PATH, folder};
use crate::digest::{Contents, Digest};
use crate::name::BrickName;
use crate::version::Version;

/// Why bytes are not an archive. Each has a [`name`](ArchiveError::name) that stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The frame around the files.
    #[error("the archive is not one plain gzip member")]
    Gzip(#[source] GzipError),
    /// Too much of something.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Files that cannot lie in one folder.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A path that a file may not have.
    #[error("the archive holds a file of a name that is not allowed")]
    Path(#[from] PathError),
    /// A member that is not a regular file.
    #[error("the archive holds {what} at `{path}`, only regular files are allowed")]
    NotAFile {
        /// What it is, with its article.
        what: MemberKind,
        /// Its path, escaped.
        path: String,
    },
    /// Not the header that this path and size have.
    #[error("the header of `{path}` has another {field} than this format gives it")]
    NotCanonical {
        /// Its path, escaped.
        path: String,
        /// The first field that is different.
        field: &'static str,
    },
    /// A header that is not ustar (`ustar`, zero, `00`): GNU, pre-POSIX or garbage.
    #[error("the header at byte {offset} of the tar stream is not POSIX ustar")]
    NotUstar {
        /// Where the header begins.
        offset: usize,
    },
    /// A header's own checksum does not hold.
    #[error("the header at byte {offset} of the tar stream has a wrong checksum")]
    Checksum {
        /// Where the header begins.
        offset: usize,
    },
    /// The first folder is not `<brick>-<version>`.
    #[error("the archive's folder `{folder}` is not a brick's name and version")]
    Folder {
        /// The folder, escaped.
        folder: String,
    },
    /// A member outside the folder of the first.
    #[error("`{path}` lies outside the archive's folder `{folder}/`")]
    WrongPrefix {
        /// Its path, escaped.
        path: String,
        /// The folder.
        folder: String,
    },
    /// Members are not in bytewise order.
    #[error("`{path}` comes after `{before}`, members must be sorted bytewise")]
    Unsorted {
        /// The path that comes too late.
        path: ArchivePath,
        /// The one before it.
        before: ArchivePath,
    },
    /// Something other than zeros between content and the next block.
    #[error("the padding after `{path}` is not zero")]
    Padding {
        /// The path.
        path: ArchivePath,
    },
    /// The stream ends inside a header or a file.
    #[error("the tar stream is cut off")]
    Truncated,
    /// Fewer than two zero blocks at the end.
    #[error("the tar stream does not end with two zero blocks")]
    MissingEnd,
    /// More after the two zero blocks.
    #[error("{bytes} bytes follow the end of the tar stream")]
    TrailingData {
        /// How many.
        bytes: usize,
    },
    /// No `brick.toml` at the top.
    #[error("the archive holds no `{MANIFEST_PATH}`")]
    NoManifest,
}

/// What a member that is not a regular file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// Another name of a file.
    HardLink,
    /// A path to follow.
    Symlink,
    /// A character or block device.
    Device,
    /// A folder; folders have no members of their own.
    Directory,
    /// A named pipe.
    Fifo,
    /// A POSIX extended header, which renames or resizes what follows.
    Pax,
    /// A GNU extension: long name, sparse file, volume label …
    Gnu,
    /// A type byte that nobody defined.
    Unknown(u8),
}

impl MemberKind {
    /// The kind of a member of type byte `byte`; none for a regular file, in either of its spellings.
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'0' | 0 => return None,
            b'1' => Self::HardLink,
            b'2' => Self::Symlink,
            b'3' | b'4' => Self::Device,
            b'5' => Self::Directory,
            b'6' => Self::Fifo,
            b'x' | b'g' | b'X' => Self::Pax,
            b'A'..=b'Z' => Self::Gnu,
            other => Self::Unknown(other),
        })
    }
}

impl std::fmt::Display for MemberKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HardLink => f.write_str("a hard link"),
            Self::Symlink => f.write_str("a symbolic link"),
            Self::Device => f.write_str("a device"),
            Self::Directory => f.write_str("a folder entry"),
            Self::Fifo => f.write_str("a named pipe"),
            Self::Pax => f.write_str("a pax header"),
            Self::Gnu => f.write_str("a GNU extension"),
            Self::Unknown(byte) => write!(f, "a member of unknown type {byte:#04x}"),
        }
    }
}

impl ArchiveError {
    /// The name of what is wrong, for programs; never changes its meaning.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gzip(GzipError::Magic) => "not-gzip",
            Self::Gzip(GzipError::Header { .. }) => "gzip-header",
            Self::Gzip(GzipError::Truncated) => "gzip-truncated",
            Self::Gzip(GzipError::Deflate) => "deflate",
            Self::Gzip(GzipError::Checksum) => "gzip-checksum",
            Self::Gzip(GzipError::SecondMember) => "second-gzip-member",
            Self::Gzip(GzipError::TrailingData { .. }) => "gzip-trailing-data",
            Self::Gzip(GzipError::Limit(limit)) | Self::Limit(limit) => match limit {
                LimitError::ArchiveBytes { .. } => "archive-too-big",
                LimitError::UnpackedBytes { .. } => "unpacked-too-big",
                LimitError::Ratio { .. } => "ratio",
                LimitError::FileCount { .. } => "too-many-files",
                LimitError::PathBytes { .. } => "path-too-long",
                LimitError::Header { .. } => "path-does-not-fit",
            },
            Self::Tree(TreeError::Duplicate { .. }) => "duplicate",
            Self::Tree(TreeError::Collision { .. }) => "collision",
            Self::Tree(TreeError::FileAndDirectory { .. }) => "file-and-directory",
            Self::Path(err) => match err.rule {
                PathRule::Empty => "path-empty",
                PathRule::TooLong => "path-too-long",
                PathRule::NotUtf8 => "path-not-utf8",
                PathRule::Absolute => "path-absolute",
                PathRule::Parent => "path-parent",
                PathRule::Dot => "path-dot",
                PathRule::EmptyComponent => "path-empty-component",
                PathRule::Character(_) => "path-character",
                PathRule::NotNfc => "path-not-nfc",
                PathRule::TrailingDotOrSpace => "path-trailing",
                PathRule::LeadingSpace => "path-leading-space",
                PathRule::LeadingDash => "path-leading-dash",
                PathRule::Device => "path-device",
                PathRule::ShortName => "path-short-name",
                PathRule::Git => "path-git",
            },
            Self::NotAFile { what, .. } => match what {
                MemberKind::HardLink => "hard-link",
                MemberKind::Symlink => "symlink",
                MemberKind::Device => "device",
                MemberKind::Directory => "directory",
                MemberKind::Fifo => "fifo",
                MemberKind::Pax => "pax",
                MemberKind::Gnu => "gnu",
                MemberKind::Unknown(_) => "unknown-type",
            },
            Self::NotCanonical { .. } => "not-canonical",
            Self::NotUstar { .. } => "not-ustar",
            Self::Checksum { .. } => "checksum",
            Self::Folder { .. } => "folder",
            Self::WrongPrefix { .. } => "wrong-prefix",
            Self::Unsorted { .. } => "unsorted",
            Self::Padding { .. } => "padding",
            Self::Truncated => "truncated",
            Self::MissingEnd => "missing-end",
            Self::TrailingData { .. } => "trailing-data",
            Self::NoManifest => "no-manifest",
        }
    }
}

impl From<GzipError> for ArchiveError {
    fn from(err: GzipError) -> Self {
        match err {
            GzipError::Limit(limit) => Self::Limit(limit),
            other => Self::Gzip(other),
        }
    }
}

/// Reads an archive, checking all of it before any of it can be used.
///
/// - `bytes`: the whole archive; its SHA-256 is the caller's to compare.
/// - `limits`: bounds, effective where they are below [`Limits::default`].
///
/// Needs memory for the tar stream and the names, never for what a header declares.
///
/// # Errors
/// [`ArchiveError`] names the first thing that is not exactly the format of this module.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Archive, ArchiveError> {
    let limits = limits.lower_of(Limits::default());
    let archive_bytes = bytes.len() as u64;
    if archive_bytes > limits.archive_bytes {
        return Err(LimitError::ArchiveBytes { bytes: archive_bytes, max: limits.archive_bytes }.into());
    }
    let tar = inflate(bytes, &limits)?;

    let mut tree = Tree::default();
    let mut files: Vec<(ArchivePath, Range<usize>)> = Vec::new();
    let mut release: Option<(BrickName, Version, String)> = None;
    let mut offset = 0;
    loop {
        let header = block(&tar, offset)?;
        if is_zero(header) {
            break;
        }
        if files.len() == limits.file_count {
            return Err(LimitError::FileCount { max: limits.file_count }.into());
        }
        let (full_path, size) = regular_file(header, offset)?;
        let (first, rest) = full_path.split_once('/').unwrap_or((full_path.as_str(), ""));
        let (_, _, folder) = match &mut release {
            Some(known) => known,
            none => none.insert(parse_folder(first)?),
        };
        if first != folder || rest.is_empty() {
            return Err(ArchiveError::WrongPrefix { path: escaped(&full_path), folder: folder.clone() });
        }
        let path = ArchivePath::parse(rest)?;
        limits.check_path(&path)?;
        check_canonical(header, &full_path, size)?;
        tree.insert(&path)?;
        if let Some((before, _)) = files.last().filter(|(before, _)| *before > path) {
            return Err(ArchiveError::Unsorted { path, before: before.clone() });
        }
        let start = offset + BLOCK;
        let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
        let end = end.filter(|end| *end <= tar.len()).ok_or(ArchiveError::Truncated)?;
        offset = end + padding(end);
        if !is_zero(tar.get(end..offset).ok_or(ArchiveError::Truncated)?) {
            return Err(ArchiveError::Padding { path });
        }
        files.push((path, start..end));
    }
    for _ in 0..END_BLOCKS {
        if !block(&tar, offset).is_ok_and(is_zero) {
            return Err(ArchiveError::MissingEnd);
        }
        offset += BLOCK;
    }
    if offset != tar.len() {
        return Err(ArchiveError::TrailingData { bytes: tar.len() - offset });
    }
    let (name, version, _) = release.ok_or(ArchiveError::NoManifest)?;
    if !files.iter().any(|(path, _)| path.as_str() == MANIFEST_PATH) {
        return Err(ArchiveError::NoManifest);
    }
    let digests = files.iter().map(|(path, range)| (path.as_str(), Digest::of(&tar[range.clone()])));
    let contents = Contents::of(digests);
    Ok(Archive { name, version, contents, tar, files })
}

fn block(tar: &[u8], offset: usize) -> Result<&[u8], ArchiveError> {
    if offset == tar.len() {
        return Err(ArchiveError::MissingEnd);
    }
    tar.get(offset..offset + BLOCK).ok_or(ArchiveError::Truncated)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0)
}

/// The path (folder included) and size that a header of a regular file gives, neither of them trusted yet.
fn regular_file(header: &[u8], offset: usize) -> Result<(String, u64), ArchiveError> {
    let sum: u64 = header.iter().map(|b| u64::from(*b)).sum::<u64>()
        - header[148..156].iter().map(|b| u64::from(*b)).sum::<u64>()
        + 8 * u64::from(b' ');
    if octal(&header[148..156]) != Some(sum) {
        return Err(ArchiveError::Checksum { offset });
    }
    let name = until_zero(&header[..100]);
    let prefix = until_zero(&header[345..500]);
    let raw = if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() };
    if let Some(what) = MemberKind::of(header[156]) {
        return Err(ArchiveError::NotAFile { what, path: escaped(&String::from_utf8_lossy(&raw)) });
    }
    if &header[257..265] != b"ustar\x0000" {
        return Err(ArchiveError::NotUstar { offset });
    }
    let refused = |path: &str, rule| Err(PathError { path: escaped(path), rule }.into());
    let path = match String::from_utf8(raw) {
        Ok(path) => path,
        Err(err) => return refused(&String::from_utf8_lossy(err.as_bytes()), PathRule::NotUtf8),
    };
    if path.is_empty() {
        return refused(&path, PathRule::Empty);
    }
    if path.starts_with('/') {
        return refused(&path, PathRule::Absolute);
    }
    if let Some(rule) = path.split('/').find_map(broken_structure) {
        return refused(&path, rule);
    }
    let size = octal(&header[124..136])
        .ok_or_else(|| ArchiveError::NotCanonical { path: escaped(&path), field: "size" })?;
    Ok((path, size))
}

fn until_zero(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().expect("split gives at least one piece")
}

/// Octal digits with spaces or zeros around them, as any tar writes them; none for base-256 and other inventions.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    u64::from_str_radix(text, 8).ok()
}

fn check_canonical(header: &[u8], path: &str, size: u64) -> Result<(), ArchiveError> {
    let wanted = canonical(path, size)?;
    match header.iter().zip(&wanted).position(|(found, wanted)| found != wanted) {
        None => Ok(()),
        Some(at) => {
            let (field, _) = FIELDS.iter().find(|(_, end)| at < *end).expect("the fields cover the header");
            Err(ArchiveError::NotCanonical { path: escaped(path), field })
        }
    }
}

/// `<brick>-<version>` has one reading: a brick's name holds no dot, so the `-` before the first dot parts the two.
fn parse_folder(text: &str) -> Result<(BrickName, Version, String), ArchiveError> {
    let parsed = text.find('.').and_then(|dot| text[..dot].rfind('-')).and_then(|dash| {
        let (name, version) = (&text[..dash], &text[dash + 1..]);
        Some((BrickName::parse(name).ok()?, Version::parse(version).ok()?))
    });
    match parsed {
        Some((name, version)) if folder(&name, &version) == text => Ok((name, version, text.to_owned())),
        _ => Err(ArchiveError::Folder { folder: escaped(text) }),
    }
}

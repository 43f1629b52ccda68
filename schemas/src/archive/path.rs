//! What may a file in an archive be called?

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::name::WINDOWS_DEVICES;
use crate::newtype::serde_as_text;
use crate::text::deceives;

/// Bytes in a path without the archive's folder, at most.
pub const MAX_PATH_BYTES: usize = 200;

/// ASCII characters that a component may hold beside letters and digits: those of Go's `module.CheckFilePath`.
const PUNCTUATION: &str = "!#$%&()+,-.=@[]^_{}~ ";

/// Devices of Windows beside those that a brick's name could be.
const CONSOLES: &[&str] = &["conin$", "conout$"];

/// The rule that a path breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathRule {
    /// No bytes at all.
    #[error("it is empty")]
    Empty,
    /// Over [`MAX_PATH_BYTES`].
    #[error("it has more than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// From the root of a disk.
    #[error("it is absolute")]
    Absolute,
    /// Out of the folder.
    #[error("it has the component `..`")]
    Parent,
    /// The same folder again.
    #[error("it has the component `.`")]
    Dot,
    /// Two slashes in a row, or one at the end.
    #[error("it has an empty component")]
    EmptyComponent,
    /// Something that some platform cannot store, a shell or a person would misread, or that shows nothing.
    #[error("the character `{}` is not allowed", .0.escape_default())]
    Character(char),
    /// Another spelling of the same letters.
    #[error("it is not in Unicode form NFC")]
    NotNfc,
    /// Windows drops these.
    #[error("a component ends with a dot or a space")]
    TrailingDotOrSpace,
    /// Easily overlooked.
    #[error("a component begins with a space")]
    LeadingSpace,
    /// Programs would take it for an option.
    #[error("a component begins with `-`")]
    LeadingDash,
    /// `nul`, `com1.txt` …
    #[error("Windows keeps the name of a component for a device")]
    Device,
    /// `report~1.txt`: Windows' second name for another file.
    #[error("a component looks like a Windows short name, `~` and digits")]
    ShortName,
    /// Files that git would act on.
    #[error("a component is `.git`")]
    Git,
}

/// Why a text is not the path of a file in an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` cannot be the path of a file in a brick: {rule}")]
pub struct PathError {
    /// The path, escaped where it is not plain text.
    pub path: String,
    /// The rule that it breaks.
    pub rule: PathRule,
}

/// The path of a file in a brick, without the archive's folder: `api/case.yaml`. Orders bytewise.
///
/// Relative, components between single `/`, at most [`MAX_PATH_BYTES`] bytes of UTF-8 in NFC, and a file of this name can
/// be made on every platform and means itself there. A component holds ASCII letters, digits, ``!#$%&()+,-.=@[]^_{}~``, space,
/// and letters, digits and marks of other scripts that show; it is not `.`, `..`, `.git` or a Windows device, begins neither with
/// space nor `-`, ends neither with space nor dot, and its stem does not end in `~` and digits.
///
/// Off-spec: which characters beyond ASCII are letters grows with Unicode, as in Go; a path accepted once stays accepted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchivePath(String);

impl ArchivePath {
    /// Parses a path.
    ///
    /// # Errors
    /// [`PathError`] names the first rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(rule) => Err(PathError { path: escaped(text), rule }),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components, folders first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().expect("rsplit gives at least one piece")
    }
}

/// `text` for a message: as it is when all of it shows, else with escapes; cut to twice the bound.
pub(super) fn escaped(text: &str) -> String {
    text.chars()
        .take(2 * MAX_PATH_BYTES)
        .flat_map(|c| {
            let shows = c == ' ' || c.is_ascii_graphic() || is_letter_beyond_ascii(c);
            if shows { vec![c] } else { c.escape_default().collect() }
        })
        .collect()
}

fn broken_rule(text: &str) -> Option<PathRule> {
    if text.is_empty() {
        return Some(PathRule::Empty);
    }
    if text.len() > MAX_PATH_BYTES {
        return Some(PathRule::TooLong);
    }
    if text.starts_with('/') {
        return Some(PathRule::Absolute);
    }
    if let Some(rule) = text.split('/').find_map(broken_structure) {
        return Some(rule);
    }
    if let Some(bad) = text.chars().find(|c| *c != '/' && !is_allowed(*c)) {
        return Some(PathRule::Character(bad));
    }
    if !text.is_ascii() && !unicode_normalization::is_nfc(text) {
        return Some(PathRule::NotNfc);
    }
    text.split('/').find_map(broken_component)
}

/// The rules about where a path leads. Asked first, so that `../evil\0` is named for what matters.
pub(super) fn broken_structure(component: &str) -> Option<PathRule> {
    match component {
        "" => Some(PathRule::EmptyComponent),
        "." => Some(PathRule::Dot),
        ".." => Some(PathRule::Parent),
        _ => None,
    }
}

fn is_allowed(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || PUNCTUATION.contains(c)
    } else {
        is_letter_beyond_ascii(c)
    }
}

fn is_letter_beyond_ascii(c: char) -> bool {
    !c.is_ascii()
        && (c.is_alphanumeric() || is_combining_mark(c))
        && !deceives(None, c)
        // Variation selectors: marks that show nothing of their own.
        && !('\u{fe00}'..='\u{fe0f}').contains(&c)
}

fn broken_component(component: &str) -> Option<PathRule> {
    if component.starts_with('-') {
        return Some(PathRule::LeadingDash);
    }
    if component.starts_with(' ') {
        return Some(PathRule::LeadingSpace);
    }
    if component.ends_with(['.', ' ']) {
        return Some(PathRule::TrailingDotOrSpace);
    }
    let folded = fold(component);
    if folded == ".git" {
        return Some(PathRule::Git);
    }
    let stem = folded.split('.').next().expect("split gives at least one piece");
    let device = stem.trim_end_matches(' ');
    if WINDOWS_DEVICES.contains(&device) || CONSOLES.contains(&device) {
        return Some(PathRule::Device);
    }
    let head = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    (head.len() < stem.len() && head.ends_with('~')).then_some(PathRule::ShortName)
}

/// A component as a file system sees it that minds neither case nor Unicode form: equal folds collide.
///
/// Goes further than any one file system (`ß` = `ss`, `ﬁ` = `fi`, `ı` = `i`), so that what passes is apart on all of them.
pub(super) fn fold(component: &str) -> String {
    if component.is_ascii() {
        return component.to_ascii_lowercase();
    }
    component
        .nfkd()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .nfkd()
        .collect()
}

impl std::fmt::Display for ArchivePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for ArchivePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::str::FromStr for ArchivePath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

serde_as_text!(ArchivePath);

impl schemars::JsonSchema for ArchivePath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ArchivePath".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "The path of a file in a brick, relative, with `/`",
            "minLength": 1,
            "maxLength": MAX_PATH_BYTES,
            // For editors: `parse` is the judge.
            "pattern": r"^[^/\\:]+(/[^/\\:]+)*$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_paths_are_kept_as_written() {
        for text in [
            "brick.toml",
            "api/case.yaml",
            ".well-known/security.txt",
            ".gitignore",
            "api/Voucher API YAMLs/VoucherStatus.yml",
            "older/VoucherAPIS (1).json",
            "a026-send-a&g-response.yaml",
            "docs/canllaw-tŷ.md",
            "docs/नमस्ते.md",
            "docs/日本語.md",
            "a~b.txt",
            "a~",
            "nulls/con-cept.md",
            "...a",
        ] {
            assert_eq!(ArchivePath::parse(text).unwrap().as_str(), text);
        }
        assert!(ArchivePath::parse(&"a".repeat(200)).is_ok());
    }

    #[test]
    fn a_broken_path_is_refused_by_its_rule() {
        use PathRule::*;
        let long = "a".repeat(201);
        for (text, rule) in [
            ("", Empty),
            (long.as_str(), TooLong),
            ("/etc/passwd", Absolute),
            ("//x", Absolute),
            ("..", Parent),
            ("a/../b", Parent),
            ("a/..", Parent),
            (".", Dot),
            ("a/./b", Dot),
            ("./a", Dot),
            ("a//b", EmptyComponent),
            ("a/", EmptyComponent),
            ("a\\b", Character('\\')),
            ("..\\b", Character('\\')),
            ("c:/x", Character(':')),
            ("a:stream", Character(':')),
            ("a\0", Character('\0')),
            ("a\nb", Character('\n')),
            ("a\u{7f}", Character('\u{7f}')),
            ("a*", Character('*')),
            ("a?", Character('?')),
            ("a\"", Character('"')),
            ("a'", Character('\'')),
            ("a`", Character('`')),
            ("a;b", Character(';')),
            ("a<b", Character('<')),
            ("a|b", Character('|')),
            ("a\u{a0}b", Character('\u{a0}')),
            ("a\u{202e}b", Character('\u{202e}')),
            ("a\u{200b}b", Character('\u{200b}')),
            ("a\u{200d}b", Character('\u{200d}')),
            ("a\u{feff}", Character('\u{feff}')),
            ("a\u{fe0f}", Character('\u{fe0f}')),
            ("a\u{3164}", Character('\u{3164}')),
            ("a\u{e000}", Character('\u{e000}')),
            ("a\u{2028}b", Character('\u{2028}')),
            ("a\u{ff0f}b", Character('\u{ff0f}')),
            ("e\u{301}", NotNfc),
            ("a.", TrailingDotOrSpace),
            ("a./b", TrailingDotOrSpace),
            ("a /b", TrailingDotOrSpace),
            ("...", TrailingDotOrSpace),
            (" a", LeadingSpace),
            ("-rf", LeadingDash),
            ("docs/--help", LeadingDash),
            ("nul", Device),
            ("CON.txt", Device),
            ("a/Com1.tar.gz", Device),
            ("lpt9", Device),
            ("aux .txt", Device),
            ("CONOUT$", Device),
            ("COM\u{b9}", Device),
            ("PROGRA~1", ShortName),
            ("report~12.txt", ShortName),
            ("git~1/config", ShortName),
            (".git/config", Git),
            ("x/.GIT", Git),
        ] {
            let error = ArchivePath::parse(text).unwrap_err();
            assert_eq!(error.rule, rule, "{text:?}");
            assert!(error.path.chars().all(|c| !c.is_control()), "{text:?}");
        }
    }

    #[test]
    fn names_that_some_file_system_takes_for_one_fold_to_one() {
        for (a, b) in [
            ("README", "readme"),
            ("é", "e\u{301}"),
            ("É", "é"),
            ("straße", "STRASSE"),
            ("ſ", "s"),
            ("ﬁ", "fi"),
            ("ς", "Σ"),
            ("İ", "i\u{307}"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("a"), fold("á"));
    }
}

//! Which file or folder of the brick? What a manifest may say instead of a path in an archive.

use crate::archive::ArchivePath;
use crate::newtype::string_newtype;
use crate::text::TextError;

/// Bytes in a path, at most (design §3).
pub const MAX_PATH_BYTES: usize = crate::archive::MAX_PATH_BYTES;

/// A path relative to `brick.toml`: a file as [`ArchivePath`] has it (`api/case.yaml`), or with a slash at the end a folder
/// of such files (`conformance/`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrickPath(String);

impl BrickPath {
    /// Parses a path.
    ///
    /// # Errors
    /// [`TextError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        ArchivePath::parse(text.strip_suffix('/').unwrap_or(text))
            .map_err(|err| TextError::new("path", text, err.rule.to_string()))?;
        Ok(Self(text.to_owned()))
    }

    /// Whether it names a folder.
    pub fn is_folder(&self) -> bool {
        self.0.ends_with('/')
    }
}

string_newtype!(BrickPath, TextError, MAX_PATH_BYTES + 1, r"^[^/\\:][^\\:]*$", "A path inside the brick");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside_the_brick() {
        for good in ["README.md", "api/case.yaml", "conformance/", "docs/Übersicht.md", ".github/x"] {
            assert_eq!(BrickPath::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a//",
            "./a",
            "a\\b",
            "C:/x",
            "a\0b",
            "a\u{202e}b",
            "a/ ",
        ] {
            assert!(BrickPath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(BrickPath::parse(&"a".repeat(201)).is_err());
        assert!(BrickPath::parse("a/").unwrap().is_folder());
    }
}

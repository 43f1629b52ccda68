//! Which file of the brick? Paths relative to `brick.toml`, the same on every system.

use crate::newtype::string_newtype;
use crate::text::TextError;

/// Bytes in a path, at most (design §3).
pub const MAX_PATH_BYTES: usize = 200;

/// A path inside a brick: `api/case.yaml`, or with a slash at the end a folder: `conformance/`.
///
/// Relative, `/` between the parts, no part empty, `.` or `..`, no `\`, no character that deceives the eye.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrickPath(String);

impl BrickPath {
    /// Parses a path.
    ///
    /// # Errors
    /// [`TextError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let bad = |rule: &str| Err(TextError::new("path", text, rule));
        if text.len() > MAX_PATH_BYTES {
            return bad("it has more than 200 bytes");
        }
        let parts = text.strip_suffix('/').unwrap_or(text);
        if parts.is_empty() || text.starts_with('/') {
            return bad("a path relative to the folder of the file is needed, as in `api/case.yaml`");
        }
        if text.contains('\\') {
            return bad("write `/` between folders");
        }
        if parts.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return bad("no part of a path is empty, `.` or `..`");
        }
        if text.contains(':') {
            return bad("`:` names a drive or a stream on Windows");
        }
        crate::text::check_displayed("path", text, MAX_PATH_BYTES)?;
        Ok(Self(text.to_owned()))
    }

    /// Whether it names a folder.
    pub fn is_folder(&self) -> bool {
        self.0.ends_with('/')
    }
}

string_newtype!(BrickPath, TextError, MAX_PATH_BYTES, r"^[^/\\:][^\\:]*$", "A path inside the brick");

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

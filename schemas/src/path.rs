//! Which file or folder of the brick? What a manifest may say where a folder will do, too.

use crate::archive::ArchivePath;
use crate::newtype::string_newtype;
use crate::text::TextError;

/// Bytes in a path, at most (design §3).
pub const MAX_PATH_BYTES: usize = crate::archive::MAX_PATH_BYTES;

/// A path relative to `brick.toml`: a file as [`ArchivePath`] has it (`api/case.yaml`), or with a slash at the end a folder
/// that can hold such files (`conformance/`). What an archive cannot hold has no such path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrickPath(String);

impl BrickPath {
    /// Parses a path.
    ///
    /// # Errors
    /// [`TextError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let refused = |rule: String| TextError::new("path", text, rule);
        ArchivePath::parse(text.strip_suffix('/').unwrap_or(text))
            .map_err(|err| refused(err.rule.to_string()))?;
        if text.len() >= MAX_PATH_BYTES && text.ends_with('/') {
            return Err(refused(format!("a file in it would have more than {MAX_PATH_BYTES} bytes")));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it names a folder.
    pub fn is_folder(&self) -> bool {
        self.0.ends_with('/')
    }

    /// The path in an archive: of the file, or of the folder without its slash.
    pub fn in_archive(&self) -> ArchivePath {
        let path = self.0.strip_suffix('/').unwrap_or(&self.0);
        ArchivePath::parse(path).expect("`parse` asked the same")
    }
}

string_newtype!(
    BrickPath,
    TextError,
    MAX_PATH_BYTES,
    r"^[^/\\:]+(/[^/\\:]+)*/?$",
    "A file in the brick, or with `/` at the end a folder"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_path_that_ends_in_a_slash() {
        for (text, is_folder, path) in [
            ("README.md", false, "README.md"),
            ("docs/Übersicht.md", false, "docs/Übersicht.md"),
            ("conformance/", true, "conformance"),
            ("tests/core/", true, "tests/core"),
        ] {
            let parsed = BrickPath::parse(text).unwrap();
            assert_eq!(parsed.as_str(), text);
            assert_eq!((parsed.is_folder(), parsed.in_archive().as_str()), (is_folder, path));
        }
    }

    #[test]
    fn a_path_is_good_exactly_when_an_archive_can_hold_the_file_or_one_in_the_folder() {
        let long = |bytes: usize| "a".repeat(bytes);
        for text in [
            "",
            "/",
            "//",
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
            "a /",
            "a./",
            "nul",
            "nul/",
            "con.txt",
            "progra~1/",
            ".git/",
            ".git/config",
            "-x/",
            "e\u{301}/",
            "api/",
            "api",
            "a.b/c.d/",
            "ŷ/",
            "ŷ",
            "a?",
            "tests/*.yaml",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain((197..=202).flat_map(|bytes| [long(bytes), long(bytes - 1) + "/"]))
        {
            let file = if text.ends_with('/') { format!("{text}a") } else { text.clone() };
            assert_eq!(BrickPath::parse(&text).is_ok(), ArchivePath::parse(&file).is_ok(), "{text:?}");
        }
    }
}

//! Which versions promise to be compatible?

use std::fmt;

use brick_schemas::Version;

/// The versions that replace each other by cargo's reading of SemVer: `1.x.y`, `0.2.x`, or `0.0.3` alone.
///
/// Of one line at most one release is chosen; several lines of a brick may stand side by side. Orders oldest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum CompatibleLine {
    /// `0.0.patch`: only itself.
    Patch(u64),
    /// `0.minor.x`, minor at least 1.
    Minor(u64),
    /// `major.x.y`, major at least 1.
    Major(u64),
}

impl CompatibleLine {
    /// The line that `version` is in; a pre-release is in the line of the release it leads to.
    pub fn of(version: &Version) -> Self {
        let version = version.semver();
        match (version.major, version.minor) {
            (0, 0) => Self::Patch(version.patch),
            (0, minor) => Self::Minor(minor),
            (major, _) => Self::Major(major),
        }
    }
}

impl fmt::Display for CompatibleLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patch(patch) => write!(f, "0.0.{patch}"),
            Self::Minor(minor) => write!(f, "0.{minor}.x"),
            Self::Major(major) => write!(f, "{major}.x"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_replace_each_other_are_of_one_line() {
        for (version, line) in [
            ("1.0.0", "1.x"),
            ("1.9.3-rc.1", "1.x"),
            ("2.0.0-alpha", "2.x"),
            ("0.2.0", "0.2.x"),
            ("0.2.9", "0.2.x"),
            ("0.0.3", "0.0.3"),
            ("0.0.0", "0.0.0"),
        ] {
            assert_eq!(CompatibleLine::of(&Version::parse(version).unwrap()).to_string(), line);
        }
    }

    #[test]
    fn lines_order_as_their_versions_do() {
        let lines: Vec<_> = ["0.0.1", "0.0.2", "0.1.0", "0.3.7", "1.0.0", "2.4.0"]
            .map(|text| CompatibleLine::of(&Version::parse(text).unwrap()))
            .into();
        assert!(lines.is_sorted());
    }
}

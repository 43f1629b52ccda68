//! Which version, and which versions will do? SemVer 2.0 with cargo's requirements (design §3)

use crate::newtype::serde_as_text;

/// Bytes in a version or a requirement, at most.
pub const MAX_VERSION_BYTES: usize = 64;
/// Bytes in a requirement, at most: cargo allows several comparators.
pub const MAX_REQUIREMENT_BYTES: usize = 256;
/// A version's numbers stay below this, so that every JSON reader holds them exactly.
pub const MAX_NUMBER: u64 = 1 << 53;

/// Why a text is not a version or a requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Over the bound.
    #[error("the {what} has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// `version` or `requirement`.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Not SemVer 2.0, or not cargo's requirement syntax.
    #[error("`{text}` is not a {what}: {reason}")]
    Syntax {
        /// `version` or `requirement`.
        what: &'static str,
        /// The text, escaped.
        text: String,
        /// The parser's words.
        reason: String,
    },
    /// Build metadata would give one release two names.
    #[error("`{text}` carries build metadata (`+…`), which a brick's version may not")]
    Build {
        /// The text.
        text: String,
    },
    /// A number that not every JSON reader holds exactly.
    #[error("`{text}` has a number of 2^53 or more")]
    Number {
        /// The text.
        text: String,
    },
}

fn bounded(what: &'static str, text: &str, max: usize) -> Result<(), VersionError> {
    if text.len() > max {
        return Err(VersionError::TooLong { what, bytes: text.len(), max });
    }
    Ok(())
}

/// A SemVer 2.0 version without build metadata, each number below 2^53, at most 64 bytes.
///
/// Orders by SemVer precedence, which is total here because build metadata is refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

impl Version {
    /// Parses a version.
    ///
    /// # Errors
    /// [`VersionError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        const WHAT: &str = "version";
        bounded(WHAT, text, MAX_VERSION_BYTES)?;
        let version = semver::Version::parse(text).map_err(|err| VersionError::Syntax {
            what: WHAT,
            text: text.escape_default().to_string(),
            reason: err.to_string(),
        })?;
        if !version.build.is_empty() {
            return Err(VersionError::Build { text: text.to_owned() });
        }
        if [version.major, version.minor, version.patch].iter().any(|n| *n >= MAX_NUMBER) {
            return Err(VersionError::Number { text: text.to_owned() });
        }
        Ok(Self(version))
    }

    /// The version as the `semver` crate sees it.
    pub fn semver(&self) -> &semver::Version {
        &self.0
    }

    /// Whether it is a pre-release (`-alpha` …), which only a requirement that names one can choose.
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Version {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        Self::parse(text)
    }
}

serde_as_text!(Version);

impl schemars::JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A SemVer 2.0 version without build metadata",
            "maxLength": MAX_VERSION_BYTES,
            "pattern": r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$",
        })
    }
}

/// Which versions will do, in cargo's syntax and with cargo's meaning: `1.2` is `^1.2`. Kept as written.
#[derive(Clone)]
pub struct Requirement {
    text: String,
    req: semver::VersionReq,
}

impl Requirement {
    /// Parses a requirement.
    ///
    /// # Errors
    /// [`VersionError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        const WHAT: &str = "requirement";
        bounded(WHAT, text, MAX_REQUIREMENT_BYTES)?;
        let req = semver::VersionReq::parse(text).map_err(|err| VersionError::Syntax {
            what: WHAT,
            text: text.escape_default().to_string(),
            reason: err.to_string(),
        })?;
        let too_big = |n: Option<u64>| n.is_some_and(|n| n >= MAX_NUMBER);
        if req.comparators.iter().any(|c| c.major >= MAX_NUMBER || too_big(c.minor) || too_big(c.patch)) {
            return Err(VersionError::Number { text: text.to_owned() });
        }
        Ok(Self { text: text.to_owned(), req })
    }

    /// Whether `version` will do, by cargo's rules (pre-releases only where one is named).
    pub fn matches(&self, version: &Version) -> bool {
        self.req.matches(&version.0)
    }

    /// The requirement as the `semver` crate sees it.
    pub fn semver(&self) -> &semver::VersionReq {
        &self.req
    }

    /// The text it was parsed from.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Requirement {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Requirement {}

impl PartialOrd for Requirement {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Requirement {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::hash::Hash for Requirement {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Debug for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Requirement {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        Self::parse(text)
    }
}

serde_as_text!(Requirement);

impl schemars::JsonSchema for Requirement {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Requirement".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Which versions will do, in cargo's syntax: `1.2` means `^1.2`",
            "maxLength": MAX_REQUIREMENT_BYTES,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_version_is_refused_by_its_rule() {
        for (text, says) in [
            ("1", "unexpected end"),
            ("1.2", "unexpected end"),
            ("01.2.3", "leading zero"),
            ("1.2.3+build", "build metadata"),
            ("9007199254740992.0.0", "2^53"),
            ("v1.2.3", "unexpected character"),
            ("1.2.3 ", "unexpected character"),
            ("", "empty string"),
        ] {
            let error = Version::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        assert!(Version::parse(&format!("1.0.0-{}", "a".repeat(60))).is_err());
        assert!(Requirement::parse("^9007199254740992").is_err());
    }

    #[test]
    fn requirements_mean_what_cargo_means() {
        for (req, yes, no) in [
            ("1.2", "1.9.0", "2.0.0"),
            ("^0.2", "0.2.7", "0.3.0"),
            ("~1.2", "1.2.9", "1.3.0"),
            ("=1.2.3", "1.2.3", "1.2.4"),
            ("*", "7.0.0", "7.0.0-rc.1"),
            (">=1, <3", "2.5.0", "3.0.0"),
            ("1.0.0-rc.1", "1.0.0-rc.2", "1.1.0-rc.1"),
        ] {
            let req = Requirement::parse(req).unwrap();
            assert!(req.matches(&Version::parse(yes).unwrap()), "{req} {yes}");
            assert!(!req.matches(&Version::parse(no).unwrap()), "{req} {no}");
        }
    }
}

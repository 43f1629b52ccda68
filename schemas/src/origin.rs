//! Which log? A log's origin is a schema-less URL `domain/path`; it is also the name of the log's key.

use crate::name::{NameError, PublisherName};
use crate::newtype::string_newtype;

/// Bytes in an origin, at most (the ML-DSA cosignature format keeps its length in one byte).
pub const MAX_ORIGIN_BYTES: usize = 255;

/// A log's origin: `northshire.gov.uk/log`, `commons.example/root`.
///
/// Source: C2SP tlog-checkpoint; here always a publisher-like domain, `/`, and a path of `[a-z0-9-/]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// Parses an origin.
    ///
    /// # Errors
    /// [`NameError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let shape =
            |rule| Err(NameError::Shape { what: "origin", name: text.escape_default().to_string(), rule });
        if text.len() > MAX_ORIGIN_BYTES {
            return Err(NameError::TooLong { what: "origin", bytes: text.len(), max: MAX_ORIGIN_BYTES });
        }
        let Some((domain, path)) = text.split_once('/') else {
            return shape("a domain and a path are needed, as in `northshire.gov.uk/log`");
        };
        PublisherName::parse(domain)?;
        let good_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !path.split('/').all(good_part) {
            return shape("the path is made of lower-case letters, digits and `-` between single slashes");
        }
        Ok(Self(text.to_owned()))
    }

    /// The origin of a publisher's log: `<publisher>/log`.
    pub fn of_publisher(publisher: &PublisherName) -> Self {
        Self(format!("{publisher}/log"))
    }

    /// The origin of a commons log: `<domain>/root`.
    pub fn of_commons(domain: &PublisherName) -> Self {
        Self(format!("{domain}/root"))
    }

    /// The domain before the first slash.
    pub fn domain(&self) -> PublisherName {
        let domain = self.0.split('/').next().unwrap_or_default();
        PublisherName::parse(domain).expect("parse checked the domain")
    }
}

string_newtype!(
    Origin,
    NameError,
    MAX_ORIGIN_BYTES,
    r"^[a-z0-9.-]+(/[a-z0-9-]+)+$",
    "A log's origin: a domain and a path"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_origin_is_refused_by_its_rule() {
        for (text, says) in [
            ("northshire.gov.uk", "domain and a path"),
            ("northshire.gov.uk/", "single slashes"),
            ("northshire.gov.uk//log", "single slashes"),
            ("northshire.gov.uk/Log", "single slashes"),
            ("northshire/log", "2 to 6 labels"),
            ("northshire.gov.uk/log\n", "single slashes"),
        ] {
            let error = Origin::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        assert!(Origin::parse(&format!("a.b/{}", "c".repeat(252))).is_err());
        let publisher = PublisherName::parse("a.example").unwrap();
        assert_eq!(Origin::of_publisher(&publisher).domain(), publisher);
    }
}

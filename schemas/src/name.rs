//! Who is it, and what is it called? (design §3)

use crate::newtype::string_newtype;

/// Bytes in a publisher's or a registry's name, at most.
pub const MAX_PUBLISHER_BYTES: usize = 100;
/// Bytes in a brick's own name, at most.
pub const MAX_BRICK_BYTES: usize = 64;
/// Bytes in a step, feature or local part's name, at most.
pub const MAX_LABEL_BYTES: usize = 64;
const MIN_DNS_LABELS: usize = 2;
const MAX_DNS_LABELS: usize = 6;
const MAX_DNS_LABEL_BYTES: usize = 63;

/// File names that Windows gives to devices; a folder of that name cannot be made there.
pub(crate) const WINDOWS_DEVICES: &[&str] = &[
    "con", "prn", "aux", "nul", "com0", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8",
    "com9", "lpt0", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing between the slashes, or nothing at all.
    #[error("the {what} is empty")]
    Empty {
        /// Which name.
        what: &'static str,
    },
    /// Over the bound for this kind of name.
    #[error("the {what} has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// Which name.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A character outside the alphabet.
    #[error("`{found}` in {what} `{name}`: only {allowed} are allowed")]
    Character {
        /// Which name.
        what: &'static str,
        /// The whole of it, escaped.
        name: String,
        /// The first bad character, escaped.
        found: String,
        /// The alphabet in words.
        allowed: &'static str,
    },
    /// A rule about the shape.
    #[error("{what} `{name}`: {rule}")]
    Shape {
        /// Which name.
        what: &'static str,
        /// The whole of it, escaped.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

fn bounded(what: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > max {
        return Err(NameError::TooLong { what, bytes: text.len(), max });
    }
    Ok(())
}

fn only(
    what: &'static str,
    text: &str,
    allowed: &'static str,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    match text.chars().find(|c| !is_allowed(*c)) {
        None => Ok(()),
        Some(c) => Err(NameError::Character {
            what,
            name: text.escape_default().to_string(),
            found: c.escape_default().to_string(),
            allowed,
        }),
    }
}

/// A DNS name that stands for an organisation: a publisher, a registry's operator, a commons.
///
/// 2 to 6 labels of `[a-z0-9-]`, at most 100 bytes, lower case, no label that starts or ends with `-` or starts with `xn--`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublisherName(String);

impl PublisherName {
    /// Parses a publisher's name.
    ///
    /// # Errors
    /// [`NameError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const WHAT: &str = "publisher name";
        bounded(WHAT, text, MAX_PUBLISHER_BYTES)?;
        only(WHAT, text, "lower-case letters, digits, `-` and `.`", |c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.'
        })?;
        let shape = |rule| Err(NameError::Shape { what: WHAT, name: text.to_owned(), rule });
        let labels = text.split('.').count();
        if !(MIN_DNS_LABELS..=MAX_DNS_LABELS).contains(&labels) {
            return shape("a DNS name of 2 to 6 labels is needed, as in `northshire.gov.uk`");
        }
        for label in text.split('.') {
            if label.is_empty() {
                return shape("a label between dots is empty");
            }
            if label.len() > MAX_DNS_LABEL_BYTES {
                return shape("a label has more than 63 bytes");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return shape("a label starts or ends with `-`");
            }
            if label.starts_with("xn--") {
                return shape("internationalised labels (`xn--`) are not allowed");
            }
        }
        Ok(Self(text.to_owned()))
    }
}

string_newtype!(
    PublisherName,
    NameError,
    MAX_PUBLISHER_BYTES,
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?){1,5}$",
    "A publisher: a DNS name in lower case"
);

/// A brick's own name, without its publisher: `[a-z][a-z0-9]*(-[a-z0-9]+)*`, at most 64 bytes, not a Windows device.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrickName(String);

impl BrickName {
    /// Parses a brick's own name.
    ///
    /// # Errors
    /// [`NameError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const WHAT: &str = "brick name";
        bounded(WHAT, text, MAX_BRICK_BYTES)?;
        only(WHAT, text, "lower-case letters, digits and `-`", |c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
        })?;
        let shape = |rule| Err(NameError::Shape { what: WHAT, name: text.to_owned(), rule });
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return shape("it must start with a letter");
        }
        if text.ends_with('-') || text.contains("--") {
            return shape("`-` stands only between letters or digits, and never twice");
        }
        if WINDOWS_DEVICES.contains(&text) {
            return shape("Windows keeps this name for a device");
        }
        Ok(Self(text.to_owned()))
    }
}

string_newtype!(
    BrickName,
    NameError,
    MAX_BRICK_BYTES,
    r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
    "A brick's own name, without its publisher"
);

/// `publisher/brick`: the one name of a brick or of a service. Orders by publisher, then by brick.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullName {
    /// Who publishes it.
    pub publisher: PublisherName,
    /// What the publisher calls it.
    pub brick: BrickName,
}

impl FullName {
    /// Parses `publisher/brick`.
    ///
    /// # Errors
    /// [`NameError`] names the part and the rule it breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let Some((publisher, brick)) = text.split_once('/') else {
            return Err(NameError::Shape {
                what: "name",
                name: text.chars().take(MAX_PUBLISHER_BYTES).flat_map(char::escape_default).collect(),
                rule: "a publisher and a brick are needed, as in `northshire.gov.uk/case-handling`",
            });
        };
        Ok(Self { publisher: PublisherName::parse(publisher)?, brick: BrickName::parse(brick)? })
    }
}

impl std::fmt::Display for FullName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.publisher, self.brick)
    }
}

impl std::fmt::Debug for FullName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for FullName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

crate::newtype::serde_as_text!(FullName);

impl schemars::JsonSchema for FullName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FullName".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A brick's or service's full name: publisher/name",
            "maxLength": MAX_PUBLISHER_BYTES + 1 + MAX_BRICK_BYTES,
            "pattern": r"^[a-z0-9.-]+/[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        })
    }
}

/// A feature's name: like a brick's name, but it may start with a digit and hold `_`; at most 64 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureName(String);

impl FeatureName {
    /// Parses a feature's name.
    ///
    /// # Errors
    /// [`NameError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const WHAT: &str = "feature name";
        bounded(WHAT, text, MAX_LABEL_BYTES)?;
        only(WHAT, text, "lower-case letters, digits, `-` and `_`", |c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
        })?;
        if text.starts_with(['-', '_']) {
            return Err(NameError::Shape {
                what: WHAT,
                name: text.to_owned(),
                rule: "it must start with a letter or a digit",
            });
        }
        Ok(Self(text.to_owned()))
    }
}

string_newtype!(FeatureName, NameError, MAX_LABEL_BYTES, r"^[a-z0-9][a-z0-9_-]*$", "A feature's name");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_kept_as_written() {
        for text in ["northshire.gov.uk/case-handling", "a.b/c", "acme.example/pay2-go", "x1.y2.z3.uk/a1-b2"]
        {
            assert_eq!(FullName::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_broken_name_is_refused_by_its_rule() {
        for (text, says) in [
            ("", "publisher and a brick"),
            ("case-handling", "publisher and a brick"),
            ("/x", "publisher name is empty"),
            ("a.b/", "brick name is empty"),
            ("a/x", "2 to 6 labels"),
            ("a.b.c.d.e.f.g/x", "2 to 6 labels"),
            ("A.b/x", "`A` in publisher name"),
            ("a..b/x", "label between dots is empty"),
            ("-a.b/x", "starts or ends with `-`"),
            ("xn--bcher-kva.example/x", "xn--"),
            ("a.b/1x", "must start with a letter"),
            ("a.b/x--y", "never twice"),
            ("a.b/x-", "never twice"),
            ("a.b/x/y", "`/` in brick name"),
            ("a.b/nul", "Windows"),
            ("a.b/Über", "only lower-case"),
            ("a.b/x\u{202e}y", "u{202e}"),
        ] {
            let error = FullName::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        assert!(BrickName::parse(&"a".repeat(65)).unwrap_err().to_string().contains("at most 64"));
        assert!(PublisherName::parse(&"a.".repeat(60)).unwrap_err().to_string().contains("at most 100"));
    }
}

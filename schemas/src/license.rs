//! Under which licence? SPDX expressions for the specification and for the software.

use crate::newtype::string_newtype;
use crate::text::TextError;

/// Bytes in a licence expression, at most.
pub const MAX_LICENSE_BYTES: usize = 200;

/// An SPDX licence expression, kept as written: `MIT`, `EUPL-1.2 OR Apache-2.0`.
///
/// `parse` checks the grammar alone: SPDX adds licences every quarter, and every version of this software must read
/// an entry alike. [`LicenseExpression::unlisted`] tells an author which names SPDX does not know.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LicenseExpression(String);

impl LicenseExpression {
    /// Parses an expression.
    ///
    /// # Errors
    /// [`TextError`] with what is wrong in SPDX's grammar.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        const WHAT: &str = "licence";
        if text.len() > MAX_LICENSE_BYTES {
            return Err(TextError::new(WHAT, text, "it has more than 200 bytes"));
        }
        if !text.bytes().all(|b| b == b' ' || b.is_ascii_alphanumeric() || b"-.+():".contains(&b)) {
            return Err(TextError::new(WHAT, text, "an SPDX expression is needed, as in `MIT OR EUPL-1.2`"));
        }
        let grammar =
            spdx::ParseMode { allow_unknown: true, allow_deprecated: true, ..spdx::ParseMode::STRICT };
        spdx::Expression::parse_mode(text, grammar)
            .map_err(|err| TextError::new(WHAT, text, format!("in the SPDX expression, {}", err.reason)))?;
        Ok(Self(text.to_owned()))
    }

    /// What an author should mend: the first name that SPDX does not list, or lists as deprecated.
    ///
    /// Returns where it stands in the text and SPDX's words about it; none when all is well. `LicenseRef-…` is well.
    pub fn unlisted(&self) -> Option<(std::ops::Range<usize>, String)> {
        let err = spdx::Expression::parse_mode(&self.0, spdx::ParseMode::STRICT).err()?;
        Some((err.span.start..err.span.end, err.reason.to_string()))
    }
}

string_newtype!(
    LicenseExpression,
    TextError,
    MAX_LICENSE_BYTES,
    r"^[A-Za-z0-9.+():\- ]+$",
    "An SPDX licence expression"
);

/// The licences of a brick: of the specification and texts, and where it differs, of the software.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct License {
    /// The specification's and texts'.
    pub spec: LicenseExpression,
    /// The software's; absent: the same.
    pub software: Option<LicenseExpression>,
}

impl serde::Serialize for License {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let Some(software) = &self.software else { return self.spec.serialize(s) };
        let mut map = s.serialize_map(Some(2))?;
        map.serialize_entry("spec", &self.spec)?;
        map.serialize_entry("software", software)?;
        map.end()
    }
}

impl schemars::JsonSchema for License {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "License".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<LicenseExpression>();
        schemars::json_schema!({
            "description": "An SPDX expression, or one for the specification and another for the software",
            "anyOf": [
                one,
                {
                    "type": "object",
                    "required": ["spec"],
                    "properties": { "spec": one, "software": one },
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_spdx() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "(EUPL-1.2 OR MIT) AND OGL-UK-3.0",
            "LicenseRef-council",
            "GPL-2.0-only WITH Classpath-exception-2.0",
        ] {
            let license = LicenseExpression::parse(good).unwrap();
            assert_eq!(license.unlisted(), None, "{good}");
        }
        for bad in
            ["", "MIT OR", "MIT Apache-2.0", "MIT / Apache-2.0", "(MIT", "MIT\u{202e}", "see LICENSE.txt"]
        {
            assert!(LicenseExpression::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_licence_that_spdx_does_not_list_reads_but_is_told_to_its_author() {
        let (at, says) = LicenseExpression::parse("MIT OR EUPL-9.9").unwrap().unlisted().unwrap();
        assert_eq!(at, 7..15);
        assert!(!says.is_empty());
        assert!(LicenseExpression::parse("GPL-3.0").unwrap().unlisted().is_some(), "deprecated");
    }
}

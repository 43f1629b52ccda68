//! Which entry of which register? Service types and bodies are named by `scheme:code`.

use crate::newtype::string_newtype;
use crate::text::TextError;

/// Bytes in a register code, at most.
pub const MAX_CODE_BYTES: usize = 100;

/// A code in a register, as in `lgsl:57` or `local-authority-eng:LEE`: scheme `[a-z][a-z0-9-]*`, `:`, code `[A-Za-z0-9._-]+`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(String);

impl Code {
    /// Parses `scheme:code`.
    ///
    /// # Errors
    /// [`TextError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let bad = |rule: &str| Err(TextError::new("register code", text, rule));
        if text.len() > MAX_CODE_BYTES {
            return bad("it has more than 100 bytes");
        }
        let Some((scheme, code)) = text.split_once(':') else {
            return bad("a scheme and a code are needed, as in `lgsl:57`");
        };
        let scheme_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(scheme_byte) {
            return bad("the scheme is made of lower-case letters, digits and `-`, and starts with a letter");
        }
        let code_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if code.is_empty() || !code.bytes().all(code_byte) {
            return bad("the code is made of letters, digits, `.`, `_` and `-`");
        }
        Ok(Self(text.to_owned()))
    }
}

string_newtype!(
    Code,
    TextError,
    MAX_CODE_BYTES,
    r"^[a-z][a-z0-9-]*:[A-Za-z0-9._-]+$",
    "A code in a register: `scheme:code`"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_needs_its_scheme() {
        for good in ["lgsl:57", "local-authority-eng:LEE", "esd:a.b_c-1"] {
            assert_eq!(Code::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "57",
            ":57",
            "lgsl:",
            "LGSL:57",
            "lgsl:5 7",
            "lgsl:57:1",
            "1a:b",
            &format!("a:{}", "b".repeat(99)),
        ] {
            assert!(Code::parse(bad).is_err(), "{bad}");
        }
    }
}

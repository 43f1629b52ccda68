//! In which language? BCP 47 tags, in one spelling.

use crate::newtype::string_newtype;
use crate::text::TextError;

/// Bytes in a language tag, at most (RFC 5646 §4.4.1).
pub const MAX_TAG_BYTES: usize = 35;

/// A BCP 47 language tag in its usual case: `en`, `cy`, `en-GB`, `sr-Latn-RS`, `de-1996`.
///
/// Language, script, region and variants; extensions and private use are refused, because no reader here knows them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LanguageTag(String);

impl LanguageTag {
    /// Parses a tag.
    ///
    /// # Errors
    /// [`TextError`] names the rule that `text` breaks; for a wrong case, the right spelling.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let bad = |rule: String| Err(TextError::new("language tag", text, rule));
        if text.len() > MAX_TAG_BYTES {
            return bad("it has more than 35 bytes".into());
        }
        match usual_case(text) {
            None => bad("a BCP 47 tag is needed, as in `en`, `cy` or `pt-BR`".into()),
            Some(usual) if usual != text => bad(format!("write `{usual}`")),
            Some(usual) => Ok(Self(usual)),
        }
    }
}

string_newtype!(
    LanguageTag,
    TextError,
    MAX_TAG_BYTES,
    r"^[a-z]{2,8}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*$",
    "A BCP 47 language tag"
);

/// The tag in the case of RFC 5646 §2.1.1, or none if it is not language-script-region-variants (§2.1).
fn usual_case(text: &str) -> Option<String> {
    let alpha = |s: &str| s.bytes().all(|b| b.is_ascii_alphabetic());
    let digit = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let alphanumeric = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric());
    let mut parts = text.split('-').peekable();
    let language = parts.next().filter(|l| (2..=8).contains(&l.len()) && alpha(l))?;
    let mut usual = language.to_ascii_lowercase();
    if let Some(script) = parts.next_if(|s| s.len() == 4 && alpha(s)) {
        usual.push('-');
        usual.push_str(&script[..1].to_ascii_uppercase());
        usual.push_str(&script[1..].to_ascii_lowercase());
    }
    if let Some(region) = parts.next_if(|r| (r.len() == 2 && alpha(r)) || (r.len() == 3 && digit(r))) {
        usual.push('-');
        usual.push_str(&region.to_ascii_uppercase());
    }
    for variant in parts {
        let long = (5..=8).contains(&variant.len());
        let year = variant.len() == 4 && digit(&variant[..1]);
        if !(alphanumeric(variant) && (long || year)) {
            return None;
        }
        usual.push('-');
        usual.push_str(&variant.to_ascii_lowercase());
    }
    Some(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_has_one_spelling() {
        for good in ["en", "cy", "en-GB", "sr-Latn-RS", "es-419", "de-1996", "sl-rozaj-biske", "ckb"] {
            assert_eq!(LanguageTag::parse(good).unwrap().as_str(), good);
        }
        for (bad, says) in [
            ("EN", "write `en`"),
            ("en-gb", "write `en-GB`"),
            ("sr-LATN", "write `sr-Latn`"),
            ("", "BCP 47"),
            ("e", "BCP 47"),
            ("en_GB", "BCP 47"),
            ("en-", "BCP 47"),
            ("en-x-private", "BCP 47"),
            ("english-language-of-somewhere-far-away", "35 bytes"),
            ("ü-GB", "BCP 47"),
        ] {
            let error = LanguageTag::parse(bad).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}

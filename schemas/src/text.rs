//! What may be shown to people? Text from strangers, bounded and without characters that deceive the eye.

/// Characters of a foreign text that an error repeats, at most.
pub const MAX_QUOTED_CHARS: usize = 80;

/// Why a text is not what its field asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{text}`: {rule}")]
pub struct TextError {
    /// Which sort of text.
    pub what: &'static str,
    /// The text, escaped and cut to [`MAX_QUOTED_CHARS`].
    pub text: String,
    /// The rule that it breaks.
    pub rule: String,
}

impl TextError {
    /// `text` breaks `rule` of `what`.
    pub fn new(what: &'static str, text: &str, rule: impl Into<String>) -> Self {
        Self { what, text: escape(text), rule: rule.into() }
    }
}

/// Checks a text that people will see: 1 to `max_chars` characters on one line, no space at either end, and none
/// that [`deceives`].
///
/// # Errors
/// [`TextError`] names the rule; a bad character is named by its code point.
pub fn check_displayed(what: &'static str, text: &str, max_chars: usize) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::new(what, text, "it is empty"));
    }
    // A character has at most four bytes: this bounds the count below.
    if text.len() > max_chars.saturating_mul(4) || text.chars().count() > max_chars {
        let rule = format!("it has {} characters, at most {max_chars} are allowed", text.chars().count());
        return Err(TextError::new(what, text, rule));
    }
    if text.trim() != text {
        return Err(TextError::new(what, text, "it begins or ends with a space"));
    }
    let mut before = None;
    for c in text.chars() {
        if deceives(before, c) {
            let rule = format!(
                "U+{:04X} is a control, direction or invisible character, which readers cannot see",
                { c as u32 }
            );
            return Err(TextError::new(what, text, rule));
        }
        before = Some(c);
    }
    Ok(())
}

/// Whether `c`, after the character `before`, can make a text look like another: controls, direction marks,
/// invisible and zero-width characters, line and paragraph separators, tags, and code points that mean nothing.
///
/// U+200C and U+200D, the two joiners, pass after a character of a script that needs them (U+0600 and above).
pub fn deceives(before: Option<char>, c: char) -> bool {
    match c {
        '\u{200c}' | '\u{200d}' => {
            !before.is_some_and(|b| b >= '\u{600}' && !('\u{2000}'..='\u{206f}').contains(&b))
        }
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        _ => c.is_control() || (c as u32) & 0xfffe == 0xfffe,
    }
}

/// A foreign text for an error message: what [`deceives`] as `\u{…}`, cut to [`MAX_QUOTED_CHARS`] with `…`.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    let mut before = None;
    for (at, c) in text.chars().enumerate() {
        if at == MAX_QUOTED_CHARS {
            out.push('…');
            break;
        }
        match c {
            '\n' | '\r' | '\t' => out.extend(c.escape_default()),
            _ if deceives(before, c) => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
        before = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_cannot_see_is_refused_by_its_code_point() {
        for (text, says) in [
            ("a\u{202e}b", "U+202E"),
            ("a\u{200b}b", "U+200B"),
            ("a\u{200d}b", "U+200D"),
            ("a\u{feff}b", "U+FEFF"),
            ("a\u{7}b", "U+0007"),
            ("a\nb", "U+000A"),
            ("a\u{85}b", "U+0085"),
            ("a\u{e0041}b", "U+E0041"),
            ("a\u{ad}b", "U+00AD"),
            ("a\u{ffff}b", "U+FFFF"),
        ] {
            let error = check_displayed("title", text, 150).unwrap_err();
            assert!(error.rule.contains(says), "{text:?}: {error}");
            assert!(!error.to_string().chars().any(|c| deceives(None, c)), "{error}");
        }
    }

    #[test]
    fn the_worlds_scripts_pass() {
        for text in
            ["Adran Gynllunio", "Ärztliche Meldung", "می\u{200c}خواهم", "ක්\u{200d}ෂ", "受付", "🏠 Home"]
        {
            check_displayed("title", text, 150).unwrap();
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        check_displayed("title", &"é".repeat(150), 150).unwrap();
        let error = check_displayed("title", &"é".repeat(151), 150).unwrap_err();
        assert!(error.to_string().contains("has 151 characters, at most 150"), "{error}");
        assert!(error.text.chars().count() <= MAX_QUOTED_CHARS + 1);
        for bad in ["", " a", "a "] {
            assert!(check_displayed("title", bad, 150).is_err());
        }
    }
}

//! How can a text of somebody else's be shown without it acting on the terminal or on the reader's eye?

use std::borrow::Cow;

use brick_schemas::text::deceives;

/// `text` on one line, with everything that moves cursors, hides, or turns text around written as an escape.
///
/// Escaped: C0 and C1 controls (line ends and tabs included), bidirectional controls, zero-width and invisible
/// characters, line and paragraph separators. Everything that [`crate::Context`] prints passes through here.
///
/// ```
/// assert_eq!(brick_cli::foreign("a\u{1b}[2Jb\n"), r"a\u{1b}[2Jb\n");
/// ```
pub fn foreign(text: &str) -> Cow<'_, str> {
    let mut before = None;
    if !text.chars().any(|c| deceives(before.replace(c), c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = None;
    for c in text.chars() {
        if deceives(before, c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        before = Some(c);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_is_shown_as_an_escape() {
        for (text, shown) in [
            ("plain – ünïcode 日本", "plain – ünïcode 日本"),
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("two\r\nlines", r"two\r\nlines"),
            ("tab\t", r"tab\t"),
            ("csi \u{9b}1m", r"csi \u{9b}1m"),
            ("next \u{85}", r"next \u{85}"),
            ("turn \u{202e}txet", r"turn \u{202e}txet"),
            ("isolate \u{2066}", r"isolate \u{2066}"),
            ("zero\u{200b}width", r"zero\u{200b}width"),
            ("bom \u{feff}", r"bom \u{feff}"),
            ("line \u{2028}", r"line \u{2028}"),
            ("tag \u{e0041}", r"tag \u{e0041}"),
            ("del \u{7f}", r"del \u{7f}"),
        ] {
            assert_eq!(foreign(text), shown);
        }
    }
}

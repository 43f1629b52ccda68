//! Reading the line-based text formats: one line at a time, and numbers that have one spelling.

/// The lines of a text that must each end in U+000A; what is left can be taken whole.
pub(crate) struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Lines<'a> {
        Lines { rest: text }
    }

    /// The next line without its end; `None` when no line end is left.
    pub(crate) fn next(&mut self) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        self.rest = rest;
        Some(line)
    }

    /// Everything not yet read.
    pub(crate) fn rest(&self) -> &'a str {
        self.rest
    }
}

/// The number that `text` spells in decimal digits without leading zeros; `None` if it does not, or is above `max`.
pub(crate) fn decimal(text: &str, max: u64) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    if text.is_empty() || !canonical || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| *number <= max)
}
